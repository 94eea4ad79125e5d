import math

import pytest

from harness.errors import ConfigError
from harness.models.decoding import DEFAULT_MAX_NEW_TOKENS, Decoding, cut_at_stop, read_decoding


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, Decoding()),
        ({"until": None, "do_sample": None, "temperature": None}, Decoding()),
        (
            {"max_new_tokens": 16, "temperature": 0, "top_p": 0, "num_beams": 1, "do_sample": False},
            Decoding(16, top_p=0.0),
        ),
        ({"temperature": 0.7}, Decoding(temperature=0.7)),
        ({"do_sample": True}, Decoding(temperature=1.0)),
        ({"do_sample": False, "temperature": 0.7}, Decoding()),
        ({"until": "\n\n"}, Decoding(until=("\n\n",))),
        ({"until": ["a", "b"]}, Decoding(until=("a", "b"))),
        ({"until": []}, Decoding()),
        (
            {"max_new_tokens": 8.0, "top_k": 5, "min_p": 0.1, "num_beams": 3},
            Decoding(8, top_k=5, min_p=0.1, num_beams=3),
        ),
    ],
)
def test_arguments_are_read(arguments, expected):
    assert read_decoding(arguments, "here") == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"max_new_token": 5}, "'max_new_token'. Did you mean 'max_new_tokens'"),
        ({"logit_bias": {}}, "unknown generation argument 'logit_bias'"),
        ({"temperature": -1}, "temperature must be 0 or more"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": "hot"}, "temperature is 'hot'"),
        ({"max_new_tokens": 0}, "max_new_tokens must be at least 1"),
        ({"max_new_tokens": 1.5}, "give a whole number"),
        ({"max_new_tokens": True}, "max_new_tokens is True"),
        ({"do_sample": "yes"}, "do_sample is 'yes'"),
        ({"do_sample": True, "temperature": 0}, "contradicts"),
        ({"temperature": 1, "top_p": 0}, r"top_p must lie in \(0, 1\]"),
        ({"temperature": 1, "num_beams": 2}, "exclude each other"),
        ({"repetition_penalty": 0}, "repetition_penalty must be above 0"),
        ({"until": 5}, "until is 5"),
        ({"until": ["a", 5]}, "non-empty strings"),
        ({"until": [""]}, "non-empty strings"),
        ({"temperature": -1, "min_p": 2}, "temperature.*; min_p"),
    ],
)
def test_wrong_arguments_are_refused_with_their_place_and_name(arguments, said):
    with pytest.raises(ConfigError, match=said) as caught:
        read_decoding(arguments, "task t")

    assert "task t" in str(caught.value)


def test_reading_leaves_the_arguments_alone():
    arguments = {"do_sample": True, "temperature": 0.5}

    read_decoding(arguments, "here")

    assert arguments == {"do_sample": True, "temperature": 0.5}


def test_the_default_budget_holds_every_stage():
    assert DEFAULT_MAX_NEW_TOKENS >= 1024


@pytest.mark.parametrize(
    ("text", "until", "expected"),
    [
        ("abc", (), ("abc", False)),
        ("", ("x",), ("", False)),
        ("abc", ("x",), ("abc", False)),
        ("abcabc", ("c", "b"), ("a", True)),
        ("abc", ("abc",), ("", True)),
    ],
)
def test_a_text_is_cut_before_the_first_stop_string(text, until, expected):
    assert cut_at_stop(text, until) == expected
