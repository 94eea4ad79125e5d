"""`export`: a finished run in the files and services of other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ExitCode
from reports.terminal.printing import say
from satori_bench.options import lookup_option
from satori_bench.verb import Verb, Verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.exports.exported_run import ExportedRun


@click.group(cls=Verbs)
def export() -> None:
    """A finished run in the files and services of other tools; RUN@PROTOCOL takes its later scores."""


run_argument = click.argument("run_name", metavar="RUN")

folder_option = click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the files; nothing in it is written over. Default: one here, called after run and format.",
)  # fmt: skip

pictures_option = click.option(
    "--images/--no-images", default=True, show_default=True, help="Whether the run's thumbnails go with it."
)


@export.command("inspect")
@run_argument
@folder_option
@pictures_option
@lookup_option
def export_inspect(run_name: str, output: Path | None, images: bool, out: Path) -> int:
    """Logs of Inspect (inspect-ai): a .eval a benchmark, for read_eval_log, samples_df and Inspect View."""
    from harness.exports.inspect_log import write_inspect

    return _write(run_name, out, output, "inspect", lambda run, folder: write_inspect(run, folder, pictures=images))


def _write(
    run_name: str,
    out: Path,
    output: Path | None,
    kind: str,
    writer: Callable[[ExportedRun, Path], Sequence[str] | None],
) -> int:
    """Write a run's export; print its files, and what a reader must know of it."""
    from harness.exports.exported_run import file_part, open_export
    from harness.exports.placing import placed

    exported = open_export(run_name, out)
    target = output or Path(f"{file_part(exported.name)}-{kind}")
    with placed(target) as folder:
        notes = writer(exported, folder) or ()
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for note in notes:
        say(note, sys.stderr)
    for name in names:
        say(str(target / name), sys.stdout)
    return ExitCode.OK
