"""Score a predictions file: one output line a row, and the summary of each task."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.errors import ConfigError
from harness.evaluation.predictions import ANSWER_RULES, ScoredPrediction, record_of, score_lines
from harness.summary.run_summary import RunSummary, summarise_records
from harness.task_facts import facts_of
from harness.values import Fault, Record, Sample, Score, ScoreConfig

SHOWN_BAD_ROWS = 3
"""Bad rows of one reason that are shown a line each."""
_HEAD_BYTES = 4096
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff")
"""Byte order marks of UTF-16, as spreadsheets save it."""

_WHY_UNSCORED: Mapping[Fault, str] = {
    "no_gold": "no row has an accepted answer to compare with: write it as 'answers', a list of strings",
    "needs_judge": "rules can't tell what the answers are worth, and no judge's reply stands in 'judge_reply'",
    "frame_unknown": "nobody said how boxes are written: --box-dialect does",
}
"""What to do where no row has a value though every row could be read."""


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """What became of a predictions file."""

    rows: tuple[ScoredPrediction, ...]
    """Every row, in order."""
    summary: RunSummary
    """Metrics per task; a bad row of a known task is counted there as unscored."""
    repeated: int
    """Rows whose task and id were met before; they have output lines but count in no mean."""

    @property
    def bad_rows(self) -> tuple[ScoredPrediction, ...]:
        """Rows that could not be read."""
        return tuple(row for row in self.rows if row.reason is not None)

    @property
    def nothing_scored(self) -> bool:
        """Whether no row has any value at all, so that there is no result."""
        return not any(_has_value(row.score) for row in self.rows)

    @property
    def no_answer_scored(self) -> bool:
        """Whether there are rows, and the answer of none of them has a score."""
        return bool(self.rows) and all(row.score.value is None for row in self.rows)

    @property
    def wants_no_score(self) -> bool:
        """Whether all rows are of splits without labels and some can be read, so that no score is no fault."""
        read = [row.task for row in self.rows if row.prediction is not None]
        return bool(read) and all(facts_of(str(task)).submission is not None for task in read)

    @property
    def why_nothing_scored(self) -> str:
        """Why there is no result, where `nothing_scored` or `no_answer_scored`."""
        if not self.rows:
            return "the file has no rows"
        if self.bad_rows:
            return "the reasons stand above"
        faults = {fault for row in self.rows for fault in row.score.faults}
        return next((why for fault, why in _WHY_UNSCORED.items() if fault in faults), "see the faults of its rows")

    @property
    def reads_boxes(self) -> bool:
        """Whether the boxes of some row were compared with gold."""
        return any(row.score.iou is not None for row in self.rows)


def _has_value(score: Score) -> bool:
    """Whether a score holds any number."""
    parts = score.components
    numbers = (score.value, score.iou, parts.format, parts.caption, parts.bbox, parts.answer)
    return any(number is not None for number in numbers)


def bad_row_lines(rows: Sequence[ScoredPrediction]) -> Iterator[str]:
    """Say what is wrong with bad rows, a line each for the first of a reason and one for all its others."""
    by_reason: dict[str, list[int]] = {}
    for row in rows:
        by_reason.setdefault(str(row.reason), []).append(row.line)
    for reason, lines in by_reason.items():
        for line in lines[:SHOWN_BAD_ROWS]:
            yield f"line {line}: {reason}"
        if len(lines) > SHOWN_BAD_ROWS:
            yield f"...and {len(lines) - SHOWN_BAD_ROWS} more lines, up to line {lines[-1]}: {reason}"


def file_shape(path: Path) -> str | None:
    """Say in which other shape a file comes that holds no line of its own to score; None when nothing is recognised.

    Only the file's first characters are looked at.
    """
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD_BYTES)
    except OSError:
        return None
    if head[:2] in _WIDE_MARKS:
        return "the file is UTF-16: save it as UTF-8"
    if head.startswith(b"PAR1"):
        return "the file is Parquet: write JSON lines, such as with pandas' to_json(orient='records', lines=True)"
    text = head.decode("utf-8-sig", errors="replace").lstrip()
    if text.startswith("["):
        return "the file is one JSON array: write one object a line, such as with `jq -c '.[]'`"
    if text.startswith("{") and not text.split("\n", 1)[0].rstrip().endswith("}"):
        return "the file is one JSON object over several lines: write one object a line, such as with `jq -c`"
    if text and not text.startswith("{"):
        return "the file does not hold JSON: write one JSON object a line"
    return None


def score_file(
    path: Path, config: ScoreConfig, lines_to: Path | None, gold: Callable[[Sample], Sample] | None = None
) -> ScoredFile:
    """Score a file.

    Args:
        path: JSON lines in UTF-8; a byte order mark at the start is passed over.
        config: How to score.
        lines_to: Where the output lines go; `-` is standard output, None nowhere.
        gold: Gives a sample other gold boxes than its row has; None keeps those.

    Raises:
        ConfigError: The file cannot be read, or the output cannot be written or would overwrite it.
    """
    rows: list[ScoredPrediction] = []
    seen: set[tuple[str, str]] = set()
    counted: list[Record] = []
    repeated = 0
    if lines_to is not None and lines_to.exists() and path.exists() and lines_to.samefile(path):
        raise ConfigError(f"--output {lines_to} is the predictions file itself; name another file")
    with _lines(path) as source, _sink(lines_to) as sink:
        for row in score_lines(source, config, gold):
            rows.append(row)
            if sink is not None:
                line = json.dumps(row.to_json(), ensure_ascii=True, allow_nan=False)
                # in a CI job's log `##[name]` is a command, wherever it stands; JSON can write it so that it is none
                sink.write(line.replace("##", r"\u0023#") + "\n")
            key = (str(row.task), str(row.row_id))
            if row.prediction is None:
                if row.task in ANSWER_RULES:
                    counted.append(record_of(row, 0))
                continue
            repeated += key in seen
            if key not in seen:
                seen.add(key)
                counted.append(record_of(row, 0))
    return ScoredFile(tuple(rows), summarise_records(counted, config, gold_is_checked=False), repeated)


@contextmanager
def _lines(path: Path) -> Generator[Iterator[str]]:
    """Yield the lines of the file; only a newline ends a line, whatever other separators a text holds."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as stream:
            yield iter(stream)
    except OSError as fault:
        raise ConfigError(f"cannot read {path}: {fault.strerror or fault}") from fault


@contextmanager
def _sink(path: Path | None) -> Generator[TextIO | None]:
    """Yield where the output lines go."""
    if path is None or str(path) == "-":
        yield None if path is None else sys.stdout
        return
    try:
        stream = path.open("w", encoding="utf-8")
    except OSError as fault:
        raise ConfigError(f"cannot write {path}: {fault.strerror or fault}") from fault
    with stream:
        yield stream
