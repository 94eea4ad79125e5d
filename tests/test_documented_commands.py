"""Every command that README and docs show is run, or says in a comment before it why it is not.

Marks stand on lines of their own right before a block and are seen by nobody who reads the page:

    <!-- run -->                        the block is run, after those before it, in one folder a page
    <!-- not run: REASON -->            it is not; a test that the reason names is there
    <!-- not run, COMMAND: REASON -->   the lines that begin so are not; the others are, with `run`
    <!-- given: NAME=VALUE -->          a variable that a line which is not run would have set
    <!-- file: PATH -->                 the block is that file's content
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = {"sh", "python"}
OTHERS = {"text", "json", "yaml", "toml"}
"""Languages of blocks that nobody types."""

BLOCK = re.compile(r"(?P<marks>(?:^<!-- .* -->\n)*)^```(?P<language>.*)\n(?P<text>(?:.*\n)*?)^```$", re.MULTILINE)
MARK = re.compile(r"<!-- (run|(?:not run|given|file)(?:, (.+?))?: (.+)) -->")
NAMED_TEST = re.compile(r"(tests/[\w/]+\.py)::(\w+)")
SECONDS = 120


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    place: str
    """File and line of its first line."""
    language: str
    """What stands behind the fence."""
    text: str
    """What is between the fences."""
    runs: bool
    """Whether it is marked to be run."""
    file: str | None
    """The file whose content it is; None for any other."""
    given: dict[str, str]
    """Variables that it finds."""
    left_out: dict[str, str]
    """Why it is not run, by the beginning of a line; the empty beginning stands for the whole block."""

    @property
    def script(self) -> str:
        """What is run of it."""
        joined = re.sub(r"(\\|\|)\n", lambda end: " " if end[1] == "\\" else "| ", self.text)
        left = tuple(beginning for beginning in self.left_out if beginning)
        return "".join(line for line in joined.splitlines(keepends=True) if not (left and line.startswith(left)))


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    found = []
    for block in BLOCK.finditer(text):
        marks = [MARK.fullmatch(line) for line in block["marks"].splitlines()]
        marks = [mark for mark in marks if mark]
        named = {kind: [mark for mark in marks if mark[1].startswith(kind)] for kind in ("not run", "given", "file")}
        found.append(
            Block(
                place=f"{page.name}:{text.count(chr(10), 0, block.start('language')) + 1}",
                language=block["language"],
                text=block["text"],
                runs=any(mark[1] == "run" for mark in marks),
                file=named["file"][0][3] if named["file"] else None,
                given=dict(mark[3].split("=", 1) for mark in named["given"]),
                left_out={mark[2] or "": mark[3] for mark in named["not run"]},
            )
        )
    return found


BLOCKS = {page.name: blocks_of(page) for page in PAGES}
ALL = [block for blocks in BLOCKS.values() for block in blocks]


def test_every_block_is_found():
    for page in PAGES:
        fences = [line for line in page.read_text(encoding="utf-8").splitlines() if line.lstrip().startswith("```")]
        assert len(fences) == 2 * len(BLOCKS[page.name]), page.name
    assert sum(block.runs for block in ALL) > 15


@pytest.mark.parametrize("block", ALL, ids=lambda block: block.place)
def test_every_block_is_run_or_says_why_not(block):
    assert block.language in COMMANDS | OTHERS, f"{block.place}: its language is one of {COMMANDS | OTHERS}"
    if block.language in COMMANDS:
        whole = "" in block.left_out
        assert block.runs != whole, f"{block.place}: mark it with <!-- run --> or <!-- not run: REASON -->"
        assert block.script.strip()
    for beginning, reason in block.left_out.items():
        assert len(reason.split()) >= 3, f"{block.place}: that is no reason: {reason}"
        assert any(line.startswith(beginning) for line in block.text.splitlines()), f"{block.place}: {beginning}"
        for path, name in NAMED_TEST.findall(reason):
            assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8"), f"{block.place}: {path}::{name}"


@pytest.fixture(scope="module")
def prepared(invented, local_data, path_to_command, tmp_path_factory) -> Path:
    """A folder as whoever reads the pages has it: runs, data, predictions, a policy."""
    folder = tmp_path_factory.mktemp("reader")
    questions = invented.shapes_questions(120, pictures=False)
    for name, right, seed, weights in (
        ("base", 0.4, 0, ""),
        ("trained", 0.8, 1, ""),
        ("tuned", 0.7, 2, ""),
        ("first", 0.6, 3, "7" * 64),
        ("again", 0.6, 4, "7" * 64),
    ):
        who = invented.Answerer(name, right=right, near=right, seed=seed, weights=weights)
        invented.invent_run(folder / "runs", who, questions, seed=seed)
    (base,) = (folder / "runs").glob("*-base-*")
    shutil.copytree(base, folder / "baselines" / "main")
    shutil.copytree(ROOT / "examples", folder / "examples")
    shutil.copy(ROOT / "examples" / "gate.toml", folder)
    (folder / "data").symlink_to(local_data.parquet)
    row = {"id": "1", "task": "shapes", "answers": ["red"], "prediction": "<answer>red</answer>"}
    (folder / "predictions.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    for name in ("base", "tuned"):
        run_in(folder, ["satori-bench", "rescore", name, "--protocol", "vlmevalkit", "--no-page"], {})
    return folder


def run_in(folder: Path, command: list[str], given: dict[str, str]) -> None:
    """Run a command in the folder, and show what it says where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SATORI_BENCH_")}
    env = {**kept, **given, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS, check=False)
    said = f"{done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert done.returncode == 0, f"{command[-1]}\nleft with {done.returncode}:\n{said}"


def follow(page: str, folder: Path) -> None:
    """Do what a page says, block by block."""
    for block in BLOCKS[page]:
        if block.file is not None:
            (folder / block.file).write_text(block.text, encoding="utf-8")
        elif block.runs and block.language == "sh":
            run_in(folder, ["bash", "-euo", "pipefail", "-c", block.script], block.given)
        elif block.runs:
            run_in(folder, [sys.executable, "-P", "-c", block.script], block.given)


@pytest.mark.parametrize("page", [name for name, blocks in BLOCKS.items() if any(block.runs for block in blocks)])
def test_the_commands_of_a_page_do_what_they_are_shown_for(prepared, tmp_path, page):
    folder = tmp_path / "reader"
    shutil.copytree(prepared, folder, symlinks=True)

    follow(page, folder)


@pytest.mark.slow
def test_the_benchmark_of_the_page_is_asked(prepared, tiny_qwen2_5_vl, tmp_path):
    folder = tmp_path / "reader"
    shutil.copytree(prepared, folder, symlinks=True)
    follow("adding_a_benchmark.md", folder)
    (command,) = [block.text for block in BLOCKS["adding_a_benchmark.md"] if "--model path/to/checkpoint" in block.text]

    run_in(folder, ["sh", "-c", command.replace("path/to/checkpoint", str(tiny_qwen2_5_vl))], {})

    (scores,) = (folder / "runs").glob("*tiny-qwen*/scores.json")
    (summary,) = json.loads(scores.read_text())["tasks"].items()
    assert (summary[0], summary[1]["rows"], summary[1]["headline"]) == ("lamps", 3, "accuracy")
    assert list(summary[1]["categories"]) == ["crossing"]
