"""Shows where two backends agree about the samples that both were asked."""

from __future__ import annotations

from collections.abc import Iterator

from harness.comparison.backends import BackendComparison
from reports.terminal.tables import TextTable, plain_table
from reports.texts.numbers_shown import DASH


def backend_table(found: BackendComparison) -> TextTable:
    """Return a row for each thing that is compared."""
    rows = [
        (
            agreement.what,
            f"{agreement.same} of {agreement.known}" if agreement.known else DASH,
            ", ".join(agreement.differing) or DASH,
        )
        for agreement in (found.pictures, found.prompt_tokens, found.texts, found.scores)
    ]
    return plain_table(
        (f"{found.backends[0]} and {found.backends[1]}, {found.samples} samples", "same", "not in"), rows
    )


def backend_lines(found: BackendComparison) -> Iterator[str]:
    """Yield the scores with their noise, and what it comes to."""
    for backend, count in zip(found.backends, found.unanswered, strict=True):
        if count:
            yield f"{backend} left {count} samples unanswered"
    change = found.difference
    if change is not None:
        noise = DASH if change.ci_low is None else f"[{_share(change.ci_low)}, {_share(change.ci_high)}]"
        yield (
            f"mean score: {found.backends[0]} {_share(change.a_value)}, {found.backends[1]} {_share(change.b_value)}; "
            f"change {_share(change.delta)} {noise}"
        )
    if not found.asks_alike:
        yield "NOT ALIKE: the two are not asked the same; a score of the one says nothing about the other"
    elif not found.scores_alike:
        yield "NOT ALIKE: both are asked the same, and their scores differ by more than noise"
    else:
        yield "alike: both are asked the same, and their scores differ by no more than noise"


def _share(value: float | None) -> str:
    return DASH if value is None else f"{100 * value:.1f} %"
