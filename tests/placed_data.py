"""Draw small local copies of the benchmarks with places, in their authors' own columns and files.

Every gold is written first: a black board of 200 x 100 pixels with one or two coloured boxes, whose edges are multiples
of 20, so that fractions, thousandths and pixels are all whole. `GOLDS` holds each box as x1, y1, x2, y2 in pixels.
"""

from __future__ import annotations

import base64
import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

SIZE = (200, 100)
GOLDS = ((20, 20, 80, 60), (100, 40, 180, 80), (60, 20, 140, 80), (20, 40, 100, 80))
"""The box of rows 0 to 3."""
SECOND = (120, 20, 180, 40)
"""A second target box, where a benchmark has several."""
COLOURS = ("red", "green", "blue", "orange")
HUB_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
BOX = pa.list_(pa.float64())


def board(row: int, *, second: bool = False) -> bytes:
    """Draw the board of a row as a PNG file."""
    image = Image.new("RGB", SIZE, "black")
    pen = ImageDraw.Draw(image)
    pen.rectangle(GOLDS[row], fill=COLOURS[row])
    if second:
        pen.rectangle(SECOND, fill="white")
    pen.point((row, 0), fill="white")  # every row another file
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def xywh(box: tuple[int, ...]) -> list[float]:
    x1, y1, x2, y2 = box
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def write_places(parquet: Path, tsv: Path) -> None:
    """Write every benchmark with places: hub columns below `parquet`, TSV files below `tsv`, JSON below both."""
    for name in ("refcoco_val", "refcoco_testA", "refcoco_testB", "refcoco+_val", "refcoco+_testA", "refcoco+_testB",
                 "refcocog_val", "refcocog_test"):  # fmt: skip
        _refcoco(parquet / name / "data.parquet")
    _screenspot(parquet)
    _multihopspatial(parquet)
    _treebench(parquet, tsv)
    _vstar(parquet)
    _vqa_verify(parquet)
    _visual_cot(parquet)


def _write(path: Path, rows: list[dict], kinds: dict[str, pa.DataType]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), path)


def _hub(row: int, **options) -> dict:
    return {"bytes": board(row, **options), "path": f"{row}.png"}


def _refcoco(path: Path) -> None:
    """Two objects with two expressions, one with one: five questions."""
    said = (["the red box", "box {left}"], ["the green one"], ["blue", "the box in the middle"])
    rows = [
        {
            "question_id": str(500 + row),
            "image": _hub(row),
            "question": "Please carefully observe the area circled in the image",
            "answer": expressions,
            "segmentation": [],
            "bbox": xywh(GOLDS[row]),
            "iscrowd": 0,
            "file_name": f"COCO_train2014_{row}.jpg",
        }
        for row, expressions in enumerate(said)
    ]
    texts = pa.list_(pa.string())
    kinds = {"question_id": pa.string(), "image": HUB_IMAGE, "question": pa.string(), "answer": texts,
             "segmentation": BOX, "bbox": BOX, "iscrowd": pa.int64(), "file_name": pa.string()}  # fmt: skip
    _write(path, rows, kinds)


def _screenspot(root: Path) -> None:
    rows = [
        {
            "image": _hub(row),
            "instruction": f"open the {COLOURS[row]} window",
            "bbox": [edge / side for edge, side in zip(GOLDS[row], SIZE * 2, strict=True)],
            "data_type": ("icon", "text")[row % 2],
            "data_source": "windows",
        }
        for row in range(3)
    ]
    texts = dict.fromkeys(("instruction", "data_type", "data_source"), pa.string())
    _write(root / "screenspot_v2" / "test.parquet", rows, {"image": HUB_IMAGE, "bbox": BOX, **texts})


def write_screenspot_json(root: Path) -> None:
    """The same three rows in the authors' own layout: pixels, left, top, width, height."""
    pictures = root / "screenspot_v2" / "screenspotv2_image"
    pictures.mkdir(parents=True)
    rows = []
    for row in range(3):
        (pictures / f"pc_{row}.png").write_bytes(board(row))
        rows.append(
            {
                "img_filename": f"pc_{row}.png",
                "bbox": [int(side) for side in xywh(GOLDS[row])],
                "instruction": f"open the {COLOURS[row]} window",
                "data_type": ("icon", "text")[row % 2],
                "data_source": "windows",
            }
        )
    (root / "screenspot_v2" / "screenspot_desktop_v2.json").write_text(json.dumps(rows), encoding="utf-8")


def _multihopspatial(root: Path) -> None:
    rows = [
        {
            "id": f"m{row}",
            "image": _hub(row),
            "question": f"Which box lies left? (a) the red box (b) box (of wood) (c) the {COLOURS[row]} lamp (d) none",
            "question_tag": "Which <ATT>box</ATT> lies <POS>left</POS>? (a) the red box",
            "answer": f"(c) the {COLOURS[row]} lamp",
            "bbox": xywh(GOLDS[row]),
            "hop": ("1hop", "2hop")[row % 2],
            "view": "ego",
            "image_resolution": "200x100",
        }
        for row in range(4)
    ]
    texts = dict.fromkeys(("id", "question", "question_tag", "answer", "hop", "view", "image_resolution"), pa.string())
    _write(root / "multihopspatial" / "test.parquet", rows, {"image": HUB_IMAGE, "bbox": BOX, **texts})


def _treebench(root: Path, tsv: Path) -> None:
    """Options in columns, in one text, and within the question, as rows about text have them."""
    ways = (
        {"question": "Which colour?", "A": "red", "B": "green", "C": "blue", "D": "pink"},
        {"question": "Which colour?", "multi-choice options": "A. red\nB. green\nC. blue"},
        {"question": "What is written?\nOptions: A. EXIT B. STOP C. GO"},
    )
    columns = ("index", "image", "question", "multi-choice options", "A", "B", "C", "D", "answer", "category",
               "target_instances")  # fmt: skip
    for folder in (root, tsv):
        with (folder / "TreeBench.tsv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, delimiter="\t", lineterminator="\n", restval="")
            writer.writeheader()
            for row, way in enumerate(ways):
                writer.writerow(
                    {
                        "index": row,
                        "image": base64.b64encode(board(row, second=True)).decode(),
                        **way,
                        "answer": "B",
                        "category": ("Perception/Attributes", "Reasoning/Ordering")[row % 2],
                        "target_instances": str([list(GOLDS[row]), list(SECOND)]),
                    }
                )


def _vstar(root: Path) -> None:
    for row, folder in enumerate(("direct_attributes", "direct_attributes", "relative_position")):
        place = root / "vstar_bench" / folder
        place.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(board(row, second=row == 2))).save(place / f"sa_{row}.jpg", quality=95)
        boxes = [[int(side) for side in xywh(box)] for box in (GOLDS[row], *([SECOND] if row == 2 else []))]
        item = {
            "target_object": ["box", "board"][: len(boxes)],
            "bbox": boxes,
            "question": "What is the colour of the box?",
            "options": [f"The colour of the box is {name}." for name in (COLOURS[row], "pink", "gold", "grey")],
        }
        (place / f"sa_{row}.json").write_text(json.dumps(item), encoding="utf-8")


def _vqa_verify(root: Path) -> None:
    """Three questions about each of two held-out pictures, and one about each of two that are for training."""
    from tasks.images import picture_sha256
    from tasks.vqa_verify import is_held_out

    held, others, number = [], [], 0
    while len(held) < 2 or len(others) < 2:
        image = Image.open(io.BytesIO(board(0)))
        image.putpixel((199, 99), (number % 256, number // 256, 0))
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        (held if is_held_out(picture_sha256(buffer.getvalue())) else others).append(buffer.getvalue())
        number += 1
    pictures = [*others[:1], *held[:2], *others[1:2]]
    asked = [(place, question) for place in range(4) for question in range(3 if place in {1, 2} else 1)]
    rows = [
        {
            "image": {"bytes": pictures[place], "path": f"{place}.png"},
            "question": f"What colour is it? ({question})",
            "possible_answers": ["red", "crimson"],
            "image_caption": "a red box on a black board",
            "bboxs": [list(map(float, GOLDS[0]))],
            "width": SIZE[0],
            "height": SIZE[1],
        }
        for place, question in asked
    ]
    texts, numbers = pa.string(), pa.int64()
    kinds = {"image": HUB_IMAGE, "question": texts, "possible_answers": pa.list_(texts), "image_caption": texts,
             "bboxs": pa.list_(BOX), "width": numbers, "height": numbers}  # fmt: skip
    _write(root / "vqa_verify" / "train.parquet", rows, kinds)


def _visual_cot(root: Path) -> None:
    """The repository's layout: annotations of every source, and one folder of pictures."""
    from harness.task_facts import VISUAL_COT_SOURCES

    notes = root / "viscot_benchmark" / "benchmark"
    notes.mkdir(parents=True)
    pictures = root / "cot" / "gqa"
    pictures.mkdir(parents=True)
    for row in range(2):
        (pictures / f"{row}.png").write_bytes(board(row))
    ask = "Please provide the bounding box coordinate of the region that can help you answer the question better."
    for source in VISUAL_COT_SOURCES:
        rows = [
            {
                "dataset": source,
                "split": "val",
                "question_id": 3 * row,
                "image": [f"cot/gqa/{row}.png", f"cot/gqa/{row}.png###{list(GOLDS[row])}"],
                "conversations": [
                    {"from": "human", "value": f"<image>\nWhich colour is it? {ask}"},
                    {"from": "gpt", "value": "[0.100, 0.350, 0.400, 0.550]"},
                    {"from": "human", "value": "<image>"},
                    {"from": "gpt", "value": COLOURS[row]},
                ],
            }
            for row in range(2)
        ]
        (notes / f"{source}.json").write_text(json.dumps(rows, indent=4), encoding="utf-8")
