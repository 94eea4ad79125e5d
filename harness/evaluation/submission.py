"""Write a run's answers as the file that a benchmark's authors take for a split whose labels they keep. Never a score.

- `mmbench`: a table with a row per pass (`index`), its question and options, and the answer in `prediction`, as `.xlsx`
  or `.tsv`. The server (VLMEvalKit's `scripts/mmb_eval_gradio.py` at e8e78f05) asks for `index`, `prediction` and A to
  D, tells the language from `question` and the edition from the numbers, and reads the options from the file.
- `rrc`: a JSON list of `{"questionId": number, "answer": text}`, as the Robust Reading Competition takes for DocVQA and
  InfographicVQA (lmms-eval 0.7.3 writes the same: `docvqa/utils.py`, `infovqa/utils.py`).

An answer is the text of the answer stage as `strict` reads it, outer blanks apart, and nothing else of the text: what
it is worth is for the server to say. A sample without such a stage has the empty answer.
"""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias
from xml.sax.saxutils import escape

from harness.errors import ConfigError, IncompleteError
from harness.runs.manifest import config_of
from harness.runs.store import StoredRun
from harness.scoring.score import score_generation
from harness.summary.clusters import whole_number
from harness.task_facts import FACTS, SubmissionFile, facts_of
from harness.values import Record

TableEnding: TypeAlias = Literal["xlsx", "tsv"]
"""How a table is written."""

MAX_CELL_CHARACTERS = 32_767
"""A spreadsheet's cell holds no more; a longer text is cut, and counted."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LEAST_OPTIONS = 4
"""The server refuses a table without these columns of options, filled or not."""

_NO_CELL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 cannot hold at all, escaped or not."""


@dataclass(frozen=True, slots=True)
class Submission:
    """The official file of one benchmark's answers."""

    task: str
    """Short task name."""
    name: str
    """What the file is called."""
    content: bytes
    """The whole file."""
    answers: int
    """Rows in it."""
    empty: int
    """Rows whose answer is empty: the text had no answer stage, or there is no text."""
    failed: int
    """Rows without any text, which only stand in it where that was asked for."""
    cut: int
    """Texts that were too long for a cell."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """One row to hand in."""

    record: Record
    text: str


def submissions_of(
    run: StoredRun, tasks: Sequence[str] = (), *, table: TableEnding = "xlsx", incomplete: bool = False
) -> tuple[Submission, ...]:
    """Return the official file of each benchmark of a run that has one.

    Args:
        run: A finished run.
        tasks: Which benchmarks; none for all that have a file.
        table: How MMBench's table is written.
        incomplete: Whether to write it also where samples of the split are missing or have no text.

    Raises:
        ConfigError: None of the run's benchmarks has such a file, or a row lacks what the file needs.
        IncompleteError: The run is not finished, or samples are missing.
        StoreError: It cannot be read.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    wanted = _wanted(run, tasks)
    config = config_of(run.manifest, "strict")
    answers: dict[str, list[_Answer]] = {task: [] for task in wanted}
    for record in run.records():
        if record.sample.task in answers and not record.repeat:
            read = score_generation(record.sample, record.generation, config).response
            text = "" if read is None or read.answer is None else read.answer.strip()
            answers[record.sample.task].append(_Answer(record, text))
    if not incomplete:
        _refuse_missing(run, answers)
    return tuple(_submission(task, found, table) for task, found in answers.items())


def _wanted(run: StoredRun, tasks: Sequence[str]) -> list[str]:
    """Return the benchmarks to write; refuse those that have labels."""
    there = list(run.manifest.tasks)
    unlabelled = [task for task in there if facts_of(task).submission is not None]
    unknown = [task for task in tasks if task not in unlabelled]
    if unknown or not unlabelled:
        known = ", ".join(task for task, facts in FACTS.items() if facts.submission is not None)
        what = f"{', '.join(unknown)} of {run.path}" if unknown else f"{run.path}"
        raise ConfigError(
            f"{what} has no split without labels, and only such a split is handed in (the run has "
            f"{', '.join(there)}). Splits without labels: {known}"
        )
    return [task for task in unlabelled if not tasks or task in tasks]


def _refuse_missing(run: StoredRun, answers: Mapping[str, Sequence[_Answer]]) -> None:
    """Refuse a file that does not hold the whole split: whatever is not in it counts as wrong there."""
    for task, found in answers.items():
        facts = run.manifest.tasks[task]
        if facts.limit is not None or len(found) < facts.rows:
            raise IncompleteError(
                f"{task}: {len(found)} of {facts.rows} samples were asked, and the server counts the others as wrong: "
                "run it without --limit, or write the file all the same with --incomplete"
            )
        failed = [answer.record.sample.id for answer in found if answer.record.generation.error is not None]
        if failed:
            raise IncompleteError(
                f"{task}: {len(failed)} samples have no answer for an error, such as {failed[0]!r}: mend it with "
                f"satori-bench run --retry {run.path}, or write empty answers for them with --incomplete"
            )


def _submission(task: str, answers: Sequence[_Answer], table: TableEnding) -> Submission:
    kind = facts_of(task).submission
    assert kind is not None, "only benchmarks with a file come here"
    ending = table if kind == "mmbench" else "json"
    rows = _WRITERS[kind](task, answers)
    cut = sum(len(cell) > MAX_CELL_CHARACTERS for row in rows for cell in row if isinstance(cell, str))
    return Submission(
        task=task,
        name=f"{task}.{ending}",
        content=_ENDINGS[ending](rows),
        answers=len(answers),
        empty=sum(not answer.text for answer in answers),
        failed=sum(answer.record.generation.error is not None for answer in answers),
        cut=cut if ending != "json" else 0,
    )


_Cell: TypeAlias = str | int
_Rows: TypeAlias = list[tuple[_Cell, ...]]


def _mmbench_rows(task: str, answers: Sequence[_Answer]) -> _Rows:
    """Return MMBench's table, its heading first."""
    most = max((len(answer.record.sample.choices) for answer in answers), default=0)
    letters = _LETTERS[: max(_LEAST_OPTIONS, most)]
    rows: _Rows = [("index", "question", *letters, "prediction", "category", "l2-category")]
    for answer in answers:
        sample = answer.record.sample
        index = whole_number(sample.extra.get("index"))
        index = whole_number(sample.id) if index is None else index
        if index is None:
            raise ConfigError(f"{task}: sample {sample.id[:60]!r} has no index, by which the server knows its rows")
        options = (sample.choices.get(letter, "") for letter in letters)
        rows.append((index, sample.question, *options, answer.text, sample.category, sample.l2_category))
    return rows


def _rrc_rows(task: str, answers: Sequence[_Answer]) -> _Rows:
    """Return number and answer of each question."""
    rows: _Rows = []
    for answer in answers:
        number = whole_number(answer.record.sample.id)
        if number is None:
            raise ConfigError(
                f"{task}: sample {answer.record.sample.id[:60]!r} is called by no number, and answers are handed in "
                "under the questions' numbers (the hub's column questionId)"
            )
        rows.append((number, answer.text))
    return rows


_WRITERS: Mapping[SubmissionFile, Callable[[str, Sequence[_Answer]], _Rows]] = {
    "mmbench": _mmbench_rows,
    "rrc": _rrc_rows,
}


def _json_bytes(rows: Iterable[Sequence[_Cell]]) -> bytes:
    """Return the list of the Robust Reading Competition, one question a line."""
    lines = (json.dumps({"questionId": number, "answer": text}) for number, text in rows)
    return ("[\n" + ",\n".join(lines) + "\n]\n").encode("ascii")


def _tsv_bytes(rows: Iterable[Sequence[_Cell]]) -> bytes:
    """Return a table that pandas reads by tabs: cells with marks or line breaks are quoted."""
    text = io.StringIO()
    csv.writer(text, delimiter="\t", lineterminator="\n").writerows([[_cell(cell) for cell in row] for row in rows])
    return text.getvalue().encode("utf-8")


def _cell(cell: _Cell) -> _Cell:
    """Return a cell that a spreadsheet and XML can hold."""
    return cell if isinstance(cell, int) else _NO_CELL.sub(" ", cell[:MAX_CELL_CHARACTERS])


def _xlsx_bytes(rows: Iterable[Sequence[_Cell]]) -> bytes:
    """Return a workbook of one sheet, by hand: every text stays a text.

    A library would take "=1+1" for a formula, and writes the time into the file. Texts stand in the cells themselves
    (`inlineStr`), which every reader of the format knows.
    """
    lines = (f"<row>{''.join(map(_xml_cell, row))}</row>" for row in rows)
    sheet = f'<worksheet xmlns="{_MAIN}"><sheetData>{"".join(lines)}</sheetData></worksheet>'
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as book:
        for name, text in (*_BOOK.items(), ("xl/worksheets/sheet1.xml", sheet)):
            entry = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            book.writestr(entry, f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n{text}')
    return content.getvalue()


def _xml_cell(cell: _Cell) -> str:
    if isinstance(cell, int):
        return f"<c><v>{cell}</v></c>"
    return f'<c t="inlineStr"><is><t xml:space="preserve">{escape(str(_cell(cell)))}</t></is></c>'


_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml"
_BOOK: Mapping[str, str] = {
    "[Content_Types].xml": (
        f'<Types xmlns="{_PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{_TYPE}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{_TYPE}.worksheet+xml"/></Types>'
    ),
    "_rels/.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>'
    ),
    "xl/workbook.xml": (
        f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets><sheet name="Sheet1" sheetId="1" r:id="rId1"/></sheets>'
        "</workbook>"
    ),
    "xl/_rels/workbook.xml.rels": (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="rId1" Type="{_OFFICE}/worksheet" '
        'Target="worksheets/sheet1.xml"/></Relationships>'
    ),
}
"""The parts of a workbook that say where its only sheet is."""

_ENDINGS: Mapping[str, Callable[[Iterable[Sequence[_Cell]]], bytes]] = {
    "json": _json_bytes,
    "tsv": _tsv_bytes,
    "xlsx": _xlsx_bytes,
}
