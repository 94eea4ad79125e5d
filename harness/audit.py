"""Audit the box frame of a run: would the boxes overlap much better if they were read in another frame?

A box scored in the wrong frame is silently near 0, the commonest grounding bug of all. So after each run the mean IoU
is computed again under every frame, from the raw texts, and a frame that does much better is named.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from harness.frames import cut_at_image
from harness.overlap import union_iou
from harness.parse import parse
from harness.score import GROUNDED_FORMATS, predicted_boxes_image_px
from harness.values import BOX_FRAMES, BoxFrame, Json, Record, ScoreConfig

MUCH_BETTER_IOU = 0.1
"""Another frame is named when its mean IoU is higher by more than this..."""
AUDITED_RECORDS = 1_000
"""Records with gold and written boxes that are looked at, the first of a run: a wrong frame shows in far fewer."""
MUCH_BETTER_RATIO = 1.5
"""...and by more than this factor: small boxes in a wrong frame overlap little in every frame."""


@dataclass(frozen=True, slots=True)
class FrameAudit:
    """Mean IoU of the same texts under each frame."""

    declared: BoxFrame | None
    """The frame that the run was scored in."""
    mean_iou: dict[BoxFrame, float | None]
    """Mean union IoU per frame over the rows that can be read in it; None where no row can."""
    rows: dict[BoxFrame, int]
    """Rows behind each mean."""

    @property
    def better_frame(self) -> BoxFrame | None:
        """The frame that does much better than the declared one; None when there is none.

        Without a declared frame this is the best frame, as advice for `--box-frame`.
        """
        known: dict[BoxFrame, float] = {frame: value for frame, value in self.mean_iou.items() if value is not None}
        if not known:
            return None
        best: BoxFrame = max(known, key=lambda frame: known[frame])
        base = known.get(self.declared, 0.0) if self.declared is not None else 0.0
        gap_is_large = known[best] > base + MUCH_BETTER_IOU and known[best] > base * MUCH_BETTER_RATIO
        return best if best != self.declared and gap_is_large else None

    def to_json(self) -> dict[str, Json]:
        """Return the audit for `scores.json`."""
        return {
            "declared": self.declared,
            "mean_iou": dict[str, Json](self.mean_iou.items()),
            "rows": dict[str, Json](self.rows.items()),
            "better_frame": self.better_frame,
        }

    def warning(self) -> str | None:
        """Return one sentence for the person who ran it; None when nothing is suspicious."""
        better = self.better_frame
        if better is None:
            return None
        found = self.mean_iou[better]
        declared = self.mean_iou.get(self.declared) if self.declared is not None else None
        said = "no frame is declared" if self.declared is None else f"{self.declared} gives {_shown(declared)}"
        return (
            f"box-frame audit: read as {better}, the boxes reach a mean IoU of {_shown(found)}, while {said}. "
            f"If the model writes {better}, rescore with --box-frame {better}."
        )


class FrameAuditor:
    """Adds up, record by record, the IoU under each frame."""

    def __init__(self, config: ScoreConfig) -> None:
        self._config = config
        active = config.format in GROUNDED_FORMATS and config.protocol != "paper"
        self._left = AUDITED_RECORDS if active else 0
        self._configs: dict[BoxFrame, ScoreConfig] = {frame: replace(config, box_frame=frame) for frame in BOX_FRAMES}
        self._totals: dict[BoxFrame, float] = dict.fromkeys(BOX_FRAMES, 0.0)
        self._rows: dict[BoxFrame, int] = dict.fromkeys(BOX_FRAMES, 0)

    def add(self, record: Record) -> None:
        """Count one record; without gold boxes or written boxes it says nothing about frames."""
        sample = record.sample
        if not self._left or not sample.boxes_image_px:
            return
        written = parse(record.generation.text, self._config.format, "last").boxes_written
        if not written:
            return
        self._left -= 1
        for frame, config in self._configs.items():
            boxes = predicted_boxes_image_px(written, sample, config, record.generation.input_size)
            if boxes is None:
                continue
            gold = sample.boxes_image_px
            if sample.image_size is not None:
                boxes = cut_at_image(boxes, sample.image_size)[0]
                gold = cut_at_image(gold, sample.image_size)[0]
            self._totals[frame] += union_iou(boxes, gold)
            self._rows[frame] += 1

    def result(self) -> FrameAudit | None:
        """Return the audit.

        None where nothing could be audited: no record with gold and written boxes, a format without boxes, or the
        protocol `paper`, which fixes its frame.
        """
        if not any(self._rows.values()):
            return None
        means: dict[BoxFrame, float | None] = {}
        for frame in BOX_FRAMES:
            means[frame] = self._totals[frame] / self._rows[frame] if self._rows[frame] else None
        return FrameAudit(self._config.box_frame, means, dict(self._rows))


def _shown(value: float | None) -> str:
    """Return a mean IoU for a sentence."""
    return "nothing (sizes unknown)" if value is None else f"{value:.3f}"
