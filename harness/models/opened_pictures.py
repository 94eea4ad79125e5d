"""Keep pictures as the model sees them, so that each is opened once for all questions that are asked about it together.

MMBench asks four times about a picture, MME twice, and `RecordingModel` brings such questions together. To read, decode
and resize a photograph of 640x480 takes 12 ms, a tenth of what a small model takes to answer.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from functools import partial
from typing import Final

from PIL import Image

MOST_BYTES: Final = 2**26
"""Pixels that are kept: about 70 photographs of 640x480, five of four million pixels."""


class OpenedPictures:
    """A bounded memory of pictures, least recently asked out first; any thread may ask.

    What is returned is shared: nobody may change it.
    """

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        """Begin with none.

        Args:
            most_bytes: Pixels that are kept at most, at a byte a channel; those in use are their users' affair.
        """
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._being_opened: dict[Hashable, Future[Image.Image]] = {}
        self._kept: OrderedDict[Hashable, Image.Image] = OrderedDict()
        self.kept_bytes = 0
        """Pixels that are kept now."""

    def __reduce__(self) -> tuple[Callable[[], OpenedPictures], tuple[()]]:
        """A copy begins with none: lmms-eval copies a model that it was given as an object into its log."""
        return partial(OpenedPictures, most_bytes=self._most_bytes), ()

    def opened(self, name: Hashable, open_picture: Callable[[], Image.Image]) -> Image.Image:
        """Return the picture of a name, opened by whoever asks first; others wait for it.

        Args:
            name: What tells it from others: equal names are of equal pixels.
            open_picture: Opens it.

        Raises:
            Whatever `open_picture` raises, to all who wait; nothing is kept of it, and the next one tries again.
        """
        with self._lock:
            if (known := self._kept.get(name)) is not None:
                self._kept.move_to_end(name)
                return known
            mine = Future[Image.Image]()
            waited_for = self._being_opened.get(name)
            if waited_for is None:
                self._being_opened[name] = mine
        if waited_for is not None:
            return waited_for.result()
        try:
            picture = open_picture()
        except BaseException as error:
            with self._lock:
                del self._being_opened[name]
            mine.set_exception(error)
            raise
        with self._lock:
            del self._being_opened[name]
            self._keep(name, picture)
        mine.set_result(picture)
        return picture

    def forget(self) -> None:
        """Give all memory back."""
        with self._lock:
            self._kept.clear()
            self.kept_bytes = 0

    def _keep(self, name: Hashable, picture: Image.Image) -> None:
        """Remember a picture, and let go of those that nobody asked for longest."""
        self._kept[name] = picture
        self.kept_bytes += _size_bytes(picture)
        while self.kept_bytes > self._most_bytes:
            _, old = self._kept.popitem(last=False)
            self.kept_bytes -= _size_bytes(old)


def _size_bytes(picture: Image.Image) -> int:
    return picture.width * picture.height * len(picture.getbands())
