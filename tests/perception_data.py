"""Draw small local copies of RealWorldQA, HR-Bench, CV-Bench, BLINK and ZeroBench: hub parquet and VLMEvalKit TSV.

At least 24 rows each. The columns and their types are the true ones. HR-Bench has six questions in four cycles of their
options, BLINK two in each of its fourteen subtasks, the others eight pictures with three questions each.
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
TEXTS = pa.list_(pa.string())
COLOURS = ("red", "green", "blue", "orange")
ONLY_THE_LETTER = "Please answer directly with only the letter of the correct option and nothing else."
A_WORD = "Please answer directly with a single word or number."


def street(kind: int, number: int) -> bytes:
    """Draw picture `number` of a benchmark; every one is another file."""
    image = Image.new("RGB", (112, 84), (200 + 10 * kind, 230, 250))
    pen = ImageDraw.Draw(image)
    pen.polygon([(40, 30), (70, 30), (112, 84), (0, 84)], fill=(90, 90, 90))
    pen.ellipse((8 * number, 34, 8 * number + 20, 54), fill=COLOURS[number % 4])
    pen.text((6, 6), f"no {number}", fill="black")
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def base64_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def write_perception(parquet: Path, tsv: Path) -> None:
    """Write all of them."""
    _realworldqa(parquet, tsv)
    _hr_bench(parquet, tsv, "4k", 2)
    _hr_bench(parquet, tsv, "8k", 3)
    _cv_bench(parquet, tsv)
    _blink(parquet, tsv)
    _zerobench(parquet, tsv, "zerobench", "zerobench.tsv")
    _zerobench(parquet, tsv, "zerobench_subquestions", "zerobench_sub.tsv")


def _write_parquet(path: Path, rows: list[dict], kinds: dict[str, pa.DataType]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), path, row_group_size=10)


def _write_tsv(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


OPEN_QUESTIONS = (
    ("How many lights are red?", "3"),
    ("Is the road wet?", "No"),
    ("Which way does it lead?", "Downhill"),
)


def _realworldqa(parquet: Path, tsv: Path) -> None:
    """Two of three are option questions, whose options the hub's text holds and VLMEvalKit's columns; others are open.

    The first question's option B has no mark, as two of the true ones, and is missing in VLMEvalKit's file.
    """
    hub, rows = [], []
    for row in range(ROWS):
        picture = street(1, row // 3)
        cells = {"index": str(row), "image": base64_text(picture)}
        if row % 3 == 2:
            question, answer = OPEN_QUESTIONS[row // 3 % 3]
            question, options = f"{question}\n{A_WORD}", {}
            stem = question
        else:
            stem, answer = f"A car stands there. Which colour has disc {row}?", "ABC"[row % 3]
            options = dict(zip("ABC", (COLOURS[row % 4], COLOURS[(row + 1) % 4], COLOURS[(row + 2) % 4]), strict=True))
            listed = [f"{letter}{'' if row == 0 and letter == 'B' else '.'} {text}" for letter, text in options.items()]
            question = "\n".join([stem, "", *listed, ONLY_THE_LETTER])
            if row == 0:
                options.pop("B")
        hub.append({"image": {"bytes": picture, "path": f"{row // 3}.webp"}, "question": question, "answer": answer})
        rows.append(
            {**cells, "question": stem, **{letter: options.get(letter, "") for letter in "ABC"}, "answer": answer}
        )
    kinds = {"image": HUB_IMAGE, "question": pa.string(), "answer": pa.string()}
    _write_parquet(parquet / "realworldqa" / "test-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / "RealWorldQA.tsv", rows)


def _hr_bench(parquet: Path, tsv: Path, size: str, kind: int) -> None:
    hub, rows = [], []
    for turn in range(4):
        for number in range(ROWS // 4):
            options = [COLOURS[(number + step) % 4] for step in range(4)]
            turned = options[turn:] + options[:turn]
            cells = {
                "index": len(hub),
                "question": f"What is the colour of the small disc {number}?",
                "answer": "ABCD"[turned.index(options[0])],
                "category": ("single", "cross")[number % 2],
                **dict(zip("ABCD", turned, strict=True)),
                "cycle_category": "ABCD"[turn],
                "image": base64_text(street(kind, number)),
            }
            hub.append(cells)
            rows.append({name: str(cell) for name, cell in cells.items()})
    kinds = {**dict.fromkeys(hub[0], pa.string()), "index": pa.int64()}
    _write_parquet(parquet / f"hr_bench_{size}" / f"hr_bench_{size}.parquet", hub, kinds)
    _write_tsv(tsv / f"HRBench{size.upper()}.tsv", rows)


def _cv_bench(parquet: Path, tsv: Path) -> None:
    """Sixteen rows of 2D, of two sources that differ in size, and eight of 3D; numbers begin anew in each."""
    places = (
        *(("2D", ("Count", "Relation")[row % 2], "ADE20K" if row < 6 else "COCO") for row in range(16)),
        *(("3D", ("Depth", "Distance")[row % 2], "Omni3D") for row in range(8)),
    )
    hub, halves = [], {"2D": [], "3D": []}
    for row, (half, task, source) in enumerate(places):
        picture = street(4, row // 2 % 8) if half == "2D" else street(5, row // 2 % 4)
        options = [str(row % 5 + step) for step in range(4 if task == "Count" else 2)]
        question = f"How many things of kind {row} are there?"
        listed = "\n".join(f"({letter}) {text}" for letter, text in zip("ABCD", options, strict=False))
        shared = {"question": question, "prompt": f"{question} Select from the following choices.\n{listed}"}
        hub.append(
            {
                "idx": len(halves[half]),
                "type": half,
                "task": task,
                "image": {"bytes": picture, "path": None},
                **shared,
                "choices": options,
                "answer": f"({'AB'[row % 2]})",
                "filename": f"img/{half}/{task.lower()}/{source.lower()}_{row}.png",
                "source": source,
                "source_dataset": f"{source} validation",
                "source_filename": f"{row}.jpg",
                "target_class": None,
                "target_size": None,
                "bbox": None,
            }
        )
        halves[half].append(
            {
                "index": str(len(halves[half])),
                "image": base64_text(picture),
                **shared,
                **dict(zip("ABCD", [*options, "", ""], strict=False)),
                "answer": "AB"[row % 2],
                "category": task,
                "source": source,
                "split": half,
            }
        )
    kinds = {
        **dict.fromkeys(hub[0], pa.string()),
        "idx": pa.int64(),
        "image": HUB_IMAGE,
        "choices": TEXTS,
        "target_size": pa.int64(),
        "bbox": pa.list_(pa.list_(pa.float64())),
    }
    for half, last in (("2D", 16), ("3D", ROWS)):
        own = [row for row in hub[:last] if row["type"] == half]
        _write_parquet(parquet / "cv_bench" / f"test_{half.lower()}.parquet", own, kinds)
        _write_tsv(tsv / f"CV-Bench-{half}.tsv", halves[half])


BLINK_SUBTASKS = (
    "Art_Style", "Counting", "Forensic_Detection", "Functional_Correspondence", "IQ_Test", "Jigsaw",
    "Multi-view_Reasoning", "Object_Localization", "Relative_Depth", "Relative_Reflectance", "Semantic_Correspondence",
    "Spatial_Relation", "Visual_Correspondence", "Visual_Similarity",
)  # fmt: skip


def _blink(parquet: Path, tsv: Path) -> None:
    """A file a subtask, as on the hub, with its test rows beside; one to four pictures."""
    rows = []
    kinds = {
        **dict.fromkeys(("idx", "sub_task", "question"), pa.string()),
        **{f"image_{number}": HUB_IMAGE for number in range(1, 5)},
        "choices": TEXTS,
        **dict.fromkeys(("answer", "prompt", "explanation"), pa.string()),
    }
    for place, subtask in enumerate(BLINK_SUBTASKS):
        own = []
        for number in (1, 2):
            pictures = [street(6, place % 8), *(street(7, (place + step) % 8) for step in range(place % 4))]
            options = ["the first", "the second", "neither"][: 2 + place % 2]
            question = f"Which of them fits in {subtask}, question {number}?"
            listed = "\n".join(f"({letter}) {text}" for letter, text in zip("ABC", options, strict=False))
            prompt = f"{question}\nSelect from the following choices.\n{listed}"
            padded = [*pictures, None, None, None][:4]
            own.append(
                {
                    "idx": f"val_{subtask}_{number}",
                    "sub_task": subtask,
                    "question": question,
                    **{
                        f"image_{slot}": data and {"bytes": data, "path": f"{slot}.jpg"}
                        for slot, data in enumerate(padded, start=1)
                    },
                    "choices": options,
                    "answer": f"({'AB'[number % 2]})",
                    "prompt": prompt,
                    "explanation": "",
                }
            )
            rows.append(
                {
                    "index": str(len(rows)),
                    "image": repr([base64_text(data) for data in pictures]) if place % 4 else base64_text(pictures[0]),
                    "question": question,
                    **dict(zip("ABC", [*options, ""], strict=False)),
                    "answer": "AB"[number % 2],
                    "category": subtask,
                }
            )
        test = [{**row, "idx": row["idx"].replace("val", "test"), "answer": "hidden"} for row in own]
        for split, split_rows in (("val", own), ("test", test)):
            _write_parquet(parquet / "blink" / subtask / f"{split}-00000-of-00001.parquet", split_rows, kinds)
    _write_tsv(tsv / "BLINK.tsv", rows)


ZERO_ANSWERS = ("7", "11.90", "Alamo", "2, 5, 8", "Yes", "1,024")


def _zerobench(parquet: Path, tsv: Path, name: str, tsv_name: str) -> None:
    """Eight pictures; every third question shows two. Subquestions bear the number of their question."""
    hub, rows = [], []
    for row in range(ROWS):
        pictures = [street(8, row // 3), *([street(9, row // 3)] if row % 3 == 2 else [])]
        question, answer = f"What do the discs of row {row} add up to?", ZERO_ANSWERS[row % 6]
        number = str(row + 1) if name == "zerobench" else f"{row // 3 + 1}_{row % 3 + 1}"
        hub.append(
            {
                "question_id": number,
                "question_text": question,
                "question_images": [f"images/{number}_{place}.png" for place in range(len(pictures))],
                "question_answer": answer,
                "question_images_decoded": [{"bytes": data, "path": None} for data in pictures],
                "image_attribution": "Own",
            }
        )
        rows.append(
            {
                "index": str(row),
                "image": repr([base64_text(data) for data in pictures]),
                "question": question,
                "answers": answer,
            }
        )
    kinds = {
        **dict.fromkeys(hub[0], pa.string()),
        "question_images": TEXTS,
        "question_images_decoded": pa.list_(HUB_IMAGE),
    }
    _write_parquet(parquet / name / f"{name}-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / tsv_name, rows)
