"""Draw small local copies of the core benchmarks and those of hallucination, in the hub's columns and VLMEvalKit's.

At least 24 rows each in the hub's.

The columns and their types are the true ones; images are drawn, and a few are photographs that scikit-image ships.
Loaded by `tests/conftest.py`, which offers them as the fixture `local_data`.
"""

from __future__ import annotations

import base64
import csv
import io
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image, ImageDraw

COLOURS = ("red", "green", "blue", "orange", "purple", "black")
PHOTOGRAPHS = ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg")
MME_SUBTASKS = (
    "existence",
    "count",
    "position",
    "color",
    "posters",
    "celebrity",
    "scene",
    "landmark",
    "artwork",
    "OCR",
    "commonsense_reasoning",
    "numerical_calculation",
    "text_translation",
    "code_reasoning",
)
OCR_TYPES = (
    ("Regular Text Recognition", "IIIT5K"),
    ("Irregular Text Recognition", "SVTP"),
    ("Artistic Text Recognition", "WordArt"),
    ("Handwriting Recognition", "IAM"),
    ("Digit String Recognition", "ORAND"),
    ("Non-Semantic Text Recognition", "NonSemanticText"),
    ("Scene Text-centric VQA", "TextVQA"),
    ("Doc-oriented VQA", "DocVQA"),
    ("Key Information Extraction", "FUNSD"),
    ("Handwritten Mathematical Expression Recognition", "HME100k"),
)
MMSTAR_CATEGORIES = (
    ("coarse perception", "image scene and topic"),
    ("fine-grained perception", "recognition"),
    ("instance reasoning", "single-instance reasoning"),
    ("logical reasoning", "diagram reasoning"),
    ("science & technology", "geography & earth science & agriculture"),
    ("math", "geometry"),
)
HUB_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


@dataclass(frozen=True)
class LocalData:
    """Where the drawn benchmarks lie."""

    parquet: Path
    """Folder with `<task>/*.parquet` or `<task>.parquet`, in the hub's columns."""
    tsv: Path
    """Folder with VLMEvalKit's files, in its columns."""


def build_local_data(root: Path) -> LocalData:
    """Write both layouts below a folder."""
    data = LocalData(root / "parquet", root / "tsv")
    data.parquet.mkdir(parents=True)
    data.tsv.mkdir(parents=True)
    _mmbench(data, "en", "MMBench_DEV_EN.tsv")
    _mmbench(data, "cn", "MMBench_DEV_CN.tsv")
    _mmstar(data)
    _mme(data)
    _ocrbench(data)
    _mathvista(data)
    _pope(data)
    _hallusion_bench(data)
    _numbered_choice(data, "ai2d", "options", "AI2D_TEST.tsv")
    _numbered_choice(data, "scienceqa", "choices", "ScienceQA_TEST.tsv")
    return data


def drawing(number: int, text: str = "", size: tuple[int, int] = (112, 84)) -> bytes:
    """Draw a coloured disc and a text; every number gives another picture."""
    image = Image.new("RGB", size, (250 - number % 40, 250, 245))
    pen = ImageDraw.Draw(image)
    left = 4 + (number * 7) % 60
    pen.ellipse((left, 30, left + 40, 70), fill=COLOURS[number % len(COLOURS)])
    pen.text((6, 6), text or f"no {number}", fill="black")
    return png(image)


def photograph(number: int) -> bytes:
    """Return one of scikit-image's photographs, made small, as a JPEG file."""
    import skimage

    path = Path(skimage.__file__).parent / "data" / PHOTOGRAPHS[number % len(PHOTOGRAPHS)]
    image = Image.open(path).convert("RGB")
    image.thumbnail((160, 160))
    buffer = io.BytesIO()
    image.save(buffer, format="JPEG", quality=90)
    return buffer.getvalue()


def png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def write_parquet(path: Path, rows: list[dict], kinds: dict[str, pa.DataType], row_group_size: int = 10) -> None:
    """Write rows in the hub's layout, in several row groups as the hub does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(kinds.items())))
    pq.write_table(table, path, row_group_size=row_group_size)


def with_damaged_pages(source: Path, target: Path, column: str, group: int = 1) -> Path:
    """Copy a parquet file with the pages of a column overwritten in one row group; return the copy's folder."""
    data = bytearray(source.read_bytes())
    chunks = pq.ParquetFile(source).metadata.row_group(group)
    for place in range(chunks.num_columns):
        chunk = chunks.column(place)
        if chunk.path_in_schema.split(".")[0] == column:
            start = chunk.dictionary_page_offset or chunk.data_page_offset
            data[start : start + chunk.total_compressed_size] = b"\x5a" * chunk.total_compressed_size
    target.write_bytes(data)
    return target.parent


def write_tsv(path: Path, rows: list[dict[str, str]]) -> None:
    """Write rows as pandas' to_csv(sep="\\t") does."""
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def hub_image(data: bytes, name: str) -> dict:
    return {"bytes": data, "path": name}


def text_image(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _mmbench(data: LocalData, language: str, tsv_name: str) -> None:
    """Five questions with four options and three with two, each in all its rotations: 26 rows."""
    hub, tsv = [], []
    for number in range(8):
        options = [COLOURS[(number + step) % len(COLOURS)] for step in range(4 if number < 5 else 2)]
        if language == "cn":
            options = [f"{option}色" for option in options]
        if number == 1:
            options[2] = "None"
        if number == 2:
            options[3] = "N/A"
        question = "圆是什么颜色?" if language == "cn" else "What is the colour of the disc?"
        hint = 'Look closely.\nThe answer is one of the "options".' if number % 2 else ""
        image = photograph(number) if number == 7 else drawing(number)
        right = options[0]
        for turn in range(len(options)):
            index = number + 241 + 1_000_000 * turn
            turned = options[turn:] + options[:turn]
            letters = dict(zip("ABCD", turned, strict=False))
            shared = {
                "index": index,
                "question": question,
                "answer": "ABCD"[turned.index(right)],
                "category": ("attribute_recognition", "object_localization")[number % 2],
                "source": "drawn",
                "split": "dev",
            }
            cells = {letter: letters.get(letter, "nan") for letter in "ABCD"}
            l2 = ("finegrained_perception (instance-level)", "logic_reasoning")[number % 2]
            hub.append(
                {
                    **shared,
                    **cells,
                    "hint": hint or "nan",
                    "comment": "nan",
                    "L2-category": l2,
                    "image": hub_image(image, f"{index}.png"),
                }
            )
            tsv.append(
                {
                    "index": str(index),
                    "question": question,
                    "hint": hint,
                    **{letter: letters.get(letter, "") for letter in "ABCD"},
                    "answer": shared["answer"],
                    "category": shared["category"],
                    "image": text_image(image) if turn == 0 else str(number + 241),
                    "source": "drawn",
                    "l2-category": l2,
                    "comment": "",
                    "split": "dev",
                }
            )
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {"index": pa.int64(), "image": HUB_IMAGE}
    write_parquet(data.parquet / f"mmbench_{language}_dev" / "dev-00000-of-00002.parquet", hub[:13], kinds)
    write_parquet(data.parquet / f"mmbench_{language}_dev" / "dev-00001-of-00002.parquet", hub[13:], kinds)
    write_tsv(data.tsv / tsv_name, tsv)


def _mmstar(data: LocalData) -> None:
    hub, tsv = [], []
    for index in range(24):
        options = dict(zip("ABCD", (COLOURS[(index + step) % 6] for step in range(4)), strict=True))
        if index == 3:
            options["D"] = "05"
        category, l2 = MMSTAR_CATEGORIES[index % 6]
        stem = "Which colour has the disc?"
        image = photograph(index) if index < 4 else drawing(index % 20)  # rows 20 to 23 ask about known images
        listed = ", ".join(f"{letter}: {text}" for letter, text in options.items())
        shared = {"answer": "A", "category": category, "l2_category": l2}
        hub.append(
            {
                "index": index,
                "question": f"{stem}\nOptions: {listed}",
                "image": hub_image(image, f"images/{index}.jpg"),
                **shared,
                "meta_info": {"source": "drawn", "split": "val", "image_path": f"images/{index}.jpg"},
            }
        )
        tsv.append({"index": str(index), "question": stem, "image": text_image(image), **options, **shared})
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {
        "index": pa.int64(),
        "image": HUB_IMAGE,
        "meta_info": pa.struct([("source", pa.string()), ("split", pa.string()), ("image_path", pa.string())]),
    }
    write_parquet(data.parquet / "mmstar" / "mmstar.parquet", hub, kinds)
    write_tsv(data.tsv / "MMStar.tsv", tsv)


def _mme(data: LocalData) -> None:
    """Fourteen subtasks, one image each, two questions an image: 28 rows."""
    hub, tsv = [], []
    for number, category in enumerate(MME_SUBTASKS):
        image = photograph(number) if number < 4 else drawing(number + 40)
        name = f"{category}/{number:04d}.png"
        for answer in ("Yes", "No"):
            thing = "a drawing or a photograph" if answer == "Yes" else "a film"
            question = f"Is this {thing}? Please answer yes or no."
            shared = {"question": question, "answer": answer, "category": category}
            hub.append({"question_id": name, "image": hub_image(image, name), **shared})
            tsv.append(
                {
                    "index": str(len(tsv)),
                    "image": text_image(image),
                    **shared,
                    "image_path": name,
                }
            )
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {"image": HUB_IMAGE}
    write_parquet(data.parquet / "mme.parquet", hub, kinds)
    write_tsv(data.tsv / "MME.tsv", tsv)


def _ocrbench(data: LocalData) -> None:
    hub, tsv = [], []
    for index in range(24):
        kind, dataset = OCR_TYPES[index % len(OCR_TYPES)]
        words = ["\\frac { 1 } { 2 }"] if dataset == "HME100k" else [f"WORD {index}", f"word{index}"]
        image = drawing(index + 80, words[0])
        question = "What is written in the image?"
        hub.append(
            {
                "dataset": dataset,
                "question": question,
                "question_type": kind,
                "answer": words,
                "image": hub_image(image, f"{index}.png"),
            }
        )
        tsv.append(
            {
                "index": str(index),
                "image": text_image(image),
                "question": question,
                "answer": repr(words),
                "category": kind,
            }
        )
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {
        "answer": pa.list_(pa.string()),
        "image": HUB_IMAGE,
    }
    write_parquet(data.parquet / "ocrbench" / "test-00000-of-00001.parquet", hub, kinds)
    write_tsv(data.tsv / "OCRBench.tsv", tsv)


def _pope(data: LocalData) -> None:
    """Eight pictures, in each sampling a colour that is there and one that is not; the TSV joins the samplings."""
    hub, joined = [], {}
    for number, sampling in enumerate(("adversarial", "popular", "random")):
        for place in range(16):
            image = drawing(place // 2 + 120)
            there = COLOURS[(place // 2 + 120) % len(COLOURS)]
            absent = COLOURS[(place // 2 + 121 + number // 2) % len(COLOURS)]  # one question is in two samplings
            question = f"Is there a {absent if place % 2 else there} disc in the image?"
            hub.append(
                {
                    "id": str(len(hub)),
                    "question_id": str(place + 1),
                    "question": question,
                    "answer": "no" if place % 2 else "yes",
                    "image_source": f"COCO_val2014_{place // 2:012d}",
                    "image": hub_image(image, f"{place // 2}.jpg"),
                    "category": sampling,
                }
            )
            row = {"image": text_image(image), "question": question, "answer": "No" if place % 2 else "Yes"}
            joined.setdefault((place // 2, question), (row, []))[1].append(sampling)
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {"image": HUB_IMAGE}
    write_parquet(data.parquet / "pope" / "test-00000-of-00001.parquet", hub, kinds)
    rows = [
        {"index": str(index), **row, "category": ",".join(samplings)}
        for index, (row, samplings) in enumerate(joined.values())
    ]
    write_tsv(data.tsv / "POPE.tsv", rows)


def _hallusion_bench(data: LocalData) -> None:
    """Two sets in each of three subcategories, a figure and an altered one, two questions of each: 24 rows."""
    hub, tsv = [], []
    for number, (category, own) in enumerate((("VD", "ocr"), ("VS", "ocr"), ("VS", "chart"))):
        for place in range(8):
            set_id, figure, asked = place // 4, place // 2 % 2, place % 2
            image = drawing(140 + 4 * number + place // 2)
            right = (figure + asked) % 2 == 0
            name = f"{category}_{own}_{set_id}_{figure}_{asked}"
            question = f"Is this the {('first', 'second')[asked]} drawing of the set?"
            hub.append(
                {
                    "category": category,
                    "subcategory": own,
                    "visual_input": "1" if figure == 0 else "2",
                    "set_id": str(set_id),
                    "figure_id": str(figure),
                    "sample_note": "drawn",
                    "question_id": str(asked),
                    "question": question,
                    "gt_answer_details": "It is." if right else "It is not.",
                    "gt_answer": "1" if right else "0",
                    "filename": f"./{category}/{own}/{set_id}_{figure}.png",
                    "image": hub_image(image, f"{set_id}_{figure}.png"),
                }
            )
            tsv.append(
                {
                    "index": f"drawn_{name}",
                    "image": text_image(image),
                    "question": question,
                    "answer": "Yes" if right else "No",
                    "category": category,
                    "l2-category": f"{category}_{own}",
                }
            )
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {"image": HUB_IMAGE}
    write_parquet(data.parquet / "hallusion_bench" / "image-00000-of-00001.parquet", hub, kinds)
    write_tsv(data.tsv / "HallusionBench.tsv", tsv)


def _numbered_choice(data: LocalData, task: str, options: str, tsv_name: str) -> None:
    """Four options, the right one by number on the hub: as text in AI2D, which has no hint and no category."""
    hub, tsv = [], []
    for index in range(24):
        colours = [COLOURS[(index + step) % 6] for step in range(4)]
        right = (index * 5) % 4
        colours[right], colours[0] = colours[0], colours[right]
        image = drawing(index % 20 + 180)
        question = {"question": f"Which colour has disc {index}?"}
        more = {} if task == "ai2d" else {"hint": "Look at the disc." if index % 2 else "", "category": "Colours"}
        answer = str(right) if task == "ai2d" else right
        hub.append({**question, options: colours, "answer": answer, "image": hub_image(image, f"{index}.png"), **more})
        letters = dict(zip("ABCD", colours, strict=True))
        row = {"index": str(index), "image": text_image(image), **question, **letters, "answer": "ABCD"[right]}
        tsv.append(row | more)
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {
        options: pa.list_(pa.string()),
        "image": HUB_IMAGE,
    }
    if task == "scienceqa":
        kinds["answer"] = pa.int64()
    write_parquet(data.parquet / task / "test-00000-of-00001.parquet", hub, kinds)
    write_tsv(data.tsv / tsv_name, tsv)


_MATHVISTA_KINDS = (
    ("multi_choice", "text", ["3/11", "8/11", "6/11", "3/5"], "8/11", None, ""),
    ("free_form", "integer", None, "5", None, "cm"),
    ("free_form", "float", None, "1.2", 1.0, "$"),
    ("free_form", "list", None, "[2007, 2008]", None, ""),
    ("multi_choice", "text", ["Yes", "No"], "No", None, ""),
    ("free_form", "float", None, "0.25", 2.0, ""),
)


def _mathvista(data: LocalData) -> None:
    hub, tsv = [], []
    for number in range(24):
        question_type, answer_type, choices, answer, precision, unit = _MATHVISTA_KINDS[number % 6]
        image = drawing(number + 120, answer)
        stem = f"What does drawing {number} show?"
        task = ("figure question answering", "geometry problem solving")[number % 2]
        skills = ["numeric commonsense", "statistical reasoning"][: 1 + number % 2]
        listed = "\n".join(f"({letter}) {text}" for letter, text in zip("ABCD", choices or [], strict=False))
        query = (
            "Hint: Please answer the question and provide the correct option letter, e.g., A, B, C, D, at the end.\n"
            f"Question: {stem}\nChoices:\n{listed}"
            if choices
            else "Hint: Please answer the question requiring a value and provide the final value at the end.\n"
            f"Question: {stem}" + (f" (Unit: {unit})" if unit else "")
        )
        hub.append(
            {
                "pid": str(number + 1),
                "question": stem,
                "image": f"images/{number + 1}.jpg",
                "decoded_image": hub_image(image, f"{number + 1}.png"),
                "choices": choices,
                "unit": unit or None,
                "precision": precision,
                "answer": answer,
                "question_type": question_type,
                "answer_type": answer_type,
                "metadata": {
                    "category": "math-targeted-vqa",
                    "context": "scientific figure",
                    "language": "english",
                    "skills": skills,
                    "source": "drawn",
                    "split": "testmini",
                    "task": task,
                },
                "query": query,
            }
        )
        tsv.append(
            {
                "index": str(number + 1),
                "image": text_image(image),
                "question": query,
                "question_type": question_type,
                "answer_type": answer_type,
                "choices": repr(choices) if choices else "",
                "answer": answer,
                "answer_option": "ABCD"[choices.index(answer)] if choices else "",
                "precision": "" if precision is None else str(precision),
                "unit": unit,
                "task": task,
                "skills": repr(skills),
                "category": "math-targeted-vqa",
            }
        )
    texts = ("category", "context", "language")
    about = [(name, pa.string()) for name in texts]
    about += [("skills", pa.list_(pa.string())), ("source", pa.string()), ("split", pa.string()), ("task", pa.string())]
    kinds: dict[str, pa.DataType] = dict.fromkeys(hub[0], pa.string()) | {
        "decoded_image": HUB_IMAGE,
        "choices": pa.list_(pa.string()),
        "precision": pa.float64(),
        "metadata": pa.struct(about),
    }
    write_parquet(data.parquet / "mathvista" / "testmini.parquet", hub, kinds)
    write_tsv(data.tsv / "MathVista_MINI.tsv", tsv)
