"""The `satori-bench` command: its verbs, its exit codes, and what is said of a fault.

A verb reads its options into a frozen configuration, calls one function, prints the result to stdout and returns an
exit code; progress goes to stderr. Options come from, in this order: flag, `SATORI_BENCH_*` variable,
`satori-bench.toml` (or `--config FILE`), default; `--show-config` tells which.
"""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import NoReturn

import click

from satori_bench.shadows import refuse_shadows

# Before anything of ours is imported. `training` is looked at by the verbs that need it: many projects have one.
refuse_shadows("harness", "tasks", "reports")

from harness.errors import ExitCode, UserError
from reports.terminal.printing import outlast_readers, say
from satori_bench.config_file import read_config
from satori_bench.verb import Verbs
from satori_bench.verbs.attend import attend
from satori_bench.verbs.board import leaderboard, view
from satori_bench.verbs.compare import compare, gate, noise
from satori_bench.verbs.data import data
from satori_bench.verbs.exports import export
from satori_bench.verbs.imports import import_log
from satori_bench.verbs.loop import demo, loop
from satori_bench.verbs.parity import parity
from satori_bench.verbs.presets import presets
from satori_bench.verbs.probe import variance_probe
from satori_bench.verbs.probe_regions import probe
from satori_bench.verbs.run import run
from satori_bench.verbs.runs import runs
from satori_bench.verbs.score import rescore, score
from satori_bench.verbs.submission import submission
from satori_bench.verbs.tasks import doctor, tasks
from satori_bench.verbs.train import train
from satori_bench.verbs.watch import watch

_RESUMED_VERBS = ("run", "watch", "train", "loop", "demo")
"""What goes on where it was when the same command is given again."""


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="satori-bench", prog_name="satori-bench")
@click.option("--config", "config_file", type=click.Path(dir_okay=False, path_type=Path), help="TOML file of options.")
@click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own messages.")
@click.pass_context
def cli(ctx: click.Context, config_file: Path | None, debug: bool) -> None:
    """Evaluate vision-language models that say where they looked: answer, caption and boxes."""
    ctx.ensure_object(dict)
    ctx.obj["debug"] = debug
    ctx.default_map = read_config(ctx, config_file)


def _fail(message: str, code: int) -> NoReturn:
    """Print one line of error and leave."""
    say(f"error: {message}", sys.stderr)
    _leave(code)


def _leave(code: int) -> NoReturn:
    """Leave with what was found, whatever becomes of the text still to be written (reports/terminal/printing.py)."""
    sys.stdout.flush()
    sys.stderr.flush()
    gc.freeze()  # else Python looks for dead objects in all of PyTorch, several times, before it ends
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


_VERBS = (
    run,
    watch,
    score,
    rescore,
    import_log,
    data,
    compare,
    gate,
    noise,
    parity,
    attend,
    probe,
    submission,
    export,
    leaderboard,
    view,
    presets,
    tasks,
    doctor,
    runs,
    train,
    loop,
    demo,
    variance_probe,
)
for _verb in _VERBS:
    cli.add_command(_verb)
