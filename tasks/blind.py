"""Ask a question without its picture: what a score owes to words alone (`run --blind`).

No picture at all stands in the turn (`none`). A family whose processor takes no question without one is shown an even
grey picture of the same size in its place (`grey`). Either way the words are those of the run that sees.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias, cast, get_args

from harness.values import Size

BlindWay: TypeAlias = Literal["none", "grey"]
"""What stands in place of a picture."""

BLIND_WAYS: tuple[BlindWay, ...] = get_args(BlindWay)

SHOWN_IN_PLACE: dict[BlindWay, str] = {"none": "no picture", "grey": "an even grey picture of the same size"}
"""Each way in words, as a manifest has it."""

GREY = (127, 127, 127)


class _Picture(Protocol):
    """What is read of a picture that is not opened yet."""

    @property
    def size(self) -> Size | None: ...
    def open(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class GreyPicture:
    """A picture of one colour, as large as the one that it hides."""

    hidden: _Picture
    """The picture; read only for its size."""

    @property
    def size(self) -> Size | None:
        """Width and height in pixels; None when the hidden picture is unreadable."""
        return self.hidden.size

    def open(self) -> Any:
        """Return the grey picture; raises what opening the hidden one does where its size is not known."""
        from PIL import Image  # noqa: PLC0415 - heavy, and listing benchmarks needs none

        size = self.size
        return Image.new("RGB", (size.width, size.height) if size is not None else self.hidden.open().size, GREY)


def without_pictures(turns: list[dict[str, Any]], way: BlindWay) -> list[dict[str, Any]]:
    """Return chat turns in lmms-eval's form with what stands in place of their pictures."""
    return [{**turn, "content": [seen for part in turn["content"] for seen in _seen(part, way)]} for turn in turns]


def _seen(part: dict[str, Any], way: BlindWay) -> list[dict[str, Any]]:
    """Return what is left of a part of a turn."""
    if part["type"] != "image":
        return [part]
    return [] if way == "none" else [{**part, "url": GreyPicture(cast("_Picture", part["url"]))}]
