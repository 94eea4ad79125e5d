"""`export`: a finished run in the files and services of other tools."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ConfigError, ExitCode
from reports.terminal.printing import say
from satori_bench.options import lookup_option
from satori_bench.verb import Verbs

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
    """Logs of Inspect, a benchmark each.

    The .eval files are for read_eval_log, samples_df and Inspect View.
    """
    from harness.exports.inspect_log import write_inspect

    return _write(run_name, out, output, "inspect", lambda run, folder: write_inspect(run, folder, pictures=images))


@export.command("every-eval-ever")
@run_argument
@folder_option
@click.option("--model-id", metavar="OWNER/NAME", help="Who made the model and what it is called there; else unknown.")
@lookup_option
def export_every_eval_ever(run_name: str, output: Path | None, model_id: str | None, out: Path) -> int:
    """Every Eval Ever's record and samples.

    Schema 0.3.0: a record of all numbers, and a line a scored sample.
    """
    from harness.exports.every_eval_ever import write_every_eval_ever

    return _write(
        run_name, out, output, "every-eval-ever",
        lambda run, folder: write_every_eval_ever(run, folder, model_id=model_id),
    )  # fmt: skip


@export.command("lm-eval")
@run_argument
@folder_option
@lookup_option
def export_lm_eval(run_name: str, output: Path | None, out: Path) -> int:
    """Results and samples as lm-eval leaves them.

    The files of lm-evaluation-harness 0.4.
    """
    from harness.exports.lm_eval_files import write_lm_eval

    return _write(run_name, out, output, "lm-eval", write_lm_eval)


@export.command("hf-eval-results")
@run_argument
@folder_option
@click.option(
    "--benchmark", "benchmarks", multiple=True, metavar="TASK=OWNER/NAME[:TASK_ID][@REV]",
    help="Which data set and task of the Hub a benchmark is; may be repeated. Default: where its rows came from.",
)  # fmt: skip
@lookup_option
def export_hub_results(run_name: str, output: Path | None, benchmarks: tuple[str, ...], out: Path) -> int:
    """Evaluation results of the Hub.

    The files .eval_results/*.yaml for the model's repository on Hugging Face. A headline of the whole of a benchmark
    becomes a file; what is left out is said.
    """
    from harness.exports.hub_results import read_benchmarks, write_hub_results

    given = read_benchmarks(benchmarks)
    return _write(run_name, out, output, "hf-eval-results", lambda run, folder: write_hub_results(run, folder, given))


@export.command("datasets")
@run_argument
@folder_option
@pictures_option
@lookup_option
def export_datasets(run_name: str, output: Path | None, images: bool, out: Path) -> int:
    """A data set for load_dataset and the Hub.

    A row a sample, with its picture, and a card.
    """
    from harness.exports.hub_dataset import write_dataset

    return _write(run_name, out, output, "datasets", lambda run, folder: write_dataset(run, folder, pictures=images))


project_option = click.option(
    "--project", default="satori-bench", show_default=True, help="The project that the run becomes one of."
)


@export.command("wandb")
@run_argument
@project_option
@click.option("--online", is_flag=True, help="Send it, as whoever wandb knows. Default: WANDB_MODE, else offline.")
@click.option("--samples", type=click.IntRange(0), default=0, show_default=True, help="Samples in a table beside it.")
@lookup_option
def export_wandb(run_name: str, project: str, online: bool, samples: int, out: Path) -> int:
    """A run in Weights & Biases.

    Every metric with n and interval, through the package wandb; on this machine unless it is told otherwise.
    """
    import os

    from harness.exports.exported_run import open_export
    from harness.exports.trackers import log_to_wandb

    mode = "online" if online else None if os.environ.get("WANDB_MODE") else "offline"
    logged = log_to_wandb(open_export(run_name, out), project, mode=mode, samples=samples)
    say(logged.url or str(logged.folder), sys.stdout)
    if logged.url is None:
        say(f"it lies on this machine alone; wandb sync {logged.folder} sends it", sys.stderr)
    return ExitCode.OK


@export.command("trackio")
@run_argument
@project_option
@lookup_option
def export_trackio(run_name: str, project: str, out: Path) -> int:
    """A run in Trackio.

    Every metric with n and interval, through the package trackio; on this machine unless it is told otherwise.
    """
    from harness.exports.exported_run import open_export
    from harness.exports.trackers import log_to_trackio

    logged = log_to_trackio(open_export(run_name, out), project)
    say(str(logged.folder), sys.stdout)
    say(f"trackio show --project {project} shows it", sys.stderr)
    return ExitCode.OK


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
    if exported.run.path.resolve() in (target.resolve(), *target.resolve().parents):
        raise ConfigError(f"-o {target} is in the run itself, which nothing is added to: name a folder elsewhere")
    with placed(target) as folder:
        notes = writer(exported, folder) or ()
        names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    for note in notes:
        say(note, sys.stderr)
    for name in names:
        say(str(target / name), sys.stdout)
    return ExitCode.OK
