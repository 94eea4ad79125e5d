"""The one printer: a line stays a line, steers nothing, and nothing of the command prints past it."""

from __future__ import annotations

import ast
import io
import re
from pathlib import Path

import pytest

from reports.terminal.printing import line_of, say, say_commands, say_paragraphs
from reports.terminal.progress import RunProgress
from reports.terminal.tables import plain_table, write, write_line

ROOT = Path(__file__).parents[2]
STEERS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
COMMANDS = re.compile(r"^\s*::|##\w*\[", re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Qwen2.5-VL 7B, 模型 e\u0301 👩‍👧", "Qwen2.5-VL 7B, 模型 e\u0301 👩‍👧"),  # joiners that emoji need stay
        ("two\nlines\tand\r", "two⟦U+000A⟧lines⟦U+0009⟧and⟦U+000D⟧"),
        ("\x1b]0;title\x07", "⟦U+001B⟧]0;title⟦U+0007⟧"),
        ("\x9b2J\x85", "⟦U+009B⟧2J⟦U+0085⟧"),
        ("abc\u202edef\u2066", "abc⟦U+202E⟧def⟦U+2066⟧"),
        ("a\u2028b\u2029c", "a⟦U+2028⟧b⟦U+2029⟧c"),
        ("half \ud83d", "half ⟦U+D83D⟧"),
        ("\U000e0041tag\U0001d173", "⟦U+E0041⟧tag⟦U+1D173⟧"),
        ("::error::x", "⟦U+003A⟧:error::x"),
        (" \u00a0 ::error::x", " \u00a0 ⟦U+003A⟧:error::x"),
        ("a::b", "a::b"),
        (":: ", "⟦U+003A⟧: "),
        ("x ##[error]y ##vso[task]z", "x ⟦U+0023⟧#[error]y ⟦U+0023⟧#vso[task]z"),
        ("##teamcity[x]", "⟦U+0023⟧#teamcity[x]"),
        ("## heading", "## heading"),
    ],
)
def test_a_line_steers_neither_terminal_nor_runner(text, shown):
    assert line_of(text) == shown
    assert line_of(shown) == shown


@pytest.mark.parametrize("printed", ["say", "line", "table", "progress", "command"])
def test_every_hostile_text_is_printed_as_one_harmless_line(hostile_strings, printed):
    writers = {
        "say": say,
        "line": write_line,
        "table": lambda text, stream: write(plain_table([text], []), stream),
        "progress": lambda text, stream: RunProgress(stream).say(text),
        "command": lambda text, stream: say_commands([f"::notice::{text}"], stream),
    }
    for name, text in hostile_strings.items():
        stream = io.StringIO()
        writers[printed](text[:5000], stream)
        out = stream.getvalue()
        assert not STEERS.search(out), name
        if printed != "command":
            assert not COMMANDS.search(out), name
        if printed != "table":  # a table is broken at blanks
            assert out.count("\n") == 1, name
        out.encode("utf-8")


def test_lines_that_are_meant_are_each_guarded():
    stream = io.StringIO()

    say_paragraphs("Question\n::error::x\n\x1b[2Jend", stream)

    assert stream.getvalue() == "Question\n⟦U+003A⟧:error::x\n⟦U+001B⟧[2Jend\n"


def test_a_table_that_is_broken_begins_no_line_with_a_command():
    stream = io.StringIO()

    write(plain_table(["model"], [["x" * 79 + " ::error::forged"]]), stream)

    assert not COMMANDS.search(stream.getvalue())


def _calls(path: Path) -> list[tuple[int, str]]:
    """Return the calls in a file that write to a stream, by line."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in {"print", "click.echo", "click.secho"} or re.match(r"sys\.std(out|err)\.write", name):
                found.append((node.lineno, name))
    return found


def test_nothing_prints_past_the_printer():
    allowed = {
        # before anything of ours can be imported, its text made safe on the spot
        "satori_bench/shadows.py": ["click.echo"],
        # protocols between two processes
        "reports/pages/chart_process.py": ["sys.stdout.write"],
        "harness/scoring/answers/symbolic_worker.py": ["sys.stdout.write"],
    }
    files = [
        *(ROOT / "satori_bench").rglob("*.py"),
        *(p for f in ("harness", "tasks", "training", "reports") for p in (ROOT / f).rglob("*.py")),
    ]
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        assert [call for _, call in _calls(path)] == allowed.get(name, []), name
