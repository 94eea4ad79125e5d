"""The GRPO rewards: what the benchmarks' own scorer says of a completion, one function per stage.

TRL calls each reward function with the completions of a batch and the data set's columns, and logs it under its
`__name__`. All functions of a `RewardSet` read the same `harness.scoring.score.Score`, computed once per completion, so
a reward is the number that a benchmark would show for the same text.

A reward never raises and is never NaN. None means "not applicable": the row has no gold for that stage. A bug in the
scorer does not end a run of days: the completion counts as not applicable and `rewards/errors` says so.
"""

from __future__ import annotations

import json
import logging
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, get_args

from harness.scoring.score import score, score_error
from harness.scoring.stages import MAY_BE_LEFT_OUT
from harness.values import FREE_STAGES, FreeStage, Protocol, Sample, Score, ScoreConfig, Size, StageFormat

RewardName: TypeAlias = Literal["format", "bbox", "answer", "caption", "stages", "thinking", "brevity", "repetition"]
"""What can be rewarded; the first four are SATORI's (arXiv 2505.19094)."""

REWARD_NAMES: tuple[RewardName, ...] = get_args(RewardName)
SATORI_REWARDS: tuple[RewardName, ...] = ("format", "bbox", "answer", "caption")
"""The reference's rewards, in its order."""

STAGE_COSTS: Mapping[FreeStage, float] = dict.fromkeys(FREE_STAGES, 0.1)
"""What a stage costs that a text could have left out, where nothing else is said: ten stages are worth one answer."""

_THINKING_WORDS = (3, 256)
"""Fewest and most words of a thinking stage that earn the full reward."""
_REPEATED_WORDS = 4
"""Length of the word runs whose repetition is punished."""
_MOST_WORDS = 4096
"""Words looked at for repetition; longer texts are judged by their beginning."""

logger = logging.getLogger(__name__)

RewardFunction: TypeAlias = Callable[..., list[float | None]]
"""As TRL calls it; the columns of the data set come as keyword arguments."""


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion with what it earned; what the optional rewards look at."""

    text: str
    """Raw text."""
    tokens: int
    """Generated tokens."""
    score: Score
    """What the scorer says."""
    sample: Sample
    """The question and its gold."""
    most_tokens: int
    """Token budget of a completion."""
    stage_costs: Mapping[FreeStage, float] = field(default_factory=lambda: STAGE_COSTS)
    """What a stage costs that may be left out; one that is not named costs nothing."""


def _format(completion: Completion) -> float | None:
    return completion.score.components.format


def _bbox(completion: Completion) -> float | None:
    return completion.score.components.bbox


def _answer(completion: Completion) -> float | None:
    return completion.score.components.answer


def _caption(completion: Completion) -> float | None:
    return completion.score.components.caption


def _stages(completion: Completion) -> float | None:
    """Minus the cost of every stage that was not left out: one that is broken, or without an answer, saves nothing."""
    kept = completion.score.kept
    left_out = {"caption": kept.caption is False, "bbox": kept.bbox is False}
    return 0.0 - math.fsum(cost for stage, cost in completion.stage_costs.items() if not left_out[stage])


def _thinking(completion: Completion) -> float | None:
    """1 for a thinking stage of a sensible length, less for a shorter or longer one, 0 without one."""
    response = completion.score.response
    if response is None or response.thinking is None:
        return 0.0
    words = len(response.thinking.split())
    fewest, most = _THINKING_WORDS
    return min(1.0, words / fewest) if words <= most else most / words


def _brevity(completion: Completion) -> float | None:
    """0 up to half of the token budget, falling to -1 at the whole budget: a penalty, not a bonus."""
    half = completion.most_tokens / 2
    return -min(1.0, max(0.0, (completion.tokens - half) / half))


def _repetition(completion: Completion) -> float | None:
    """Minus the share of runs of four words that were there before; 0 for a text of fewer words."""
    words = completion.text.split(maxsplit=_MOST_WORDS)[:_MOST_WORDS]
    runs = [tuple(words[start : start + _REPEATED_WORDS]) for start in range(len(words) - _REPEATED_WORDS + 1)]
    return -(1 - len(set(runs)) / len(runs)) if runs else 0.0


_RULES: Mapping[RewardName, Callable[[Completion], float | None]] = {
    "format": _format,
    "bbox": _bbox,
    "answer": _answer,
    "caption": _caption,
    "stages": _stages,
    "thinking": _thinking,
    "brevity": _brevity,
    "repetition": _repetition,
}


def reward_faults(names: Sequence[RewardName], form: StageFormat, protocol: Protocol) -> list[str]:
    """Return what is wrong with rewards for a format, by field; empty when all is well."""
    faults: list[str] = []
    if not names:
        faults.append("weights: no reward has a weight above 0, so there is nothing to learn from")
    grounded = {"bbox", "caption"} & set(names)
    if form in {"freeform", "plain"} and grounded:
        faults.append(
            f"weights: format {form} has no stage for {' and '.join(sorted(grounded))}; drop "
            f"{'it' if len(grounded) == 1 else 'them'}, for instance rewards.weights = {{format = 1.0, answer = 1.0}}"
        )
    if MAY_BE_LEFT_OUT[form] and grounded:
        faults.append(
            f"weights: in format {form} a text may leave out {' and '.join(MAY_BE_LEFT_OUT[form])}, and what is not "
            f"there earns and loses nothing: drop {' and '.join(sorted(grounded))} and give `stages` a weight, for "
            "instance rewards.weights = {format = 1.0, answer = 1.0, stages = 1.0}"
        )
    if "stages" in names and not MAY_BE_LEFT_OUT[form]:
        faults.append(
            f"weights: format {form} asks for all of its stages, so that none has a price; drop the reward `stages`, "
            "or train format satori-adaptive"
        )
    if form == "plain" and "format" in names:
        faults.append("weights: format plain has no tags to keep; drop the reward `format`")
    if "thinking" in names and form not in {"satori-think", "freeform"}:
        faults.append(f"weights: format {form} has no thinking stage; drop the reward `thinking`")
    if protocol not in {"strict", "paper"}:
        faults.append(f"protocol {protocol!r}: rewards are `strict` or `paper`")
    return faults


class RewardSet:
    """The reward functions of one training run, over one shared scoring of each batch."""

    def __init__(
        self,
        names: Sequence[RewardName],
        config: ScoreConfig,
        *,
        most_tokens: int,
        end_ids: frozenset[int] = frozenset(),
        stage_costs: Mapping[FreeStage, float] = STAGE_COSTS,
    ) -> None:
        """Take the rewards in the order in which TRL sums and logs them.

        Args:
            names: At least one, none twice.
            config: Protocol, format and the frame that the model writes boxes in.
            most_tokens: Token budget of a completion.
            end_ids: Tokens that end a completion; one that spends its budget without any of them is truncated.
            stage_costs: What the reward `stages` takes off for each stage that was not left out.

        Raises:
            ValueError: A name is unknown or comes twice, or there is none.
        """
        unknown = [name for name in names if name not in _RULES]
        if not names or unknown or len(set(names)) != len(names):
            raise ValueError(f"rewards {list(names)}: name at least one of {', '.join(REWARD_NAMES)}, none twice")
        self.names = tuple(names)
        self.config = config
        self.errors = 0
        """Completions that the scorer failed on; always 0 unless there is a bug."""
        self._most_tokens = most_tokens
        self._end_ids = end_ids
        self._stage_costs = stage_costs
        self._batch: tuple[Sequence[object], tuple[Completion | None, ...]] | None = None

    @property
    def functions(self) -> list[RewardFunction]:
        """One function per reward, named so that TRL's logs read `rewards/<name>/mean`."""
        return [self._function(name, first=place == 0) for place, name in enumerate(self.names)]

    def completions(self, completions: Sequence[Any], **columns: Any) -> tuple[Completion | None, ...]:
        """Score a batch as TRL hands it over; None for a completion that the scorer failed on.

        The latest batch is kept, so that the functions of one step share the work.
        """
        batch = self._batch
        if batch is None or batch[0] is not completions:
            texts = [_text_of(completion) for completion in completions]
            ids = columns["completion_ids"]
            scored = tuple(map(self._scored, texts, ids, columns["sample"], columns["input_size"]))
            self._batch = batch = (completions, scored)
        return batch[1]  # not the attribute, which another thread may have replaced

    def _scored(self, text: str, ids: Sequence[int], sample: Sample, input_size: Size | None) -> Completion | None:
        truncated = len(ids) >= self._most_tokens and not self._end_ids.intersection(ids[-1:])
        try:
            earned = score(sample, text, self.config, input_size=input_size, truncated=truncated)
        except Exception:
            self.errors += 1
            logger.exception("the scorer failed on a completion of sample %s; it counts as not applicable", sample.id)
            return None
        return Completion(text, len(ids), earned, sample, self._most_tokens, self._stage_costs)

    def _function(self, name: RewardName, *, first: bool) -> RewardFunction:
        rule = _RULES[name]

        def reward(completions: Sequence[Any], **columns: Any) -> list[float | None]:
            scored = self.completions(completions, **columns)
            if first:
                self._log(scored, columns)
            return [None if item is None else _finite(rule(item)) for item in scored]

        reward.__name__ = reward.__qualname__ = name
        return reward

    def _log(self, scored: Sequence[Completion | None], columns: Mapping[str, Any]) -> None:
        """Hand TRL the columns of its completions table, and means per kind and per fault."""
        log_extra, log_metric = columns.get("log_extra"), columns.get("log_metric")
        if log_extra is not None:
            for column, values in completion_columns(scored, columns["sample"]).items():
                log_extra(column, values)
        if log_metric is not None:
            for metric, value in batch_metrics(scored).items():
                log_metric(metric, value)
            if self.errors:
                log_metric("rewards/errors", float(self.errors))


def completion_columns(scored: Sequence[Completion | None], samples: Sequence[Sample]) -> dict[str, list[Any]]:
    """Return the columns that the completions table gets beside TRL's own: what was asked, found and missed."""
    scores = [score_error() if item is None else item.score for item in scored]
    return {
        "sample_id": [sample.id for sample in samples],
        "kind": [sample.category for sample in samples],
        "question": [sample.question for sample in samples],
        "text": ["" if item is None else item.text for item in scored],
        "extracted": [earned.extracted for earned in scores],
        "iou": [earned.iou for earned in scores],
        "boxes_image_px": [_boxes_text(earned.boxes_image_px) for earned in scores],
        "gold_boxes_image_px": [_boxes_text(sample.boxes_image_px) for sample in samples],
        "faults": [" ".join(earned.faults) for earned in scores],
    }


def batch_metrics(scored: Sequence[Completion | None]) -> dict[str, float]:
    """Return per kind of question the answer reward and which stages are kept, and the share with each fault."""
    there = [item for item in scored if item is not None]
    if not there:
        return {}
    answers: defaultdict[str, list[float]] = defaultdict(list)
    kept: defaultdict[str, list[float]] = defaultdict(list)
    faults: Counter[str] = Counter()
    for item in there:
        for stage in FREE_STAGES:
            if (choice := getattr(item.score.kept, stage)) is not None:
                kept[f"{item.sample.category or 'all'}/{stage}"].append(choice)
        value = item.score.components.answer
        if value is not None:
            answers[item.sample.category or "all"].append(value)
        faults.update(item.score.faults)
    found = {f"kinds/{kind}/answer": math.fsum(values) / len(values) for kind, values in sorted(answers.items())}
    found |= {f"kinds/{kind}_kept": math.fsum(choices) / len(choices) for kind, choices in sorted(kept.items())}
    return found | {f"faults/{fault}": count / len(there) for fault, count in sorted(faults.items())}


def _text_of(completion: Any) -> str:
    """Return the text of a completion: conversational as the assistant's last turn, or plain.

    A rollout that ends with a tool's reply, as there was no room for more, says nothing.
    """
    if isinstance(completion, str):
        return completion
    last = completion[-1]
    content = last.get("content") if last.get("role", "assistant") == "assistant" else ""
    text = content if isinstance(content, str) else "".join(part.get("text") or "" for part in content or ())
    thought = last.get("reasoning_content") or last.get("thinking")  # where a template's parser files it apart
    return f"<think>{thought}</think>\n{text}" if isinstance(thought, str) else text


def _boxes_text(boxes: Sequence[Sequence[float]] | None) -> str | None:
    """Return boxes as JSON text, so that every batch has the same column type."""
    return None if boxes is None else json.dumps([list(box) for box in boxes])


def _finite(value: float | None) -> float | None:
    """Return the reward; what is not finite would silently count as not applicable, so it is 0."""
    return value if value is None or math.isfinite(value) else 0.0
