"""Visual CoT's benchmark: thirteen sources, each with a short answer and the box of the region that shows it.

The files of its repository (`viscot_benchmark/benchmark/SOURCE.json` of deepcs233/Visual-CoT): `image` is a path, and
the same path with `###[x1, y1, x2, y2]` behind it, pixels of the picture; the question stands in the first turn,
before a request for the box, and the answer in the last. The fractions in the second turn are of the picture padded
to a square and are not read. The pictures are those of each source, under its own terms: lay them beside as the paths
say (`cot/SOURCE/...`).

The authors have GPT-3.5 judge the answers. Here an answer is right when it says what the gold says, case and outer
marks apart: stricter for whole sentences, and no number to put beside theirs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, text_of
from tasks.gold_places import Asked, placed_sample

SOURCES: Mapping[str, int] = {
    "cub": 492, "docvqa": 888, "dude": 603, "emotic": 656, "flickr30k": 1546, "gqa": 978, "infographicsvqa": 360,
    "openimages": 945, "sroie": 686, "textcap": 853, "textvqa": 526, "visual7w": 1000, "vsr": 404,
}  # fmt: skip
"""Source to the number of its rows."""

_REQUEST: Final = re.compile(r"\s*Please provide the bounding box coordinate of the region.*\Z", re.DOTALL)
"""What the authors put behind a question."""


def id_of(doc: Doc) -> str:
    """Return the question's number."""
    return row_id(doc, "question_id")


def question_text(doc: Doc) -> str:
    """Return the question."""
    return text_of(doc, "question")


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of a row."""
    answer = text_of(doc, "answer").strip()
    asked = Asked(id_of(doc), text_of(doc, "question"), doc.get("bbox"), answers=(answer,) if answer else None)
    return placed_sample(task, doc, asked)


def made(item: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns of an object as the authors write it."""
    path, marked = item["image"][0], item["image"][1]
    turns = item["conversations"]
    return {
        "question_id": item["question_id"],
        "image": path,
        "question": _REQUEST.sub("", turns[0]["value"].replace("<image>", "", 1)).strip(),
        "answer": turns[3]["value"],
        "bbox": marked.partition("###")[2],
    }


def _source(source: str, rows: int) -> Benchmark:
    """Return the benchmark of one source."""
    task = f"visual_cot_{source}"
    return embedded(
        task,
        title=f"Visual CoT {source}",
        hub_path="deepcs233/Visual-CoT",
        hub_split="test",
        boxes_column="bbox",
        hub_columns=("question_id", "image", "question", "answer", "bbox"),
        json_files=(f"viscot_benchmark/benchmark/{source}.json", f"visual_cot/{source}.json"),
        made=made,
        download="Clone https://github.com/deepcs233/Visual-CoT and lay the pictures beside viscot_benchmark.",
        rows_expected=rows,
        notes="Right where the answer equals the gold and the IoU is at least 0.5; the authors judge by GPT-3.5.",
        adapter=Adapter(partial(sample_of, task=task), question_text, id_of, cluster_by_image(id_of)),
        groups=("grounding", "visual_cot"),
    )


BENCHMARKS = tuple(_source(source, rows) for source, rows in SOURCES.items())
"""Where their rows come from."""
