"""A model behind an OpenAI-compatible server: a small server of ours answers on this machine."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="lmms-eval's model class needs torch")

from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, ExitCode
from harness.images.frames import smart_resize
from harness.models.base import Prompt, Turn
from harness.models.chat_client import NEUTRAL
from harness.models.chat_reply import same_model
from harness.models.decoding import Decoding
from harness.models.reply_watch import ServerGoneError
from harness.models.served import SatoriServed
from harness.runs.journal import read_records
from harness.runs.record_table import read_rows
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_named
from harness.values import Generation, PixelLimits, Size

TEXT = "<caption>a red circle</caption>\n<bbox>[[1, 2, 30, 40]]</bbox>\n<answer>red</answer>"
GREEDY = Decoding(max_new_tokens=32)
LIMITS = {"min_pixels": 3136, "max_pixels": 12544, "factor": 28}


def prompts(*questions: str, decoding: Decoding = GREEDY, size: tuple[int, int] = (84, 56)):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    turns = Turn("system", ("Answer in stages.",))
    return [
        Prompt("shapes", place, 0, (turns, Turn("user", (image, question))), decoding)
        for place, question in enumerate(questions)
    ]


def tiny(served, **options) -> SatoriServed:
    """Return the served model, on a clock of the test's own."""
    return SatoriServed("tiny", served.url, clock=served.clock, **options)


def answers(model: SatoriServed, asked: list[Prompt], recorded: list[Generation] | None = None) -> list[Generation]:
    """Ask as a run does, which may end after each record; `recorded` takes what was recorded until then, in order."""
    found = {}
    try:
        for prompt, generation in model.answer_stream(iter(asked)):
            found[prompt.doc_id] = generation
            model.batch_recorded()
    finally:
        if recorded is not None:
            recorded += [found[place] for place in sorted(found)]
    return [found[place] for place in sorted(found)]


def test_a_reply_becomes_a_generation_with_its_costs(served):
    model = tiny(served, **LIMITS)

    [found] = model.generate_batch(prompts("what colour?"))

    assert (found.text, found.input_size, found.input_tokens, found.output_tokens) == (TEXT, Size(84, 56), 70, 21)
    assert (found.truncated, found.error) == (False, None)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("size", [(84, 56), (28, 364), (1, 1), (3, 2)])
def test_the_server_gets_every_pixel_and_the_system_turn(served, host, size):
    served.url = served.url.replace("127.0.0.1", host)
    [prompt] = prompts("what colour?", size=size)
    tiny(served).generate_batch([prompt])

    system, user = served.seen[0]["messages"]
    url = user["content"][0]["image_url"]["url"]
    sent = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    assert system == {"role": "system", "content": "Answer in stages."}
    assert user["content"][1] == {"type": "text", "text": "what colour?"}
    assert sent.tobytes() == prompt.images[0].tobytes()


def test_without_pixel_limits_nobody_knows_the_size_that_the_model_saw(served):
    [found] = tiny(served).generate_batch(prompts("what colour?"))

    assert found.input_size is None


def test_what_nobody_asks_for_is_sent_as_what_changes_nothing(served):
    model = tiny(served)

    model.generate_batch(prompts("greedy"))
    sampled = Decoding(max_new_tokens=8, temperature=0.7, top_p=0.9, top_k=5, repetition_penalty=1.1, until=("\n\n",))
    model.generate_batch(prompts("one", "two", decoding=sampled))

    greedy, *drawn = served.seen
    assert set(greedy) == {"model", "messages", "max_tokens", "temperature", *NEUTRAL}
    assert {name: greedy[name] for name in NEUTRAL} == NEUTRAL
    assert {(one["top_k"], one["repetition_penalty"], *one["stop"]) for one in drawn} == {(5, 1.1, "\n\n")}
    assert {(one["top_p"], one["min_p"]) for one in drawn} == {(0.9, 0.0)}
    assert len({one["seed"] for one in drawn}) == 2, "each sample has a seed of its own"
    assert all(0 <= one["seed"] < 2**31 for one in drawn)


@pytest.mark.parametrize(
    ("finish", "budget", "truncated"),
    [
        ("length", 32, True),
        ("stop", 21, False),
        (None, 22, False),
        (None, 21, True),
        ("", 20, True),
        ("stop", 20, False),
    ],
)
def test_a_text_that_the_budget_ended_is_truncated(served, finish, budget, truncated):
    served.finish = finish  # the server says that it wrote 21 tokens
    [found] = tiny(served).generate_batch(prompts("what?", decoding=Decoding(max_new_tokens=budget)))

    assert (found.text, found.truncated) == (TEXT, truncated)


def test_a_server_that_writes_more_than_it_was_asked_for_is_said_once_and_counted(served):
    said: list[str] = []
    model = tiny(served, say=said.append)

    found = model.generate_batch(prompts("one", "two", decoding=Decoding(max_new_tokens=20)))

    assert [one.error for one in found] == [None, None]
    assert model.facts()["over_budget"] == 2
    assert ["wrote 21 tokens where 20 were asked for" in line for line in said] == [True]


@pytest.mark.parametrize(("owner", "kept"), [("vllm", True), ("sglang", True), ("openai", False), (None, False)])
def test_engines_that_cut_special_tokens_are_asked_to_keep_them(served, owner, kept):
    served.owner = owner
    tiny(served).generate_batch(prompts("one"))
    tiny(served, extra_body={"skip_special_tokens": True}).generate_batch(prompts("two"))

    assert [body.get("skip_special_tokens") for body in served.seen] == [False if kept else None, True]


@pytest.mark.parametrize("says", ["Unknown field: skip_special_tokens", "Extra inputs are not permitted"])
def test_an_engine_that_refuses_to_keep_special_tokens_is_asked_without_and_that_is_said(served, reaction, says):
    said: list[str] = []
    served.owner = "vllm"
    served.react = refusing(reaction, "skip_special_tokens", says=says)
    model = tiny(served, say=said.append)

    found = model.generate_batch(prompts("one", "two"))

    assert [one.error for one in found] == [None, None]
    assert "skip_special_tokens" in model.facts()["left_out"]
    assert sum("boxes that a family marks with some" in line for line in said) == 1


def test_a_reply_without_content_is_an_empty_text_and_a_withheld_one_is_none(served):
    served.reply = None
    model = tiny(served)
    [empty] = model.generate_batch(prompts("what?"))
    served.finish = "content_filter"
    [withheld] = model.generate_batch(prompts("what?"))

    assert (empty.text, empty.error) == ("", None)
    assert "withheld" in withheld.error


def test_answers_keep_their_order_and_no_more_requests_are_under_way_than_allowed(served):
    served.delay_s = 0.05
    model = tiny(served, concurrency=3)
    served.fail["fourth"] = [400]

    found = model.generate_batch(prompts("first", "second", "third", "fourth", "fifth", "sixth", "seventh"))

    assert [place for place, one in enumerate(found) if one.error] == [3]
    assert "said 400" in found[3].error
    assert found[3].text == ""
    assert 2 <= served.most_at_once <= 3


def test_a_busy_server_is_asked_again(served):
    served.fail["patient"] = [503, 429]

    [found] = tiny(served).generate_batch(prompts("patient"))

    assert found.text == TEXT
    assert len(served.seen) == 3


NO_MONEY = "You exceeded your current quota, please check your plan and billing details"
TRIES = [
    (429, {"message": "slow down"}, 2),
    (429, {"message": "no more", "type": "insufficient_quota"}, 1),
    (429, {"message": NO_MONEY}, 1),
    (429, {"message": NO_MONEY, "details": [{"retryDelay": "0s"}]}, 2),
    (503, {"message": "payment required"}, 1),
    (503, {"message": "starting"}, 2),
    (402, {"message": "billing hard limit reached"}, 1),
]
"""Status, error and how often a request is sent that may be tried twice."""


@pytest.mark.parametrize(("status", "error", "asked"), TRIES, ids=str)
@pytest.mark.parametrize("within_200", [False, True])
def test_what_passes_is_asked_again_and_an_account_without_money_is_not(
    served, reaction, status, error, asked, within_200
):
    body = {"error": {**error, "code": status}}
    served.react = lambda sent, place: reaction(body, 200 if within_200 else status)

    tiny(served, retries=1).generate_batch(prompts("one"))

    assert len(served.seen) == asked


@pytest.mark.parametrize(("status", "said", "headers", "asked"), [
    (429, NO_MONEY, {"Retry-After": "0"}, 2),
    (429, NO_MONEY, {"Retry-After": "3600"}, 1),
    (403, "the service is overloaded", {}, 1),
])  # fmt: skip
def test_the_head_of_a_refusal_counts_and_its_status_before_its_words(served, reaction, status, said, headers, asked):
    served.react = lambda sent, place: reaction({"error": {"message": said}}, status, headers)

    tiny(served, retries=1).generate_batch(prompts("one"))

    assert len(served.seen) == asked


@pytest.mark.parametrize(("status", "questions"), [(401, 1), (403, 1), (404, 1), (400, 2), (422, 3), (402, 2)])
def test_a_refusal_that_concerns_every_sample_ends_the_run_once_it_is_recorded(served, status, questions):
    model, recorded = tiny(served), []
    served.fail["what"] = [status] * 2 * questions  # a 400 may be about a field, which a second request tells

    with pytest.raises(ConfigError, match=f"refuses tiny.*said {status}"):
        answers(model, prompts(*["what?"] * questions), recorded)

    assert len(recorded) == questions
    assert all(f"said {status}" in one.error for one in recorded)


def test_refusals_of_single_samples_end_nothing(served):
    model = tiny(served)
    served.fail = {"long": [400], "worse": [400] * 2}

    answers(model, prompts("long"))
    answers(model, prompts("short", "short"))
    found = answers(model, prompts("worse", "worse"))

    assert ["said 400" in one.error for one in found] == [True, True]


def test_a_long_row_of_equal_refusals_ends_a_run_that_went_well_before(served):
    model, recorded = tiny(served), []
    answers(model, prompts("well"))
    served.fail["broke"] = [402] * 99

    with pytest.raises(ServerGoneError, match=r"no answer any more: 402: said 402 \(the last 32 requests\)"):
        answers(model, prompts(*["broke"] * 40), recorded)

    assert len(recorded) == 32


def test_failures_that_pass_end_nothing_before_a_long_row_had_them(served, reaction):
    model, recorded = tiny(served, retries=0), []
    served.react = lambda body, place: (
        reaction({"error": {"message": f"busy {place}", "code": 429}}) if "what?" in json.dumps(body) else None
    )

    answers(model, prompts(*["what?"] * 8, "well"))
    with pytest.raises(ServerGoneError, match="busy"):
        answers(model, prompts(*["what?"] * 60), recorded)

    assert 24 <= len(recorded) <= 32
    assert all("busy" in one.error for one in recorded)


def test_a_server_that_is_gone_ends_the_run_and_nothing_is_recorded_of_those_it_lost(served):
    model, recorded = tiny(served, retries=0), []
    served.stop()

    with pytest.raises(ServerGoneError, match="run the same command: it resumes"):
        answers(model, prompts("one", "two"), recorded)

    assert recorded == []


def test_beams_are_refused(served):
    with pytest.raises(ConfigError, match="beams"):
        tiny(served).generate_batch(prompts("what?", decoding=Decoding(num_beams=2)))


def test_a_server_without_a_list_is_taken_at_its_word(served):
    served.models = None

    assert SatoriServed("whatever", served.url).generate_batch(prompts("what?"))[0].text == TEXT


def test_an_unknown_model_names_those_that_are_served(served):
    with pytest.raises(ConfigError, match=r"does not serve 'tinny' but other, tiny\. Did you mean 'tiny'\?"):
        SatoriServed("tinny", served.url)


def test_no_server_is_said_before_anything_is_asked():
    with pytest.raises(ConfigError, match=r"no server answers at .*vllm serve"):
        SatoriServed("tiny", "http://127.0.0.1:9/v1", retries=0)


def test_one_pixel_limit_alone_is_refused(served):
    with pytest.raises(ConfigError, match="go together"):
        tiny(served, min_pixels=3136)


def completion(**changes) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], **changes}).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "the reply is empty"),
        (b'{"id": "x", "choices": [', "no JSON but"),
        (b"<html>hello</html>", "no JSON but <html>hello</html>"),
        (b"[" * 100_000, "no JSON"),
        (b'{"choices": [{"finish_reason": "stop", "message": {"content": "\xff\xfeA"}}]}', "no UTF-8 but"),
        (
            '{"choices": [{"finish_reason": "stop", "message": {"content": "rouge foncé"}}]}'.encode("latin-1"),
            "no UTF-8",
        ),
        ('{"choices": [{"finish_reason": "stop", "message": {"content": "红"}}]}'.encode("gb18030"), "no UTF-8"),
        (b"5", "no choices"),
        (completion(choices=None), "no choices"),
        (json.dumps({"error": {"message": "out of memory"}}).encode(), "out of memory"),
    ],
)
def test_a_reply_that_is_none_is_a_failed_request(served, raw, why):
    served.raw = raw
    [found] = tiny(served, retries=0).generate_batch(prompts("one"))

    assert found.text == ""
    assert why in found.error


@pytest.mark.parametrize(
    ("usage", "counts"),
    [
        (None, (None, None)),
        ({}, (None, None)),
        ({"prompt_tokens": "many", "completion_tokens": None}, (None, None)),
        ({"prompt_tokens": math.nan, "completion_tokens": 1.5}, (None, None)),
        ({"prompt_tokens": -1, "completion_tokens": 10**30}, (None, None)),
        ({"prompt_tokens": True, "completion_tokens": 7}, (None, 7)),
        ("free", (None, None)),
    ],
)
def test_counts_that_are_none_are_not_stored(served, usage, counts):
    served.raw = completion(usage=usage)
    [found] = tiny(served).generate_batch(prompts("what?"))

    assert (found.text, found.input_tokens, found.output_tokens) == (TEXT, *counts)


def test_a_lone_surrogate_survives(served):
    served.raw = completion(choices=[{"message": {"content": "\ud800 B"}}])
    [found] = tiny(served).generate_batch(prompts("what?"))

    assert found.text == "\ud800 B"


@pytest.mark.parametrize(
    ("url", "key", "said"),
    [
        ("localhost:8000/v1", "none", "write it as http://"),
        ("http://[::1", "none", "no address of a server"),
        ("", "none", "no address of a server"),
        ("http://127.0.0.1:9/v1", "k\u00e9y", "no HTTP header can carry"),
    ],
)
def test_an_address_or_key_that_cannot_be_one_is_said_so(url, key, said):
    with pytest.raises(ConfigError, match=said):
        SatoriServed("tiny", url, api_key=key, retries=0)


@pytest.mark.parametrize("listed", [b"<html>hello</html>", b'{"data": null}', b'{"data": [{"foo": 1}]}', b"[]", b""])
def test_a_strange_list_of_models_is_a_fault_of_the_address_or_no_list(served, listed):
    served.listed = listed
    try:
        tiny(served, retries=0)
    except ConfigError as fault:
        assert "/v1" in str(fault)  # noqa: PT017 - either is right: refused with this hint, or taken at its word


# --- how the server wants to be asked


NO_MAX_TOKENS = "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."
NO_TEMPERATURE = "Unsupported value: 'temperature' does not support 0. Only the default (1) value is supported."


@pytest.mark.parametrize(
    ("word", "says", "sent"),
    [
        ("max_tokens", NO_MAX_TOKENS, {"max_completion_tokens", "temperature"}),
        (
            "max_tokens",
            "max_tokens is deprecated, pass max_completion_tokens",
            {"max_completion_tokens", "temperature"},
        ),
        ("temperature", NO_TEMPERATURE, {"max_tokens"}),
        ("temperature", "`temperature` is not supported by this model", {"max_tokens"}),
        ("stop", "Unsupported parameter: 'stop' is not supported with this model.", {"max_tokens", "temperature"}),
    ],
)
def test_an_argument_that_the_server_refuses_is_sent_otherwise_and_said_once(served, reaction, word, says, sent):
    said: list[str] = []
    served.react = lambda body, place: reaction({"error": {"message": says}}, 400) if word in body else None
    model = tiny(served, say=said.append)

    found = model.generate_batch(prompts("one", "two", decoding=Decoding(max_new_tokens=32, until=("\n\n",))))
    served.seen.clear()
    model.generate_batch(prompts("three", decoding=Decoding(max_new_tokens=32, until=("\n\n",))))

    assert [one.error for one in found] == [None, None]
    [body] = served.seen
    assert set(body) - {"model", "messages", "stop", *NEUTRAL} == sent
    assert (word in model.facts()["left_out"]) == (word != "max_tokens")
    assert len(said) == 1
    assert word in said[0]


def test_two_refusals_one_after_the_other_are_both_heeded(served, reaction):
    def react(body, place):
        says = NO_MAX_TOKENS if "max_tokens" in body else NO_TEMPERATURE if "temperature" in body else None
        return reaction({"error": {"message": says}}, 400) if says else None

    served.react = react
    model = tiny(served)

    assert model.generate_batch(prompts("one"))[0].text == TEXT
    assert model.facts() == {
        "budget_field": "max_completion_tokens",
        "left_out": ["temperature"],
        "reply_models": {"tiny": 1},
        "over_budget": 0,
        "requests": 3,
        "most_under_way": 1,
        "latency_s": {"median": 0.0, "p95": 0.0, "most": 0.0},
    }


EXTRA = {"top_k", "min_p", "repetition_penalty"}
"""What OpenAI's own API does not know."""


def refusing(reaction, *fields, says, status=400, one_by_one=True):
    """React to a request with any of these fields; `{}` in the words stands for those that are named."""

    def react(body, place):
        met = [name for name in fields if name in body]
        named = ", ".join(met[:1] if one_by_one else met)
        return reaction({"error": {"message": says.replace("{}", named)}}, status) if met else None

    return react


@pytest.mark.parametrize(
    ("refusal", "left_out"),
    [
        ({"says": "Unrecognized request arguments supplied: {}", "one_by_one": False}, EXTRA),
        ({"says": "Unrecognized request argument supplied: {}"}, EXTRA),
        ({"says": "property '{}' is unsupported"}, EXTRA),
        ({"says": 'Invalid JSON payload received. Unknown name "{}": Cannot find field.'}, EXTRA),
        ({"says": "{} is out of range, it should be in [0, 100]"}, EXTRA),
        ({"says": "Extra inputs are not permitted", "status": 422}, {*NEUTRAL}),
        ({"says": "Bad Request"}, {*NEUTRAL}),
        ({"says": ""}, {*NEUTRAL}),
    ],
    ids=lambda given: given["says"] if isinstance(given, dict) else str(len(given)),  # a set has no order of its own
)
def test_neutral_fields_that_a_server_refuses_are_left_out_and_the_run_goes_on(served, reaction, refusal, left_out):
    said: list[str] = []
    served.react = refusing(reaction, *sorted(EXTRA), **refusal)
    model = tiny(served, say=said.append)

    found = model.generate_batch(prompts("one", "two", "three"))
    served.seen.clear()
    found += model.generate_batch(prompts("four"))

    assert [one.error for one in found] == [None] * 4
    assert set(model.facts()["left_out"]) == left_out
    assert not left_out & set(served.seen[0])
    assert len(served.seen) == 1
    assert all(sum(name in line for line in said) == 1 for name in left_out), said


def test_one_of_two_fields_that_exclude_each_other_is_left_out(served, reaction):
    says = "`temperature` and `top_p` cannot both be specified for this model. Please use only one."
    served.react = refusing(reaction, "top_p", says=says)
    model = tiny(served)

    [found] = model.generate_batch(prompts("one"))

    assert found.error is None
    assert model.facts()["left_out"] == ["top_p"]
    assert served.seen[-1]["temperature"] == 0


def test_a_server_that_refuses_everything_that_can_be_refused_is_asked_all_the_same(served, reaction):
    def react(body, place):
        if "max_tokens" in body:
            return reaction({"error": {"message": NO_MAX_TOKENS}}, 400)
        met = next((name for name in ("stop", "temperature", *NEUTRAL) if name in body), None)
        says = f"Unsupported parameter: '{met}' is not supported with this model."
        return reaction({"error": {"message": says}}, 400) if met else None

    served.react = react
    model = tiny(served)

    [found] = model.generate_batch(prompts("one", decoding=Decoding(until=("\n\n\n",))))

    assert found.error is None
    assert set(model.facts()["left_out"]) == {"stop", "temperature", *NEUTRAL}


@pytest.mark.parametrize("first", [["long", "one", "two"], ["one", "long", "two"], ["one", "two", "long"]])
@pytest.mark.parametrize("says", ["the prompt is too long: 9000 tokens", "Bad Request", ""])
def test_what_a_server_says_of_one_sample_leaves_no_field_out(served, reaction, first, says):
    served.react = lambda body, place: reaction({"error": says}, 400) if "long" in json.dumps(body) else None
    model = tiny(served, concurrency=1)

    found = model.generate_batch(prompts(*first))

    assert [one.error is None for one in found] == [question != "long" for question in first]
    assert model.facts()["left_out"] == []
    assert {name: served.seen[-1].get(name, value) for name, value in NEUTRAL.items()} == NEUTRAL


def test_what_a_person_asked_for_is_never_left_out(served, reaction):
    served.react = lambda body, place: (
        reaction({"error": {"message": "Unknown field: top_k"}}, 400) if "top_k" in body else None
    )
    model = tiny(served)

    [neutral] = model.generate_batch(prompts("one"))
    [asked] = model.generate_batch(prompts("two", decoding=Decoding(temperature=0.5, top_k=5)))

    assert (neutral.error, model.facts()["left_out"]) == (None, ["top_k"])
    assert "Unknown field: top_k" in asked.error
    assert served.seen[-1].get("top_k") in {None, 5}


def test_a_sampled_run_does_not_give_its_temperature_up(served, reaction):
    served.react = lambda body, place: reaction({"error": {"message": NO_TEMPERATURE}}, 400)
    model = tiny(served)

    with pytest.raises(ConfigError, match="temperature"):
        answers(model, prompts("one", "two", decoding=Decoding(temperature=0.5)))


def test_extra_fields_and_template_words_go_with_each_request(served):
    extra = {"reasoning": {"effort": "low"}, "top_p": 0.5}
    model = tiny(served, extra_body=extra, chat_template_kwargs='{"enable_thinking": false}')

    model.generate_batch(prompts("one", "two"))

    for body in served.seen:
        assert (body["reasoning"], body["top_p"]) == ({"effort": "low"}, 0.5)
        assert body["chat_template_kwargs"] == {"enable_thinking": False}


def test_what_a_question_says_calls_for_no_picture_and_ends_no_turn(served):
    model = tiny(served, control_tokens=["<odd>"])
    [prompt] = prompts("what is <|image_pad|> or <odd>?")

    model.generate_batch([prompt])

    assert served.seen[0]["messages"][1]["content"][1]["text"] == "what is < |image_pad|> or < odd>?"
    assert "< |image_pad|> or < odd>" in model.sent_text(prompt)


# --- who answered


def test_a_reply_of_another_model_halfway_is_named_null_and_ends_the_run(served):
    model, recorded = tiny(served), []
    answers(model, prompts("one", "two"))
    served.named = "cheap-model"

    with pytest.raises(ServerGoneError, match=r"another model than 'tiny': 'cheap-model', after 2 of the first"):
        answers(model, prompts("three", "four"), recorded)

    assert [(one.text, one.reply_model) for one in recorded] == [("", "cheap-model")]
    assert "another model, 'cheap-model' in place of 'tiny'" in recorded[0].error


def test_a_run_that_is_taken_up_knows_who_answered(served):
    model = tiny(served)
    model.take_up([Generation("B", reply_model="tiny-on-gpu-3")])

    [found] = model.generate_batch(prompts("one"))

    assert "in place of 'tiny-on-gpu-3'" in found.error


def test_replies_of_other_models_count_where_a_person_says_so(served):
    model = tiny(served, allow_rerouting=True)
    model.generate_batch(prompts("one"))
    served.named = "cheap-model"

    [found] = model.generate_batch(prompts("two"))
    model.batch_recorded()

    assert (found.text, found.reply_model) == (TEXT, "cheap-model")
    assert model.facts()["reply_models"] == {"tiny": 1, "cheap-model": 1}


def test_a_server_that_has_a_name_of_its_own_for_the_model_is_said_once(served):
    said: list[str] = []
    served.named = "meta-llama/other-name"
    model = tiny(served, say=said.append)

    for question in ("one", "two"):
        [found] = model.generate_batch(prompts(question))
        model.batch_recorded()
        assert (found.text, found.reply_model) == (TEXT, "meta-llama/other-name")
    assert ["replies as 'meta-llama/other-name'" in line for line in said] == [True]


@pytest.mark.parametrize(
    ("asked", "said", "same"),
    [
        ("gpt-5", "gpt-5-2026-01-31", True),
        ("gpt-4", "gpt-4-0613", True),
        ("openai/gpt-5", "gpt-5", True),
        ("Qwen/Qwen3-VL-8B", "qwen3-vl-8b", True),
        ("mistral-large-latest", "mistral-large-2512", True),
        ("gemini-2.5-pro", "models/gemini-2.5-pro-002", True),
        ("vendor/m:free", "vendor/m", True),
        ("gpt-5", "gpt-5-mini", False),
        ("gpt-5", "gpt-5-mini-2026-01-31", False),
        ("qwen3-vl", "qwen3-vl-thinking", False),
        ("m", "", False),
        ("tiny", "other", False),
        ("ckpt-1000", "ckpt-2000", False),
    ],
)
def test_dates_and_providers_make_no_other_model(asked, said, same):
    assert same_model(asked, said) == same


def test_a_redirect_to_another_host_is_not_followed_and_ends_the_run(served, reaction):
    elsewhere = {"Location": "http://localhost.example:1/v1/chat/completions"}
    model, recorded = tiny(served), []
    answers(model, prompts("one?"))
    served.react = lambda body, place: reaction(b"", 307, elsewhere) if "two?" in json.dumps(body) else None

    with pytest.raises(ServerGoneError, match="neither key nor question was sent there"):
        answers(model, prompts("two?"), recorded)

    assert "another host, http://localhost.example:1" in recorded[0].error


def test_a_redirect_on_the_same_host_is_followed(served, reaction):
    served.react = lambda body, place: reaction(b"", 307, {"Location": "/v1/other"}) if place == 0 else None

    [found] = tiny(served).generate_batch(prompts("one"))

    assert found.text == TEXT
    assert served.seen[0] == served.seen[1]


def test_redirects_in_a_circle_end(served, reaction):
    served.react = lambda body, place: reaction(b"", 308, {"Location": "/v1/chat/completions"})

    [found] = tiny(served, retries=0).generate_batch(prompts("one"))

    assert "more than 5 redirects" in found.error


# --- slow ones


@pytest.mark.parametrize("how", [{"hang_s": 0.3}, {"drip_s": 0.01}, {"drip_s": 0.01, "status": 500}])
def test_a_hung_or_dripping_reply_costs_its_own_sample_and_the_others_do_not_wait(served, reaction, how):
    body = {"choices": [{"message": {"content": "B" * 1000}, "finish_reason": "stop"}]}
    served.react = lambda asked, place: reaction(body, **how) if "slow?" in json.dumps(asked) else None
    asked = prompts("one?", "slow?", "two?")
    stream = tiny(served, timeout_s=600.0, retries=0).answer_stream(iter(asked))

    others = {prompt.doc_id: one.error for prompt, one in (next(stream), next(stream))}
    served.clock.advance(600.0)
    [(prompt, slow)] = stream

    assert others == {0: None, 2: None}
    assert prompt is asked[1]
    assert "no whole reply within 600 s (--request-timeout)" in slow.error


def test_what_was_late_is_asked_once_more(served, reaction):
    late = threading.Event()

    def react(body, place):
        if place == 0:
            served.clock.advance(600.0)
            late.wait(10)

    served.react = react
    [found] = tiny(served, timeout_s=600.0).generate_batch(prompts("one?"))
    late.set()

    assert (found.error, len(served.seen)) == (None, 2)


def test_a_server_that_hangs_ends_the_run(served, reaction):
    over = threading.Event()

    def react(body, place):
        served.clock.advance(600.0)
        over.wait(10)

    served.react = react
    recorded = []
    with pytest.raises(ServerGoneError, match="answers no more"):
        answers(tiny(served, timeout_s=600.0, retries=0, concurrency=4), prompts(*["what?"] * 40), recorded)
    over.set()

    assert len(recorded) == 7


def test_a_reply_without_an_end_is_none(served, reaction, monkeypatch):
    monkeypatch.setattr("harness.models.chat_wire._MOST_REPLY_BYTES", 1000)
    served.reply = "x" * 2000

    [found] = tiny(served).generate_batch(prompts("one"))

    assert "longer than 1000 bytes" in found.error


@pytest.mark.parametrize(
    ("headers", "waited"),
    [
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "7"}, 7.0),
        ({"Retry-After": "59.5"}, 59.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:20 GMT", "Date": "Thu, 01 Jan 2026 00:00:00 GMT"}, 20.0),
        ({"Retry-After": "Thu, 01 Jan 2026 00:00:30 GMT", "Date": "Thu, 01 Jan 2026 00:00:25 GMT"}, 5.0),
        ({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"Retry-After": "soon"}, 0.5),
        ({"Retry-After": "-3"}, 0.5),
        ({"Retry-After": "Thu, 99 Foo 2026"}, 0.5),
        ({}, 0.5),
    ],
)
@pytest.mark.parametrize("status", [429, 503, 200])
def test_a_server_is_waited_for_as_long_as_it_asks(served, reaction, headers, waited, status):
    busy = {"error": {"message": "busy", "code": 429}}
    served.react = lambda body, place: reaction(busy, status, headers) if place == 0 else None

    [found] = tiny(served).generate_batch(prompts("one"))

    assert found.text == TEXT
    assert sum(served.clock.slept) == pytest.approx(waited)


def test_nobody_waits_an_hour(served, reaction):
    served.react = lambda body, place: reaction({"error": {"message": "tomorrow"}}, 429, {"Retry-After": "3600"})

    [found] = tiny(served).generate_batch(prompts("one"))

    assert "429: tomorrow" in found.error
    assert (len(served.seen), served.clock.slept) == (1, [])


# --- keys

KEY = "sk-very-secret-1"


@pytest.mark.parametrize(
    "made",
    [
        lambda: {"choices": [{"message": {"content": f"your key is {KEY}"}, "finish_reason": "stop"}]},
        lambda: {"choices": [{"message": {"content": "B", "reasoning": f"{KEY}!"}, "finish_reason": "stop"}]},
        lambda: {"error": {"message": f"Incorrect API key provided: {KEY}"}},
        lambda: {"choices": [{"message": {"content": "B"}, "finish_reason": f"x{KEY}"}]},
        lambda: {"model": KEY, "choices": [{"message": {"content": "B"}, "finish_reason": "stop"}]},
        f"<html>{KEY}</html>".encode,
        lambda: json.dumps({"error": KEY}).replace("-", "\\u002d").encode(),
    ],
)
def test_a_key_that_the_server_echoes_is_cut_out(served, reaction, made):
    for given in ({"api_key": KEY}, {"secrets": [KEY]}):
        said: list[str] = []
        served.react = lambda body, place: reaction(made())
        model = tiny(served, retries=0, say=said.append, **given)

        [found] = model.generate_batch(prompts("one"))

        assert KEY not in repr(found) + repr(said) + repr(model.facts())
        assert "[key removed]" in repr(found)


def test_words_that_stand_for_no_key_stay_in_texts(served):
    served.reply = "none, EMPTY, secret"
    for key in ("none", "EMPTY", "secret"):
        [found] = tiny(served, api_key=key).generate_batch(prompts("one"))
        assert found.text == "none, EMPTY, secret"


def test_a_password_in_the_address_is_neither_shown_nor_taken_for_the_host():
    with pytest.raises(ConfigError) as said:
        SatoriServed("tiny", "http://me:hunter-2@127.0.0.1:9/v1?api_key=abc-123&v=1", retries=0)

    assert "hunter-2" not in str(said.value)
    assert "abc-123" not in str(said.value)
    assert "127.0.0.1:9/v1?v=1" in str(said.value)


@pytest.mark.slow
class TestRun:
    def test_a_served_checkpoint_is_scored_in_its_own_frame(self, served, command, tiny_qwen2_5_vl):
        code, out, err = command(
            "run", "--backend", "openai", "--base-url", served.url, "--served-name", "tiny", "--model",
            tiny_qwen2_5_vl, "--tasks", "shapes", "--limit", 24, "--max-pixels", 12544, "--api-key", "sk-secret",
            "--json",
        )  # fmt: skip

        assert code == ExitCode.OK, err
        run = load_run(Path(json.loads(out)["run"]))
        assert verify_run(run.path) == []
        assert (run.manifest.backend, run.manifest.box_dialect) == ("openai", dialect_named("qwen2_5_vl"))
        assert run.manifest.weights_hash
        records = list(run.records())
        sent = [Image.open(io.BytesIO(base64.b64decode(_image_of(body)))).size for body in served.seen]
        sizes = [record.generation.input_size for record in records]
        assert Counter(sent) == Counter((size.width, size.height) for size in sizes)
        assert max(width * height for width, height in sent) <= 12544
        assert served.keys == {"Bearer sk-secret"}
        assert "sk-secret" not in "".join(p.read_text() for p in run.path.iterdir() if p.suffix in {".json", ".jsonl"})

    def test_a_server_is_not_sent_images_that_it_would_resize_again(self, served, command, tiny_qwen2_5_vl):
        code, _, err = command(
            "run", "--backend", "openai", "--base-url", served.url, "--served-name", "tiny", "--model",
            tiny_qwen2_5_vl, "--tasks", "shapes", "--max-pixels", 10**8,
        )  # fmt: skip

        assert (code, served.seen) == (ExitCode.USAGE, [])
        assert "a server resizes" in err

    def test_a_served_name_needs_a_frame_for_its_boxes(self, served, command):
        arguments = ("run", "--backend", "openai", "--base-url", served.url, "--model", "tiny", "--tasks", "shapes",
                     "--dataset", "shapes=tiny", "--limit", 12, "--json")  # fmt: skip

        code, out, err = command(*arguments)
        known = command(*arguments, "--box-frame", "norm_1000", "--min-pixels", 3136, "--max-pixels", 12544)

        assert code == known[0] == ExitCode.OK, err
        assert "weights are not seen" in err
        without, within = json.loads(out), json.loads(known[1])
        assert without["tasks"]["shapes"]["metrics"]["mean_iou"]["value"] is None
        assert within["tasks"]["shapes"]["metrics"]["mean_iou"]["value"] is not None
        sample = next(load_run(Path(within["run"])).records())
        assert sample.generation.input_size == smart_resize(sample.sample.image_size, PixelLimits(3136, 12544))

    def test_the_same_refusal_of_everything_ends_the_run_with_the_server_s_words(self, served, command, reaction):
        served.react = lambda body, place: reaction({"error": {"message": "no vision\x1b[31m here"}}, 400)

        code, out, err = command(*self.shapes(served, "--limit", 48))

        assert (code, out) == (ExitCode.USAGE, "")
        assert "refuses tiny: 400: no vision here (all 16 requests so far)" in err
        assert 16 < len(served.seen) <= 48, "those under way at once were tried without the neutral fields too"
        [folder] = Path("runs").iterdir()
        shown = command("runs", "show", folder)
        assert "16 without an answer: request failed: 400: no vision here" in shown[1]

    def test_the_most_frequent_reasons_are_said_with_their_counts(self, served, command, reaction):
        def react(body, place):
            if "circle" not in json.dumps(body["messages"]):
                return None
            return reaction({"choices": None, "error": {"message": "withheld by owner", "code": 451}})

        served.react = react
        code, out, err = command(*self.shapes(served, "--limit", 24, "--json"))

        null = json.loads(out)["tasks"]["shapes"]["unscored"]["error"]
        assert code == ExitCode.INCOMPLETE
        assert f"Most frequent: {null} × request failed: withheld by owner (451)." in err
        shown = command("runs", "show", json.loads(out)["run"])
        assert f"{null} without an answer: request failed: withheld by owner (451)" in shown[1]

    def test_a_greedy_run_without_temperature_says_so_in_its_manifest_and_is_not_compared(
        self, served, command, reaction
    ):
        asked = self.shapes(served, "--limit", 12, "--json")
        greedy = json.loads(command(*asked)[1])["run"]
        says = {"error": {"message": "temperature 0 is not supported"}}
        served.react = lambda body, place: reaction(says, 400) if "temperature" in body else None

        code, out, err = command(*asked, "--again")

        assert code == ExitCode.OK, err
        assert err.count("refuses temperature 0") == 1
        sampled = json.loads(out)["run"]
        assert load_run(Path(sampled)).manifest.other["server"]["left_out"] == ["temperature"]
        code, out, err = command("compare", greedy, sampled)
        assert "samples as it likes" in out + err

    def test_a_misbehaving_server_loses_nothing_and_invents_nothing_and_the_run_can_be_made_whole(
        self, served, command, reaction
    ):
        ill = [
            {"status": 500, "body": b"<html>oops</html>", "headers": {"Retry-After": "0"}},
            {"status": 429, "body": {}, "headers": {"Retry-After": "0"}},
            {"body": b'{"choices": [{"mess', "headers": {"Retry-After": "0"}},
            {"status": 400, "body": {"error": "not this one"}},
            {"body": {"choices": [{"finish_reason": "abort", "message": {"content": "r"}}]}},
        ]

        def react(body, place):
            said = "".join(part.get("text", "") for part in body["messages"][-1]["content"])
            if place % 3 == 0 and place < 60:
                return reaction(**ill[place // 3 % len(ill)])
            choice = {"index": 0, "finish_reason": "stop", "message": {"content": f"<answer>{said}</answer>"}}
            return reaction({"id": "the same", "model": "tiny", "choices": [choice]})

        served.react = react
        code, out, err = command(*self.shapes(served, "--limit", 48, "--json"))
        first = load_run(Path(json.loads(out)["run"]))
        before = {record.key: record.generation.text for record in first.records()}
        again, shown, said = command("run", "--retry", first.path, "--json")
        whole = load_run(Path(json.loads(shown)["run"]))

        assert (code, again) == (ExitCode.INCOMPLETE, ExitCode.OK), err + said
        assert verify_run(first.path) == verify_run(whole.path) == []
        records = list(whole.records())
        assert sorted(record.key for record in records) == sorted(before)
        assert all(before[record.key] in {"", record.generation.text} for record in records)
        assert [r.generation for r in records if r.sample.question.splitlines()[0] not in r.generation.text] == []
        assert all(record.generation.latency_s is not None for record in records)

    def test_what_is_added_to_requests_is_compared_and_resumed_by(self, served, command):
        plain = json.loads(command(*self.shapes(served, "--limit", 12, "--json"))[1])["run"]
        words = '{"enable_thinking": false}'
        code, out, err = command(
            *self.shapes(served, "--limit", 12, "--json"), "--chat-template-kwargs", words,
            "--extra-body", '{"top_p": 0.9}',
        )  # fmt: skip

        assert code == ExitCode.OK, err
        one, other = (load_run(Path(path)).manifest for path in (plain, json.loads(out)["run"]))
        assert one.run_key != other.run_key
        assert other.generation["extra_body"] == {"top_p": 0.9}
        assert other.generation["chat_template_kwargs"] == {"enable_thinking": False}
        assert {body.get("top_p") for body in served.seen} == {1.0, 0.9}
        assert "extra_body" in command("compare", plain, json.loads(out)["run"])[1]

    def test_a_key_that_comes_back_is_nowhere(self, served, command, reaction, monkeypatch):
        key, other = "sk-live-0123456789", "hf_abcdefgh1234"
        monkeypatch.setenv("SATORI_BENCH_API_KEY", key)
        monkeypatch.setenv("HF_TOKEN", other)
        echo = {"choices": [{"message": {"content": f"{key} {other}"}, "finish_reason": "stop"}]}
        wrong = {"error": {"message": f"bad key {key}"}}
        served.react = lambda body, place: reaction(wrong, 403) if place % 2 else reaction(echo)

        code, out, err = command(*self.shapes(served, "--limit", 12))

        assert code == ExitCode.INCOMPLETE
        assert served.keys == {f"Bearer {key}"}
        [folder] = Path("runs").iterdir()
        stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
        texts = [row["text"] or row["error"] for row in read_rows(folder / "samples.parquet")]
        for secret in (key, other):
            assert secret not in out + err
            assert secret.encode() not in stored
            assert not any(secret in text for text in texts)
        assert any("[key removed]" in text for text in texts)

    def test_a_reply_of_another_model_halfway_ends_the_run_and_the_same_command_goes_on(self, served, command):
        served.react = lambda body, place: setattr(served, "named", "cheap" if place >= 40 else None)
        asked = self.shapes(served, "--limit", 60)

        code, _, err = command(*asked)
        [folder] = Path("runs").iterdir()
        named = [record for record in read_records(folder / "samples.jsonl") if record.generation.reply_model]
        served.react = lambda body, place: None
        served.named = None
        again, _, said = command(*asked)

        assert code == ExitCode.INCOMPLETE
        assert "answered with another model than 'tiny': 'cheap'" in err
        assert named
        assert all((one.score.value, one.generation.reply_model) == (None, "cheap") for one in named)
        assert again == ExitCode.OK, said

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--extra-body", "{no}"), "--extra-body is no JSON"),
            (("--extra-body", "[1]"), "no object"),
            (("--extra-body", '{"x": NaN}'), "NaN is not JSON"),
            (("--extra-body", '{"messages": [], "model": "m", "images": []}'), "messages (the question"),
            (("--extra-body", '{"max_tokens": 5}'), "the budget is --max-new-tokens"),
            (("--extra-body", '{"provider": {"api_key": "k"}}'), "give it with --api-key"),
            (("--extra-body", '{"chat_template_kwargs": {}}'), "--chat-template-kwargs"),
            (("--chat-template-kwargs", "enable_thinking=false"), "write it in single quotes"),
            (("--chat-template-kwargs", '{"tokenize": true}'), "cannot set tokenize"),
            (("--chat-template-kwargs", '"x"'), "no object"),
            (("--request-timeout", "0"), "--request-timeout"),
        ],
    )
    def test_wrong_additions_are_refused_before_anything_is_asked(self, served, command, options, said):
        code, out, err = command(*self.shapes(served), *options)

        assert (code, out, served.seen) == (ExitCode.USAGE, "", [])
        assert said in err
        assert not Path("runs").exists()

    @staticmethod
    def shapes(served, *more) -> tuple:
        return ("run", "--backend", "openai", "--base-url", served.url, "--model", "tiny", "--tasks", "shapes",
                "--dataset", "shapes=tiny", "--box-frame", "norm_1000", "--no-thumbnails", *more)  # fmt: skip

    def test_failed_requests_are_unscored_and_asked_again_by_retry(self, served, command):
        served.fail["circle"] = [400] * 99
        code, out, _ = command(
            "run", "--backend", "openai", "--base-url", served.url, "--model", "tiny", "--tasks", "shapes",
            "--dataset", "shapes=tiny", "--limit", 24, "--box-frame", "norm_1000", "--json",
        )  # fmt: skip
        first = json.loads(out)
        served.fail.clear()
        again_code, again_out, err = command("run", "--retry", first["run"], "--json")

        assert code == ExitCode.INCOMPLETE
        assert 0 < first["tasks"]["shapes"]["unscored"]["error"] < 24
        assert again_code == ExitCode.OK, err
        assert json.loads(again_out)["tasks"]["shapes"]["unscored"] == {}

    def test_a_retry_may_ask_another_server_but_nothing_else(self, served, command):
        served.fail["circle"] = [400] * 99
        _, out, _ = command(
            "run", "--backend", "openai", "--base-url", served.url, "--model", "tiny", "--tasks", "shapes",
            "--dataset", "shapes=tiny", "--limit", 12, "--box-frame", "norm_1000", "--json",
        )  # fmt: skip
        folder = json.loads(out)["run"]
        barred, _, said = command("run", "--retry", folder, "--limit", 24, "--model", "other")
        gone, _, nowhere = command("run", "--retry", folder, "--base-url", "http://127.0.0.1:9/v1")

        assert (barred, gone) == (ExitCode.USAGE, ExitCode.USAGE)
        assert "leave out --model, --limit" in said
        assert "127.0.0.1:9" in nowhere

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("--backend", "openai"), "needs --base-url"),
            (("--backend", "openai", "--base-url", "http://127.0.0.1:9/v1", "--box-frame", "input_px"), "served name"),
            (("--base-url", "http://127.0.0.1:9/v1"), "need --backend openai"),
            (("--backend", "openai", "--base-url", "http://127.0.0.1:9/v1"), "no server answers"),
        ],
    )
    def test_bad_options_leave_nothing_behind(self, command, tmp_path, arguments, said):
        code, out, err = command("run", "--model", "tiny", "--tasks", "shapes", *arguments)

        assert (code, out) == (ExitCode.USAGE, "")
        assert said in err
        assert not (tmp_path / "runs").exists()


def _image_of(body: dict) -> str:
    [url] = [part["image_url"]["url"] for part in body["messages"][-1]["content"] if part["type"] == "image_url"]
    return url.removeprefix("data:image/png;base64,")
