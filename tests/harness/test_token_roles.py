import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

from harness.models.token_roles import dropped_ids

CASES = json.loads((Path(__file__).parents[1] / "cases" / "token_roles.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_marks_of_a_text_stay_and_those_around_it_go(case):
    words = dict.fromkeys(["[?]", *case["tokens"], *case["special"]])
    backend = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="[?]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=case.get("eos_token"))
    tokenizer.add_special_tokens({"extra_special_tokens": case["special"]})
    ids = tokenizer.convert_tokens_to_ids
    framing = [ids(token) for token in case.get("framing", [])]

    dropped = dropped_ids(tokenizer, framing=framing, template=case.get("template", ""))
    kept = [token for token in ids(case["tokens"]) if token not in dropped]

    assert case["text"] == "".join(tokenizer.convert_ids_to_tokens(kept))


def test_a_tokenizer_without_special_tokens_loses_nothing():
    backend = Tokenizer(models.WordLevel({"[?]": 0, "<|im_end|>": 1}, unk_token="[?]"))

    assert dropped_ids(PreTrainedTokenizerFast(tokenizer_object=backend)) == frozenset()
