"""The one training example: an image, a question, and the gold for every stage of the answer.

Whatever the source (Shapes, VQA-Verify, a JSONL with an image folder), training sees this value. Gold boxes are always
x1, y1, x2, y2 in pixels of the original image; who needs another frame converts (`training/data/targets.py` for what a
model is taught to write, `harness.scoring.score` for what it earned).
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.values import Box, Sample, Size

TRAINING_TASK = "vqa_verify"
"""Task name of training samples: the bare SATORI rule, any accepted answer counts."""


@dataclass(frozen=True, slots=True)
class Example:
    """One row of training data."""

    id: str
    """Unique within its data set."""
    question: str
    """The question, without prompt wording."""
    answers: tuple[str, ...]
    """Accepted answers, the usual one first; never empty."""
    image: bytes
    """The image file as stored (PNG, JPEG...)."""
    image_size: Size
    """Size of that image, upright."""
    image_sha256: str
    """Hex digest of the image file, as `tasks.images.picture_sha256` makes it."""
    caption: str | None = None
    """Reference caption; None when the row has none."""
    boxes_image_px: tuple[Box, ...] | None = None
    """Gold boxes in original pixels; None when the row has none."""
    kind: str = ""
    """Kind of question, or the source data set; rewards are reported per kind. Empty where there is none."""

    def sample(self) -> Sample:
        """Return what the scorer needs to judge an answer to this example."""
        return Sample(
            id=self.id,
            task=TRAINING_TASK,
            answer_rule="accepted",
            question=self.question,
            answers=self.answers,
            category=self.kind,
            cluster=self.image_sha256,
            boxes_image_px=self.boxes_image_px,
            caption=self.caption,
            image_size=self.image_size,
            image_sha256=self.image_sha256,
        )
