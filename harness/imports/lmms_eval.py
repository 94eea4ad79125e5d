"""Read a log of lmms-eval (0.5 to 0.7.3): `<time>_results.json` and `<time>_samples_<task>.jsonl` of `--log_samples`.

What its files hide, as lmms_eval/evaluator.py and loggers/evaluation_tracker.py of 0.7.3 write them:

- `resps`, the text, is left out where it equals `filtered_resps`; where it is there, `filtered_resps` has its thoughts
  cut off. A task with filters of its own logs what its last filter returned under both: nobody knows what the model
  wrote, so such a task is refused.
- Sample files are opened to append: two runs within one second leave the lines of both. The number of lines must be
  that of `n-samples`; `task_hashes` cannot tell more, since `doc_hash` is one and the same for every row.
- Lines lie in the order of ranks, so they are sorted by `doc_id`; the same `doc_id` twice with other texts is refused.
- A request that a server refused is logged as a text, `[LMMS_EVAL_REQUEST_FAILED after N retries] ...`.
- The rows hold neither options nor accepted answers: these come from the benchmark's own data, by `doc_id`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.imports.bounded import (
    as_count,
    as_list,
    as_number,
    as_object,
    folders_in,
    json_file,
    json_lines,
    names_in,
    plain_settings,
    sha256_of,
)
from harness.imports.foreign import ForeignAnswer, ForeignLog, ForeignLogError, ForeignTask
from harness.values import Json

_RESULTS: Final = "_results.json"
_SAMPLES: Final = "_samples_"
_DEEPEST: Final = 3
"""So many folders below the one that is named results are looked for: `<output_path>/<model>/`, and a parent's."""

_FAILED: Final = re.compile(r"\[LMMS_EVAL_REQUEST_FAILED\b")
"""How its clients begin the text of a request that they gave up."""

_KEEPS_TEXT: Final = ("take_first", "TakeFirstFilter")
"""Filters that return the model's text as it is; logs name them as the YAML does or by their class."""

_SETTINGS: Final = ("model", "model_args", "model_backend", "batch_size", "limit", "offset", "gen_kwargs")
_UNKNOWN_VERSION: Final = "unknown"


def read_lmms_eval(path: Path) -> ForeignLog:
    """Read a log.

    Args:
        path: A `..._results.json`, one of its `..._samples_<task>.jsonl`, or a folder in which one log lies.

    Raises:
        ForeignLogError: There is none, or several, or it holds nothing that can be imported.
    """
    found = _results_file(path)
    results = as_object(json_file(found))
    if not isinstance(results.get("configs"), dict) or not isinstance(results.get("results"), dict):
        raise ForeignLogError(f"{found} holds no `results` and `configs`: it is no results file of lmms-eval")
    stem = found.name.removesuffix(_RESULTS)
    samples = {
        name.removeprefix(stem + _SAMPLES).removesuffix(".jsonl"): found.with_name(name)
        for name in names_in(found.parent)
        if name.startswith(stem + _SAMPLES) and name.endswith(".jsonl")
    }
    if not samples:
        raise ForeignLogError(
            f"no {stem}{_SAMPLES}<task>.jsonl lies beside {found}: without the answers there is nothing to score. Run "
            "lmms-eval with --log_samples"
        )
    tasks, refused = _tasks(results, samples)
    config = as_object(results.get("config"))
    return ForeignLog(
        tool="lmms-eval",
        version=_version(results.get("lmms_eval_version")),
        model=str(results.get("model_name") or config.get("model") or found.parent.name)[:1000],
        created=str(results.get("date") or stem)[:100],
        tasks=tuple(tasks),
        files={file.name: sha256_of(file) for file in (found, *samples.values())},
        refused=refused,
        settings={name: plain_settings(config[name]) for name in _SETTINGS if config.get(name) is not None},
    )


def _version(value: object) -> str:
    """Return the version without the commit; `unknown@unknown` is what an installed lmms-eval writes."""
    text = str(value or "").partition("@")[0][:60]
    return "" if text == _UNKNOWN_VERSION else text


def _results_file(path: Path) -> Path:
    """Return the results file that a path means."""
    if not path.is_dir():
        stem, samples, _ = path.name.partition(_SAMPLES)
        if path.name.endswith(_RESULTS):
            return path
        if not samples or not path.name.endswith(".jsonl"):
            raise ForeignLogError(
                f"{path} is no log of lmms-eval: name its <time>{_RESULTS}, or the folder that it lies in"
            )
        beside = path.with_name(stem + _RESULTS)
        if not beside.is_file():
            raise ForeignLogError(f"{beside} is missing: nobody knows how the answers in {path.name} were asked for")
        return beside
    found = list(_results_below(path, _DEEPEST))
    if not found:
        raise ForeignLogError(f"no <time>{_RESULTS} lies in {path}: is it an --output_path of lmms-eval?")
    if len(found) > 1:
        shown = ", ".join(str(file.relative_to(path)) for file in found[-5:])
        raise ForeignLogError(f"{path} holds {len(found)} logs: name one of them, such as {shown}")
    return found[0]


def _results_below(folder: Path, depth: int) -> list[Path]:
    own = [folder / name for name in names_in(folder) if name.endswith(_RESULTS)]
    return own + (
        [] if depth == 0 else [file for below in folders_in(folder) for file in _results_below(below, depth - 1)]
    )


def _tasks(results: Mapping[str, Any], samples: Mapping[str, Path]) -> tuple[list[ForeignTask], dict[str, str]]:
    """Return the tasks that can be imported, and why the others cannot."""
    configs = as_object(results["configs"])
    tasks: list[ForeignTask] = []
    refused = {str(name): "the log holds no samples of it" for name in configs if name not in samples}
    for name, file in samples.items():
        config = configs.get(name)
        if not isinstance(config, dict):
            refused[name] = "the results file does not say how it was asked"
            continue
        try:
            tasks.append(_task(name, file, cast("dict[str, Any]", config), results))
        except ForeignLogError as fault:
            refused[name] = str(fault)
    return tasks, refused


@dataclass(slots=True)
class _Lines:
    """The answers of a file while it is read."""

    by_place: dict[int, list[ForeignAnswer]]
    number: int = 0
    doubled: int = 0


def _task(name: str, file: Path, config: dict[str, Any], results: Mapping[str, Any]) -> ForeignTask:
    """Read one task."""
    _refuse_filters(config)
    counts = as_object(as_object(results.get("n-samples")).get(name))
    original, effective = as_count(counts.get("original")), as_count(counts.get("effective"))
    generation = {key: plain_settings(value) for key, value in as_object(config.get("generation_kwargs")).items()}
    budget = as_count(generation.get("max_new_tokens"))
    lines = _Lines({})
    for number, row in json_lines(file):
        lines.number += 1
        _add(lines, row, f"{file.name}, line {number}", budget)
    shifted = bool(as_count(as_object(results.get("config")).get("offset")))  # which `effective` does not know
    if effective is not None and (lines.number > effective or (lines.number < effective and not shifted)):
        raise ForeignLogError(
            f"{file.name} has {lines.number:,} lines, and its results were made of {effective:,}: samples of another "
            "run were appended, or lines are missing"
        )
    if not lines.by_place:
        raise ForeignLogError(f"{file.name} is empty")
    held = len(lines.by_place)
    notes = [f"{lines.doubled} lines repeat another, word for word, and count once"] if lines.doubled else []
    rows = max(original or held, held)
    return ForeignTask(
        name=name,
        answers=tuple(answer for place in sorted(lines.by_place) for answer in lines.by_place[place]),
        rows=rows,
        theirs=_numbers(as_object(as_object(results["results"]).get(name))),
        generation=generation,
        partial=held < rows,
        notes=tuple(notes),
    )


def _refuse_filters(config: Mapping[str, Any]) -> None:
    """Refuse a task whose filters change the text before it is logged."""
    steps = [
        str(as_object(step).get("function", ""))
        for one in as_list(config.get("filter_list"))
        for step in as_list(as_object(one).get("filter"))
    ]
    changing = [step for step in steps if not any(kept in step for kept in _KEEPS_TEXT)]
    if changing:
        raise ForeignLogError(
            f"its filter {changing[0][:80]} changes the texts before they are logged: what the model wrote is not in "
            "the log. Log it without `filter_list`, or run it here"
        )


def _add(lines: _Lines, row: Mapping[str, Any], what: str, budget: int | None) -> None:
    place = as_count(row.get("doc_id"))
    if place is None:
        raise ForeignLogError(f"{what}: doc_id is no whole number")
    found = _answers(place, row, what, budget)
    known = lines.by_place.setdefault(place, found)
    if known is not found:
        if [one.text for one in known] != [one.text for one in found]:
            raise ForeignLogError(f"{what}: doc_id {place} has another answer in an earlier line")
        lines.doubled += 1


def _answers(place: int, row: Mapping[str, Any], what: str, budget: int | None) -> list[ForeignAnswer]:
    """Return the answers of a line: one, or one for each repeat."""
    texts = _texts(row.get("resps") if "resps" in row else row.get("filtered_resps"))
    if not texts:
        raise ForeignLogError(f"{what}: there is no text under resps or filtered_resps")
    tokens = [as_object(counts) for counts in as_list(row.get("token_counts"))]
    prompt = row.get("input")
    cells: dict[str, Json] = {"target": str(row.get("target", ""))}
    return [
        _answer(
            ForeignAnswer(str(place), text, repeat, prompt=prompt if isinstance(prompt, str) else None, cells=cells),
            tokens[repeat] if len(tokens) == len(texts) else {},
            budget,
        )
        for repeat, text in enumerate(texts)
    ]


def _answer(answer: ForeignAnswer, tokens: Mapping[str, Any], budget: int | None) -> ForeignAnswer:
    """Return an answer with what its line says of tokens, and what its text says of a request that failed."""
    written = as_count(tokens.get("output_tokens"))
    failed = _FAILED.match(answer.text)
    return ForeignAnswer(
        place=answer.place,
        text="" if failed else answer.text,
        repeat=answer.repeat,
        error=answer.text[:500] if failed else None,
        logged=answer.text if failed else "",
        truncated=written is not None and budget is not None and written >= budget,
        input_tokens=as_count(tokens.get("input_tokens")),
        output_tokens=written,
        prompt=answer.prompt,
        cells=answer.cells,
    )


def _texts(value: object) -> list[str]:
    """Return the texts of a row: a text, or a list of them, or (0.6 and older) a list of lists of one each."""
    if isinstance(value, str):
        return [value]
    items: list[Any] = as_list(value)
    if all(isinstance(item, list) and len(cast("list[Any]", item)) == 1 for item in items):
        items = [item[0] for item in items]
    if len(items) == 1 and isinstance(items[0], list):  # one request that was answered several times
        items = cast("list[Any]", items[0])
    return [item for item in items if isinstance(item, str)] if all(isinstance(item, str) for item in items) else []


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of a task without their standard errors."""
    found = {name: as_number(value) for name, value in metrics.items() if "_stderr" not in name}
    return {name: value for name, value in found.items() if value is not None}
