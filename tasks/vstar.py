"""V*Bench: small things in large pictures, with the boxes of the things asked about.

The authors' folder (`craigwu/vstar_bench`): `direct_attributes/` and `relative_position/` with a picture and a JSON
file each: `target_object`, `bbox` (left, top, width, height in pixels, one a target), `question`, `options`. The
first option is always the right one, so options are shuffled here, by `OPTIONS_SEED` and the row's id. The order that
was asked is stored with every sample (`choices`, and the seed in `extra`), so that a rescore needs nothing else.
Asking them in the files' order gives a model that likes A four to six points.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered, list_of, listed, paragraphs, text_of
from tasks.gold_places import Asked, placed_sample

OPTIONS_SEED: Final = 0
"""Fixes the order of the options; another one is another benchmark."""


def id_of(doc: Doc) -> str:
    """Return the path of the row's file without its ending, such as `direct_attributes/sa_4690`."""
    return row_id(doc, "id")


def shuffled(options: list[str], sample_id: str) -> list[str]:
    """Return the options in the order that the seed and the row's id give, the same on every machine."""
    return sorted(
        options, key=lambda option: hashlib.sha256(f"{OPTIONS_SEED}\n{sample_id}\n{option}".encode()).digest()
    )


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options by letter, shuffled."""
    return lettered(shuffled(list_of(doc.get("options")), id_of(doc)))


def question_text(doc: Doc) -> str:
    """Return the question with its options."""
    return paragraphs(text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    options, choices = list_of(doc.get("options")), choices_of(doc)
    right = next((letter for letter, text in choices.items() if options and text == options[0]), None)
    return placed_sample(
        "vstar",
        doc,
        Asked(
            id_of(doc),
            text_of(doc, "question"),
            doc.get("bbox"),
            "xywh",
            answers=None if right is None else (right,),
            choices=choices,
            category=text_of(doc, "category"),
            extra={"options_seed": OPTIONS_SEED},
        ),
    )


def made(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns of one of the authors' files; its picture has the same name."""
    path = PurePosixPath(item["_file"]).with_suffix("")
    return {
        "id": "/".join(path.parts[-2:]),
        "category": path.parts[-2] if len(path.parts) > 1 else "",
        "image": str(path.with_suffix(".jpg")),
        "question": item["question"],
        "options": item["options"],
        "bbox": item["bbox"],
        "target_object": item.get("target_object"),
    }


BENCHMARKS = (
    embedded(
        "vstar",
        title="V*Bench",
        hub_path="craigwu/vstar_bench",
        hub_split="test",
        boxes_column="bbox",
        gold_box_frame="xywh",
        hub_columns=("image", "question", "options", "bbox"),
        # the last is direct_attributes and relative_position of a folder that is named itself
        json_files=("vstar_bench/*/*.json", "vstar/*/*.json", "[dr]*_[ap]*/*.json"),
        made=made,
        download="Get it with: hf download craigwu/vstar_bench --repo-type dataset --local-dir DIR/vstar_bench.",
        optional_columns=("category", "target_object"),
        rows_expected=191,
        notes="Options are shuffled by a stored seed: in the files the right one is always first.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("grounding",),
    ),
)
"""Where its rows come from."""
