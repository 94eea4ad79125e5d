"""The judge behind an OpenAI-compatible endpoint: a small server of ours answers on this machine."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.evaluate import judged_records
from harness.judge import Judge, judge_prompt, wants_judge
from harness.predictions import rescore_record
from harness.records_json import record_from_json, record_to_json
from harness.score import score
from harness.values import Generation, Record, Sample, ScoreConfig

CONFIG = ScoreConfig(protocol="strict", format="satori")
CHOICES = {"A": "a cat", "B": "a dog", "C": "a cup", "D": "a star"}


@pytest.fixture
def server():
    """Serves `/v1/chat/completions`; set `reply` to a text, or to None for a failing server."""
    seen: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        reply: str | None = "B"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body["messages"][0]["content"])
            status = 200 if Handler.reply is not None else 400
            message = {"role": "assistant", "content": Handler.reply}
            content = json.dumps(
                {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"],
                 "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
            ).encode()  # fmt: skip
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield Judge(model="small-judge", base_url=f"http://127.0.0.1:{httpd.server_port}/v1", api_key="none"), Handler, seen
    httpd.shutdown()
    httpd.server_close()


def record(sample_id: str, answer: str, task: str = "mmbench_en_dev") -> Record:
    sample = Sample(sample_id, task, "choice", question="What is it?", answers=("B",), choices=CHOICES)
    text = f"<caption>secret scene</caption><bbox>[[1,2,3,4]]</bbox><answer>{answer}</answer>"
    return Record(sample, Generation(text), score(sample, text, CONFIG))


def test_only_what_rules_left_open_is_asked(server):
    judge, _, seen = server
    open_one, clear = record("1", "the animal that barks"), record("2", "B")

    judged, failed = judged_records(judge, [open_one, clear, record("3", "the barking one", task="mmstar")], CONFIG)

    assert [(r.sample.id, r.judge_reply, r.score.value) for r in judged] == [("1", "B", 1.0)]
    assert failed == 0
    assert len(seen) == 1
    assert "the animal that barks" in seen[0]
    assert "secret scene" not in seen[0], "the judge reads the answer stage alone"


def test_a_stored_reply_is_scored_again_without_the_judge(server):
    judge, _, _ = server
    [judged], _ = judged_records(judge, [record("1", "the animal that barks")], CONFIG)

    stored = record_from_json(record_to_json(judged))

    assert rescore_record(stored, CONFIG).score == judged.score


def test_a_failed_request_is_never_an_answer(server):
    judge, handler, _ = server
    handler.reply = None

    assert judged_records(judge, [record("1", "the animal that barks")], CONFIG) == ([], 1)


def test_a_reply_that_names_no_option_stays_no_match(server):
    judge, handler, _ = server
    handler.reply = "Z"

    [judged], _ = judged_records(judge, [record("1", "the animal that barks")], CONFIG)

    assert judged.score.value == 0.0
    assert "no_match" in judged.score.faults


def test_a_missing_answer_stage_is_not_put_to_the_judge(server):
    judge, _, seen = server
    sample = record("1", "").sample
    text = "<caption>a dog</caption>"

    assert judged_records(judge, [Record(sample, Generation(text), score(sample, text, CONFIG))], CONFIG) == ([], 0)
    assert seen == []


def test_a_record_with_a_reply_is_not_asked_twice():
    asked = record("1", "the animal that barks")

    assert wants_judge(asked)
    assert not wants_judge(Record(asked.sample, asked.generation, asked.score, judge_reply="B"))


def test_the_prompt_is_bounded():
    assert len(judge_prompt(record("1", "x"), "x" * 10**6)) < 10_000
