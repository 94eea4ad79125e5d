"""Draw small local copies of MathVision, MathVerse, We-Math and OlympiadBench: hub parquet and VLMEvalKit TSV.

At least 24 rows each. The columns and their types are the true ones.
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


def figure(kind: int, number: int) -> bytes:
    """Draw figure `number` of a benchmark; every one is another file."""
    image = Image.new("RGB", (112, 84), (255, 250 - 10 * kind, 240))
    pen = ImageDraw.Draw(image)
    pen.polygon([(20, 70), (30 + 3 * number, 20), (100, 70)], outline=(40 * kind, 20, 90))
    pen.text((4, 4), f"{kind}.{number}", fill="black")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_maths(parquet: Path, tsv: Path) -> None:
    """Write all of them."""
    _mathvision(parquet, tsv, "testmini", "MathVision_MINI.tsv")
    _mathvision(parquet, tsv, "test", "MathVision.tsv")
    _mathverse(parquet, tsv)
    _wemath(parquet, tsv)
    _olympiadbench(parquet, tsv)


def _write_hub(path: Path, rows: list[dict], kinds: dict[str, pa.DataType]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = dict.fromkeys(rows[0], pa.string()) | kinds
    pq.write_table(pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items()))), path, row_group_size=10)


def _write_tsv(path: Path, rows: list[dict]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _hub_image(kind: int, number: int) -> dict:
    return {"bytes": figure(kind, number), "path": f"{number}.png"}


def _text_image(kind: int, number: int) -> str:
    return base64.b64encode(figure(kind, number)).decode()


PROBLEMS = (
    ("How many triangles are there?\n<image1>", [], "12"),
    ("What is the ratio of both areas?<image1>", [], "\\frac{2}{3}"),
    (
        "Which line is the longest?\n<image1>",
        ["$12$ cm", "$\\sqrt{2}$ cm", "$10$ cm", "$\\frac{1}{2}$ cm", "None"],
        "B",
    ),
    ("Which figure comes next?\n<image1>", ["A", "B", "C", "D", "E"], "D"),
)
"""Question, options, answer: one row of four each."""


def _mathvision(parquet: Path, tsv: Path, split: str, tsv_name: str) -> None:
    """Two questions a figure."""
    hub, rows = [], []
    for row in range(ROWS):
        question, options, answer = PROBLEMS[row % 4]
        level, subject = 1 + row % 5, ("counting", "solid geometry", "algebra")[row % 3]
        hub.append(
            {
                "id": str(row + 4),
                "question": question,
                "options": options,
                "image": f"images/{row + 4}.jpg",
                "decoded_image": _hub_image(1, row // 2),
                "answer": answer,
                "solution": None,
                "level": level,
                "subject": subject,
            }
        )
        rows.append(
            {
                "index": str(row + 4),
                "image": _text_image(1, row // 2),
                "question": question,
                "choices": repr(options),
                "answer": answer,
                "category": subject,
                "level": str(level),
            }
        )
    kinds = {"options": TEXTS, "decoded_image": HUB_IMAGE, "level": pa.int64()}
    _write_hub(parquet / f"mathvision_{split}" / f"{split}-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / tsv_name, rows)


VERSIONS = ("Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only")
OPTIONS = "Choices:\nA:40°\nB:60°\nC:120°\nD:140°"
LETTER_QUERY = "Please directly answer the question and provide the correct option letter, e.g., A, B, C, D."
VALUE_QUERY = "Please directly answer the question requiring an answer and provide the final value."


def _mathverse(parquet: Path, tsv: Path) -> None:
    """Six problems in five versions each, one of them without its picture as well: 30 rows that are asked."""
    hub, rows = [], []
    for row in range(31):
        problem, version = (row // 5, VERSIONS[row % 5]) if row < 30 else (0, "Text Only")
        has_options = problem % 2 == 0
        full = f"As shown in figure {problem}, angle A = 80.0, then angle C is ()"
        full = f"{full}\n{OPTIONS}" if has_options else full
        own = {"Vision Only": "", "Text Lite": full.replace("angle A = 80.0, then ", "")}.get(version, full)
        lead = LETTER_QUERY if has_options else VALUE_QUERY
        query = f"{lead}\nQuestion: {own}"
        if version == "Vision Only":
            query = f"According to the question shown in the image, {lead[0].lower()}{lead[1:]}"
        subject, subfield = ("Plane Geometry", "Angle") if problem < 4 else ("Functions", "Coordinate")
        about = {"split": "testmini", "source": "drawn", "subject": subject, "subfield": subfield}
        shared = {
            "problem_index": str(problem + 1),
            "problem_version": version,
            "answer": "B" if has_options else ("60", "x^2+1", "\\frac{\\pi}{3}")[problem // 2],
            "question_type": "multi-choice" if has_options else "free-form",
            "query_cot": query.replace("directly answer", "first conduct reasoning, and then answer"),
            "question_for_eval": full,
        }
        image = _hub_image(2, row) if version != "Text Only" else None
        hub.append(
            {
                "sample_index": str(row + 1),
                **shared,
                "question": own,
                "image": image,
                "metadata": about,
                "query_wo": query,
            }
        )
        if image is not None:
            picture = {"image": _text_image(2, row), "question": query, "metadata": repr(about)}
            rows.append({"index": str(row + 1), **picture, **shared})
    about = pa.struct([(name, pa.string()) for name in ("split", "source", "subject", "subfield")])
    kinds = {"image": HUB_IMAGE, "metadata": about}
    _write_hub(parquet / "mathverse" / "testmini-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / "MathVerse_MINI.tsv", rows)


def _wemath(parquet: Path, tsv: Path) -> None:
    """Four problems of two steps and three of three: 24 rows."""
    hub, rows = [], []
    for steps, problems in ((2, 4), (3, 3)):
        for problem in range(1, problems + 1):
            for part in [*map(str, range(1, steps + 1)), "multi"]:
                number = len(hub)
                answer = "ABCDE"[number % 5]
                options = ["200.96", "3215.36", "6280; at most", "32", "No correct answer"]
                shared = {
                    "ID": f"{steps}steps_{problem}",
                    "question": f"As shown in the figure, what is quantity {number} (  ) m²?",
                    "answer": answer,
                    "key": f"{steps}steps_{part}",
                    "knowledge concept": ("Area of Circles", "Observing Figures")[number % 2],
                }
                listed = ";".join(f"{letter}. {text}" for letter, text in zip("ABCDE", options, strict=True))
                hub.append(
                    {
                        **shared,
                        "split": "testmini",
                        "option": listed,
                        "image_path": _hub_image(3, number),
                        "question number": number + 1,
                        "knowledge concept description": "drawn",
                    }
                )
                letters = dict(zip("ABCDE", options, strict=True))
                rows.append({"index": str(number), "image": _text_image(3, number), **shared, **letters})
    kinds = {"image_path": HUB_IMAGE, "question number": pa.int64()}
    _write_hub(parquet / "wemath" / "testmini-00000-of-00001.parquet", hub, kinds)
    _write_tsv(tsv / "WeMath.tsv", rows)


SOURCES = (
    ("OE_MM_maths_en_COMP", "Multimodal", "Math", "English", "Competition"),
    ("OE_MM_maths_zh_CEE", "Multimodal", "Math", "Chinese", "CEE"),
    ("OE_MM_physics_en_COMP", "Multimodal", "Physics", "English", "Competition"),
    ("OE_MM_physics_zh_CEE", "Multimodal", "Physics", "Chinese", "CEE"),
    ("OE_TO_maths_en_COMP", "Text-only", "Math", "English", "Competition"),
)
ANSWERS = (
    ("Numerical", ["5"], "", "", False),
    ("Expression", ["\\frac{n(n+1)}{2}"], "", "", False),
    ("Numerical", ["3.14"], "0.02", "m/s", False),
    ("Numerical", ["1,2"], "", "", True),
    ("Interval", ["(-\\infty, 2]"], "", "", False),
    ("Equation", ["y=2x+1"], "", "", False),
)
"""Kind, accepted answers, allowed error, unit, whether there are several: one row of six each."""


def _olympiadbench(parquet: Path, tsv: Path) -> None:
    """Six questions a source, with one to three pictures, the first two about the same; one source without pictures."""
    rows = []
    for place, (source, modality, subject, language, difficulty) in enumerate(SOURCES):
        hub = []
        for row, (kind, answers, error, unit, several) in enumerate(ANSWERS):
            count = 0 if modality == "Text-only" else 1 + max(row - 1, 0) % 3
            first = 30 * place + max(row, 1) * 3
            question = f"求第 {row} 个值。<image_1>" if language == "Chinese" else f"Find value {row}. <image_1>"
            context = "A block slides." if subject == "Physics" else None
            shared = {
                "question": question,
                "is_multiple_answer": several,
                "unit": unit or None,
                "answer_type": kind,
                "error": error or None,
                "subfield": "Algebra",
            }
            hub.append(
                {
                    "id": 2200 + row,
                    **shared,
                    "solution": ["It is so."],
                    "final_answer": answers,
                    "context": context,
                    **{
                        f"image_{number}": _hub_image(4, first + number) if number <= count else None
                        for number in range(1, 10)
                    },
                    "modality": modality,
                    "difficulty": difficulty,
                    "question_type": "Open-ended",
                    "subject": subject,
                    "language": language,
                }
            )
            if count:
                pictures = [_text_image(4, first + number) for number in range(1, count + 1)]
                rows.append(
                    {
                        "index": str(len(rows)),
                        "image": str(pictures) if count > 1 else pictures[0],
                        **{name: "" if value is None else str(value) for name, value in shared.items()},
                        "final_answer": repr(answers),
                        "context": context or "",
                        "source": source,
                    }
                )
        kinds = {
            "id": pa.int64(),
            "solution": TEXTS,
            "final_answer": TEXTS,
            "is_multiple_answer": pa.bool_(),
            **{f"image_{number}": HUB_IMAGE for number in range(1, 10)},
        }
        _write_hub(parquet / "olympiadbench" / "OlympiadBench" / source / f"{source}.parquet", hub, kinds)
    _write_tsv(tsv / "OlympiadBench.tsv", rows)
