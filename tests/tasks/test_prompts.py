"""Tests of the prompts: what is asked in each format, and when the hash changes."""

import pytest

from harness.errors import ConfigError
from harness.scoring.formats import MARKED
from harness.values import STAGE_FORMATS
from tasks import mmbench, prompts
from tasks.ask import AskSpec, asked_turns
from tasks.catalog import BENCHMARKS
from tasks.local_data import DatasetOverride
from tasks.prompts import (
    MAX_PROMPT_CHARACTERS,
    Wording,
    given_words,
    messages,
    prompt_hash,
    prompts_hash,
    user_text,
    wording,
)

TAGS = {
    "satori": ["<caption>", "<bbox>", "<answer>"],
    "satori-think": ["<caption>", "<bbox>", "<thinking>", "<answer>"],
    "satori-adaptive": ["<caption>", "<bbox>", "<answer>"],
    "freeform": ["<think>", "<answer>"],
    "plain": [],
}


@pytest.mark.parametrize("form", STAGE_FORMATS)
def test_system_turn_and_suffix_ask_for_the_stages_in_order(form):
    turns = messages(form, "What?", "picture")
    user = turns[-1]["content"]
    system = turns[0]["content"][0]["text"] if len(turns) == 2 else ""

    for text in (system, user[1]["text"]):
        places = [text.find(tag) for tag in TAGS[form]]
        assert sorted(places) == places
        assert -1 not in places
    assert user[0] == {"type": "image", "url": "picture"}
    assert user[1]["text"].startswith("What?")


def test_plain_is_the_bare_question_without_a_system_turn():
    assert messages("plain", "What?", 1) == [
        {"role": "user", "content": [{"type": "image", "url": 1}, {"type": "text", "text": "What?"}]}
    ]


def test_every_format_and_benchmark_pair_with_its_own_words_has_its_own_hash():
    hashes = {prompt_hash(form, benchmark) for form in STAGE_FORMATS for benchmark in BENCHMARKS.values()}

    assert len(hashes) >= 4 * 4  # MMBench's two languages, and the benchmarks of bare questions, share their words


def test_the_hash_is_stable_and_follows_the_wording(monkeypatch):
    before = prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])
    assert before == prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])

    monkeypatch.setattr(mmbench, "listed", lambda choices: "other words")
    changed_question = prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])
    monkeypatch.undo()
    monkeypatch.setattr(prompts, "SUFFIX", {**prompts.SUFFIX, "satori": "Other words."})

    assert len({before, changed_question, prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])}) == 3


def test_the_papers_words_ask_for_the_stages_in_order_and_join_as_its_code_does():
    words = wording("satori", "paper")

    for text in (words.system, words.suffix):
        places = [text.find(tag) for tag in TAGS["satori"]]
        assert sorted(places) == places
        assert -1 not in places
    assert user_text(words, "What?").startswith("What? \nFirst, provide an image caption")


@pytest.mark.parametrize("form", [form for form in STAGE_FORMATS if form != "satori"])
def test_the_paper_has_words_for_its_own_format_only(form):
    with pytest.raises(ConfigError, match="--format satori"):
        wording(form, "paper")


@pytest.mark.parametrize(
    ("system", "suffix", "expected"),
    [
        (None, None, wording("satori")),
        ("", None, Wording("", wording("satori").suffix)),
        ("Be brief.", "", Wording("Be brief.", "")),
        (None, "Answer with a word.", Wording(wording("satori").system, "Answer with a word.")),
    ],
)
def test_given_words_take_the_place_of_the_formats(system, suffix, expected):
    assert wording("satori", system=system, suffix=suffix) == expected


def test_plain_with_a_system_prompt_has_a_system_turn():
    assert [turn["role"] for turn in messages(wording("plain", system="Be brief."), "What?", 1)] == ["system", "user"]


def test_words_of_an_option_are_a_files_where_it_names_one(tmp_path):
    file = tmp_path / "words.txt"
    file.write_text("\nBe brief.\n", encoding="utf-8")

    assert given_words(None, "--system-prompt") is None
    assert given_words("", "--system-prompt") == ""
    assert given_words("Be brief.", "--system-prompt") == "Be brief."
    assert given_words("See notes.txt", "--system-prompt") == "See notes.txt"
    assert given_words(str(file), "--system-prompt") == "Be brief."
    assert given_words("two\nlines", "--system-prompt") == "two\nlines"
    assert given_words("\0", "--system-prompt") == "\0"


@pytest.mark.parametrize(
    ("content", "found"), [(None, "there is no file"), (b"\xff\xfe\xff", "cannot read"), (b"x" * 20_001, "20,001")]
)
def test_a_file_of_words_that_cannot_be_used_is_refused(tmp_path, content, found):
    file = tmp_path / "words.txt"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError, match=found):
        given_words(str(file), "--system-prompt")


def test_too_many_words_are_refused():
    with pytest.raises(ConfigError, match="characters"):
        given_words("x" * (MAX_PROMPT_CHARACTERS + 1), "--prompt-suffix")


def test_runs_in_our_words_share_a_hash_over_the_formats_and_others_do_not():
    item = BENCHMARKS["mmstar"]
    ours = {prompts_hash(form, wording(form), item) for form in STAGE_FORMATS}
    paper = prompts_hash("satori", wording("satori", "paper"), item)
    brief = prompts_hash("satori", wording("satori", system="Be brief."), item)

    assert len(ours) == 1
    assert len({*ours, paper, brief}) == 3


def test_a_format_that_came_later_changes_no_runs_hash(monkeypatch):
    before = prompts_hash("satori", wording("satori"), BENCHMARKS["shapes"])
    monkeypatch.setattr(prompts, "SYSTEM", {**prompts.SYSTEM, "satori-adaptive": "Other words."})

    assert before == prompts_hash("satori", wording("satori"), BENCHMARKS["shapes"])
    assert before == prompts_hash("satori-adaptive", wording("satori-adaptive"), BENCHMARKS["shapes"])


TINY = {"shapes": DatasetOverride("tiny", None)}


def test_what_is_asked_of_a_sample_is_shown_turn_by_turn():
    first = asked_turns(AskSpec("shapes", None, wording("satori"), datasets=TINY))
    again = asked_turns(AskSpec("shapes", first["id"], wording("plain"), datasets=TINY))

    assert [turn["role"] for turn in first["turns"]] == ["system", "user"]
    assert first["turns"][1]["text"].startswith("<image ")
    assert [turn["role"] for turn in again["turns"]] == ["user"]
    assert first["id"] == again["id"]


@pytest.mark.parametrize(("task", "row", "found"), [("shapes", "no", "has no row 'no'"), ("core", None, "one task")])
def test_a_row_or_task_that_is_not_there_is_said(task, row, found):
    with pytest.raises(ConfigError, match=found):
        asked_turns(AskSpec(task, row, wording("satori"), datasets=TINY))


@pytest.mark.parametrize("form", MARKED.values(), ids=MARKED)
def test_the_words_of_a_published_format_name_its_marks(form):
    words = wording(form.name)
    said = f"{words.system}\n{words.suffix}"

    marks = {opening for pairs in (form.answer, form.thought, form.boxes) for opening, _ in pairs} - {"<|box_start|>"}
    # Python's quotation marks are read beside JSON's; the words name JSON's
    assert [mark for mark in marks if mark.replace("'", '"') not in said] == []
    assert form.source


def test_the_words_of_published_formats_leave_the_hash_of_prompts_what_it_was():
    item = next(iter(BENCHMARKS.values()))

    assert prompts_hash("grit", wording("grit"), item) == prompts_hash("satori", wording("satori"), item)
