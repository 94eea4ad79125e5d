"""Turn a comparison into what its page shows: texts, in order, rounded here and nowhere before.

The template only loops over these values. Nothing is computed of samples here: every number is one of the comparison's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import count as counting

from markupsafe import Markup

from harness.comparison.other_rules import OtherRules
from harness.comparison.values import (
    CUTS,
    DEFAULT_CUT,
    Benchmark,
    BesideScore,
    BoxPrior,
    Comparison,
    CouplingPoint,
    Grounding,
    Pair,
    ProvenanceField,
    ScoreRow,
    SideGrounding,
)
from harness.gate.verdict import verdict_bars
from harness.summary.means import Metric
from harness.values import FAULTS, Json, Protocol
from reports.pages.charts import (
    COLOURS,
    DASHES,
    Change,
    Curve,
    CurvePoint,
    Histogram,
    curve_chart,
    forest_chart,
    histogram_chart,
)
from reports.texts.addresses import filter_link, shown_name
from reports.texts.beside_scores import baseline_text, interval_text
from reports.texts.contamination import overlap_lines
from reports.texts.looked_changes_text import LOOKED_CAUTION, LOOKED_HEADINGS, looked_cells
from reports.texts.numbers_shown import DASH, count, metric_number, number, p_text, percent, signed, with_short_hashes
from reports.texts.verdict_text import cut, mde_text, value_text

ALPHA = 0.05
"""An adjusted p below this is called a change; the page says so."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST_FOREST_CATEGORIES = 40
"""A chart of more categories than this would not be read; the table has them all."""

FEWEST_ON_EITHER_SIDE = 15
"""Points of the coupling curve with fewer samples above or below the cut are in the table, not in the chart."""

QUADRANT_WORDS = (
    "right answer, right place",
    "right answer, wrong place",
    "wrong answer, right place",
    "wrong answer, wrong place",
)
"""In the order of `harness.comparison.values.QUADRANTS`."""

_DEFAULT_CUT_PLACE = CUTS.index(DEFAULT_CUT)
_PRIOR_LOOKS = {"whole image": ("var(--muted)", [1, 3]), "centre box": ("var(--gold)", [10, 3, 1, 3])}


@dataclass(frozen=True, slots=True)
class SideView:
    """One side in the list at the top."""

    letter: str
    """A, B, C..."""
    colour: int
    """Place of its colour."""
    label: str
    """Its name."""
    about: str
    """Format, protocol, weights, seeds in words."""
    badges: tuple[str, ...]
    """What one must know at once: partial, predictions only."""


@dataclass(frozen=True, slots=True)
class VerdictView:
    """The sentence at the top for one pair."""

    kind: str
    """`better`, `worse`, `mixed` or `undecided`: style of the box."""
    lead: str
    """One sentence."""
    lines: tuple[str, ...]
    """One line per benchmark that changed."""


@dataclass(frozen=True, slots=True)
class RowView:
    """One line of a table of scores."""

    name: str
    """Benchmark, category or metric."""
    metric: str
    """Name of the metric."""
    a: str
    """Score of A."""
    a_range: str
    """Its interval."""
    b: str
    """Score of B."""
    b_range: str
    """Its interval."""
    change: str
    """The change, with a mark when it is significant."""
    change_kind: str
    """`better`, `worse` or nothing."""
    change_range: str
    """Interval of the change."""
    p: str
    """Unadjusted two-sided p."""
    adjusted: str
    """Holm's p of a headline, q of another row."""
    n: str
    """Units compared."""
    clusters: str
    """Independent clusters."""
    mde: str
    """Minimum detectable effect."""
    flips: str
    """Units lost / gained."""
    parse: str
    """Share of texts that did not keep to the format, in percent, from A to B."""
    truncated: str
    """Share that the token budget ended, likewise."""
    unscored: str
    """Samples without a value, likewise."""
    reason: str
    """Why there is no change; empty where there is one."""
    link: str
    """Address of its samples in the explorer."""


@dataclass(frozen=True, slots=True)
class SideCell:
    """What one side scores on a benchmark, beside the other sides."""

    score: str
    """The score; several where the samples that it shares with the others differ; a dash without one."""
    range: str
    """Its interval."""
    changes: tuple[tuple[str, str, str], ...]
    """Per side that it is compared with: change, kind of change, and p in words."""


@dataclass(frozen=True, slots=True)
class SidesRow:
    """One benchmark in all sides."""

    task: str
    """Short task name."""
    metric: str
    """Name of its headline."""
    link: str
    """Address of its samples."""
    cells: tuple[SideCell, ...]
    """Per side."""


@dataclass(frozen=True, slots=True)
class PlaceRow:
    """Where both sides of a pair looked on one benchmark, in a line."""

    task: str
    """Short task name."""
    pair: str
    """Which pair, such as `B against A`."""
    n: str
    """Samples."""
    mean_iou: tuple[str, str]
    """Mean IoU of both."""
    change: str
    """Its change, with a mark when it is significant; a dash without one."""
    change_kind: str
    """`better`, `worse` or nothing."""
    quadrants: tuple[tuple[str, str, str], ...]
    """Per quadrant the shares of both at the default cut, and the address of the later side's samples."""


@dataclass(frozen=True, slots=True)
class FaultRow:
    """How often both sides of a pair met a fault on one benchmark."""

    name: str
    """The fault."""
    shares: tuple[tuple[str, str], ...]
    """Per side the share of samples, and the address of these samples."""


@dataclass(frozen=True, slots=True)
class CountCell:
    """A number of samples that follows the slider."""

    element: str
    """Id of its element."""
    text: str
    """The number at the default cut."""
    level: int
    """0 to 4: how dark its ground is."""
    link: str
    """Address of its samples in the explorer."""


@dataclass(frozen=True, slots=True)
class GroundingView:
    """Answer and place of one benchmark."""

    task: str
    """Short task name."""
    n: str
    """Samples."""
    quadrants: tuple[tuple[str, CountCell, CountCell], ...]
    """Per quadrant its words and the counts of A and B."""
    transitions: tuple[tuple[str, tuple[CountCell, ...]], ...]
    """Per quadrant in A its words and the counts per quadrant in B."""
    places: tuple[tuple[str, str, str, str], ...]
    """Per side and prior: name, mean IoU, its interval, share at the default cut."""
    coupling: Markup | None
    """The coupling curve; None where no point of it can be given."""
    coupling_rows: tuple[tuple[str, ...], ...]
    """The same as a table."""
    coupling_heads: tuple[str, ...]
    """Its column heads."""
    histogram: Markup
    """Histograms of IoU."""
    histogram_rows: tuple[tuple[str, str, str], ...]
    """The same as a table: bin, A, B."""


@dataclass(frozen=True, slots=True)
class BenchmarkView:
    """One benchmark's own section."""

    task: str
    """Short task name."""
    about: str
    """What was compared and what was left out."""
    reasons: tuple[str, ...]
    """Why it cannot be compared."""
    notes: tuple[str, ...]
    """What one must know."""
    metrics: tuple[RowView, ...]
    """Headline and further metrics."""
    categories: tuple[RowView, ...]
    """By category, then by second-level category."""
    forest: Markup | None
    """Changes by category."""
    faults: tuple[FaultRow, ...]
    """Faults that either side met."""
    grounding: GroundingView | None
    """Answer and place."""


@dataclass(frozen=True, slots=True)
class BesideRow:
    """One side's headline of one benchmark, with what it is to be read beside."""

    task: str
    """Short task name."""
    metric: str
    """Name of the headline."""
    letter: str
    """The side."""
    colour: int
    """Place of its colour."""
    score: str
    """Its score over all its samples, with interval and n."""
    chance: str
    """What chance earns."""
    one_answer: str
    """What the commonest answer earns, with that answer."""
    blind: str
    """What the same model's blind run scores on the shared samples; a dash without one."""
    gain: str
    """The visual gain; a dash without a blind run."""
    gain_range: str
    """Its interval, or why there is no gain."""


@dataclass(frozen=True, slots=True)
class PairView:
    """One candidate against the first side."""

    a: SideView
    """The first side."""
    b: SideView
    """The candidate."""
    verdict: VerdictView
    """The sentence."""
    reasons: tuple[str, ...]
    """Why it cannot be compared at all."""
    notes: tuple[str, ...]
    """What one must know."""
    headlines: tuple[RowView, ...]
    """One row per benchmark."""
    benchmarks: tuple[BenchmarkView, ...]
    """Benchmarks in order."""


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """The whole page but for samples and texts."""

    title: str
    """Title and heading."""
    sides: tuple[SideView, ...]
    """What is compared."""
    forests: tuple[tuple[Markup, str], ...]
    """Charts of the headline changes, with captions."""
    pairs: tuple[PairView, ...]
    """Pairs in order."""
    sides_rows: tuple[SidesRow, ...]
    """Every benchmark in all sides beside each other; empty where there are two sides."""
    places: tuple[PlaceRow, ...]
    """Where the sides looked; empty without gold boxes."""
    looked_headings: tuple[str, ...]
    """Of the table of where sides looked and whether that mattered."""
    looked: tuple[tuple[str, tuple[str, ...]], ...]
    """Per line which pair, such as `B against A`, and its cells; empty where not both sides were probed."""
    looked_caution: str
    """What the numbers are."""
    beside: tuple[BesideRow, ...]
    """Scores beside chance and blindness; empty for runs of before, which know neither."""
    has_blind: bool
    """Whether any side has a blind run beside it."""
    overlaps: tuple[str, ...]
    """Which scores may be inflated by training data, and who says so."""
    run_heads: tuple[str, ...]
    """Column heads of the provenance."""
    provenance: tuple[ProvenanceField, ...]
    """Lines of the provenance."""
    parity_protocols: tuple[str, ...]
    """Column heads of the parity table."""
    parity: tuple[tuple[str, ...], ...]
    """Run, task, metric, then a value per protocol."""
    spread: tuple[tuple[str, ...], ...]
    """Side, task, metric, values, standard deviation."""
    method: str
    """How the numbers were made, in a sentence."""
    grounded: bool
    """Whether the page has a slider."""
    cuts: Json
    """What the slider puts where: per cut in percent a list of id, text, level."""


@dataclass(frozen=True, slots=True)
class RulesRowView:
    """One benchmark under one protocol."""

    task: str
    """The benchmark, in the first of its lines; else empty."""
    rowspan: int
    """Lines of the benchmark, in the first of them; else 0."""
    protocol: str
    """The protocol."""
    row: RowView | None
    """Scores and change; None where it has no rule of its own."""
    alike: tuple[str, str]
    """Share of either side's samples that are scored as under the comparison's own protocol, a dash in its line."""


@dataclass(frozen=True, slots=True)
class RulesView:
    """A pair's headlines under every protocol."""

    a: SideView
    """The first side."""
    b: SideView
    """The candidate."""
    own: str
    """The protocol of the comparison, with its version."""
    others: str
    """The other ones, with theirs."""
    notes: tuple[str, ...]
    """Why changes or scores are missing, those of one reason together."""
    rows: tuple[RulesRowView, ...]
    """In the comparison's order."""
    left_out: str
    """Benchmarks that were too large to be scored again for a page; empty for none."""


def rules_view(found: OtherRules, pair: PairView, number: int) -> RulesView:
    """Return what the page shows of a pair under other rules."""
    rows: list[RulesRowView] = []
    notes: dict[tuple[str, str], list[str]] = {}
    for item in found.benchmarks:
        for place, under in enumerate(item.rows):
            row = None if under.row is None else _row_view(under.row, item.task, number)
            shares = tuple(percent(alike, item.samples) if place else DASH for alike in under.alike)
            rows.append(
                RulesRowView(
                    task="" if place else item.task,
                    rowspan=0 if place else len(item.rows),
                    protocol=under.protocol,
                    row=row,
                    alike=(shares[0], shares[1]),
                )
            )
            if row is not None and row.reason:
                notes.setdefault((item.task, row.reason), []).append(under.protocol)
    return RulesView(
        a=pair.a,
        b=pair.b,
        own=cut(found.versions[found.own]),
        others=", ".join(version for protocol, version in found.versions.items() if protocol != found.own),
        notes=tuple(f"{task}, {', '.join(names)}: {reason}" for (task, reason), names in notes.items()),
        rows=tuple(rows),
        left_out=", ".join(found.left_out),
    )


def comparison_view(comparison: Comparison) -> ComparisonView:
    """Return what the page of a comparison shows."""
    sides = tuple(_side_view(comparison, place) for place in range(len(comparison.sides)))
    cells = _Cells()
    pairs = tuple(
        _pair_view(pair, sides, number, cells, verdict_bars(comparison.sides[pair.a], comparison.sides[pair.b], pair))
        for number, pair in enumerate(comparison.pairs)
    )
    protocols: tuple[Protocol, ...] = tuple(
        dict.fromkeys(protocol for row in comparison.parity for protocol in row.values)
    )
    return ComparisonView(
        title=_title(sides),
        sides=sides,
        forests=_forests(comparison, sides),
        pairs=pairs,
        sides_rows=_sides_rows(comparison, sides) if len(sides) > 2 else (),
        places=tuple(
            _place_row(item, item.grounding, pair, number)
            for number, (stored, pair) in enumerate(zip(comparison.pairs, pairs, strict=True))
            for item in stored.benchmarks
            if item.grounding is not None
        ),
        looked_headings=LOOKED_HEADINGS,
        looked=tuple(
            (f"{pair.b.letter} against {pair.a.letter}", looked_cells(row))
            for stored, pair in zip(comparison.pairs, pairs, strict=True)
            for row in stored.looked
        ),
        looked_caution=LOOKED_CAUTION,
        beside=_beside_rows(comparison, sides),
        has_blind=any(gain.rows for gain in comparison.visual_gains),
        overlaps=tuple(overlap_lines((run.model, task) for run in comparison.runs for task in run.beside)),
        run_heads=tuple(
            f"{sides[place].letter}{number if len(side.runs) > 1 else ''} {run.name}"
            for place, side in enumerate(comparison.sides)
            for number, run in enumerate(side.runs, start=1)
        ),
        provenance=tuple(
            replace(line, values=tuple(_provenance_text(line.name, value) or DASH for value in line.values))
            for line in comparison.provenance
        ),
        parity_protocols=protocols,
        parity=tuple(
            (row.run, row.task, row.metric, *(metric_number(row.metric, row.values.get(name)) for name in protocols))
            for row in comparison.parity
        ),
        spread=_spread(comparison, sides),
        method=_method(comparison),
        grounded=bool(cells.cuts[0]),
        cuts={f"{round(100 * cut)}": found for cut, found in zip(CUTS, cells.cuts, strict=True)},
    )


_NESTED = re.compile(r"[{\[]([^{}\[\]]*)[}\]]")


def _provenance_text(name: str, value: str) -> str:
    """Return a value without long digests, and generation arguments without the marks of a programming language."""
    text = with_short_hashes(value)
    if not name.endswith("generation"):
        return text
    text = _NESTED.sub(lambda found: f"({found[1].replace(': ', ' ')})".replace("'", ""), text)
    return re.sub(r"\bNone\b", DASH, text)


def significant(row: ScoreRow) -> int:
    """Return 1 for a change for the better, -1 for the worse, 0 for none that can be told from chance."""
    adjusted = row.holm_p if row.holm_p is not None else row.q
    if row.difference is None or adjusted is None or adjusted >= ALPHA:
        return 0
    return (row.difference.delta > 0) - (row.difference.delta < 0)


class _Cells:
    """Makes the cells that follow the slider and keeps what it puts into them."""

    def __init__(self) -> None:
        self.cuts: list[list[Json]] = [[] for _ in CUTS]
        self._numbers = counting()

    def cell(self, by_cut: Sequence[int], whole: int, link: str) -> CountCell:
        """Return a cell of so many samples per cut, with the address of those samples."""
        element = f"n{next(self._numbers)}"
        for found, samples in zip(self.cuts, by_cut, strict=True):
            found.append([element, count(samples), _level(samples, whole)])
        samples = by_cut[_DEFAULT_CUT_PLACE]
        return CountCell(element, count(samples), _level(samples, whole), link)


def _level(samples: int, whole: int) -> int:
    """Return how dark a cell is: 0 for none, then 1 to 4, beginning at 5, 12 and 25 percent of the whole."""
    return 0 if not samples else 1 + sum(100 * samples >= share * whole for share in (5, 12, 25))


def _side_view(comparison: Comparison, place: int) -> SideView:
    side = comparison.sides[place]
    first = side.runs[0]
    seeds = f"{len(side.runs)} seeds: {', '.join(str(run.seed) for run in side.runs)}" if len(side.runs) > 1 else ""
    weights = f"weights {first.weights}" if first.weights else "weights not seen"
    badges = {
        "partial (--limit)": any(run.partial for run in side.runs),
        "predictions only": any(run.predictions_only and run.imported is None for run in side.runs),
        f"imported from {cut(first.imported or '')}": any(run.imported is not None for run in side.runs),
        "blind (--blind): asked without its pictures": any(run.blind is not None for run in side.runs),
    }
    return SideView(
        letter=LETTERS[place % len(LETTERS)],
        colour=place % len(COLOURS),
        label=cut(side.label),
        about=" · ".join(
            filter(None, [f"format {first.format}", f"protocol {cut(first.protocol_version)}", weights, seeds])
        ),
        badges=tuple(name for name, there in badges.items() if there),
    )


def _title(sides: Sequence[SideView]) -> str:
    return " and ".join(side.label for side in sides[1:]) + f" against {sides[0].label}"


def _method(comparison: Comparison) -> str:
    return (
        "Changes are paired on shared samples. Intervals: 95 %, bootstrap and jackknife of clusters. p: sign flips of "
        f"clusters, {comparison.draws:,} draws, seed {comparison.seed}. Holm over all headlines of this page; q "
        "(Benjamini-Hochberg) over the exploratory rows. MDE: least true change found 80 % of the time. "
        f"A change is marked ▲ or ▼ when its adjusted p is below {ALPHA}."
    )


def _pair_view(pair: Pair, sides: Sequence[SideView], number: int, cells: _Cells, bars: tuple[str, ...]) -> PairView:
    a, b = sides[pair.a], sides[pair.b]
    return PairView(
        a=a,
        b=b,
        verdict=_verdict(pair, a, b, bars),
        reasons=pair.comparability.reasons,
        notes=(*pair.comparability.notes, *_missing_tasks(pair, a, b)),
        headlines=tuple(_row_view(item.headline, item.task, number) for item in pair.benchmarks),
        benchmarks=tuple(_benchmark_view(item, (a, b), number, cells) for item in pair.benchmarks),
    )


def _missing_tasks(pair: Pair, a: SideView, b: SideView) -> list[str]:
    return [
        f"only {side.letter} has: {', '.join(tasks)}"
        for side, tasks in ((a, pair.only_a_tasks), (b, pair.only_b_tasks))
        if tasks
    ]


def _verdict(pair: Pair, a: SideView, b: SideView, bars: tuple[str, ...]) -> VerdictView:
    """Say on how many benchmarks the candidate is better, worse or neither; nothing where the gate says nothing."""
    if not pair.comparability.comparable:
        return VerdictView("undecided", f"{b.letter} and {a.letter} cannot be compared.", pair.comparability.reasons)
    if bars:
        return VerdictView("undecided", f"No verdict on {b.letter} ({b.label}) and {a.letter} ({a.label}).", bars)
    given = [item for item in pair.benchmarks if item.headline.difference is not None]
    better = [item for item in given if significant(item.headline) > 0]
    worse = [item for item in given if significant(item.headline) < 0]
    kind = "mixed" if better and worse else "better" if better else "worse" if worse else "undecided"
    lead = {
        "better": f"{b.letter} ({b.label}) is better than {a.letter} ({a.label})",
        "worse": f"{b.letter} ({b.label}) is worse than {a.letter} ({a.label})",
        "mixed": f"{b.letter} ({b.label}) is better than {a.letter} ({a.label}) in places and worse in others",
        "undecided": f"{b.letter} ({b.label}) cannot be told from {a.letter} ({a.label})",
    }[kind]
    counts = {
        "better on": len(better),
        "worse on": len(worse),
        "no clear change on": len(given) - len(better) - len(worse),
        "not comparable on": len(pair.benchmarks) - len(given),
    }
    told = ", ".join(f"{words} {found}" for words, found in counts.items() if found)
    of = f"of {len(pair.benchmarks)} benchmark{'' if len(pair.benchmarks) == 1 else 's'}"
    lines = tuple(_verdict_line(item.headline) for item in [*worse, *better])
    return VerdictView(kind, f"{lead}: {told or 'nothing compared'} {of}.", lines)


def _verdict_line(row: ScoreRow) -> str:
    assert row.difference is not None  # only rows with a change come here
    unit = "points" if row.scale == "points" else "percentage points"
    mark = "▲" if row.difference.delta > 0 else "▼"
    return (
        f"{mark} {row.task} {row.metric}: {_change(row, row.difference.delta)} {unit}, "
        f"{_range(row, row.difference.ci_low, row.difference.ci_high, with_sign=True)}, Holm p {p_text(row.holm_p)}, "
        f"n = {count(row.difference.n)}"
    )


def _row_view(row: ScoreRow, name: str, number: int, level: str = "cat") -> RowView:
    """Return a line; `level` says which filter its category belongs to."""
    change = row.difference
    a, b = row.a_faults, row.b_faults
    marked, kind = _marked_change(row)
    narrowed = {} if row.category is None else {level: shown_name(row.category)}
    return RowView(
        name=name,
        metric=row.metric,
        a=value_text(row, row.a.value),
        a_range=_range(row, row.a.ci_low, row.a.ci_high),
        b=value_text(row, row.b.value),
        b_range=_range(row, row.b.ci_low, row.b.ci_high),
        change=marked,
        change_kind=kind,
        change_range="" if change is None else _range(row, change.ci_low, change.ci_high, with_sign=True),
        p=DASH if change is None else p_text(change.p),
        adjusted=DASH if change is None else p_text(row.holm_p if row.holm_p is not None else row.q),
        n=count(row.a.n if change is None else change.n),
        clusters=DASH if change is None else count(change.clusters),
        mde=mde_text(row),
        flips=DASH if change is None else f"{count(change.flips_down)} / {count(change.flips_up)}",
        parse=f"{percent(a.parse, a.rows)} → {percent(b.parse, b.rows)}",
        truncated=f"{percent(a.truncated, a.rows)} → {percent(b.truncated, b.rows)}",
        unscored=f"{count(a.unscored)} → {count(b.unscored)}",
        reason=row.reason or "",
        link=filter_link(number, task=shown_name(row.task), **narrowed),
    )


def _change(row: ScoreRow, value: float | None) -> str:
    """Return a change on the row's scale with its sign; one that rounds to 0 has none."""
    text = value_text(row, value)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.,") else text


def _range(row: ScoreRow, low: float | None, high: float | None, *, with_sign: bool = False) -> str:
    if low is None or high is None:
        return ""
    shown = _change if with_sign else value_text
    return f"[{shown(row, low)}, {shown(row, high)}]"


def _benchmark_view(item: Benchmark, sides: tuple[SideView, SideView], number: int, cells: _Cells) -> BenchmarkView:
    left_out = {
        f"only in {sides[0].letter}": item.only_a,
        f"only in {sides[1].letter}": item.only_b,
        "with another gold": item.gold_differs,
    }
    dropped = [f"{count(samples)} {why}" for why, samples in left_out.items() if samples]
    levels = (("cat", item.categories), ("sub", item.l2_categories))
    return BenchmarkView(
        task=item.task,
        about=f"{count(item.shared)} shared samples" + (f"; left out: {', '.join(dropped)}" if dropped else "") + ".",
        reasons=item.comparability.reasons,
        notes=item.comparability.notes,
        metrics=tuple(_row_view(row, row.metric, number) for row in (item.headline, *item.metrics)),
        categories=tuple(
            _row_view(row, row.category or "(none)", number, level) for level, rows in levels for row in rows
        ),
        forest=_category_forest(item, sides),
        faults=_faults(item, number),
        grounding=None if item.grounding is None else _grounding_view(item, item.grounding, sides, number, cells),
    )


def _faults(item: Benchmark, number: int) -> tuple[FaultRow, ...]:
    both = (("a", item.headline.a_faults), ("b", item.headline.b_faults))
    task = shown_name(item.task)
    return tuple(
        FaultRow(
            name,
            tuple(
                (
                    percent(side.by_name.get(name, 0), side.rows),
                    filter_link(number, task=task, fault=f"{which}:{name}"),
                )
                for which, side in both
            ),
        )
        for name in FAULTS
        if any(side.by_name.get(name) for _, side in both)
    )


def _sides_rows(comparison: Comparison, sides: Sequence[SideView]) -> tuple[SidesRow, ...]:
    """Put the headlines of all sides beside each other, each with its change from every side it is compared with."""
    firsts = {
        item.task: (item.headline, number)
        for number, pair in reversed(list(enumerate(comparison.pairs)))
        for item in reversed(pair.benchmarks)
    }
    return tuple(
        SidesRow(
            task=task,
            metric=row.metric,
            link=filter_link(number, task=shown_name(task)),
            cells=tuple(_side_cell(comparison, sides, place, task) for place in range(len(sides))),
        )
        for task, (row, number) in reversed(firsts.items())
    )


def _side_cell(comparison: Comparison, sides: Sequence[SideView], place: int, task: str) -> SideCell:
    scores: dict[str, str] = {}
    changes: list[tuple[str, str, str]] = []
    for pair in comparison.pairs:
        for row in (item.headline for item in pair.benchmarks if item.task == task and place in (pair.a, pair.b)):
            score = row.a if place == pair.a else row.b
            scores.setdefault(value_text(row, score.value), _range(row, score.ci_low, score.ci_high))
            if place == pair.b and row.difference is not None:
                text, kind = _marked_change(row)
                changes.append((f"{text} against {sides[pair.a].letter}", kind, f"Holm p {p_text(row.holm_p)}"))
    ranges = next(iter(scores.values()), "") if len(scores) == 1 else ""
    return SideCell(" or ".join(scores) or DASH, ranges, tuple(changes))


def _marked_change(row: ScoreRow) -> tuple[str, str]:
    """Return a row's change with its mark, and which kind of change it is; a dash without one."""
    if row.difference is None:
        return DASH, ""
    kind = {1: "better", -1: "worse", 0: ""}[significant(row)]
    mark = {"better": "▲ ", "worse": "▼ ", "": ""}[kind]
    return mark + _change(row, row.difference.delta), kind


def _beside_rows(comparison: Comparison, sides: Sequence[SideView]) -> tuple[BesideRow, ...]:
    """Return every side's headlines beside chance and, where there is one, its blind run."""
    gains = {(gain.side, row.task): row for gain in comparison.visual_gains for row in gain.rows}
    rows = [
        _beside_row(task, beside, sides[place], gains.get((place, task)))
        for task in dict.fromkeys(task for side in comparison.sides for task in side.runs[0].beside)
        for place, side in enumerate(comparison.sides)
        if (beside := side.runs[0].beside.get(task)) is not None
    ]
    told = any(row.chance != DASH or row.one_answer != DASH for row in rows) or bool(gains)
    return tuple(rows) if told else ()


def _beside_row(task: str, beside: BesideScore, side: SideView, gain: ScoreRow | None) -> BesideRow:
    found = None if gain is None else gain.difference
    ends = "" if gain is None or found is None else _range(gain, found.ci_low, found.ci_high, with_sign=True)
    return BesideRow(
        task=task,
        metric=beside.metric,
        letter=side.letter,
        colour=side.colour,
        score=interval_text(beside.metric, beside.score),
        chance=baseline_text(beside.metric, beside.baselines.get("chance")),
        one_answer=baseline_text(beside.metric, beside.baselines.get("majority")),
        blind=DASH if gain is None else value_text(gain, gain.a.value),
        gain=DASH if gain is None or found is None else _change(gain, found.delta),
        gain_range=ends or (gain.reason or "" if gain is not None else ""),
    )


def _place_row(item: Benchmark, found: Grounding, pair: PairView, number: int) -> PlaceRow:
    """Put where both sides looked into a line."""
    overlap = next((row for row in item.metrics if row.metric == "mean_iou"), None)
    change, kind = (DASH, "") if overlap is None else _marked_change(overlap)
    a, b = (side.quadrants[_DEFAULT_CUT_PLACE] for side in (found.a, found.b))
    task = shown_name(item.task)
    return PlaceRow(
        task=item.task,
        pair=f"{pair.b.letter} against {pair.a.letter}",
        n=count(found.n),
        mean_iou=(metric_number("mean_iou", found.a.mean_iou.value), metric_number("mean_iou", found.b.mean_iou.value)),
        change=change,
        change_kind=kind,
        quadrants=tuple(
            (percent(a[code], found.n), percent(b[code], found.n), filter_link(number, task=task, qb=code))
            for code in range(len(QUADRANT_WORDS))
        ),
    )


def _forests(comparison: Comparison, sides: Sequence[SideView]) -> tuple[tuple[Markup, str], ...]:
    """Draw the headline changes: fractions in one chart, benchmarks in points of their own in another."""
    found: list[tuple[Markup, str]] = []
    from_first = all(pair.a == 0 for pair in comparison.pairs)
    # a side that is compared with several others has a line for each: then the pairs are told apart, not the sides
    lines = [pair.b if from_first else number for number, pair in enumerate(comparison.pairs)]
    names = {
        line: f"{sides[pair.b].letter} {sides[pair.b].label}"
        if from_first
        else f"{sides[pair.b].letter} against {sides[pair.a].letter}"
        for line, pair in zip(lines, comparison.pairs, strict=True)
    }
    for scale, axis in (
        ("fraction", "change in percentage points"),
        ("points", "change in the benchmark's own points"),
    ):
        rows = [
            (item.headline, line)
            for line, pair in zip(lines, comparison.pairs, strict=True)
            for item in pair.benchmarks
            if item.headline.scale == scale
        ]
        changes = [change for row, side in rows if (change := _drawn(row, f"{row.task} {row.metric}", side))]
        if changes:
            title = f"Change{f' against {sides[0].letter}' if from_first else ''} with 95 % intervals, {axis}"
            found.append((forest_chart(changes, names, axis, title), title))
    return tuple(found)


def _category_forest(item: Benchmark, sides: tuple[SideView, SideView]) -> Markup | None:
    drawn = [_drawn(row, row.category or "(none)", sides[1].colour) for row in item.categories]
    changes = [change for change in drawn if change is not None]
    if not 2 <= len(changes) <= MOST_FOREST_CATEGORIES:
        return None
    axis = (
        "change in percentage points" if item.headline.scale == "fraction" else "change in the benchmark's own points"
    )
    title = f"{item.task}: change by category from {sides[0].letter} to {sides[1].letter}, 95 % intervals"
    return forest_chart(changes, {sides[1].colour: f"{sides[1].letter} {sides[1].label}"}, axis, title)


def _drawn(row: ScoreRow, label: str, side: int) -> Change | None:
    if row.difference is None:
        return None
    scale = 100.0 if row.scale == "fraction" else 1.0
    found = row.difference
    low, high = (None if end is None else end * scale for end in (found.ci_low, found.ci_high))
    return Change(label, found.delta * scale, low, high, side)


def _grounding_view(
    item: Benchmark, found: Grounding, sides: tuple[SideView, SideView], number: int, cells: _Cells
) -> GroundingView:
    task, whole = shown_name(item.task), range(len(QUADRANT_WORDS))
    quadrants = tuple(
        (
            QUADRANT_WORDS[place],
            cells.cell([cut[place] for cut in found.a.quadrants], found.n, filter_link(number, task=task, qa=place)),
            cells.cell([cut[place] for cut in found.b.quadrants], found.n, filter_link(number, task=task, qb=place)),
        )
        for place in whole
    )
    transitions = tuple(
        (
            QUADRANT_WORDS[row],
            tuple(
                cells.cell(
                    [cut[row][column] for cut in found.transitions],
                    found.n,
                    filter_link(number, task=task, qa=row, qb=column),
                )
                for column in whole
            ),
        )
        for row in whole
    )
    named = list(zip(sides, (found.a, found.b), strict=True))
    return GroundingView(
        task=item.task,
        n=count(found.n),
        quadrants=quadrants,
        transitions=transitions,
        places=(*(_boxes_row(side, one, found.n) for side, one in named), *(_prior_row(one) for one in found.priors)),
        coupling=_coupling_chart(item.task, named),
        coupling_heads=tuple(f"{side.letter} {side.label}" for side, _ in named),
        coupling_rows=_coupling_rows([one.coupling for _, one in named]),
        histogram=histogram_chart(
            [Histogram(f"{side.letter} {side.label}", side.colour, one.iou_histogram) for side, one in named],
            "IoU",
            f"{item.task}: samples by IoU",
        ),
        histogram_rows=_histogram_rows(found),
    )


def _boxes_row(side: SideView, found: SideGrounding, n: int) -> tuple[str, str, str, str]:
    quadrants = found.quadrants[_DEFAULT_CUT_PLACE]
    return (
        f"{side.letter} {side.label}",
        number(found.mean_iou.value, 3),
        _plain_range(found.mean_iou),
        percent(quadrants[0] + quadrants[2], n),
    )


def _prior_row(prior: BoxPrior) -> tuple[str, str, str, str]:
    return (f"{prior.name} (no look)", number(prior.mean_iou, 3), "", f"{number(100 * prior.share_at_default_cut)} %")


def _plain_range(score: Metric) -> str:
    if score.ci_low is None or score.ci_high is None:
        return ""
    return f"[{number(score.ci_low, 3)}, {number(score.ci_high, 3)}]"


def _coupling_chart(task: str, sides: Sequence[tuple[SideView, SideGrounding]]) -> Markup | None:
    curves = [
        Curve(f"{side.letter} {side.label}", COLOURS[side.colour], DASHES[side.colour], _curve(found.coupling))
        for side, found in sides
    ]
    last_side, last = sides[-1]
    for prior in last.prior_coupling:
        colour, dash = _PRIOR_LOOKS.get(prior.name, ("var(--muted)", [1, 3]))
        curves.append(Curve(f"answers of {last_side.letter}, {prior.name}", colour, dash, _curve(prior.points)))
    if not any(curve.points for curve in curves):
        return None
    title = f"{task}: P(right | IoU at or above the cut) minus P(right | IoU below it)"
    return curve_chart([curve for curve in curves if curve.points], "IoU cut", "difference in P(right)", title)


def _curve(points: Iterable[CouplingPoint]) -> tuple[CurvePoint, ...]:
    return tuple(
        CurvePoint(point.cut, point.value, point.ci_low, point.ci_high)
        for point in points
        if point.value is not None and min(point.n_at_or_above, point.n_below) >= FEWEST_ON_EITHER_SIDE
    )


def _coupling_rows(sides: Sequence[Sequence[CouplingPoint]]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            number(points[0].cut, 2),
            *(
                DASH
                if point.value is None
                else f"{signed(point.value, 2)} "
                + ("" if point.ci_low is None else f"[{signed(point.ci_low, 2)}, {signed(point.ci_high, 2)}] ")
                + f"({count(point.n_at_or_above)} at or above, {count(point.n_below)} below)"
                for point in points
            ),
        )
        for points in zip(*sides, strict=True)
    )


def _histogram_rows(found: Grounding) -> tuple[tuple[str, str, str], ...]:
    bins = len(found.a.iou_histogram)
    pairs = zip(found.a.iou_histogram, found.b.iou_histogram, strict=True)
    return tuple(
        (f"{number(at / bins, 2)} to {number((at + 1) / bins, 2)}", count(a), count(b))
        for at, (a, b) in enumerate(pairs)
    )


def _spread(comparison: Comparison, sides: Sequence[SideView]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            f"{view.letter} {view.label}",
            spread.task,
            spread.metric,
            ", ".join(metric_number(spread.metric, value) for value in spread.values),
            metric_number(spread.metric, spread.sd),
        )
        for view, side in zip(sides, comparison.sides, strict=True)
        for spread in side.spread
    )
