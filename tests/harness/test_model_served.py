"""A model behind an OpenAI-compatible server: a small server of ours answers on this machine."""

from __future__ import annotations

import base64
import io
import json
import math
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("torch", reason="lmms-eval's model class needs torch")

from harness.decoding import Decoding
from harness.errors import ConfigError, ExitCode
from harness.frames import smart_resize
from harness.model_base import Prompt, Turn
from harness.model_served import SatoriServed, ServerGoneError
from harness.run_store import load_run
from harness.run_verify import verify_run
from harness.values import PixelLimits, Size

TEXT = "<caption>a red circle</caption>\n<bbox>[[1, 2, 30, 40]]</bbox>\n<answer>red</answer>"
GREEDY = Decoding(max_new_tokens=32)
LIMITS = {"min_pixels": 3136, "max_pixels": 12544, "factor": 28}


@dataclass
class Served:
    """What the server does, and what it saw."""

    url: str = ""
    models: list[str] | None = field(default_factory=lambda: ["tiny", "other"])
    """None: it keeps no list."""
    reply: str | None = TEXT
    finish: str = "stop"
    fail: dict[str, list[int]] = field(default_factory=dict)
    """By a word in the question: statuses to answer with, one a request, before it succeeds."""
    delay_s: float = 0.0
    raw: bytes | None = None
    """The whole reply, in place of a completion."""
    listed: bytes | None = None
    """The whole list of models, in place of one."""
    seen: list[dict] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    most_at_once: int = 0


class Handler(BaseHTTPRequestHandler):
    served: Served
    lock = threading.Lock()
    at_once = 0

    def do_GET(self):
        models = self.served.models
        found = {"object": "list", "data": [{"id": name, "object": "model"} for name in models or []]}
        self.answer(200 if models is not None else 404, found, self.served.listed)

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.lock:
            Handler.at_once += 1
            self.served.most_at_once = max(self.served.most_at_once, Handler.at_once)
            self.served.seen.append(body)
            self.served.keys.add(self.headers["Authorization"])
            waiting = next((left for word, left in self.served.fail.items() if word in json.dumps(body) and left), None)
            status = waiting.pop(0) if waiting else 200
        time.sleep(self.served.delay_s)
        with self.lock:
            Handler.at_once -= 1
        choice = {
            "index": 0,
            "finish_reason": self.served.finish,
            "message": {"role": "assistant", "content": self.served.reply},
        }
        usage = {"prompt_tokens": 70, "completion_tokens": 21, "total_tokens": 91}
        found = {"id": "1", "object": "chat.completion", "created": 0, "model": body["model"], "choices": [choice]}
        if status != 200:
            return self.answer(status, {"error": {"message": f"said {status}"}})
        return self.answer(status, found | {"usage": usage}, self.served.raw)

    def answer(self, status: int, found: dict, raw: bytes | None = None):
        content = json.dumps(found).encode() if raw is None else raw
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def served():
    """A server that answers `TEXT` to everything."""
    found = Served()
    handler = type("OneHandler", (Handler,), {"served": found})
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    found.url = f"http://127.0.0.1:{httpd.server_port}/v1"
    found.stop = lambda: (httpd.shutdown(), httpd.server_close())
    yield found
    found.stop()


def prompts(*questions: str, decoding: Decoding = GREEDY, size: tuple[int, int] = (84, 56)):
    noise = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    turns = Turn("system", ("Answer in stages.",))
    return [
        Prompt("shapes", place, 0, (turns, Turn("user", (image, question))), decoding)
        for place, question in enumerate(questions)
    ]


def test_a_reply_becomes_a_generation_with_its_costs(served):
    model = SatoriServed("tiny", served.url, **LIMITS)

    [found] = model.generate_batch(prompts("what colour?"))

    assert (found.text, found.input_size, found.input_tokens, found.output_tokens) == (TEXT, Size(84, 56), 70, 21)
    assert (found.truncated, found.error) == (False, None)


def test_the_server_gets_every_pixel_and_the_system_turn(served):
    [prompt] = prompts("what colour?")
    SatoriServed("tiny", served.url, **LIMITS).generate_batch([prompt])

    system, user = served.seen[0]["messages"]
    url = user["content"][0]["image_url"]["url"]
    sent = Image.open(io.BytesIO(base64.b64decode(url.removeprefix("data:image/png;base64,"))))
    assert system == {"role": "system", "content": "Answer in stages."}
    assert user["content"][1] == {"type": "text", "text": "what colour?"}
    assert sent.tobytes() == prompt.images[0].tobytes()


def test_without_pixel_limits_nobody_knows_the_size_that_the_model_saw(served):
    [found] = SatoriServed("tiny", served.url).generate_batch(prompts("what colour?"))

    assert found.input_size is None


def test_only_what_is_not_neutral_is_sent(served):
    model = SatoriServed("tiny", served.url)

    model.generate_batch(prompts("greedy"))
    sampled = Decoding(max_new_tokens=8, temperature=0.7, top_p=0.9, top_k=5, repetition_penalty=1.1, until=("\n\n",))
    model.generate_batch(prompts("one", "two", decoding=sampled))

    greedy, *drawn = served.seen
    assert set(greedy) == {"model", "messages", "max_tokens", "temperature"}
    assert {(one["top_k"], one["repetition_penalty"], *one["stop"]) for one in drawn} == {(5, 1.1, "\n\n")}
    assert len({one["seed"] for one in drawn}) == 2, "each sample has a seed of its own"
    assert all(0 <= one["seed"] < 2**31 for one in drawn)


def test_a_text_that_the_budget_ended_is_truncated(served):
    served.finish = "length"
    [found] = SatoriServed("tiny", served.url).generate_batch(prompts("what?"))

    assert found.truncated


def test_a_reply_without_content_is_an_empty_text_and_a_withheld_one_is_none(served):
    served.reply = None
    model = SatoriServed("tiny", served.url)
    [empty] = model.generate_batch(prompts("what?"))
    served.finish = "content_filter"
    [withheld] = model.generate_batch(prompts("what?"))

    assert (empty.text, empty.error) == ("", None)
    assert "withheld" in withheld.error


def test_answers_keep_their_order_and_no_more_requests_are_under_way_than_allowed(served):
    served.delay_s = 0.05
    model = SatoriServed("tiny", served.url, concurrency=3)
    served.fail["fourth"] = [400]

    found = model.generate_batch(prompts("first", "second", "third", "fourth", "fifth", "sixth", "seventh"))

    assert [place for place, one in enumerate(found) if one.error] == [3]
    assert "said 400" in found[3].error
    assert found[3].text == ""
    assert 2 <= served.most_at_once <= 3


def test_a_busy_server_is_asked_again(served):
    served.fail["patient"] = [503, 429]

    [found] = SatoriServed("tiny", served.url).generate_batch(prompts("patient"))

    assert found.text == TEXT
    assert len(served.seen) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_that_concerns_every_sample_ends_the_run(served, status):
    model = SatoriServed("tiny", served.url)
    served.fail["what"] = [status]

    with pytest.raises(ConfigError, match=f"refuses tiny.*said {status}"):
        model.generate_batch(prompts("what?"))


def test_a_server_that_is_gone_ends_the_run(served):
    model = SatoriServed("tiny", served.url, retries=0)
    served.stop()

    with pytest.raises(ServerGoneError, match="run the same command: it resumes"):
        model.generate_batch(prompts("one", "two"))


def test_one_slow_request_costs_its_own_sample_and_many_end_the_run(served):
    served.delay_s = 1.0
    model = SatoriServed("tiny", served.url, timeout_s=0.1, retries=0)

    [alone] = model.generate_batch(prompts("what?"))

    assert "APITimeoutError" in alone.error
    with pytest.raises(ServerGoneError):
        model.generate_batch(prompts("one", "two"))


def test_beams_are_refused(served):
    with pytest.raises(ConfigError, match="beams"):
        SatoriServed("tiny", served.url).generate_batch(prompts("what?", decoding=Decoding(num_beams=2)))


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
        SatoriServed("tiny", served.url, min_pixels=3136)


def completion(**changes) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}
    return json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], **changes}).encode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "no JSON"),
        (b'{"id": "x", "choices": [', "no JSON"),
        (b"<html>hello</html>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"5", "no choices"),
        (completion(choices=None), "no choices"),
        (completion(choices=[]), "no choices"),
        (completion(choices=[None]), "no message"),
        (completion(choices=[{"message": None}]), "no message"),
        (completion(choices=[{"message": {"content": [{"type": "text", "text": "B"}]}}]), "no text but list"),
        (completion(choices=[{"message": {"content": 5}}]), "no text but int"),
        (json.dumps({"error": {"message": "out of memory"}}).encode(), "no choices"),
    ],
)
def test_a_reply_that_is_none_is_a_failed_request(served, raw, why):
    served.raw = raw
    found = SatoriServed("tiny", served.url).generate_batch(prompts("one", "two"))

    assert [one.text for one in found] == ["", ""]
    assert all(why in one.error for one in found)


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
    [found] = SatoriServed("tiny", served.url).generate_batch(prompts("what?"))

    assert (found.text, found.input_tokens, found.output_tokens) == (TEXT, *counts)


def test_a_lone_surrogate_survives(served):
    served.raw = completion(choices=[{"message": {"content": "\ud800 B"}}])
    [found] = SatoriServed("tiny", served.url).generate_batch(prompts("what?"))

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
        SatoriServed("tiny", served.url, retries=0)
    except ConfigError as fault:
        assert "/v1" in str(fault)  # noqa: PT017 - either is right: refused with this hint, or taken at its word


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
        assert (run.manifest.backend, run.manifest.box_frame) == ("openai", "input_px")
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
