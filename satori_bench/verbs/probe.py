"""`variance-probe`: how noisy a checkpoint's policy gradient is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.errors import ExitCode
from harness.vocabulary import BOX_FRAMES, STAGE_FORMATS
from reports.terminal.printing import say, say_json
from satori_bench.options import ProtocolName, json_option
from satori_bench.surroundings import TRAIN_PARTS, quiet_libraries
from satori_bench.verb import Verb


@click.command("variance-probe", cls=Verb)
@click.argument("checkpoint")
@click.option(
    "--data", default="shapes:tiny", show_default=True, help="Training examples (parquet), or shapes:tiny, shapes:full."
)
@click.option("--prompts", type=int, default=250, show_default=True, help="Prompts, all with different images.")
@click.option("--generations", type=int, default=8, show_default=True, help="Completions a prompt.")
@click.option("--temperature", type=float, default=1.0, show_default=True)
@click.option("--max-new-tokens", type=int, default=512, show_default=True)
@click.option(
    "--reward-sets", default="", help="By commas, such as answer,answer+bbox,all; default: all that the format has."
)
@click.option("--scale-rewards", type=click.Choice(["group", "none"]), default="group", show_default=True)
@click.option("--loss-type", type=click.Choice(["grpo", "dapo"]), default="grpo", show_default=True)
@click.option("--protocol", type=ProtocolName(["strict", "paper"]), default="strict", show_default=True)
@click.option("--format", "form", type=click.Choice(STAGE_FORMATS), default="satori", show_default=True)
@click.option("--box-frame", type=click.Choice(BOX_FRAMES), help="Default: the model family's.")
@click.option("--min-pixels", type=click.IntRange(1), help="Least pixels of the model's input image.")
@click.option("--max-pixels", type=click.IntRange(1), help="Most pixels of the model's input image.")
@click.option("--coordinates", type=int, default=20_000, show_default=True, help="Gradient coordinates that are kept.")
@click.option("--resamples", type=int, default=2_000, show_default=True, help="Bootstrap draws.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--batch-size", default="auto", show_default=True, help="Completions that are sampled at once.")
@click.option("--device", default="auto", show_default=True)
@click.option("--dtype", default="auto", show_default=True)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder for probe.json and rollouts.jsonl."
)
@json_option
@click.pass_context
def variance_probe(ctx: click.Context, as_json: bool, reward_sets: str, **options: Any) -> int:
    """Measure a checkpoint's policy-gradient noise under different rewards, on the same frozen rollouts."""
    quiet_libraries(debug=ctx.obj["debug"])

    from harness.installation import require_imports
    from reports.terminal.probe_table import probe_lines, probe_table
    from reports.terminal.progress import RunProgress
    from reports.terminal.tables import write
    from tasks.run_spec import package_versions

    require_imports(TRAIN_PARTS, "variance-probe")
    from training.probe.probe import probe_to_json, run_probe
    from training.probe.spec import ProbeSpec

    sets = tuple(name.strip() for name in reward_sets.split(",") if name.strip())
    spec = ProbeSpec(**options, reward_sets=sets)
    with RunProgress(sys.stderr) as progress:
        probe = run_probe(spec, packages=package_versions(), listener=progress)
    found = probe_to_json(probe)
    for warning in probe.warnings:
        say(f"warning: {warning}", sys.stderr)
    if as_json:
        say_json(found, sys.stdout)
        return ExitCode.OK
    write(probe_table(found), sys.stdout)
    for line in probe_lines(found):
        say(line, sys.stdout)
    return ExitCode.OK
