"""The pictures of a run at their own size, from the data that its questions were asked of.

A run stores thumbnails. Who has the data can look at the pictures themselves: they are found by content, so that a
picture is shown only where it is, byte for byte, the one that was asked about.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from tasks.catalog import BENCHMARKS
from tasks.images import StoredImage, StoredImages, UnreadableImageError
from tasks.local_data import DataError, DatasetOverride, open_task_data

WEBP_QUALITY = 90
"""WebP's quality, 0 to 100: what is looked at closely."""

WEBP_EDGE_PX = 16_383
"""WebP holds no longer side."""


@dataclass(frozen=True, slots=True)
class FullPictures:
    """Pictures by the digest of their file; each is decoded when it is asked for."""

    images: Mapping[str, StoredImage]
    """Where they are."""

    def webp(self, sha256: str) -> bytes | None:
        """Return an upright picture at its own size as WebP; None where it is not here, or is too long for WebP."""
        stored = self.images.get(sha256)
        if stored is None:
            return None
        try:
            image = stored.open()
        except UnreadableImageError:
            return None
        if max(image.size) > WEBP_EDGE_PX:
            return None
        content = io.BytesIO()
        image.save(content, format="WEBP", quality=WEBP_QUALITY)
        return content.getvalue()


def find_full_pictures(
    wanted: Mapping[str, Collection[str]],
    data_dir: Path | None = None,
    overrides: Mapping[str, DatasetOverride] | None = None,
) -> tuple[FullPictures, list[str]]:
    """Look for pictures in the data of their benchmarks; return them, and in words what was not found.

    Args:
        wanted: Digests of picture files, by the short name of the benchmark that shows them.
        data_dir: See `open_task_data`.
        overrides: Other data, by benchmark.
    """
    found: dict[str, StoredImage] = {}
    notes: list[str] = []
    for task, digests in wanted.items():
        missing = set(digests)
        benchmark = BENCHMARKS.get(task)
        if benchmark is None:
            notes.append(f"{task}: is no benchmark whose data can be opened here, so its pictures stay small")
            continue
        try:
            data = open_task_data(benchmark, data_dir, (overrides or {}).get(task))
        except DataError as fault:
            notes.append(f"{task}: its pictures stay small: {fault}")
            continue
        for doc in data:
            for image in _images_of(doc):
                digest = _digest(image)
                if digest in missing:
                    found[digest] = image
                    missing.discard(digest)
            if not missing:
                break
        if missing:
            notes.append(f"{task}: {len(missing):,} of {len(set(digests)):,} pictures are not in {data.source}")
    return FullPictures(found), notes


def _images_of(doc: Mapping[str, object]) -> list[StoredImage]:
    several = [
        value.at(number) for value in doc.values() if isinstance(value, StoredImages) for number in value.numbers()
    ]
    return several + [value for value in doc.values() if isinstance(value, StoredImage)]


def _digest(image: StoredImage) -> str:
    try:
        return image.sha256
    except UnreadableImageError:
        return ""
