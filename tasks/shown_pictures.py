"""The pictures that a question shows: which of a row's, in which order, and where in its text.

Most rows have one, which stands before the text. A text may name several as `<image 2>`, MMMU's mark, also within an
option: each picture then stands where it is named, each time, as VLMEvalKit has it (`split_MMMU` in
`vlmeval/dataset/image_mcq.py`). A picture that a text with such marks never names is not shown, as in both peers;
where there is no mark, all of a row's pictures stand before the text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from tasks.cells import Doc

if TYPE_CHECKING:  # Pillow is heavy, and prompts and lists of benchmarks need none
    from tasks.images import StoredImages

MARK: Final = re.compile(r"<image ([1-9]\d?)>")
"""Names a picture of the row by its number."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What a question shows."""

    images: tuple[object, ...]
    """Each picture once, in the order shown; None for one that the row does not hold."""
    numbers: tuple[int, ...] = ()
    """By which number the text names each; empty where all stand before it."""

    def content(self, text: str) -> list[dict[str, Any]]:
        """Return text and pictures in their order, as the parts of a chat turn in lmms-eval's form."""
        if not self.numbers:
            return [*map(_image_part, self.images), {"type": "text", "text": text}]
        by_name = dict(zip(self.numbers, self.images, strict=True))
        pieces = MARK.split(text)  # text, number, text, number, ..., text
        parts: list[dict[str, Any]] = []
        for place, piece in enumerate(pieces):
            if place % 2:
                parts.append(_image_part(by_name.get(int(piece))))
            elif piece:
                parts.append({"type": "text", "text": piece})
        return parts

    def each(self, opened: Callable[[object], object]) -> Shown:
        """Return the same with something else in the place of each picture."""
        return replace(self, images=tuple(map(opened, self.images)))


def named_in(text: str) -> tuple[int, ...]:
    """Return the numbers of the pictures that a text names, each once, in the order of first mention."""
    return tuple(dict.fromkeys(int(number) for number in MARK.findall(text)))


def shown_by(text: str, doc: Doc, columns: Sequence[str]) -> Shown:
    """Return what a question shows whose row may hold several pictures.

    Args:
        text: The question's text with its options.
        doc: The row: our own, or one of plain lmms-eval.
        columns: Where the pictures may be: columns that end in their number, or one that holds a list.
    """
    stored = _stored(doc)
    numbers = named_in(text)
    if stored is not None:
        held = numbers or stored.numbers() or (1,)
        return Shown(tuple(map(stored.at, held)), numbers)
    pictures = _pictures_in_row(doc, columns)
    if numbers:
        return Shown(tuple(map(pictures.get, numbers)), numbers)
    return Shown(tuple(pictures.values()) or (None,))


def held_by(doc: Doc) -> tuple[int, ...]:
    """Return the numbers of the pictures that a row of ours holds; none of another row."""
    stored = _stored(doc)
    return () if stored is None else stored.numbers()


def _stored(doc: Doc) -> StoredImages | None:
    """Return the pictures of a row of ours; None in another row."""
    from tasks.images import PICTURES, StoredImages  # noqa: PLC0415 - see above

    found = doc.get(PICTURES)
    return found if isinstance(found, StoredImages) else None


def _pictures_in_row(doc: Doc, columns: Sequence[str]) -> Mapping[int, object]:
    """Return the pictures that a row holds itself, by number."""
    from tasks.images import by_number  # noqa: PLC0415 - see above

    found = [name for name in columns if doc.get(name) is not None]
    if not found:
        return {}
    values = by_number(found, [doc[name] for name in found])
    return {number: value for number, value in enumerate(values, start=1) if value is not None}


def _image_part(image: object) -> dict[str, Any]:
    return {"type": "image", "url": image}
