"""Draw small local copies of ChartQA, TextVQA, DocVQA and InfographicVQA: hub parquet and VLMEvalKit TSV, 24 rows each.

Eight pictures a benchmark, three questions each. The columns and their types are the true ones.
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


def page(kind: int, number: int) -> bytes:
    """Draw picture `number` of a benchmark; every one is another file."""
    image = Image.new("RGB", (112, 84), (245, 250, 235 + kind))
    pen = ImageDraw.Draw(image)
    for bar in range(3):
        pen.rectangle((10 + 30 * bar, 70 - 10 * bar - number, 30 + 30 * bar, 74), fill=(60 * kind, 40 * bar, 90))
    pen.text((6, 6), f"no {number}", fill="black")
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_documents(parquet: Path, tsv: Path) -> None:
    """Write all four benchmarks."""
    _chartqa(parquet, tsv)
    _textvqa(parquet, tsv)
    _docvqa(parquet, tsv)
    _infovqa(parquet, tsv)


def _write(path: Path, hub: list[dict], kinds: dict[str, pa.DataType], tsv: Path, rows: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(hub, schema=pa.schema(list(kinds.items()))), path, row_group_size=10)
    with tsv.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _hub_image(kind: int, row: int) -> dict:
    return {"bytes": page(kind, row // 3), "path": f"{row // 3}.png"}


def _tsv_image(kind: int, row: int, index: int, step: int = 1) -> str:
    """The picture in a first row, in others the index of that one, as VLMEvalKit's files save space."""
    return base64.b64encode(page(kind, row // 3)).decode() if row % 3 == 0 else str(index - step * (row % 3))


CHART_ANSWERS = ("14", "Yes", "0.57", "2014", "Blue", "1,000")


def _chartqa(parquet: Path, tsv: Path) -> None:
    hub, rows = [], []
    for row in range(ROWS):
        answer = CHART_ANSWERS[row % 6]
        made = ("human", "augmented")[row % 2]
        question = f"What is shown {row} times?"
        hub.append({"type": f"{made}_test", "question": question, "answer": answer, "image": _hub_image(1, row)})
        rows.append(
            {
                "index": str(row),
                "question": question,
                "answer": repr([answer]) if row % 4 else answer,
                "split": f"test_{made}",
                "image": _tsv_image(1, row, row),
            }
        )
    kinds = dict.fromkeys(("type", "question", "answer"), pa.string()) | {"image": HUB_IMAGE}
    _write(parquet / "chartqa" / "test-00000-of-00001.parquet", hub, kinds, tsv / "ChartQA_TEST.tsv", rows)


PEOPLE = (
    ["nokia"] * 7 + ["Nokia.", "the nokia", "samsung"],
    ["stop"] * 3 + ["stop sign"] * 5 + ["", "unanswerable"],
    [f"answer {one}" for one in range(10)],
)


def _textvqa(parquet: Path, tsv: Path) -> None:
    hub, rows = [], []
    for row in range(ROWS):
        said, index = PEOPLE[row % 3], 34602 + row
        question = f"what is written on sign {row}?"
        hub.append(
            {
                "image_id": f"{row // 3:016x}",
                "question_id": index,
                "question": question,
                "question_tokens": question.split(),
                "image": _hub_image(2, row),
                "image_width": 112,
                "image_height": 84,
                "flickr_original_url": "",
                "flickr_300k_url": "",
                "answers": said,
                "image_classes": ["Sign"],
                "set_name": "val",
                "ocr_tokens": ["nokia"],
            }
        )
        rows.append(
            {"index": str(index), "question": question, "answer": repr(said), "image": _tsv_image(2, row, index)}
        )
    texts = ("image_id", "question", "flickr_original_url", "flickr_300k_url", "set_name")
    kinds = {
        **dict.fromkeys(hub[0], pa.string()),
        **dict.fromkeys(texts, pa.string()),
        **dict.fromkeys(("question_id", "image_width", "image_height"), pa.int32()),
        **dict.fromkeys(("question_tokens", "answers", "image_classes", "ocr_tokens"), TEXTS),
        "image": HUB_IMAGE,
    }
    _write(parquet / "textvqa" / "validation-00000-of-00001.parquet", hub, kinds, tsv / "TextVQA_VAL.tsv", rows)


DOCUMENT_KINDS = (["form"], ["table/list", "layout"], ["handwritten", "form"])


def _docvqa(parquet: Path, tsv: Path) -> None:
    """Pictures 0 and 1 are two pages of one document."""
    hub, rows = [], []
    for row in range(ROWS):
        answers, index = [f"University {row} of California, San Diego", f"UC {row}"][: 1 + row % 2], 49000 + 5 * row
        question = f"What is the name in line {row}?"
        picture = row // 3
        hub.append(
            {
                "questionId": str(index),
                "question": question,
                "question_types": DOCUMENT_KINDS[row % 3],
                "image": _hub_image(3, row),
                "docId": 14000 + picture,
                "ucsf_document_id": f"pybv{max(picture, 1):04d}",
                "ucsf_document_page_no": str(picture % 2),
                "answers": answers,
                "data_split": "val",
            }
        )
        rows.append(
            {
                "index": str(index),
                "question": question,
                "answer": repr(answers),
                "image": _tsv_image(3, row, index, step=5),
            }
        )
    kinds = dict.fromkeys(hub[0], pa.string()) | {
        "question_types": TEXTS, "answers": TEXTS, "docId": pa.int32(), "image": HUB_IMAGE,
    }  # fmt: skip
    _write(parquet / "docvqa" / "validation-00000-of-00001.parquet", hub, kinds, tsv / "DocVQA_VAL.tsv", rows)


def _infovqa(parquet: Path, tsv: Path) -> None:
    hub, rows = [], []
    for row in range(ROWS):
        answers, index = [("25%", "facebook, twitter", "1998")[row % 3]], 98000 + row
        question = f"What share has bar {row}?"
        hub.append(
            {
                "questionId": str(index),
                "question": question,
                "answers": answers,
                "answer_type": [["single span"], ["multi-span"], ["non-extractive", "single span"]][row % 3],
                "image": _hub_image(4, row),
                "image_url": f"https://example.org/{row // 3}.jpeg",
                "operation/reasoning": [[], ["counting"], ["arithmetic", "comparison"]][row % 3],
                "ocr": "{}",
                "data_split": "val",
            }
        )
        rows.append(
            {"index": str(index), "question": question, "answer": repr(answers), "image": _tsv_image(4, row, index)}
        )
    kinds = dict.fromkeys(hub[0], pa.string()) | {
        "answers": TEXTS, "answer_type": TEXTS, "operation/reasoning": TEXTS, "image": HUB_IMAGE,
    }  # fmt: skip
    _write(parquet / "infovqa" / "validation-00000-of-00001.parquet", hub, kinds, tsv / "InfoVQA_VAL.tsv", rows)
