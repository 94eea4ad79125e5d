"""`tasks` and `doctor`: what can be asked, and whether it would work here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ConfigError, ExitCode
from reports.terminal.printing import say, say_json, say_paragraphs
from satori_bench.options import (
    SampleCount,
    data_option,
    dataset_option,
    format_option,
    json_option,
    out_option,
    prompt_options,
)
from satori_bench.surroundings import TRAIN_PARTS, quiet_libraries
from satori_bench.verb import Verb, Verbs

if TYPE_CHECKING:
    from tasks.run_spec import RunSpec


@click.group(cls=Verbs)
def tasks() -> None:
    """Benchmarks: list them, show one, check local data."""


@tasks.command("list")
@json_option
def tasks_list(as_json: bool) -> int:
    """List tasks and groups."""
    from reports.terminal.tables import write_line
    from tasks.catalog import BENCHMARKS, GROUP_NOTES, GROUPS

    if as_json:
        found = {name: {"title": item.title, "headline": item.headline} for name, item in BENCHMARKS.items()}
        say_json({"schema": 1, "tasks": found, "groups": dict(GROUPS)}, sys.stdout)
        return ExitCode.OK
    width = max(len(name) for name in [*BENCHMARKS, *GROUPS])
    for name, item in BENCHMARKS.items():
        write_line(f"{name:<{width}}  {item.title}  ({item.headline})", sys.stdout)
    for name, members in GROUPS.items():
        write_line(f"{name:<{width}}  group: {', '.join(members)} ({GROUP_NOTES[name]})", sys.stdout)
    return ExitCode.OK


@tasks.command("show")
@click.argument("name")
@click.pass_context
def tasks_show(ctx: click.Context, name: str) -> int:
    """Show one task: where its rows come from, what it needs, how it is scored."""
    from tasks.catalog import resolve_tasks

    quiet_libraries(debug=ctx.obj["debug"])
    for item in resolve_tasks(name):
        say(f"{item.name}: {item.title}", sys.stdout)
        place = f"{item.hub_path} ({item.hub_config or 'default'}, split {item.hub_split})"
        if not item.hub_path:
            place = "embedded" if item.own is None else str(item.own.data_file)
        facts = {
            "data": place,
            "columns": ", ".join(item.hub_columns),
            "TSV files": ", ".join(item.tsv_files) or "none",
            "TSV columns": ", ".join(item.tsv_columns) or "none",
            "rows": str(item.rows_expected or "not known"),
            "answers": item.answer_rule,
            "headline": item.headline,
            "token budget": str(item.max_new_tokens or "as lmms-eval gives it"),
            "lmms-eval task": item.yaml_name,
            "YAML": str(item.yaml_path),
            "licence": item.licence,
            "notes": item.notes,
        }
        for key, value in facts.items():
            if value:
                say(f"  {key:<15} {value}", sys.stdout)
    return ExitCode.OK


@tasks.command("path")
def tasks_path() -> int:
    """Print the folder of the tasks' YAML files, for the --include_path of plain lmms-eval."""
    from tasks.benchmark import TASKS_DIR

    say(str(TASKS_DIR), sys.stdout)
    return ExitCode.OK


@tasks.command("prompt")
@click.argument("name", metavar="TASK")
@click.option("--row", metavar="ID", help="Sample id; default: the first row.")
@format_option
@prompt_options
@data_option
@dataset_option
@json_option
@click.pass_context
def tasks_prompt(ctx: click.Context, name: str, row: str | None, as_json: bool, **options: Any) -> int:
    """Print what a model is sent for one sample, turn by turn; its chat template is still to come."""
    from harness.scoring.own_format import format_given
    from tasks.ask import AskSpec, asked_turns
    from tasks.prompts import given_words, wording
    from tasks.run_spec import parse_dataset_overrides

    quiet_libraries(debug=ctx.obj["debug"])
    words = wording(
        format_given(options["form"]),
        options["prompt"],
        system=given_words(options["system_prompt"], "--system-prompt"),
        suffix=given_words(options["prompt_suffix"], "--prompt-suffix"),
    )
    turns = asked_turns(AskSpec(name, row, words, options["data_dir"], parse_dataset_overrides(options["datasets"])))
    if as_json:
        say_json({"schema": 1, **turns}, sys.stdout)
        return ExitCode.OK
    say(f"{turns['task']} {turns['id']}", sys.stderr)
    for turn in turns["turns"]:
        say(f"[{turn['role']}]", sys.stdout)
        say_paragraphs(turn["text"], sys.stdout)
    return ExitCode.OK


@tasks.command("verify")
@click.argument("names", default="core")
@data_option
@dataset_option
@click.option("--all-images", is_flag=True, help="Decode every image, not a sample of them.")
@json_option
@click.pass_context
def tasks_verify(
    ctx: click.Context,
    names: str,
    data_dir: Path | None,
    datasets: tuple[str, ...],
    all_images: bool,
    as_json: bool,
) -> int:
    """Check the data of tasks: columns, counts, images, pairs; say what is missing."""
    from dataclasses import asdict

    from tasks.catalog import resolve_tasks
    from tasks.run_spec import parse_dataset_overrides
    from tasks.verify import verify_task_data

    quiet_libraries(debug=ctx.obj["debug"])
    overrides = parse_dataset_overrides(datasets)
    images = {"images": None} if all_images else {}
    reports = [verify_task_data(item, data_dir, overrides.get(item.name), **images) for item in resolve_tasks(names)]
    if as_json:
        say_json({"schema": 1, "tasks": [asdict(report) for report in reports]}, sys.stdout)
    else:
        for report in reports:
            expected = "" if report.rows_expected in (None, report.rows) else f" of {report.rows_expected}"
            state = "ok" if report.ok else "NOT OK"
            say(f"{report.task}: {state}, {report.rows}{expected} rows, {report.source or 'no data'}", sys.stdout)
            for text in report.faults:
                say(f"  fault: {text}", sys.stdout)
            for text in report.warnings:
                say(f"  warning: {text}", sys.stdout)
    return ExitCode.OK if all(report.ok for report in reports) else ExitCode.USAGE


@click.command(cls=Verb)
@click.option("--tasks", "names", default="core", show_default=True, help="Whose data to look for.")
@data_option
@out_option
@click.option("--judge", help="Also check what a judge needs.")
@click.option("--judge-key", envvar=["SATORI_BENCH_JUDGE_KEY", "OPENAI_API_KEY"], show_default=False)
@click.option("--judge-url")
@click.option(
    "--compare-backends",
    "compared",
    type=SampleCount(),
    metavar="N",
    help="Instead: ask about N samples of --tasks on two backends, hf and vllm, or hf and the server at --base-url.",
)
@click.option("--model", help="The checkpoint folder for it.")
@click.option("--base-url", help="The server that serves it.")
@click.option("--served-name", help="What that server calls it.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Token budget of an answer there.")
@json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    names: str,
    data_dir: Path | None,
    out: Path,
    judge: str | None,
    judge_key: str | None,
    judge_url: str | None,
    compared: int | None,
    model: str | None,
    base_url: str | None,
    served_name: str | None,
    max_new_tokens: int | None,
    as_json: bool,
) -> int:
    """Check imports, versions, device, disk and data before a run. Exits with 2 where `run` would fail.

    With --compare-backends it exits with 5 where two backends are not asked alike, or score otherwise beyond the noise.
    """
    quiet_libraries(debug=ctx.obj["debug"])
    if compared is not None:
        if model is None:
            raise ConfigError("--compare-backends needs --model, the checkpoint's folder")
        from tasks.run_spec import RunSpec

        spec = RunSpec(
            model=model,
            tasks=names,
            base_url=base_url,
            served_name=served_name,
            limit=compared,
            data_dir=data_dir,
            max_new_tokens=max_new_tokens,
        )
        return _compare_backends(spec, as_json=as_json)
    if model is not None or base_url is not None or served_name is not None or max_new_tokens is not None:
        raise ConfigError("--model, --base-url, --served-name and --max-new-tokens belong to --compare-backends N")
    from dataclasses import asdict

    from tasks.doctor import DoctorSpec, diagnose

    found = diagnose(DoctorSpec(names, data_dir, out, judge, bool(judge_key or judge_url), TRAIN_PARTS))
    if as_json:
        say_json({"schema": 1, "checks": [asdict(check) for check in found]}, sys.stdout)
    else:
        for check in found:
            say(f"{check.state:<5} {check.name}: {check.found}", sys.stdout)
            if check.mend:
                say(f"      mend: {check.mend}", sys.stdout)
    return ExitCode.USAGE if any(check.state == "fail" for check in found) else ExitCode.OK


def _compare_backends(spec: RunSpec, *, as_json: bool) -> int:
    """Ask by two backends, show where they agree, and return the exit code."""
    from dataclasses import asdict

    from harness.models.interruption import Interruption
    from reports.terminal.backends import backend_lines, backend_table
    from reports.terminal.progress import RunProgress
    from reports.terminal.tables import write, write_line
    from satori_bench.surroundings import run_environment
    from tasks.backends import compare_backends

    backends = ("hf", "vllm" if spec.base_url is None else "openai")
    with Interruption() as interruption, RunProgress(sys.stderr) as progress:
        found = compare_backends(spec, backends, run_environment(progress, interruption, page=False))
    alike = found.asks_alike and found.scores_alike
    if as_json:
        say_json({"schema": 1, **asdict(found), "alike": alike}, sys.stdout)
    else:
        write(backend_table(found), sys.stdout)
        for line in backend_lines(found):
            write_line(line, sys.stdout)
    return ExitCode.OK if alike else ExitCode.INCOMPLETE
