"""`runs`: list run folders, show one, watch those under way, make a page, verify one, merge shards."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

import click
from click.core import ParameterSource

from harness.errors import ConfigError, ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import data_option, dataset_option, json_option, lookup_option, out_option, page_option
from satori_bench.showing import SHOWN_FAILURES, show_reasons, show_scores, show_table, warn
from satori_bench.surroundings import write_page
from satori_bench.verb import Verbs


@click.group(cls=Verbs)
def runs() -> None:
    """Run folders: list them, show one, verify one."""


@runs.command("list")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@out_option
@json_option
@click.pass_context
def runs_list(ctx: click.Context, folder: Path | None, out: Path, as_json: bool) -> int:
    """List the runs of FOLDER (default: --out), those begun last at the end.

    What stands under `run` names the run to every verb. `limited`: asked with --limit; `unfinished`: the command that
    began it goes on with it.
    """
    from reports.terminal.run_list import listed_runs, runs_json, runs_table
    from reports.terminal.tables import write

    if folder is not None and ctx.get_parameter_source("out") is ParameterSource.COMMANDLINE:
        raise ConfigError(f"runs list takes one folder: {folder}, or --out {out}")
    place = folder or out
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; runs lie in runs/ unless --out named another one")
    found = listed_runs(place)
    if as_json:
        say_json(runs_json(found), sys.stdout)
    elif found:
        write(runs_table(found), sys.stdout)
    else:
        say(f"no runs in {place}", sys.stderr)
    return ExitCode.OK


@runs.command("show")
@click.argument("run_name", metavar="RUN")
@lookup_option
@json_option
def runs_show(run_name: str, out: Path, as_json: bool) -> int:
    """Show a run's manifest and scores."""
    from harness.runs.lookup import find_run
    from harness.runs.manifest import manifest_to_json
    from harness.runs.store import load_run
    from harness.summary.stored_scores import stored_failures, stored_summaries

    run_folder = find_run(run_name, out)
    stored = load_run(run_folder)
    manifest = manifest_to_json(stored.manifest)
    if as_json:
        say_json({"schema": 1, "manifest": manifest, "scores": stored.scores}, sys.stdout)
        return ExitCode.OK
    for key in (
        "status",
        "created_utc",
        "finished_utc",
        "model",
        "model_type",
        "weights_hash",
        "box_dialect",
        "partial",
    ):
        say(f"{key:<13} {manifest[key]}", sys.stdout)
    if stored.finished:
        tasks, failures = stored_summaries(stored), stored_failures(stored)
    else:  # what scores is loaded only where there are no scores yet: half a second
        from harness.runs.manifest import config_of
        from harness.runs.native_metrics import native_metrics_of
        from harness.summary.run_summary import summarise_records

        config, native = config_of(stored.manifest), native_metrics_of(stored.manifest)
        summary = summarise_records(stored.records(), config, seed=stored.manifest.seed, native=native)
        tasks, failures = summary.tasks, summary.failures
    show_table(tasks, title=str(run_folder), protocol=stored.manifest.scored_by, stream=sys.stdout)
    for reason, count in list(failures.items())[:SHOWN_FAILURES]:
        say(f"{count} without an answer: {reason}", sys.stdout)
    return ExitCode.OK


@runs.command("watch")
@click.argument("what", required=False, metavar="[RUN|FOLDER]")
@click.option("--once", is_flag=True, help="Show how they are now, and leave.")
@out_option
@json_option
def runs_watch(what: str | None, once: bool, out: Path, as_json: bool) -> int:
    """Watch runs under way: how far each benchmark is, its score so far, pace and time left.

    FOLDER holds runs (default: --out); with a RUN it ends when that does, else on Ctrl-C. Only journals are read: no
    run waits for it. Shards of one run are shown as one. --json prints how they are now.
    """
    from harness.runs.lookup import find_run
    from harness.runs.store import MANIFEST_NAME, PARTIAL_SUFFIX
    from satori_bench.running import ended_line, follower_of, show_once, show_until_ended

    place = out if what is None else Path(what)
    of_one_run = what is not None and (not place.is_dir() or (place / MANIFEST_NAME).is_file())
    if of_one_run:
        assert what is not None
        place = find_run(what, out)
        if not place.name.endswith(PARTIAL_SUFFIX):
            say(ended_line(place), sys.stdout)
            return ExitCode.OK
    follower = follower_of(place, of_one_run=of_one_run)
    if once or as_json:
        if not show_once(follower, as_json=as_json) and not as_json:
            say(f"no run is under way in {place}", sys.stderr)
        return ExitCode.OK
    try:
        show_until_ended(follower, stays=not of_one_run)
    except KeyboardInterrupt:  # the way to end it, as of `view`
        say("stopped watching; the runs go on", sys.stderr)
    return ExitCode.OK


@runs.command("page")
@click.argument("run_name", metavar="RUN")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path),
    help="Write it into this folder instead, with the pictures at their own size where the data are at hand.",
)  # fmt: skip
@data_option
@dataset_option
@lookup_option
def runs_page(run_name: str, output: Path | None, data_dir: Path | None, datasets: tuple[str, ...], out: Path) -> int:
    """Make a finished run's page (index.html) anew."""
    from harness.runs.lookup import find_run
    from harness.runs.store import PAGE_NAME
    from reports.pages.run_page import renew_page

    run_folder = find_run(run_name, out)
    if output is not None:
        say(str(_page_with_pictures(run_folder, output, data_dir, datasets)), sys.stdout)
        return ExitCode.OK
    if data_dir is not None or datasets:
        raise ConfigError("--data-dir and --dataset say where pictures are: they need -o FOLDER")
    renew_page(run_folder)
    say(str(run_folder / PAGE_NAME), sys.stdout)
    return ExitCode.OK


def _page_with_pictures(run_folder: Path, output: Path, data_dir: Path | None, datasets: tuple[str, ...]) -> Path:
    """Write a run's page elsewhere, with the pictures of the data; say which are not in it."""
    from harness.runs.manifest import blind_of
    from harness.runs.store import load_run
    from reports.pages.run_page import write_page_elsewhere
    from tasks.full_pictures import find_full_pictures
    from tasks.run_spec import parse_dataset_overrides

    run = load_run(run_folder)
    if blind_of(run.manifest) is not None:
        raise ConfigError(f"{run_folder} was asked without its pictures, so there are none to show")
    wanted: dict[str, set[str]] = {}
    for record in run.records():
        if record.sample.image_sha256 and not record.sample.pictures:
            wanted.setdefault(record.sample.task, set()).add(record.sample.image_sha256)
    found, notes = find_full_pictures(wanted, data_dir, parse_dataset_overrides(datasets))
    for note in notes:
        say(f"note: {note}", sys.stderr)
    if notes:
        asked = [f"{task} of {facts.dataset_path}" for task, facts in run.manifest.tasks.items() if task in wanted]
        say(f"note: the run asked {', '.join(asked)}: say where that is with --data-dir or --dataset", sys.stderr)
    return write_page_elsewhere(run, output, found.webp)


@runs.command("verify")
@click.argument("run_name", metavar="RUN")
@lookup_option
def runs_verify(run_name: str, out: Path) -> int:
    """Check a run's checksums, counts and keys."""
    from harness.comparison.verify_run import verify_run
    from harness.runs.lookup import find_run

    run_folder = find_run(run_name, out)
    problems = verify_run(run_folder)
    for problem in problems:
        say(problem, sys.stdout)
    if not problems:
        say(f"{run_folder}: ok", sys.stdout)
    return ExitCode.INCOMPLETE if problems else ExitCode.OK


@runs.command("merge")
@click.argument("shards", nargs=-1, required=True, metavar="RUN...")
@page_option
@out_option
@json_option
def runs_merge(shards: tuple[str, ...], page: bool, out: Path, as_json: bool) -> int:
    """Make one run of all shards of a run (`run --shard`); the shards stay.

    The shards are looked up in --out, where the run goes too.
    """
    from harness.evaluation.merge import merge_shards
    from harness.runs.lookup import find_run

    folder, summary = merge_shards([find_run(name, out) for name in shards], out, now=datetime.now(UTC))
    show_reasons(summary.tasks)
    show_scores(summary, title=folder.name, as_json=as_json, run=folder, table_to_stdout=True)
    warn(summary)
    if page:
        write_page(folder)
    return ExitCode.OK
