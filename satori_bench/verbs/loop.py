"""`loop` and `demo`: benchmark, train, benchmark again, compare."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import gpu_option, json_option
from satori_bench.showing import say_all, say_how_to_view, show_comparison
from satori_bench.surroundings import quiet_libraries, require_loop_imports, run_environment, train_environment
from satori_bench.verb import Verb

if TYPE_CHECKING:
    from training.loop.comparison import LoopComparison


@click.command(cls=Verb)
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML of the loop.")
@click.option("--dry-run", is_flag=True, help="Print each step with its algebra and memory; write nothing.")
@gpu_option
@json_option
@click.pass_context
def loop(ctx: click.Context, file: Path, dry_run: bool, gpu_gib: float | None, as_json: bool) -> int:
    """Benchmark, train, benchmark again, compare: every step resumable, arms side by side."""
    from training.loop.settings import read_loop

    settings = read_loop(file)
    quiet_libraries(debug=ctx.obj["debug"])
    require_loop_imports("loop")
    if dry_run:
        _show_outlook(settings, gpu_gib, as_json=as_json)
        return ExitCode.OK
    return _run_loop(settings, as_json=as_json)


def _show_outlook(settings: Any, gpu_gib: float | None, *, as_json: bool) -> None:
    """Print what a loop would do."""
    from training.loop.dry_run import outlook
    from training.stages.machine import this_machine

    found = outlook(settings, this_machine(gpu_gib))
    if as_json:
        say_json(found.to_json(), sys.stdout)
        return
    for heading, *facts in found.steps:
        say_all([heading, *(f"    {fact}" for fact in facts)], sys.stdout)
    for note in found.notes:
        say(note, sys.stdout)


def _run_loop(settings: Any, *, as_json: bool) -> int:
    """Run a loop and print its comparison."""
    import json
    from dataclasses import replace

    from harness.models.interruption import Interruption
    from reports.terminal.progress import RunProgress
    from training.loop.loop import LoopEnvironment, run_loop
    from training.loop.plan import DataPaths, plan_loop, stages_of
    from training.stages.machine import check_machine, this_machine

    machine = this_machine()
    for stage in stages_of(plan_loop(settings, DataPaths(settings.data.sft, settings.data.grpo))):
        check_machine(stage, machine)
    said: set[str] = set()

    with Interruption() as interruption, RunProgress(sys.stderr) as progress:

        def say_once(text: str) -> None:
            """Say what was decided about a checkpoint once, not at each of its benchmarks."""
            if text not in said:
                progress.say(text)
            said.add(text)

        asking = replace(run_environment(progress, interruption), say=say_once)
        environment = LoopEnvironment(train_environment(progress), asking, progress, _write_loop_report)
        result = run_loop(settings, environment)
    if as_json:
        say_json(json.loads(result.comparison.to_bytes()), sys.stdout, indent=1)
        return ExitCode.OK
    for decoding, comparison in result.comparison.by_decoding.items():
        say(f"asked {decoding}:", sys.stdout)
        show_comparison(comparison)
    say(f"loop: {result.folder} (page: {result.folder / 'index.html'})", sys.stdout)
    say_how_to_view(result.folder)
    return ExitCode.OK


def _write_loop_report(comparison: LoopComparison, folder: Path) -> None:
    """Write a loop's comparison for people into its folder: Markdown, and a page per way of asking."""
    from reports.pages.loop_report import write_loop_report
    from training.loop.learning import learning_markdown

    write_loop_report(comparison.name, comparison.by_decoding, learning_markdown(comparison.learning), folder)


@click.command(cls=Verb)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("satori-bench-demo"), show_default=True
)
@click.option(
    "--arms",
    type=click.Choice(["satori", "all"]),
    default="satori",
    show_default=True,
    help="all: also the free-form baseline and the answer-only ablation, with the same budget.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the model, its data and training."
)
@json_option
@click.pass_context
def demo(ctx: click.Context, out: Path, arms: str, seed: int, as_json: bool) -> int:
    """Run the whole loop on a CPU with no network: a tiny Qwen2.5-VL learns Shapes and is compared with itself.

    Everything is made on the spot: the model from its configuration, its tokenizer, the images and questions.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    quiet_libraries(debug=ctx.obj["debug"])
    require_loop_imports("demo")
    from training.loop.demo import demo_loop

    return _run_loop(demo_loop(out, arms=arms, seed=seed), as_json=as_json)
