"""The site of docs/ builds without a warning and without a network, and its tables are those of the code."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.evaluation.predictions import ANSWER_RULES
from harness.probes.fills import edited
from harness.runs.manifest import TaskManifest, manifest_to_json, read_manifest
from harness.runs.record_table import SCORE_COLUMNS
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_words
from harness.scoring.formats import MARKED, definition_of
from harness.scoring.protocol_differences import OF_RULES, OF_TASKS
from harness.scoring.protocols import PEER_VERSIONS
from harness.values import GroundedFormat, Marks
from harness.vocabulary import (
    BOX_FRAMES,
    BOX_SYNTAXES,
    FAULTS,
    GOLD_FRAMES,
    NATIVE,
    PARSE_FAULTS,
    PROTOCOLS,
    STAGE_FORMATS,
    AnswerRule,
)
from tasks.catalog import BENCHMARKS
from tasks.own import PARTS
from tasks.shapes import generate

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?(?:https?:)?//""", re.IGNORECASE)

NAMED_FILE = re.compile(r"`((?:harness|tasks|tests|training|reports|examples)/[\w/.]+\.(?:py|yaml|toml|json|ipynb))`")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def table(text: str) -> list[list[str]]:
    """The cells of the first table of a text, without its head."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.startswith("|"):
            lines.append(line)
        elif lines:
            break
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:]]


def marked_table(name: str, mark: str) -> list[list[str]]:
    """The table behind a mark of a page."""
    text = page(name)
    assert text.count(f"<!-- {mark} -->") == 1
    return table(text.split(f"<!-- {mark} -->")[1])


def words(cells: list[str]) -> list[str]:
    """The words in code that the cells hold."""
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def first_words(rows: list[list[str]]) -> list[str]:
    return words([row[0] for row in rows])


@pytest.fixture(scope="module")
def run(invented, tmp_path_factory) -> Path:
    questions = invented.shapes_questions(8, pictures=False)
    return invented.invent_run(tmp_path_factory.mktemp("runs"), invented.Answerer("base"), questions)


def test_the_site_builds_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--strict", "--config-file", str(ROOT / "mkdocs.yml")]

    done = subprocess.run([*command, "-d", str(tmp_path / "site")], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    pages = list((tmp_path / "site").rglob("*.html"))
    assert len(pages) > len(list(DOCS.glob("*.md")))  # each page, and the one for what is not there
    assert [found.name for found in pages if LOADED.search(found.read_text(encoding="utf-8"))] == []


def test_a_page_that_loads_something_would_be_found():
    assert LOADED.search('<link rel="stylesheet" href="https://fonts.example/css">')
    assert LOADED.search("<script src='//cdn.example/x.js'>")
    assert not LOADED.search('<a href="https://example.org">')


def test_the_table_of_faults_is_the_vocabulary():
    rows = marked_table("faults.md", "faults: tests/test_docs.py holds this table equal to harness/vocabulary.py")

    assert first_words(rows) == list(FAULTS)
    assert {row[0].strip("`") for row in rows if row[1] == "text"} == PARSE_FAULTS


def test_protocols_rules_formats_and_frames_are_the_vocabulary():
    scores, formats = page("scores.md"), page("formats.md")

    assert sorted(first_words(table(scores.split("## Protocols")[1]))) == sorted([*PROTOCOLS, NATIVE])
    assert first_words(table(scores.split("## Answer rules")[1])) == list(AnswerRule.__args__)
    assert first_words(table(formats.split("## Formats")[1])) == list(STAGE_FORMATS)
    assert first_words(table(formats.split("`--box-frame` is short for")[1])) == list(BOX_FRAMES)
    assert first_words(table(formats.split("padded to a square |")[1])) == list(BOX_SYNTAXES)
    assert set(GOLD_FRAMES) - set(BOX_FRAMES) <= set(words([formats.split("*Gold* boxes")[1]]))


def test_the_tables_of_differences_are_those_of_the_code():
    for mark, table_of in (("by kind of answer", OF_RULES), ("by benchmark", OF_TASKS)):
        rows = marked_table("protocols.md", f"differences: {mark}")

        assert {(name.strip("`"), protocol.strip("`"), says, source) for name, protocol, says, source in rows} == {
            (name, protocol, one.says, one.source)
            for name, found in table_of.items()
            for protocol, one in found.items()
        }
    versions = [row[1].strip("`") for row in table(page("protocols.md"))[1:]]
    assert sorted(versions) == sorted(f"{name}@{version}" for name, version in PEER_VERSIONS.items())


def marks_in_words(pairs: tuple[Marks, ...]) -> str:
    ends = {"\n": "to the end of the line", "": "to the end"}
    return ", ".join(f"`{opening}` {ends.get(closing, f'`{closing}`')}" for opening, closing in pairs)


def documented(form: GroundedFormat) -> list[str]:
    """A row of the table of published formats."""
    places = {"thought": "in the thought", "calls": "anywhere", "answer": "in the answer", "text": "beside the answer"}
    key = f"key `{form.answer_key}`" if form.answer_key else "what is left beside boxes"
    answer = marks_in_words(form.answer) or key
    boxes = f"{marks_in_words(form.boxes)} {places[form.boxes_in]}".strip()
    steps = f"steps; {form.counted} counts" if form.boxes_in in {"thought", "calls"} else "no steps"
    dialect = "the model's" if form.dialect is None else f"`{dialect_words(form.dialect)}`"
    return [f"`{form.name}`", marks_in_words(form.thought) or "-", answer, boxes, dialect, steps, form.source]


def test_the_table_of_published_formats_is_the_harness_table():
    assert list(map(documented, MARKED.values())) == marked_table("formats.md", "published formats")


def test_a_format_of_ones_own_names_every_key():
    assert set(definition_of(next(iter(MARKED.values())))) == set(first_words(marked_table("formats.md", "own format")))


def test_a_predictions_row_names_the_tasks_that_can_be_scored():
    rows = {row[0]: row[1] for row in table(page("formats.md").split("## Predictions files")[1])}
    further = {word for word in words([rows["`task`"]]) if not word.startswith("satori-bench")}

    assert {*BENCHMARKS, *further} == {*ANSWER_RULES}


def test_the_columns_are_those_of_a_written_table(run):
    schema = pq.read_schema(run / "samples.parquet")
    rows = marked_table("run_folder.md", "schema: samples.parquet")

    written = {field.name: re.sub(r"\b(element|item): ", "", str(field.type)) for field in schema}
    assert {row[0].strip("`"): row[1].replace("&lt;", "<").replace("&gt;", ">") for row in rows} == written
    assert first_words(rows) == schema.names
    again = page("run_folder.md").split("A `samples-PROTOCOL.parquet` holds")[1].split(";")[0]
    assert words([again]) == list(SCORE_COLUMNS)


def test_the_fields_are_those_of_written_scores(run):
    scores = load_run(run).scores
    of_a_task = [*scores["tasks"]["shapes"]]

    assert first_words(marked_table("run_folder.md", "schema: scores.json")) == [*scores]
    assert first_words(marked_table("run_folder.md", "schema: scores.json tasks")) == of_a_task


def test_the_fields_are_those_of_a_written_manifest(run):
    manifest = manifest_to_json(read_manifest(run / "manifest.json"))

    assert first_words(marked_table("run_folder.md", "schema: manifest.json")) == [*manifest]
    assert first_words(marked_table("run_folder.md", "schema: manifest.json tasks")) == [*manifest["tasks"]["shapes"]]
    assert {*manifest["tasks"]["shapes"]} == {*TaskManifest.__slots__} - {"other"}


def test_the_parts_of_a_benchmark_are_those_that_are_read():
    assert sorted(first_words(marked_table("adding_a_benchmark.md", "parts"))) == sorted(PARTS)


def test_the_table_of_metrics_names_headlines_as_they_are():
    rows = {row[0].split(" EN, CN")[0]: row[1] for row in table(page("metrics.md").split("## The answer")[1])}
    titles = {
        name: title for title in rows for name, item in BENCHMARKS.items() if item.title.startswith(title.split(",")[0])
    }

    assert len(set(titles.values())) == len(rows)
    assert {name: rows[title].strip("`") for name, title in titles.items()} == {
        name: BENCHMARKS[name].headline for name in titles
    }


def test_every_metric_of_a_run_is_explained(run):
    named = set(re.findall(r"`([^`]+)`", page("metrics.md"))) | {
        f"{answer}_answer_{place}_place" for answer in ("right", "wrong") for place in ("right", "wrong")
    }

    assert {*load_run(run).scores["tasks"]["shapes"]["metrics"]} <= named


def test_the_page_of_benchmarks_is_that_of_the_facts():
    from benchmarks_page import PAGE, page

    assert PAGE.read_text(encoding="utf-8") == page(), "write it anew: python tests/benchmarks_page.py"


def test_the_readme_links_to_every_page():
    linked = re.findall(r"\]\((docs/[\w.]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))

    assert {*linked} == {f"docs/{path.name}" for path in DOCS.glob("*.md")}


@pytest.mark.parametrize("name", [path.name for path in sorted(DOCS.glob("*.md"))])
def test_every_file_that_a_page_names_is_there(name):
    named = {path for path in NAMED_FILE.findall(page(name)) if "NAME" not in path}

    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


def _edges(one: ET.Element) -> tuple[float, float, float, float]:
    """Left, top, right and lower edge of what is drawn."""
    x, y, width, height = (float(one.get(name)) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def test_the_picture_of_one_sample_is_small_and_shows_what_probe_makes_of_it():
    content = (DOCS / "probed_sample.svg").read_bytes()
    drawing = ET.fromstring(content)
    title, images, rects, texts = (
        [one for one in drawing if one.tag.endswith(f"}}{name}")] for name in ("title", "image", "rect", "text")
    )
    _, profile, split, seed, index = title[0].text.split("-")
    original = np.asarray(Image.open(io.BytesIO(generate(profile, split, int(index), int(seed)).png())).convert("RGB"))

    assert len(content) <= 40_000
    for image, edit in zip(images, ("repeat", "blank", "remove", "remove", "keep", "keep"), strict=True):
        source = image.get("href").removeprefix("data:image/png;base64,")
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGB"))
        left, top, right, lower = _edges(image)
        scale = (right - left) / original.shape[1]
        boxes = [
            tuple(round(edge / scale) for edge in (x1 - left, y1 - top, x2 - left, y2 - top))
            for x1, y1, x2, y2 in (_edges(one) for one in rects if one.get("class") == "box")
            if left <= x1 < right and top <= y1 < lower
        ]
        assert np.array_equal(pixels, edited(original, edit, boxes, "mean"))
    kept = [float(found[1]) for one in texts if (found := re.search(r"p ([0-9.]+)$", one.text))]
    again, blank, removed, control, alone, control_alone = kept
    numbers = [float(found[1].replace("−", "-")) for one in texts if (found := re.search(r"= (−?[0-9.]+)$", one.text))]
    assert numbers == pytest.approx([control - removed, alone - control_alone, again - blank], abs=0.011)
