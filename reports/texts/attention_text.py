"""Attention as words and cells of tables, the same on a terminal and on a page."""

from __future__ import annotations

from collections.abc import Mapping

from harness.probes.association import Association
from harness.probes.attention_records import AttentionStatus, Span
from harness.probes.attention_summary import AttentionSummary, SpanSummary
from harness.stats.intervals import Interval
from harness.summary.summary_values import Metric
from reports.texts.numbers_shown import DASH, number

SPAN_WORDS: Mapping[Span, str] = {
    "boxes": "while it wrote its boxes",
    "caption": "while it wrote its caption",
    "answer": "while it wrote its answer",
}

STATUS_WORDS: Mapping[AttentionStatus, str] = {
    "ok": "read",
    "no_text": "no text",
    "no_boxes": "no box in the picture",
    "no_tokens": "the tokens kept are not those of the text",
    "several_pictures": "several pictures",
    "no_picture": "no picture",
}

ATTENTION_HEADINGS = (
    "benchmark",
    "rows",
    "named boxes",
    "gold boxes",
    "another sample's",
    "gold over others",
    "pointing",
    "by chance",
    "to the picture",
    "n",
)

NOT_CAUSE = (
    "Attention goes with an answer or does not; that it lies in a region never says that the answer came from there."
)


def attention_rows(task: str, summary: AttentionSummary) -> list[tuple[str, ...]]:
    """Return the cells of a task's rows, one a span."""
    return [
        (
            task,
            SPAN_WORDS[span],
            density_text(found.density),
            density_text(found.density_gold),
            density_text(found.density_shuffled),
            share_text(found.gold_over_others),
            share_text(found.pointing),
            share_text(found.pointing_chance),
            share_text(found.image_mass),
            str(found.density.n),
        )
        for span, found in summary.spans.items()
    ]


def density_text(metric: Metric) -> str:
    """Return a mean density with its interval."""
    if metric.value is None or metric.ci_low is None:
        return number(metric.value, 2)
    return f"{number(metric.value, 2)} [{number(metric.ci_low, 2)}, {number(metric.ci_high, 2)}]"


def share_text(metric: Metric) -> str:
    """Return a share in percent."""
    return DASH if metric.value is None else f"{number(100 * metric.value)} %"


def association_sentences(found: SpanSummary) -> list[str]:
    """Say how the density goes with right answers and with the place, raw and within alike samples."""
    return [
        f"right answers and density: AUC {_both(found.right_answers)} (0.50 says nothing), n {found.right_answers.n}",
        f"IoU and density: Spearman {_both(found.overlap)} (0.00 says nothing), n {found.overlap.n}",
    ]


def _both(found: Association) -> str:
    return (
        f"{_with_interval(found.raw, found.raw_interval)} not adjusted, "
        f"{_with_interval(found.within, found.within_interval)} among samples of one kind"
    )


def _with_interval(value: float | None, interval: Interval | None) -> str:
    if interval is None:
        return number(value, 2)
    return f"{number(value, 2)} [{number(interval.low, 2)}, {number(interval.high, 2)}]"


def status_sentence(summary: AttentionSummary) -> str:
    """Say how many samples were read, and why others were not."""
    counts = [f"{count} {STATUS_WORDS[status]}" for status, count in summary.statuses.items()]
    layers = f"{summary.layers} layers" + (
        f", {summary.layers_passed_over} with a window passed over" if summary.layers_passed_over else ""
    )
    again = f"; {summary.retokenised} of tokens made of the text anew" if summary.retokenised else ""
    return f"{', '.join(counts)}; mean over {layers}{again}"
