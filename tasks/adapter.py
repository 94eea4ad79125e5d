"""What every benchmark's adapter offers: a row becomes a sample and a question text.

Listing benchmarks imports the files of all of them: what loads pictures is imported when the first one is looked at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.values import Picture, Sample, Size
from tasks.cells import ROW, Doc, text_of
from tasks.shown_pictures import Shown, shown_by

if TYPE_CHECKING:
    from tasks.images import ImageFacts


@dataclass(frozen=True, slots=True)
class Adapter:
    """The functions that know a benchmark's columns, in the hub's layout and in VLMEvalKit's."""

    sample_of: Callable[[Doc], Sample]
    """Row to sample; reads the image's bytes for its size and hash, unreadable ones leave both empty."""
    question_text: Callable[[Doc], str]
    """Row to the text that the model is asked, without the words about the format."""
    id_of: Callable[[Doc], str]
    """Row to the sample's id, without touching the image."""
    cluster_of: Callable[[Doc], str]
    """Row to the sample's cluster; hashes the image where that is the cluster."""
    image_columns: tuple[str, ...] = ("image",)
    """Where the image may be, best first."""
    several_images: bool = False
    """Whether a row may show several pictures: in `image_columns` that end in their number, or a list in one."""
    place_of: Callable[[Doc], str] | None = None
    """Row to what is to be found, where a place is the answer: families have words of their own for asking that."""

    def shown(self, doc: Doc) -> Shown:
        """Return the pictures that the row's question shows; None stands for one that it does not hold."""
        if self.several_images:
            return shown_by(self.question_text(doc), doc, self.image_columns)
        return Shown((self.image_value(doc),))

    def image_value(self, doc: Doc) -> object:
        """Return whatever the row holds as its image, of several the first that is shown; None when it holds none."""
        return self.shown(doc).images[0] if self.several_images else image_value(doc, self.image_columns)


def image_value(doc: Doc, columns: tuple[str, ...] = ("image",)) -> object:
    """Return the first image of a row; None when it holds none."""
    return next((doc[column] for column in columns if doc.get(column) is not None), None)


def image_facts_of(value: object) -> ImageFacts | None:
    """Return hash and size of whatever a row holds as its image, or None where that is unreadable."""
    from tasks import images  # noqa: PLC0415 - Pillow is heavy, and listing benchmarks needs none

    return images.image_facts_of(value)


@dataclass(frozen=True, slots=True)
class SeenPictures:
    """What a sample says of the pictures that its question shows."""

    image_size: Size | None
    """Size of the picture; None where it is unreadable, and of several."""
    image_sha256: str
    """Its hash, of several that of their hashes; empty where one of them is unreadable."""
    pictures: tuple[Picture, ...] = ()
    """Each of several; empty where there is one."""


def seen_pictures(images: Sequence[object]) -> SeenPictures:
    """Return what a sample says of pictures, each whatever a row holds as its image."""
    found = [image_facts_of(image) for image in images]
    if len(found) == 1:
        facts = found[0]
        return SeenPictures(facts.size, facts.sha256) if facts is not None else SeenPictures(None, "")
    digests = [facts.sha256 if facts is not None else "" for facts in found]
    joined = hashlib.sha256(" ".join(digests).encode()).hexdigest() if all(digests) else ""
    return SeenPictures(
        None,
        joined,
        tuple(
            Picture("") if facts is None else Picture(facts.sha256, facts.size.width, facts.size.height)
            for facts in found
        ),
    )


def image_cluster(facts: ImageFacts | None, sample_id: str) -> str:
    """Return the cluster of questions about one image; an unreadable image stands alone."""
    return facts.sha256 if facts is not None else sample_id


def cluster_by_image(id_of: Callable[[Doc], str], columns: tuple[str, ...] = ("image",)) -> Callable[[Doc], str]:
    """Make a `cluster_of` that groups the rows of one image."""

    def cluster_of(doc: Doc) -> str:
        return image_cluster(image_facts_of(image_value(doc, columns)), id_of(doc))

    return cluster_of


def row_id(doc: Doc, *columns: str) -> str:
    """Return the first present id column, else the row's number, else a hash of the question (plain lmms-eval)."""
    return text_of(doc, *columns, ROW) or f"q{short_hash(text_of(doc, 'question'))}"


def short_hash(text: str) -> str:
    """Return twelve hex digits of a text."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:12]
