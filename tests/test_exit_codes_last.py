"""What a verb found stays its exit code, whatever becomes of its stdout: a reader that leaves, a closed or full one."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from harness.comparison.verify_run import verify_run
from harness.runs.store import load_run

pytestmark = pytest.mark.slow

ENDS = {"reader leaves": "| head -c 1", "reader gone": "| true", "closed": ">&-", "full": "> /dev/full"}
PROGRAM = shlex.join([sys.executable, "-m", "satori_bench"])


def code_at(end: str, cwd: Path, *arguments: object) -> tuple[int, str]:
    """Return exit code and stderr of the command before a shell's pipe or redirection."""
    line = f"{PROGRAM} {shlex.join(map(str, arguments))} {ENDS[end]}"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


def assert_told(end: str, stderr: str) -> None:
    """A text that is lost is told of, but where its reader left by choice."""
    told = {"closed": "closed", "full": "No space left on device"}.get(end)
    assert ("stdout takes no more" in stderr) == (told is not None), stderr
    assert told is None or told in stderr
    assert "Traceback" not in stderr
    assert "Exception ignored" not in stderr


def rows(right: int, n=200) -> list[dict]:
    return [
        {"id": f"s{n}", "task": "shapes", "prediction": f"<answer>{'red' if n < right else 'no'}</answer>",
         "answers": ["red"], "category": "c" * 200}
        for n in range(n)
    ]  # fmt: skip


VERBS = [
    (["gate", "{same}", "--baseline", "{base}"], 0),
    (["gate", "{worse}", "--baseline", "{base}"], 3),
    (["gate", "{worse}", "--baseline", "{base}", "--output-format", "github"], 3),
    (["compare", "{base}", "{worse}"], 0),
    (["compare", "{base}", "{other}"], 5),
    (["runs", "verify", "{base}"], 0),
    (["runs", "verify", "{damaged}"], 5),
    (["doctor", "--tasks", "shapes"], 0),
    (["doctor", "--tasks", "mmstar", "--data-dir", "{empty}"], 2),
    (["gate", "{worse}", "--baseline", "nowhere"], 2),
]
# doctor tries every import that any verb makes, which takes as long as all others together: one end each
CASES = [
    (verb, code, end)
    for verb, code in VERBS
    for end in (ENDS if verb[0] != "doctor" else ["full" if code else "closed"])
]


@pytest.mark.parametrize(
    ("verb", "code", "end"), CASES, ids=lambda value: "-".join(value) if isinstance(value, list) else str(value)
)
def test_the_code_of_a_verb_outlasts_its_stdout(make_run, tmp_path, verb, code, end):
    (tmp_path / "empty").mkdir()
    places = {"empty": tmp_path / "empty"}
    for name, right in {"base": 120, "worse": 60, "same": 120, "damaged": 100}.items():
        if any(name in word for word in verb):
            places[name] = make_run(name, rows(right))
    if "{other}" in verb:
        places["other"] = make_run("other", [{**row, "task": "vqa_verify"} for row in rows(100)])
    if "damaged" in places:
        (places["damaged"] / "samples.jsonl").write_bytes(b"{}\n")

    found, stderr = code_at(end, tmp_path, *(word.format(**places) for word in verb))

    assert found == code, stderr
    if verb[-1] != "nowhere":  # whose stdout stays empty
        assert_told(end, stderr)


@pytest.mark.parametrize("end", ["reader gone", "closed"])
def test_scoring_ends_and_keeps_its_run_whoever_reads_the_lines(tmp_path, end):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows(100, n=3000)))
    (tmp_path / "none.jsonl").write_text('{"id": "1", "task": "shapes"}\n' * 2000)

    code, stderr = code_at(end, tmp_path, "score", "rows.jsonl", "--run", "made", "--no-page")
    nothing, _ = code_at(end, tmp_path, "score", "none.jsonl")
    (made,) = (tmp_path / "made").iterdir()

    assert (code, nothing) == (0, 5), stderr
    assert_told(end, stderr)
    assert verify_run(made) == []
    assert len(list(load_run(made).records())) == 3000


@pytest.fixture
def server():
    """A server that answers every question alike, or refuses each one whose model is `broken`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self._send(200, {"object": "list", "data": [{"id": "tiny", "object": "model"}]})

        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            message = {"role": "assistant", "content": "<answer>red</answer>"}
            choice = {"index": 0, "finish_reason": "stop", "message": message}
            self._send(200, {"object": "chat.completion", "model": asked["model"], "choices": [choice]})

        def _send(self, status, body):
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments):
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}/v1"
    httpd.shutdown()
    httpd.server_close()


@pytest.mark.parametrize("end", ["reader leaves", "full"])
def test_a_run_is_published_and_its_code_holds(tmp_path, server, end):
    code, stderr = code_at(
        end, tmp_path, "run", "--backend", "openai", "--base-url", server, "--model", "tiny", "--tasks", "shapes",
        "--limit", "6", "--no-page",
    )  # fmt: skip
    (made,) = (tmp_path / "runs").iterdir()

    assert code == 0, stderr
    assert_told(end, stderr)
    assert verify_run(made) == []


def test_a_run_under_the_address_space_limit_of_a_batch_system_is_published(tmp_path, server):
    line = (
        f"ulimit -v 8000000; {PROGRAM} run --backend openai --base-url {server} --model tiny --tasks shapes --limit 6"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

    done = subprocess.run(
        ["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    (made,) = (tmp_path / "runs").iterdir()
    assert done.returncode == 0, done.stderr
    assert verify_run(made) == []
    assert (made / "index.html").is_file() or "satori-bench runs page" in done.stderr


def test_a_closed_or_full_stderr_changes_no_code_either(make_run, tmp_path):
    base, worse = make_run("base", rows(120)), make_run("worse", rows(60))

    for end in ("2>&-", "2> /dev/full", ">&- 2>&-", "<&- >&- 2>&-", "> /dev/full 2>&1"):
        line = f"{PROGRAM} gate {shlex.quote(str(worse))} --baseline {shlex.quote(str(base))} {end}"
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, check=False)
        assert done.returncode == 3, end


def test_a_narrow_encoding_costs_no_verdict(make_run, tmp_path):
    base, worse = make_run("basé", rows(120)), make_run("worse", rows(60))
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "PYTHONIOENCODING": "ascii"}

    done = subprocess.run(
        [sys.executable, "-m", "satori_bench", "gate", worse, "--baseline", base],
        cwd=tmp_path, env=environment, capture_output=True, check=False,
    )  # fmt: skip

    assert done.returncode == 3, done.stderr
    assert b"REGRESSION" in done.stdout
