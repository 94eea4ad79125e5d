"""Replies of chat servers: a table of what vendors send, and what is made of it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.chat_reply import MOST_REASON_CHARACTERS, one_line, read_reply

CASES = json.loads((Path(__file__).parents[1] / "cases" / "chat_replies.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", [case for case in CASES if "text" in case], ids=lambda case: case["why"])
def test_every_field_in_which_words_are_filed_is_read(case):
    found = read_reply(case["reply"])

    assert (found.text, found.failure) == (case["text"], None)
    assert found.truncated == case.get("truncated", found.truncated)


@pytest.mark.parametrize("case", [case for case in CASES if "says" in case], ids=lambda case: case["why"])
def test_what_is_no_answer_keeps_the_server_s_words(case):
    found = read_reply(case["reply"])

    assert found.content == found.thought == ""
    assert case["says"] in found.failure
    assert (found.passing, found.retry_after_s) == (case["passing"], case.get("retry_after_s"))
    assert len(found.failure) <= MOST_REASON_CHARACTERS
    assert found.failure.isprintable()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "content", "reasoning", "reasoning_content", "reasoning_details", "refusal", "tool_calls", "audio",
    "function_call", "thinking_blocks", "provider_specific_fields",
)  # fmt: skip
MESSAGES = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))


def reply_of(message, finish, error):
    return {"choices": [{"message": message, "finish_reason": finish}], "error": error}


@given(JSON | st.builds(reply_of, MESSAGES, JSON, JSON))
def test_nothing_that_a_server_sends_raises(reply):
    found = read_reply(reply)

    assert found.failure is None or found.content == ""


def test_a_reply_that_nests_endlessly_is_read_as_far_as_it_makes_sense():
    content: object = "B"
    for _ in range(900):
        content = [{"type": "text", "text": content}]

    assert read_reply({"choices": [{"message": {"content": content}, "finish_reason": "stop"}]}).text == ""


def test_a_megabyte_of_words_takes_milliseconds():
    started = time.perf_counter()
    for words in ("\x1b[" * 500_000, "rate limi" * 100_000, "\x1b]" * 500_000):
        read_reply({"error": {"message": words}})
        one_line(words)

    assert time.perf_counter() - started < 1.0
