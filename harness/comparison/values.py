"""The values that a comparison of runs is made of: every page, table, report and verdict reads these and nothing else.

`harness/comparison/compare.py` makes them of stored runs. Numbers are fractions (or the metric's own points), never
percent, never rounded; a number that cannot be given is None (NaN in arrays) with its reason beside it. What a row says
of two runs it says of the samples that both have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from harness.stats.intervals import CodeArray, FloatArray
from harness.stats.paired import PairedDifference
from harness.summary.counted_units import ANSWER_RIGHT
from harness.summary.means import Metric
from harness.summary.summary_values import Baseline
from harness.task_facts import Scale
from harness.values import FAULTS, PARSE_FAULTS, Fault, Protocol

CUTS: tuple[float, ...] = tuple(round(0.05 * step, 2) for step in range(1, 20))
"""IoU cuts at which place is called right: 0.05, 0.10 ... 0.95; 0.5 among them."""

DEFAULT_CUT = 0.5
"""The cut of `acc@0.5` and of the quadrants in `scores.json`."""

Direction: TypeAlias = Literal["lost", "gained", "kept_right", "kept_wrong", "unscored"]
"""What became of a sample's answer from A to B: right to wrong, wrong to right, right or wrong in both, no value."""

Quadrant: TypeAlias = Literal[
    "right_answer_right_place",
    "right_answer_wrong_place",
    "wrong_answer_right_place",
    "wrong_answer_wrong_place",
]
"""Answer and place of one sample in one run."""

DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
QUADRANTS: tuple[Quadrant, ...] = get_args(Quadrant)

NO_QUADRANT = -1
"""Code of a sample that has no answer value or no IoU."""

FAULT_BITS: Mapping[Fault, int] = {fault: 1 << place for place, fault in enumerate(FAULTS)}
"""Bit of each fault in `SampleSide.faults`."""

PARSE_FAULT_BITS = sum(FAULT_BITS[fault] for fault in PARSE_FAULTS)
"""All bits that say that a text did not keep to the format."""


@dataclass(frozen=True, slots=True)
class BesideScore:
    """A run's headline of one benchmark as its own scores have it, with what it is to be read beside."""

    metric: str
    """Name of the headline."""
    score: Metric
    """Its value over all its samples, shared or not."""
    baselines: Mapping[str, Baseline]
    """`chance` and `majority`; empty in runs of before."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What a page says of one run."""

    name: str
    """The run folder's name."""
    path: Path
    """The run folder; never shown in full."""
    model: str
    """Model id or path as it was given: untrusted text."""
    weights: str
    """First 12 digits of the weights' (and adapter's) hash; empty where they cannot be seen."""
    protocol: Protocol
    """Rules of the scores that are compared."""
    protocol_version: str
    """The same with their version, such as `strict@6`."""
    rescored: bool
    """Whether these are the scores of a later `rescore`."""
    format: str
    """The stages that were asked for."""
    seed: int
    """The run's seed."""
    partial: bool
    """Whether `--limit` left samples out."""
    predictions_only: bool
    """Whether the texts were made elsewhere."""
    created_utc: str
    """When it began."""
    task_rows: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rows of each task's whole split, asked or not."""
    mean_ious: Mapping[str, float | None] = field(default_factory=dict[str, float | None])
    """Mean union IoU by task as its own scores say it, over all its samples, shared or not; None where the frame of its
    boxes is not known. A task without gold boxes is not in it."""
    beside: Mapping[str, BesideScore] = field(default_factory=dict[str, BesideScore])
    """Headline and baselines by task, as the run's own scores have them."""
    blind: str | None = None
    """What was shown in place of the pictures; None where they were shown."""
    imported: str | None = None
    """The program, with its version, whose log it was made of; None where it was not."""


@dataclass(frozen=True, slots=True)
class SeedSpread:
    """How one benchmark's score varies between the seeds of one side."""

    task: str
    """Short task name."""
    metric: str
    """The benchmark's headline metric."""
    values: tuple[float | None, ...]
    """One value per run of the side, in their order."""
    sd: float | None
    """Standard deviation (n - 1) of the values that exist; None with fewer than two."""


@dataclass(frozen=True, slots=True)
class Side:
    """What is compared: one run under one protocol, or several seeds of one model, averaged sample by sample."""

    label: str
    """A short name, unlike every other side's: untrusted text."""
    runs: tuple[RunFacts, ...]
    """The runs; more than one only for several seeds of one model. Explorer and texts show the first."""
    spread: tuple[SeedSpread, ...]
    """Spread between seeds per benchmark; empty for one run."""

    def shares_a_run(self, other: Side) -> bool:
        """Tell whether both sides hold scores of the same texts, under two protocols or before and after a rescore."""
        folders = {run.path.resolve() for run in self.runs}
        return any(run.path.resolve() in folders for run in other.runs)


@dataclass(frozen=True, slots=True)
class ProvenanceField:
    """One line of the table of provenance."""

    name: str
    """What it is, such as `max pixels`."""
    values: tuple[str, ...]
    """One text per run, in the order of the sides' runs; empty where not known."""
    differs: bool
    """Whether the runs do not all say the same."""
    must_agree: bool
    """Whether a difference makes runs incomparable (as opposed to being what is compared)."""


@dataclass(frozen=True, slots=True)
class Comparability:
    """Whether numbers may be subtracted."""

    reasons: tuple[str, ...] = ()
    """Why not, one sentence each; empty when they may."""
    notes: tuple[str, ...] = ()
    """What a reader must know although they may, such as samples left out or a partial run."""

    @property
    def comparable(self) -> bool:
        """Whether there is no reason against it."""
        return not self.reasons


@dataclass(frozen=True, slots=True)
class SideFaults:
    """What went wrong in one side's texts, among the shared samples of a row. Counts; shares are made on the page."""

    rows: int
    """Shared samples."""
    parse: int
    """Texts that did not keep to the format in some way."""
    truncated: int
    """Texts that the token budget ended."""
    unscored: int
    """Samples without a value."""
    by_name: Mapping[Fault, int]
    """Samples with each fault, in the order of `FAULTS`; a sample with two counts in both."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """One line of a table: a benchmark's metric, or one of its categories, in both sides."""

    task: str
    """Short task name."""
    category: str | None
    """The category (untrusted text); None for the whole benchmark."""
    metric: str
    """Name of the metric, as in `scores.json`."""
    scale: Scale
    """How to show it."""
    span: float
    """Greatest less least value that the metric can have: 1 for a fraction, 2800 for MME's total."""
    a: Metric
    """The first side."""
    b: Metric
    """The second side."""
    difference: PairedDifference | None
    """The change; None when it cannot be given."""
    reason: str | None
    """Why there is no change; None where there is one."""
    holm_p: float | None
    """Two-sided p, adjusted by Holm over every headline of the comparison; None for exploratory rows."""
    q: float | None
    """Benjamini and Hochberg's q over the exploratory rows of the comparison; None for headlines."""
    a_faults: SideFaults
    """Faults of the first side on these samples."""
    b_faults: SideFaults
    """Faults of the second side."""


@dataclass(frozen=True, slots=True)
class CouplingPoint:
    """P(answer right | IoU >= cut) - P(answer right | IoU < cut): does a right answer go with the right place?"""

    cut: float
    """The IoU cut."""
    value: float | None
    """The difference in [-1, 1]; None where either set is empty."""
    ci_low: float | None
    """Lower end of its 95 % interval under resampling of clusters."""
    ci_high: float | None
    """Upper end."""
    n_at_or_above: int
    """Samples with IoU >= cut."""
    n_below: int
    """Samples with IoU < cut."""


@dataclass(frozen=True, slots=True)
class BoxPrior:
    """A box that needs no look at the image, to compare the model's boxes with."""

    name: str
    """`whole image` or `centre box` (half the width and height, in the middle)."""
    mean_iou: float
    """Its mean IoU with the gold boxes."""
    share_at_default_cut: float
    """Share of samples in which its IoU is at least `DEFAULT_CUT`."""


@dataclass(frozen=True, slots=True)
class PriorCoupling:
    """The coupling curve that the answers would have with a prior's box in place of the model's."""

    name: str
    """The prior's name."""
    points: tuple[CouplingPoint, ...]
    """One point per cut."""


@dataclass(frozen=True, slots=True)
class SideGrounding:
    """Where one side looked, on the shared samples with an answer value and an IoU in both sides."""

    quadrants: tuple[tuple[int, int, int, int], ...]
    """Samples per quadrant (in the order of `QUADRANTS`), one entry per cut of `CUTS`."""
    iou_histogram: tuple[int, ...]
    """Samples per IoU bin: [0, 0.05), [0.05, 0.10) ... [0.95, 1]; twenty bins."""
    mean_iou: Metric
    """Mean union IoU."""
    coupling: tuple[CouplingPoint, ...]
    """The coupling curve, one point per cut."""
    prior_coupling: tuple[PriorCoupling, ...]
    """The same answers against boxes that need no look; empty where image sizes are not known."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """Answer and place together, for a benchmark with gold boxes."""

    n: int
    """Shared samples with an answer value and an IoU in both sides."""
    a: SideGrounding
    """The first side."""
    b: SideGrounding
    """The second side."""
    transitions: tuple[tuple[tuple[int, ...], ...], ...]
    """Per cut of `CUTS` a 4 x 4 matrix of samples: row = quadrant in A, column = quadrant in B."""
    priors: tuple[BoxPrior, ...]
    """What boxes that need no look earn; empty where image sizes are not known."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One benchmark in both sides."""

    task: str
    """Short task name."""
    comparability: Comparability
    """Whether its numbers may be subtracted."""
    shared: int
    """Samples that are compared: in both sides, with the same gold."""
    only_a: int
    """Samples left out because B does not have them."""
    only_b: int
    """Samples left out because A does not have them."""
    gold_differs: int
    """Samples left out because they are not the same in both: their gold, or anything else that enters the prompt or
    the score."""
    differing: tuple[str, ...]
    """What differs in them, such as `question` or `precision`."""
    headline: ScoreRow
    """The benchmark's one primary metric."""
    metrics: tuple[ScoreRow, ...]
    """Further metrics (mean_iou, acc@0.5, caption, format...): exploratory."""
    categories: tuple[ScoreRow, ...]
    """The headline's samples by category: exploratory."""
    l2_categories: tuple[ScoreRow, ...]
    """By second-level category: exploratory."""
    grounding: Grounding | None
    """Answer x place; None where no shared sample has gold boxes and a known frame in both sides."""

    @property
    def is_compared(self) -> bool:
        """Whether any of its metrics has a change."""
        return any(row.difference is not None for row in (self.headline, *self.metrics))


@dataclass(frozen=True, slots=True)
class SampleSide:
    """Columns of one side, one place per shared sample."""

    values: FloatArray
    """The answer's score; NaN when unscored. The mean over seeds where a side has several runs."""
    ious: FloatArray
    """Union IoU; NaN where there is none."""
    faults: NDArray[np.uint32]
    """Faults of the first run as bits (`FAULT_BITS`)."""
    rows: CodeArray
    """Row in the first run's `samples.parquet`, for `harness.comparison.sample_texts`."""


@dataclass(frozen=True, slots=True)
class SampleTable:
    """All shared samples of a pair of sides as columns, in the order of A's run; texts stay on disk."""

    task_names: tuple[str, ...]
    """Tasks by code."""
    tasks: CodeArray
    """Code of each sample's task."""
    category_names: tuple[str, ...]
    """Categories by code (untrusted text); the empty name is a sample without one."""
    categories: CodeArray
    """Code of each sample's category."""
    ids: tuple[str, ...]
    """Sample ids, unique within a task: untrusted text."""
    directions: NDArray[np.int8]
    """Index in `DIRECTIONS`."""
    a: SampleSide
    """The first side."""
    b: SampleSide
    """The second side."""

    def __len__(self) -> int:
        return len(self.ids)

    def of_task(self, task: str) -> NDArray[np.bool_]:
        """Tell for each sample whether it is one of a task's."""
        return self.tasks == (self.task_names.index(task) if task in self.task_names else -1)

    def quadrants(self, side: SampleSide, cut: float = DEFAULT_CUT) -> NDArray[np.int8]:
        """Return each sample's index in `QUADRANTS` at an IoU cut; `NO_QUADRANT` where answer or IoU is missing."""
        return quadrant_codes(side.values, side.ious, cut)


LookedScore: TypeAlias = Literal["necessity", "sufficiency", "dependence", "follow", "last_over_earlier", "density"]
"""What the probes of a run give, and the density of attention in the boxes that its texts name."""


@dataclass(frozen=True, slots=True)
class LookedChange:
    """How a number about where a side looked, or whether that mattered, changed; over samples that have it in both."""

    task: str
    """Short task name."""
    score: LookedScore
    """Which number."""
    form: str
    """`p` or `same` of the probes; empty of attention."""
    fill: str
    """By which colour; empty of attention."""
    asked: int
    """Shared samples that were asked in both runs."""
    a: float | None
    """Mean of the first side; None where there is no change."""
    b: float | None
    """Mean of the second."""
    change: Metric
    """The second less the first, or why there is none."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sides compared."""

    a: int
    """Place of the first side in `Comparison.sides` (the baseline)."""
    b: int
    """Place of the second."""
    comparability: Comparability
    """What holds for every benchmark of the pair."""
    benchmarks: tuple[Benchmark, ...]
    """By task, in A's order."""
    only_a_tasks: tuple[str, ...]
    """Tasks that only the first side has."""
    only_b_tasks: tuple[str, ...]
    """Tasks that only the second side has."""
    samples: SampleTable
    """Every shared sample, for the explorer."""
    on_shared: bool = False
    """Whether benchmarks are compared although samples were left out of them; no verdict follows then."""
    looked: tuple[LookedChange, ...] = ()
    """Where both looked and whether it mattered; empty where not both were asked."""


@dataclass(frozen=True, slots=True)
class ParityRow:
    """One run's metric under several protocols: the same raw texts, other rules."""

    run: str
    """The run folder's name."""
    task: str
    """Short task name."""
    metric: str
    """Name of the metric."""
    values: Mapping[Protocol, float | None]
    """Value under each protocol that the run was scored with."""


@dataclass(frozen=True, slots=True)
class VisualGain:
    """What one side's scores owe to seeing: they less those of the same model's blind run."""

    side: int
    """The side that saw the pictures, as its place among the sides."""
    blind: int
    """The side that did not."""
    shown: str
    """What the blind side was shown in their place."""
    rows: tuple[ScoreRow, ...]
    """Per benchmark the headline: A the blind side, B the one that saw; the difference is the gain."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two or more sides, compared two by two."""

    sides: tuple[Side, ...]
    """What is compared, the baseline first."""
    provenance: tuple[ProvenanceField, ...]
    """What the runs are, field by field; values in the order of `runs`."""
    pairs: tuple[Pair, ...]
    """The sides two by two; without any wish the first against each other one."""
    parity: tuple[ParityRow, ...]
    """Scores under several protocols; empty unless a run was scored again."""
    seed: int
    """Fixed the draws of intervals and tests."""
    draws: int
    """Sign flips drawn for each p."""
    visual_gains: tuple[VisualGain, ...] = ()
    """One per side whose model is there blind too."""

    @property
    def runs(self) -> tuple[RunFacts, ...]:
        """All runs, side by side."""
        return tuple(run for side in self.sides for run in side.runs)


def quadrant_codes(values: FloatArray, ious: FloatArray, cut: float) -> NDArray[np.int8]:
    """Return each sample's index in `QUADRANTS`; `NO_QUADRANT` where the answer value or the IoU is NaN.

    Args:
        values: Answer scores in [0, 1]; at least `ANSWER_RIGHT` is right.
        ious: Union IoUs; at least `cut` is the right place.
        cut: The IoU cut.
    """
    codes = (2 * (values < ANSWER_RIGHT) + (ious < cut)).astype(np.int8)
    codes[np.isnan(values) | np.isnan(ious)] = NO_QUADRANT
    return codes
