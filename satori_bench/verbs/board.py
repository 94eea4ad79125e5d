"""`leaderboard`, and `view`, which opens any page."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ExitCode
from harness.garbage import rare_collections
from reports.terminal.printing import say, say_json
from satori_bench.options import json_option, lookup_option, seed_option
from satori_bench.showing import say_how_to_view
from satori_bench.verb import Verb

if TYPE_CHECKING:
    from reports.pages.view import PageServer


@click.command(cls=Verb)
@click.argument("run_names", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the site."
)
@click.option("--allow-partial", is_flag=True, help="Also take runs of --limit; they are marked.")
@click.option(
    "--images/--no-images", default=True, show_default=True, help="Whether thumbnails go with the runs' pages."
)
@lookup_option
@seed_option
@json_option
@rare_collections()
def leaderboard(
    run_names: tuple[str, ...], output: Path, allow_partial: bool, images: bool, out: Path, seed: int, as_json: bool
) -> int:
    """Make a static site of many runs: index.html, leaderboard.json, leaderboard.csv and the runs' own pages.

    RUNS are runs, or folders of run folders.
    """
    from harness.runs.lookup import find_run
    from reports.board.board import leaderboard_json, rank_board, read_leaderboard
    from reports.pages.board_page import write_leaderboard

    board = rank_board(
        read_leaderboard([find_run(name, out) for name in run_names], allow_partial=allow_partial), seed=seed
    )
    page = write_leaderboard(board, output, pictures=images)
    for name, reason in board.barred:
        say(f"left out: {name}: {reason}", sys.stderr)
    if as_json:
        say_json(leaderboard_json(board), sys.stdout)
    else:
        say(str(page), sys.stdout)
    say_how_to_view(output)
    return ExitCode.OK


@click.command(cls=Verb)
@click.argument("name", metavar="RUN|PAGE")
@click.option("--port", type=click.IntRange(0, 65535), help="Serve it there, to this machine only; 0: a free one.")
@click.option("--no-browser", is_flag=True, help="Open nothing: serve the page and print its address.")
@lookup_option
def view(name: str, port: int | None, no_browser: bool, out: Path) -> int:
    """Open the page of a run, a comparison, a leaderboard or a loop.

    Where there is no browser, or with --port, a small server gives the page to this machine alone (127.0.0.1), until
    Ctrl-C.
    """
    from harness.runs.lookup import find_run
    from reports.pages.view import PageServer, open_in_browser, page_of, site_of

    page = page_of(find_run(name, out))
    served = no_browser or port is not None
    if not served and open_in_browser(page.resolve().as_uri(), os.environ):
        say(str(page), sys.stdout)
        return ExitCode.OK
    with PageServer(site_of(page), port or 0) as server:
        try:
            _serve(server, page, browser=not no_browser)
        except KeyboardInterrupt:
            say("ended", sys.stderr)
    return ExitCode.OK


def _serve(server: PageServer, page: Path, *, browser: bool) -> None:
    """Give a page until Ctrl-C."""
    from reports.pages.view import open_in_browser

    say(server.address, sys.stdout)
    say(
        f"serving {page} to this machine until Ctrl-C; from another one first: "
        f"ssh -L {server.server_port}:127.0.0.1:{server.server_port} HOST",
        sys.stderr,
    )
    if browser:
        open_in_browser(server.address, os.environ)
    server.serve_forever()
