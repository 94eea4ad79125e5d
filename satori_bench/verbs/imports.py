"""`import`: logs of other evaluation programs become runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ConfigError, ExitCode
from reports.terminal.printing import say
from satori_bench.options import (
    data_option,
    dataset_option,
    json_option,
    out_option,
    page_option,
    plain_score_options,
    score_config,
)
from satori_bench.showing import show_reasons, show_scores, warn
from satori_bench.surroundings import write_page
from satori_bench.verb import Verb, Verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from harness.imports.foreign import ForeignLog, Tool
    from harness.imports.imported_run import Difference, Matched

_SCORING_PACKAGES = ("python", "satori-bench", "numpy", "pillow")


def _import_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add what all programs' logs are imported with."""
    for option in reversed(
        [
            click.argument("path", type=click.Path(path_type=Path)),
            click.option(
                "--task", "named", multiple=True, metavar="THEIRS=OURS",
                help="Which task here one of the log is, where its name does not say; may be repeated. OURS alone is "
                "the only one of the log.",
            ),
            click.option("--model", help="The model's name, where the log does not say it, or says a path."),
            click.option("--name", help="Name of the run; default: the model's."),
            data_option,
            dataset_option,
            plain_score_options,
            out_option,
            page_option,
            json_option,
        ]
    ):  # fmt: skip
        verb = option(verb)
    return verb


@click.group("import", cls=Verbs)
def import_log() -> None:
    """Make runs of other programs' logs, scored by our rules, with the program's own numbers beside."""


@import_log.command("lmms-eval", cls=Verb)
@_import_options
def import_lmms_eval(path: Path, **options: Any) -> int:
    """Import a log of lmms-eval: its <time>_results.json with the samples beside it, or the folder of both.

    Questions and gold come from the benchmark's data, as for `run`. What the log hides: docs/imports.md.
    """
    return _import("lmms-eval", path, **options)


@import_log.command("vlmevalkit", cls=Verb)
@_import_options
def import_vlmevalkit(path: Path, **options: Any) -> int:
    """Import results of VLMEvalKit: one <model>_<dataset>.xlsx, .tsv or .json, or the folder of an evaluation.

    Questions and gold are the table's own, or the benchmark's with --data-dir. What the table hides: docs/imports.md.
    """
    return _import("vlmevalkit", path, **options)


@import_log.command("inspect", cls=Verb)
@_import_options
def import_inspect(path: Path, **options: Any) -> int:
    """Import a log of Inspect: one .eval or .json, or the folder that it lies in.

    Questions and gold are the log's own, or the benchmark's with --data-dir. What the log hides: docs/imports.md.
    """
    return _import("inspect", path, **options)


def _import(
    tool: Tool,
    path: Path,
    *,
    named: tuple[str, ...],
    model: str | None,
    name: str | None,
    data_dir: Path | None,
    datasets: tuple[str, ...],
    out: Path,
    page: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Make a run of a log, and say what came of it."""
    from datetime import UTC, datetime

    from harness.imports.imported_run import Importing, save_imported_run
    from harness.runs.store import check_run_name
    from tasks.run_spec import package_versions, parse_dataset_overrides

    config = score_config(**how)
    name = check_run_name(name) if name is not None else None
    log = _read(tool, path, model)
    chosen = _chosen(named, log)
    overrides = parse_dataset_overrides(datasets)
    matched, refused = _matched(log, chosen, data_dir, overrides)
    for task, why in refused.items():
        say(f"not imported: {task}: {why}", sys.stderr)
    if not matched:
        raise ConfigError(f"nothing of {path} can be imported: the reasons stand above")
    for one in matched:
        _tell(one, log)
    # what asks a model here did not ask this one
    packages = {name: version for name, version in package_versions().items() if name in _SCORING_PACKAGES}
    wanted = Importing(config, packages, name)
    found = save_imported_run(out, log, matched, wanted, now=datetime.now(UTC))
    show_reasons(found.summary.tasks)
    if page:
        write_page(found.folder)
    show_scores(found.summary, title=str(path), as_json=as_json, run=found.folder, table_to_stdout=True)
    for difference in found.differences:
        say(_difference_text(difference, log), sys.stderr)
    warn(found.summary)
    return ExitCode.OK


def _read(tool: Tool, path: Path, model: str | None) -> ForeignLog:
    """Read the log; a name that a person gives stands for the log's."""
    from dataclasses import replace

    if not path.exists():
        raise ConfigError(f"{path} does not exist")
    if tool == "vlmevalkit":
        from harness.imports.vlmevalkit import read_vlmevalkit

        return read_vlmevalkit(path, model=model)
    if tool == "lmms-eval":
        from harness.imports.lmms_eval import read_lmms_eval as read
    else:
        from harness.imports.inspect_log import read_inspect as read
    log = read(path)
    return log if model is None else replace(log, model=model)


def _chosen(named: tuple[str, ...], log: ForeignLog) -> dict[str, str]:
    """Read `THEIRS=OURS`; ours alone stands for the only task of the log."""
    chosen: dict[str, str] = {}
    for text in named:
        theirs, equals, ours = text.rpartition("=")
        if not equals:
            if len(log.tasks) != 1:
                raise ConfigError(f"--task {text}: the log has {len(log.tasks)} tasks, so say THEIRS=OURS")
            theirs = log.tasks[0].name
        if theirs not in {task.name for task in log.tasks}:
            raise ConfigError(
                f"--task {text}: the log has no {theirs!r}; it has {', '.join(task.name for task in log.tasks)}"
            )
        chosen[theirs] = ours
    return chosen


def _matched(
    log: ForeignLog, chosen: Mapping[str, str], data_dir: Path | None, overrides: Mapping[str, Any]
) -> tuple[list[Matched], dict[str, str]]:
    """Return the tasks whose questions were found, and why the others cannot be imported."""
    from harness.imports.foreign import ForeignLogError
    from tasks.imported_samples import benchmark_named, match_task
    from tasks.local_data import open_task_data
    from tasks.rows import DataError

    matched: list[Matched] = []
    refused = dict(log.refused)
    for task in log.tasks:
        try:
            benchmark = benchmark_named(log.tool, task.name, chosen)
            needs_data = log.tool == "lmms-eval" or data_dir is not None or benchmark.name in overrides
            data = open_task_data(benchmark, data_dir, overrides.get(benchmark.name)) if needs_data else None
            matched.append(match_task(log.tool, task, benchmark, data))
        except (ForeignLogError, DataError) as fault:
            refused[task.name] = str(fault)
    return matched, refused


def _tell(one: Matched, log: ForeignLog) -> None:
    """Say what a task of the log is taken for, and what a reader of its numbers must know."""
    from harness.imports.foreign import TITLES
    from harness.task_facts import facts_of

    say(
        f"{one.foreign.name} of {TITLES[log.tool]} is {one.task} here: {one.held:,} of {one.rows:,} questions",
        sys.stderr,
    )
    if one.partial:
        why = "it holds more questions than there are" if one.held > one.rows else "not all of its questions were asked"
        say(f"warning: {one.task}: {why}, so the run is partial", sys.stderr)
    for note in (*one.foreign.notes, *one.notes):
        say(f"{one.task}: {note}", sys.stderr)
    is_without_gold = one.samples and not any(sample.answers for sample in one.samples.values())
    if is_without_gold and facts_of(one.task).submission is None:
        say(
            f"warning: {one.task}: the log has no right answer to any question, so nothing is scored: give the "
            "benchmark's data with --data-dir",
            sys.stderr,
        )
    failures: dict[str, int] = {}
    for answer in one.foreign.answers:
        why = answer.error if answer.place in one.samples else one.faults.get(answer.place)
        if why is not None:
            failures[why] = failures.get(why, 0) + 1
    if failures and one.foreign.theirs:
        say(f"{one.task}: {TITLES[log.tool]}'s own numbers may count as wrong what is null here", sys.stderr)
    for why, count in sorted(failures.items(), key=lambda item: -item[1])[:5]:
        say(f"warning: {one.task}: {count:,} answers are null: {why[:200]}", sys.stderr)


def _difference_text(found: Difference, log: ForeignLog) -> str:
    """Return one line: the program's number, ours, and ours by the program's rules."""
    from harness.imports.foreign import TITLES
    from harness.task_facts import POINT_MAXIMA

    scale, unit = (1.0, " points") if found.metric in POINT_MAXIMA else (100.0, " %")

    def shown(value: float | None) -> str:
        return "no number" if value is None else f"{value * scale:.2f}{unit}"

    told = [f"{TITLES[log.tool]}'s own {shown(found.theirs)}", f"here {shown(found.ours)}"]
    if found.ours is not None:
        told[-1] += f" ({(found.ours - found.theirs) * scale:+.2f})"
    if found.by_their_rules is not None:
        difference = (found.by_their_rules - found.theirs) * scale
        told.append(f"by its rules {shown(found.by_their_rules)} ({difference:+.2f})")
    return f"{found.task} {found.metric}: {', '.join(told)}"
