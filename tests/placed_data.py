"""Draw small local copies of the benchmarks with places, in their authors' own columns and files.

Every gold is written first: a black board of 200 x 100 pixels with one or two coloured boxes, whose edges are multiples
of 20, so that fractions, thousandths and pixels are all whole. `BOXES` holds each as x1, y1, x2, y2 in pixels.
There are two to six rows each, or as many as are wanted; the first are the same either way.
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


def _box(number: int) -> tuple[int, int, int, int]:
    left, top = 20 * (3 * number % 5), 20 * (1 + number % 3)
    return left, top, left + 40 + 20 * (number % 4), top + 20 + 20 * (number // 3 % 2)


BOXES = tuple(dict.fromkeys((*GOLDS, *map(_box, range(60)))))
"""The box of every row that can be drawn; no two are equal."""


def colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def board(row: int, *, second: bool = False) -> bytes:
    """Draw the board of a row as a PNG file."""
    image = Image.new("RGB", SIZE, "black")
    pen = ImageDraw.Draw(image)
    pen.rectangle(BOXES[row], fill=colour(row))
    if second:
        pen.rectangle(SECOND, fill="white")
    pen.point((row, 0), fill="white")  # every row another file
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def xywh(box: tuple[int, ...]) -> list[float]:
    x1, y1, x2, y2 = box
    return [float(x1), float(y1), float(x2 - x1), float(y2 - y1)]


def write_places(parquet: Path, tsv: Path, *, rows: int | None = None) -> None:
    """Write every benchmark with places: hub columns and JSON below `parquet`, the TSV file below both.

    `rows` asks for at least so many questions of each, which may need fewer rows where one has several expressions.
    """
    for name in ("refcoco_val", "refcoco_testA", "refcoco_testB", "refcoco+_val", "refcoco+_testA", "refcoco+_testB",
                 "refcocog_val", "refcocog_test"):  # fmt: skip
        _refcoco(parquet / name / "data.parquet", rows or 5)
    _screenspot(parquet, rows or 3)
    _multihopspatial(parquet, rows or 4)
    _treebench(parquet, tsv, rows or 3)
    _vstar(parquet, rows or 3)
    _vqa_verify(parquet, rows or 6)
    _visual_cot(parquet, rows or 2)


def _write(path: Path, rows: list[dict], kinds: dict[str, pa.DataType]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), path)


def _hub(row: int, **options) -> dict:
    return {"bytes": board(row, **options), "path": f"{row}.png"}


def _refcoco(path: Path, questions: int) -> None:
    """Of three objects two with two expressions, one with one: five questions."""
    said = [["the red box", "box {left}"], ["the green one"], ["blue", "the box in the middle"]]
    while sum(map(len, said)) < questions:
        row = len(said)
        said.append([f"the {colour(row)} box", f"box {row}"][: 1 + (row % 3 != 1)])
    rows = [
        {
            "question_id": str(500 + row),
            "image": _hub(row),
            "question": "Please carefully observe the area circled in the image",
            "answer": expressions,
            "segmentation": [],
            "bbox": xywh(BOXES[row]),
            "iscrowd": 0,
            "file_name": f"COCO_train2014_{row}.jpg",
        }
        for row, expressions in enumerate(said)
    ]
    texts = pa.list_(pa.string())
    kinds = {"question_id": pa.string(), "image": HUB_IMAGE, "question": pa.string(), "answer": texts,
             "segmentation": BOX, "bbox": BOX, "iscrowd": pa.int64(), "file_name": pa.string()}  # fmt: skip
    _write(path, rows, kinds)


def _screen(row: int) -> dict[str, str]:
    return {
        "instruction": f"open the {colour(row)} window",
        "data_type": ("icon", "text")[row % 2],
        "data_source": ("windows", "macos")[row // 3 % 2],
    }


def _screenspot(root: Path, count: int) -> None:
    rows = [
        {
            "image": _hub(row),
            "bbox": [edge / side for edge, side in zip(BOXES[row], SIZE * 2, strict=True)],
            **_screen(row),
        }
        for row in range(count)
    ]
    texts = dict.fromkeys(("instruction", "data_type", "data_source"), pa.string())
    _write(root / "screenspot_v2" / "test.parquet", rows, {"image": HUB_IMAGE, "bbox": BOX, **texts})


def write_screenspot_json(root: Path, count: int = 3) -> None:
    """The same rows in the authors' own layout: pixels, left, top, width, height."""
    pictures = root / "screenspot_v2" / "screenspotv2_image"
    pictures.mkdir(parents=True)
    rows = []
    for row in range(count):
        (pictures / f"pc_{row}.png").write_bytes(board(row))
        rows.append(
            {
                "img_filename": f"pc_{row}.png",
                "bbox": [int(side) for side in xywh(BOXES[row])],
                **_screen(row),
            }
        )
    (root / "screenspot_v2" / "screenspot_desktop_v2.json").write_text(json.dumps(rows), encoding="utf-8")


def _multihopspatial(root: Path, count: int) -> None:
    rows = []
    for row in range(count):
        options = {"a": "the red box", "b": "box (of wood)", "c": f"the {colour(row)} lamp", "d": "none"}
        right = "cadb"[row // 4 % 4]
        rows.append(
            {
                "id": f"m{row}",
                "image": _hub(row),
                "question": " ".join(["Which box lies left?", *(f"({name}) {text}" for name, text in options.items())]),
                "question_tag": "Which <ATT>box</ATT> lies <POS>left</POS>? (a) the red box",
                "answer": f"({right}) {options[right]}",
                "bbox": xywh(BOXES[row]),
                "hop": ("1hop", "2hop")[row % 2],
                "view": ("ego", "exo")[row // 4 % 2],
                "image_resolution": "200x100",
            }
        )
    texts = dict.fromkeys(("id", "question", "question_tag", "answer", "hop", "view", "image_resolution"), pa.string())
    _write(root / "multihopspatial" / "test.parquet", rows, {"image": HUB_IMAGE, "bbox": BOX, **texts})


def _treebench(root: Path, tsv: Path, count: int) -> None:
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
            for row in range(count):
                writer.writerow(
                    {
                        "index": row,
                        "image": base64.b64encode(board(row, second=True)).decode(),
                        **ways[row % 3],
                        "answer": "BCA"[row // 3 % 3],
                        "category": ("Perception/Attributes", "Reasoning/Ordering")[row % 2],
                        "target_instances": str([list(BOXES[row]), list(SECOND)]),
                    }
                )


def _vstar(root: Path, count: int) -> None:
    """Of three rows the last asks about two things."""
    for row in range(count):
        several = row % 3 == 2
        place = root / "vstar_bench" / ("relative_position" if several else "direct_attributes")
        place.mkdir(parents=True, exist_ok=True)
        Image.open(io.BytesIO(board(row, second=several))).save(place / f"sa_{row}.jpg", quality=95)
        boxes = [[int(side) for side in xywh(box)] for box in (BOXES[row], *([SECOND] if several else []))]
        item = {
            "target_object": ["box", "board"][: len(boxes)],
            "bbox": boxes,
            "question": "What is the colour of the box?",
            "options": [f"The colour of the box is {name}." for name in (colour(row), "pink", "gold", "grey")],
        }
        (place / f"sa_{row}.json").write_text(json.dumps(item), encoding="utf-8")


def _vqa_verify(root: Path, questions: int) -> None:
    """Three questions about each held-out picture, and one about each of two that are for training.

    The first two held-out pictures show box 0, the third box 1, and so on.
    """
    from tasks.images import picture_sha256
    from tasks.vqa_verify import is_held_out

    wanted = -(-questions // 3)
    shown = [0, *range(wanted - 1)]
    held, others, number = [], [], 0
    while len(held) < wanted or len(others) < 2:
        image = Image.open(io.BytesIO(board(shown[min(len(held), wanted - 1)])))
        image.putpixel((199, 99), (number % 256, number // 256, 0))
        buffer = io.BytesIO()
        image.save(buffer, format="PNG")
        (held if is_held_out(picture_sha256(buffer.getvalue())) else others).append(buffer.getvalue())
        number += 1
    pictures = [(others[0], 0), *zip(held[:wanted], shown, strict=True), (others[1], 0)]
    rows = [
        {
            "image": {"bytes": picture, "path": f"{place}.png"},
            "question": f"What colour is it? ({question})",
            "possible_answers": [colour(box), *(["crimson"] if box == 0 else [])],
            "image_caption": f"a {colour(box)} box on a black board",
            "bboxs": [list(map(float, BOXES[box]))],
            "width": SIZE[0],
            "height": SIZE[1],
        }
        for place, (picture, box) in enumerate(pictures)
        for question in range(3 if 0 < place <= wanted else 1)
    ]
    texts, numbers = pa.string(), pa.int64()
    kinds = {"image": HUB_IMAGE, "question": texts, "possible_answers": pa.list_(texts), "image_caption": texts,
             "bboxs": pa.list_(BOX), "width": numbers, "height": numbers}  # fmt: skip
    _write(root / "vqa_verify" / "train.parquet", rows, kinds)


def _visual_cot(root: Path, count: int) -> None:
    """The repository's layout: annotations of every source, and one folder of pictures."""
    from harness.task_facts import VISUAL_COT_SOURCES

    notes = root / "viscot_benchmark" / "benchmark"
    notes.mkdir(parents=True)
    pictures = root / "cot" / "gqa"
    pictures.mkdir(parents=True)
    for row in range(count):
        (pictures / f"{row}.png").write_bytes(board(row))
    ask = "Please provide the bounding box coordinate of the region that can help you answer the question better."
    for source in VISUAL_COT_SOURCES:
        rows = [
            {
                "dataset": source,
                "split": "val",
                "question_id": 3 * row,
                "image": [f"cot/gqa/{row}.png", f"cot/gqa/{row}.png###{list(BOXES[row])}"],
                "conversations": [
                    {"from": "human", "value": f"<image>\nWhich colour is it? {ask}"},
                    {"from": "gpt", "value": "[0.100, 0.350, 0.400, 0.550]"},  # row 0's; nobody reads it
                    {"from": "human", "value": "<image>"},
                    {"from": "gpt", "value": colour(row)},
                ],
            }
            for row in range(count)
        ]
        (notes / f"{source}.json").write_text(json.dumps(rows, indent=4), encoding="utf-8")
