"""A server that misbehaves: nothing that it answered is lost, and nothing is invented in place of what it did not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="lmms-eval's model class needs torch")

from harness.errors import ConfigError
from harness.models.base import Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.reply_watch import ServerGoneError
from harness.models.served import SatoriServed

CASES = json.loads((Path(__file__).parents[1] / "cases" / "served_faults.json").read_text(encoding="utf-8"))


def prompts(*questions: str) -> list[Prompt]:
    return [
        Prompt("shapes", place, 0, (Turn("user", (question,)),), Decoding(max_new_tokens=32))
        for place, question in enumerate(questions)
    ]


def answered(model: SatoriServed, asked, kept: list) -> None:
    """Ask as a run does, which may end after each record; `kept` takes question, text and error as they come."""
    for prompt, generation in model.answer_stream(iter(asked)):
        kept.append((prompt.turns[0].parts[0], generation.text, generation.error))
        model.batch_recorded()


def question_of(body: dict) -> str:
    return body["messages"][-1]["content"]


def made(reaction, meets: dict):
    """Return what the server does, from a case's row."""
    row = dict(meets)
    text = row.pop("text", None)
    return reaction(body=row.pop("body", None) if text is None else text.encode("latin-1"), **row)


@pytest.fixture
def echo(served, reaction):
    """A server that answers each question with itself, but for those with `odd`: those meet `meets` first."""

    def react(body, place):
        question = question_of(body)
        if "odd" in question and echo.meets:
            return made(reaction, echo.meets.pop(0))
        choice = {"index": 0, "finish_reason": "stop", "message": {"content": f"says {question}"}}
        return reaction({"id": "always-the-same", "model": body["model"], "choices": [choice]})

    echo = served
    echo.react, echo.meets = react, []
    return echo


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_fault_costs_one_sample_at_the_most_and_is_tried_again_where_that_helps(echo, case):
    echo.meets = list(case["meets"])
    kept: list = []
    model = SatoriServed("tiny", echo.url, concurrency=1, clock=echo.clock, say=lambda line: None)

    answered(model, prompts("one?", "odd?", "two?"), kept)

    found = {question: (text, error) for question, text, error in kept}
    text, error = found.pop("odd?")
    assert len(kept) == 3
    assert found == {question: (f"says {question}", None) for question in ("one?", "two?")}
    assert (text, case["error"] or error) == (("says odd?", None) if case["error"] is None else ("", case["error"]))
    assert case["error"] is None or case["error"] in error
    assert sum(question_of(body) == "odd?" for body in echo.seen) == case["tries"]
    assert sum(echo.clock.slept) == case.get("waited_s", sum(echo.clock.slept))


EVERYWHERE = [
    ({"status": 500, "text": ""}, ServerGoneError, "gives no answer: 500: the reply is empty"),
    ({"status": 502, "text": "<html>Bad gateway</html>"}, ServerGoneError, "Bad gateway"),
    ({"status": 429, "body": {"error": "quota"}, "headers": {"Retry-After": "9999"}}, ServerGoneError, "429: quota"),
    ({"status": 400, "body": {"error": "no images here"}}, ConfigError, "refuses tiny: 400: no images here"),
    ({"status": 401, "body": {"error": "who?"}}, ConfigError, "401: who.*Give the key with --api-key"),
    ({"text": "<html>Sign in</html>"}, ServerGoneError, "no JSON but <html>Sign in"),
    ({"text": '{"choices": [{"mess'}, ServerGoneError, "no JSON but"),
    ({"body": {"choices": []}}, ServerGoneError, "no choices"),
    ({"hangs": True}, ServerGoneError, "answers no more"),
    ({"status": 302, "text": "", "headers": {"Location": "https://login.example/"}}, ConfigError, "another host"),
    ({"text": "rubbish", "headers": {"Content-Encoding": "gzip"}}, ServerGoneError, "not packed as it says"),
]


@pytest.mark.parametrize(("meets", "kind", "says"), EVERYWHERE, ids=[row[2] for row in EVERYWHERE])
@pytest.mark.parametrize("questions", [5, 60])
def test_a_fault_that_every_request_meets_ends_the_run_with_the_servers_words(echo, meets, kind, says, questions):
    echo.meets = [meets] * 999
    kept: list = []
    model = SatoriServed("tiny", echo.url, clock=echo.clock, say=lambda line: None)

    with pytest.raises(kind, match=says):
        answered(model, prompts(*[f"odd {place}?" for place in range(questions)]), kept)

    assert len(kept) <= 16, "no benchmark is asked through for nothing"
    assert {text for _, text, _ in kept} <= {""}


def test_a_busy_server_is_asked_on_for_as_long_as_it_answers_others(echo):
    echo.meets = [{"status": 429, "body": {}}] * 12
    kept: list = []
    model = SatoriServed("tiny", echo.url, concurrency=2, retries=1, clock=echo.clock)

    answered(model, prompts("odd?", *[f"{place}?" for place in range(40)]), kept)

    assert [error for _, _, error in kept] == [None] * 41


def test_a_run_goes_on_where_it_was_ended(echo):
    """The first half is answered, then the model changes: what was kept stays, what was not is asked again."""
    asked = prompts(*[f"{place}?" for place in range(40)])
    model = SatoriServed("tiny", echo.url, clock=echo.clock)
    react = echo.react

    def changed(body, place):
        found = react(body, place)
        if place >= 20:
            found.body["model"] = "cheap"
        return found

    echo.react, kept = changed, []
    with pytest.raises(ServerGoneError, match="'cheap'"):
        answered(model, asked, kept)
    good = [question for question, _, error in kept if error is None]
    echo.react = react
    model = SatoriServed("tiny", echo.url, clock=echo.clock)
    answered(model, [prompt for prompt in asked if prompt.turns[0].parts[0] not in good], kept)

    texts = [(question, text) for question, text, error in kept if error is None]
    assert sorted(texts) == sorted((f"{place}?", f"says {place}?") for place in range(40))
    assert len(good) <= 20
