"""A page is opened or served to this machine alone, with its own files and nothing else."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import harness
from harness.errors import ConfigError, IncompleteError
from reports.pages.view import HOST, PageServer, open_in_browser, page_of, site_of

CODE_ROOT = Path(harness.__file__).parents[1]


@pytest.fixture
def run(tmp_path):
    """A run folder with everything that a page must not give away."""
    folder = tmp_path / "runs" / "20260101T000000Z-base-aaaaaaaa"
    (folder / "media").mkdir(parents=True)
    (folder / "index.html").write_text("<p>the page</p>")
    (folder / "media" / "a.webp").write_bytes(b"picture")
    for name in ("manifest.json", "samples.jsonl", "scores.json", "media/notes.txt"):
        (folder / name).write_text("private")
    (tmp_path / "secret.html").write_text("secret")
    (folder / "media" / "link.webp").symlink_to(tmp_path / "secret.html")
    (folder / "shards").symlink_to(tmp_path)
    (tmp_path / "evil.js").write_text("secret")
    return folder


@pytest.fixture
def served(run):
    with PageServer(site_of(page_of(run)), 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(server: PageServer, path: str, method: str = "GET", **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(HOST, server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    reply = connection.getresponse()
    return reply.status, reply.read()


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", b"<p>the page</p>"),
        ("/index.html", b"<p>the page</p>"),
        ("/index.html?x=1", b"<p>the page</p>"),
        ("/media/a.webp", b"picture"),
        ("/media%2Fa.webp", b"picture"),
    ],
)
def test_the_page_and_its_pictures_are_given(served, path, content):
    assert ask(served, path) == (200, content)
    assert ask(served, path, "HEAD") == (200, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/manifest.json", "/samples.jsonl", "/scores.json", "/media/", "/media", "/media/notes.txt", "/.",
        "/media/link.webp", "/shards/evil.js", "/../../secret.html", "/%2e%2e/%2e%2e/secret.html", "//etc/passwd",
        "//[",
        "/etc/passwd", "/media/../manifest.json", "/media/%00a.webp", "/runs/x/index.html", "/index.html/", "/a" * 3000,
    ],
)  # fmt: skip
def test_nothing_else_is_given_and_no_folder_is_listed(served, path):
    status, content = ask(served, path)

    assert status == 404
    assert b"private" not in content
    assert b"secret" not in content


def test_a_file_that_becomes_a_link_later_is_not_followed(served, run, tmp_path):
    (run / "media" / "a.webp").unlink()
    (run / "media" / "a.webp").symlink_to(tmp_path / "secret.html")

    assert ask(served, "/media/a.webp")[0] == 404


def test_a_folder_that_becomes_a_link_later_is_not_followed(served, run, tmp_path):
    (run / "media").rename(run / "old")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.webp").write_text("secret")
    (run / "media").symlink_to(tmp_path / "other")

    assert ask(served, "/media/a.webp")[0] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("localhost:9", 200), ("evil.example", 403), ("127.0.0.1.evil.example:80", 403), ("", 403)],
)
def test_a_name_that_was_made_to_lead_here_reads_nothing(served, host, status):
    assert ask(served, "/", Host=host)[0] == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_is_written(served, method):
    assert ask(served, "/", method)[0] == 501


def test_only_the_loopback_listens(served):
    assert served.socket.getsockname()[0] == "127.0.0.1"


def test_a_taken_port_is_a_clear_error(run, served):
    with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{served.server_port}: .*--port"):
        PageServer(site_of(page_of(run)), served.server_port)


def test_a_leaderboard_has_its_runs_pages_and_a_single_page_is_alone(tmp_path):
    for name in ("index.html", "leaderboard.csv", "runs/x/index.html", "runs/x/media/a.webp", "runs/x/scores.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "page.html").write_text("")

    board = {"index.html", "leaderboard.csv", "runs/x/index.html", "runs/x/media/a.webp"}
    assert set(site_of(tmp_path / "index.html").files) == board
    assert set(site_of(tmp_path / "page.html").files) == {"page.html"}


def test_what_has_no_page_is_said_with_the_mend(tmp_path, run):
    (run / "index.html").unlink()
    (tmp_path / "empty").mkdir()

    with pytest.raises(IncompleteError, match="satori-bench runs page"):
        page_of(run)
    with pytest.raises(ConfigError, match=r"holds no index\.html"):
        page_of(tmp_path / "empty")
    with pytest.raises(ConfigError, match="is no page"):
        page_of(run / "scores.json")


def test_without_a_screen_no_browser_is_tried(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)

    assert not open_in_browser("file:///x", {})
    assert open_in_browser("file:///x", {"DISPLAY": ":0"})
    assert opened == ["file:///x"]


def test_the_verb_serves_a_run_by_its_name_and_control_c_ends_it_with_0(run, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(CODE_ROOT), "DISPLAY": "", "WAYLAND_DISPLAY": ""}
    started = subprocess.Popen(
        [sys.executable, "-P", "-m", "satori_bench", "view", "base"],
        env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no thread runs here
    )  # fmt: skip
    address = started.stdout.readline().strip()
    port = int(address.rpartition(":")[2].partition("/")[0])
    with socket.create_connection((HOST, port), timeout=10) as connection:
        connection.sendall(b"GET /index.html HTTP/1.0\r\nHost: localhost\r\n\r\n")
        reply = b"".join(iter(lambda: connection.recv(4096), b""))

    started.send_signal(signal.SIGINT)
    _, err = started.communicate(timeout=30)

    assert address == f"http://127.0.0.1:{port}/index.html"
    assert b"<p>the page</p>" in reply
    assert started.returncode == 0
    assert "Traceback" not in err
