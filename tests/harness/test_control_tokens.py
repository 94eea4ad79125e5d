"""Control tokens in a question's text are taken apart, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.control_tokens import ControlTokens, tokens_of_folder

CASES = json.loads((Path(__file__).parents[1] / "cases" / "control_tokens.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["why"])
def test_what_families_use_is_taken_apart(case):
    assert ControlTokens().taken_apart(case["text"]) == case["apart"]


@given(st.text(alphabet="<|>/[]imagepdsIMG_ ", max_size=60))
def test_taking_apart_twice_changes_nothing_more(text):
    tokens = ControlTokens(["<odd>"])
    once = tokens.taken_apart(text)

    assert tokens.taken_apart(once) == once
    assert once.replace(" ", "") == text.replace(" ", "")


def test_a_checkpoint_s_own_tokens_are_read_from_its_files(tmp_path):
    (tmp_path / "tokenizer.json").write_text(
        json.dumps(
            {
                "added_tokens": [
                    {"id": 1, "content": "<region>", "special": True},
                    {"id": 2, "content": "<tool_response>", "special": False},
                    {"id": 3, "content": "<think>", "special": True},
                    {"id": 4, "content": "word", "special": True},
                ]
            }
        )
    )
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "eos_token": {"content": "<over>"},
                "bos_token": None,
                "additional_special_tokens": ["<ours>", 5],
                "added_tokens_decoder": {"9": {"content": "[LOOK]", "special": True}},
            }
        )
    )
    (tmp_path / "special_tokens_map.json").write_text("{broken")
    tokens = ControlTokens(tokens_of_folder(tmp_path))

    assert tokens.taken_apart("<region><tool_response><think>word<over><ours>[LOOK]") == (
        "< region><tool_response><think>word< over>< ours>[ LOOK]"
    )
    assert tokens_of_folder(tmp_path / "nowhere") == frozenset()
