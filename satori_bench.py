"""The `satori-bench` command: one function per verb, lazy imports, exit codes.

This is the only file that knows all four folders. A verb reads its options into a frozen configuration, calls one
function, prints the result to stdout and returns an exit code; progress goes to stderr. Options come from, in this
order: flag, `SATORI_BENCH_*` variable, `satori-bench.toml` (or `--config FILE`), default; `--show-config` tells which.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.core import ParameterSource

from harness.errors import ConfigError, ExitCode, UserError, did_you_mean
from harness.values import BOX_FRAMES, FORMATS, PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from harness.values import ScoreConfig
    from tasks.run import RunResult, RunSpec

VARIABLE_PREFIX = "SATORI_BENCH_"
CONFIG_FILE = Path("satori-bench.toml")


class Verb(click.Command):
    """A command whose every option can also come from a variable, and that can tell where each value came from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.envvar is None and parameter.name:
                parameter.envvar = VARIABLE_PREFIX + parameter.name.upper()
                parameter.show_envvar = False
        self.params.append(
            click.Option(["--show-config"], is_flag=True, help="Print each value and where it came from, then stop.")
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, or print its configuration."""
        if ctx.params.pop("show_config", False):
            _print_config(ctx)
            return ExitCode.OK
        return super().invoke(ctx)


class Verbs(click.Group):
    """A group of verbs that says what you may have meant."""

    command_class = Verb
    group_class = type

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or name the nearest one."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            ctx.fail(f"No such command {name!r}.{did_you_mean(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


_ORIGINS = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "variable",
    ParameterSource.DEFAULT_MAP: "config file",
    ParameterSource.DEFAULT: "default",
}


def _print_config(ctx: click.Context) -> None:
    """Print every option's value and origin."""
    for name, value in ctx.params.items():
        source = ctx.get_parameter_source(name)
        origin = _ORIGINS.get(source, "default") if source is not None else "default"
        click.echo(f"{name} = {value!r}  # {origin}")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="satori-bench", prog_name="satori-bench")
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="TOML file of options.")
@click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own messages.")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None, debug: bool) -> None:
    """Evaluate vision-language models that say where they looked: answer, caption and boxes."""
    ctx.ensure_object(dict)
    ctx.obj["debug"] = debug
    ctx.default_map = _read_config(ctx, config_file)


def _read_config(ctx: click.Context, given: Path | None) -> dict[str, Any]:
    """Read the configuration file: one table per verb, keys as the long options with underscores."""
    if given is None and not CONFIG_FILE.is_file():
        return {}
    import tomllib

    path = given or CONFIG_FILE
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise ConfigError(f"cannot read the configuration file {path}: {fault.strerror or fault}") from fault
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        raise ConfigError(f"{path} is not valid TOML: {fault}") from fault
    faults = _config_faults(ctx, tables)
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return tables


def _config_faults(ctx: click.Context, tables: dict[str, Any]) -> list[str]:
    """Return every unknown table or key, so that a typo never silently does nothing."""
    group = ctx.command
    assert isinstance(group, click.Group)
    faults: list[str] = []
    for verb, table in tables.items():
        command = group.get_command(ctx, verb)
        if command is None:
            faults.append(f"unknown table [{verb}].{did_you_mean(verb, group.list_commands(ctx))}")
            continue
        if not isinstance(table, dict):
            faults.append(f"{verb} must be a table")
            continue
        known = [parameter.name or "" for parameter in command.params]
        faults += [f"[{verb}] unknown key {key}.{did_you_mean(key, known)}" for key in table if key not in known]
    return faults


def _fail(message: str, code: int) -> NoReturn:
    """Print one line of error and leave."""
    click.echo(f"error: {message}", err=True)
    sys.exit(code)


def main() -> NoReturn:
    """Run the command; turn faults that a person can mend into one line and an exit code."""
    debug = "--debug" in sys.argv
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Exit as left:
        sys.exit(left.exit_code)
    except click.Abort:
        _fail("interrupted", ExitCode.INTERRUPTED)
    except KeyboardInterrupt:
        _fail("interrupted; what was recorded is kept, the same command goes on from there", ExitCode.INTERRUPTED)
    except click.ClickException as fault:
        fault.show()
        sys.exit(ExitCode.USAGE)
    except UserError as fault:
        if debug:
            raise
        _fail(str(fault), fault.exit_code)
    except BrokenPipeError:
        # the reader of a pipe went away: nothing to say, and stdout must not be flushed again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.OK)
    except Exception as fault:
        if debug:
            raise
        _fail(f"unexpected {type(fault).__name__}: {fault} (this is a bug; --debug shows where)", ExitCode.CRASH)
    sys.exit(int(code) if isinstance(code, int) else ExitCode.OK)


# --- options that several verbs share -----------------------------------------------------------------------------


def _score_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that decide how texts are scored."""
    for option in reversed(
        [
            click.option("--protocol", type=click.Choice(PROTOCOLS), default="strict", show_default=True),
            click.option("--format", "form", type=click.Choice(FORMATS), default="satori", show_default=True),
            click.option("--box-frame", type=click.Choice(BOX_FRAMES), help="Frame of the written boxes."),
            click.option("--min-pixels", type=click.IntRange(1), help="Least pixels of the model's input image."),
            click.option("--max-pixels", type=click.IntRange(1), help="Most pixels of the model's input image."),
        ]
    ):
        verb = option(verb)
    return verb


_json_option = click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON object instead of a table.")
_out_option = click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), default=Path("runs"), show_default=True,
    help="Folder of run folders.",
)  # fmt: skip
_data_option = click.option(
    "--data-dir", type=click.Path(path_type=Path), help="Folder with local benchmark data (parquet or TSV)."
)


def _score_config(
    protocol: str, form: str, box_frame: str | None, min_pixels: int | None, max_pixels: int | None
) -> ScoreConfig:
    """Build the scoring configuration of verbs that run no model."""
    from harness.values import PixelLimits, ScoreConfig

    if (min_pixels is None) != (max_pixels is None):
        raise ConfigError("--min-pixels and --max-pixels go together: one without the other fixes no image size")
    limits = None
    if min_pixels is not None and max_pixels is not None:
        if min_pixels > max_pixels:
            raise ConfigError(f"--min-pixels {min_pixels} is greater than --max-pixels {max_pixels}")
        limits = PixelLimits(min_pixels, max_pixels)
    return ScoreConfig(
        protocol=protocol,  # type: ignore[arg-type]  # click.Choice has checked it
        format=form,  # type: ignore[arg-type]  # click.Choice has checked it
        box_frame=box_frame or "image_px",  # type: ignore[arg-type]  # click.Choice has checked it
        pixel_limits=limits,
    )
