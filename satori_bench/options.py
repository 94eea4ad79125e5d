"""Options that several verbs share, and the values that they become."""

from __future__ import annotations

import re
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from harness.errors import ConfigError
from harness.vocabulary import BOX_FRAMES, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable

    from harness.values import ScoreConfig


class ProtocolName(click.Choice[str]):
    """A protocol by its short word; with a version it must be the one that is followed here."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the short word."""
        if not isinstance(value, str) or "@" not in value:
            return super().convert(value, param, ctx)
        from harness.scoring.protocols import protocol_named

        try:
            return protocol_named(value, self.choices)  # type: ignore[arg-type]  # as the option was declared
        except ConfigError as fault:
            self.fail(str(fault), param, ctx)


format_option = click.option(
    "--format", "form", default="satori", show_default=True, metavar="NAME|FILE.toml",
    help="Where a text holds answer, thought and boxes: satori, satori-think, satori-adaptive, freeform, plain, a "
    "published one (docs/formats.md), or your own.",
)  # fmt: skip


box_dialect_option = click.option(
    "--box-dialect", metavar="WORDS",
    help="How boxes are written: auto (as the checkpoint's family does), satori (the format's list alone, in pixels), "
    "a family such as qwen2_5_vl, or SYNTAX:ORDER:UNIT such as list:yxyx:1000.",
)  # fmt: skip


def score_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that decide how texts are scored."""
    return _with_score_options(verb, format_option)


def plain_score_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the same for texts that other programs asked for, with no words of ours around the question."""
    return _with_score_options(
        verb, click.option("--format", "form", default="plain", show_default=True, metavar="NAME|FILE.toml",
        help="Where a text holds answer, thought and boxes: as for `score`.")
    )  # fmt: skip


def _with_score_options(verb: Callable[..., Any], own_format_option: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(
        [
            click.option("--protocol", type=ProtocolName(PROTOCOLS), default="strict", show_default=True),
            own_format_option,
            box_dialect_option,
            click.option(
                "--box-frame", type=click.Choice(BOX_FRAMES), help="Short for the format's list in this frame."
            ),
            click.option("--min-pixels", type=click.IntRange(1), help="Least pixels of the model's input image."),
            click.option("--max-pixels", type=click.IntRange(1), help="Most pixels of the model's input image."),
        ]
    ):
        verb = option(verb)
    return verb


def prompt_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that decide the words around a question."""
    for option in reversed(
        [
            click.option(
                "--prompt", type=click.Choice(["ours", "paper"]), default="ours", show_default=True,
                help="Whose words ask for the stages; paper: those that SATORI's checkpoints were trained on.",
            ),
            click.option("--system-prompt", metavar="TEXT|FILE", help="In place of the system turn; '' leaves it out."),
            click.option("--prompt-suffix", metavar="TEXT|FILE", help="In place of what follows the question."),
        ]
    ):  # fmt: skip
        verb = option(verb)
    return verb


json_option = click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON object instead of a table.")


page_option = click.option(
    "--page/--no-page", default=True, show_default=True,
    help="Whether the run's page (index.html) is written once its scores are safe; `runs page` does it at any time.",
)  # fmt: skip


out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("runs"), show_default=True,
    help="Folder of run folders.",
)  # fmt: skip


def _folder_of_runs(ctx: click.Context, parameter: click.Parameter, out: Path) -> Path:
    """Refuse a given folder that is none: whoever meant the result by `--out` must hear of it."""
    given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
    if given and not out.is_dir():
        own = next((option for option in ctx.command.params if "--output" in option.opts), None)
        hint = "" if own is None else f"; the result goes to {own.opts[0]}"
        raise ConfigError(f"--out {out} is no folder of runs{hint}")
    return out


lookup_option = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    callback=_folder_of_runs,
    help="Folder in which runs are looked up by name.",
)  # fmt: skip


class Amount(click.FloatRange):
    """A finite number in a range; NaN would pass every bound, as it is neither below nor above one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a number."""
        found = super().convert(value, param, ctx)
        if not isfinite(found):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return found


class SampleCount(click.IntRange):
    """A number of samples, at least 1; whoever writes a share is told that none is taken."""

    def __init__(self) -> None:
        super().__init__(min=1)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read a whole number."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?\d+\s*", value):
                self.fail(f"{value!r} is no whole number: give a count such as 200, no share, or leave it out for all")
            raise


class ModelText(click.types.StringParamType):
    """A folder, which may hold blanks, or a hub id; a variable holds one a line, a configuration file may hold one."""

    one_is_enough = True

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split a variable at its line breaks."""
        return [line.strip() for line in rv.splitlines() if line.strip()]


class DatasetText(click.types.StringParamType):
    """The text `TASK=PATH[@REV]`; a variable may hold several, and blanks in paths."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split a variable at commas and line breaks that another `TASK=` follows."""
        return [text.strip() for text in re.split(r"[,\n](?=\s*[\w.+-]+=)", rv) if text.strip()]


dataset_option = click.option(
    "--dataset", "datasets", type=DatasetText(), multiple=True, metavar="TASK=PATH[@REV]",
    help="Other data for a task; may be repeated. In SATORI_BENCH_DATASET: several by commas.",
)  # fmt: skip


data_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder with local benchmark data (parquet or TSV)."
)


boxes_option = click.option(
    "--boxes", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE.jsonl",
    help="Gold boxes by task and sample id, for any task, in place of those of the data (docs/beside_scores.md).",
)  # fmt: skip


def score_config(
    protocol: str,
    form: str,
    box_dialect: str | None,
    box_frame: str | None,
    min_pixels: int | None,
    max_pixels: int | None,
) -> ScoreConfig:
    """Build the scoring configuration of verbs that run no model."""
    from harness.scoring.box_dialects import declared_dialect
    from harness.scoring.formats import check_protocol, format_dialect
    from harness.scoring.own_format import format_given
    from harness.values import SATORI_LIST, PixelLimits, ScoreConfig

    given = format_given(form)
    check_protocol(given, protocol)  # type: ignore[arg-type]  # click.Choice has checked it
    if (min_pixels is None) != (max_pixels is None):
        raise ConfigError("--min-pixels and --max-pixels go together: one without the other fixes no image size")
    limits = None
    if min_pixels is not None and max_pixels is not None:
        if min_pixels > max_pixels:
            raise ConfigError(f"--min-pixels {min_pixels} is greater than --max-pixels {max_pixels}")
        limits = PixelLimits(min_pixels, max_pixels)
    return ScoreConfig(
        protocol=protocol,  # type: ignore[arg-type]  # click.Choice has checked it
        format=given,
        box_dialect=declared_dialect(box_dialect, box_frame) or format_dialect(given) or SATORI_LIST,  # type: ignore[arg-type]  # as above
        pixel_limits=limits,
    )


seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Fixes all draws.")


markdown_option = click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write a job summary here (at most 60 kB)."
)


gpu_option = click.option(
    "--gpu-gib",
    type=Amount(0, min_open=True),
    help="Memory of a GPU that --dry-run plans for; default: the GPU here, or an 80 GB one.",
)
