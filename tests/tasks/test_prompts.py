"""Tests of the prompts: what is asked in each format, and when the hash changes."""

import pytest

from harness.values import FORMATS
from tasks import mmbench, prompts
from tasks.catalog import BENCHMARKS
from tasks.prompts import messages, prompt_hash

TAGS = {
    "satori": ["<caption>", "<bbox>", "<answer>"],
    "satori-think": ["<caption>", "<bbox>", "<thinking>", "<answer>"],
    "freeform": ["<think>", "<answer>"],
    "plain": [],
}


@pytest.mark.parametrize("form", FORMATS)
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
    hashes = {prompt_hash(form, benchmark) for form in FORMATS for benchmark in BENCHMARKS.values()}

    assert len(hashes) >= 4 * 4  # MMBench's two languages, and the benchmarks of bare questions, share their words


def test_the_hash_is_stable_and_follows_the_wording(monkeypatch):
    before = prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])
    assert before == prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])

    monkeypatch.setattr(mmbench, "listed", lambda choices: "other words")
    changed_question = prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])
    monkeypatch.undo()
    monkeypatch.setattr(prompts, "SUFFIX", {**prompts.SUFFIX, "satori": "Other words."})

    assert len({before, changed_question, prompt_hash("satori", BENCHMARKS["mmbench_en_dev"])}) == 3
