"""Judge a candidate against a baseline: one verdict from which text, JUnit, JSON, Markdown and the exit code follow.

Each gated benchmark is

- REGRESSION when its one-sided p of no drop, adjusted by Holm over all gated benchmarks, is below alpha and the drop is
  beyond the tolerance. The interval is shown but decides nothing here. With few clusters p is that of an exact sign
  test, so that a collapse is found in five clusters already;
- OK when the lower end of the interval lies above minus the tolerance (all benchmarks OK needs no adjustment: the
  candidate must pass every one);
- INCONCLUSIVE otherwise, with the change that could have been detected and the n that would settle it.

A benchmark that is missing or not comparable, or a partial run, makes the whole verdict incomplete: never a pass. A
policy may allow runs of `--limit` that asked the very same samples; every output then says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Literal, TypeAlias

from harness.comparison.to_json import fields_to_json
from harness.comparison.values import Benchmark, Comparison, Pair, ScoreRow, Side
from harness.errors import ConfigError, ExitCode, did_you_mean
from harness.gate.policy import GatePolicy
from harness.scoring.stages import may_leave_out
from harness.stats.paired import PairedDifference, holm
from harness.task_facts import facts_of
from harness.values import Json

VERDICT_SCHEMA = 1
"""Version of the object of `gate --json`."""

State: TypeAlias = Literal["regression", "ok", "inconclusive", "incomparable"]
"""What the gate says of one benchmark; `incomparable` also stands for a missing one."""

Outcome: TypeAlias = Literal["pass", "regression", "inconclusive", "incomplete"]
"""What the gate found of the candidate; what `inconclusive` does to the exit code is the policy's choice."""

EXIT_CODES: dict[Outcome, ExitCode] = {
    "pass": ExitCode.OK,
    "regression": ExitCode.REGRESSION,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "incomplete": ExitCode.INCOMPLETE,
}


@dataclass(frozen=True, slots=True)
class LimitCheck:
    """A limit of the policy that the candidate keeps or breaks, whatever the baseline does."""

    name: str
    """`parse faults` or `mean IoU`."""
    value: float
    """The candidate's: a share or a mean IoU, in [0, 1]."""
    limit: float
    """The policy's, in [0, 1]."""
    kept: bool
    """Whether the candidate keeps it."""


@dataclass(frozen=True, slots=True)
class BenchmarkVerdict:
    """What the gate says of one benchmark, and why."""

    task: str
    """Short task name."""
    metric: str
    """The gated metric; empty for a missing benchmark."""
    state: State
    """The verdict."""
    reason: str
    """Why, in one sentence without numbers' rounding mattering."""
    row: ScoreRow | None
    """The compared scores; None for a missing benchmark."""
    p_holm: float | None
    """One-sided p of no drop, adjusted over the gated benchmarks; None without a test."""
    tolerance: float
    """Drop that is allowed, in the metric's own unit."""
    n_needed: int | None
    """For inconclusive: about how many samples would make a drop of the tolerance detectable; None where unknown."""
    checks: tuple[LimitCheck, ...]
    """Limits of the policy on the candidate alone."""

    @property
    def difference(self) -> PairedDifference | None:
        """The change; None where there is none."""
        return None if self.row is None else self.row.difference


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate says of the candidate."""

    outcome: Outcome
    """Pass, regression, inconclusive or incomplete."""
    baseline: Side
    """What it is compared with."""
    candidate: Side
    """What is judged."""
    benchmarks: tuple[BenchmarkVerdict, ...]
    """Every gated benchmark."""
    reasons: tuple[str, ...]
    """What makes the whole verdict incomplete, beside single benchmarks."""
    notes: tuple[str, ...]
    """What a reader must know although it does not decide."""
    policy: GatePolicy
    """What was demanded."""
    seed: int
    """Fixed the draws."""
    draws: int
    """Sign flips drawn for each p."""
    subset: bool = False
    """Whether both runs asked only a part of the benchmarks, the same one, and the policy allows that."""

    @property
    def exit_code(self) -> ExitCode:
        """The command's exit code: what was found, but that a policy may let inconclusive pass."""
        if self.outcome == "inconclusive" and self.policy.on_inconclusive == "pass":
            return ExitCode.OK
        return EXIT_CODES[self.outcome]

    def count(self, state: State) -> int:
        """Count the benchmarks of one state."""
        return sum(benchmark.state == state for benchmark in self.benchmarks)

    @property
    def sentence(self) -> str:
        """The verdict in one line."""
        words = {"pass": "PASS", "regression": "REGRESSION", "inconclusive": "INCONCLUSIVE", "incomplete": "INCOMPLETE"}
        counts = [f"{self.count(state)} {name}" for state, name in _STATE_WORDS if self.count(state)]
        where = " on a fixed subset (--limit)" if self.subset else ""
        leaves = ", which the policy lets pass" if self.outcome == "inconclusive" and not self.exit_code else ""
        return f"{words[self.outcome]}{where}: {', '.join(counts) or 'no benchmark was gated'}{leaves}"


def verdict_to_json(verdict: Verdict) -> dict[str, Json]:
    """Return a verdict with its exit code and its sentence."""
    return {
        "schema": VERDICT_SCHEMA,
        "exit_code": int(verdict.exit_code),
        "sentence": verdict.sentence,
        **fields_to_json(verdict),
    }


_STATE_WORDS: tuple[tuple[State, str], ...] = (
    ("regression", "regressed"),
    ("incomparable", "missing or not comparable"),
    ("inconclusive", "inconclusive"),
    ("ok", "ok"),
)


def judge(comparison: Comparison, policy: GatePolicy) -> Verdict:
    """Judge the second side of a comparison against the first.

    Raises:
        ConfigError: The policy names a metric that a benchmark does not have, or settings of a task in neither run.
    """
    pair = comparison.pairs[0]
    baseline, candidate = comparison.sides[pair.a], comparison.sides[pair.b]
    _check_task_names(pair, policy)
    gated, absent, notes = _gated(pair, baseline, policy)
    rows = [_gated_row(benchmark, policy) for benchmark in gated]
    problems = [
        _problem(benchmark, row, (baseline, candidate), policy) for benchmark, row in zip(gated, rows, strict=True)
    ]
    adjusted = _holm_of([None if problem else row for row, problem in zip(rows, problems, strict=True)])
    benchmarks = [
        _benchmark_verdict(row, problem, p_holm, _checks(benchmark, candidate, policy), policy)
        for benchmark, row, problem, p_holm in zip(gated, rows, problems, adjusted, strict=True)
    ]
    benchmarks += [_absent(task, pair, policy) for task in absent]
    notes += _noise_notes([*(benchmark.task for benchmark in gated), *absent], policy)
    subset = policy.allow_limited and equal_selection(pair, baseline, candidate)
    reasons = [*pair.comparability.reasons, *verdict_bars(baseline, candidate, pair, subset_allowed=subset)]
    if subset:
        notes.insert(0, _subset_note(gated, candidate))
    if not benchmarks:
        reasons.append("the runs share no task that the policy gates")
    if policy.mean_iou_floor is not None and not any(c.name == "mean IoU" for b in benchmarks for c in b.checks):
        reasons.append("the policy has a mean-IoU floor, but no gated task has gold boxes to hold it to")
    return Verdict(
        outcome=_outcome(benchmarks, reasons),
        baseline=baseline,
        candidate=candidate,
        benchmarks=tuple(benchmarks),
        reasons=tuple(reasons),
        notes=tuple(dict.fromkeys([*pair.comparability.notes, *notes])),
        policy=policy,
        seed=comparison.seed,
        draws=comparison.draws,
        subset=subset,
    )


def _check_task_names(pair: Pair, policy: GatePolicy) -> None:
    """Refuse settings of a task that is in neither run: a name spelt wrongly would leave the true one ungated."""
    known = [*_run_tasks(pair), *policy.tasks, *(policy.required_tasks or ())]
    named = [("metrics", task) for task in policy.metrics]
    named += [("noise_floor", task) for task in policy.noise_floor if policy.noise_file is None]
    faults = [
        f"{name} names {task!r}, which neither run has.{did_you_mean(task, known)}"
        for name, task in named
        if task not in known
    ]
    if faults:
        raise ConfigError(f"the policy's {' '.join(faults)} The runs have: {', '.join(_run_tasks(pair))}")


def _run_tasks(pair: Pair) -> list[str]:
    """Return the tasks of either run."""
    return [*(benchmark.task for benchmark in pair.benchmarks), *pair.only_a_tasks, *pair.only_b_tasks]


def _noise_notes(tasks: Sequence[str], policy: GatePolicy) -> list[str]:
    """Say where a noise floor raises the tolerance, or that a noise file has no floor for what is gated."""
    if policy.noise_file is not None and not any(task in policy.noise_floor for task in tasks):
        return [
            f"the noise file {policy.noise_file} has no floor for any gated task: the policy's tolerance stands alone"
        ]
    raised = {task: policy.tolerance_of(task) for task in tasks if policy.tolerance_of(task) > policy.tolerance}
    return [
        f"{task}: the noise floor raises the tolerance from {policy.tolerance:g} to {points:.3g} points"
        for task, points in raised.items()
    ]


def _gated(pair: Pair, baseline: Side, policy: GatePolicy) -> tuple[list[Benchmark], list[str], list[str]]:
    """Return the gated benchmarks, the required tasks that are not in both runs, and notes."""
    known = {benchmark.task: benchmark for benchmark in pair.benchmarks}
    wanted = policy.tasks or tuple(dict.fromkeys([*known, *pair.only_a_tasks]))
    required = wanted if policy.required_tasks is None else policy.required_tasks
    absent = [task for task in dict.fromkeys([*wanted, *required]) if task not in known and task in required]
    notes = [f"{benchmark.task}: {note}" for benchmark in pair.benchmarks for note in benchmark.comparability.notes]
    notes += [f"{task}: {_whereabouts(task, pair)}" for task in wanted if task not in known and task not in required]
    if pair.only_a_tasks:
        notes.append(f"only {baseline.label} has: {', '.join(pair.only_a_tasks)}")
    return [known[task] for task in dict.fromkeys([*wanted, *required]) if task in known], absent, notes


def _gated_row(benchmark: Benchmark, policy: GatePolicy) -> ScoreRow:
    """Return the row of the gated metric."""
    wanted = policy.metrics.get(benchmark.task)
    rows = {row.metric: row for row in (benchmark.headline, *benchmark.metrics)}
    if wanted is None:
        return benchmark.headline
    if wanted not in rows:
        raise ConfigError(
            f"the policy gates {benchmark.task} on {wanted!r}, which it does not have; it has: {', '.join(rows)}."
            f"{did_you_mean(wanted, list(rows))}"
        )
    return rows[wanted]


def _problem(benchmark: Benchmark, row: ScoreRow, sides: tuple[Side, Side], policy: GatePolicy) -> str | None:
    """Say why a benchmark cannot be judged; None when it can."""
    if not benchmark.comparability.comparable:
        return "; ".join(benchmark.comparability.reasons)
    unheld = None if policy.mean_iou_floor is None else _floor_problem(benchmark, *sides)
    return unheld if row.reason is None else row.reason + _instead(benchmark, row)


def _instead(benchmark: Benchmark, row: ScoreRow) -> str:
    """Name a metric of the answers that can be gated where the wanted one cannot be given."""
    known = {metric.name for metric in facts_of(benchmark.task).metrics}
    given = (one.metric for one in benchmark.metrics if one.metric in known and one.difference is not None)
    name = next(given, None) if row is benchmark.headline else None
    return f'; to gate it on another metric: metrics = {{ {benchmark.task} = "{name}" }}' if name else ""


def _floor_problem(benchmark: Benchmark, baseline: Side, candidate: Side) -> str | None:
    """Say why a task's mean-IoU floor cannot be held to the candidate; None when it can, or the task has no boxes."""
    task = benchmark.task
    has_gold = any(task in run.mean_ious for run in (*baseline.runs, *candidate.runs))
    if has_gold and any(may_leave_out(run.format) for run in candidate.runs):
        return (
            "the mean-IoU floor cannot be held to texts that may leave their boxes out, since those that have them may "
            "be the easy ones: leave mean_iou_floor out of the policy, or ask in a format that wants boxes"
        )
    unplaced = any(run.mean_ious.get(task, 0.0) is None for run in candidate.runs)
    if unplaced or benchmark.headline.b_faults.by_name.get("frame_unknown"):
        return "the mean-IoU floor cannot be held to boxes of an unknown frame: declare --box-dialect"
    if _mean_iou(candidate, task) is None and any(task in run.mean_ious for run in baseline.runs):
        return (
            "the mean-IoU floor cannot be held to the candidate, which carries no gold boxes where the baseline does: "
            "score it with the same gold"
        )
    return None


def _mean_iou(side: Side, task: str) -> float | None:
    """Return a side's own mean IoU over all its samples with gold boxes (several seeds: their mean); None without."""
    values = [run.mean_ious.get(task) for run in side.runs]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def verdict_bars(a: Side, b: Side, pair: Pair, *, subset_allowed: bool = False) -> tuple[str, ...]:
    """Say what bars a verdict on sides whose numbers may be subtracted: the same texts, or part of the data.

    Args:
        a: The baseline.
        b: The candidate.
        pair: Both, compared.
        subset_allowed: Whether runs of `--limit` may be judged, on what both asked.
    """
    reasons: list[str] = []
    if b.shares_a_run(a):
        reasons.append(
            "candidate and baseline are the same texts, only the protocols of their scores differ "
            f"({a.label} and {b.label}): gate another run; compare shows what the protocols change"
        )
    for role, side in (("baseline", a), ("candidate", b)):
        if not subset_allowed and any(run.partial for run in side.runs):
            reasons.append(f"the {role} is partial (--limit): run it in full")
    if pair.on_shared and any(item.only_a or item.only_b or item.gold_differs for item in pair.benchmarks):
        reasons.append("only the samples that both runs have alike are compared (--on-shared): others are left out")
    return tuple(reasons)


def equal_selection(pair: Pair, a: Side, b: Side) -> bool:
    """Tell whether both sides are runs of `--limit` that asked the very same samples of every shared task."""
    limited = all(run.partial for side in (a, b) for run in side.runs)
    return limited and all(not (item.only_a or item.only_b) for item in pair.benchmarks)


def _subset_note(gated: Sequence[Benchmark], candidate: Side) -> str:
    """Say that the verdict holds for a part of the benchmarks, and how large it is."""
    rows = candidate.runs[0].task_rows
    parts = [
        f"{item.task} {item.shared + item.gold_differs:,} of {rows[item.task]:,}" for item in gated if item.task in rows
    ]
    return f"judged on a fixed subset (--limit), which the policy allows: {', '.join(parts)} samples"


def _holm_of(rows: Sequence[ScoreRow | None]) -> list[float | None]:
    """Return the one-sided p of each row, adjusted over those that have one."""
    tested = [
        (place, row.difference.p_drop)
        for place, row in enumerate(rows)
        if row is not None and row.difference is not None and row.difference.p_drop is not None
    ]
    adjusted: list[float | None] = [None] * len(rows)
    for (place, _), p in zip(tested, holm([p for _, p in tested]), strict=True):
        adjusted[place] = p
    return adjusted


def _benchmark_verdict(
    row: ScoreRow, problem: str | None, p_holm: float | None, checks: tuple[LimitCheck, ...], policy: GatePolicy
) -> BenchmarkVerdict:
    """Judge one benchmark."""
    tolerance = policy.tolerance_of(row.task) / 100 * row.span
    difference = row.difference
    needed: int | None = None
    if problem is not None or difference is None:
        state, reason = "incomparable", problem or "no change can be given"
    elif p_holm is not None and p_holm < policy.alpha and -difference.delta > tolerance:
        state, reason = "regression", "the score dropped by more than the tolerance, and not by chance"
    elif difference.too_few:
        state, reason = "inconclusive", f"too few clusters ({difference.clusters}) to rule a drop out"
    elif difference.ci_low is None:
        state, reason = "inconclusive", "no interval can be given: a part of the benchmark has fewer than two clusters"
    elif difference.ci_low > -tolerance:
        state, reason = "ok", "a drop beyond the tolerance is ruled out"
    else:
        needed = difference.n_needed(tolerance) if tolerance > 0 else None
        state, reason = "inconclusive", "a drop beyond the tolerance can be neither shown nor ruled out"
    broken = [check for check in checks if not check.kept]
    if broken and state != "incomparable":
        kept = "" if state != "regression" else f"{reason}; "
        state, reason = "regression", kept + "; ".join(_broken_text(check) for check in broken)
    return BenchmarkVerdict(
        task=row.task,
        metric=row.metric,
        state=state,
        reason=reason,
        row=row if problem is None else replace(row, difference=None, reason=problem),
        p_holm=p_holm,
        tolerance=tolerance,
        n_needed=needed,
        checks=checks,
    )


def _checks(benchmark: Benchmark, candidate: Side, policy: GatePolicy) -> tuple[LimitCheck, ...]:
    """Hold the candidate to the policy's limits."""
    checks: list[LimitCheck] = []
    faults = benchmark.headline.b_faults
    if policy.parse_fault_ceiling is not None and faults.rows:
        share, limit = faults.parse / faults.rows, policy.parse_fault_ceiling / 100
        checks.append(LimitCheck("parse faults", share, limit, share <= limit))
    overlap = _mean_iou(candidate, benchmark.task)
    if policy.mean_iou_floor is not None and overlap is not None:
        checks.append(LimitCheck("mean IoU", overlap, policy.mean_iou_floor, overlap >= policy.mean_iou_floor))
    return tuple(checks)


def _broken_text(check: LimitCheck) -> str:
    if check.name == "parse faults":
        return f"parse faults in {100 * check.value:.1f} % of texts, above the ceiling of {100 * check.limit:g} %"
    return f"mean IoU {check.value:.3f}, below the floor of {check.limit:g}"


def _whereabouts(task: str, pair: Pair) -> str:
    """Say which runs have a task that not both have, with the name that was meant where neither has it."""
    tasks = _run_tasks(pair)
    if task in tasks:
        return "not in both runs"
    nearest = did_you_mean(task, tasks)
    return f"in neither run.{nearest}" if nearest else "in neither run"


def _absent(task: str, pair: Pair, policy: GatePolicy) -> BenchmarkVerdict:
    return BenchmarkVerdict(
        task=task,
        metric="",
        state="incomparable",
        reason=f"required, but {_whereabouts(task, pair)}",
        row=None,
        p_holm=None,
        tolerance=policy.tolerance_of(task) / 100,
        n_needed=None,
        checks=(),
    )


def _outcome(benchmarks: Sequence[BenchmarkVerdict], reasons: Sequence[str]) -> Outcome:
    states = {benchmark.state for benchmark in benchmarks}
    if reasons or "incomparable" in states:
        return "incomplete"
    if "regression" in states:
        return "regression"
    return "inconclusive" if "inconclusive" in states else "pass"
