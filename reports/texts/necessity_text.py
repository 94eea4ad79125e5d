"""Probes as words and cells of tables, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping

from harness.probes.fills import Fill, Operation
from harness.probes.pasted import PastedSummary
from harness.probes.probe_summary import FillSummary, ProbeScores, ProbeSummary, StoredProbes
from harness.probes.sample_scores import LEAST_DEPENDENCE, Form, PasteStatus, ProbeStatus
from harness.probes.stepped import StepsStatus, StepsSummary
from harness.probes.variants import MOST_STEPS, Target
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

PASTE_STATUS_WORDS: Mapping[PasteStatus, str] = {
    **PROBE_STATUS_WORDS,
    "not_about_region": "not about what stands in a region",
    "nothing_other": "nothing to paste that answers otherwise",
    "no_room": "no region of the same shape apart from boxes and gold",
}

STEPS_STATUS_WORDS: Mapping[StepsStatus, str] = {
    "ok": "scored",
    "not_testable": PROBE_STATUS_WORDS["not_testable"],
    "no_step": "no step with a place in the picture",
    "one_step": "no earlier step to compare with",
    "too_many_steps": f"more than {MOST_STEPS} steps",
    "control_impossible": "no room for a random region of the last step's shape",
    "format_broken": PROBE_STATUS_WORDS["format_broken"],
    "no_answer": PROBE_STATUS_WORDS["no_answer"],
    "not_answered": PROBE_STATUS_WORDS["not_answered"],
    "several_pictures": PROBE_STATUS_WORDS["several_pictures"],
    "no_picture": PROBE_STATUS_WORDS["no_picture"],
    "answer_is_place": PROBE_STATUS_WORDS["answer_is_place"],
}

FORM_WORDS: Mapping[Form, str] = {"p": "probability of the answer", "same": "same answer"}

FILL_WORDS: Mapping[Fill, str] = {"mean": "mean colour", "ring": "colour around"}

ASKED_BY: Mapping[str, str] = {
    "hf": "transformers",
    "vllm": "vLLM",
    "openai": "a server, which gives answers and no probabilities",
}

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
    ("paste", "named"): "named box pasted over",
    ("paste", "random"): "random box pasted over",
    ("remove", "step"): "a step's region removed",
    ("remove", "step_random"): "random region of a step's shape removed",
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

PASTE_HEADINGS = (
    "benchmark",
    "followed is",
    "in the named box",
    "in a random box",
    "difference",
    "strict difference",
    "n",
    "strict n",
)

STEP_HEADINGS = (
    "benchmark",
    "by",
    "filled with",
    "first step",
    "earlier steps",
    "last step",
    "last over earlier",
    "over earlier ones apart from it",
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


def paste_rows(task: str, summary: ProbeSummary) -> list[tuple[str, ...]]:
    """Return the cells of how often a task's answers follow what is pasted; none where that was not asked."""
    found = summary.pasted
    if found is None:
        return []
    return [
        (
            task,
            "what was pasted" if _is_known(found) else "any change",
            points(found.follows),
            points(found.follows_control),
            points(found.follow),
            points(found.follow_strict),
            str(found.follow.n),
            str(found.follow_strict.n),
        )
    ]


def _is_known(found: PastedSummary) -> bool:
    """Whether the answer to what was pasted is known, of all samples that count."""
    return found.known == found.follow.n


def step_rows(task: str, summary: ProbeSummary) -> list[tuple[str, ...]]:
    """Return the cells of the necessity of a task's steps, a row a form and a fill; none where they were not asked."""
    return [
        (
            task,
            FORM_WORDS[form],
            FILL_WORDS[fill],
            points(found.first),
            points(found.earlier),
            points(found.last),
            points(found.last_over_earlier),
            points(found.last_over_apart),
            str(found.last_over_earlier.n),
        )
        for fill, steps in summary.steps.items()
        for form, found in steps.scores.items()
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
        if fill in summary.steps:
            said += [f"{FILL_WORDS[fill]}: {sentence}" for sentence in _steps_sentences(summary.steps[fill])]
    if summary.pasted is not None:
        said += _pasted_sentences(summary.pasted)
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


def _pasted_sentences(found: PastedSummary) -> list[str]:
    counts = ", ".join(f"{count} {PASTE_STATUS_WORDS[status]}" for status, count in found.statuses.items())
    samples = f"pasted regions, samples: {counts}"
    if found.follow.value is None:
        return [f"pasted regions: {found.follow.reason}", samples]
    followed = "became that of what was pasted" if _is_known(found) else "changed"
    often = "more" if found.follow.value >= 0 else "less"
    said = (
        f"with another region pasted into the box it named the answer {followed} "
        f"{number(100 * abs(found.follow.value))} points {often} often than with the same pasted into a random box"
        f"{_interval(found.follow)}, n {found.follow.n}"
    )
    return [said, samples]


def _steps_sentences(found: StepsSummary) -> list[str]:
    counts = ", ".join(f"{count} {STEPS_STATUS_WORDS[status]}" for status, count in found.statuses.items())
    samples = f"steps, samples: {counts}"
    same = found.scores["same"]
    change = same.last_over_earlier
    if change.value is None:
        return [f"steps: {change.reason}", samples]
    if change.ci_low is None or change.ci_high is None or change.ci_low <= 0 <= change.ci_high:
        result = "whether the last step matters more than those before it cannot be told"
    else:
        result = f"the last step mattered {'more' if change.value > 0 else 'less'} than those before it"
    said = (
        f"{result}: removing what it looked at changed the answer {number(100 * _value(same.last.value))} points more "
        f"often than removing a random region of its shape, what an earlier step looked at "
        f"{number(100 * _value(same.earlier.value))}; difference {number(100 * change.value)}{_interval(change)}, "
        f"n {change.n}"
    )
    if same.last_over_apart.value is not None:
        apart = same.last_over_apart
        said += (
            f"; against earlier steps apart from it {number(100 * _value(apart.value))}{_interval(apart)}, n {apart.n}"
        )
    return [said, samples]


def _value(value: float | None) -> float:
    return 0.0 if value is None else value


def _dependence_sentence(found: ProbeScores) -> str:
    metric = found.dependence
    if metric.value is None:
        return f"image dependence: {metric.reason}"
    often = "more" if metric.value >= 0 else "less"
    said = f"without the picture the answer changed {number(100 * abs(metric.value))} points {often} often"
    said += _interval(metric)
    if metric.ci_low is None or metric.ci_high is None or metric.ci_low > 0:
        return said
    if metric.ci_high <= LEAST_DEPENDENCE:
        return f"{said}: these questions do not need the image"
    return f"{said}: too few samples to tell whether these questions need the image"


def _interval(metric: Metric) -> str:
    if metric.ci_low is None or metric.ci_high is None:
        return ""
    return f" [{number(100 * metric.ci_low)}, {number(100 * metric.ci_high)}]"


def asked_by(found: StoredProbes) -> str:
    """Return a sentence on what asked about the edited pictures; empty where that is not told."""
    if found.backend not in ASKED_BY:
        return ""
    forms = {form for task in found.tasks.values() for fill in task.fills.values() for form in fill.scores}
    no_p = "" if "p" in forms or found.backend == "openai" else "; no probabilities were asked for"
    return f"The edited pictures were asked about through {ASKED_BY[found.backend]}{no_p}."
