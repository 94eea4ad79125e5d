"""Check a benchmark's data before a run: columns, counts, images, pairs, passes, and what is missing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.answers import check_answer
from harness.frames import MAX_ASPECT_RATIO
from harness.values import AnswerRule
from tasks import mmbench, mme
from tasks.adapter import Adapter
from tasks.adapters import adapter_of
from tasks.benchmark import Benchmark
from tasks.cells import Doc, text_of, whole_of
from tasks.grounded import boxes_of
from tasks.images import UnreadableImageError, open_image
from tasks.local_data import DataError, DatasetOverride, TaskData, open_task_data

MOST_NAMED = 5
"""A finding names at most this many rows."""
MOST_SHOWN = 40
"""At most this many characters of a row's cell are shown."""

_GOLD_OF: Mapping[AnswerRule, str] = {
    "choice": "the letter or the text of one of the row's options",
    "yes_no": "Yes or No",
    "ocr": "a text",
    "mathvista": "one of the row's options, or what its answer_type says (a number, a list, a text)",
    "accepted": "a text",
    "number": "one number",
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
        images_checked=len(places),
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


def _spread(rows: int, images: int | None) -> list[int]:
    """Return the rows whose images are decoded: all, or some at even distances with both ends among them."""
    if images is None or images >= rows:
        return list(range(rows))
    if images < 2:
        return list(range(max(0, images)))
    return sorted({place * (rows - 1) // (images - 1) for place in range(images)})


def _look_at_images(benchmark: Benchmark, data: TaskData, places: list[int]) -> _Findings:
    """Decode images; name those that cannot be, and those too thin for a model's pixel grid."""
    adapter = adapter_of(benchmark)
    broken: list[str] = []
    thin: list[str] = []
    damaged: dict[str, None] = {}  # whole parts of a file, each named once
    for place in places:
        doc = data[place]
        try:
            with open_image(adapter.image_value(doc)) as image:
                width, height = image.size
            if max(width, height) > MAX_ASPECT_RATIO * min(width, height):
                thin.append(f"{adapter.id_of(doc)} ({width}x{height})")
        except UnreadableImageError as fault:
            broken.append(f"{adapter.id_of(doc)} ({fault})")
        except DataError as fault:
            damaged[str(fault)] = None
    faults = [*damaged, *([_named("unreadable images", broken)] if broken else [])]
    what = f"images with a side over {MAX_ASPECT_RATIO} times the other, which models with a pixel grid cannot take"
    return _Findings(faults, [_named(what, thin)] if thin else [])


def _look_through(benchmark: Benchmark, data: TaskData) -> _Findings:
    """Read every row once, without its image."""
    check = _CHECKS.get(benchmark.name)
    adapter = adapter_of(benchmark)
    unscorable: list[str] = []
    unusable: list[str] = []
    groups: Counter[str] = Counter()
    categories: Counter[str] = Counter()
    id_of = adapter.id_of
    golds = ("answer", "answers") if benchmark.own is None else (benchmark.own.columns["answers"],)
    boxes = benchmark.own.columns["boxes"] if benchmark.own is not None else "boxes"
    broken_boxes: list[str] = []
    for doc in data:
        if not text_of(doc, *golds).strip("[] "):
            unscorable.append(id_of(doc))
        elif _gold_is_unusable(adapter, doc):
            unusable.append(f"{id_of(doc)} ({text_of(doc, *golds)[:MOST_SHOWN]!r})")
        if doc.get(boxes) is not None and boxes_of(doc[boxes]) is None and len(text_of(doc, boxes)) > 2:
            broken_boxes.append(id_of(doc))
        categories[text_of(doc, "category")] += 1
        if check is not None:
            groups[check.group_of(doc)] += 1
    faults = [_named("rows without an accepted answer, which stay unscored", unscorable)] if unscorable else []
    if unusable:
        rule = benchmark.answer_rule
        faults.append(_named(f"rows stay unscored: the rule {rule} needs {_GOLD_OF[rule]} as their answer", unusable))
    if broken_boxes:
        faults.append(_named("rows with broken gold boxes (x1 < x2 and y1 < y2 are needed)", broken_boxes))
    return _Findings(faults, check.warn(groups, categories) if check is not None else [])


def _gold_is_unusable(adapter: Adapter, doc: Doc) -> bool:
    """Return whether no answer at all could be scored against a row's gold, as the scorer itself says of the gold.

    The image stays unread: it has no say in whether an answer is right.
    """
    sample = adapter.sample_of({name: cell for name, cell in doc.items() if name not in adapter.image_columns})
    return "no_gold" in check_answer(sample, (sample.answers or ("",))[0], "strict").faults


@dataclass(frozen=True, slots=True)
class _GroupCheck:
    """How a benchmark's rows belong together."""

    group_of: Callable[[Doc], str]
    """Row to its group."""
    warn: Callable[[Mapping[str, int], Mapping[str, int]], list[str]]
    """Rows per group and per category to warnings."""


def _mme_warnings(groups: Mapping[str, int], categories: Mapping[str, int]) -> list[str]:
    """Name images without exactly two questions, and subtasks that are not there."""
    from harness.summary import MME_COGNITION, MME_PERCEPTION  # noqa: PLC0415 - brings numpy, and only MME needs it

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
    index = whole_of(doc, "index")
    return mmbench.cluster_of(doc) + (_FIRST if index is not None and index < mmbench.CIRCULAR_STEP else "")


_CHECKS: Mapping[str, _GroupCheck] = {
    "mme": _GroupCheck(mme.cluster_of, _mme_warnings),
    "mmbench_en_dev": _GroupCheck(_mmbench_group, _mmbench_warnings),
    "mmbench_cn_dev": _GroupCheck(_mmbench_group, _mmbench_warnings),
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
