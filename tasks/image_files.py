"""Image files that tables name by a path: only below folders that belong to the table, and only regular files.

A table comes from anywhere, so what it writes as a path is looked up by name below its own folders and refused where it
leads out of them, whether by `..` or as an absolute path. A link that stands in one of these folders is followed: it is
the folder's owner who put it there, as people do with large collections of pictures.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from harness.images.pictures import UnreadablePictureError

MAX_IMAGE_BYTES: Final = 100 * 2**20
"""A larger image file is not read."""

_SUFFIXES: Final = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jfif",
    ".webp",
    ".gif",
    ".bmp",
    ".tif",
    ".tiff",
    ".avif",
    ".heic",
    ".svg",
)
"""Endings by which a text is a path: base64 has no point."""
_MAX_PATH_CHARACTERS: Final = 4096
_SHORTER_THAN_ANY_IMAGE: Final = 64
"""Base64 of JPEG begins with a slash too, and is longer."""
_SCHEME: Final = "://"


class NoImageFileError(UnreadablePictureError):
    """There is no file where a path leads to."""


class UnsafePathError(UnreadablePictureError):
    """A path leads out of the folders that it may lead to."""


def looks_like_a_path(text: str) -> bool:
    """Return whether a cell's text names a file or an address rather than holding an image as base64."""
    if len(text) > _MAX_PATH_CHARACTERS or text.startswith("data:"):
        return False
    begins_so = len(text) <= _SHORTER_THAN_ANY_IMAGE and text.startswith(("/", "./", "../"))
    return begins_so or text.lower().endswith(_SUFFIXES) or _SCHEME in text


class ImageFiles:
    """The folders that image paths of a table may lead to, best first."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._folders = tuple(dict.fromkeys(os.path.normpath(folder.absolute()) for folder in folders))

    @classmethod
    def beside(cls, table: Path) -> ImageFiles:
        """Return the folders of a table: its own, and `images/` in it."""
        return cls([table.parent, table.parent / "images"])

    def holds(self, path: str) -> bool:
        """Return whether a text is the path of a file that may be read."""
        if not path or len(path) > _MAX_PATH_CHARACTERS:
            return False
        try:
            return self._find(path) is not None
        except (OSError, ValueError):
            return False

    def read(self, path: str) -> bytes:
        """Return the bytes of an image file below one of the folders.

        Raises:
            NoImageFileError: There is no such file.
            UnsafePathError: The path leads out of the folders.
            UnreadablePictureError: The file is too large.
        """
        shown = ascii(path)[1:-1][:100]
        if _SCHEME in path:
            raise NoImageFileError(f"{shown} is an address; pictures are not fetched: save it beside the table")
        try:
            found = self._find(path)
            size = found.stat().st_size if found is not None else 0
            if found is not None and size <= MAX_IMAGE_BYTES:
                return found.read_bytes()
        except (OSError, ValueError) as fault:  # a name too long, a NUL in it, no permission, a broken disk
            reason = fault.strerror if isinstance(fault, OSError) and fault.strerror else str(fault)
            raise NoImageFileError(f"{shown}: {reason}") from fault
        if found is not None:
            raise UnreadablePictureError(f"{shown} is larger than {MAX_IMAGE_BYTES} bytes")
        if not all(map(self._is_inside, self._places(path))):
            raise UnsafePathError(f"no file {shown}: the path leads out of the table's folder; put it there")
        raise NoImageFileError(f"no file {shown}")

    def _find(self, path: str) -> Path | None:
        """Return the regular file that a path means; None when there is none; may raise OSError or ValueError."""
        places = (Path(place) for place in self._places(path) if self._is_inside(place))
        return next((place for place in places if place.is_file()), None)

    def _places(self, path: str) -> list[str]:
        """Return where a path may point, one place for each folder; a path of Windows means its folders too."""
        spellings = dict.fromkeys((path, path.replace("\\", "/")))
        return [os.path.normpath(Path(folder) / spelling) for spelling in spellings for folder in self._folders]

    def _is_inside(self, place: str) -> bool:
        """Return whether a place lies below one of the folders, by its name alone."""
        return any(place.startswith(folder.rstrip(os.sep) + os.sep) for folder in self._folders)
