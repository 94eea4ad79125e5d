"""Draw small local copies of MMMU, MMMU-Pro and MMBench 1.1: hub parquet and VLMEvalKit TSV, 24 rows each or more.

Questions of MMMU show one to four pictures, in the text or as options. The columns and their types are the true ones.
"""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

ROWS = 24
HUB_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SHADES = ("red", "green", "blue", "orange", "purple", "black", "white", "gray", "yellow", "pink")
SUBJECTS = ("Accounting", "Art_Theory", "Biology", "Pharmacy", "History", "Materials")


def card(kind: int, row: int, number: int) -> bytes:
    """Draw picture `number` of a row; every one is another file, of another size."""
    image = Image.new("RGB", (84 + 28 * number, 112), (250, 240 - kind, 255 - row))
    pen = ImageDraw.Draw(image)
    pen.rectangle((10, 40, 40 + 4 * number, 90), fill=SHADES[(row + number) % len(SHADES)])
    pen.text((6, 6), f"{row}.{number}", fill="black")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


QUESTIONS = (
    ("<image 1> Which colour has the bar?", ["red", "green", "None", "blue"], "A", 1),
    ("Compare <image 1> with <image 2>. Which bar is wider?", ["the first", "the second"], "B", 2),
    ("Which card is meant?", ["<image 1>", "<image 2>", "<image 3>", "<image 4>"], "C", 4),
    ("What is the ratio of both bars in <image 1>?", [], "['24/7', '3.429']", 1),
    ("Look at <image 2>, then at <image 1>, then at <image 2> again. What changed?",
     ["colour", "size", "place", "text", "nothing", "all", "none of them", "N/A", "I do not know"], "I", 2),
    ("Which process is drawn? <image 1>", [], "catalysis", 1),
)  # fmt: skip
"""Text, options, right answer, pictures: one row of six each."""


def write_several(parquet: Path, tsv: Path) -> None:
    """Write all of them."""
    _mmmu_val(parquet, tsv)
    _mmmu_pro(parquet, tsv, "mmmu_pro", 10, "MMMU_Pro_10c.tsv")
    _mmmu_pro(parquet, tsv, "mmmu_pro_4options", 4, "mmmu_pro_4options.tsv")
    _mmmu_pro_vision(parquet, tsv)
    _mmbench_v11(parquet, tsv, "en", "{}")
    _mmbench_v11(parquet, tsv, "cn", "{}色")


def _write_hub(path: Path, rows: list[dict], kinds: dict[str, pa.DataType]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), path, row_group_size=10)


def _write_tsv(path: Path, rows: list[dict]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _hub_pictures(kind: int, row: int, count: int) -> dict:
    held = {f"image_{n}": {"bytes": card(kind, row, n), "path": f"{row}_{n}.png"} for n in range(1, count + 1)}
    return {f"image_{n}": held.get(f"image_{n}") for n in range(1, 8)}


def _tsv_pictures(kind: int, row: int, count: int) -> str:
    """One picture as it is, several as the list that Python prints."""
    texts = [base64.b64encode(card(kind, row, number)).decode() for number in range(1, count + 1)]
    return texts[0] if count == 1 else str(texts)


def _mmmu_val(parquet: Path, tsv: Path) -> None:
    """VLMEvalKit's file holds the dev split as well."""
    hub, rows = [], []
    for row in range(ROWS + 4):
        split = "validation" if row < ROWS else "dev"
        subject = SUBJECTS[row % 6]
        question, options, answer, count = QUESTIONS[row % 6]
        if row < ROWS:
            hub.append(
                {
                    "id": f"{split}_{subject}_{row}",
                    "question": question,
                    "options": repr(options),
                    "explanation": "",
                    **_hub_pictures(5, row, count),
                    "img_type": "['Diagrams']",
                    "answer": answer,
                    "topic_difficulty": ("Easy", "Medium", "Hard")[row % 3],
                    "question_type": "multiple-choice" if options else "open",
                    "subfield": "Drawing",
                }
            )
        rows.append(
            {
                "index": str(row),
                "question": question,
                **dict(zip("ABCDEFGHI", [*options, *[""] * 9], strict=False)),
                "answer": answer,
                "category": subject,
                "l2-category": "Drawn",
                "split": split,
                "image": _tsv_pictures(5, row, count),
            }
        )
    kinds = dict.fromkeys(hub[0], pa.string()) | dict.fromkeys((f"image_{n}" for n in range(1, 8)), HUB_IMAGE)
    _write_hub(parquet / "mmmu_val" / "validation-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / "MMMU_DEV_VAL.tsv", rows)


def _pro_options(row: int, count: int) -> list[str]:
    return [SHADES[(row + step) % len(SHADES)] for step in range(count)]


def _mmmu_pro(parquet: Path, tsv: Path, task: str, count: int, tsv_name: str) -> None:
    hub, rows = [], []
    for row in range(ROWS):
        options, shown = _pro_options(row, count), 1 + row % 3
        answer = "ABCDEFGHIJ"[(row * 7) % count]
        marks = " and ".join(f"<image {number}>" for number in range(1, shown + 1))
        question = f"Which colour do {marks} share?"
        hub.append(
            {
                "id": f"test_{SUBJECTS[row % 6]}_{row}",
                "question": question,
                "options": repr(options),
                "explanation": "",
                **_hub_pictures(6, row, shown),
                "img_type": "['Diagrams']",
                "answer": answer,
                "topic_difficulty": "Medium",
                "subject": SUBJECTS[row % 6],
            }
        )
        rows.append(
            {
                "index": str(row),
                "question": question,
                **dict(zip("ABCDEFGHIJ", options, strict=False)),
                "answer": answer,
                "category": SUBJECTS[row % 6],
                "image": _tsv_pictures(6, row, shown),
            }
        )
    kinds = dict.fromkeys(hub[0], pa.string()) | dict.fromkeys((f"image_{n}" for n in range(1, 8)), HUB_IMAGE)
    _write_hub(parquet / task / "test-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / tsv_name, rows)


def _mmmu_pro_vision(parquet: Path, tsv: Path) -> None:
    hub, rows = [], []
    for row in range(ROWS):
        options, answer, picture = _pro_options(row, 10), "ABCDEFGHIJ"[(row * 3) % 10], card(7, row, 1)
        subject = SUBJECTS[row % 6]
        image = {"bytes": picture, "path": f"{row}.png"}
        hub.append(
            {
                "id": f"test_{subject}_{row}",
                "image": image,
                "options": repr(options),
                "answer": answer,
                "subject": subject,
            }
        )
        letters = dict(zip("ABCDEFGHIJ", options, strict=True))
        text = base64.b64encode(picture).decode()
        rows.append({"index": str(row), "image": text, **letters, "answer": answer, "category": subject})
    kinds = dict.fromkeys(hub[0], pa.string()) | {"image": HUB_IMAGE}
    _write_hub(parquet / "mmmu_pro_vision" / "test-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / "MMMU_Pro_V.tsv", rows)


def _mmbench_v11(parquet: Path, tsv: Path, language: str, option: str) -> None:
    """Six questions with four options in all their rotations; the picture stands in the first, the others name it."""
    rows, hub = [], []
    for number in range(6):
        options = [option.format(SHADES[(number + step) % len(SHADES)]) for step in range(4)]
        picture = card(8, number, 1)
        for turn in range(4):
            index = number + 1_000_000 * turn
            turned = options[turn:] + options[:turn]
            row = {
                "index": str(index),
                "question": "圆是什么颜色?" if language == "cn" else "Which colour has the bar?",
                "hint": "",
                **dict(zip("ABCD", turned, strict=True)),
                "answer": "ABCD"[turned.index(options[0])],
                "category": ("attribute_recognition", "object_localization")[number % 2],
                "l2-category": ("finegrained_perception (instance-level)", "logic_reasoning")[number % 2],
                "split": "dev",
            }
            rows.append({**row, "image": base64.b64encode(picture).decode() if turn == 0 else str(number)})
            hub.append({**row, "image": {"bytes": picture, "path": f"{index}.png"}})
    kinds = dict.fromkeys(hub[0], pa.string()) | {"image": HUB_IMAGE}
    _write_hub(parquet / f"mmbench_{language}_dev_v11" / "dev.parquet", hub, kinds)
    _write_tsv(tsv / f"MMBench_DEV_{language.upper()}_V11.tsv", rows)
