"""The `satori-bench` command: one function per verb, lazy imports, exit codes.

This is the only file that knows all four folders. A verb reads its options into a frozen configuration, calls one
function, prints the result to stdout and returns an exit code; progress goes to stderr. Options come from, in this
order: flag, `SATORI_BENCH_*` variable, `satori-bench.toml` (or `--config FILE`), default; `--show-config` tells which.
"""

from __future__ import annotations

import math
import os
import re
import sys
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

import click
from click.core import ParameterSource


def _refuse_shadows(*folders: str) -> None:
    """Leave, saying what to do, where another folder answers to the name of one of ours.

    A folder without `__init__.py` does not: Python takes it only where no package of that name is found anywhere.
    """
    home = Path(__file__).resolve().parent
    for folder in folders:
        spec = find_spec(folder)
        origin = Path(spec.origin).resolve() if spec is not None and spec.origin else home / folder / "__init__.py"
        if origin.parent == home / folder:
            continue
        other = origin.parent if origin.name == "__init__.py" else origin
        on_path = [Path(entry).resolve() for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        mend = "start `satori-bench`, or `python -P -m satori_bench`"  # without -P the current folder comes first
        if other.parent in on_path:
            mend = f"start `env -u PYTHONPATH satori-bench ...` (PYTHONPATH names {other.parent})"
        told = (
            f"error: {other} stands before satori-bench's own folder {home / folder}: `import {folder}` finds the "
            f"wrong one. Mend: {mend}, or give {other.name} another name"
        )
        # our printer may be what is shadowed, and whoever named the folder may mean to steer the terminal
        click.echo("".join(c if c.isprintable() else ascii(c)[1:-1] for c in told), err=True)
        sys.exit(2)


# Before anything of ours is imported. `training` is looked at by the verbs that need it: many projects have one.
_refuse_shadows("harness", "tasks", "reports")

from harness.errors import ConfigError, ExitCode, UserError, did_you_mean
from harness.vocabulary import BOX_FRAMES, FORMATS, GOLD_FRAMES, PROTOCOLS
from reports.printing import outlast_readers, say, say_commands, say_json, say_paragraphs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from harness.comparison import Comparison
    from harness.gate import Verdict
    from harness.interruption import Interruption
    from harness.judge import Judge
    from harness.run_summary import RunSummary
    from harness.summary import TaskSummary
    from harness.values import ScoreConfig
    from reports.progress import RunProgress
    from reports.view import PageServer
    from tasks.run import RunEnvironment, RunResult, RunSpec
    from training.loop_comparison import LoopComparison

VARIABLE_PREFIX = "SATORI_BENCH_"
_KEY_VARIABLES = ("SATORI_BENCH_API_KEY", "SATORI_BENCH_JUDGE_KEY", "OPENAI_API_KEY", "HF_TOKEN")
"""Where keys may lie, also those that a run does not use: a server must not put one into its records."""
_PROFILE_NAMES = ["cpu-tiny", "single-gpu", "multi-gpu", "zero3", "fsdp2", "vllm-colocate", "vllm-server"]
_SHOWN_FAILURES = 3
_RESUMED_VERBS = ("run", "train", "loop", "demo")
"""What goes on where it was when the same command is given again."""
CONFIG_FILE = Path("satori-bench.toml")
# `scheme://user:password@host`: what stands before the first `@` of an address's host is between us and that host
_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#@]*@")


def _long_name(parameter: click.Parameter) -> str:
    """Return the option's long flag as a word, such as `max_new_tokens`: what variables and files call it."""
    flags = [flag for flag in parameter.opts if flag.startswith("--")]
    return (flags[0][2:] if flags else parameter.name or "").replace("-", "_")


class Verb(click.Command):
    """A command whose every option can also come from a variable, and that can tell where each value came from."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for parameter in self.params:
            if isinstance(parameter, click.Option) and parameter.envvar is None and parameter.name:
                parameter.envvar = VARIABLE_PREFIX + _long_name(parameter).upper()
                parameter.show_envvar = False
        self.params.append(
            click.Option(
                ["--show-config"], is_flag=True, help="Print each value as TOML, with where it came from, then stop."
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options; say what words and options that the verb does not have may have meant."""
        given = list(args)
        needless = [one for one in self.params if one.required] if "--show-config" in given else []
        for parameter in needless:
            parameter.required = False  # whoever asks what is set has no need to set it
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            raise _option_fault(ctx, fault) from fault
        except click.UsageError as fault:
            raise _words_fault(ctx, given, fault) from fault
        finally:
            for parameter in needless:
                parameter.required = True

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb, or print its configuration."""
        if ctx.params.pop("show_config", False):
            _print_config(ctx)
            return ExitCode.OK
        _check_surroundings(ctx)
        return super().invoke(ctx)


_EXTRA_OF_VERB = {"run": "run", "train": "train", "loop": "train", "demo": "train", "variance-probe": "train"}
"""Verbs that need more than the core, and the extra that brings it."""
_TRAIN_PARTS = ("training.demo", "training.launch", "training.loop", "training.train", "training.variance_probe")
"""What these verbs import of ours, and with it of TRL and its companions."""


def _check_surroundings(ctx: click.Context) -> None:
    """Refuse a verb whose libraries are missing, or whose modules another folder shadows."""
    top = ctx
    while top.parent is not None and top.parent.parent is not None:
        top = top.parent
    verb = top.info_name or ""
    if verb == "data" or _EXTRA_OF_VERB.get(verb) == "train":
        _refuse_shadows("training")
    if verb in _EXTRA_OF_VERB:
        from harness.installation import require_extra

        require_extra(_EXTRA_OF_VERB[verb], verb)


class Verbs(click.Group):
    """A group of verbs that says what you may have meant."""

    command_class = Verb
    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb, or name the nearest one."""
        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            from harness.usage_hints import VERB_WORDS

            own = did_you_mean(name, self.list_commands(ctx))
            word = VERB_WORDS.get(name.lower()) if ctx.parent is None else None
            ctx.fail(f"No such command {name!r}.{f' Did you mean {word!r}?' if word else own}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the options before the verb; say where one stands that is a verb's."""
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as fault:
            raise _option_fault(ctx, fault) from fault


def _option_fault(ctx: click.Context, fault: click.NoSuchOption) -> click.UsageError:
    """Return an unknown option's fault with where it stands or what it is called here, as far as we know."""
    from harness.usage_hints import OPTION_WORDS

    root, here = ctx.find_root(), ctx.command
    flag = fault.option_name
    below = here.commands if isinstance(here, click.Group) else {}
    verb = next((name for name in ("run", *below) if name in below and flag in _flags(below[name])), None)
    if verb is not None:
        return click.UsageError(f"{flag} stands behind its verb: {ctx.command_path} {verb} {flag} …", ctx)
    if here is not root.command and flag in _flags(root.command):
        behind = ctx.command_path.removeprefix(f"{root.command_path} ")
        return click.UsageError(f"{flag} stands before the verb: {root.command_path} {flag} … {behind}", ctx)
    ours = OPTION_WORDS.get(flag, "")
    if ours in _flags(here):
        return click.UsageError(f"No such option {flag!r}: here it is {ours}", ctx)
    return fault


def _flags(command: click.Command) -> set[str]:
    return {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)}


def _words_fault(ctx: click.Context, given: list[str], fault: click.UsageError) -> click.UsageError:
    """Return what is wrong with words that the verb does not take; the fault itself where there are none."""
    from harness.usage_hints import KnownOption, extra_words_hint

    try:
        _, extra, _ = ctx.command.make_parser(ctx).parse_args(args=list(given))
    except click.UsageError:
        return fault
    if not extra:
        return fault
    options: dict[str, KnownOption] = {}
    for option in ctx.command.params:
        if isinstance(option, click.Option):
            takes_value = not (option.is_flag or option.count)
            flag = max(option.opts, key=len)
            known = KnownOption(flag, takes_value, option.multiple, option.required)
            options |= dict.fromkeys((*option.opts, *option.secondary_opts), known)
    takes_list = any(isinstance(one, click.Argument) and one.name == "names" for one in ctx.command.params)
    hint = extra_words_hint(given, extra, options, takes_list=takes_list)
    return click.UsageError(f"unexpected word {extra[0]!r}{f': {hint}' if hint else ''}", ctx)


_ORIGINS = {
    ParameterSource.COMMANDLINE: "flag",
    ParameterSource.ENVIRONMENT: "variable",
    ParameterSource.DEFAULT_MAP: "config file",
    ParameterSource.DEFAULT: "default",
}


def _print_config(ctx: click.Context) -> None:
    """Print every option's value and origin, as a table that can be pasted into the configuration file."""
    from harness.toml_text import toml_value

    say(f"[{_table_name(ctx)}]", sys.stdout)
    for parameter in ctx.command.params:
        if parameter.name not in ctx.params:
            continue
        source = ctx.get_parameter_source(parameter.name)
        origin = _ORIGINS.get(source, "default") if source is not None else "default"
        name, value = _long_name(parameter), ctx.params[parameter.name]
        text = toml_value(value)
        if value is None:
            say(f"# {name} is not set  # {origin}", sys.stdout)
        elif _is_secret(name, value):
            say(f"# {name} = '…'  # {origin}; not shown", sys.stdout)  # a log must not hold a secret
        elif text is None:
            say(f"# {name} = {value!r}  # {origin}; cannot stand in a file", sys.stdout)
        else:
            say(f"{name} = {text}  # {origin}", sys.stdout)


def _table_name(ctx: click.Context) -> str:
    """Return the name of a verb's table in the configuration file, such as `tasks.verify`."""
    above = ctx.parent
    name = ctx.info_name or ""
    return name if above is None or above.parent is None else f"{_table_name(above)}.{name}"


def _is_secret(name: str, value: object) -> bool:
    """Say whether a value must not be printed: a key, or an address that holds a password."""
    return bool(value) and (name.endswith("_key") or _PASSWORD.search(str(value)) is not None)


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
    """Read the configuration file: one table per verb, such as `[run]` and `[tasks.verify]`.

    Keys are the long options with underscores.
    """
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
    group = ctx.command
    assert isinstance(group, click.Group)
    faults = _config_faults(ctx, group, tables)
    if faults:
        raise ConfigError(f"{path}: " + "; ".join(faults))
    return _by_parameter(ctx, group, tables)


def _by_parameter(ctx: click.Context, command: click.Command, table: dict[str, Any]) -> dict[str, Any]:
    """Return a table with click's own parameter names in place of the long flags, in the tables below it too."""
    names = {_long_name(parameter): parameter.name or "" for parameter in command.params}
    below = command if isinstance(command, click.Group) else None
    found: dict[str, Any] = {}
    for key, value in table.items():
        verb = below.get_command(ctx, key) if below is not None else None
        found[names.get(key, key)] = value if verb is None else _by_parameter(ctx, verb, value)
    return found


def _config_faults(ctx: click.Context, group: click.Group, tables: dict[str, Any], above: str = "") -> list[str]:
    """Return every unknown table or key, so that a typo never silently does nothing, and every wrong value.

    `above` is the name of the group's own table with a dot: the verbs of a group have tables such as `[tasks.verify]`.
    """
    faults: list[str] = []
    for verb, table in tables.items():
        command = group.get_command(ctx, verb)
        name = f"{above}{verb}"
        if command is None:
            faults.append(_unknown(ctx, name, table))
        elif not isinstance(table, dict):
            faults.append(f"{name} must be a table")
        elif isinstance(command, click.Group):
            faults += _config_faults(ctx, command, table, f"{name}.")
        else:
            faults += _table_faults(name, command, table)
    return faults


def _unknown(ctx: click.Context, name: str, value: object) -> str:
    """Say that a name of the file stands for no verb, with what may have been meant."""
    group = ctx.command
    assert isinstance(group, click.Group)
    known = _table_names(ctx, group)
    if isinstance(value, dict):
        return f"unknown table [{name}].{did_you_mean(name, known)}"
    above, dot, key = name.rpartition(".")
    where = f"[{above}] " if dot else ""
    example = next(table for table in known if table.startswith(f"{above}{dot}"))
    return f"{where}unknown key {key}: an option stands in the table of its verb, such as [{example}]"


def _table_names(ctx: click.Context, group: click.Group, above: str = "") -> list[str]:
    """Return the names of all verbs' tables, such as `run` and `tasks.verify`."""
    names: list[str] = []
    for verb in group.list_commands(ctx):
        command = group.get_command(ctx, verb)
        below = isinstance(command, click.Group)
        names += _table_names(ctx, command, f"{above}{verb}.") if below else [f"{above}{verb}"]
    return names


def _table_faults(name: str, command: click.Command, table: dict[str, Any]) -> list[str]:
    """Return what is wrong with the table of one verb."""
    from harness.usage_hints import key_hint

    known = {_long_name(parameter): parameter for parameter in command.params}
    faults: list[str] = []
    for key, value in table.items():
        if key not in known:
            faults.append(f"[{name}] unknown key {key}.{key_hint(key, list(known))}")
        elif fault := _value_fault(known[key], value):
            faults.append(f"[{name}] {key}: {fault}")
    return faults


def _value_fault(parameter: click.Parameter, value: Any) -> str:
    """Say what is wrong with a value of the file; click alone would read 1.5 and true as the whole number 1."""
    several = parameter.nargs != 1 or (isinstance(parameter, click.Option) and parameter.multiple)
    if several and not isinstance(value, list):
        return f"a list is needed, found {_shown(parameter, value)}"
    items: list[Any] = value if several else [value]
    for item in items:
        wanted = _wanted(parameter, item)
        if wanted:
            return f"{wanted} is needed, found {_shown(parameter, item)}"
        try:
            if isinstance(parameter.type, click.IntRange | click.FloatRange | click.Choice):
                parameter.type.convert(item, parameter, None)
        except click.BadParameter as fault:
            return fault.message.rstrip(".")
    return ""


def _wanted(parameter: click.Parameter, value: object) -> str:
    """Return what kind of value an option takes; the empty text when the value is of that kind."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    if isinstance(parameter.type, click.types.BoolParamType):
        return "" if isinstance(value, bool) else "true or false"
    if isinstance(parameter.type, click.types.IntParamType):
        return "" if whole else "a whole number"
    if isinstance(parameter.type, click.types.FloatParamType):
        return "" if whole or (isinstance(value, float) and math.isfinite(value)) else "a number"
    spelled = isinstance(value, str) or (whole and isinstance(parameter.type, click.types.StringParamType))
    return "" if spelled else "a text"  # a batch size may be a text or a number


def _shown(parameter: click.Parameter, value: object) -> str:
    """Write a value for a person; a log must not hold a secret."""
    if _is_secret(_long_name(parameter), value):
        return "'…'"
    return str(value).lower() if isinstance(value, bool) else repr(value)  # true, as the file writes it


def _fail(message: str, code: int) -> NoReturn:
    """Print one line of error and leave."""
    say(f"error: {message}", sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Leave with what was found, whatever becomes of the text that is still to be written (reports/printing.py)."""
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(code)


def _one_line(fault: click.ClickException) -> str:
    """Return what click says of a wrong usage, with where to read on; not the usage, which nobody reads."""
    message = " ".join(fault.format_message().split())
    context = fault.ctx if isinstance(fault, click.UsageError) else None
    return f"{message} (see {context.command_path} --help)" if context is not None else message


def _fail_unexpected(fault: Exception) -> NoReturn:
    """Leave after an error that nobody foresaw: of a library that is missing or does not fit, else of ours."""
    if isinstance(fault, ImportError):
        from harness.installation import explain_import

        if mend := explain_import(fault):
            _fail(mend, ExitCode.USAGE)
    _fail(f"unexpected {type(fault).__name__}: {fault} (this is a bug; --debug shows where)", ExitCode.CRASH)


def _leave_interrupted() -> NoReturn:
    """Leave after Ctrl-C; the journal was closed on the way up.

    Not by `sys.exit`: where the signal fell into code that a library compiles on the fly, Python remembers it and ends
    the process by the signal, whatever exit code was asked for.
    """
    verb = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    kept = "; what was recorded is kept, the same command goes on from there" if verb in _RESUMED_VERBS else ""
    say(f"interrupted{kept}", sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.INTERRUPTED)


def main() -> NoReturn:
    """Run the command; turn faults that a person can mend into one line and an exit code."""
    outlast_readers()
    debug = "--debug" in sys.argv
    try:
        code = cli.main(prog_name="satori-bench", standalone_mode=False)
    except click.exceptions.Exit as left:
        _leave(left.exit_code)
    except (click.Abort, KeyboardInterrupt):
        _leave_interrupted()
    except click.exceptions.NoArgsIsHelpError as fault:
        fault.show()
        _leave(ExitCode.USAGE)
    except click.ClickException as fault:
        _fail(_one_line(fault), ExitCode.USAGE)
    except UserError as fault:
        if debug:
            raise
        _fail(str(fault), fault.exit_code)
    except Exception as fault:
        if debug:
            raise
        _fail_unexpected(fault)
    _leave(int(code) if isinstance(code, int) else ExitCode.OK)


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


def _prompt_options(verb: Callable[..., Any]) -> Callable[..., Any]:
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


_json_option = click.option("--json", "as_json", is_flag=True, help="Print a versioned JSON object instead of a table.")
_page_option = click.option(
    "--page/--no-page", default=True, show_default=True,
    help="Whether the run's page (index.html) is written once its scores are safe; `runs page` does it at any time.",
)  # fmt: skip
_out_option = click.option(
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


_lookup_option = click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True,
    callback=_folder_of_runs,
    help="Folder in which runs are looked up by name.",
)  # fmt: skip


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


class DatasetText(click.types.StringParamType):
    """The text `TASK=PATH[@REV]`; a variable may hold several, and blanks in paths."""

    def split_envvar_value(self, rv: str) -> list[str]:
        """Split a variable at commas and line breaks that another `TASK=` follows."""
        return [text.strip() for text in re.split(r"[,\n](?=\s*[\w.+-]+=)", rv) if text.strip()]


_dataset_option = click.option(
    "--dataset", "datasets", type=DatasetText(), multiple=True, metavar="TASK=PATH[@REV]",
    help="Other data for a task; may be repeated. In SATORI_BENCH_DATASET: several by commas.",
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


# --- verbs: run ---------------------------------------------------------------------------------------------------


@cli.command()
@click.option("--model", help="Checkpoint folder, hub id, or LoRA adapter folder.")
@click.option("--tasks", default="core", show_default=True, help="Tasks, groups (core, all), YAML files; by commas.")
@_score_options
@_prompt_options
@click.option(
    "--backend",
    type=click.Choice(["hf", "openai"]),
    default="hf",
    show_default=True,
    help="What runs the model: transformers here, or an OpenAI-compatible server (vLLM, SGLang, hosted).",
)
@click.option("--base-url", help="Root of the server's API, such as http://localhost:8000/v1.")
@click.option("--served-name", help="What the server calls the model; default: as --model.")
@click.option("--api-key", envvar=["SATORI_BENCH_API_KEY", "OPENAI_API_KEY"], help="Its key.", show_default=False)
@click.option("--concurrency", type=click.IntRange(1), default=16, show_default=True, help="Requests at once.")
@click.option(
    "--request-timeout",
    "request_timeout_s",
    type=click.FloatRange(0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds that a request to a server may take as a whole; then its sample is null.",
)
@click.option("--allow-rerouting", is_flag=True, help="Take replies of another model than the first; records name it.")
@click.option("--extra-body", metavar="JSON", help="Further fields of each request to a server, as a JSON object.")
@click.option(
    "--chat-template-kwargs",
    metavar="JSON",
    help="Variables of the chat template, here or at the server, such as '{\"enable_thinking\": false}'.",
)
@click.option("--decoding", type=click.Choice(["greedy", "sampled"]), default="greedy", show_default=True)
@click.option("--temperature", type=click.FloatRange(0, min_open=True), help="For sampled decoding; default 1.0.")
@click.option("--max-new-tokens", type=click.IntRange(1), help="Token budget of an answer; default: the task's own.")
@click.option("--limit", type=SampleCount(), help="At most about N samples a task, in whole clusters.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--batch-size", default="auto", show_default=True, help="Samples at once; auto halves on out-of-memory.")
@click.option("--device", default="auto", show_default=True)
@click.option("--dtype", default="auto", show_default=True)
@click.option("--attn-implementation", metavar="NAME", help="Such as sdpa or eager; default: left to transformers.")
@_dataset_option
@_data_option
@_out_option
@click.option("--name", help="Names the run's folder in place of the model, and finds the run again.")
@click.option("--resume/--no-resume", default=True, show_default=True, help="Go on with a killed run of equal input.")
@click.option("--again", is_flag=True, help="Make a new run though an equal one is finished.")
@click.option("--retry", metavar="RUN", help="Re-ask what stayed unscored in a run.")
@click.option("--thumbnails/--no-thumbnails", default=True, show_default=True)
@_page_option
@click.option("--judge", help="Judge model for what rules cannot decide (optional).")
@click.option("--judge-url", help="Root of its OpenAI-compatible API.")
@click.option("--judge-key", envvar=["SATORI_BENCH_JUDGE_KEY", "OPENAI_API_KEY"], help="Its key.", show_default=False)
@_json_option
@click.pass_context
def run(ctx: click.Context, as_json: bool, retry: str | None, again: bool, page: bool, **options: Any) -> int:
    """Evaluate a checkpoint; leave a run folder, a table and a page.

    RUN is a run folder, a run's name or its unique beginning, or `latest`; so it is for every verb.
    """
    _quiet_libraries(debug=ctx.obj["debug"])
    from dataclasses import replace

    from harness.interruption import Interruption
    from reports.progress import RunProgress
    from tasks.run import retry_run, run_benchmarks

    with Interruption() as interruption, RunProgress(sys.stderr) as progress:
        environment = _run_environment(progress, interruption, page=page)
        known = (options["api_key"], options["judge_key"], *(os.environ.get(name) for name in _KEY_VARIABLES))
        environment = replace(
            environment,
            api_key=options["api_key"] or environment.api_key,
            secrets=tuple(key for key in known if key),
        )
        if retry is not None:
            from harness.run_lookup import find_run

            result = retry_run(find_run(retry, options["out"]), environment, _retry_changes(ctx, options))
        else:
            result = run_benchmarks(_run_spec(options), environment, again=again)
    return _show_run(result, as_json=as_json)


def _retry_changes(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """Return what the command line gives beside --retry; what would ask something else is refused."""
    from tasks.run import RETRY_MAY_CHANGE

    given = {
        option.name: option.opts[0]
        for option in ctx.command.params
        if option.name in options and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
    }
    may_change = {*RETRY_MAY_CHANGE, "api_key", "judge", "judge_url", "judge_key"}
    barred = [flag for name, flag in given.items() if name not in may_change]
    if barred:
        raise ConfigError(
            f"--retry asks with the run's own configuration: leave out {', '.join(barred)}, or make a new run"
        )
    # The address also counts where a variable or the configuration gives it: a key goes to no other.
    given |= {"base_url": "--base-url"} if options["base_url"] else {}
    changes = {name: options[name] for name in given if name in RETRY_MAY_CHANGE}
    return changes | {"judge": _judge(options)}


def _run_spec(options: dict[str, Any]) -> RunSpec:
    """Build the run's configuration; its faults are reported together."""
    from harness.device_options import device_option_faults
    from harness.extra_fields import check_extra_body, check_template_kwargs, read_json_object
    from tasks.prompts import given_words
    from tasks.run import RunSpec, parse_dataset_overrides

    faults: list[str] = []
    if not options["model"]:
        faults.append("--model is missing: a checkpoint folder, a hub id or an adapter folder")
    if options["temperature"] is not None and options["decoding"] == "greedy":
        faults.append("--temperature needs --decoding sampled: greedy decoding has none")
    if options["min_pixels"] and options["max_pixels"] and options["min_pixels"] > options["max_pixels"]:
        faults.append(f"--min-pixels {options['min_pixels']} is greater than --max-pixels {options['max_pixels']}")
    if options["judge"] and not options["judge_key"] and not options["judge_url"]:
        faults.append("--judge needs a key (--judge-key or OPENAI_API_KEY) or --judge-url of a local server")
    if options["backend"] == "openai" and not options["base_url"]:
        faults.append("--backend openai needs --base-url, the root of the server's API")
    if options["backend"] != "openai" and (options["base_url"] or options["served_name"]):
        faults.append("--base-url and --served-name need --backend openai")
    if options["backend"] == "openai" and options["attn_implementation"]:
        faults.append("--attn-implementation is for --backend hf: a server has its own")
    faults += device_option_faults(
        options["device"], options["dtype"], options["batch_size"], options["attn_implementation"]
    )
    if options["backend"] != "openai" and (options["extra_body"] or options["allow_rerouting"]):
        faults.append("--extra-body and --allow-rerouting need --backend openai: they are about requests to a server")
    if faults:
        raise ConfigError("; ".join(faults))
    extra_body = read_json_object(options["extra_body"], "--extra-body")
    check_extra_body(extra_body)
    template_kwargs = read_json_object(options["chat_template_kwargs"], "--chat-template-kwargs")
    check_template_kwargs(template_kwargs)
    return RunSpec(
        model=options["model"],
        tasks=options["tasks"],
        backend=options["backend"],
        base_url=options["base_url"],
        served_name=options["served_name"],
        concurrency=options["concurrency"],
        request_timeout_s=options["request_timeout_s"],
        allow_rerouting=options["allow_rerouting"],
        extra_body=extra_body,
        chat_template_kwargs=template_kwargs,
        form=options["form"],
        prompt=options["prompt"],
        system_prompt=given_words(options["system_prompt"], "--system-prompt"),
        prompt_suffix=given_words(options["prompt_suffix"], "--prompt-suffix"),
        protocol=options["protocol"],
        box_frame=options["box_frame"],
        min_pixels=options["min_pixels"],
        max_pixels=options["max_pixels"],
        max_new_tokens=options["max_new_tokens"],
        temperature=(options["temperature"] or 1.0) if options["decoding"] == "sampled" else 0.0,
        limit=options["limit"],
        seed=options["seed"],
        batch_size=options["batch_size"],
        device=options["device"],
        dtype=options["dtype"],
        attn_implementation=options["attn_implementation"],
        datasets=parse_dataset_overrides(options["datasets"]),
        data_dir=options["data_dir"],
        out=options["out"],
        name=options["name"],
        resume=options["resume"],
        thumbnails=options["thumbnails"],
        judge=_judge(options),
    )


def _judge(options: dict[str, Any]) -> Judge | None:
    """Return the judge that the options name; None where they name none."""
    from harness.judge import Judge

    if not options["judge"]:
        return None
    return Judge(model=options["judge"], base_url=options["judge_url"], api_key=options["judge_key"] or "none")


def _run_environment(progress: RunProgress, interruption: Interruption, *, page: bool = True) -> RunEnvironment:
    """Return what a run takes from its surroundings: time, words for the person, Ctrl-C, packages, commit."""
    from datetime import UTC, datetime

    from tasks.run import RunEnvironment, package_versions

    return RunEnvironment(
        now=lambda: datetime.now(UTC),
        say=progress.say,
        listener=progress,
        packages=package_versions(),
        git_commit=os.environ.get("SATORI_BENCH_GIT_COMMIT"),
        batch_guard=interruption.batch,
        write_page=_write_page if page else None,
    )


def _write_page(run_folder: Path) -> None:
    """Write or renew a published run's page; a page that fails costs nobody a run, nor its exit code."""
    from reports.page_writer import page_fault

    if fault := page_fault(run_folder):
        say(
            f"warning: the page was not written: {fault}. The scores are complete; "
            f"make the page with: satori-bench runs page {_shell_word(run_folder)}",
            sys.stderr,
        )


def _quiet_libraries(*, debug: bool) -> None:
    """Keep the libraries' bars and logs out of our progress; `--debug` lets them speak."""
    if debug:
        return
    import logging
    import warnings

    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


def _show_run(result: RunResult, *, as_json: bool) -> int:
    """Print a run's result; return the exit code."""
    from reports.terminal import TaskCost, run_table, write

    if as_json:
        say_json({**result.summary.to_json(), "run": str(result.folder)}, sys.stdout)
    else:
        costs = {
            name: TaskCost(result.wall_s.get(name, 0.0), cost.device_s, cost.input_tokens, cost.output_tokens)
            for name, cost in result.summary.costs.items()
        }
        config = result.summary.config
        title = f"{result.model} · format {config.format} · protocol {config.protocol}"
        write(run_table(list(result.summary.tasks.values()), costs, title), sys.stdout)
        _show_reasons(result.summary.tasks)
        say(f"run: {result.folder}", sys.stdout)
    _name_page(result.folder, to_stderr=as_json)
    _warn(result.summary)
    if not result.summary.is_complete:
        share = 100 * result.summary.unexplained_share
        say(
            f"error: {share:.1f} % of the samples got no answer, or none from the judge (faults `error`, "
            f"`judge_error`). {_failures_text(result.summary)}"
            f"Mend the cause, then: satori-bench run --retry {result.folder}",
            sys.stderr,
        )
        return ExitCode.INCOMPLETE
    return ExitCode.OK


def _name_page(run_folder: Path, *, to_stderr: bool) -> None:
    """Say where a run's page is, and what opens it."""
    from harness.run_store import PAGE_NAME

    page = run_folder / PAGE_NAME
    if page.is_file():  # a page that could not be made was told of already
        say(f"page: {page}", sys.stderr if to_stderr else sys.stdout)
        _say_how_to_view(run_folder)


def _say_how_to_view(place: Path) -> None:
    say(f"open it with: satori-bench view {_shell_word(place)}", sys.stderr)


def _shell_word(path: Path) -> str:
    """Return a path as a word that can be pasted into a shell."""
    import shlex

    return shlex.quote(str(path))


def _say_all(lines: Iterable[str], stream: TextIO) -> None:
    for line in lines:
        say(line, stream)


def _failures_text(summary: RunSummary) -> str:
    """Say the most frequent reasons for which samples got no answer, with how many each; nothing where all did."""
    shown = [f"{count} × {reason}" for reason, count in list(summary.failures.items())[:_SHOWN_FAILURES]]
    left = sum(summary.failures.values()) - sum(list(summary.failures.values())[:_SHOWN_FAILURES])
    more = [f"{left} for other reasons"] if left else []
    return f"Most frequent: {'; '.join(shown + more)}. " if shown else ""


# --- verbs: scoring without a model -------------------------------------------------------------------------------


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@_score_options
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the scored lines here.")
@click.option("--run", "run_root", type=click.Path(file_okay=False, path_type=Path), help="Also make a run folder.")
@click.option(
    "--name", help="Name of the model or system, and so of the run that --run makes; default: the file's name."
)
@_page_option
@_json_option
def score(
    file: Path,
    output: Path | None,
    run_root: Path | None,
    name: str | None,
    page: bool,
    as_json: bool,
    **how: Any,
) -> int:
    """Score a predictions file (JSON lines) without a model."""
    from datetime import UTC, datetime

    from harness.rescore import PredictionSource, file_sha256, save_predictions_run
    from harness.scored_file import bad_row_lines, file_shape, score_file
    from tasks.run import package_versions

    config = _score_config(**how)
    source = PredictionSource(name or file.stem, file_sha256(file), package_versions())
    lines_to = output if output is not None or as_json else Path("-")
    scored = score_file(file, config, lines_to)
    for line in bad_row_lines(scored.bad_rows):
        say(line, sys.stderr)
    if scored.nothing_scored:
        found = (scored.rows and file_shape(file)) or scored.why_nothing_scored
        say(f"error: no row of {file} can be scored: {found}", sys.stderr)
        return ExitCode.INCOMPLETE
    if scored.repeated:
        say(f"{scored.repeated} rows repeat a task and id; only the first of each counts in a mean", sys.stderr)
    _show_reasons(scored.summary.tasks)
    if scored.no_answer_scored:
        say(f"no answer can be scored: {scored.why_nothing_scored}", sys.stderr)
    folder = None
    if run_root is not None:
        folder, _ = save_predictions_run(run_root, scored.rows, config, source, now=datetime.now(UTC))
        if page:
            _write_page(folder)
    _show_scores(scored.summary, title=str(file), as_json=as_json, run=folder, table_to_stdout=output is not None)
    if how["box_frame"] is None and config.protocol != "paper" and scored.reads_boxes:
        say("boxes are read as image_px, pixels of the original image; --box-frame says otherwise", sys.stderr)
    _warn(scored.summary)
    return ExitCode.OK


def _warn(summary: RunSummary) -> None:
    """Say what one must know before believing the numbers: boxes that fit another reading, texts that are all alike."""
    for warning in summary.warnings:
        say(f"warning: {warning}", sys.stderr)


def _show_reasons(tasks: Mapping[str, TaskSummary]) -> None:
    """Say on stderr why a metric is null, once for all metrics of a task that share the reason."""
    for task, summary in tasks.items():
        metrics: dict[str, list[str]] = {}
        for metric, reason in summary.reasons.items():
            metrics.setdefault(reason, []).append(metric)
        for reason, names in metrics.items():
            say(f"{task}: no {', '.join(names)}: {reason}", sys.stderr)


def _show_scores(summary: RunSummary, *, title: str, as_json: bool, run: Path | None, table_to_stdout: bool) -> None:
    """Print a summary without costs."""
    from reports.terminal import run_table, write

    if as_json:
        found = summary.to_json()
        say_json({**found, "run": str(run)} if run is not None else found, sys.stdout)
        return
    stream = sys.stdout if table_to_stdout else sys.stderr
    write(run_table(list(summary.tasks.values()), {}, f"{title} · protocol {summary.config.protocol}"), stream)
    if run is not None:
        say(f"run: {run}", stream)
        _name_page(run, to_stderr=not table_to_stdout)


@cli.command()
@click.argument("run_name", metavar="RUN")
@click.option("--protocol", type=click.Choice(PROTOCOLS), help="Default: the run's own.")
@click.option("--box-frame", type=click.Choice(BOX_FRAMES), help="Default: the run's own.")
@_page_option
@_lookup_option
@_json_option
def rescore(run_name: str, protocol: str | None, box_frame: str | None, page: bool, out: Path, as_json: bool) -> int:
    """Score a run's stored raw texts again, beside the old scores."""
    from harness.rescore import rescore_run
    from harness.run_lookup import find_run
    from harness.run_store import load_run

    run_folder = find_run(run_name, out)
    stored = load_run(run_folder)
    summary = rescore_run(stored, protocol or stored.manifest.protocol, box_frame=box_frame)  # type: ignore[arg-type]  # click.Choice has checked both
    _show_reasons(summary.tasks)
    _show_scores(summary, title=str(run_folder), as_json=as_json, run=None, table_to_stdout=True)
    _warn(summary)
    if page:
        _write_page(run_folder)
    return ExitCode.OK


# --- verbs: training data -----------------------------------------------------------------------------------------


@cli.group()
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
            click.option("--profile", type=click.Choice(["tiny", "full"]), default="tiny", show_default=True,
                         help="Shapes: how large and how hard."),
            click.option("--kinds", help="Shapes: kinds of question, by commas; default: all."),
            click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Shapes: other rows."),
            click.option("--noise", type=click.FloatRange(0, 1), help="Shapes: share of labels to make wrong."),
            click.option("--oversight", type=click.FloatRange(0, 1),
                         help="Shapes: share of scenes in which labels overlook a thing."),
            click.option("--benchmarks", default="", help="Tasks whose images must not be there, by commas."),
            _data_option,
            _dataset_option,
            _json_option,
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
    from training.data_build import check_sources
    from training.data_check import check_lines

    specs, benchmarks = _data_sources(options)
    with _row_progress("rows checked") as on_row:
        check = check_sources(specs, benchmarks, named_rows=rows, on_row=on_row)
    if as_json:
        say_json(check.as_json(), sys.stdout)
    else:
        _say_all(check_lines(check), sys.stdout)
    return ExitCode.USAGE if check.faulty or check.suspect else ExitCode.OK


@data.command("build")
@_source_options
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="FILE.parquet")
@click.option("--drop-faulty", is_flag=True, help="Leave faulty rows out; otherwise any of them refuses the whole.")
@click.option("--drop-duplicates", is_flag=True, help="Leave out rows whose image and question came before.")
def data_build(as_json: bool, output: Path, drop_faulty: bool, drop_duplicates: bool, **options: Any) -> int:
    """Write the parquet file that training reads, from checked rows of any sources."""
    from dataclasses import asdict

    from training.data_build import FaultyDataError, build_examples
    from training.data_check import check_lines

    specs, benchmarks = _data_sources(options)
    try:
        with _row_progress("rows read") as on_row:
            built = build_examples(
                specs, output, benchmarks, drop_faulty=drop_faulty, drop_duplicates=drop_duplicates, on_row=on_row
            )
    except FaultyDataError as fault:
        _say_all(check_lines(fault.check), sys.stderr)
        raise
    if as_json:
        facts = {"file": str(built.path), **asdict(built.facts)}
        say_json({**built.check.as_json(), "built": facts}, sys.stdout)
    else:
        _say_all(check_lines(built.check), sys.stdout)
        say(f"{built.path}: {built.facts.rows} examples, data hash {built.facts.data_hash}", sys.stdout)
    return ExitCode.OK


def _data_sources(options: dict[str, Any]) -> tuple[list[Any], Any]:
    """Read the shared options of the data verbs: the sources, and the benchmark images to keep out."""
    from tasks.run import parse_dataset_overrides
    from training.data_check import benchmark_images
    from training.shapes_source import LabelNoise
    from training.sources import ShapesSpec, SourceSpec

    share, oversight = options["noise"], options["oversight"]
    noise = None if share is None and oversight is None else LabelNoise(share or 0.0, oversight or 0.0)
    kinds = tuple(word.strip() for word in (options["kinds"] or "").split(",") if word.strip())
    shapes = ShapesSpec(options["profile"], options["seed"], noise, kinds)
    how = {name: options[name] for name in ("source_format", "limit", "images", "box_frame")}
    specs = [SourceSpec(location, shapes=shapes, **how) for location in options["sources"]]
    if (noise or kinds) and not all(spec.is_shapes for spec in specs):
        raise ConfigError("--noise, --oversight and --kinds are for shapes only; build that source by itself")
    overrides = parse_dataset_overrides(options["datasets"])
    return specs, benchmark_images(options["benchmarks"], options["data_dir"], overrides)


@contextmanager
def _row_progress(unit: str) -> Iterator[Callable[[], object]]:
    """Count rows on stderr, on a terminal only."""
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    console, column = Console(stderr=True), TextColumn("{task.completed:.0f} {task.description}")
    with Progress(column, console=console, transient=True, disable=not console.is_terminal) as bar:
        counted = bar.add_task(unit, total=None)
        yield lambda: bar.advance(counted)


# --- verbs: compare, gate, noise ----------------------------------------------------------------------------------


_seed_option = click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Fixes all draws.")
_markdown_option = click.option(
    "--markdown", type=click.Path(dir_okay=False, path_type=Path), help="Write a job summary here (at most 60 kB)."
)


@cli.command()
@click.argument("runs", nargs=-1, required=True, metavar="A B [C...]")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the page here.")
@click.option("--bundle", is_flag=True, help="Make -o a folder with every text and picture beside the page.")
@click.option("--images/--no-images", default=True, show_default=True, help="Whether thumbnails go with the page.")
@_markdown_option
@_lookup_option
@_seed_option
@click.option(
    "--on-shared", is_flag=True, help="Subtract on the samples that both have alike, leave out others; no verdict."
)
@_json_option
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
    from harness.compare import compare_runs, open_sides
    from reports.markdown import comparison_markdown

    if bundle and output is None:
        raise ConfigError("--bundle says how the page is written: it needs -o FOLDER")
    comparison = compare_runs(open_sides(runs, out), seed=seed, on_shared=on_shared)
    if output is not None:
        from reports.comparison_page import PageOptions, write_comparison_page

        page = write_comparison_page(comparison, output, PageOptions(pictures=images, bundle=bundle))
        say(f"page: {page}", sys.stderr)
        _say_how_to_view(output)
    if markdown is not None:
        _write_file(markdown, comparison_markdown(comparison).encode("utf-8"))
    if as_json:
        from harness.comparison_json import comparison_to_json

        say_json(comparison_to_json(comparison), sys.stdout)
    else:
        _show_comparison(comparison)
    compared = all(any(one.is_compared for one in pair.benchmarks) for pair in comparison.pairs)
    return ExitCode.OK if compared else ExitCode.INCOMPLETE


def _show_comparison(comparison: Comparison) -> None:
    """Print one table a pair, and what a reader must know of it."""
    from reports.terminal import write, write_line
    from reports.verdict_text import comparison_table, pair_lines

    for pair in comparison.pairs:
        write(comparison_table(comparison, pair), sys.stdout)
        for line in pair_lines(comparison, pair):
            write_line(line, sys.stdout)


@cli.command()
@click.argument("candidate")
@click.option("--baseline", required=True, metavar="RUN", help="The run to hold it to.")
@click.option("--policy", "policy_file", type=click.Path(dir_okay=False, path_type=Path), help="gate.toml.")
@click.option("--noise", type=click.Path(dir_okay=False, path_type=Path), help="Output of noise --json.")
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML here.")
@_markdown_option
@click.option("--output-format", type=click.Choice(["text", "github"]), default="text", show_default=True)
@click.option("--exit-zero", is_flag=True, help="Report only: leave with 0 whatever the verdict.")
@_lookup_option
@_seed_option
@_json_option
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
    from harness.compare import compare_runs, open_sides
    from harness.gate import judge
    from harness.gate_policy import read_policy

    policy = read_policy(policy_file, noise)
    comparison = compare_runs(open_sides([baseline, candidate], out), seed=seed)
    verdict = judge(comparison, policy)
    if junit is not None:
        from reports.junit import verdict_junit

        _write_file(junit, verdict_junit(verdict))
    if markdown is not None:
        from reports.markdown import verdict_markdown

        _write_file(markdown, verdict_markdown(verdict, comparison).encode("utf-8"))
    if as_json:
        from harness.comparison_json import verdict_to_json

        say_json(verdict_to_json(verdict), sys.stdout)
    elif output_format == "github":
        from reports.github import verdict_annotations

        say_commands(verdict_annotations(verdict), sys.stdout)
    else:
        _show_verdict(verdict)
    return ExitCode.OK if exit_zero else verdict.exit_code


def _show_verdict(verdict: Verdict) -> None:
    """Print the verdict first, then the table."""
    from reports.terminal import write, write_line
    from reports.verdict_text import verdict_lines, verdict_table

    first, *others = verdict_lines(verdict)
    write_line(first, sys.stdout)
    write(verdict_table(verdict), sys.stdout)
    for line in others:
        write_line(line, sys.stdout)


@cli.command()
@click.argument("run_a")
@click.argument("run_a2")
@_lookup_option
@_seed_option
@_json_option
def noise(run_a: str, run_a2: str, out: Path, seed: int, as_json: bool) -> int:
    """Measure how much one checkpoint's answers move between two runs: the floor of a gate's tolerance."""
    from harness.compare import compare_runs, open_sides
    from harness.noise import measure_noise, noise_to_json
    from reports.terminal import write, write_line
    from reports.verdict_text import noise_table

    comparison = compare_runs(open_sides([run_a, run_a2], out), seed=seed, on_shared=True)
    found = measure_noise(comparison)
    if as_json:
        say_json(noise_to_json(comparison, found), sys.stdout)
    else:
        write(noise_table(found.tasks), sys.stdout)
        for note in found.notes:
            write_line(f"note: {note}", sys.stdout)
    return ExitCode.OK


def _write_file(path: Path, content: bytes) -> None:
    """Write a report where a person asked for it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as fault:
        raise ConfigError(f"cannot write {path}: {fault.strerror or fault}") from fault


# --- verbs: leaderboard -------------------------------------------------------------------------------------------


@cli.command()
@click.argument("run_names", nargs=-1, required=True, metavar="RUNS...")
@click.option(
    "-o", "--output", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder of the site."
)
@click.option("--allow-partial", is_flag=True, help="Also take runs of --limit; they are marked.")
@click.option(
    "--images/--no-images", default=True, show_default=True, help="Whether thumbnails go with the runs' pages."
)
@_lookup_option
@_seed_option
@_json_option
def leaderboard(
    run_names: tuple[str, ...], output: Path, allow_partial: bool, images: bool, out: Path, seed: int, as_json: bool
) -> int:
    """Make a static site of many runs: index.html, leaderboard.json, leaderboard.csv and the runs' own pages.

    RUNS are runs, or folders of run folders.
    """
    from harness.run_lookup import find_run
    from reports.leaderboard import leaderboard_json, rank_board, read_leaderboard
    from reports.leaderboard_page import write_leaderboard

    board = rank_board(
        read_leaderboard([find_run(name, out) for name in run_names], allow_partial=allow_partial), seed=seed
    )
    page = write_leaderboard(board, output, pictures=images)
    for name, reason in board.barred:
        say(f"left out: {name}: {reason}", sys.stderr)
    if as_json:
        say_json(leaderboard_json(board), sys.stdout)
    else:
        say(str(page), sys.stdout)
    _say_how_to_view(output)
    return ExitCode.OK


# --- verbs: looking at pages ---------------------------------------------------------------------------------------


@cli.command()
@click.argument("name", metavar="RUN|PAGE")
@click.option("--port", type=click.IntRange(0, 65535), help="Serve it there, to this machine only; 0: a free one.")
@click.option("--no-browser", is_flag=True, help="Open nothing: serve the page and print its address.")
@_lookup_option
def view(name: str, port: int | None, no_browser: bool, out: Path) -> int:
    """Open the page of a run, a comparison, a leaderboard or a loop.

    Where there is no browser, or with --port, a small server gives the page to this machine alone (127.0.0.1), until
    Ctrl-C.
    """
    from harness.run_lookup import find_run
    from reports.view import PageServer, open_in_browser, page_of, site_of

    page = page_of(find_run(name, out))
    served = no_browser or port is not None
    if not served and open_in_browser(page.resolve().as_uri(), os.environ):
        say(str(page), sys.stdout)
        return ExitCode.OK
    with PageServer(site_of(page), port or 0) as server:
        try:
            _serve(server, page, browser=not no_browser)
        except KeyboardInterrupt:
            say("ended", sys.stderr)
    return ExitCode.OK


def _serve(server: PageServer, page: Path, *, browser: bool) -> None:
    """Give a page until Ctrl-C."""
    from reports.view import open_in_browser

    say(server.address, sys.stdout)
    say(
        f"serving {page} to this machine until Ctrl-C; from another one first: "
        f"ssh -L {server.server_port}:127.0.0.1:{server.server_port} HOST",
        sys.stderr,
    )
    if browser:
        open_in_browser(server.address, os.environ)
    server.serve_forever()


# --- verbs: looking things up -------------------------------------------------------------------------------------


@cli.group()
def tasks() -> None:
    """Benchmarks: list them, show one, check local data."""


@tasks.command("list")
@_json_option
def tasks_list(as_json: bool) -> int:
    """List tasks and groups."""
    from reports.terminal import write_line
    from tasks.catalog import BENCHMARKS, GROUPS

    if as_json:
        found = {name: {"title": item.title, "headline": item.headline} for name, item in BENCHMARKS.items()}
        say_json({"schema": 1, "tasks": found, "groups": dict(GROUPS)}, sys.stdout)
        return ExitCode.OK
    width = max(len(name) for name in [*BENCHMARKS, *GROUPS])
    for name, item in BENCHMARKS.items():
        write_line(f"{name:<{width}}  {item.title}  ({item.headline})", sys.stdout)
    for name, members in GROUPS.items():
        write_line(f"{name:<{width}}  group: {', '.join(members)}", sys.stdout)
    return ExitCode.OK


@tasks.command("show")
@click.argument("name")
def tasks_show(name: str) -> int:
    """Show one task: where its rows come from, what it needs, how it is scored."""
    from tasks.catalog import resolve_tasks

    for item in resolve_tasks(name):
        say(f"{item.name}: {item.title}", sys.stdout)
        place = (
            f"{item.hub_path} ({item.hub_config or 'default'}, split {item.hub_split})" if item.hub_path else "embedded"
        )
        facts = {
            "data": place,
            "columns": ", ".join(item.hub_columns),
            "TSV files": ", ".join(item.tsv_files) or "none",
            "TSV columns": ", ".join(item.tsv_columns) or "none",
            "rows": str(item.rows_expected or "not known"),
            "answers": item.answer_rule,
            "headline": item.headline,
            "token budget": str(item.max_new_tokens),
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
@click.option("--format", "form", type=click.Choice(FORMATS), default="satori", show_default=True)
@_prompt_options
@_data_option
@_dataset_option
@_json_option
def tasks_prompt(name: str, row: str | None, as_json: bool, **options: Any) -> int:
    """Print what a model is sent for one sample, turn by turn; its chat template is still to come."""
    from tasks.ask import AskSpec, asked_turns
    from tasks.prompts import given_words, wording
    from tasks.run import parse_dataset_overrides

    words = wording(
        options["form"],
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
@_data_option
@_dataset_option
@click.option("--all-images", is_flag=True, help="Decode every image, not a sample of them.")
@_json_option
def tasks_verify(names: str, data_dir: Path | None, datasets: tuple[str, ...], all_images: bool, as_json: bool) -> int:
    """Check the data of tasks: columns, counts, images, pairs; say what is missing."""
    from dataclasses import asdict

    from tasks.catalog import resolve_tasks
    from tasks.run import parse_dataset_overrides
    from tasks.verify import verify_task_data

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


@cli.group()
def runs() -> None:
    """Run folders: list them, show one, verify one."""


@runs.command("list")
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@_out_option
@_json_option
@click.pass_context
def runs_list(ctx: click.Context, folder: Path | None, out: Path, as_json: bool) -> int:
    """List the runs of FOLDER (default: --out), those begun last at the end.

    What stands under `run` names the run to every verb. `limited`: asked with --limit; `unfinished`: the command that
    began it goes on with it.
    """
    from reports.run_list import listed_runs, runs_json, runs_table
    from reports.terminal import write

    if folder is not None and ctx.get_parameter_source("out") is ParameterSource.COMMANDLINE:
        raise ConfigError(f"runs list takes one folder: {folder}, or --out {out}")
    place = folder or out
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}; runs lie in runs/ unless --out named another one")
    found = listed_runs(place)
    if as_json:
        say_json(runs_json(found), sys.stdout)
    elif found:
        write(runs_table(found), sys.stdout)
    else:
        say(f"no runs in {place}", sys.stderr)
    return ExitCode.OK


@runs.command("show")
@click.argument("run_name", metavar="RUN")
@_lookup_option
@_json_option
def runs_show(run_name: str, out: Path, as_json: bool) -> int:
    """Show a run's manifest and scores."""
    from harness.manifest import manifest_to_json
    from harness.rescore import config_of
    from harness.run_lookup import find_run
    from harness.run_store import load_run
    from harness.run_summary import summarise_records

    run_folder = find_run(run_name, out)
    stored = load_run(run_folder)
    manifest = manifest_to_json(stored.manifest)
    if as_json:
        say_json({"schema": 1, "manifest": manifest, "scores": stored.scores}, sys.stdout)
        return ExitCode.OK
    for key in ("status", "created_utc", "finished_utc", "model", "model_type", "weights_hash", "box_frame", "partial"):
        say(f"{key:<13} {manifest[key]}", sys.stdout)
    summary = summarise_records(stored.records(), config_of(stored.manifest), seed=stored.manifest.seed)
    _show_scores(summary, title=str(run_folder), as_json=False, run=None, table_to_stdout=True)
    for reason, count in list(summary.failures.items())[:_SHOWN_FAILURES]:
        say(f"{count} without an answer: {reason}", sys.stdout)
    return ExitCode.OK


@runs.command("page")
@click.argument("run_name", metavar="RUN")
@_lookup_option
def runs_page(run_name: str, out: Path) -> int:
    """Make a finished run's page (index.html) anew."""
    from harness.run_lookup import find_run
    from reports.run_page import PAGE_NAME, renew_page

    run_folder = find_run(run_name, out)
    renew_page(run_folder)
    say(str(run_folder / PAGE_NAME), sys.stdout)
    return ExitCode.OK


@runs.command("verify")
@click.argument("run_name", metavar="RUN")
@_lookup_option
def runs_verify(run_name: str, out: Path) -> int:
    """Check a run's checksums, counts and keys."""
    from harness.run_lookup import find_run
    from harness.run_verify import verify_run

    run_folder = find_run(run_name, out)
    problems = verify_run(run_folder)
    for problem in problems:
        say(problem, sys.stdout)
    if not problems:
        say(f"{run_folder}: ok", sys.stdout)
    return ExitCode.INCOMPLETE if problems else ExitCode.OK


@cli.command()
@click.option("--tasks", "names", default="core", show_default=True, help="Whose data to look for.")
@_data_option
@_out_option
@click.option("--judge", help="Also check what a judge needs.")
@click.option("--judge-key", envvar=["SATORI_BENCH_JUDGE_KEY", "OPENAI_API_KEY"], show_default=False)
@click.option("--judge-url")
@_json_option
@click.pass_context
def doctor(
    ctx: click.Context,
    names: str,
    data_dir: Path | None,
    out: Path,
    judge: str | None,
    judge_key: str | None,
    judge_url: str | None,
    as_json: bool,
) -> int:
    """Check imports, versions, device, disk and data before a run. Exits with 2 where `run` would fail."""
    _quiet_libraries(debug=ctx.obj["debug"])
    from dataclasses import asdict

    from tasks.doctor import DoctorSpec, diagnose

    found = diagnose(DoctorSpec(names, data_dir, out, judge, bool(judge_key or judge_url), _TRAIN_PARTS))
    if as_json:
        say_json({"schema": 1, "checks": [asdict(check) for check in found]}, sys.stdout)
    else:
        for check in found:
            say(f"{check.state:<5} {check.name}: {check.found}", sys.stdout)
            if check.mend:
                say(f"      mend: {check.mend}", sys.stdout)
    return ExitCode.USAGE if any(check.state == "fail" for check in found) else ExitCode.OK


# --- verbs: training ----------------------------------------------------------------------------------------------


_gpu_option = click.option(
    "--gpu-gib",
    type=click.FloatRange(0, min_open=True),
    help="Memory of a GPU that --dry-run plans for; default: the GPU here, or an 80 GB one.",
)


@cli.group()
def train() -> None:
    """Make the next checkpoint: a cold start (sft), then reinforcement learning with the scorer's rewards (grpo)."""


@train.command("sft")
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML of the stage's settings.")
@click.option("--profile", type=click.Choice(_PROFILE_NAMES), help="Machine; in place of the file's.")
@click.option("--dry-run", is_flag=True, help="Print the launch command, algebra, memory and arguments; write nothing.")
@_gpu_option
@_json_option
@click.pass_context
def train_sft(ctx: click.Context, **options: Any) -> int:
    """Teach a checkpoint to write the stages (TRL's SFT)."""
    return _train(ctx, "sft", **options)


@train.command("grpo")
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML of the stage's settings.")
@click.option("--profile", type=click.Choice(_PROFILE_NAMES), help="Machine; in place of the file's.")
@click.option("--dry-run", is_flag=True, help="Print the launch command, algebra, memory and arguments; write nothing.")
@_gpu_option
@_json_option
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
    from training.settings import merge_tables, read_toml, train_settings

    table = merge_tables(read_toml(file), {"profile": profile} if profile else {})
    settings = train_settings(stage, table, where=str(file))  # type: ignore[arg-type]  # sft or grpo
    _quiet_libraries(debug=ctx.obj["debug"])
    require_imports(_TRAIN_PARTS, "train")
    from training.launch import is_launched, launch, plan_launch, write_launch_file
    from training.machine import check_machine, this_machine
    from training.profiles import PROFILES

    machine = this_machine(gpu_gib)
    if dry_run:
        _show_launch(plan_launch(settings, file, machine), as_json=as_json)
        return ExitCode.OK
    from training.train import check_inputs, process_rank
    from training.train import train as train_stage

    if not is_launched():
        check_machine(settings, machine)
        check_inputs(settings)
        plan = plan_launch(settings, file, machine)
        if plan.memory.fits is False:
            _say_all(["warning: the memory may not do.", *plan.memory.lines], sys.stderr)
        if PROFILES[settings.profile].launch is not None:
            write_launch_file(plan, settings)
            return launch(plan)
    from reports.progress import RunProgress

    if process_rank() > 0:  # the first of several processes speaks for all
        train_stage(settings, _train_environment(None))
        return ExitCode.OK
    with RunProgress(sys.stderr) as progress:
        trained = train_stage(settings, _train_environment(progress))
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


def _train_environment(progress: RunProgress | None) -> Any:
    """Return what training takes from its surroundings; without a listener nothing is said either."""
    from datetime import UTC, datetime
    from importlib import metadata

    from tasks.run import package_versions
    from training.train import TrainEnvironment
    from training.trainers import Watch

    return TrainEnvironment(
        now=lambda: datetime.now(UTC),
        say=progress.say if progress is not None else lambda _: None,
        packages={**package_versions(), "trl": metadata.version("trl")},
        git_commit=os.environ.get("SATORI_BENCH_GIT_COMMIT"),
        watch=Watch(listener=progress),
    )


@cli.command()
@click.option("--config", "file", type=click.Path(path_type=Path), required=True, help="TOML of the loop.")
@click.option("--dry-run", is_flag=True, help="Print each step with its algebra and memory; write nothing.")
@_gpu_option
@_json_option
@click.pass_context
def loop(ctx: click.Context, file: Path, dry_run: bool, gpu_gib: float | None, as_json: bool) -> int:
    """Benchmark, train, benchmark again, compare: every step resumable, arms side by side."""
    from training.loop_settings import read_loop

    settings = read_loop(file)
    _quiet_libraries(debug=ctx.obj["debug"])
    _require_loop_imports("loop")
    if dry_run:
        _show_outlook(settings, gpu_gib, as_json=as_json)
        return ExitCode.OK
    return _run_loop(settings, as_json=as_json)


def _require_loop_imports(verb: str) -> None:
    """Refuse a verb that trains and benchmarks where either cannot work, before it makes anything."""
    from harness.installation import require_imports
    from tasks.doctor import MODEL_PARTS, RUN_PARTS

    require_imports([*RUN_PARTS, MODEL_PARTS["hf"], *_TRAIN_PARTS], verb)


def _show_outlook(settings: Any, gpu_gib: float | None, *, as_json: bool) -> None:
    """Print what a loop would do."""
    from training.loop_dry_run import outlook
    from training.machine import this_machine

    found = outlook(settings, this_machine(gpu_gib))
    if as_json:
        say_json(found.to_json(), sys.stdout)
        return
    for heading, *facts in found.steps:
        _say_all([heading, *(f"    {fact}" for fact in facts)], sys.stdout)
    for note in found.notes:
        say(note, sys.stdout)


def _run_loop(settings: Any, *, as_json: bool) -> int:
    """Run a loop and print its comparison."""
    import json
    from dataclasses import replace

    from harness.interruption import Interruption
    from reports.progress import RunProgress
    from training.loop import LoopEnvironment, run_loop
    from training.loop_plan import DataPaths, plan_loop, stages_of
    from training.machine import check_machine, this_machine

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

        run_environment = replace(_run_environment(progress, interruption), say=say_once)
        environment = LoopEnvironment(_train_environment(progress), run_environment, progress, _write_loop_report)
        result = run_loop(settings, environment)
    if as_json:
        say_json(json.loads(result.comparison.to_bytes()), sys.stdout, indent=1)
        return ExitCode.OK
    for decoding, comparison in result.comparison.by_decoding.items():
        say(f"asked {decoding}:", sys.stdout)
        _show_comparison(comparison)
    say(f"loop: {result.folder} (page: {result.folder / 'index.html'})", sys.stdout)
    _say_how_to_view(result.folder)
    return ExitCode.OK


def _write_loop_report(comparison: LoopComparison, folder: Path) -> None:
    """Write a loop's comparison for people into its folder: Markdown, and a page per way of asking."""
    from reports.loop_report import write_loop_report
    from training.loop_learning import learning_markdown

    write_loop_report(comparison.name, comparison.by_decoding, learning_markdown(comparison.learning), folder)


@cli.command()
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
@_json_option
@click.pass_context
def demo(ctx: click.Context, out: Path, arms: str, seed: int, as_json: bool) -> int:
    """Run the whole loop on a CPU with no network: a tiny Qwen2.5-VL learns Shapes and is compared with itself.

    Everything is made on the spot: the model from its configuration, its tokenizer, the images and questions.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _quiet_libraries(debug=ctx.obj["debug"])
    _require_loop_imports("demo")
    from training.demo import demo_loop

    return _run_loop(demo_loop(out, arms=arms, seed=seed), as_json=as_json)


# --- verbs: how noisy a checkpoint's policy gradient is ------------------------------------------------------------


@cli.command("variance-probe")
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
@click.option("--protocol", type=click.Choice(["strict", "paper"]), default="strict", show_default=True)
@click.option("--format", "form", type=click.Choice(FORMATS), default="satori", show_default=True)
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
@_json_option
@click.pass_context
def variance_probe(ctx: click.Context, as_json: bool, reward_sets: str, **options: Any) -> int:
    """Measure a checkpoint's policy-gradient noise under different rewards, on the same frozen rollouts."""
    _quiet_libraries(debug=ctx.obj["debug"])

    from harness.installation import require_imports
    from reports.probe_table import probe_lines, probe_table
    from reports.progress import RunProgress
    from reports.terminal import write
    from tasks.run import package_versions

    require_imports(_TRAIN_PARTS, "variance-probe")
    from training.probe_spec import ProbeSpec
    from training.variance_probe import probe_to_json, run_probe

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


if __name__ == "__main__":
    main()
