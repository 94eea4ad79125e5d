"""`probe`: whether the regions that a run's texts name matter to its answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from harness.errors import ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import SampleCount, dataset_option, json_option, lookup_option, page_option
from satori_bench.surroundings import quiet_libraries, run_environment
from satori_bench.verb import Verb
from satori_bench.verbs.run import KEY_VARIABLES

FILLS = ("mean", "ring")
OPERATIONS = ("remove", "keep", "turn", "paste")


class _Words(click.Choice[str]):
    """Several of the choices by commas, each once."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return them as one text by commas."""
        words = dict.fromkeys(word.strip() for word in str(value).split(",") if word.strip())
        if not words or not words.keys() <= set(self.choices):
            self.fail(f"{value!r}: give {', '.join(self.choices)}, one or more by commas", param, ctx)
        return ",".join(words)


@click.command("probe", cls=Verb)
@click.argument("run_name", metavar="RUN")
@click.option(
    "--fill", "fills", type=_Words(FILLS), default=",".join(FILLS), show_default=True, metavar="A,B",
    help="Colours that stand in for what is gone, by commas: mean (of the picture), ring (around).",
)  # fmt: skip
@click.option("--k", "controls", type=click.IntRange(1, 50), default=3, show_default=True, help="Random regions each.")
@click.option(
    "--ops", "operations", type=_Words(OPERATIONS), default="remove,keep", show_default=True, metavar="A,B",
    help="By commas: remove (necessity), keep (sufficiency); where a question is about it: turn (colours), paste "
    "(another region over it).",
)  # fmt: skip
@click.option(
    "--score", type=click.Choice(["p", "same"]), help="same: answers alone; default: probabilities too where there are."
)
@click.option(
    "--contrast", type=click.Choice(["objects", "none"]), default="objects", show_default=True,
    help="Whether objects that a question does not ask about are removed too, where they are known.",
)  # fmt: skip
@click.option("--gold", is_flag=True, help="Probe the gold boxes too, where there are any.")
@click.option(
    "--steps", is_flag=True, help="Remove what each step of a thought looked at too, where a format has steps."
)
@click.option("--limit", type=SampleCount(), help="Probe so many samples, drawn by a hash of seed and id.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the draw and of random regions.")
@click.option("--model", metavar="PATH", help="The run's checkpoint, where it lies elsewhere now.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="The run's local data, where they lie elsewhere now.")
@dataset_option
@click.option(
    "--backend", type=click.Choice(["hf", "vllm", "openai"]),
    help="What asks the model, if not what the run was made by; openai needs --base-url.",
)  # fmt: skip
@click.option("--device", help="auto, cpu, cuda or cuda:1; as in the run unless given.")
@click.option("--batch-size", help="Samples at once, or auto; as in the run unless given.")
@click.option("--base-url", help="The server's address, where it is another now.")
@click.option("--served-name", help="What the server calls the model, likewise.")
@click.option("--api-key", envvar=["SATORI_BENCH_API_KEY", "OPENAI_API_KEY"], help="Its key.", show_default=False)
@page_option
@lookup_option
@json_option
@click.pass_context
def probe(
    ctx: click.Context,
    run_name: str,
    fills: str,
    controls: int,
    operations: str,
    score: Any,
    contrast: Any,
    gold: bool,
    steps: bool,
    limit: int | None,
    seed: int,
    page: bool,
    out: Path,
    as_json: bool,
    api_key: str | None,
    datasets: tuple[str, ...],
    **changed: object,
) -> int:
    """Ask a finished run's questions again with the region that each answer named removed, or alone.

    Beside each region, random ones of the same shape are removed and kept: what any patch does is not the region's.
    Three numbers come of it: necessity, sufficiency and image dependence; see docs/probes.md. A probe that was killed
    goes on where it was. Any backend; probabilities by hf and vllm.
    """
    quiet_libraries(debug=ctx.obj["debug"])
    from dataclasses import replace

    from harness.models.interruption import Interruption
    from harness.probes.variants import ProbePlan
    from harness.runs.lookup import find_run
    from reports.terminal.necessity_table import show_probes
    from reports.terminal.progress import RunProgress
    from tasks.probe import ProbeSpec, probe_run
    from tasks.run_spec import parse_dataset_overrides

    named: Any = (fills.split(","), operations.split(","))  # click has checked each
    plan = ProbePlan(tuple(named[0]), controls, tuple(named[1]), gold, seed, steps)
    changed["datasets"] = parse_dataset_overrides(datasets) or None
    changes = tuple((name, value) for name, value in changed.items() if value is not None)
    spec = ProbeSpec(find_run(run_name, out), plan, contrast, score, limit, changes)
    with Interruption() as interruption, RunProgress(sys.stderr) as progress:
        environment = run_environment(progress, interruption, page=page)
        keys = tuple(key for key in (api_key, *map(os.environ.get, KEY_VARIABLES)) if key)
        environment = replace(environment, api_key=api_key or environment.api_key, secrets=keys)
        found = probe_run(spec, environment)
        if environment.write_page is not None:
            environment.write_page(found.folder)
    if as_json:
        import msgspec

        say_json({"run": str(found.folder), "tasks": msgspec.to_builtins(found.summary)}, sys.stdout)
    else:
        show_probes(found.summary, sys.stdout)
        say(f"{found.folder}", sys.stderr)
    return ExitCode.OK
