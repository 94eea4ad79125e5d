"""Check training data: which row of which file is wrong, what is there twice, and what belongs to a benchmark.

Rows pass through one by one (`RowChecker.admit`) on their way into a file or past it, so that checking and building see
the same faults. An image of a benchmark is known by the hash of its file: a copy that was encoded anew is not found.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from harness.scoring.gold_boxes import MEANING_OF_READING, FrameEvidence, GoldFrame, Reading, Suspicion
from harness.values import BoxDialect
from tasks.catalog import resolve_tasks
from tasks.images import UnreadableImageError, image_facts_of
from tasks.local_data import DatasetOverride, open_task_data
from tasks.rows import ShapesRows
from tasks.shapes import PROFILES
from training.data.example import Example
from training.data.row_faults import FAULT_NAMES, MEANINGS, FaultName, RowFault
from training.data.source_rows import LoadedRow

NAMED_ROWS = 5
"""Rows that a report names for each fault of a file, unless asked for more."""

_SUSPICIOUS_SHARE = 0.1
"""From this share of the rows with boxes on, boxes are suspected of lying in pixels of the columns' size."""


_TOLD_BY_EACH_ROW: frozenset[Reading] = frozenset({"norm_1", "input_px"})
"""What every row shows that is in it, so that the rows without a fault can be trusted."""


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What is known of one file."""

    file: str
    """The file, hub data set or generator."""
    rows: int
    """Rows read."""
    usable: int
    """Rows that training can use."""
    faults: Mapping[FaultName, int]
    """Name to number of rows that have the fault, in the order of `FAULT_NAMES`."""
    dropping: Mapping[FaultName, int]
    """The same for faults that drop their row."""
    named: tuple[RowFault, ...]
    """The first few rows of each fault."""
    suspected_frame: Reading | None
    """What the boxes of the whole file seem to be, when that is not what is declared; None: no suspicion."""
    suspected_because: str = ""
    """What speaks for it; empty without a suspicion."""
    is_deniable: bool = False
    """Whether the suspicion ends where somebody declares that they are pixels of their images."""


@dataclass(frozen=True, slots=True)
class DataCheck:
    """What is known of a set of training data."""

    files: tuple[FileCheck, ...]
    """File by file, in the order read."""
    rows: int
    """Rows read."""
    usable: int
    """Rows that training can use."""
    images: int
    """Distinct images among these."""
    with_boxes: int
    """Usable rows with gold boxes."""
    with_caption: int
    """Usable rows with a reference caption."""
    kinds: Mapping[str, int]
    """Kind of question to usable rows, by name."""
    benchmarks: Mapping[str, int]
    """Benchmark to number of its images that rows were compared with; empty when none was asked for."""

    @property
    def faulty(self) -> int:
        """Rows that training cannot use, and files that cannot be read to their end; duplicates are not among them."""
        duplicates = sum(file.dropping.get("duplicate", 0) for file in self.files)
        unread = sum(file.faults.get("unreadable_file", 0) for file in self.files)
        return self.rows - self.usable - duplicates + unread

    @property
    def suspect(self) -> tuple[FileCheck, ...]:
        """Files whose usable rows have boxes that seem to be something else than what they are taken for."""
        return tuple(file for file in self.files if file.suspected_frame not in {None, *_TOLD_BY_EACH_ROW})

    def as_json(self) -> dict[str, object]:
        """Return the report as a versioned JSON object."""
        return {"schema": 1, **asdict(self), "faulty": self.faulty}


@dataclass(slots=True)
class _FileSoFar:
    """Counts of one file."""

    rows: int = 0
    usable: int = 0
    with_boxes: int = 0
    faults: Counter[FaultName] = field(default_factory=Counter)
    dropping: Counter[FaultName] = field(default_factory=Counter)
    named: dict[FaultName, list[RowFault]] = field(default_factory=lambda: defaultdict(list))
    evidence: FrameEvidence = field(default_factory=FrameEvidence)
    declared: GoldFrame | BoxDialect | None = None


@dataclass(frozen=True, slots=True)
class BenchmarkImages:
    """Images that must not be trained on."""

    task_of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Hex digest of an image file to a benchmark that shows it."""
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Benchmark to number of its distinct images."""


def benchmark_images(
    names: str, data_dir: Path | None = None, overrides: Mapping[str, DatasetOverride] | None = None
) -> BenchmarkImages:
    """Hash the images of benchmarks.

    Args:
        names: Tasks or groups, by commas; `shapes` means both profiles. The empty text gives no images.
        data_dir: Folder of local data; None asks the hub.
        overrides: What `--dataset` says of tasks.

    Raises:
        ConfigError: There is no such task.
        DataError: A benchmark's data cannot be opened.
    """
    task_of: dict[str, str] = {}
    counts: dict[str, int] = {}
    for benchmark in resolve_tasks(names) if names else ():
        if benchmark.drawn:
            digests = {digest for profile in PROFILES for digest in _digests_of_rows(ShapesRows(profile))}
        else:
            data = open_task_data(benchmark, data_dir, (overrides or {}).get(benchmark.name))
            shown = benchmark.adapter.shown
            facts = (image_facts_of(image) for doc in data for image in shown(doc).images)
            digests = {fact.sha256 for fact in facts if fact is not None}
        counts[benchmark.name] = len(digests)
        for digest in digests:
            task_of.setdefault(digest, benchmark.name)
    return BenchmarkImages(task_of, counts)


def _digests_of_rows(rows: ShapesRows) -> Iterable[str]:
    """Hash every image of a source."""
    for row in range(len(rows)):
        try:
            yield rows.image_facts(row).sha256
        except UnreadableImageError:  # shows up when the benchmark itself is verified
            continue


class RowChecker:
    """Sees all rows of some training data once, in order, and lets the usable ones through."""

    def __init__(
        self,
        benchmarks: BenchmarkImages | None = None,
        *,
        named_rows: int = NAMED_ROWS,
        drop_duplicates: bool = False,
    ) -> None:
        self._benchmarks = benchmarks or BenchmarkImages()
        self._drop_duplicates = drop_duplicates
        self._named_rows = named_rows
        self._files: dict[str, _FileSoFar] = {}
        self._first_place: dict[tuple[str, str], str] = {}
        self._ids: set[str] = set()
        self._images: set[str] = set()
        self._kinds: Counter[str] = Counter()
        self._with_caption = 0

    def admit(self, row: LoadedRow) -> Example | None:
        """Count a row; return its example under an id of its own, or None when it is left out."""
        file = self._files.setdefault(row.file, _FileSoFar())
        file.rows += row.row > 0
        file.declared = row.box_frame
        if row.image_size is not None and row.box_frame in {None, "image_px"}:
            file.evidence.add(row.boxes_written, row.image_size)
        example, faults = row.example, list(row.faults)
        if example is not None:
            found = self._misplaced(example, row)
            faults.extend(found)
            example = None if any(fault.drops for fault in found) else self._renamed(example, row, faults)
        for fault in faults:
            file.faults[fault.name] += 1
            file.dropping[fault.name] += fault.drops
            if len(file.named[fault.name]) < self._named_rows:
                file.named[fault.name].append(fault)
        if example is not None:
            file.usable += 1
            file.with_boxes += example.boxes_image_px is not None
            self._with_caption += example.caption is not None
            self._images.add(example.image_sha256)
            self._kinds[example.kind] += 1
        return example

    def report(self) -> DataCheck:
        """Return what was seen so far."""
        files = tuple(_file_check(name, file) for name, file in self._files.items())
        return DataCheck(
            files=files,
            rows=sum(file.rows for file in files),
            usable=sum(file.usable for file in files),
            images=len(self._images),
            with_boxes=sum(file.with_boxes for file in self._files.values()),
            with_caption=self._with_caption,
            kinds=dict(sorted(self._kinds.items())),
            benchmarks=dict(self._benchmarks.counts),
        )

    def _misplaced(self, example: Example, row: LoadedRow) -> list[RowFault]:
        """Return the faults that only show beside other data: an image of a benchmark, a row that is there already."""
        if (task := self._benchmarks.task_of.get(example.image_sha256)) is not None:
            return [RowFault(row.file, row.row, "benchmark_image", f"of {task}", drops=True)]
        place = f"row {row.row}" + (f" of {row.file}" if len(self._files) > 1 else "")
        key = (example.image_sha256, " ".join(example.question.casefold().split()))
        first = self._first_place.setdefault(key, place)
        if first == place:
            return []
        return [RowFault(row.file, row.row, "duplicate", f"of {first}", drops=self._drop_duplicates)]

    def _renamed(self, example: Example, row: LoadedRow, faults: list[RowFault]) -> Example:
        """Return the example, under another id if its own is taken."""
        name, copies = example.id, 1
        while name in self._ids:
            copies += 1
            name = f"{example.id}-{copies}"
        self._ids.add(name)
        if copies > 1:
            faults.append(RowFault(row.file, row.row, "duplicate_id", f"now {ascii(name)[1:-1]}", drops=False))
        return replace(example, id=name)


def _file_check(name: str, file: _FileSoFar) -> FileCheck:
    """Return the counts of a file in a fixed order."""
    order: list[FaultName] = [fault for fault in FAULT_NAMES if file.faults[fault]]
    suspicion = _suspicion(file)
    return FileCheck(
        file=name,
        rows=file.rows,
        usable=file.usable,
        faults={fault: file.faults[fault] for fault in order},
        dropping={fault: file.dropping[fault] for fault in order if file.dropping[fault]},
        named=tuple(row for fault in order for row in file.named[fault]),
        suspected_frame=suspicion.reading if suspicion else None,
        suspected_because=suspicion.why if suspicion else "",
        is_deniable=suspicion.is_deniable if suspicion else False,
    )


def _suspicion(file: _FileSoFar) -> Suspicion | None:
    """Say what the boxes of a file seem to be, from the columns of its rows or from their numbers."""
    mismatched, rows = file.dropping["size_mismatch"], file.evidence.rows
    if mismatched and mismatched >= _SUSPICIOUS_SHARE * rows and file.declared in {None, "image_px"}:
        return Suspicion("input_px", f"in {mismatched} of {rows} rows the columns give the image another size")
    return file.evidence.suspicion(declared=file.declared is not None)


def check_lines(check: DataCheck) -> list[str]:
    """Return the report in lines for a terminal, the faults that drop rows first."""
    lines: list[str] = []
    for file in check.files:
        lines.append(f"{file.file}: {file.rows} rows, {file.usable} usable")
        for fault in sorted(file.faults, key=lambda fault: fault not in file.dropping):
            effect = "dropped" if fault in file.dropping else "kept"
            lines.append(f"  {file.faults[fault]:>6} {fault} ({effect}): {_meaning(fault, file)}")
            lines.extend(f"         {_named(row)}" for row in file.named if row.name == fault)
            more = file.faults[fault] - sum(row.name == fault for row in file.named)
            if more:
                lines.append(f"         and {more} more")
        if file.suspected_frame is not None:
            lines.append(f"  {suspicion_text(file)}")
    compared = ", ".join(f"{name} ({count})" for name, count in check.benchmarks.items())
    lines.append(f"compared with the images of {compared}" if compared else "not compared with benchmarks")
    lines.append(
        f"{check.usable} of {check.rows} rows remain: {check.images} images, {check.with_boxes} rows with boxes, "
        f"{check.with_caption} with a caption"
    )
    if check.suspect:
        lines.append("none of these is built while boxes are suspected: declare what they are, or correct them")
    return lines


def _meaning(fault: FaultName, file: FileCheck) -> str:
    """Say what a fault means; of a row's frame not otherwise than of the whole file's."""
    if fault in {"box_norm_1", "box_norm_1000"} and file.suspected_frame not in {None, fault.removeprefix("box_")}:
        return "not pixels of the image; of the whole file see below"
    return MEANINGS[fault]


def suspicion_text(file: FileCheck) -> str:
    """Say what the boxes of a file seem to be, why, and what to do."""
    assert file.suspected_frame is not None, "only of a file that is suspect"
    meaning = MEANING_OF_READING[file.suspected_frame]
    mend = "correct them"
    if file.suspected_frame != "other_px":
        mend = f"if so, pass --box-frame {file.suspected_frame}"
    ours = ", and --box-frame image_px if they are pixels of the images" if file.is_deniable else ""
    return (
        f"the boxes of this file look like {file.suspected_frame} ({meaning}): {file.suspected_because}; {mend}{ours}"
    )


def _named(fault: RowFault) -> str:
    """Write one row's fault."""
    place = f"row {fault.row}" if fault.row else "the file"
    return f"{place}: {fault.detail}" if fault.detail else place
