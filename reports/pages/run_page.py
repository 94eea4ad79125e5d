"""Make the page of one run: its scores with intervals, what was wrong with the texts, where it looked, every sample.

The page lies in the run's folder as `index.html`, beside `media/`, from which it shows the thumbnails. It is made from
the records before the run is published, so that it is in the run's checksums; a later `rescore` makes it anew.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from markupsafe import Markup

from harness.comparison.values import FAULT_BITS, SampleSide, SampleTable
from harness.errors import ConfigError, IncompleteError
from harness.files import make_folder, put_file
from harness.runs.manifest import (
    SIDE_BOXES,
    Manifest,
    blind_of,
    config_of,
    imported_of,
    side_boxes_sha256,
    tool_of,
)
from harness.runs.native_metrics import native_metrics_of
from harness.runs.store import MANIFEST_NAME, MEDIA_NAME, PAGE_NAME, StoredRun, add_file, load_run, write_atomically
from harness.scoring.box_dialects import optional_words
from harness.scoring.formats import format_name
from harness.summary.counted_units import ANSWER_RIGHT
from harness.summary.kept_stages import StageUse, stage_uses
from harness.summary.means import Metric
from harness.summary.stored_scores import stored_summaries, stored_warnings
from harness.summary.summary_values import MOST_UNEXPLAINED, TaskSummary, unexplained_share
from harness.task_facts import POINT_MAXIMA, facts_of, is_native_metric
from harness.values import FAULTS, Json, Record
from reports.board.reproduction import reproduction_of
from reports.pages.charts import Change, Histogram, forest_chart, histogram_chart
from reports.pages.explorer_blocks import PictureBook, ShownSamples, ShownSide, ShownText, block_elements, make_blocks
from reports.pages.explorer_texts import text_of
from reports.pages.looked_view import LookedView, keys_drawn, looked_view
from reports.pages.sample_categories import sample_categories
from reports.pages.shell import Page, json_block, render
from reports.texts.addresses import filter_link, shown_name
from reports.texts.beside_scores import STAGE_WORDS, baseline_text
from reports.texts.contamination import overlap_lines
from reports.texts.numbers_shown import (
    DASH,
    count,
    metric_number,
    metric_scale,
    number,
    percent,
    short_hash,
    with_short_hashes,
)
from reports.texts.verdict_text import cut

if TYPE_CHECKING:
    from harness.summary.run_summary import RunSummary

RESULTS = ("right", "wrong", "unscored")
"""What became of a sample's answer; codes of the explorer's list."""

_BINS = 20
_QUADRANT_METRICS = (
    ("right_answer_right_place", "right answer, right place"),
    ("right_answer_wrong_place", "right answer, wrong place"),
    ("wrong_answer_right_place", "wrong answer, right place"),
    ("wrong_answer_wrong_place", "wrong answer, wrong place"),
)
_MOST_CHARTED = 40


@dataclass(frozen=True, slots=True)
class MetricView:
    """One line of a table of scores."""

    name: str
    """Metric or category."""
    value: str
    """The score."""
    interval: str
    """Its 95 % interval; empty without one."""
    n: str
    """What it counts."""
    reason: str
    """Why there is no score; empty where there is one."""
    link: str = ""
    """Address of its samples; empty for a metric of all."""


@dataclass(frozen=True, slots=True)
class FaultView:
    """How often a fault was met."""

    name: str
    """The fault."""
    samples: str
    """Samples with it."""
    share: str
    """Of all samples, in percent."""
    link: str
    """Address of these samples."""


@dataclass(frozen=True, slots=True)
class StageView:
    """What became of a stage that texts may leave out, over a kind of question."""

    stage: str
    """The stage."""
    questions: str
    """The benchmark's category, or that these are all questions."""
    link: str
    """Address of these samples."""
    kept: MetricView
    """Share of the texts that have it."""
    answers_kept: MetricView
    """Score of the answers whose texts have it."""
    answers_left_out: MetricView
    """Score of the answers whose texts left it out."""


@dataclass(frozen=True, slots=True)
class TaskView:
    """One benchmark."""

    task: str
    """Short task name."""
    link: str
    """Address of its samples."""
    headline: MetricView
    """Its headline."""
    rows: str
    """All samples."""
    clusters: str
    """Independent clusters."""
    unscored: str
    """Samples without a value, by cause."""
    parse: str
    """Share of texts that did not keep to the format."""
    truncated: str
    """Share that the token budget ended."""
    mean_iou: str
    """Mean IoU; a dash without gold boxes; of how many samples, where texts may leave boxes out."""
    metrics: tuple[MetricView, ...]
    """All metrics."""
    categories: tuple[MetricView, ...]
    """By category, then by second-level category."""
    quadrants: tuple[MetricView, ...]
    """Answer x place; empty without gold boxes."""
    chance: str
    """What chance earns, on the headline's scale; a dash where it has no chance level."""
    one_answer: str
    """What the commonest answer earns, with that answer."""
    habits: tuple[MetricView, ...]
    """How its texts point at places, gold or not; empty for a format without boxes."""
    stages: tuple[StageView, ...]
    """Which stages its texts keep; empty for a format in which none may be left out."""
    faults: tuple[FaultView, ...]
    """Faults that its samples met."""
    chart: Markup | None
    """Scores by category."""
    histogram: Markup | None
    """Samples by IoU."""


@dataclass(frozen=True, slots=True)
class RunPage:
    """What the template shows."""

    title: str
    """The model's name."""
    about: tuple[tuple[str, str], ...]
    """Facts for the head of the page."""
    badges: tuple[str, ...]
    """What one must know at once."""
    overlaps: tuple[str, ...]
    """Which scores may be inflated by training data, and who says so."""
    reproduction: tuple[str, ...]
    """What the run made of a preset: whether it was reproduced, then figures and differing settings; empty without."""
    warnings: tuple[str, ...]
    """Box frame audit, texts that are all alike, unexplained errors."""
    tasks: tuple[TaskView, ...]
    """Benchmarks in order."""
    faults: tuple[FaultView, ...]
    """Faults over all benchmarks."""
    chart: Markup | None
    """Headlines that are fractions."""
    parity_protocols: tuple[str, ...]
    """Column heads of the protocols table; empty unless the run was scored again."""
    parity: tuple[tuple[str, ...], ...]
    """Task, metric, value per protocol."""
    provenance: tuple[tuple[str, str], ...]
    """Everything that the manifest says, field by field."""
    pictures_note: str
    """Which pictures there are."""
    looked: LookedView | None
    """Where its texts attended; None where nobody looked."""


def _page_of(
    run: StoredRun,
    tasks: Mapping[str, TaskSummary],
    warnings: Sequence[str],
    gathered: _Gathered,
    pictures: PictureBook | None,
) -> bytes:
    """Return the page, its records read."""
    manifest, table = run.manifest, gathered.table()
    pictures = pictures or PictureBook([run.files], None)
    shown = ShownSamples(
        table=table,
        sides=(ShownSide("", cut(manifest.model, 300), 1, table.a),),
        texts=gathered.texts,
        directions=RESULTS,
    )
    early, late = block_elements({0: make_blocks(shown, "0", pictures)})
    lists: Json = {
        "lists": ["this run"],
        "bundled": False,
        "pictures": [f"{MEDIA_NAME}/{name}" for name in pictures.names],
    }
    page = RunPage(
        title=cut(manifest.model, 300),
        about=_about(manifest),
        badges=_badges(manifest),
        overlaps=tuple(overlap_lines((manifest.model, task) for task in tasks)),
        reproduction=() if (found := reproduction_of(manifest, tasks)) is None else found.lines,
        warnings=_warnings(tasks, warnings),
        tasks=tuple(_task_view(one, table) for one in tasks.values()),
        faults=_all_faults(tasks),
        chart=_headline_chart(tasks),
        **_parity(run, tasks),
        provenance=provenance_lines(manifest),
        pictures_note="" if pictures.names else "The run holds no thumbnails.",
        looked=looked_view(run, gathered.kept, pictures),
    )
    blocks = {"lists": json_block(lists), **early}
    return render(Page("run.html.j2", page, "explorer.js", early_blocks=blocks, late_blocks=late, pictures_beside=True))


def renew_page(run_folder: Path) -> None:
    """Put the page into a finished run's folder, in place of an older one, with its checksum.

    Raises:
        IncompleteError: The run is not finished.
        StoreError: The run cannot be read, or the disk refuses.
    """
    add_file(run_folder, PAGE_NAME, stored_run_page(load_run(run_folder)))


def write_page_elsewhere(run: StoredRun, folder: Path, full: Callable[[str], bytes | None]) -> Path:
    """Write a run's page with pictures at their own size into a folder of its own; return the page.

    Args:
        run: A finished run.
        folder: Made when missing; an older page and its pictures are replaced.
        full: Returns a picture at its own size as WebP by its digest; None where only the thumbnail is at hand.

    Raises:
        ConfigError: The folder is a run, or cannot be written.
        IncompleteError: The run is not finished.
        DamagedRunError: A file of the run is not what was published.
    """
    if not run.finished:
        raise IncompleteError(f"{run.path} is not finished; the command that began it goes on with it")
    if (folder / MANIFEST_NAME).exists():
        raise ConfigError(f"{folder} is a run folder, which nothing may be written into; name another folder")
    book = PictureBook([run.files], None, full)
    page = stored_run_page(run, book)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        put_page(folder, page, book)
    except OSError as fault:
        raise ConfigError(f"cannot write into {folder}: {fault.strerror or fault}") from fault
    return folder / PAGE_NAME


def put_page(folder: Path, page: bytes, book: PictureBook) -> None:
    """Write a page and the pictures that it shows into a folder outside of the run, in place of older ones.

    Raises:
        DamagedRunError: A thumbnail is not what was published.
        OSError: The disk refuses, or a link has the pictures' place.
    """
    make_folder(folder)
    write_atomically(folder / PAGE_NAME, page)
    media = folder / MEDIA_NAME
    if media.is_symlink():
        raise FileExistsError(f"{media} is a symbolic link, which nothing is written through: remove it")
    shutil.rmtree(media, ignore_errors=True)
    if book.names:
        make_folder(media)
    for name, content in book.pictures():
        put_file(media / name, content)


def stored_run_page(run: StoredRun, pictures: PictureBook | None = None) -> bytes:
    """Return the page of a stored run, with its scores under further protocols.

    Args:
        run: The run.
        pictures: Which thumbnails it shows; None for all that the run has.

    Raises:
        DamagedRunError: A file of the run is not what was published.
        StoreError: The journal cannot be read.
    """
    warnings = stored_warnings(run)
    if warnings is None:
        return page_and_summary(run, pictures)[0]
    gathered = _Gathered(keys_drawn(run))
    for record in run.records():
        gathered.add(record)
    return _page_of(run, stored_summaries(run), warnings, gathered, pictures)


def page_and_summary(run: StoredRun, pictures: PictureBook | None = None) -> tuple[bytes, RunSummary]:
    """Return the page of a stored run, and what its records say together: of what is stored nothing but they count."""
    # a page of stored scores, as at the end of every run, loads nothing that scores
    from harness.summary.run_summary import RunSummariser  # noqa: PLC0415

    gathered, manifest = _Gathered(keys_drawn(run)), run.manifest
    summariser = RunSummariser(config_of(manifest), seed=manifest.seed, native=native_metrics_of(manifest))
    for record in run.records():
        gathered.add(record)
        summariser.add(record)
    summary = summariser.result()
    return _page_of(run, summary.tasks, summary.warnings, gathered, pictures), summary


@dataclass(slots=True)
class _Gathered:
    """Columns while the records stream by."""

    wanted: frozenset[tuple[str, str]] = frozenset()
    """Samples whose records are kept whole."""
    kept: dict[tuple[str, str], Record] = field(default_factory=dict[tuple[str, str], Record])
    ids: list[str] = field(default_factory=list[str])
    tasks: list[str] = field(default_factory=list[str])
    categories: list[str] = field(default_factory=list[str])
    texts: list[ShownText] = field(default_factory=list[ShownText])
    values: list[float] = field(default_factory=list[float])
    ious: list[float] = field(default_factory=list[float])
    faults: list[int] = field(default_factory=list[int])

    def add(self, record: Record) -> None:
        """Take one record."""
        if record.repeat:
            return
        sample = record.sample
        if (sample.task, sample.id) in self.wanted:
            self.kept[sample.task, sample.id] = record
        self.ids.append(sample.id)
        self.tasks.append(sample.task)
        self.categories.append(sample.category)
        names = (sample.category, sample.l2_category)
        found = sample_categories(sample.task, names, sample.extra)
        self.texts.append(ShownText(sample.image_sha256, *found, text_of([record])))
        self.values.append(np.nan if record.score.value is None else record.score.value)
        self.ious.append(np.nan if record.score.iou is None else record.score.iou)
        self.faults.append(sum(FAULT_BITS[fault] for fault in record.score.faults))

    def table(self) -> SampleTable:
        """Return the columns."""
        tasks, task_codes = _codes(self.tasks)
        categories, category_codes = _codes(self.categories)
        values = np.array(self.values, dtype=np.float64)
        side = SampleSide(
            values=values,
            ious=np.array(self.ious, dtype=np.float64),
            faults=np.array(self.faults, dtype=np.uint32),
            rows=np.arange(len(values), dtype=np.int64),
        )
        results = np.where(np.isnan(values), 2, np.where(values >= ANSWER_RIGHT, 0, 1)).astype(np.int8)
        return SampleTable(tasks, task_codes, categories, category_codes, tuple(self.ids), results, side, side)


def _codes(names: list[str]) -> tuple[tuple[str, ...], np.ndarray]:
    known = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return tuple(known), np.array([known[name] for name in names], dtype=np.int64)


def _about(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    limits, found = manifest.pixel_limits, imported_of(manifest)
    return (
        ("format", format_name(manifest.format)),
        ("protocol", manifest.scored_by),
        ("box dialect", optional_words(manifest.box_dialect) or "not known: boxes are unscored"),
        ("resolution", DASH if limits is None else f"{limits.min_pixels:,} to {limits.max_pixels:,} pixels"),
        ("weights", short_hash(manifest.weights_hash)),
        ("begun", manifest.created_utc),
        *([(f"{cut(found.tool)}'s own numbers", _their_numbers(manifest) or DASH)] if found is not None else ()),
    )


def _side_text(manifest: Manifest) -> str:
    """Say which file gave the gold boxes; what a manifest says of it is untrusted."""
    side = manifest.other.get(SIDE_BOXES)
    name = side.get("file") if isinstance(side, dict) else None
    return f"gold boxes of a file beside the data: {cut(str(name))}, {short_hash(side_boxes_sha256(manifest.other))}"


def _imported_text(manifest: Manifest) -> str:
    """Say which program's log a run was made of; what a manifest says of it is untrusted."""
    found = imported_of(manifest)
    return "" if found is None else f"imported from {cut(found.program)}: asked in that program's words"


def _their_numbers(manifest: Manifest) -> str:
    """Return what that program itself made of the texts, where one of our metrics stands for it."""
    found = imported_of(manifest)
    return (
        ""
        if found is None
        else "; ".join(
            f"{cut(task)} {cut(name)} {number(value * metric_scale(name)[0], metric_scale(name)[1])}"
            for task, own in found.compared.items()
            for name, value in own.items()
        )
    )


def _badges(manifest: Manifest) -> tuple[str, ...]:
    return tuple(
        name
        for name, there in (
            ("partial (--limit): not for a leaderboard", manifest.partial),
            ("predictions only: made elsewhere", manifest.predictions_only and imported_of(manifest) is None),
            (_imported_text(manifest), imported_of(manifest) is not None),
            (f"judge: {manifest.judge}", manifest.judge is not None),
            (f"blind: asked with {blind_of(manifest)} in place of the pictures", blind_of(manifest) is not None),
            (f"tool: {tool_of(manifest)}", tool_of(manifest) is not None),
            (_side_text(manifest), SIDE_BOXES in manifest.other),
        )
        if there
    )


def _warnings(tasks: Mapping[str, TaskSummary], warnings: Sequence[str]) -> tuple[str, ...]:
    found, share = list(warnings), unexplained_share(tasks)
    if share > MOST_UNEXPLAINED:
        found.append(f"{100 * share:.1f} % of the samples could not be asked: not a result.")
    return tuple(found)


def _metric_view(label: str, metric: Metric, scale: tuple[float, int], link: str = "") -> MetricView:
    """Return one score in its unit.

    Args:
        label: What it is of.
        metric: The score.
        scale: What its values are multiplied by, and with how many digits they are shown.
        link: Address of its samples.
    """
    factor, digits = scale
    value, low, high = (None if end is None else end * factor for end in (metric.value, metric.ci_low, metric.ci_high))
    interval = "" if low is None or high is None else f"[{number(low, digits)}, {number(high, digits)}]"
    reason = metric.reason or ""
    if value is not None:  # one of lmms-eval's own says why it has no interval in the interval's place
        interval, reason = interval or reason, ""
    return MetricView(label, number(value, digits), interval, count(metric.n), reason, link)


def _task_view(summary: TaskSummary, table: SampleTable) -> TaskView:
    metrics, task = summary.metrics, shown_name(summary.task)
    places = [name for name, _ in _QUADRANT_METRICS]
    most = facts_of(summary.task).category_most
    category_scale = metric_scale(summary.headline if most else "accuracy")  # points of its own, as the headline's
    unscored = ", ".join(f"{count(found)} {cause}" for cause, found in summary.unscored.items())
    return TaskView(
        task=summary.task,
        link=filter_link(0, task=task),
        headline=_metric_view(summary.headline, metrics[summary.headline], metric_scale(summary.headline)),
        rows=count(summary.rows),
        clusters=count(summary.clusters),
        unscored=unscored or "0",
        parse=percent(summary.parse_fault_rows, summary.rows),
        truncated=percent(summary.truncated_rows, summary.rows),
        mean_iou=_mean_iou_text(summary),
        metrics=tuple(
            _metric_view(name, metric, metric_scale(name)) for name, metric in metrics.items() if name not in places
        ),
        categories=tuple(
            _metric_view(name, metric, category_scale, filter_link(0, task=task, **{level: shown_name(name)}))
            for level, found in (("cat", summary.categories), ("sub", summary.l2_categories))
            for name, metric in found.items()
        ),
        quadrants=tuple(
            _metric_view(words, metrics[name], metric_scale(name), filter_link(0, task=task, qa=code))
            for code, (name, words) in enumerate(_QUADRANT_METRICS)
            if name in metrics
        ),
        chance=baseline_text(summary.headline, summary.baselines.get("chance")),
        one_answer=baseline_text(summary.headline, summary.baselines.get("majority")),
        habits=tuple(_metric_view(name, metric, metric_scale(name)) for name, metric in summary.boxes.items()),
        stages=tuple(_stage_view(use, task) for use in stage_uses(summary.stages)),
        faults=tuple(
            FaultView(name, count(found), percent(found, summary.rows), filter_link(0, task=task, fault=name))
            for name, found in summary.faults.items()
        ),
        chart=_category_chart(summary, points=most is not None),
        histogram=_histogram(summary.task, table),
    )


def _mean_iou_text(summary: TaskSummary) -> str:
    """Return the mean IoU, and of how many samples where texts may leave their boxes out; a dash without gold boxes."""
    found = summary.metrics.get("mean_iou")
    if found is None:
        return DASH
    of_some = f" of {count(found.n)}" if summary.stages and found.value is not None else ""
    return metric_number("mean_iou", found.value) + of_some


def _stage_view(use: StageUse, task: str) -> StageView:
    names = {} if use.category is None else {"cat": shown_name(use.category)}
    scale = metric_scale("accuracy")
    return StageView(
        stage=STAGE_WORDS[use.stage],
        questions="all" if use.category is None else use.category,
        link=filter_link(0, task=task, **names),
        kept=_metric_view("kept", use.kept, scale),
        answers_kept=_metric_view("answers_kept", use.answers_kept, scale),
        answers_left_out=_metric_view("answers_left_out", use.answers_left_out, scale),
    )


def _all_faults(tasks: Mapping[str, TaskSummary]) -> tuple[FaultView, ...]:
    """Return the faults over all benchmarks, in their fixed order."""
    rows = sum(task.rows for task in tasks.values())
    found = {name: sum(task.faults.get(name, 0) for task in tasks.values()) for name in FAULTS}
    return tuple(
        FaultView(name, count(samples), percent(samples, rows), filter_link(0, fault=name))
        for name, samples in found.items()
        if samples
    )


def _category_chart(summary: TaskSummary, *, points: bool) -> Markup | None:
    axis = "points" if points else "percent"
    drawn = [(name, metric) for name, metric in summary.categories.items() if metric.value is not None]
    return _chart(drawn, f"{summary.task}: scores by category with 95 % intervals", axis)


def _headline_chart(tasks: Mapping[str, TaskSummary]) -> Markup | None:
    drawn = [
        (f"{task.task} {task.headline}", task.metrics[task.headline])
        for task in tasks.values()
        if task.headline not in POINT_MAXIMA
        and not is_native_metric(task.headline)
        and task.metrics[task.headline].value is not None
    ]
    return _chart(drawn, "Headline scores with 95 % intervals", "percent")


def _chart(drawn: list[tuple[str, Metric]], title: str, axis: str) -> Markup | None:
    if not 2 <= len(drawn) <= _MOST_CHARTED:
        return None
    scale = 100.0 if axis == "percent" else 1.0
    lines = [
        Change(
            label,
            (metric.value or 0.0) * scale,
            None if metric.ci_low is None else metric.ci_low * scale,
            None if metric.ci_high is None else metric.ci_high * scale,
            1,
        )
        for label, metric in drawn
    ]
    return forest_chart(lines, {1: "this run"}, axis, title)


def _histogram(task: str, table: SampleTable) -> Markup | None:
    ious = table.a.ious[table.tasks == table.task_names.index(task)] if task in table.task_names else np.array([])
    ious = ious[~np.isnan(ious)]
    if not len(ious):
        return None
    counts = np.histogram(ious, bins=_BINS, range=(0, 1))[0]
    return histogram_chart([Histogram("this run", 1, tuple(counts.tolist()))], "IoU", f"{task}: samples by IoU")


def _parity(run: StoredRun, tasks: Mapping[str, TaskSummary]) -> dict[str, Any]:
    """Return the scores under several protocols; nothing unless the run was scored again."""
    if not run.rescored:
        return {"parity_protocols": (), "parity": ()}
    stored = {name: cast("dict[str, Any]", scores) for name, scores in run.rescored.items()}
    rows: list[tuple[str, ...]] = []
    for task, one in tasks.items():
        for name in dict.fromkeys([one.headline, "accuracy", "mean_iou"]):
            if name in one.metrics:
                later = [
                    scores.get("tasks", {}).get(task, {}).get("metrics", {}).get(name) for scores in stored.values()
                ]
                found = [one.metrics[name].value, *(metric and metric.get("value") for metric in later)]
                rows.append((task, name, *(metric_number(name, value) for value in found)))
    return {"parity_protocols": (run.manifest.protocol, *stored), "parity": tuple(rows)}


def provenance_lines(manifest: Manifest) -> tuple[tuple[str, str], ...]:
    """Return what a manifest says, field by field, for a table."""
    limits = manifest.pixel_limits
    lines: list[tuple[str, str]] = [
        ("model", manifest.model),
        ("weights", manifest.weights_hash or DASH),
        ("adapter", manifest.adapter_hash or DASH),
        ("model type", manifest.model_type or DASH),
        ("backend", manifest.backend),
        ("format", format_name(manifest.format)),
        ("protocol", manifest.scored_by),
        ("box dialect", f"{optional_words(manifest.box_dialect) or DASH} ({manifest.box_dialect_reason})"),
        (
            "pixel limits",
            DASH if limits is None else f"{limits.min_pixels} to {limits.max_pixels}, sides × {limits.factor}",
        ),
        ("seed", str(manifest.seed)),
        ("begun", manifest.created_utc),
        ("resumed", ", ".join(manifest.resumed_utc) or DASH),
        ("commit", manifest.git_commit or DASH),
        ("protocol hash", manifest.protocol_hash),
        ("prompt wording", manifest.prompt_hash or DASH),
        ("scorer version", str(manifest.scorer_version)),
    ]
    lines += [(f"generation: {name}", _plain(value)) for name, value in manifest.generation.items()]
    for name, task in manifest.tasks.items():
        revision = f" @ {task.dataset_revision}" if task.dataset_revision else ""
        rows = f"{task.samples:,} of {task.rows:,} rows"
        data = f"{task.dataset_path}{revision}, {rows}, data {short_hash(task.fingerprint)}"
        lines.append((f"task {name}", data))
    lines += [(f"package {name}", version) for name, version in manifest.packages.items()]
    return tuple((name, with_short_hashes(value)) for name, value in lines)


def _plain(value: Json) -> str:
    """Return a value as people write it, not as a programming language does."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plain(part)}" for name, part in value.items()) or DASH
    if isinstance(value, list):
        return ", ".join(_plain(part) for part in value) or DASH
    return str(value)
