"""Put a run's scores under several protocols into words, for terminal, Markdown and pages alike."""

from __future__ import annotations

from dataclasses import dataclass

from harness.evaluation.parity import NO_RULE, DisagreedSample, Taken, TaskParity
from harness.scoring.protocol_differences import Difference
from harness.summary.summary_values import TaskSummary
from harness.values import Protocol
from reports.texts.numbers_shown import DASH, count, metric_number, number, percent

# `judge`: samples that only a judge could read, scored or not
SCORE_HEADINGS = ("benchmark", "protocol", "score [95 %]", "n", "null", "judge")
AGREEMENT_HEADINGS = ("benchmark", "protocols", "scored alike", "share")


@dataclass(frozen=True, slots=True)
class SampleLine:
    """One sample that protocols score differently."""

    id: str
    """Its id."""
    golds: str
    """The accepted answers."""
    answer: str
    """What was read."""
    taken: str
    """What each protocol took and gave."""


def score_rows(task: TaskParity) -> list[tuple[str, ...]]:
    """Return a row of `SCORE_HEADINGS` for each protocol, the benchmark named in the first."""
    rows: list[tuple[str, ...]] = []
    for protocol, summary in task.scores.items():
        name = "" if rows else task.task
        if summary is None:
            rows.append((name, protocol, DASH, "", "", ""))
        else:
            name = f"{task.task} {summary.headline}" if not rows else ""
            rows.append((name, protocol, score_text(summary), *_counts(summary)))
    return rows


def score_text(summary: TaskSummary | None) -> str:
    """Return a headline with its interval; a dash where there is none, of which `reason_lines` say why."""
    if summary is None:
        return DASH
    metric, name = summary.shown, summary.headline
    value = metric_number(name, metric.value)
    if metric.value is None or metric.ci_low is None:
        return value
    return f"{value} [{metric_number(name, metric.ci_low)}, {metric_number(name, metric.ci_high)}]"


def reason_lines(task: TaskParity) -> list[str]:
    """Say why a benchmark has no number under some protocols, those of one reason together."""
    by_reason: dict[str, list[str]] = {}
    for protocol, summary in task.scores.items():
        reason = NO_RULE if summary is None else summary.shown.reason
        if reason is not None:
            by_reason.setdefault(reason, []).append(protocol)
    return [f"{task.task}: {', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def _counts(summary: TaskSummary) -> tuple[str, str, str]:
    return (
        count(summary.shown.n),
        count(sum(summary.unscored.values())),
        count(judged) if (judged := summary.faults.get("needs_judge", 0)) else "",
    )


def agreement_rows(task: TaskParity) -> list[tuple[str, ...]]:
    """Return a row of `AGREEMENT_HEADINGS` for each two protocols, the benchmark named in the first."""
    return [
        (
            "" if place else task.task,
            f"{pair.a}, {pair.b}",
            f"{count(pair.alike)} of {count(pair.samples)}",
            percent(pair.alike, pair.samples),
        )
        for place, pair in enumerate(task.agreements)
    ]


def disagreement_sentence(task: TaskParity) -> str:
    """Say how many samples protocols part on, and how many of them are told."""
    if not task.disagreeing:
        return f"{task.task}: all protocols with rules score every sample alike"
    samples = "1 sample is" if task.disagreeing == 1 else f"{count(task.disagreeing)} samples are"
    told = f"; the first {count(len(task.shown))} are told, {count(task.left_out)} left out" if task.left_out else ""
    return f"{task.task}: {samples} scored differently{told}"


def sample_line(sample: DisagreedSample) -> SampleLine:
    """Return a sample's words: protocols that took and gave the same stand together."""
    by_taken: dict[Taken, list[str]] = {}
    for protocol, taken in sample.taken.items():
        by_taken.setdefault(taken, []).append(protocol)
    return SampleLine(
        id=sample.id,
        golds=" | ".join(sample.golds) or DASH,
        answer=DASH if sample.answer is None else sample.answer,
        taken=" · ".join(f"{', '.join(names)}: {taken_text(taken)}" for taken, names in by_taken.items()),
    )


def taken_text(taken: Taken) -> str:
    """Return what a protocol took and what it gave for it, such as `'B' → 1` or `nothing → 0 (no_match)`."""
    took = "nothing" if taken.extracted is None else repr(taken.extracted)
    gave = "null" if taken.value is None else number(taken.value, 0 if taken.value in {0.0, 1.0} else 3)
    faults = f" ({', '.join(taken.faults)})" if taken.faults else ""
    return f"{took} → {gave}{faults}"


def difference_lines(task: TaskParity, versions: dict[Protocol, str]) -> list[str]:
    """Say how each protocol's rules part from `strict`, with the file in which that was seen."""
    by_difference: dict[Difference, list[str]] = {}
    for protocol, found in task.differences.items():
        for difference in found:
            by_difference.setdefault(difference, []).append(versions[protocol])
    return [
        f"{', '.join(names)}: {difference.says} ({difference.source})" for difference, names in by_difference.items()
    ]
