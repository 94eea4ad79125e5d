"""Read a result of VLMEvalKit: `<model>_<dataset>.xlsx`, `.tsv` or `.json`, and the numbers that lie beside it.

What its files hide, as vlmeval/smp/file.py and vlmeval/inference.py at e8e78f05 write them:

- A cell of .xlsx ends at 32,767 characters; a text that begins with `internal:`, `external:` or `mailto:` becomes a
  link and loses that word (`xlsx_table.py` says which cells). Such answers are null. A blank cell is an empty answer.
- Where writing fails, a .pkl lies there in its place. Loading one runs whatever code it holds: it is never opened.
- A failed request is the text `Failed to obtain answer ...`: null. (Its own numbers count it as wrong.)
- With SPLIT_THINK the thought stands in `thinking` and the rest in `prediction`, both stripped: they are put together.
- Its reader takes the answers `None`, `N/A` or `nan` for missing; here they are what the model wrote.
- Neither prompts nor decoding nor pixels are in its files: they stay unknown.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from harness.imports.bounded import (
    MAX_JSON_BYTES,
    as_number,
    as_object,
    folders_in,
    json_file,
    names_in,
    open_plain,
    sha256_of,
)
from harness.imports.foreign import ForeignAnswer, ForeignLog, ForeignLogError, ForeignTask
from harness.imports.xlsx_table import read_xlsx
from harness.values import Json

_ENDINGS: Final = (".xlsx", ".tsv", ".json")
_FAILED: Final = "Failed to obtain answer"
_EVALUATION: Final = re.compile(r"T\d{8}(?:-\d{6}|_G[0-9a-fA-F]+)\Z")
"""How it names the folder of one evaluation, below that of the model."""

_NUMBERS: Final = re.compile(r"_(?:acc|score|rating|metrics)\.(?:csv|json)\Z")
_MADE_OF_RESULT: Final = re.compile(
    r"_(?:results?|auxmatch|score|acc|rating|metrics|checkpoint|PREV|extract\w*|gpt[\w.-]*|judge\w*)\Z"
)
"""How files end that its evaluation makes of a result and names after it: rows are grouped or left out there."""

_JUDGED: Final = ("hit", "log", "eval_score")
"""Columns that its evaluation adds."""

_MOST_NUMBERS: Final = 200
_STATUS: Final = "status.json"
_UNFINISHED: Final = ("pending", "infer")


@dataclass(frozen=True, slots=True)
class _Rows:
    """A result's rows as text, and what its file hides of the answers."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Json], ...]
    hidden: Mapping[tuple[int, str], str]


def read_vlmevalkit(path: Path, *, model: str | None = None, dataset: str | None = None) -> ForeignLog:
    """Read the result of one model, on one benchmark or on all of a folder.

    Args:
        path: A result file, the folder of an evaluation (`T20261129-101500`), or the model's with one such.
        model: The model's name; None takes it from the folders' and files' names.
        dataset: The benchmark's name there, where the path is a file; None takes it from the file's name.

    Raises:
        ForeignLogError: There is no result, or it is not clear whose it is.
    """
    folder = _evaluation_folder(path) if path.is_dir() else path.parent
    status = as_object(json_file(folder / _STATUS)) if (folder / _STATUS).is_file() else {}
    files = [path] if not path.is_dir() else _result_files(folder)
    known = [str(name) for name in as_object(status.get("datasets"))]
    model = model or _model_name(folder, status, files, dataset)
    tasks: list[ForeignTask] = []
    refused: dict[str, str] = {}
    digests: dict[str, str] = {}
    for file in files:
        name = dataset or _dataset_name(file, model, known)
        if file.suffix == ".pkl":
            refused[name] = _PICKLED.format(file=file.name)
            continue
        try:
            tasks.append(_task(name, file, as_object(as_object(status.get("datasets")).get(name))))
        except ForeignLogError as fault:
            refused[name] = str(fault)
            continue
        digests |= {found.name: sha256_of(found) for found in (file, *_number_files(file))}
    return ForeignLog(
        tool="vlmevalkit",
        version="",
        model=model,
        created=str(status.get("created_at") or (folder.name if _EVALUATION.match(folder.name) else ""))[:100],
        tasks=tuple(tasks),
        files=digests,
        refused=refused,
    )


_PICKLED: Final = (
    "{file} is a pickle, which VLMEvalKit writes where its table could not be written; loading one runs whatever code "
    "it holds. Run VLMEvalKit again with PRED_FORMAT=json: it takes the answers up and writes them anew"
)


# --- which file -----------------------------------------------------------------------------------------------------


def _evaluation_folder(path: Path) -> Path:
    """Return the folder whose results are meant: it, or the one evaluation below it."""
    below = [folder for folder in folders_in(path) if _EVALUATION.match(folder.name)]
    if len(below) > 1:
        shown = ", ".join(folder.name for folder in below[-5:])
        raise ForeignLogError(f"{path} holds {len(below)} evaluations: name one of them, such as {shown}")
    return below[0] if below else path


def _result_files(folder: Path) -> list[Path]:
    """Return the result files right in a folder; a pickle only where no table has its name."""
    tables = [name for name in names_in(folder) if name.endswith(_ENDINGS) and name != _STATUS]
    stems = [name.rpartition(".")[0] for name in tables]
    pickled = [name for name in names_in(folder) if name.endswith(".pkl") and not name[:1].isdecimal()]
    stems += [stem for name in pickled if (stem := name.removesuffix(".pkl")) not in stems]
    made = {
        stem
        for stem in stems
        if _MADE_OF_RESULT.search(stem) and any(stem.startswith(f"{other}_") for other in stems if other != stem)
    }
    tables = [name for name in tables if name.rpartition(".")[0] not in made]
    stems = [name.rpartition(".")[0] for name in tables]
    twice = sorted({stem for stem in stems if stems.count(stem) > 1})
    if twice:
        raise ForeignLogError(f"{folder} holds {twice[0]} in several formats: name the file that counts")
    pickled = [name for name in pickled if name.removesuffix(".pkl") not in (*stems, *made)]
    found = [folder / name for name in (*tables, *pickled)]
    if not found:
        raise ForeignLogError(f"no <model>_<dataset>.xlsx, .tsv or .json lies in {folder}")
    return found


def _model_name(folder: Path, status: Mapping[str, Any], files: list[Path], dataset: str | None) -> str:
    """Return the model's name: what the status says, the folder above an evaluation, or what all files begin with."""
    said = status.get("model_name")
    if isinstance(said, str) and said:
        return said[:1000]
    own = folder.parent.name if _EVALUATION.match(folder.name) else folder.name
    stems = [file.name.rpartition(".")[0] for file in files]
    if own and all(stem.startswith(f"{own}_") for stem in stems):
        return own
    if dataset is not None and all(stem.endswith(f"_{dataset}") for stem in stems):
        return stems[0].removesuffix(f"_{dataset}")
    names = {stem.partition("_")[0] for stem in stems}
    if len(names) == 1 and all(0 < stem.find("_") == stem.rfind("_") < len(stem) - 1 for stem in stems):
        return names.pop()
    raise ForeignLogError(
        f"{files[0].name} is called <model>_<dataset>, and both may hold '_': say which is which with --model NAME"
    )


def _dataset_name(file: Path, model: str, known: list[str]) -> str:
    """Return the benchmark's name in a file's name."""
    stem = file.name.rpartition(".")[0]
    rest = stem.removeprefix(f"{model}_")
    if rest == stem:
        named = next((name for name in known if stem.endswith(f"_{name}")), None)
        if named is None:
            raise ForeignLogError(f"{file.name} does not begin with the model's name {model!r}: name it with --model")
        return named
    return rest


# --- rows -----------------------------------------------------------------------------------------------------------


def _task(name: str, file: Path, status: Mapping[str, Any]) -> ForeignTask:
    found = _rows(file)
    missing = [column for column in ("index", "prediction") if column not in found.columns]
    if missing:
        raise ForeignLogError(f"{file.name} has no column {missing[0]!r}: it is no result of VLMEvalKit")
    judged = [column for column in _JUDGED if column in found.columns]
    if judged:
        raise ForeignLogError(
            f"{file.name} has the column {judged[0]!r}: it is what VLMEvalKit's evaluation made of a result, in which "
            "rows may be left out. Name the result itself, <model>_<dataset>.xlsx"
        )
    answers = tuple(_answers(found))
    seen: set[str] = set()
    for answer in answers:
        if answer.place in seen:
            raise ForeignLogError(f"{file.name} has the index {answer.place!r} twice: nobody knows which answer counts")
        seen.add(answer.place)
    notes: list[str] = []
    unfinished = status.get("status") in _UNFINISHED
    if unfinished:
        notes.append(f"its {_STATUS} says {status.get('status')!r}: it is not finished")
    return ForeignTask(
        name=name, answers=answers, rows=len(answers), theirs=_numbers(file), partial=unfinished, notes=tuple(notes)
    )


def _rows(file: Path) -> _Rows:
    if file.suffix == ".xlsx":
        table = read_xlsx(file)
        return _Rows(table.columns, table.rows, table.hidden)
    if file.suffix == ".tsv":
        return _tsv_rows(file)
    if file.suffix == ".json":
        return _json_rows(file)
    if file.suffix == ".pkl":
        raise ForeignLogError(_PICKLED.format(file=file.name))
    raise ForeignLogError(f"{file} is no .xlsx, .tsv or .json")


def _csv_rows(file: Path, delimiter: str) -> Iterator[list[str]]:
    """Yield the records of a table; a quoted cell may hold anything."""
    with open_plain(file, most=4 * MAX_JSON_BYTES) as raw:
        csv.field_size_limit(2**30)
        try:
            yield from csv.reader(
                io.TextIOWrapper(raw, encoding="utf-8-sig", newline=""), delimiter=delimiter, strict=True
            )
        except (csv.Error, UnicodeDecodeError) as fault:
            raise ForeignLogError(f"{file} cannot be read as UTF-8 table: {fault}") from fault


def _tsv_rows(file: Path) -> _Rows:
    records = _csv_rows(file, "\t")
    header = tuple(next(records, ()))
    rows: list[Mapping[str, Json]] = []
    for number, record in enumerate(records, start=1):
        if len(record) != len(header):
            raise ForeignLogError(f"{file}: record {number} has {len(record)} cells, the header has {len(header)}")
        rows.append({name: cell for name, cell in zip(header, record, strict=True) if cell})
    return _Rows(header, tuple(rows), {})


def _json_rows(file: Path) -> _Rows:
    """Read a list of records; null and NaN are cells without a value."""
    items = json_file(file)
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in cast("list[Any]", items)):
        raise ForeignLogError(f"{file} is no list of records")
    rows = tuple(
        {name: cell for name, cell in cast("dict[str, Json]", item).items() if cell is not None}
        for item in cast("list[Any]", items)
    )
    columns = tuple(dict.fromkeys(name for item in cast("list[dict[str, Json]]", items) for name in item))
    hidden = {
        (number, "prediction"): "the cell is no text" if "prediction" in row else "there is no answer: the cell is null"
        for number, row in enumerate(rows)
        if "prediction" in columns and not isinstance(row.get("prediction"), str)
    }
    return _Rows(columns, rows, hidden)


def _answers(found: _Rows) -> Iterator[ForeignAnswer]:
    splits = "thinking" in found.columns
    asked = [name for name in found.columns if name not in {"prediction", "thinking", "extra_records"}]
    for number, row in enumerate(found.rows):
        place = _index(row.get("index"))
        if place is None:
            raise ForeignLogError(f"row {number + 1} has no index")
        text, thought = str(row.get("prediction", "")), str(row.get("thinking", "")) if splits else ""
        why = found.hidden.get((number, "prediction")) or (found.hidden.get((number, "thinking")) if splits else None)
        if why is None and _FAILED in text:
            why = text[:500]
        cells: dict[str, Json] = {name: row.get(name, "") for name in asked}
        yield ForeignAnswer(
            place, "" if why else _whole(thought, text), error=why, logged=text if why else "", cells=cells
        )


def _index(value: Json | None) -> str | None:
    """Return an index as its benchmark's file has it: tables of other programs make 17.0 of 17."""
    if value is None or isinstance(value, bool | list | dict):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _whole(thought: str, text: str) -> str:
    """Return the text before its thought was split off; what was around both was stripped away."""
    if not thought:
        return text
    return f"{thought}{text}" if thought.endswith("</think>") else f"<think>{thought}</think>{text}"


# --- its own numbers ------------------------------------------------------------------------------------------------


def _number_files(file: Path) -> list[Path]:
    stem = file.name.rpartition(".")[0]
    return [
        file.with_name(name)
        for name in names_in(file.parent)
        if name.startswith(stem) and _NUMBERS.search(name) and name != file.name
    ]


def _numbers(file: Path) -> dict[str, float]:
    """Return what its evaluation wrote beside a result: tables' cells as `column` or `split/column`."""
    found: dict[str, float] = {}
    for path in _number_files(file):
        items = _csv_numbers(path) if path.suffix == ".csv" else as_object(json_file(path)).items()
        for name, value in items:
            number = as_number(value)
            if number is not None and len(found) < _MOST_NUMBERS:
                found.setdefault(str(name)[:200], number)
    return found


def _csv_numbers(path: Path) -> Iterator[tuple[str, float | None]]:
    """Yield the cells of a table of numbers; where it has several splits they are named before the column."""
    header, *records = [*_csv_rows(path, ",")] or [list[str]()]
    for record in records:
        cells = dict(zip(header, record, strict=False))
        split = cells.get("split", cells.get("Task&Skill", "none"))
        for name, cell in cells.items():
            try:
                number = float(cell)
            except ValueError:
                continue
            yield (name if split == "none" or len(records) == 1 else f"{split}/{name}"), as_number(number)
