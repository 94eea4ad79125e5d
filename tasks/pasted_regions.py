"""What is pasted into the region that a text names, and whether the question is about what that changes.

Of Shapes the generator knows it. Questions of colour and of existence are asked. Another object's pixels are pasted,
cut out as large as the named box and never resized: the object whole with ground around it, or the middle of it where
the box is smaller. Where no object can be, a question of existence gets empty ground. The answer to the region is known
then: the colour of what was pasted, or no.

Of other benchmarks nothing is known of a picture but its boxes: a question that is about what stands in a place by its
words (`asks_what_is_there`) gets a region of the same shape from elsewhere in the same picture. What the answer to that
is nobody knows, only that it should be another; so a "no" is not asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from harness.probes.before_asking import Paste, PastedInto
from harness.probes.probed_text import asks_what_is_there
from harness.probes.regions import PixelBox, region_elsewhere, window_around
from harness.probes.sample_scores import PasteStatus
from harness.values import Sample
from tasks.other_objects import shapes_row
from tasks.shapes import ShapesExample, Thing, colour_answers


def paste_for(sample: Sample, into: PastedInto) -> Paste | PasteStatus:
    """Return what is pasted into a sample's region, or why nothing is."""
    row = shapes_row(sample)
    if row is not None:
        return _of_shapes(row, into)
    if not asks_what_is_there(sample.question):
        return "not_about_region"
    if into.answer == "no":
        return "nothing_other"
    if not into.named:
        return "no_box"
    source = region_elsewhere(into.named, (*into.named, *into.gold), into.size, into.drawn_by)
    return "no_room" if source is None else Paste(source)


def _of_shapes(row: ShapesExample, into: PastedInto) -> Paste | PasteStatus:
    """Return what is pasted into a region of a drawn picture."""
    if row.kind not in ("colour", "existence"):
        return "not_about_region"
    others = [thing for thing in row.scene.things if thing.box_image_px not in row.boxes_image_px]
    answers = {thing: colour_answers(thing.colour) if row.kind == "colour" else ("no",) for thing in others}
    other = [thing for thing in others if not into.says(answers[thing])]
    is_ground_other = row.kind == "existence" and not into.says(("no",))
    if not other and not is_ground_other:
        return "nothing_other"
    if not into.named:
        return "no_box"
    for thing in sorted(other, key=lambda one: _drawn(into, one)):
        if (source := _windows(thing, row, into)) is not None:
            return Paste(source, answers[thing])
    if is_ground_other:
        things = [thing.box_image_px for thing in row.scene.things]
        source = region_elsewhere(into.named, (*into.named, *into.gold, *things), into.size, into.drawn_by)
        if source is not None:
            return Paste(source, ("no",))
    return "no_room"


def _windows(thing: Thing, row: ShapesExample, into: PastedInto) -> tuple[PixelBox, ...] | None:
    """Return what shows a thing and no other, a box for each named one; None where one cannot."""
    rest = [other.box_image_px for other in row.scene.things if other != thing]
    away_from: Sequence[PixelBox] = (*into.named, *into.gold, *rest)
    found = [
        window_around(thing.box_image_px, right - left, bottom - top, away_from, into.size)
        for left, top, right, bottom in into.named
    ]
    made = tuple(box for box in found if box is not None)
    return made if len(made) == len(found) else None


def _drawn(into: PastedInto, thing: Thing) -> bytes:
    return hashlib.sha256(f"{into.drawn_by}\0{thing.box_image_px}".encode(errors="surrogatepass")).digest()
