"""Questions about edited pictures, before anybody is asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from PIL import Image

from harness.images.grid import to_rgb
from harness.probes.before_asking import BeforeAsking
from harness.probes.fills import WITHOUT_FILL, Pixels, edited
from harness.probes.variants import Variant
from harness.values import Size
from tasks.asked_again import AskedRun, AskedSample
from tasks.images import open_image
from tasks.prompts import messages


@dataclass(frozen=True, slots=True)
class EditedPicture:
    """A picture that is edited when it is opened."""

    source: object
    """The original, as the benchmark's row has it."""
    variant: Variant
    """The edit."""
    size: Size
    """Of the original, and of what is opened."""

    def open(self) -> Image.Image:
        """Return the edited picture: at its own size, before the model's grid."""
        image = open_image(self.source)
        pixels = cast("Pixels", np.asarray(to_rgb(image), dtype=np.uint8))
        edit = self.variant
        return Image.fromarray(edited(pixels, edit.operation, edit.boxes_px, edit.fill, edit.source_px))


@dataclass(frozen=True, slots=True)
class ProbedAsk:
    """A sample of the run that is probed."""

    sample: AskedSample
    """The sample."""
    before: BeforeAsking
    """What is asked of it, or why nothing is."""


@dataclass(frozen=True, slots=True)
class Request:
    """One question about one edited picture."""

    asked: ProbedAsk
    """Whose question."""
    variant: Variant
    """Which picture."""

    @property
    def key(self) -> str:
        """What tells it from every other; another number of controls or another limit changes none."""
        sample, edit = self.asked.sample.record.sample, self.variant
        # a picture that is not edited by a colour is the same by any
        fill = "" if edit.operation in WITHOUT_FILL else edit.fill
        told: tuple[object, ...] = (sample.task, sample.id, edit.operation, fill, edit.boxes_px)
        if edit.source_px:
            told += (edit.source_px,)
        return hashlib.sha256(repr(told).encode(errors="surrogatepass")).hexdigest()[:32]


def chat_of(run: AskedRun, request: Request) -> list[Mapping[str, object]]:
    """Return the chat of a request in lmms-eval's form; its picture is edited when it is opened."""
    adapter, doc = request.asked.sample.benchmark.adapter, request.asked.sample.doc
    assert request.asked.before.question is not None, "it has variants"
    size = request.asked.before.question.size
    shown = adapter.shown(doc).each(lambda source: EditedPicture(source, request.variant, size))
    return cast("list[Mapping[str, object]]", messages(run.spec.wording, adapter.question_text(doc), shown))
