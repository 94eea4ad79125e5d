"""Probes as words and cells of tables, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping

from harness.probes.fills import Fill, Operation
from harness.probes.probe_summary import FillSummary, ProbeScores, ProbeSummary
from harness.probes.sample_scores import Form, ProbeStatus
from harness.probes.variants import Target
from harness.summary.summary_values import Metric
from reports.texts.numbers_shown import number

PROBE_STATUS_WORDS: Mapping[ProbeStatus, str] = {
    "ok": "scored",
    "not_testable": "scored, but the answer survives a blank picture",
    "format_broken": "no answer in a text about an edited picture",
    "no_box": "no box in the picture",
    "control_impossible": "no room for a random region of the same shape",
    "no_answer": "no answer in the run",
    "not_answered": "not answered",
    "several_pictures": "several pictures",
    "no_picture": "no picture",
    "answer_is_place": "the answer is itself a place",
}

FORM_WORDS: Mapping[Form, str] = {"p": "probability of the answer", "same": "same answer"}

FILL_WORDS: Mapping[Fill, str] = {"mean": "mean colour", "ring": "colour around"}

EDIT_WORDS: Mapping[tuple[Operation, Target], str] = {
    ("repeat", "none"): "nothing changed",
    ("blank", "none"): "whole picture gone",
    ("remove", "named"): "named box removed",
    ("remove", "random"): "random box removed",
    ("remove", "gold"): "gold box removed",
    ("remove", "gold_random"): "random box of the gold's shape removed",
    ("remove", "other"): "other objects removed",
    ("turn", "named"): "colours of the named box turned",
    ("turn", "random"): "colours of a random box turned",
    ("keep", "named"): "named box alone",
    ("keep", "random"): "random box alone",
    ("keep", "gold"): "gold box alone",
    ("keep", "gold_random"): "random box of the gold's shape alone",
}

_BELOW_0 = (
    "below 0: edits anywhere upset the model, or random boxes meet what it goes by more often than the named box does"
)

SCORE_HEADINGS = (
    "benchmark",
    "by",
    "filled with",
    "necessity",
    "all gone",
    "sufficiency",
    "image dependence",
    "strict necessity",
    "strict sufficiency",
    "n",
)

EDIT_HEADINGS = ("benchmark", "filled with", "picture", "answer kept", "right", "format kept", "texts")

LIMITS = (
    "These numbers are about the region that the text names and about this filling: a filled picture is none that the "
    "model was trained on. Evidence that is there twice lowers necessity, evidence spread over the picture lowers "
    "sufficiency."
)


def score_rows(task: str, summary: ProbeSummary) -> list[tuple[str, ...]]:
    """Return the cells of a task's scores, a row a form and a fill."""
    return [
        (
            task,
            FORM_WORDS[form],
            FILL_WORDS[fill],
            points(found.necessity),
            points(found.ceiling),
            points(found.sufficiency),
            points(found.dependence),
            points(found.necessity_strict),
            points(found.sufficiency_strict),
            str(max(found.necessity.n, found.sufficiency.n)),
        )
        for fill, of_fill in summary.fills.items()
        for form, found in of_fill.scores.items()
    ]


def edit_rows(task: str, summary: ProbeSummary) -> list[tuple[str, ...]]:
    """Return the cells of what became of a task's texts, a row a kind of edit and a fill."""
    return [
        (
            task,
            FILL_WORDS[fill],
            EDIT_WORDS[edit.operation, edit.target],
            points(edit.kept),
            points(edit.accuracy),
            points(edit.format_ok),
            str(edit.texts),
        )
        for fill, of_fill in summary.fills.items()
        for edit in of_fill.edits
    ]


def points(metric: Metric) -> str:
    """Return a number in points of a hundred with its interval; a dash where there is none."""
    if metric.value is None or metric.ci_low is None or metric.ci_high is None:
        return number(None if metric.value is None else 100 * metric.value)
    return f"{number(100 * metric.value)} [{number(100 * metric.ci_low)}, {number(100 * metric.ci_high)}]"


def probe_sentences(summary: ProbeSummary) -> list[str]:
    """Say what the probes of a task come to, what they cover, and what is not said."""
    said: list[str] = []
    for fill, found in summary.fills.items():
        said += [f"{FILL_WORDS[fill]}: {sentence}" for sentence in _of_fill(found)]
    if summary.base_repeat.value is not None:
        kept = number(100 * summary.base_repeat.value)
        said.append(f"asked again with nothing changed, {kept} % of answers stay: what is below that is noise")
    if summary.fills_agree.value is not None:
        same = number(100 * summary.fills_agree.value)
        said.append(f"both colours agree about the sign of necessity for {same} % of samples")
    return said


def result_sentence(summary: ProbeSummary) -> str:
    """Say in one sentence what the probes of a task come to by the first colour, with interval and coverage."""
    for fill, found in summary.fills.items():
        scored = sum(found.statuses.get(status, 0) for status in ("ok", "not_testable"))
        covered = f"{scored} of {summary.samples} samples have a score"
        return f"{_necessity_sentence(found.scores['same'])} (filled with {FILL_WORDS[fill]}; {covered})"
    return "nothing was asked"


def _of_fill(found: FillSummary) -> list[str]:
    same = found.scores["same"]
    counts = ", ".join(f"{count} {PROBE_STATUS_WORDS[status]}" for status, count in found.statuses.items())
    return [
        _necessity_sentence(same),
        *_gold_sentences(same),
        _sufficiency_sentence(same),
        _dependence_sentence(same),
        *_colour_sentences(same),
        f"samples: {counts}",
    ]


def _necessity_sentence(found: ProbeScores) -> str:
    metric = found.necessity
    if metric.value is None:
        return f"necessity: {metric.reason}"
    often = "more" if metric.value >= 0 else "less"
    said = (
        f"removing the box it named changed the answer {number(100 * abs(metric.value))} points {often} often than "
        f"removing a random box of the same size{_interval(metric)}"
    )
    if found.ceiling.value is not None:
        said += f"; with the whole picture gone {number(100 * found.ceiling.value)} % of answers changed"
    return f"{said}; {_BELOW_0}" if found.is_artefact else said


def _gold_sentences(found: ProbeScores) -> list[str]:
    """Say whether the gold boxes matter, and what follows where those that were named do not."""
    gold, named = found.gold_necessity, found.necessity
    if gold.value is None:
        return []
    often = "more" if gold.value >= 0 else "less"
    said = (
        f"removing the gold box changed the answer {number(100 * abs(gold.value))} points {often} often than removing "
        f"a random box of its size{_interval(gold)}"
    )
    known = gold.ci_low is not None and named.ci_high is not None
    is_elsewhere = known and (gold.ci_low or 0) > max(0.0, named.ci_high or 0)
    return [f"{said}: answers go with the gold region more than with the box named" if is_elsewhere else said]


def _sufficiency_sentence(found: ProbeScores) -> str:
    metric = found.sufficiency
    if metric.value is None:
        return f"sufficiency: {metric.reason}"
    often = "more" if metric.value >= 0 else "less"
    return (
        f"with the box it named alone the answer stayed {number(100 * abs(metric.value))} points {often} often than "
        f"with a random box of the same size alone{_interval(metric)}"
    )


def _colour_sentences(found: ProbeScores) -> list[str]:
    metric = found.colour_necessity
    if metric.value is None:
        return []
    often = "more" if metric.value >= 0 else "less"
    changed = f"{number(100 * abs(metric.value))} points {often} often"
    said = f"turning the colours in the box it named changed answers about colour {changed} than in a random box"
    return [f"{said}{_interval(metric)}, n {metric.n}"]


def _dependence_sentence(found: ProbeScores) -> str:
    metric = found.dependence
    if metric.value is None:
        return f"image dependence: {metric.reason}"
    said = f"without the picture the answer changed {number(100 * metric.value)} points more often{_interval(metric)}"
    if metric.ci_low is not None and metric.ci_low <= 0:
        return f"{said}: these questions do not need the image"
    return said


def _interval(metric: Metric) -> str:
    if metric.ci_low is None or metric.ci_high is None:
        return ""
    return f" [{number(100 * metric.ci_low)}, {number(100 * metric.ci_high)}]"
