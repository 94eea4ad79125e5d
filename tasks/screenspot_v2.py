"""ScreenSpot-v2: which point of a screen does an instruction mean?

A point in the gold box is right; so is a box whose centre is. The hub's copy (`HongxinLi/ScreenSpot_v2`, as in
lmms-eval 0.7.3) gives the box as fractions x1, y1, x2, y2. The authors' own files (`OS-Copilot/ScreenSpot-v2`:
`screenspot_desktop_v2.json`, `..._mobile_...`, `..._web_...` beside `screenspotv2_image/`) give left, top, width and
height in pixels. Nothing is guessed from the numbers: the layout says it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, text_of
from tasks.gold_places import Asked, placed_sample
from tasks.place_prompts import place_question

_FILE_COLUMN = "img_filename"
"""Column of the authors' own files alone."""


def instruction_of(doc: Doc) -> str:
    """Return the instruction."""
    return text_of(doc, "instruction")


def id_of(doc: Doc) -> str:
    """Return the row's number: the rows have no id."""
    return row_id(doc)


def question_text(doc: Doc) -> str:
    """Return what is asked, in words that fit every family."""
    return place_question("point", instruction_of(doc))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    frame = "xywh" if text_of(doc, _FILE_COLUMN) else "norm_1"
    return placed_sample(
        "screenspot_v2",
        doc,
        Asked(
            id_of(doc),
            instruction_of(doc),
            doc.get("bbox"),
            frame,
            category=text_of(doc, "data_type"),
            l2_category=text_of(doc, "data_source"),
        ),
    )


def made(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns of an object of the authors' own files."""
    return {**item, "image": str(PurePosixPath("screenspotv2_image") / item[_FILE_COLUMN])}


BENCHMARKS = (
    embedded(
        "screenspot_v2",
        title="ScreenSpot-v2",
        hub_path="HongxinLi/ScreenSpot_v2",
        hub_split="test",
        boxes_column="",
        hub_columns=("image", "instruction", "bbox"),
        json_files=("screenspot_v2/screenspot_*_v2.json", "ScreenSpot-v2/screenspot_*_v2.json", "screenspot_*_v2.json"),
        made=made,
        optional_columns=("data_type", "data_source"),
        rows_expected=1272,
        notes="A point in the gold box is right; a box counts by its centre.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of), place_of=instruction_of),
        groups=("grounding",),
    ),
)
"""Where its rows come from."""
