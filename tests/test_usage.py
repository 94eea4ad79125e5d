"""What a person types wrongly first: exit 2, one line, and the mend in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ExitCode, did_you_mean
from satori_bench.app import cli
from satori_bench.usage_hints import OPTION_WORDS, VERB_WORDS

CASES = json.loads((Path(__file__).parent / "cases" / "usage_hints.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=[case["about"] for case in CASES])
def test_a_wrong_usage_is_told_in_one_line_with_the_mend(command, case):
    words = case["words"] if isinstance(case["words"], list) else case["words"].split()

    code, out, err = command(*words)

    assert code == ExitCode.USAGE
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    assert case["says"] in err


def test_every_word_of_another_program_leads_to_something_that_is_there():
    flags = {flag for parameter in cli.commands["run"].params for flag in parameter.opts} | {"--baseline"}

    assert set(OPTION_WORDS.values()) <= flags
    assert not set(OPTION_WORDS) & flags
    assert not set(VERB_WORDS) & set(cli.commands)
    for meant in VERB_WORDS.values():
        first, *rest = meant.split()
        assert first.startswith("--") or first in cli.commands
        assert not rest or rest[0] in cli.commands[first].commands


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("MMStr", ["mmstar", "mme"], "mmstar"),
        ("temp", ["temperature", "top_p"], "temperature"),
        ("batch", ["batch_size", "seed"], "batch_size"),
        ("SEED", ["seed"], "seed"),
        ("sede", ["Seed"], "Seed"),
        ("max", ["max_pixels", "max_new_tokens"], None),
        ("t", ["temperature"], None),
        ("", ["temperature"], None),
        ("x" * 10_000, ["x" * 9_999], None),
    ],
)
def test_the_nearest_name_is_given_where_one_is_near(word, known, meant):
    assert did_you_mean(word, known) == ("" if meant is None else f" Did you mean {meant!r}?")
