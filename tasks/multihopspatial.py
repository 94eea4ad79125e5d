"""MultihopSpatial: one of four options, and where the answer is, over one to three hops.

Columns as in lmms-eval 0.7.3's `multihopspatial` and the authors' repository: `bbox` is left, top, width, height in
pixels; the answer reads "(c) the red bag", and the options stand in the question. `question_tag` repeats the question
with tags around relations, on which checkpoints were trained and which are not asked. The headline is the authors' own
Acc@50IoU: the answer is right and the IoU at least 0.5.
"""

from __future__ import annotations

import re
from typing import Final

from harness.values import Json, Sample
from tasks.adapter import Adapter, cluster_by_image, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, text_of
from tasks.gold_places import Asked, placed_sample

_TAG: Final = re.compile(r"</?(?:ATT|POS|REL)>")
"""What the authors mark relations with."""
_ANSWER: Final = re.compile(r"\s*\(([a-d])\)", re.IGNORECASE)
"""The letter that an answer begins with."""
_OPTION: Final = re.compile(r"\(([a-d])\)\s*+([^()\n]*+(?:\((?![a-d]\))[^()\n]*+\)[^()\n]*+)*+)", re.IGNORECASE)
"""An option in the question, with parentheses of its own that are no letter."""


def asked_of(doc: Doc) -> str:
    """Return the question without tags."""
    return _TAG.sub("", text_of(doc, "question")).strip()


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options that the question lists, from A on in order; fewer than two are none."""
    found: dict[str, str] = {}
    for option in _OPTION.finditer(asked_of(doc)):
        letter = option[1].upper()
        if letter == chr(ord("A") + len(found)):
            found[letter] = option[2].strip().rstrip(",;").strip()
    return found if len(found) > 1 else {}


def id_of(doc: Doc) -> str:
    """Return the row's own id, else its number."""
    return row_id(doc, "id")


def question_text(doc: Doc) -> str:
    """Return the question, which lists its options itself."""
    return asked_of(doc)


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    letter = _ANSWER.match(text_of(doc, "answer"))
    extra: dict[str, Json] = {name: text_of(doc, name) for name in ("hop", "view") if text_of(doc, name)}
    choices = choices_of(doc) or ({name: name.lower() for name in "ABCD"} if letter else {})
    return placed_sample(
        "multihopspatial",
        doc,
        Asked(
            id_of(doc),
            asked_of(doc),
            doc.get("bbox"),
            "xywh",
            answers=(letter[1].upper(),) if letter else None,
            choices=choices,
            category=text_of(doc, "hop"),
            l2_category=text_of(doc, "view"),
            extra=extra,
        ),
    )


BENCHMARKS = (
    embedded(
        "multihopspatial",
        title="MultihopSpatial",
        hub_path="etri-vilab/MultihopSpatial",
        hub_config="benchmark",
        hub_split="test",
        boxes_column="bbox",
        gold_box_frame="xywh",
        hub_columns=("image", "question", "answer", "bbox"),
        json_files=("multihopspatial/data/multihop_test_4500.json", "MultihopSpatial/data/multihop_test_4500.json"),
        optional_columns=("hop", "view", "question_tag", "image_resolution"),
        rows_expected=4500,
        licence="Apache-2.0 (the dataset's card)",
        notes="Right where the answer is right and the IoU at least 0.5. Gold boxes are x, y, width, height.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("grounding",),
    ),
)
"""Where its rows come from."""
