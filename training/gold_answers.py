"""Read the accepted answers of a gold cell: one reading for training data and for the rewards of other trainers."""

from __future__ import annotations

from dataclasses import dataclass

from tasks.cells import CellError, list_of


@dataclass(frozen=True, slots=True)
class GoldAnswers:
    """What was read."""

    texts: tuple[str, ...] = ()
    """The accepted answers as they are written, each once, without blank ones; none where `fault` says why, or where
    the cell holds nothing."""
    has_blank: bool = False
    """Whether blank ones were left out."""
    fault: str = ""
    """Why no answer can be had from what the cell holds, in words; empty where there are some, or nothing at all."""


def read_gold_answers(value: object) -> GoldAnswers:
    """Read answers from whatever a row holds: a text, a list of texts, either as JSON or Python text, or nothing.

    Texts stay as they are, as `tasks.cells.answers_of` reads the same cell for a benchmark: marks alone ("?") are an
    answer under the paper's rules, and say under ours that a question mark may belong to one.
    """
    try:
        listed = list_of(value)
    except CellError as fault:
        return GoldAnswers(fault=f"answers are a text or a list of texts; found {fault}")
    texts = tuple(dict.fromkeys(text for text in listed if text.strip()))
    return GoldAnswers(texts, not all(map(str.strip, listed)), "only blank ones" if listed and not texts else "")
