"""Check a benchmark's data before a run: columns, counts, images, pairs, passes, golds, boxes, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.images.frames import MAX_ASPECT_RATIO, cut_at_image
from harness.scoring.gold_boxes import (
    FrameEvidence,
    GoldBoxError,
    Suspicion,
    corners,
    parse_quads,
    refuse_other_frame,
    written_box,
    written_size,
)
from harness.summary.clusters import is_base_pass
from harness.task_facts import MME_COGNITION, MME_PERCEPTION, facts_of
from harness.values import AnswerRule, Box, Sample, Size
from harness.vocabulary import PLACE_RULES
from tasks import mmbench, mme
from tasks.adapter import Adapter
from tasks.benchmark import Benchmark
from tasks.cells import Doc, text_of, whole_of
from tasks.grounded import declared_size
from tasks.images import ImageFacts, UnreadableImageError, image_facts_of, open_image
from tasks.local_data import DataError, DatasetOverride, TaskData, open_task_data, without_image
from tasks.row_checks import CellChecks, DressTrials, gold_cell, shown_cell
from tasks.shown_pictures import held_by

MOST_NAMED = 5
"""A finding names at most this many rows."""
MOST_SHOWN = 40
"""At most this many characters of a row's cell are shown."""

NO_LABELS = (
    "no row has a right answer, as in a test split whose labels its authors keep: nothing of it can be scored. Pass "
    "the file of a split with labels"
)
"""What is said of data without any gold."""

_GOLD_OF: Mapping[AnswerRule, str] = {
    "choice": "the letter or the text of one of the row's options",
    "yes_no": "Yes or No",
    "ocr": "a text",
    "mathvista": "one of the row's options, or what its answer_type says (a number, a list, a text)",
    "maths": "one of the row's options, or a number, an expression, a set, an interval, a tuple or an equation",
    "mmmu": "the letter of one of the row's options, or without options a number or a text",
    "accepted": "a text",
    "number": "one number",
    "short": "the letter or the text of one of the row's options, and where it has none a text",
    "relaxed": "a text or a number",
    "vqa": "a text of each of at least four people",
    "anls": "a text",
    "box": "a gold box in the image",
    "point": "a gold box in the image",
}
"""What each answer rule can compare an answer with."""


@dataclass(frozen=True, slots=True)
class DataReport:
    """What is known of a benchmark's data."""

    task: str
    """Short task name."""
    source: str
    """File, folder, hub dataset or generator; empty when nothing was found."""
    rows: int
    """Rows found."""
    rows_expected: int | None
    """Rows of the full split; None when not known."""
    images_checked: int
    """Images that were decoded."""
    faults: tuple[str, ...]
    """What makes a run impossible or rows unscorable, in words."""
    warnings: tuple[str, ...]
    """What makes a score incomplete or incomparable, in words."""
    fingerprint: str = ""
    """Hex digest of the source; empty when nothing was found."""

    @property
    def ok(self) -> bool:
        """Whether a run would score every row."""
        return not self.faults


def verify_task_data(
    benchmark: Benchmark,
    data_dir: Path | None = None,
    override: DatasetOverride | None = None,
    *,
    images: int | None = 50,
) -> DataReport:
    """Check a benchmark's data.

    Args:
        benchmark: What to check.
        data_dir: Folder of local data; None asks the hub.
        override: What `--dataset` says of the task; None: nothing.
        images: Decode this many images, spread over the rows; None decodes all of them.

    Returns:
        The report; data that cannot be opened at all is a fault in it, not an exception.
    """
    try:
        data = open_task_data(benchmark, data_dir, override)
    except DataError as fault:
        return DataReport(benchmark.name, "", 0, benchmark.rows_expected, 0, (str(fault),), ())
    places = _spread(len(data), images)
    seen = _look_at_images(benchmark, data, places)
    rows = _look_through(benchmark, data)
    faults = [*seen.faults, *rows.faults]
    warnings = [*_count_warnings(benchmark, data), *_column_warnings(benchmark, data), *seen.warnings, *rows.warnings]
    return DataReport(
        task=benchmark.name,
        source=data.source,
        rows=len(data),
        rows_expected=benchmark.rows_expected,
        images_checked=seen.opened,
        faults=tuple(faults),
        warnings=tuple(warnings),
        fingerprint=data.fingerprint,
    )


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the rows' images, or their other cells, show."""

    faults: list[str]
    """Unscorable rows."""
    warnings: list[str]
    """Incomplete groups, and images that some models cannot take."""


@dataclass(frozen=True, slots=True)
class _SeenImages(_Findings):
    """What the rows' images show, and how many were opened."""

    opened: int
    """A row may show several."""


def _spread(rows: int, images: int | None) -> list[int]:
    """Return the rows whose images are decoded: all, or some at even distances with both ends among them."""
    if images is None or images >= rows:
        return list(range(rows))
    if images < 2:
        return list(range(max(0, images)))
    return sorted({place * (rows - 1) // (images - 1) for place in range(images)})


def _look_at_images(benchmark: Benchmark, data: TaskData, places: list[int]) -> _SeenImages:
    """Decode images; name those that cannot be, those too thin for a model's grid, and gold boxes that do not fit."""
    adapter = benchmark.adapter
    broken: list[str] = []
    thin: list[str] = []
    unshown: list[str] = []
    opened = 0
    damaged: dict[str, None] = {}  # whole parts of a file, each named once
    for place in places:
        doc = data[place]
        try:
            shown = adapter.shown(doc)
            unnamed = set(held_by(doc)) - set(shown.numbers) if shown.numbers else set[int]()
            if unnamed:
                unshown.append(f"{adapter.id_of(doc)} ({', '.join(map(str, sorted(unnamed)))})")
            for image in shown.images:
                opened += 1
                try:
                    with open_image(image) as picture:
                        size = Size(*picture.size)
                except UnreadableImageError as fault:
                    broken.append(f"{adapter.id_of(doc)} ({fault})")
                    continue
                if max(size.width, size.height) > MAX_ASPECT_RATIO * min(size.width, size.height):
                    thin.append(f"{adapter.id_of(doc)} ({written_size(size)})")
        except DataError as fault:
            damaged[str(fault)] = None
    faults = [*damaged, *([_named("unreadable images", broken)] if broken else [])]
    faults.extend(_box_faults(benchmark, data, places))
    what = f"images with a side over {MAX_ASPECT_RATIO} times the other, which models with a pixel grid cannot take"
    warnings = [_named(what, thin)] if thin else []
    if unshown:
        warnings.append(_named("rows with pictures that their text never names, which are not shown", unshown))
    return _SeenImages(faults, [*warnings, *_edge_warnings(benchmark, data, places)], opened)


def gold_box_faults(benchmark: Benchmark, data: TaskData, most: int = 50) -> list[str]:
    """Say what the gold boxes seem to be instead of what they are taken for, and which cannot be right.

    Args:
        benchmark: Whose rows.
        data: The rows.
        most: Look at this many rows, spread over all; of each image only the header is read.
    """
    if benchmark.boxes_column not in data.column_names:
        return []
    return _box_faults(benchmark, data, _spread(len(data), most))


def _box_faults(benchmark: Benchmark, data: TaskData, places: list[int]) -> list[str]:
    """Say what is wrong with the gold boxes of these rows beside their images."""
    return [*_frame_faults(benchmark, data, places), *_size_faults(benchmark, data, places)]


def _frame_faults(benchmark: Benchmark, data: TaskData, places: list[int]) -> list[str]:
    """Say what the gold boxes of these rows seem to be, and which lie outside of their images."""
    adapter = benchmark.adapter
    declared = benchmark.gold_box_frame
    evidence = FrameEvidence()
    outside: list[str] = []
    ambiguous: list[str] = []
    plain: dict[str, list[str]] = {}  # fault of single rows, where it is not the whole file's
    for place in places:
        doc = data[place]
        quads = _quads_of(benchmark, doc)
        if not quads:
            continue
        if len(adapter.shown(doc).images) > 1:
            ambiguous.append(adapter.id_of(doc))
            continue
        facts = _facts_of(adapter, doc)
        if facts is None:
            continue
        if declared in {None, "image_px"} and declared_size(doc) in {None, facts.size}:  # else the columns tell more
            evidence.add(quads, facts.size)
            try:
                refuse_other_frame(quads, facts.size)
            except GoldBoxError as fault:
                plain.setdefault(fault.name, []).append(f"{adapter.id_of(doc)} ({fault})")
        boxes = adapter.sample_of(doc).boxes_image_px or ()
        gone = next((box for box in boxes if not cut_at_image([box], facts.size)[0]), None)
        if gone is not None:
            outside.append(f"{adapter.id_of(doc)} ({written_box(gone)} on an image of {written_size(facts.size)})")
    found = evidence.suspicion(declared=declared is not None)
    what = "rows whose gold boxes are no pixels of their image, unlike the others'"
    faults = [_named(f"{what} ({name})", rows) for name, rows in plain.items()]
    if found is not None:  # a sign of the file, not of its rows
        faults = [_frame_fault(found)]
    kinds = {
        "rows with a gold box outside of the image (box_outside)": outside,
        "rows with gold boxes and several pictures, of which no box says which it lies in (no_source)": ambiguous,
    }
    return [*faults, *(_named(what, rows) for what, rows in kinds.items() if rows)]


def _edge_warnings(benchmark: Benchmark, data: TaskData, places: list[int]) -> list[str]:
    """Name the rows whose gold boxes reach over the edge of their image, where scoring cuts them."""
    adapter = benchmark.adapter
    over: list[str] = []
    for place in places:
        doc = data[place]
        if not _quads_of(benchmark, doc) or (facts := _facts_of(adapter, doc)) is None:
            continue
        for box in adapter.sample_of(doc).boxes_image_px or ():
            kept, faults = cut_at_image([box], facts.size)
            if kept and faults:
                over.append(f"{adapter.id_of(doc)} ({written_box(box)} on an image of {written_size(facts.size)})")
                break
    what = "rows whose gold boxes reach over the edge of their image and are cut there (box_over_edge)"
    return [_named(what, over)] if over else []


def _size_faults(benchmark: Benchmark, data: TaskData, places: list[int]) -> list[str]:
    """Name the rows with gold boxes whose columns width and height tell of an image of another size."""
    adapter = benchmark.adapter
    resized: list[str] = []
    lying: list[str] = []
    for place in places:
        doc = data[place]
        said = declared_size(doc)
        if said is None or not _quads_of(benchmark, doc):
            continue
        facts = _facts_of(adapter, doc)
        if facts is not None and said != facts.size:
            shown = f"{adapter.id_of(doc)} ({written_size(said)} on an image of {written_size(facts.size)})"
            (lying if said == Size(facts.size.height, facts.size.width) else resized).append(shown)
    faults: list[str] = []
    if lying:
        what = "rows with gold boxes whose columns width and height are exchanged (lying_size), as if the picture were"
        faults.append(
            _named(f"{what} taken as it is stored, lying: turn the boxes as well, or mend the columns", lying)
        )
    if resized and benchmark.gold_box_frame != "input_px":
        what = "rows with gold boxes whose columns width and height are not the image's size (size_mismatch)"
        faults.append(_named(f"{what}: declare gold_box_frame: input_px, or correct the columns", resized))
    return faults


def _frame_fault(found: Suspicion) -> str:
    """Put a suspicion into words, under the name that `data verify` gives it."""
    name = f"box_{found.reading}" if found.reading in {"norm_1", "norm_1000"} else found.reading
    mend = "write pixels" if found.reading == "other_px" else f"declare satori.gold_box_frame: {found.reading}"
    ours = "; declare gold_box_frame: image_px if they are pixels of the images" if found.is_deniable else ""
    return f"gold boxes look like {found.reading} ({name}: {found.meaning}): {found.why}. If so, {mend}{ours}"


def _quads_of(benchmark: Benchmark, doc: Doc) -> tuple[Box, ...]:
    """Return the gold boxes as written; none where there are none, or broken ones, which are named elsewhere."""
    try:
        return parse_quads(doc.get(benchmark.boxes_column))
    except GoldBoxError:
        return ()


def _facts_of(adapter: Adapter, doc: Doc) -> ImageFacts | None:
    """Return hash and size of a row's image; None where it is unreadable, which is named elsewhere."""
    try:
        return image_facts_of(adapter.image_value(doc))
    except DataError:
        return None


def _look_through(benchmark: Benchmark, data: TaskData) -> _Findings:
    """Read every row once, without its image."""
    check = None if benchmark.own is not None else _CHECKS.get(facts_of(benchmark.name).cluster)
    adapter = benchmark.adapter
    groups: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    golds = ("answer", "answers") if benchmark.own is None else (benchmark.own.columns["answers"],)
    rows = _RowFindings()
    cells = CellChecks()
    rights: dict[str, set[str]] = {}
    for full in data:
        doc = without_image(adapter, full)
        sample = adapter.sample_of(doc)
        gold = gold_cell(doc, golds)
        cells.add(sample, gold)
        has_boxes = not benchmark.boxes_column
        try:
            quads = parse_quads(doc.get(benchmark.boxes_column))
            has_boxes = has_boxes or bool(quads)
            corners(quads, benchmark.gold_box_frame or "image_px")
        except GoldBoxError as fault:
            rows.broken_boxes.append(f"{sample.id} ({fault})")
        if facts_of(benchmark.name).submission is None:
            rows.look_at(sample, gold, has_boxes=has_boxes)
        categories[text_of(doc, "category")] += 1
        if check is not None:
            groups[check.group_of(full)] += 1
            rights.setdefault(sample.cluster, set()).update(_right_option(sample))
    faults = [*rows.faults(benchmark.answer_rule), *(_named(what, found) for what, found in cells.found.items())]
    warnings = [*rows.warnings(), *(_named(what, found) for what, found in cells.doubtful.items())]
    groups_found = check.warn(groups, categories) if check is not None else []
    odd = [name for name, texts in rights.items() if len(texts) > 1]
    if odd:
        groups_found.append(_named("questions whose passes have different right options, so that no answer fits", odd))
    return _Findings([*faults, *cells.over_all()], [*groups_found, *warnings])


def _right_option(sample: Sample) -> list[str]:
    """Return the text of the right option, which all passes of a circular question share; none without options."""
    gold = (sample.answers or ("",))[0]
    return [sample.choices[gold].strip().casefold()] if gold in sample.choices else []


_NO_ANSWER = "rows without an accepted answer, which stay unscored"


@dataclass(slots=True)
class _RowFindings:
    """Rows whose gold cannot be scored, or won, or placed."""

    seen: int = 0
    unscorable: list[str] = field(default_factory=list[str])
    unusable: list[str] = field(default_factory=list[str])
    never_won: list[str] = field(default_factory=list[str])
    half_won: list[str] = field(default_factory=list[str])
    unplaced: list[str] = field(default_factory=list[str])
    broken_boxes: list[str] = field(default_factory=list[str])
    _trials: DressTrials = field(default_factory=DressTrials)

    def look_at(self, sample: Sample, gold: object, *, has_boxes: bool) -> None:
        """Look at one row's gold: what its answers are, and whether it has gold boxes where these are the answer."""
        self.seen += 1
        if sample.answer_rule in PLACE_RULES:
            if not has_boxes:
                self.unplaced.append(sample.id)
            return
        if not sample.answers:
            self.unscorable.append(sample.id)
            return
        dresses = self._trials.of(sample)
        if dresses is None:
            self.unusable.append(f"{sample.id} ({shown_cell(gold)!r})")
            return
        if dresses.lost:
            shown = ", ".join(ascii(text[:MOST_SHOWN])[1:-1] for text in dresses.lost[:MOST_NAMED])
            (self.half_won if dresses.is_winnable else self.never_won).append(f"{sample.id} ({shown})")

    def faults(self, rule: AnswerRule) -> list[str]:
        """Return what makes rows unscorable, in words."""
        no_labels = [NO_LABELS] if self.seen and len(self.unscorable) == self.seen else []
        named = {
            _NO_ANSWER: self.unscorable,
            "rows without a gold box, which is the answer here, so that they stay unscored": self.unplaced,
            f"rows stay unscored: the rule {rule} needs {_GOLD_OF[rule]} as their answer": self.unusable,
            "rows that no ordinary form of their right answer wins": self.never_won,
            "rows with broken gold boxes (four numbers, x1 < x2 and y1 < y2 are needed)": self.broken_boxes,
        }
        if no_labels:
            del named[_NO_ANSWER]
        return [*no_labels, *(_named(what, rows) for what, rows in named.items() if rows)]

    def warnings(self) -> list[str]:
        """Return what makes rows hard to win, in words."""
        what = "rows where a usual form of the right answer earns nothing"
        return [_named(what, self.half_won)] if self.half_won else []


@dataclass(frozen=True, slots=True)
class _GroupCheck:
    """How a benchmark's rows belong together."""

    group_of: Callable[[Doc], str]
    """Row to its group."""
    warn: Callable[[Mapping[str, int], Mapping[str, int]], list[str]]
    """Rows per group and per category to warnings."""


def _mme_warnings(groups: Mapping[str, int], categories: Mapping[str, int]) -> list[str]:
    """Name images without exactly two questions, and subtasks that are not there."""
    odd = [f"{name} ({count})" for name, count in groups.items() if count != 2]
    absent = [name for name in (*MME_PERCEPTION, *MME_COGNITION) if name not in categories]
    warnings = [_named("images without exactly two questions: acc+ needs both", odd)] if odd else []
    return [*warnings, f"subtasks without rows: {', '.join(absent)}"] if absent else warnings


def _mmbench_warnings(groups: Mapping[str, int], categories: Mapping[str, int]) -> list[str]:
    """Name questions whose first pass is not there."""
    del categories
    questions = {name.removesuffix(_FIRST) for name in groups}
    headless = [name for name in sorted(questions) if f"{name}{_FIRST}" not in groups]
    warnings = [_named("questions without their first pass, which do not count", headless)] if headless else []
    if not questions.intersection(groups):
        warnings.append("no circular passes: every question is there once, so accuracy is not the circular one")
    return warnings


_FIRST = " first"
"""Stands behind the group of a first pass."""


def _mmbench_group(doc: Doc) -> str:
    """Return the question, and whether the row is its first pass."""
    numbers = {name: whole_of(doc, name) for name in ("index", "g_index")}
    is_first = numbers["index"] is not None and is_base_pass(numbers)
    return mmbench.cluster_of(doc) + (_FIRST if is_first else "")


_CHECKS: Mapping[str, _GroupCheck] = {
    "image": _GroupCheck(mme.cluster_of, _mme_warnings),
    "question": _GroupCheck(_mmbench_group, _mmbench_warnings),
}


def _count_warnings(benchmark: Benchmark, data: TaskData) -> list[str]:
    """Compare the number of rows with the full split's."""
    expected = benchmark.rows_expected
    if expected is None or expected == len(data):
        return []
    return [f"{len(data)} rows; the full split has {expected}, so scores are not comparable with published ones"]


def _column_warnings(benchmark: Benchmark, data: TaskData) -> list[str]:
    """Name optional columns that are not there under any of their names."""
    found = set(data.column_names)
    absent = [names for names in benchmark.optional_columns if not found.intersection(names.split("|"))]
    return [f"optional columns not found: {', '.join(absent)}"] if absent else []


def _named(what: str, rows: list[str]) -> str:
    """Say what and which rows, the first few by name."""
    more = f" and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    return f"{len(rows)} {what}: {', '.join(rows[:MOST_NAMED])}{more}"
