"""`compare`, `gate` and `noise`: runs beside each other."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import ConfigError, ExitCode
from harness.garbage import rare_collections
from reports.terminal.printing import say, say_commands, say_json
from satori_bench.options import json_option, lookup_option, markdown_option, seed_option
from satori_bench.showing import say_how_to_view, show_comparison, write_file
from satori_bench.verb import Verb

if TYPE_CHECKING:
    from harness.gate.verdict import Verdict


@click.command(cls=Verb)
@click.argument("runs", nargs=-1, required=True, metavar="A B [C...]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the page here.")
@click.option("--bundle", is_flag=True, help="Make -o a folder with every text and picture beside the page.")
@click.option("--images/--no-images", default=True, show_default=True, help="Whether thumbnails go with the page.")
@markdown_option
@lookup_option
@seed_option
@click.option(
    "--on-shared", is_flag=True, help="Subtract on the samples that both have alike, leave out others; no verdict."
)
@json_option
@rare_collections()
def compare(
    runs: tuple[str, ...],
    out: Path,
    output: Path | None,
    bundle: bool,
    images: bool,
    markdown: Path | None,
    seed: int,
    on_shared: bool,
    as_json: bool,
) -> int:
    """Compare runs sample by sample: the first with each other one.

    RUN@PROTOCOL takes a run's later scores (see rescore). Several seeds of one model become one side. Where samples
    are missing or not the same in both, nothing is subtracted unless --on-shared says so. Exits 5 when nothing of a
    pair can be compared.
    """
    from harness.comparison.compare import compare_runs, open_sides

    if bundle and output is None:
        raise ConfigError("--bundle says how the page is written: it needs -o FOLDER")
    comparison = compare_runs(open_sides(runs, out), seed=seed, on_shared=on_shared)
    if output is not None:
        from reports.pages.comparison_page import PageOptions, write_comparison_page

        page = write_comparison_page(comparison, output, PageOptions(pictures=images, bundle=bundle))
        say(f"page: {page}", sys.stderr)
        say_how_to_view(output)
    if markdown is not None:
        from reports.texts.markdown import comparison_markdown

        write_file(markdown, comparison_markdown(comparison).encode("utf-8"))
    if as_json:
        from harness.comparison.to_json import comparison_to_json

        say_json(comparison_to_json(comparison), sys.stdout)
    else:
        show_comparison(comparison)
    compared = all(any(one.is_compared for one in pair.benchmarks) for pair in comparison.pairs)
    return ExitCode.OK if compared else ExitCode.INCOMPLETE


@click.command(cls=Verb)
@click.argument("candidate")
@click.option("--baseline", required=True, metavar="RUN", help="The run to hold it to.")
@click.option("--policy", "policy_file", type=click.Path(dir_okay=False, path_type=Path), help="gate.toml.")
@click.option("--noise", type=click.Path(dir_okay=False, path_type=Path), help="Output of noise --json.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML here.")
@markdown_option
@click.option("--output-format", type=click.Choice(["text", "github"]), default="text", show_default=True)
@click.option("--exit-zero", is_flag=True, help="Report only: leave with 0 whatever the verdict.")
@lookup_option
@seed_option
@json_option
def gate(
    candidate: str,
    baseline: str,
    out: Path,
    policy_file: Path | None,
    noise: Path | None,
    junit: Path | None,
    markdown: Path | None,
    output_format: str,
    exit_zero: bool,
    seed: int,
    as_json: bool,
) -> int:
    """Judge a candidate against a baseline.

    Exit codes: 0 pass, 3 regression, 4 inconclusive (only if the policy says fail), 5 incomplete or incomparable runs.
    """
    from harness.comparison.compare import compare_runs, open_sides
    from harness.gate.policy import read_policy
    from harness.gate.verdict import judge

    policy = read_policy(policy_file, noise)
    comparison = compare_runs(open_sides([baseline, candidate], out), seed=seed)
    verdict = judge(comparison, policy)
    if junit is not None:
        from reports.texts.junit import verdict_junit

        write_file(junit, verdict_junit(verdict))
    if markdown is not None:
        from reports.texts.markdown import verdict_markdown

        write_file(markdown, verdict_markdown(verdict, comparison).encode("utf-8"))
    if as_json:
        from harness.gate.verdict import verdict_to_json

        say_json(verdict_to_json(verdict), sys.stdout)
    elif output_format == "github":
        from reports.texts.github import verdict_annotations

        say_commands(verdict_annotations(verdict), sys.stdout)
    else:
        _show_verdict(verdict)
    return ExitCode.OK if exit_zero else verdict.exit_code


def _show_verdict(verdict: Verdict) -> None:
    """Print the verdict first, then the table."""
    from reports.terminal.tables import write, write_line
    from reports.terminal.verdict_tables import verdict_table
    from reports.texts.verdict_text import verdict_lines

    first, *others = verdict_lines(verdict)
    write_line(first, sys.stdout)
    write(verdict_table(verdict), sys.stdout)
    for line in others:
        write_line(line, sys.stdout)


@click.command(cls=Verb)
@click.argument("run_a")
@click.argument("run_a2")
@lookup_option
@seed_option
@json_option
def noise(run_a: str, run_a2: str, out: Path, seed: int, as_json: bool) -> int:
    """Measure how much one checkpoint's answers move between two runs: the floor of a gate's tolerance."""
    from harness.comparison.compare import compare_runs, open_sides
    from harness.gate.noise import measure_noise, noise_to_json
    from reports.terminal.tables import write, write_line
    from reports.terminal.verdict_tables import noise_table

    comparison = compare_runs(open_sides([run_a, run_a2], out), seed=seed, on_shared=True)
    found = measure_noise(comparison)
    if as_json:
        say_json(noise_to_json(comparison, found), sys.stdout)
    else:
        write(noise_table(found.tasks), sys.stdout)
        for note in found.notes:
            write_line(f"note: {note}", sys.stdout)
    return ExitCode.OK
