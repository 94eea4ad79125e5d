"""Notices a run whose texts are all empty, all one and the same, or in stages that its format does not read.

Weights that diverged, a budget of a token too few, a template that ends the turn: all of them score 0 like a model that
is merely wrong. What the texts look like together tells them apart.
A log of stages that is imported as `plain` scores 0 as well, without a fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.values import Json, Record

FEWEST_TEXTS = 4
"""Texts from which on it is worth a sentence that all of them are the same; empty ones are at any number."""
_SHOWN_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class TextVariety:
    """How much the texts of a run differ from each other."""

    answered: int = 0
    """Texts that there are; samples that could not be asked have none."""
    empty: int = 0
    """Those of blanks alone."""
    only_text: str | None = None
    """The text that all of them are, without outer blanks; None where two differ, or there is none."""
    staged: int = 0
    """Texts with a whole answer stage that counted as words of the answer, since the format is `plain`."""

    def warning(self) -> str | None:
        """Return one sentence for the person who ran it; None when the texts differ."""
        if self.answered and self.empty == self.answered:
            return (
                f"all {self.answered} texts are empty: nothing that can be read was written. Look at weights, chat "
                "template and --max-new-tokens before any number here"
            )
        if 2 * self.staged > self.answered:
            return (
                f"{self.staged} of {self.answered} texts hold an <answer>...</answer>, whose tags are mere words "
                "in the format plain: if stages were asked for, --format satori (or satori-think, freeform) reads them"
            )
        if self.only_text is None or self.answered < FEWEST_TEXTS:
            return None
        shown = self.only_text[:_SHOWN_CHARACTERS] + ("..." if len(self.only_text) > _SHOWN_CHARACTERS else "")
        return (
            f"all {self.answered} texts are the same ({shown!r}), whatever was asked: look at some samples before any "
            "number here"
        )

    def to_json(self) -> dict[str, Json]:
        """Return the counts for `scores.json`; the text itself stands in the records."""
        return {"answered": self.answered, "empty": self.empty, "all_the_same": self.only_text is not None}


class TextVarietyCounter:
    """Takes records one by one; keeps one text, however many there are."""

    def __init__(self, *, is_plain: bool = False) -> None:
        """Begin with nothing.

        Args:
            is_plain: The texts are read in the format `plain`.
        """
        self._is_plain = is_plain
        self._staged = 0
        self._answered = 0
        self._empty = 0
        self._first: str | None = None
        self._differ = False

    def add(self, record: Record) -> None:
        """Take one record; one whose sample could not be asked says nothing."""
        if record.generation.error is not None:
            return
        text = record.generation.text.strip()
        self._answered += 1
        if not text:
            self._empty += 1
        if self._is_plain and 0 <= text.find("<answer>") < text.rfind("</answer>"):
            self._staged += 1
        if not self._differ:
            self._first = text if self._first is None else self._first
            self._differ = text != self._first

    def result(self) -> TextVariety:
        """Return what was seen."""
        return TextVariety(self._answered, self._empty, None if self._differ else self._first, self._staged)
