"""Score a predictions file: one output line a row, and the summary of each task."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from harness.errors import ConfigError
from harness.predictions import ANSWER_RULES, ScoredPrediction, record_of, score_lines
from harness.run_summary import RunSummary, summarise_records
from harness.values import Record, ScoreConfig


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


def score_file(path: Path, config: ScoreConfig, lines_to: Path | None) -> ScoredFile:
    """Score a file.

    Args:
        path: JSON lines in UTF-8; a byte order mark at the start is passed over.
        config: How to score.
        lines_to: Where the output lines go; `-` is standard output, None nowhere.

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
        for row in score_lines(source, config):
            rows.append(row)
            if sink is not None:
                sink.write(json.dumps(row.to_json(), ensure_ascii=True, allow_nan=False) + "\n")
            key = (str(row.task), str(row.row_id))
            if row.prediction is None:
                if row.task in ANSWER_RULES:
                    counted.append(record_of(row, 0))
                continue
            repeated += key in seen
            if key not in seen:
                seen.add(key)
                counted.append(record_of(row, 0))
    return ScoredFile(tuple(rows), summarise_records(counted, config), repeated)


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
