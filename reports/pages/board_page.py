"""Write a leaderboard as a static site: index.html, leaderboard.json, leaderboard.csv and the runs' own pages.

site/index.html    site/leaderboard.json    site/leaderboard.csv    site/runs/<name>/index.html (and media/)
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from harness.comparison.verify_run import false_scores
from harness.errors import ConfigError
from harness.files import DamagedRunError, make_folder
from harness.runs.json_text import json_safe
from harness.runs.store import MANIFEST_NAME, PAGE_NAME, load_run, write_atomically
from harness.scoring.stages import may_leave_out
from harness.summary.summary_values import Metric
from reports.board.board import Cell, Entry, Leaderboard, Looked, Published, leaderboard_json, published
from reports.pages.explorer_blocks import PictureBook
from reports.pages.run_page import page_and_summary, put_page
from reports.pages.shell import Page, render
from reports.texts.necessity_text import FILL_WORDS
from reports.texts.numbers_shown import DASH, count, metric_scale, number, percent, short_hash
from reports.texts.verdict_text import cut
from reports.texts.visible import csv_cell

CSV_COLUMNS = (
    "kind", "model", "run", "task", "metric", "value", "ci_low", "ci_high", "n", "scale", "rank_low", "rank_high",
    "tie_group", "p_best", "incomparable", "contamination", "format", "protocol", "min_pixels", "max_pixels",
    "max_new_tokens", "seed", "partial", "predictions_only", "parse_fault_rows", "truncated_rows", "rows", "mean_iou",
    "weights", "site_name", "rank_n", "created_utc", "imported", "theirs",
    "necessity", "necessity_n", "sufficiency", "sufficiency_n", "density", "density_n",
)  # fmt: skip
"""Columns of `leaderboard.csv`: one line per model and benchmark; `kind` is `run` or `reported`."""

_TIE_LETTERS = "abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell."""

    value: str
    """The score; a dash without one."""
    interval: str
    """Its interval."""
    about: str
    """n, rank and tie group in words."""
    hint: str
    """How often it was the best of all draws, in words; empty without a rank."""
    sort: str
    """What the column is sorted by; empty sorts last."""
    grey: int | None
    """Number of the note that says why it is greyed; None when it is not."""
    contamination: int | None
    """Number of the note that says why it may be inflated; None when nothing is known."""


@dataclass(frozen=True, slots=True)
class EntryView:
    """One row."""

    model: str
    """Model's name."""
    link: str
    """Address of the run's page; empty without one."""
    badges: tuple[str, ...]
    """What one must know at once."""
    facts: tuple[tuple[str, str], ...]
    """Text and sort key of the columns between model and benchmarks."""
    cells: tuple[CellView | None, ...]
    """Cells in the order of the columns; None where the run did not ask."""
    looked: tuple[CellView | None, ...]
    """Where it looked and whether that mattered, in the order of those columns; None where nobody asked."""
    reported: bool
    """Whether it is a published row."""


@dataclass(frozen=True, slots=True)
class ColumnView:
    """One benchmark's column."""

    task: str
    """Short task name."""
    metric: str
    """Metric and scale in words."""
    unranked: str
    """Why there is no ranking; empty where there is one."""


@dataclass(frozen=True, slots=True)
class LeaderboardView:
    """What the template shows."""

    columns: tuple[ColumnView, ...]
    """Benchmarks."""
    looked_heads: tuple[tuple[str, str], ...]
    """Benchmark and number of the columns behind the benchmarks; empty where no run was probed or attended to."""
    fact_heads: tuple[str, ...]
    """Column heads behind those."""
    entries: tuple[EntryView, ...]
    """Rows, ours first."""
    barred: tuple[tuple[str, str], ...]
    """Runs left out, with the reason."""
    published: Published
    """Rows that others reported, in full."""
    published_rows: tuple[tuple[str, tuple[str, ...]], ...]
    """The same as texts."""
    ranked: bool
    """Whether any cell has a rank."""
    notes: tuple[str, ...]
    """What cells refer to by number, from 1."""


FACT_HEADS = ("format faults", "mean IoU", "format", "protocol", "resolution", "max tokens", "weights", "begun")
"""Heads of the columns behind the benchmarks."""


LookedNumber: TypeAlias = Literal["necessity", "sufficiency", "density"]

_LOOKED_WORDS: Final[dict[LookedNumber, str]] = {
    "necessity": "necessity, points",
    "sufficiency": "sufficiency, points",
    "density": "density of attention",
}
"""Numbers about where a run looked, as heads of columns."""


class _Notes:
    """Numbers what several cells have to say once."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def number(self, text: str) -> int | None:
        """Return a note's number; None for the empty one."""
        return self._numbers.setdefault(text, len(self._numbers) + 1) if text else None

    @property
    def texts(self) -> tuple[str, ...]:
        """All notes by number."""
        return tuple(self._numbers)


def write_leaderboard(board: Leaderboard, out: Path, *, pictures: bool = True) -> Path:
    """Write the site and return its page.

    Args:
        board: What to show.
        out: The folder; made when missing, older files of the same names are replaced.
        pictures: Whether the thumbnails of the runs go with their pages.

    Raises:
        ConfigError: The folder is a run, or cannot be written.
        DamagedRunError: A run's records or thumbnails are not what was published, or do not give its scores.
    """
    if (out / MANIFEST_NAME).exists():
        raise ConfigError(f"{out} is a run folder, which nothing may be written into; name another folder")
    try:
        out.mkdir(parents=True, exist_ok=True)
        make_folder(out / "runs")
        for entry in board.entries:
            _write_run_page(entry, out / "runs" / entry.site_name, pictures=pictures)
        text = json.dumps(json_safe(leaderboard_json(board)), indent=2, allow_nan=False)
        write_atomically(out / "leaderboard.json", f"{text}\n".encode("ascii"))
        write_atomically(out / "leaderboard.csv", leaderboard_csv(board).encode("utf-8"))
        page = out / PAGE_NAME
        write_atomically(page, render(Page("leaderboard.html.j2", leaderboard_view(board), "leaderboard.js")))
    except OSError as fault:
        raise ConfigError(f"cannot write into {out}: {fault.strerror or fault}") from fault
    return page


def _write_run_page(entry: Entry, folder: Path, *, pictures: bool) -> None:
    """Put the run's page, made anew of its checked records, and the thumbnails that it shows, into the site.

    The page in the run's own folder may be anybody's.
    """
    run = load_run(entry.path)
    book = PictureBook([run.files] if pictures else [], None)
    page, summary = page_and_summary(run, book)
    for false in false_scores(run.scores or {}, summary, same_version=False):
        raise DamagedRunError(f"{run.path}: {false}; see: satori-bench runs verify {run.path}")
    put_page(folder, page, book)


def leaderboard_view(board: Leaderboard) -> LeaderboardView:
    """Return what the page shows."""
    reported, notes = published(), _Notes()
    looked_heads = _looked_heads(board)
    entries = (
        *(_entry_view(entry, board.tasks, looked_heads, notes) for entry in board.entries),
        *_reported_views(reported, board.tasks, len(looked_heads)),
    )
    return LeaderboardView(
        columns=tuple(_column(board, task) for task in board.tasks),
        looked_heads=tuple((cut(task, 100), _LOOKED_WORDS[name]) for task, name in looked_heads),
        fact_heads=FACT_HEADS,
        entries=entries,
        barred=tuple((cut(run), cut(reason)) for run, reason in board.barred),
        published=reported,
        published_rows=tuple((model, tuple(number(value) for value in values)) for model, values in reported.rows),
        ranked=any(cell.rank is not None for entry in board.entries for cell in entry.cells.values()),
        notes=notes.texts,
    )


def _column(board: Leaderboard, task: str) -> ColumnView:
    cells = [entry.cells[task] for entry in board.entries if task in entry.cells]
    metrics = dict.fromkeys(f"{cell.metric}, {'points' if cell.points else '%'}" for cell in cells)
    return ColumnView(task, "; ".join(metrics), board.unranked.get(task, ""))


def _looked_heads(board: Leaderboard) -> tuple[tuple[str, LookedNumber], ...]:
    """Return task and name of the numbers that any run has."""
    return tuple(
        (task, name)
        for task in board.tasks
        for name in _LOOKED_WORDS
        if any(_looked_metric(entry.looked.get(task), name) is not None for entry in board.entries)
    )


def _looked_metric(looked: Looked | None, name: LookedNumber) -> Metric | None:
    if looked is None:
        return None
    return {"necessity": looked.necessity, "sufficiency": looked.sufficiency, "density": looked.density}[name]


def _looked_cell(looked: Looked | None, name: LookedNumber, notes: _Notes) -> CellView | None:
    """Return a number with interval and how many of how many samples it covers; None where nobody asked."""
    metric = _looked_metric(looked, name)
    if looked is None or metric is None:
        return None
    scale, digits = (1.0, 2) if name == "density" else (100.0, 1)
    interval = ""
    if metric.ci_low is not None and metric.ci_high is not None:
        interval = f"[{number(scale * metric.ci_low, digits)}, {number(scale * metric.ci_high, digits)}]"
    about = f"n {count(metric.n)} of {count(looked.rows)}"
    if name != "density" and looked.fill is not None:
        about += f" · {FILL_WORDS[looked.fill]}"
    return CellView(
        value=number(None if metric.value is None else scale * metric.value, digits),
        interval=interval,
        about=about,
        hint="",
        sort="" if metric.value is None else f"{metric.value:.6f}",
        grey=notes.number(cut(metric.reason or "no number")) if metric.value is None else None,
        contamination=None,
    )


def _mean_iou_text(entry: Entry) -> str:
    """Return an entry's mean IoU, and of how many samples where its texts may leave their boxes out."""
    told = number(entry.mean_iou, 3)
    return f"{told} of {count(entry.mean_iou_n)}" if may_leave_out(entry.format) and entry.mean_iou_n else told


def _entry_view(
    entry: Entry, tasks: Sequence[str], looked_heads: Sequence[tuple[str, LookedNumber]], notes: _Notes
) -> EntryView:
    badges = {
        "partial": entry.partial,
        "predictions only": entry.predictions_only and entry.imported is None,
        f"imported from {cut(entry.imported or '')}": entry.imported is not None,
    }
    resolution = DASH if entry.max_pixels is None else f"{count(entry.min_pixels)} to {count(entry.max_pixels)} px"
    return EntryView(
        model=cut(entry.model),
        link=f"runs/{entry.site_name}/{PAGE_NAME}",
        badges=(*(name for name, there in badges.items() if there), f"seed {entry.seed}"),
        facts=(
            (percent(entry.parse_fault_rows, entry.rows), f"{entry.parse_fault_rows / max(1, entry.rows):.6f}"),
            (_mean_iou_text(entry), "" if entry.mean_iou is None else f"{entry.mean_iou:.6f}"),
            (entry.format, entry.format),
            (cut(entry.protocol_version), cut(entry.protocol_version)),
            (resolution, "" if entry.max_pixels is None else str(entry.max_pixels)),
            (cut(entry.max_new_tokens), cut(entry.max_new_tokens)),
            (short_hash(entry.weights), entry.weights[:12]),
            (entry.created_utc[:10] or DASH, cut(entry.created_utc)),
        ),
        cells=tuple(_cell_view(entry.cells[task], notes) if task in entry.cells else None for task in tasks),
        looked=tuple(_looked_cell(entry.looked.get(task), name, notes) for task, name in looked_heads),
        reported=False,
    )


def _cell_view(cell: Cell, notes: _Notes) -> CellView:
    scale, digits = metric_scale(cell.metric)
    value = None if cell.value is None else cell.value * scale
    interval = ""
    if cell.ci_low is not None and cell.ci_high is not None:
        interval = f"[{number(cell.ci_low * scale, digits)}, {number(cell.ci_high * scale, digits)}]"
    about, hint = [f"n {count(cell.n)}"], ""
    if cell.theirs is not None:
        about.append(f"that program's own {number(cell.theirs * scale, digits)}")
    if cell.rank is not None:
        rank = cell.rank
        places = str(rank.rank) if rank.rank_low == rank.rank_high else f"{rank.rank_low}–{rank.rank_high}"
        tie = _TIE_LETTERS[min(rank.tie_group, len(_TIE_LETTERS) - 1)]
        fewer = f" on the {count(cell.rank_n)} shared" if cell.rank_n is not None and cell.rank_n < cell.n else ""
        about.append(f"rank {places} {tie}{fewer}")
        hint = f"group {tie}; the best in {percent(round(1000 * rank.p_best), 1000)} of the draws"
    return CellView(
        value=number(value, digits),
        interval=interval,
        about=" · ".join(about),
        hint=hint,
        sort="" if value is None else f"{value:.6f}",
        grey=notes.number(cell.reason or "; ".join(cell.incomparable)),
        contamination=notes.number(cell.contamination or ""),
    )


def _reported_views(reported: Published, tasks: Sequence[str], looked: int) -> Iterator[EntryView]:
    """Yield the published rows that have a score in one of our columns."""
    places = {task: place for place, (_, task) in enumerate(reported.columns) if task is not None}
    if not places.keys() & set(tasks):
        return
    for model, values in reported.rows:
        found = [values[places[task]] if task in places else None for task in tasks]
        yield EntryView(
            model=model,
            link="",
            badges=(reported.mark,),
            facts=tuple((DASH, "") for _ in FACT_HEADS),
            cells=tuple(
                None if value is None else CellView(number(value), "", "", "", f"{value:.6f}", None, None)
                for value in found
            ),
            looked=(None,) * looked,
            reported=True,
        )


def leaderboard_csv(board: Leaderboard) -> str:
    """Return `leaderboard.csv`: RFC 4180, UTF-8, no cell that a spreadsheet would take for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(CSV_COLUMNS)
    for row in (*_run_lines(board), *_reported_lines()):
        writer.writerow([csv_cell(row.get(name)) for name in CSV_COLUMNS])
    return text.getvalue()


def _run_lines(board: Leaderboard) -> Iterator[dict[str, str | float | None]]:
    for entry in board.entries:
        for task, cell in entry.cells.items():
            rank = cell.rank
            yield {
                "kind": "run", "model": entry.model, "run": entry.run, "task": task, "metric": cell.metric,
                "value": cell.value, "ci_low": cell.ci_low, "ci_high": cell.ci_high, "n": cell.n,
                "scale": "points" if cell.points else "fraction",
                "rank_low": rank.rank_low if rank else None, "rank_high": rank.rank_high if rank else None,
                "tie_group": rank.tie_group if rank else None, "p_best": rank.p_best if rank else None,
                "incomparable": "; ".join(cell.incomparable), "contamination": cell.contamination,
                "format": entry.format, "protocol": entry.protocol, "min_pixels": entry.min_pixels,
                "max_pixels": entry.max_pixels, "max_new_tokens": entry.max_new_tokens, "seed": entry.seed,
                "partial": str(entry.partial).lower(), "predictions_only": str(entry.predictions_only).lower(),
                "imported": entry.imported, "theirs": cell.theirs,
                "parse_fault_rows": entry.parse_fault_rows, "truncated_rows": entry.truncated_rows,
                "rows": entry.rows, "mean_iou": entry.mean_iou, "weights": entry.weights,
                "site_name": entry.site_name, "rank_n": cell.rank_n, "created_utc": entry.created_utc,
                **_looked_line(entry.looked.get(task)),
            }  # fmt: skip


def _looked_line(looked: Looked | None) -> dict[str, str | float | None]:
    """Return the columns about where a run looked; empty where nobody asked, or the number is withheld."""
    line: dict[str, str | float | None] = {}
    for name in _LOOKED_WORDS:
        metric = _looked_metric(looked, name)
        line[name] = None if metric is None else metric.value
        line[f"{name}_n"] = None if metric is None else metric.n
    return line


def _reported_lines() -> Iterator[dict[str, str | float | None]]:
    reported = published()
    for model, values in reported.rows:
        for (name, task), value in zip(reported.columns, values, strict=True):
            if value is not None:
                yield {
                    "kind": "reported", "model": model, "task": task or name, "metric": reported.mark,
                    "value": value / 100, "scale": "fraction",
                }  # fmt: skip
