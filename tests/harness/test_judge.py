"""The judge behind an OpenAI-compatible endpoint: a small server of ours answers on this machine."""

from __future__ import annotations

import copy
import itertools
import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.errors import ConfigError, ExitCode
from harness.evaluation.ask import judged_records
from harness.evaluation.llm_judge import Judge, judge_prompt, wants_judge
from harness.evaluation.predictions import rescore_record
from harness.models.failure_watch import ServerGoneError
from harness.runs.journal import read_records
from harness.runs.record_codec import record_from_json, record_to_json
from harness.runs.store import load_run
from harness.scoring.score import score
from harness.summary.run_summary import summarise_records
from harness.values import Generation, Record, Sample, ScoreConfig

CONFIG = ScoreConfig(protocol="strict", format="satori")
CHOICES = {"A": "a cat", "B": "a dog", "C": "a cup", "D": "a star"}


@pytest.fixture
def judge(served) -> Judge:
    """A judge that replies B to everything."""
    served.reply = "B"
    return Judge(model="small-judge", base_url=served.url, api_key="none", retries=0)


def asked(served) -> list[str]:
    return [body["messages"][0]["content"] for body in served.seen]


def record(sample_id: str, answer: str, task: str = "mmbench_en_dev") -> Record:
    sample = Sample(sample_id, task, "choice", question="What is it?", answers=("B",), choices=CHOICES)
    text = f"<caption>secret scene</caption><bbox>[[1,2,3,4]]</bbox><answer>{answer}</answer>"
    return Record(sample, Generation(text), score(sample, text, CONFIG))


def test_only_what_rules_left_open_is_asked(judge, served):
    open_one, clear = record("1", "the animal that barks"), record("2", "B")

    judged = list(judged_records(judge, [open_one, clear, record("3", "the barking one", task="mmstar")], CONFIG))

    assert [(r.sample.id, r.judge_reply, r.score.value) for r in judged] == [("1", "B", 1.0)]
    [question] = asked(served)
    assert "the animal that barks" in question
    assert "secret scene" not in question, "the judge reads the answer stage alone"


def test_a_stored_reply_is_scored_again_without_the_judge(judge):
    [judged] = judged_records(judge, [record("1", "the animal that barks")], CONFIG)

    stored = record_from_json(record_to_json(judged))

    assert rescore_record(stored, CONFIG).score == judged.score


def choice(content, finish, **message):
    return {"choices": [{"message": {"content": content, **message}, "finish_reason": finish}]}


NO_COMPLETIONS = [
    (400, {"error": {"message": "no such judge"}}, "no such judge"),
    (500, b"<html><h1>Bad gateway</h1></html>", "Bad gateway"),
    (200, b"<html>Sign in</html>", "no JSON but <html>Sign in"),
    (200, b'{"choices": [{"message": {"content": "B', "no JSON"),
    (200, [], "no choices"),
    (200, [{"message": {"content": "B"}}], "no choices"),
    (200, "B", "no choices"),
    (200, None, "no choices"),
    (200, {"choices": []}, "no choices"),
    (200, {"choices": [7]}, "no message"),
    (200, {"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}, "empty"),
    (200, {"choices": [{"message": {"content": "B"}, "finish_reason": "abort"}]}, "abort"),
    (200, choice(None, "length", reasoning_content="B?"), "cut off at 64 tokens"),
    (200, choice("<think>They may mean B, or", "length"), "cut off at 64 tokens.*without thinking"),
    (200, choice("The answer speaks of an animal. An animal can be A, or", "length"), "cut off at 64 tokens"),
    (200, choice("A dog barks, and the answer", "max_tokens"), "cut off at 64 tokens"),
    (200, choice("", "length"), "cut off at 64 tokens"),
    (200, choice("<think>It may be A.", "stop"), "a thought without an answer.*without thinking"),
    (200, choice("<think>It may be A.</think>", "stop"), "a thought without an answer"),
    (200, choice("[THINK]Not A.[/THINK]\n", "stop"), "a thought without an answer"),
    (200, choice(None, "stop", reasoning_content="It may be A."), "a thought without an answer"),
    (200, choice(None, "stop", refusal="A"), "the judge refuses: A"),
    (200, choice("", "stop", refusal="I can't help with B."), "the judge refuses: I can't"),
    (200, choice([], "stop", refusal="No"), "the judge refuses: No"),
    (200, {"error": {"message": "quota", "code": 402}, "choices": None}, "quota"),
    (302, {"detail": "elsewhere"}, "elsewhere"),
]


@pytest.mark.parametrize(("status", "body", "why"), NO_COMPLETIONS, ids=range(len(NO_COMPLETIONS)))
def test_a_judge_that_fails_leaves_null_and_its_words(judge, served, reaction, status, body, why):
    served.react = lambda asked, place: reaction(body, status)

    [failed] = judged_records(judge, [record("1", "the animal that barks")], CONFIG)

    assert (failed.score.value, failed.score.components.answer, failed.judge_reply) == (None, None, None)
    assert "judge_error" in failed.score.faults
    assert re.search(why, failed.judge_error)
    assert wants_judge(failed), "it is asked about again"
    again = rescore_record(record_from_json(record_to_json(failed)), CONFIG)
    assert again == failed, "a rescore makes no zero of it"


def test_a_judge_that_answers_the_second_time_leaves_no_trace_of_its_failure(judge, served, reaction):
    served.react = lambda asked, place: reaction({"error": {"message": "no"}}, 400) if place == 0 else None

    [failed] = judged_records(judge, [record("1", "the animal that barks")], CONFIG)
    [answered] = judged_records(judge, [failed], CONFIG)

    assert (answered.judge_reply, answered.judge_error, answered.score.value) == ("B", None, 1.0)


def test_failures_count_as_unscored_and_make_a_run_incomplete(judge, served, reaction):
    served.react = lambda asked, place: reaction({"error": {"message": "no"}}, 400)
    failed = list(judged_records(judge, [record(str(i), "the animal that barks") for i in range(3)], CONFIG))

    summary = summarise_records([*failed, record("right", "B")], CONFIG)

    assert summary.tasks["mmbench_en_dev"].unscored == {"judge_error": 3}
    assert summary.failures == {"400: no": 3}
    assert not summary.is_complete


def many(count: int) -> list[Record]:
    return [record(str(place), f"the animal {place} that barks") for place in range(count)]


def kept_until(judge, count: int, kind: type[Exception], says: str) -> list[Record]:
    """Judge as a run does, which journals each record as it comes; return those that came before the end."""
    kept: list[Record] = []
    with pytest.raises(kind, match=says):
        kept.extend(judged_records(judge, many(count), CONFIG))
    return kept


DEAD = [
    ({"status": 500, "body": b""}, ServerGoneError, "the judge at http.* gives no answer: 500"),
    ({"status": 503, "body": {"error": "overloaded"}}, ServerGoneError, "503: overloaded.*run the same command"),
    ({"status": 429, "body": {"error": "quota"}}, ServerGoneError, "429: quota.*the last 16 requests"),
    ({"body": b"<html>Sign in</html>"}, ServerGoneError, "no JSON but <html>Sign in"),
    ({"body": {"choices": []}}, ServerGoneError, "no choices"),
    ({"body": {}, "sent_bytes": -1}, ServerGoneError, "the judge at .*last 16 requests"),
    ({"status": 402, "body": {"error": "out of money"}}, ConfigError, "refuses small-judge: 402: out of money"),
    ({"status": 401, "body": {"error": "who?"}}, ConfigError, "401: who.*Give the key with --judge-key"),
    ({"status": 404, "body": {"error": "no"}}, ConfigError, "the model's name there is --judge$"),
    ({"status": 302, "body": b"", "headers": {"Location": "https://l.example/"}}, ConfigError, "with --judge-url"),
]


@pytest.mark.parametrize(("meets", "kind", "says"), DEAD, ids=[row[2] for row in DEAD])
def test_a_judge_that_fails_on_every_request_is_not_asked_to_the_end(judge, served, reaction, meets, kind, says):
    served.react = lambda body, place: reaction(**meets)

    kept = kept_until(judge, 200, kind, says)

    assert len(kept) <= 16
    assert len(served.seen) <= 40, "those that were under way beside them"
    assert all(one.judge_error and wants_judge(one) for one in kept)


def test_a_judge_that_is_not_there_is_told_of_at_once(judge, served):
    served.stop()

    assert kept_until(judge, 200, ServerGoneError, "the judge at http.* answers no more") == []


def test_a_judge_that_dies_halfway_keeps_its_replies_and_goes_on_from_there(judge, served, reaction):
    served.react = lambda body, place: reaction({"error": "dead"}, 500) if place >= 30 else None
    kept = kept_until(judge, 200, ServerGoneError, "gives no answer any more: 500: dead .the last 32 requests")
    replied = {one.sample.id for one in kept if one.judge_reply == "B"}
    served.react, served.seen[:] = lambda body, place: None, []

    left = [one for one in many(200) if one.sample.id not in replied]
    judged = list(judged_records(judge, left, CONFIG))

    assert len(replied) == 30
    assert 62 <= len(kept) <= 62 + judge.concurrency, "failures that overtake a reply are of no row"
    assert len(judged) == 170
    assert all(one.score.value == 1.0 for one in judged)
    assert not any(f"the animal {answered} that" in question for answered in replied for question in asked(served))


def test_a_judge_that_fails_on_and_off_is_asked_to_the_end(judge, served, reaction):
    served.react = lambda body, place: None if place % 12 == 0 else reaction({"error": "busy"}, 500)

    judged = list(judged_records(replace(judge, concurrency=1), many(120), CONFIG))

    assert len(judged) == 120
    assert sum(one.judge_reply == "B" for one in judged) == 10


def test_questions_that_the_judge_cannot_answer_are_no_failure_of_the_server(judge, served):
    served.message, served.finish = {"content": "Let me think"}, "length"

    judged = list(judged_records(judge, many(40), CONFIG))

    assert len(judged) == 40
    assert all("cut off" in (one.judge_error or "") for one in judged)


def test_replies_come_as_they_arrive(judge, served, reaction):
    served.react = lambda asked, place: reaction(hang_s=3.0, body={}) if "slow" in json.dumps(asked) else None
    questions = [record("1", "the slow animal that barks"), record("2", "the animal that barks")]

    first = next(iter(judged_records(judge, questions, CONFIG)))

    assert first.sample.id == "2"


def test_a_reply_of_another_judge_halfway_is_none(served):
    served.reply = "B"
    served.react = lambda body, place: setattr(
        served, "named", "cheap-judge" if place == 1 else "small-judge-2026-01-31"
    )
    one_by_one = Judge("small-judge", served.url, "none", concurrency=1, retries=0)
    questions = [record(str(place), "the animal that barks") for place in range(3)]

    judged = list(judged_records(one_by_one, questions, CONFIG))

    assert [one.judge_reply for one in judged] == ["B", None, "B"]
    assert "another model, 'cheap-judge' in place of 'small-judge-2026-01-31'" in judged[1].judge_error


def test_a_reply_that_names_no_option_stays_no_match(judge, served):
    served.reply = "Z"

    [judged] = judged_records(judge, [record("1", "the animal that barks")], CONFIG)

    assert judged.score.value == 0.0
    assert "no_match" in judged.score.faults


@pytest.mark.parametrize(
    "message",
    [
        {"content": "B", "reasoning_content": "It could be A or C."},
        {"content": "<think>It could be A or C.</think>\n\nB"},
        {"content": "It could be A or C.\n</think>\n\nB"},
        {"content": "[THINK]A?[/THINK]B"},
        {"content": "<think></think> B"},
    ],
)
def test_a_judge_s_thought_is_no_reply(judge, served, message):
    served.message = message

    [judged] = judged_records(judge, [record("1", "the animal that barks")], CONFIG)

    assert judged.judge_reply == "B"


def test_a_missing_answer_stage_is_not_put_to_the_judge(judge, served):
    sample = record("1", "").sample
    text = "<caption>a dog</caption>"

    assert not list(judged_records(judge, [Record(sample, Generation(text), score(sample, text, CONFIG))], CONFIG))
    assert served.seen == []


def test_a_record_with_a_reply_is_not_asked_twice():
    before = record("1", "the animal that barks")

    assert wants_judge(before)
    assert not wants_judge(Record(before.sample, before.generation, before.score, judge_reply="B"))


def test_the_prompt_is_bounded():
    assert len(judge_prompt(record("1", "x"), "x" * 10**6)) < 10_000


@pytest.mark.slow
class TestRun:
    """A served model whose answers no rule can read, and a judge on the same server."""

    @staticmethod
    def arguments(served, local_data, *more) -> tuple:
        served.models = None
        return ("run", "--backend", "openai", "--base-url", served.url, "--model", "tiny", "--tasks", "mmbench_en_dev",
                "--data-dir", local_data.parquet, "--format", "plain", "--no-thumbnails", "--limit", 24,
                "--judge", "small-judge", "--judge-url", served.url, "--json", *more)  # fmt: skip

    def test_a_judge_that_fails_on_some_samples_makes_no_zero_of_anything(self, served, command, local_data, reaction):
        served.reply = "hard to say"
        few = self.arguments(served, local_data, "--limit", 12)
        judged = json.loads(command(*few)[1])
        fails = reaction({"error": {"message": "judge is out of money"}}, 402)
        served.react = lambda body, place: fails if body["model"] == "small-judge" else None

        code, out, err = command(*few, "--again")

        failed = json.loads(out)
        rows = failed["tasks"]["mmbench_en_dev"]
        assert code == ExitCode.INCOMPLETE
        assert rows["unscored"]["judge_error"] == rows["rows"] > 0
        assert f"{rows['rows']} × 402: judge is out of money" in err
        manifest = load_run(Path(failed["run"])).manifest
        assert manifest.other["judge_counts"] == {"replies": 0, "failures": rows["rows"]}
        assert command("gate", failed["run"], "--baseline", judged["run"])[0] == ExitCode.INCOMPLETE

    def test_a_dead_judge_ends_the_run_and_the_same_command_goes_on(
        self, served, command, local_data, reaction, tmp_path
    ):
        served.reply = "hard to say"
        fails = reaction({"error": "dead"}, 402)
        served.react = lambda body, place: fails if body["model"] == "small-judge" else None
        arguments = self.arguments(served, local_data, "--out", tmp_path / "runs")

        code, out, err = command(*arguments)
        [unfinished] = (tmp_path / "runs").glob("*.partial")
        told = [record.judge_error for record in read_records(unfinished / "samples.jsonl")]
        served.react, asked_before = lambda body, place: None, len(served.seen)
        resumed, scores, _ = command(*arguments)

        assert (code, out) == (ExitCode.USAGE, "")
        assert "the judge at http" in err
        assert "refuses small-judge: 402: dead (all 16 requests so far)" in err
        assert len(told) >= 20, "every answer of the model is kept"
        assert told.count("402: dead") == 16
        assert resumed == ExitCode.OK
        assert "judge_error" not in json.loads(scores)["tasks"]["mmbench_en_dev"]["unscored"]
        assert {body["model"] for body in served.seen[asked_before:]} == {"small-judge"}, "the model is not asked again"

    def test_a_retry_asks_the_judge_again_and_only_the_same_one(self, served, command, local_data, reaction):
        served.reply = "hard to say"
        fails, judged = reaction({"error": "busy"}, 402), itertools.count()
        served.react = lambda body, place: fails if body["model"] == "small-judge" and next(judged) % 2 else None
        run = json.loads(command(*self.arguments(served, local_data))[1])["run"]
        served.react = lambda body, place: None
        before = len(served.seen)

        without, _, said = command("run", "--retry", run)
        code, out, err = command("run", "--retry", run, "--judge", "small-judge", "--judge-url", served.url, "--json")

        assert without == ExitCode.USAGE
        assert "Give --judge small-judge" in said
        assert code == ExitCode.OK, err
        assert "judge_error" not in json.loads(out)["tasks"]["mmbench_en_dev"]["unscored"]
        assert {body["model"] for body in served.seen[before:]} == {"small-judge"}

    def test_a_kill_loses_no_reply_that_had_arrived(self, served, local_data, reaction, tmp_path):
        served.reply = "hard to say"
        asked = itertools.count()

        def react(body, place):
            return reaction({}, hang_s=60) if body["model"] == "small-judge" and next(asked) >= 9 else None

        served.react = react
        arguments = map(str, self.arguments(served, local_data, "--out", tmp_path))
        process = subprocess.Popen([sys.executable, "-P", "-m", "satori_bench", *arguments], stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while next(copy.copy(asked)) < 12 and time.monotonic() < deadline:
            time.sleep(0.1)
        time.sleep(0.5)
        process.kill()
        process.wait()

        [folder] = tmp_path.glob("*.partial")
        replies = [record for record in read_records(folder / "samples.jsonl") if record.judge_reply is not None]
        assert len(replies) == 9
