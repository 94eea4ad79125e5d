"""Build the parquet file of training examples from any sources, checked on the way.

Faulty rows are left out only by those who ask for it, and never where the rest of the file is suspect: of boxes in
thousandths only some stick out of their image, and the others would be kept in the wrong place. Whoever knows what the
boxes are says so, and nothing is suspected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import ConfigError
from training.data.check import BenchmarkImages, DataCheck, RowChecker
from training.data.example import Example
from training.data.sources import SourceSpec, load_rows
from training.data.store import DatasetFacts, write_examples


class FaultyDataError(ConfigError):
    """Rows of the source are faulty, and were not to be dropped; nothing was written."""

    def __init__(self, message: str, check: DataCheck) -> None:
        super().__init__(message)
        self.check = check


@dataclass(frozen=True, slots=True)
class BuiltData:
    """What was written."""

    path: Path
    """The file."""
    facts: DatasetFacts
    """What is in it."""
    check: DataCheck
    """What the sources were found to hold."""


def check_sources(
    specs: Sequence[SourceSpec],
    benchmarks: BenchmarkImages | None = None,
    *,
    named_rows: int,
    on_row: Callable[[], object] = lambda: None,
) -> DataCheck:
    """Check sources, as one set of training data, without writing anything.

    Args:
        specs: What to read, in this order.
        benchmarks: Images that must not be trained on; None compares with none.
        named_rows: Rows to name for each fault of a file.
        on_row: Called after each row, for a progress display.

    Raises:
        ConfigError: A source is wrong.
        DataError: A data set of the hub cannot be loaded.
    """
    checker = RowChecker(benchmarks, named_rows=named_rows)
    for _ in _usable(specs, checker, on_row):
        pass
    return checker.report()


def build_examples(
    specs: Sequence[SourceSpec],
    path: Path,
    benchmarks: BenchmarkImages | None = None,
    *,
    drop_faulty: bool = False,
    drop_duplicates: bool = False,
    on_row: Callable[[], object] = lambda: None,
) -> BuiltData:
    """Write the usable rows of sources, in their order, as one file of examples.

    Args:
        specs: What to read.
        path: Where to; an old file is replaced when all went well.
        benchmarks: Images that must not be trained on; None compares with none.
        drop_faulty: Leave faulty rows out; otherwise any of them refuses the whole.
        drop_duplicates: Leave out rows whose image and question came before; otherwise they are kept and counted.
        on_row: Called after each row, for a progress display.

    Raises:
        FaultyDataError: Rows are faulty and `drop_faulty` is not set, or none remains, or boxes seem to be in another
            frame.
        ConfigError: A source is wrong, or the file to write is one of those to read.
        DataError: A data set of the hub cannot be loaded, or the file cannot be written.
    """
    for spec in specs:
        if not spec.is_shapes and Path(spec.location).resolve() == path.resolve():
            raise ConfigError(f"{path} is both read and written; name another file with -o")
    checker = RowChecker(benchmarks, drop_duplicates=drop_duplicates)

    def all_in_order() -> Iterator[Example]:
        yield from _usable(specs, checker, on_row)
        _refuse_faults(checker.report(), drop_faulty=drop_faulty)

    facts = write_examples(path, all_in_order())
    return BuiltData(path, facts, checker.report())


def _usable(specs: Sequence[SourceSpec], checker: RowChecker, on_row: Callable[[], object]) -> Iterator[Example]:
    """Yield the examples that the checker lets through; every source is opened before the first row is read."""
    for rows in [load_rows(spec) for spec in specs]:
        for row in rows:
            example = checker.admit(row)
            on_row()
            if example is not None:
                yield example


def _refuse_faults(check: DataCheck, *, drop_faulty: bool) -> None:
    """Raise when the file must not be written."""
    if check.suspect:
        names = ", ".join(file.file for file in check.suspect)
        raise FaultyDataError(
            f"nothing was written: the boxes of {names} seem to be something else than what they "
            "are taken for (see above); declare what they are, or correct them",
            check,
        )
    if check.usable == 0:
        raise FaultyDataError("nothing was written: no row can be used", check)
    if check.faulty and not drop_faulty:
        raise FaultyDataError("nothing was written: correct the rows, or leave them out with --drop-faulty", check)
