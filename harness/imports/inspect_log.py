"""Read a log of Inspect (log version 2): one `.eval` file, which is a zip of JSON, or its `.json` form.

What its files hide, as inspect_ai 0.3.285 writes them:

- The zip is packed with Zstandard, which `bounded.py` unpacks.
- Long texts may stand under `attachments`, with `attachment://<hash>` in their place.
- A thought is a part of the message of its own and not in `completion`: it is put in front as <think>…</think>.
- Status `success` says that the log was finished, not that every sample was: a sample with an `error` is null here and
  left out of Inspect's own numbers; a sample that is not there makes the run partial.
- `multiple_choice(shuffle=True)` writes the model's text anew after it, so such a log is refused.
- Several epochs are repeats: here the first answer counts, Inspect's numbers reduce all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from harness.imports.bounded import (
    MAX_JSON_BYTES,
    ZipMembers,
    as_count,
    as_list,
    as_number,
    as_object,
    json_file,
    json_object,
    names_in,
    open_plain,
    plain_settings,
    sha256_of,
)
from harness.imports.foreign import ForeignAnswer, ForeignLog, ForeignLogError, ForeignTask
from harness.values import Json

LOG_VERSION: Final = 2
"""The version of its format that is read here."""

_HEADER: Final = "header.json"
_SAMPLE: Final = re.compile(r"samples/.+_epoch_\d+\.json\Z", re.DOTALL)
_ATTACHED: Final = "attachment://"
_ZIP_MARK: Final = b"PK\x03\x04"
_TRUNCATED: Final = ("max_tokens", "model_length")
_NO_ANSWER: Final = ("content_filter",)
_GENERATION: Final[Mapping[str, str]] = {
    "max_tokens": "max_new_tokens", "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "seed": "seed",
    "num_choices": "num_choices", "stop_seqs": "until", "reasoning_effort": "reasoning_effort",
}  # fmt: skip
"""Its names of generation arguments, and the usual ones."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A log's header, and its samples one by one."""

    header: dict[str, Any]
    samples: Iterator[dict[str, Any]]


def read_inspect(path: Path) -> ForeignLog:
    """Read a log.

    Args:
        path: A `.eval` or `.json` log, or a folder with exactly one.

    Raises:
        ForeignLogError: There is none, it is of another version, or it hides what the model wrote.
    """
    file = _log_file(path)
    opened = _open(file)
    header = opened.header
    version = header.get("version")
    if version != LOG_VERSION:
        raise ForeignLogError(
            f"{file} is a log of version {str(version)[:20]!r}, and version {LOG_VERSION} is read here: "
            "convert it with `inspect log convert`"
        )
    spec = as_object(header.get("eval"))
    _refuse_rewritten(as_object(header.get("plan")), file)
    packages = as_object(spec.get("packages"))
    return ForeignLog(
        tool="inspect",
        version=str(packages.get("inspect_ai") or "")[:60],
        model=str(spec.get("model") or "")[:1000] or file.stem,
        created=str(spec.get("created") or "")[:100],
        tasks=(_task(header, spec, opened.samples, file),),
        files={file.name: sha256_of(file)},
        settings={
            name: plain_settings(spec[name])
            for name in ("model_base_url", "model_args", "task_args", "solver", "solver_args")
            if spec.get(name)
        },
    )


def _log_file(path: Path) -> Path:
    if not path.is_dir():
        return path
    names = [name for name in names_in(path) if name.endswith(".eval")]
    names = names or [name for name in names_in(path) if name.endswith(".json")]
    if not names:
        raise ForeignLogError(f"no .eval lies in {path}")
    if len(names) > 1:
        raise ForeignLogError(f"{path} holds {len(names)} logs: name one of them, such as {', '.join(names[-5:])}")
    return path / names[0]


def _open(file: Path) -> _Opened:
    """Open a log in either form, whatever its name ends in."""
    with open_plain(file) as raw:
        is_zip = raw.read(len(_ZIP_MARK)) == _ZIP_MARK
    if not is_zip:
        whole = as_object(json_file(file))
        if "eval" not in whole:
            raise ForeignLogError(f"{file} is no log of Inspect: it has no `eval`")
        return _Opened(whole, (as_object(sample) for sample in as_list(whole.get("samples"))))
    with ZipMembers(file) as members:
        if _HEADER not in members.members:
            raise ForeignLogError(
                f"{file} has no {_HEADER}: the evaluation was ended before its log was finished. `inspect eval-retry` "
                "goes on with it, `inspect log recover` writes what there is"
            )
        header = json_object(members.read(_HEADER), f"{file}: {_HEADER}")
    return _Opened(header, _zipped_samples(file))


def _zipped_samples(file: Path) -> Iterator[dict[str, Any]]:
    with ZipMembers(file) as members:
        for name in members.members:
            if _SAMPLE.match(name):
                yield json_object(members.read(name, most=MAX_JSON_BYTES), f"{file}: {name[:100]}")


def _refuse_rewritten(plan: Mapping[str, Any], file: Path) -> None:
    for step in map(as_object, as_list(plan.get("steps"))):
        if step.get("solver") == "multiple_choice" and as_object(step.get("params")).get("shuffle"):
            raise ForeignLogError(
                f"{file}: multiple_choice(shuffle=...) writes the answer anew after the model has given it: what the "
                "model wrote is not in the log. Shuffle with the dataset's shuffle_choices instead"
            )


def _task(
    header: Mapping[str, Any], spec: Mapping[str, Any], samples: Iterator[dict[str, Any]], file: Path
) -> ForeignTask:
    answers: dict[tuple[str, int], ForeignAnswer] = {}
    for sample in samples:
        answer = _answer(sample)
        if (answer.place, answer.repeat) in answers:
            raise ForeignLogError(f"{file} has sample {answer.place!r}, epoch {answer.repeat + 1} twice")
        answers[answer.place, answer.repeat] = answer
    if not answers:
        raise ForeignLogError(f"{file} holds no samples: it was written with log_samples=False, or nothing was asked")
    config = {**as_object(spec.get("model_generate_config")), **as_object(as_object(header.get("plan")).get("config"))}
    dataset, evaluation = as_object(spec.get("dataset")), as_object(spec.get("config"))
    asked = {place for place, repeat in answers if repeat == 0}
    rows = max(as_count(dataset.get("samples")) or 0, len({place for place, _ in answers}))
    epochs = as_count(evaluation.get("epochs")) or 1
    notes: list[str] = []
    if header.get("status") != "success":
        notes.append(f"its status is {str(header.get('status'))[:20]!r}: it is not finished")
    if header.get("invalidated") is True:
        notes.append("somebody has marked samples of it as invalid: they are null")
    if len(asked) < rows:
        notes.append(f"{rows - len(asked):,} of {rows:,} samples are not in it")
    if epochs > 1:
        notes.append(f"of {epochs} epochs the first answer counts; Inspect's own numbers reduce all of them")
    return ForeignTask(
        name=str(spec.get("task") or "")[:200],
        answers=tuple(sorted(answers.values(), key=lambda answer: answer.repeat)),
        rows=rows,
        theirs=_numbers(as_object(header.get("results"))),
        generation={
            _GENERATION[name]: plain_settings(value)
            for name, value in config.items()
            if name in _GENERATION and value is not None
        },
        partial=len(asked) < rows or header.get("status") != "success",
        notes=tuple(notes),
    )


def _answer(sample: Mapping[str, Any]) -> ForeignAnswer:
    epoch, place = as_count(sample.get("epoch")), sample.get("id")
    if not epoch or not isinstance(place, str | int):
        raise ForeignLogError("a sample has no id, or no epoch from 1 on")
    attachments = as_object(sample.get("attachments"))
    output = as_object(sample.get("output"))
    choice = as_object(next(iter(as_list(output.get("choices"))), None))
    text = _written(as_object(choice.get("message")), str(output.get("completion") or ""), attachments)
    why = _why_none(sample, choice, text)
    usage = as_object(output.get("usage"))
    return ForeignAnswer(
        place=str(place),
        text="" if why else text or "",
        repeat=epoch - 1,
        error=why,
        truncated=choice.get("stop_reason") in _TRUNCATED,
        input_tokens=as_count(usage.get("input_tokens")),
        output_tokens=as_count(usage.get("output_tokens")),
        prompt=_prompt(sample, attachments),
        cells=_question(sample, attachments),
    )


def _why_none(sample: Mapping[str, Any], choice: Mapping[str, Any], text: str | None) -> str | None:
    """Return why a sample has no answer of the model's; None where it has one."""
    if sample.get("error"):
        return f"error in Inspect: {as_object(sample['error']).get('message', '')}"[:500]
    if sample.get("invalidation"):
        return "somebody has marked the sample as invalid in Inspect"
    if sample.get("limit"):
        return f"Inspect ended the sample at its limit of {str(as_object(sample['limit']).get('type', ''))[:40]}"
    if choice.get("stop_reason") in _NO_ANSWER:
        return "the answer was stopped by a content filter"
    if not choice:
        return "the sample has no output"
    return "the answer stands in an attachment that is missing" if text is None else None


def _resolved(text: str, attachments: Mapping[str, Any]) -> str | None:
    """Return a text, from its attachment where it is one; None where that is missing."""
    if not text.startswith(_ATTACHED):
        return text
    found = attachments.get(text.removeprefix(_ATTACHED))
    return found if isinstance(found, str) else None


def _written(message: Mapping[str, Any], completion: str, attachments: Mapping[str, Any]) -> str | None:
    """Return what a message says, its thought first; None where a part of it is missing."""
    content = message.get("content")
    if isinstance(content, str) or content is None:
        return _resolved(content if isinstance(content, str) else completion, attachments)
    thoughts: list[str | None] = []
    texts: list[str | None] = []
    for part in map(as_object, as_list(content)):
        if part.get("type") == "text":
            texts.append(_resolved(str(part.get("text", "")), attachments))
        elif part.get("type") == "reasoning" and not part.get("redacted"):
            thoughts.append(_resolved(str(part.get("reasoning", "")), attachments))
    known = [part for part in (*thoughts, *texts) if part is not None]
    if len(known) < len(thoughts) + len(texts):
        return None
    thought = "\n".join(part for part in thoughts if part)
    text = "".join(part for part in texts if part)
    return f"<think>{thought}</think>{text}" if thought else text


def _prompt(sample: Mapping[str, Any], attachments: Mapping[str, Any]) -> str | None:
    """Return the words of the turns before the answer; pictures are left out. None where a part is missing."""
    turns: list[str] = []
    for message in map(as_object, as_list(sample.get("messages"))):
        if message.get("role") == "assistant":
            break
        content = message.get("content")
        parts = (
            [content]
            if isinstance(content, str)
            else [str(part.get("text", "")) for part in map(as_object, as_list(content)) if part.get("type") == "text"]
        )
        found = [_resolved(part, attachments) for part in parts]
        if any(part is None for part in found):
            return None
        turns.append(f"{message.get('role')}: {''.join(filter(None, found))}")
    return "\n".join(turns) or None


def _question(sample: Mapping[str, Any], attachments: Mapping[str, Any]) -> dict[str, Json]:
    """Return question, options and gold as the log has them; what cannot be resolved is left out."""
    target = sample.get("target")
    targets = [target] if isinstance(target, str) else [text for text in as_list(target) if isinstance(text, str)]
    asked = sample.get("input")
    if not isinstance(asked, str):
        turns = [as_object(turn).get("content") for turn in as_list(asked) if as_object(turn).get("role") == "user"]
        parts = [turn if isinstance(turn, str) else _texts_of(turn) for turn in turns]
        asked = "\n".join(parts)
    cells: dict[str, Json] = {
        "question": _resolved(asked, attachments),
        "target": list[Json](_resolved(text, attachments) for text in targets),
    }
    if choices := as_list(sample.get("choices")):
        cells["choices"] = list[Json](_resolved(str(text), attachments) for text in choices)
    return cells


def _texts_of(content: object) -> str:
    parts = map(as_object, as_list(content))
    return "".join(str(part.get("text", "")) for part in parts if part.get("type") == "text")


def _numbers(results: Mapping[str, Any]) -> dict[str, float]:
    """Return a log's own numbers as `scorer/metric`, without standard errors."""
    found: dict[str, float] = {}
    for score in map(as_object, as_list(results.get("scores"))):
        for name, metric in as_object(score.get("metrics")).items():
            number = as_number(as_object(metric).get("value"))
            if number is not None and name not in {"stderr", "std", "var"}:
                found[f"{score.get('name')}/{name}"[:200]] = number
    return found
