"""`submission`: the official file of answers to a split without labels."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Literal

import click

from harness.errors import ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import json_option, lookup_option
from satori_bench.showing import write_file
from satori_bench.verb import Verb

_SCHEMA = 1
"""Version of the object of `submission --json`."""


@click.command(cls=Verb)
@click.argument("run_name", metavar="RUN")
@click.option("--tasks", "names", default="", help="Which benchmarks, by commas. Default: all without labels.")
@click.option(
    "-o", "--output", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path(), show_default=True,
    help="Folder for the files, each called after its benchmark.",
)  # fmt: skip
@click.option(
    "--table", type=click.Choice(["xlsx", "tsv"]), default="xlsx", show_default=True,
    help="How MMBench's table is written; its server takes both.",
)  # fmt: skip
@click.option("--incomplete", is_flag=True, help="Write it also where samples of the split are missing or failed.")
@lookup_option
@json_option
def submission(
    run_name: str,
    names: str,
    folder: Path,
    table: Literal["xlsx", "tsv"],
    incomplete: bool,
    out: Path,
    as_json: bool,
) -> int:
    """Write the official file for splits whose labels only their authors have; never a score.

    MMBench's test splits become a table, DocVQA's and InfographicVQA's a JSON list. Exits 5 where samples are missing.
    """
    from harness.evaluation.submission import submissions_of
    from harness.runs.lookup import find_run
    from harness.runs.store import load_run

    tasks = [name.strip() for name in names.split(",") if name.strip()]
    found = submissions_of(load_run(find_run(run_name, out)), tasks, table=table, incomplete=incomplete)
    for one in found:
        write_file(folder / one.name, one.content)
        told = [f"{one.answers} answers"]
        told += [f"{one.empty} of them empty"] if one.empty else []
        told += [f"{one.failed} without a text for an error"] if one.failed else []
        told += [f"{one.cut} texts cut to what a cell holds"] if one.cut else []
        say(f"{one.task}: {', '.join(told)}", sys.stderr)
        if not as_json:
            say(str(folder / one.name), sys.stdout)
    if as_json:
        files = [
            {
                "task": one.task, "file": str(folder / one.name), "answers": one.answers, "empty": one.empty,
                "failed": one.failed, "cut": one.cut,
            }
            for one in found
        ]  # fmt: skip
        say_json({"schema": _SCHEMA, "files": files}, sys.stdout)
    return ExitCode.OK
