"""Some probed samples as pictures: as it was, the named box removed, a random one removed, the named box alone.

Where another region was pasted into the named box, that too. They are drawn from the stored thumbnail. A plain colour
stands for the filling, whatever the filling's own colour was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from markupsafe import Markup

from harness.probes.fills import WITHOUT_FILL, Fill, Operation
from harness.probes.probe_records import ProbeRecord
from harness.probes.probe_summary import StoredProbes
from harness.probes.regions import PixelBox
from harness.probes.variants import Target
from harness.runs.store import MEDIA_NAME
from harness.values import Record, Size
from reports.pages.explorer_blocks import PictureBook
from reports.texts.addresses import sample_link
from reports.texts.necessity_text import EDIT_WORDS
from reports.texts.verdict_text import cut

_PANELS: Final[tuple[tuple[Operation, Target], ...]] = (
    ("repeat", "none"),
    ("remove", "named"),
    ("remove", "random"),
    ("keep", "named"),
    ("paste", "named"),
)
_RANDOM: Final = 3
"""Samples that are picked by nothing but a hash of their id."""
_MOST_BOXES: Final = 50
_WIDTH: Final = 150
"""Of a picture, in pixels of the page."""


@dataclass(frozen=True, slots=True)
class PanelView:
    """One edit of one picture."""

    drawing: Markup
    """The picture."""
    edit: str
    """What was done."""
    answer: str
    """The answer, and whether it stayed."""


@dataclass(frozen=True, slots=True)
class GalleryRow:
    """One sample."""

    title: str
    """Which, and why it was picked."""
    link: str
    """Its address on the page."""
    question: str
    """What was asked."""
    panels: tuple[PanelView, ...]
    """By edit."""


def picked_keys(probes: StoredProbes | None) -> dict[tuple[str, str], tuple[Fill, str]]:
    """Return task and id of the samples that are drawn, with the colour and why they are.

    Those with the strongest, the weakest and the most negative necessity by the first colour, and some by a hash of
    their id. None of a benchmark whose necessity is withheld.
    """
    found: dict[tuple[str, str], tuple[Fill, str]] = {}
    for task, summary in ({} if probes is None else probes.tasks).items():
        fill = next(iter(summary.fills), None)
        if probes is None or fill is None or "remove" in summary.fills[fill].not_interpreted:
            continue
        form = "p" if "p" in summary.fills[fill].scores else "same"
        necessities = {
            score.id: score.necessity
            for score in probes.samples
            if (score.task, score.fill, score.form) == (task, fill, form) and score.necessity is not None
        }
        if not necessities:
            continue
        order = sorted(necessities, key=lambda name: (-necessities[name], name))
        picks = {order[0]: "strongest necessity"}
        picks.setdefault(min(order, key=lambda name: (abs(necessities[name]), name)), "weakest necessity")
        if necessities[order[-1]] < 0:
            picks.setdefault(order[-1], "most negative necessity")
        for name in sorted(order, key=_hashed)[:_RANDOM]:
            picks.setdefault(name, "picked at random")
        found |= {(task, name): (fill, why) for name, why in picks.items()}
    return found


def _hashed(name: str) -> bytes:
    return hashlib.sha256(name.encode(errors="surrogatepass")).digest()


def gallery(
    picked: Mapping[tuple[str, str], tuple[Fill, str]],
    edits: Sequence[ProbeRecord],
    records: Mapping[tuple[str, str], Record],
    pictures: PictureBook,
) -> tuple[GalleryRow, ...]:
    """Return the samples that can be drawn: those with a thumbnail and a known size.

    Args:
        picked: What `picked_keys` returns.
        edits: The lines of `probes.jsonl`.
        records: The run's records of these samples.
        pictures: The thumbnails that the page shows.
    """
    by_key: dict[tuple[str, str], list[ProbeRecord]] = {}
    for edit in edits:
        if (edit.task, edit.id) in picked:
            by_key.setdefault((edit.task, edit.id), []).append(edit)
    rows: list[GalleryRow] = []
    for key, (fill, why) in picked.items():
        record = records.get(key)
        if record is None or (size := record.sample.image_size) is None or size.width <= 0 or size.height <= 0:
            continue
        if (place := pictures.number(record.sample.image_sha256)) < 0:
            continue
        source = f"{MEDIA_NAME}/{pictures.names[place]}"
        shown = [_shown(by_key.get(key, ()), operation, target, fill) for operation, target in _PANELS]
        named = next((edit.boxes_px for edit in shown if edit is not None and edit.target == "named"), ())
        panels = tuple(_panel(edit, source, size, named, len(rows)) for edit in shown if edit is not None)
        task, name = key
        title = f"{cut(task, 60)} {cut(name, 60)}: {why}"
        rows.append(GalleryRow(title, sample_link(0, task, name), cut(record.sample.question, 200), panels))
    return tuple(rows)


def _shown(edits: Sequence[ProbeRecord], operation: Operation, target: Target, fill: Fill) -> ProbeRecord | None:
    """Return the first edit of a kind; some have no colour."""
    return next(
        (
            edit
            for edit in edits
            if (edit.operation, edit.target) == (operation, target) and (operation in WITHOUT_FILL or edit.fill == fill)
        ),
        None,
    )


def _panel(edit: ProbeRecord, source: str, size: Size, named: Sequence[PixelBox], number: int) -> PanelView:
    """Draw one edit; `number` tells its sample from the others of the page."""
    words = EDIT_WORDS[edit.operation, edit.target]
    said = "no answer" if edit.answer is None else cut(edit.answer, 80)
    answer = f"{said} ({'stays' if edit.is_same else 'changes'})"
    image = Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"{}/>')
    clip = Markup(' clip-path="url(#kept-{})"').format(number) if edit.operation == "keep" else Markup("")
    whole = image.format(source, size.width, size.height, clip)
    if edit.operation == "keep":
        ground = Markup('<rect class="filled" width="{}" height="{}"/>').format(size.width, size.height)
        kept = Markup('<clipPath id="kept-{}">{}</clipPath>').format(number, _boxes("", edit.boxes_px))
        parts = [kept, ground, whole]
    elif edit.operation == "repeat":
        parts = [whole, _boxes("named-box", named)]
    elif edit.operation == "paste":
        parts = [whole, *_pasted(edit, source, size, number), _boxes("named-box", edit.boxes_px)]
    else:
        parts = [whole, _boxes("filled", edit.boxes_px)]
    drawing = Markup('<svg class="map" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>')
    height = max(1, round(_WIDTH * size.height / size.width))
    return PanelView(
        drawing.format(f"{words}: {answer}", size.width, size.height, _WIDTH, height, Markup("").join(parts)),
        words,
        answer,
    )


def _pasted(edit: ProbeRecord, source: str, size: Size, number: int) -> list[Markup]:
    """Draw what was pasted into each box: the picture moved there, of which the box alone shows."""
    moved = Markup(
        '<clipPath id="{0}">{1}</clipPath><image href="{2}" x="{3}" y="{4}" width="{5}" height="{6}" '
        'preserveAspectRatio="none" clip-path="url(#{0})"/>'
    )
    pairs = zip(edit.boxes_px, edit.source_px, strict=False)  # a stored line may have fewer
    return [
        moved.format(
            f"pasted-{number}-{place}", _boxes("", [box]), source, box[0] - x1, box[1] - y1, size.width, size.height
        )
        for place, (box, (x1, y1, _, _)) in enumerate(islice(pairs, _MOST_BOXES))
    ]


def _boxes(name: str, boxes: Sequence[PixelBox]) -> Markup:
    return Markup("").join(
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" vector-effect="non-scaling-stroke"/>').format(
            name, left, top, right - left, bottom - top
        )
        for left, top, right, bottom in boxes[:_MOST_BOXES]
        if left < right and top < bottom
    )
