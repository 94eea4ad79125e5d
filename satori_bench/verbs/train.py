"""`train`: the next checkpoint."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.errors import ExitCode
from reports.terminal.printing import say, say_json, say_paragraphs
from satori_bench.options import gpu_option, json_option
from satori_bench.showing import say_all
from satori_bench.surroundings import TRAIN_PARTS, quiet_libraries, train_environment
from satori_bench.verb import Verbs

_PROFILE_NAMES = ["cpu-tiny", "single-gpu", "multi-gpu", "zero3", "fsdp2", "vllm-colocate", "vllm-server"]


@click.group(cls=Verbs)
def train() -> None:
    """Make the next checkpoint: a cold start (sft), then reinforcement learning with the scorer's rewards (grpo)."""


@train.command("sft")
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML of the stage's settings.")
@click.option("--profile", type=click.Choice(_PROFILE_NAMES), help="Machine; in place of the file's.")
@click.option("--dry-run", is_flag=True, help="Print the launch command, algebra, memory and arguments; write nothing.")
@gpu_option
@json_option
@click.pass_context
def train_sft(ctx: click.Context, **options: Any) -> int:
    """Teach a checkpoint to write the stages (TRL's SFT)."""
    return _train(ctx, "sft", **options)


@train.command("grpo")
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML of the stage's settings.")
@click.option("--profile", type=click.Choice(_PROFILE_NAMES), help="Machine; in place of the file's.")
@click.option("--dry-run", is_flag=True, help="Print the launch command, algebra, memory and arguments; write nothing.")
@gpu_option
@json_option
@click.pass_context
def train_grpo(ctx: click.Context, **options: Any) -> int:
    """Train a checkpoint with GRPO, rewarded by the benchmarks' own scorer."""
    return _train(ctx, "grpo", **options)


def _train(
    ctx: click.Context,
    stage: str,
    *,
    file: Path,
    profile: str | None,
    dry_run: bool,
    gpu_gib: float | None,
    as_json: bool,
) -> int:
    """Read the settings, then plan, launch or train."""
    from harness.installation import require_imports
    from training.stages.settings import merge_tables, read_toml, train_settings

    table = merge_tables(read_toml(file), {"profile": profile} if profile else {})
    settings = train_settings(stage, table, where=str(file))  # type: ignore[arg-type]  # sft or grpo
    quiet_libraries(debug=ctx.obj["debug"])
    require_imports(TRAIN_PARTS, "train")
    from training.stages.launch import is_launched, launch, plan_launch, write_launch_file
    from training.stages.machine import check_machine, this_machine
    from training.stages.profiles import PROFILES

    machine = this_machine(gpu_gib)
    if dry_run:
        _show_launch(plan_launch(settings, file, machine), as_json=as_json)
        return ExitCode.OK
    from training.stages.train import check_inputs, process_rank
    from training.stages.train import train as train_stage

    if not is_launched():
        check_machine(settings, machine)
        check_inputs(settings)
        plan = plan_launch(settings, file, machine)
        if plan.memory.fits is False:
            say_all(["warning: the memory may not do.", *plan.memory.lines], sys.stderr)
        if PROFILES[settings.profile].launch is not None:
            write_launch_file(plan, settings)
            return launch(plan)
    from reports.terminal.progress import RunProgress

    if process_rank() > 0:  # the first of several processes speaks for all
        train_stage(settings, train_environment(None))
        return ExitCode.OK
    with RunProgress(sys.stderr) as progress:
        trained = train_stage(settings, train_environment(progress))
    facts = {"checkpoint": str(trained.folder), "steps": trained.manifest.steps, "reused": trained.reused}
    if as_json:
        say_json({"schema": 1, **facts}, sys.stdout, indent=None)
    else:
        say(f"checkpoint: {trained.folder}", sys.stdout)
    return ExitCode.OK


def _show_launch(plan: Any, *, as_json: bool) -> None:
    """Print what would be started."""
    import json
    import shlex

    if as_json:
        say_json(plan.to_json(), sys.stdout)
        return
    variables = [f"{name}={value}" for name, value in plan.environment.items()]
    say(" ".join([*variables, shlex.join(plan.command)]), sys.stdout)
    for line in (*plan.algebra, *plan.memory.lines, *plan.notes):
        say(line, sys.stdout)
    for title, table in (("accelerate", plan.accelerate), ("TRL", plan.arguments)):
        if table is not None:
            say_paragraphs(f"{title}: {json.dumps(dict(table), indent=2, sort_keys=True)}", sys.stdout)
