"""Open a page: in a browser where there is one, else from a small server that only this machine can reach.

The server knows the page's own files by name before its first request, and gives nothing else: no folder is listed, no
link is followed, nothing is written. It listens on 127.0.0.1, and answers only requests that call it by that name, so
that a page of another site, whose name was made to lead here, reads nothing.
"""

from __future__ import annotations

import os
import stat
import sys
import webbrowser
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote

from harness.errors import ConfigError, IncompleteError
from harness.run_store import MANIFEST_NAME, MEDIA_NAME, PAGE_NAME, PARTIAL_SUFFIX

HOST = "127.0.0.1"
"""The loopback: nobody on another machine can reach it."""

_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".csv": "text/csv; charset=utf-8",
    ".webp": "image/webp",
}
"""What lies beside our pages; everything else is a page."""

_NEEDED = (
    f"{MEDIA_NAME}/*.webp",
    "shards/*.js",
    f"runs/*/{PAGE_NAME}",
    f"runs/*/{MEDIA_NAME}/*.webp",
    "leaderboard.json",
    "leaderboard.csv",
)
"""What an `index.html` of ours shows or links to: pictures and texts beside it, a leaderboard's runs. Not what else
lies in a run folder: a browser needs no journal."""

_SERVED_TIMEOUT_S = 30
"""A connection that says nothing is closed, so that none keeps a thread for ever."""


@dataclass(frozen=True, slots=True)
class Site:
    """A page with what it needs."""

    page: Path
    """The page's file, links resolved."""
    files: Mapping[str, Path]
    """Every file that is given, by its path below the page's folder; plain files, no links."""


def page_of(place: Path) -> Path:
    """Return the page that a run folder, a site's folder or a file stands for.

    Raises:
        IncompleteError: A run has no page yet.
        ConfigError: There is no page.
    """
    if not place.is_dir():
        if place.suffix.lower() not in {".html", ".htm"}:
            raise ConfigError(f"{place} is no page: name a run, a folder with an {PAGE_NAME}, or an .html file")
        return place
    page = place / PAGE_NAME
    if page.is_file():
        return page
    if place.name.endswith(PARTIAL_SUFFIX):
        raise IncompleteError(f"{place} is not finished, and has no page before; its command goes on with it")
    if (place / MANIFEST_NAME).exists():
        raise IncompleteError(f"{place} has no page; it is made by: satori-bench runs page {place}")
    raise ConfigError(f"{place} holds no {PAGE_NAME}: name a run, a comparison's page or a leaderboard's folder")


def site_of(page: Path) -> Site:
    """Return a page with the files that it needs; an `index.html` has them beside it, any other page is alone."""
    page = page.resolve()
    folder, patterns = page.parent, _NEEDED if page.name == PAGE_NAME else ()
    found = [path for pattern in patterns for path in folder.glob(pattern)]
    # A link, at the end of a path or on its way, could lead anywhere.
    beside = {path.relative_to(folder).as_posix(): path for path in found if path.is_file() and path.resolve() == path}
    return Site(page, {page.name: page, **beside})


def open_in_browser(address: str, environment: Mapping[str, str]) -> bool:
    """Open an address in a graphical browser; False where there is none, as on a server without a display."""
    has_screen = sys.platform in {"darwin", "win32"} or environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if not has_screen:
        return False  # webbrowser would take a text browser, which draws no box
    try:
        return webbrowser.open(address)
    except webbrowser.Error:
        return False


class PageServer(ThreadingHTTPServer):
    """Gives one page's files to whoever asks on this machine."""

    daemon_threads = True

    def __init__(self, site: Site, port: int) -> None:
        """Listen.

        Args:
            site: What is given.
            port: Where; 0 takes a free one.

        Raises:
            ConfigError: The port is taken, or not ours to take.
        """
        self.site = site
        try:
            super().__init__((HOST, port), _PageRequest)
        except OSError as fault:
            raise ConfigError(
                f"cannot listen on {HOST}:{port}: {fault.strerror or fault}. Give another --port; 0 takes a free one"
            ) from fault

    @property
    def address(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.server_port}/{quote(self.site.page.name)}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a browser that closes a connection early is no fault."""


class _PageRequest(BaseHTTPRequestHandler):
    """Answers one request: a file that the site names, or 404."""

    server_version = "satori-bench"
    sys_version = ""
    timeout = _SERVED_TIMEOUT_S

    def do_GET(self) -> None:
        """Give a file."""
        self._answer(with_content=True)

    def do_HEAD(self) -> None:
        """Give only what is said about a file."""
        self._answer(with_content=False)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so
        """Say nothing: a request's text is untrusted, and the terminal is for the address."""

    def _answer(self, *, with_content: bool) -> None:
        server = self.server
        assert isinstance(server, PageServer)
        # any port: an ssh tunnel may begin at another one
        if self.headers.get("Host", "").partition(":")[0] not in {HOST, "localhost"}:
            self.send_error(HTTPStatus.FORBIDDEN, "this page is for this machine")
            return
        name = unquote(self.path.partition("?")[0]).removeprefix("/") or server.site.page.name
        path = server.site.files.get(name)
        content = None if path is None else _content(path)
        if path is None or content is None:
            self.send_error(HTTPStatus.NOT_FOUND, "no such page")
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", _TYPES.get(path.suffix, "text/html; charset=utf-8"))
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cross-Origin-Resource-Policy", "same-origin")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if with_content:
            self.wfile.write(content)


def _content(path: Path) -> bytes | None:
    """Read a plain file that still lies where it did; None where it is gone, or a link has taken its place."""
    try:
        if path.resolve(strict=True) != path:
            return None
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            return file.read() if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
    except OSError:
        return None
