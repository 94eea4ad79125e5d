"""Score one text against one sample: the one scorer of satori-bench.

lmms-eval's `process_results` hook, the GRPO rewards, `rescore` and `score` all call `score()` and nothing else judges
an answer. It is pure and thread-safe, loads no model library, and never raises on what a model wrote.

Protocols (design.md, reference: each benchmark's own code):

- `strict`: ours, correct by construction. The last complete stage of each kind is read, tags in any case; thoughts and
  marks around an answer are not the answer.
- `vlmevalkit`, `lmms-eval`: those programs' answer rules, on the last complete answer stage. Without stages VLMEvalKit
  scores the whole text, thoughts too (it sets them apart only where its variable SPLIT_THINK asks for it); lmms-eval
  takes the thoughts away that it knows.
- `paper`: SATORI's released code. Its answer extraction, VLMEvalKit of March 2025, its reward functions; boxes are
  always read in the frame that its reward assumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.images.frames import cut_at_image, smart_resize, to_image_px
from harness.scoring.answers.check import check_answer
from harness.scoring.captions.caption_score import caption_score
from harness.scoring.formats import has_places, marked_format
from harness.scoring.overlap import boxes_with_area, match_boxes, paper_iou, union_iou
from harness.scoring.places import score_place
from harness.scoring.places_peers import peer_place
from harness.scoring.read_text import read_text
from harness.scoring.stages import STAGES, Selection
from harness.scoring.steps import place_steps
from harness.scoring.surroundings import bare_answer
from harness.values import (
    PAPER_PIXEL_LIMITS,
    AnswerCheck,
    Box,
    BoxDialect,
    BoxMatch,
    Components,
    Fault,
    Generation,
    PixelLimits,
    Protocol,
    Response,
    Sample,
    Score,
    ScoreConfig,
    Size,
    StepScore,
    order_faults,
)
from harness.vocabulary import PLACE_RULES

SCORER_VERSION = 8
"""Raised whenever the same text can earn another score than before, or intervals are made otherwise: `runs verify`
holds stored intervals to its own only where this is the same. Part of the protocol hash."""

_CAPTIONED = frozenset(form for form, stages in STAGES.items() if "caption" in stages)
_SELECTIONS: Mapping[Protocol, Selection] = {"strict": "strict", "vlmevalkit": "last", "lmms-eval": "lmms_eval"}
_UNKNOWN_FRAME: frozenset[Fault] = frozenset({"frame_unknown"})
_NO_SOURCE: frozenset[Fault] = frozenset({"no_source"})


def score(
    sample: Sample,
    text: str,
    config: ScoreConfig,
    *,
    input_size: Size | None = None,
    judge_reply: str | None = None,
    truncated: bool = False,
) -> Score:
    """Score a model's raw text.

    Args:
        sample: The question with its gold.
        text: The raw text, unchanged. An empty text scores 0 with faults, it is not an error.
        config: Protocol, format and box dialect.
        input_size: Size of the image as the model saw it; needed to read `input_px` boxes, otherwise derived from
            `config.pixel_limits`.
        judge_reply: What a judge model answered, where one was asked.
        truncated: Whether the token budget ended the text.

    Returns:
        The answer's value in [0, 1] (None: not scorable, never 0 by silence), components in [0, 1] where the sample
        has gold for them, box overlap, and every fault by name.
    """
    response = read_text(text, config.format, selection_for(sample, config), config.box_dialect, truncated=truncated)
    caption = _caption_component(sample, response, config)
    if sample.pictures and (sample.answer_rule in PLACE_RULES or has_places(config.format)):
        grounding = _ground_in_several(sample, response)
        in_one = sample.answer_rule in PLACE_RULES
        answer = AnswerCheck(None, None, ("no_source",)) if in_one else _check(sample, response, config, judge_reply)
    elif sample.answer_rule in PLACE_RULES:
        answer, grounding = _answer_as_place(sample, response, config, input_size)
    else:
        answer = _check(sample, response, config, judge_reply)
        grounding = _ground(sample, response, config, input_size) if has_places(config.format) else _Grounding()
    return Score(
        value=answer.value,
        extracted=answer.extracted,
        components=Components(
            format=None if response.format_ok is None else float(response.format_ok),
            caption=caption,
            bbox=grounding.bbox,
            answer=answer.value,
        ),
        iou=grounding.iou,
        match=grounding.match,
        boxes_image_px=grounding.boxes_image_px,
        steps=grounding.steps,
        kept=response.kept,
        faults=order_faults({*response.faults, *answer.faults, *grounding.faults}),
        response=response,
    )


def score_generation(
    sample: Sample, generation: Generation, config: ScoreConfig, *, judge_reply: str | None = None
) -> Score:
    """Score what a backend returned: its text, as `score` does, or `score_error` where there is none."""
    if generation.error is not None:
        return score_error()
    return score(
        sample,
        generation.text,
        config,
        input_size=generation.input_size,
        judge_reply=judge_reply,
        truncated=generation.truncated,
    )


def score_error() -> Score:
    """Return the score of a sample that never got an answer (unreadable image, failed request): null, fault `error`."""
    return Score(value=None, extracted=None, components=Components(), faults=("error",))


def score_judge_error(earned: Score) -> Score:
    """Return a score whose answer is left open because the judge failed: null with the fault `judge_error`."""
    return replace(
        earned,
        value=None,
        components=replace(earned.components, answer=None),
        faults=order_faults({*earned.faults, "judge_error"}),
    )


def selection_for(sample: Sample, config: ScoreConfig) -> Selection:
    """Return which part of a text the protocol scores: the paper's rewards and benchmarks read it differently."""
    if config.protocol == "paper":
        return "paper_reward" if sample.answer_rule == "accepted" else "paper_benchmark"
    return _SELECTIONS[config.protocol]


def _check(sample: Sample, response: Response, config: ScoreConfig, judge_reply: str | None) -> AnswerCheck:
    """Score the answer stage; a missing one is 0 where an answer could be right (parse has named the fault)."""
    if response.answer is None:
        # Where the gold is nothing that can be met, a mean over the missing answers alone would look like a score.
        unmet = "no_gold" in check_answer(sample, "", config.protocol).faults
        return AnswerCheck(None, None, ("no_gold",)) if unmet else AnswerCheck(0.0, None)
    if judge_reply is not None and config.protocol == "strict":
        judge_reply = bare_answer(judge_reply)  # a judge may think aloud too
    return check_answer(sample, response.answer, config.protocol, judge_reply)


def _caption_component(sample: Sample, response: Response, config: ScoreConfig) -> float | None:
    """Score the caption stage, or return None where format or sample has none."""
    if config.format not in _CAPTIONED or sample.caption is None:
        return None
    paper = config.protocol == "paper"
    if not paper and not sample.caption.strip():
        return None  # an empty reference is no gold; the paper's code scores it all the same
    if response.kept.caption is False:
        return None  # left out as it may be: nothing was said of the scene that could be wrong
    if response.caption is None:
        return 0.0
    return caption_score(response.caption, sample.caption, paper=paper)


@dataclass(frozen=True, slots=True)
class _Grounding:
    """What the box stage earned."""

    bbox: float | None = None
    """The reward component."""
    iou: float | None = None
    """Union IoU without epsilon."""
    match: BoxMatch | None = None
    """One-to-one matching."""
    boxes_image_px: tuple[Box, ...] | None = None
    """Predicted boxes that were compared."""
    faults: frozenset[Fault] = frozenset()
    """Box faults that only the frame and the image size reveal."""
    steps: tuple[StepScore, ...] = ()
    """Where each step looked."""


def _answer_as_place(
    sample: Sample, response: Response, config: ScoreConfig, input_size: Size | None
) -> tuple[AnswerCheck, _Grounding]:
    """Score an answer that is a place; where the text looked in steps, they are kept and the answer alone counts."""
    looked = _ground_steps(sample, response, config, input_size) if response.steps else _Grounding()
    place = peer_place(sample, response.answer, config.protocol) or score_place(
        sample,
        replace(response, boxes_written=None) if response.steps else response,
        config.box_dialect,
        lambda boxes: predicted_boxes_image_px(boxes, sample, config, input_size),
    )
    return place.check, _Grounding(place.iou, place.iou, place.match, place.boxes_image_px, steps=looked.steps)


def _ground_in_several(sample: Sample, response: Response) -> _Grounding:
    """Place nothing where a question shows several pictures: a box does not say which of them it lies in.

    With gold boxes every row is null, also one whose text has no boxes, as where no frame is known.
    """
    looked = response.boxes_written or any(step.boxes_written for step in response.steps)
    return _Grounding(faults=_NO_SOURCE if looked or sample.boxes_image_px else frozenset())


def _ground(sample: Sample, response: Response, config: ScoreConfig, input_size: Size | None) -> _Grounding:
    """Compare predicted and gold regions in original pixels."""
    gold = sample.boxes_image_px
    if response.kept.bbox is False:
        return _Grounding()  # left out as they may be: no place was named that could be wrong
    if config.protocol == "paper":
        return _Grounding() if gold is None else _ground_paper(gold, response, sample.image_size)
    if response.steps:
        return _ground_steps(sample, response, config, input_size)
    written = response.boxes_written or ()
    predicted = predicted_boxes_image_px(written, sample, config, input_size)
    if predicted is None:
        # With gold, a frame that is not known makes every row null, also one without boxes: a mean over the failures
        # alone would look like a score. Without gold there is nothing to score, but boxes that cannot be placed are
        # still named.
        return _Grounding(faults=_UNKNOWN_FRAME if gold or written else frozenset())
    size = sample.image_size
    faults: frozenset[Fault] = frozenset()
    if size is not None:
        predicted, cut = cut_at_image(predicted, size)
        faults = frozenset(cut)
    if not gold:
        return _Grounding(boxes_image_px=predicted if response.boxes_written is not None else None, faults=faults)
    return _compared(predicted, boxes_with_area(gold) if size is None else cut_at_image(gold, size)[0], faults)


def _ground_steps(sample: Sample, response: Response, config: ScoreConfig, input_size: Size | None) -> _Grounding:
    """Compare the steps that count with the gold region; each step is kept beside."""
    row = marked_format(config.format)
    assert row is not None, "only the formats of marks have steps"
    gold = _gold_in_image(sample)
    steps = place_steps(
        response.steps,
        lambda boxes: predicted_boxes_image_px(boxes, sample, config, input_size),
        config.box_dialect,
        sample.image_size,
        gold,
    )
    faults = frozenset[Fault](fault for step in steps for fault in step.faults)
    counted = steps
    if row.counted == "last":
        written = [placed for placed, step in zip(steps, response.steps, strict=True) if step.boxes_written]
        counted = written[-1:]
    if any("frame_unknown" in step.faults for step in counted):
        return _Grounding(faults=faults, steps=steps)
    predicted = tuple(box for step in counted for box in step.boxes_image_px)
    if gold is None:
        return _Grounding(boxes_image_px=predicted, faults=faults, steps=steps)
    return replace(_compared(predicted, gold, faults), steps=steps)


def _gold_in_image(sample: Sample) -> Sequence[Box] | None:
    """Return the gold boxes as far as they lie in the image; None without any, empty where none does."""
    gold, size = sample.boxes_image_px, sample.image_size
    if not gold:
        return None
    return boxes_with_area(gold) if size is None else cut_at_image(gold, size)[0]


def _compared(predicted: tuple[Box, ...], gold: Sequence[Box], faults: frozenset[Fault]) -> _Grounding:
    """Compare boxes with the gold, both in original pixels and cut at the image."""
    if not gold:
        # Nothing could ever overlap with it: the row is at fault, not the model.
        return _Grounding(boxes_image_px=predicted, faults=frozenset[Fault]({*faults, "no_gold"}))
    iou = union_iou(predicted, gold)
    return _Grounding(iou, iou, match_boxes(predicted, gold), predicted, faults)


def predicted_boxes_image_px(
    boxes_written: Sequence[Box], sample: Sample, config: ScoreConfig, input_size: Size | None
) -> tuple[Box, ...] | None:
    """Bring boxes as written into original pixels, uncut.

    Returns None when the dialect is not declared or the sizes that its unit needs are not known. `input_px` uses the
    size that was recorded with the sample, else the size that the configured pixel limits give.
    """
    dialect = config.box_dialect
    return None if dialect is None else placed_image_px(boxes_written, sample, dialect, input_size, config.pixel_limits)


def placed_image_px(
    boxes: Sequence[Box], sample: Sample, dialect: BoxDialect, input_size: Size | None, limits: PixelLimits | None
) -> tuple[Box, ...] | None:
    """Bring boxes from a dialect's unit into original pixels, uncut; None when a size that it needs is not known."""
    seen = input_size
    if dialect.unit == "input_px" and seen is None and limits is not None and sample.image_size is not None:
        try:
            seen = smart_resize(sample.image_size, limits)
        except ValueError:
            return None  # no grid exists for such an image, so the frame cannot be known
    padded = dialect.padded_to_square
    return to_image_px(boxes, dialect.unit, sample.image_size, seen, padded_to_square=padded)


def _ground_paper(gold: tuple[Box, ...], response: Response, size: Size | None) -> _Grounding:
    """Follow the reference's bbox reward (SATORI-R1 plugin.py): its own frame, no cutting, an epsilon below the line.

    Where the reference crashes (no grid for the size) the component is 0 with a named fault.
    """
    if size is None:
        return _Grounding(faults=_UNKNOWN_FRAME)
    try:
        seen = smart_resize(size, PAPER_PIXEL_LIMITS)
    except ValueError:
        return _Grounding(0.0, 0.0, BoxMatch(0, len(gold), 0.0, 0), (), _UNKNOWN_FRAME)
    scale_x, scale_y = size.width / seen.width, size.height / seen.height
    predicted = tuple(
        _ordered((x1 * scale_x, y1 * scale_y, x2 * scale_x, y2 * scale_y))
        for x1, y1, x2, y2 in response.boxes_written or ()
    )
    gold = tuple(_ordered(box) for box in gold)
    return _Grounding(
        bbox=paper_iou(predicted, gold),
        iou=union_iou(predicted, gold),
        match=match_boxes(predicted, gold),
        boxes_image_px=predicted,
    )


def _ordered(box: Box) -> Box:
    """Return the box with its corners in order, as the reference's polygons make of an inverted box."""
    x1, y1, x2, y2 = box
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))
