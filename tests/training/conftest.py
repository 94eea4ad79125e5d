"""Drawn training data that several tests share: one folder in VQA-Verify's layout, as parquet and as ms-swift lines."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from tasks.images import picture_sha256
from tasks.vqa_verify import is_held_out

COLOURS = ("red", "green", "blue", "orange", "purple", "black")


@dataclass(frozen=True)
class VqaVerify:
    """Where the same twelve drawn rows lie."""

    parquet: Path
    """Folder with `data/train-00000-of-00001.parquet` and a test file, in the hub's columns."""
    swift: Path
    """Folder with `train.jsonl` of messages, and `pictures/`."""
    rows: list[dict]
    """The rows, without images."""


def png(size: tuple[int, int], box: list[int] | None = None, colour: str = "red", number: int = 0) -> bytes:
    image = Image.new("RGB", size, (255, 255, 250 - number))
    if box is not None:
        ImageDraw.Draw(image).rectangle((box[0], box[1], box[2] - 1, box[3] - 1), fill=colour)
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def vqa_verify(tmp_path_factory) -> VqaVerify:
    root = tmp_path_factory.mktemp("vqa-verify")
    rows, images = [], []
    for number in range(12):
        size = (120 + 8 * number, 90 + 4 * number)
        box = [10 + number, 12, 60 + number, 50 + number]
        colour = COLOURS[number % len(COLOURS)]
        drawn = (png(size, box, colour, number + 20 * turn) for turn in range(11))
        images.append(next(image for image in drawn if not is_held_out(picture_sha256(image))))
        rows.append(
            {
                "question": "What color is the block?",
                "possible_answers": [colour, colour.capitalize(), f"the color is {colour}"],
                "image_caption": f"A {colour} block on white paper.",
                "bboxs": [box],
                "width": size[0],
                "height": size[1],
                "dataset": "gqa" if number % 2 else "textvqa",
            }
        )
    parquet, swift = root / "hub", root / "swift"
    (parquet / "data").mkdir(parents=True)
    (swift / "pictures").mkdir(parents=True)
    structs = [{"bytes": image, "path": f"{number}.png"} for number, image in enumerate(images)]
    table = pa.Table.from_pylist([{**row, "image": struct} for row, struct in zip(rows, structs, strict=True)])
    pq.write_table(table, parquet / "data" / "train-00000-of-00001.parquet")
    pq.write_table(table.slice(0, 1), parquet / "data" / "test-00000-of-00001.parquet")
    lines = []
    for number, (row, image) in enumerate(zip(rows, images, strict=True)):
        (swift / "pictures" / f"{number}.png").write_bytes(image)
        user = {"role": "user", "content": f"<image>{row['question']}"}
        turns = [{"role": "system", "content": "Answer in three parts."}, user]
        boxes = json.dumps(row["bboxs"]) if number % 3 == 0 else row["bboxs"][0] if number % 3 == 1 else row["bboxs"]
        path = f"pictures/{number}.png"
        line = {"messages": turns, "images": [{"bytes": None, "path": path} if number % 2 else path], "bboxs": boxes}
        lines.append(
            line | {key: row[key] for key in ("possible_answers", "image_caption", "width", "height", "dataset")}
        )
    (swift / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return VqaVerify(parquet, swift, rows)
