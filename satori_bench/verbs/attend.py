"""`attend`: where a run's texts attended."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.errors import ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import SampleCount, dataset_option, json_option, lookup_option, page_option
from satori_bench.surroundings import quiet_libraries, run_environment
from satori_bench.verb import Verb


@click.command(cls=Verb)
@click.argument("run_name", metavar="RUN")
@click.option("--limit", type=SampleCount(), help="Look at so many samples, drawn by a hash of seed and id.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of draws and of shuffled boxes.")
@click.option(
    "--maps", type=click.IntRange(0), default=50, show_default=True, help="Samples whose map of cells is kept."
)
@click.option("--model", metavar="PATH", help="The run's checkpoint, where it lies elsewhere now.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The run's local data, where they lie elsewhere now.")
@dataset_option
@click.option("--device", help="auto, cpu, cuda or cuda:1; as in the run unless given.")
@page_option
@lookup_option
@json_option
@click.pass_context
def attend(
    ctx: click.Context,
    run_name: str,
    limit: int | None,
    seed: int,
    maps: int,
    model: str | None,
    data_dir: Path | None,
    datasets: tuple[str, ...],
    device: str | None,
    page: bool,
    out: Path,
    as_json: bool,
) -> int:
    """Read where the texts of a finished run attended: one forward each, over the tokens that it kept.

    Attention in the boxes that a text names, in the gold boxes, in those of other samples and on other objects, as a
    density: 1 is what even attention gives. It is correlation, not cause: `probe` asks what the regions do to answers.
    Qwen2-VL, Qwen2.5-VL, Qwen3-VL and LLaVA-1.5 checkpoints; see docs/attention.md.
    """
    quiet_libraries(debug=ctx.obj["debug"])
    from harness.models.interruption import Interruption
    from harness.runs.lookup import find_run
    from reports.terminal.attention_table import show_attention
    from reports.terminal.progress import RunProgress
    from tasks.attend import AttendSpec, attend_run
    from tasks.run_spec import parse_dataset_overrides

    given = {
        "model": model,
        "data_dir": data_dir,
        "datasets": parse_dataset_overrides(datasets) or None,
        "device": device,
    }
    changes = tuple((name, value) for name, value in given.items() if value is not None)
    with Interruption() as interruption, RunProgress(sys.stderr) as progress:
        environment = run_environment(progress, interruption, page=page)
        found = attend_run(AttendSpec(find_run(run_name, out), limit, seed, maps, changes), environment)
        if environment.write_page is not None:
            environment.write_page(found.folder)
    if as_json:
        import msgspec

        say_json({"run": str(found.folder), "tasks": msgspec.to_builtins(found.summary)}, sys.stdout)
    else:
        show_attention(found.summary, sys.stdout)
        say(f"{found.folder}", sys.stderr)
    return ExitCode.OK
