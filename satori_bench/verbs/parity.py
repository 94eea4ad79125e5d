"""`parity`: one run's texts under several protocols."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.errors import ConfigError, ExitCode
from harness.vocabulary import PROTOCOLS
from reports.terminal.printing import say_json
from satori_bench.options import ProtocolName, json_option, lookup_option, markdown_option
from satori_bench.showing import write_file
from satori_bench.verb import Verb


class _ProtocolNames(ProtocolName):
    """Several protocols by commas."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the short words, as one text by commas."""
        words = [word.strip() for word in str(value).split(",") if word.strip()]
        return ",".join(super(_ProtocolNames, self).convert(word, param, ctx) for word in words)


@click.command(cls=Verb)
@click.argument("run_name", metavar="RUN")
@click.option(
    "--protocols", type=_ProtocolNames(PROTOCOLS), metavar="A,B,...",
    help="At least two, by commas: strict, vlmevalkit, paper, lmms-eval. Default: all that can read the run's format.",
)  # fmt: skip
@click.option(
    "--samples", type=click.IntRange(0), default=20, show_default=True,
    help="Samples of each benchmark that are told one by one; how many more there are is said.",
)  # fmt: skip
@markdown_option
@lookup_option
@json_option
def parity(run_name: str, protocols: str | None, samples: int, markdown: Path | None, out: Path, as_json: bool) -> int:
    """Score a run's texts under several protocols, and show where they part.

    Nothing is stored and no model is loaded. Per benchmark: the score under each protocol, how many samples every two
    of them score alike, the samples that they do not, and how their rules differ. See docs/protocols.md.
    """
    from harness.evaluation.parity import run_parity
    from harness.runs.lookup import find_scores
    from harness.runs.store import load_run

    folder, later = find_scores(run_name, out)
    if later is not None:
        raise ConfigError(f"parity scores the run's texts under each protocol itself: leave @{later} out")
    names: Any = None if protocols is None else protocols.split(",")  # click has checked each
    found = run_parity(load_run(folder), names, shown_samples=samples)
    if markdown is not None:
        from reports.texts.markdown import parity_markdown

        write_file(markdown, parity_markdown(found).encode("utf-8"))
    if as_json:
        from harness.evaluation.parity_json import parity_to_json

        say_json(parity_to_json(found), sys.stdout)
    else:
        from reports.terminal.parity_table import show_parity

        show_parity(found, sys.stdout)
    return ExitCode.OK
