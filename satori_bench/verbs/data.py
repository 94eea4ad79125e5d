"""`data`: training data, checked or built."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ConfigError, ExitCode
from harness.vocabulary import GOLD_FRAMES, GoldFrame
from reports.terminal.printing import say, say_json
from satori_bench.options import Amount, SampleCount, data_option, dataset_option, json_option
from satori_bench.showing import say_all
from satori_bench.verb import Verbs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.values import BoxDialect


@click.group(cls=Verbs)
def data() -> None:
    """Training data: say what is wrong with which row, or make the file that training reads."""


def _source_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the sources and the options that say how to read them."""
    for option in reversed(
        [
            click.argument("sources", metavar="SOURCE...", nargs=-1, required=True),
            click.option("--source-format", type=click.Choice(["shapes", "vqa-verify", "jsonl"]),
                         help="Default: shapes by its name, a file by its columns."),
            click.option("--limit", type=SampleCount(), help="At most N rows of each source (shapes: 4000)."),
            click.option("--images", type=click.Path(path_type=Path), help="Folder where image paths lead to."),
            click.option("--box-frame", type=click.Choice(GOLD_FRAMES),
                         help="What the boxes in the files are; input_px: pixels of the row's width x height. Default: "
                         "pixels of the image (image_px), and suspicious of anything else."),
            click.option("--box-dialect", metavar="WORDS", help="What they are otherwise: a family such as gemma4, or "
                         "list:ORDER:UNIT such as list:yxyx:1000; in place of --box-frame."),
            click.option("--profile", type=click.Choice(["tiny", "full"]), default="tiny", show_default=True,
                         help="Shapes: how large and how hard."),
            click.option("--kinds", help="Shapes: kinds of question, by commas; default: all."),
            click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Shapes: other rows."),
            click.option("--noise", type=Amount(0, 1), help="Shapes: share of labels to make wrong."),
            click.option("--oversight", type=Amount(0, 1),
                         help="Shapes: share of scenes in which labels overlook a thing."),
            click.option("--benchmarks", default="", help="Tasks whose images must not be there, by commas."),
            data_option,
            dataset_option,
            json_option,
        ]
    ):  # fmt: skip
        verb = option(verb)
    return verb


@data.command("verify")
@_source_options
@click.option("--rows", type=click.IntRange(0), default=5, show_default=True, help="Rows to name for each fault.")
def data_verify(as_json: bool, rows: int, **options: Any) -> int:
    """Check training data, file by file and row by row.

    SOURCE is `shapes`, a file or folder (parquet, JSON lines, JSON), or OWNER/NAME of a hub data set. Exits with 2 when
    rows cannot be used, or boxes seem to be in another frame.
    """
    from training.data.build import check_sources
    from training.data.check import check_lines

    specs, benchmarks = _data_sources(options)
    with _row_progress("rows checked") as on_row:
        check = check_sources(specs, benchmarks, named_rows=rows, on_row=on_row)
    if as_json:
        say_json(check.as_json(), sys.stdout)
    else:
        say_all(check_lines(check), sys.stdout)
    return ExitCode.USAGE if check.faulty or check.suspect else ExitCode.OK


@data.command("build")
@_source_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE.parquet")
@click.option("--drop-faulty", is_flag=True, help="Leave faulty rows out; otherwise any of them refuses the whole.")
@click.option("--drop-duplicates", is_flag=True, help="Leave out rows whose image and question came before.")
def data_build(as_json: bool, output: Path, drop_faulty: bool, drop_duplicates: bool, **options: Any) -> int:
    """Write the parquet file that training reads, from checked rows of any sources."""
    from dataclasses import asdict

    from training.data.build import FaultyDataError, build_examples
    from training.data.check import check_lines

    specs, benchmarks = _data_sources(options)
    try:
        with _row_progress("rows read") as on_row:
            built = build_examples(
                specs, output, benchmarks, drop_faulty=drop_faulty, drop_duplicates=drop_duplicates, on_row=on_row
            )
    except FaultyDataError as fault:
        say_all(check_lines(fault.check), sys.stderr)
        raise
    if as_json:
        facts = {"file": str(built.path), **asdict(built.facts)}
        say_json({**built.check.as_json(), "built": facts}, sys.stdout)
    else:
        say_all(check_lines(built.check), sys.stdout)
        say(f"{built.path}: {built.facts.rows} examples, data hash {built.facts.data_hash}", sys.stdout)
    return ExitCode.OK


def _data_sources(options: dict[str, Any]) -> tuple[list[Any], Any]:
    """Read the shared options of the data verbs: the sources, and the benchmark images to keep out."""
    from tasks.run_spec import parse_dataset_overrides
    from training.data.check import benchmark_images
    from training.data.shapes import LabelNoise
    from training.data.sources import ShapesSpec, SourceSpec

    share, oversight = options["noise"], options["oversight"]
    noise = None if share is None and oversight is None else LabelNoise(share or 0.0, oversight or 0.0)
    kinds = tuple(word.strip() for word in (options["kinds"] or "").split(",") if word.strip())
    shapes = ShapesSpec(options["profile"], options["seed"], noise, kinds)
    how = {name: options[name] for name in ("source_format", "limit", "images")}
    how["box_frame"] = _gold_declared(options["box_dialect"], options["box_frame"])
    specs = [SourceSpec(location, shapes=shapes, **how) for location in options["sources"]]
    if (noise or kinds) and not all(spec.is_shapes for spec in specs):
        raise ConfigError("--noise, --oversight and --kinds are for shapes only; build that source by itself")
    overrides = parse_dataset_overrides(options["datasets"])
    return specs, benchmark_images(options["benchmarks"], options["data_dir"], overrides)


def _gold_declared(words: str | None, frame: GoldFrame | None) -> GoldFrame | BoxDialect | None:
    """Return what a person said of the files' boxes."""
    from harness.scoring.box_dialects import declared_dialect, frame_of_dialect

    if words is None:
        return frame
    if frame is not None:
        raise ConfigError("--box-frame is short for --box-dialect: give one of them")
    found = declared_dialect(words, None)
    assert found is not None
    return frame_of_dialect(found) or found


@contextmanager
def _row_progress(unit: str) -> Iterator[Callable[[], object]]:
    """Count rows on stderr, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console, column = Console(stderr=True), TextColumn("{task.completed:.0f} {task.description}")
    with Progress(column, console=console, transient=True, disable=not console.is_terminal) as bar:
        counted = bar.add_task(unit, total=None)
        yield lambda: bar.advance(counted)
