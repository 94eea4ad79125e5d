"""Names, categories, paths and texts of strangers, through every verb: what is printed steers no terminal and no CI."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

STEERS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
COMMAND = re.compile(r"^\s*::|##\w*\[")
OWN_ANNOTATION = re.compile(r"::(error|warning|notice) title=[^:,]*::.*")
BAD = "m\x1b]0;owned\x07\n::error title=x::forged\r\x9b2J\u202etxt ##[add-mask]a\u2028::stop"
"""Every kind in one name."""


def assert_harmless(text: str, *, annotations: bool = False) -> None:
    assert not STEERS.search(text), STEERS.search(text)
    for line in text.split("\n"):
        if not (annotations and OWN_ANNOTATION.fullmatch(line)):
            assert not COMMAND.search(line), line
    text.encode("utf-8")


def rows(names: list[str], right: int) -> list[dict]:
    return [
        {"id": f"{n} {name}", "task": "shapes", "answers": ["red"], "category": name, "question": name,
         "prediction": f"{name} <answer>{'red' if n < right else 'no'}</answer>"}
        for n, name in enumerate(names * 3)
    ]  # fmt: skip


@pytest.fixture
def names(hostile_strings):
    return [BAD, *(text[:300] for text in hostile_strings.values())]


@pytest.fixture
def hostile_runs(make_run, amend_manifest, names):
    made = []
    for name, right in (("a", 150), ("b", 20)):
        run = make_run(name, rows(names, right))
        amend_manifest(
            run,
            model=f"{name} {BAD}",
            model_type=BAD,
            box_dialect_reason=BAD,
            protocol_version=BAD,
            packages={BAD: BAD},
            name=None,
            weights_hash="0" * 64,
        )
        made.append(run)
    return made


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "show", "{a}"),
        ("runs", "list", "{root}"),
        ("runs", "verify", "{a}"),
        ("rescore", "{a}", "--protocol", "paper", "--no-page"),
        ("parity", "{a}"),
        ("parity", "{a}", "--json"),
        ("compare", "{a}", "{b}"),
        ("compare", "{a}", "{b}", "--on-shared"),
        ("gate", "{b}", "--baseline", "{a}"),
        ("gate", "{b}", "--baseline", "{a}", "--output-format", "github"),
        ("noise", "{a}", "{b}"),
        ("leaderboard", "{a}", "{b}", "-o", "{site}"),
        ("runs", "show", "{a}", "--json"),
        ("compare", "{a}", "{b}", "--json"),
        ("gate", "{b}", "--baseline", "{a}", "--json"),
        ("runs", "list", "{root}", "--json"),
    ],
    ids=" ".join,
)
def test_runs_of_strangers_are_told_of_harmlessly(command, hostile_runs, tmp_path, arguments):
    a, b = hostile_runs
    places = {"a": a, "b": b, "root": a.parent, "site": tmp_path / "site"}

    code, out, err = command(*(word.format(**places) for word in arguments))

    assert code in {0, 3, 5}, err
    assert "this is a bug" not in err
    for text in (out, err):
        assert_harmless(text, annotations="github" in arguments)
    if "--json" in arguments:
        out.encode("ascii")
        json.loads(out)


def test_annotations_are_as_many_as_there_are_facts(command, hostile_runs):
    a, b = hostile_runs

    _, out, _ = command("gate", b, "--baseline", a, "--output-format", "github")

    assert all(OWN_ANNOTATION.fullmatch(line) for line in out.removesuffix("\n").split("\n"))


def test_a_predictions_file_is_scored_harmlessly(command, tmp_path, names):
    file = tmp_path / f"x{BAD.replace('/', '')}.jsonl"
    unread = [{"id": name, "task": name, "prediction": name} for name in names]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows(names, 9), *unread]) + "not json \x1b[2J\n")

    for arguments in (("--output", "scored.jsonl"), ("--name", BAD, "--run", "made", "--no-page"), ("--json",)):
        code, out, err = command("score", file, "--format", "freeform", *arguments)
        assert code == 0, err
        for text in (out, err):
            assert_harmless(text)


@pytest.mark.parametrize(
    "arguments",
    [
        ("runs", "show", BAD.replace("\x00", "")),
        ("score", BAD),
        ("gate", BAD, "--baseline", BAD),
        ("compare", BAD, BAD),
        ("parity", BAD),
        ("parity", BAD, "--protocols", BAD),
        ("submission", BAD),
        ("submission", BAD, "--tasks", BAD),
        ("tasks", "show", BAD),
        ("tasks", "verify", BAD),
        ("tasks", "prompt", BAD),
        ("tasks", "prompt", "shapes", "--row", BAD),
        ("doctor", "--tasks", BAD),
        ("doctor", "--tasks", "mmstar", "--data-dir", BAD),
        ("data", "verify", BAD),
        ("runs", "list", BAD),
        ("--config", BAD, "doctor"),
        (BAD,),
        ("score", f"--{BAD}"),
        ("run", "--model", BAD, "--tasks", "shapes"),
        ("run", "--model", "x", "--tasks", BAD),
        ("run", "--model", "x", "--dataset", BAD),
        ("run", "--model", "x", "--name", BAD),
        ("run", "--model", "x", "--show-config", "--served-name", BAD),
        ("leaderboard", BAD, "-o", "site"),
        ("view", BAD),
        ("score", "rows.jsonl", "--protocol", BAD),
        ("gate", "a", "--baseline", "b", "--limit", BAD),
    ],
    ids=lambda words: " ".join(word for word in words if word.isprintable()),
)
def test_what_a_person_or_a_job_passes_on_is_told_back_harmlessly(command, arguments):
    code, out, err = command(*arguments)

    assert code in {0, 2, 5}, err
    assert "this is a bug" not in err
    assert_harmless(out)
    assert_harmless(err)


def test_a_configuration_file_of_a_stranger_is_refused_harmlessly(command, tmp_path):
    (tmp_path / "satori-bench.toml").write_text(
        f"[{json.dumps(BAD)}]\n{json.dumps(BAD)} = 1\n[run]\n{json.dumps(BAD)} = 1\nprotocol = {json.dumps(BAD)}\n"
    )

    code, out, err = command("doctor")

    assert code == 2
    assert_harmless(out + err)


def test_data_of_strangers_is_checked_harmlessly(command, tmp_path, names):
    folder = tmp_path / "f\x1b[2J\n::error::f\u202e"
    folder.mkdir()
    for name in ("r\x1b]0;x\x07\n::error::r.jsonl", "s.jsonl"):
        lines = [
            {"image": name, "question": text, "answer": text, "boxes": [[text]], text: 1, "id": text}
            for name in ("a\n::error::b.png", "\x1b[2J.png")
            for text in names
        ]
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines) + "\x1b[2J\n::error::x\n")

    for arguments in (("data", "verify"), ("data", "build", "-o", "out.parquet")):
        code, out, err = command(*arguments, folder)
        assert code == 2, err
        assert "this is a bug" not in err
        assert_harmless(out)
        assert_harmless(err)


def test_benchmark_data_of_strangers_is_checked_and_shown_harmlessly(command, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from tasks.catalog import resolve_tasks

    (task,) = resolve_tasks("mmstar")
    folder = tmp_path / "data\u202e" / "mmstar"
    folder.mkdir(parents=True)
    table = {column: [f"{BAD} {row}" for row in range(4)] for column in task.hub_columns}
    pq.write_table(pa.table({**table, BAD: [BAD] * 4}), folder / "a\x1b[2J.parquet")

    for arguments in (("tasks", "verify", "mmstar"), ("tasks", "prompt", "mmstar"), ("doctor", "--tasks", "mmstar")):
        code, out, err = command(*arguments, "--data-dir", folder.parent)
        assert code in {0, 2}, err
        assert "this is a bug" not in err
        assert_harmless(out)
        assert_harmless(err)


def test_a_prompt_keeps_its_lines_and_forges_none(command, tmp_path):
    words = Path(tmp_path / "words.txt")
    words.write_text("first\n::error::forged\n\x1b[2Jthird", encoding="utf-8")

    code, out, err = command("tasks", "prompt", "shapes", "--prompt-suffix", str(words))

    assert code == 0, err
    assert "\n⟦U+003A⟧:error::forged\n⟦U+001B⟧[2Jthird" in out
    assert_harmless(out)
