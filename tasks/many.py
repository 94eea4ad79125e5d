"""Ask several checkpoints the same, one ordinary run each, with data and prompts opened once.

What keeps one checkpoint from being asked is told and the others go on; what would keep all of them (the disk, Ctrl-C)
ends the command.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from harness.errors import ExitCode, UserError
from harness.runs.journal import StoreError
from harness.runs.store import model_slug
from tasks.checkpoint_folders import is_checkpoint, is_numbered
from tasks.run import Asked, RunResult, open_asked, prepare_run, run_prepared
from tasks.run_spec import RunEnvironment, RunSpec

Ask: TypeAlias = Callable[[RunSpec, RunEnvironment], RunResult]
"""Makes one run, or returns the finished one of equal input."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one checkpoint."""

    model: str
    """Its folder or hub id."""
    result: RunResult | None = None
    """Its run; None where there is none."""
    fault: str = ""
    """Why there is none; empty where there is one."""
    exit_code: ExitCode = ExitCode.OK
    """What a command that asked this one alone would leave with."""
    removed: bool = False
    """Whether it went away while it was read, as a training's older checkpoints do."""


def asking(
    spec: RunSpec,
    environment: RunEnvironment,
    *,
    again: bool = False,
    sharded: Callable[[RunSpec, RunEnvironment, bool], RunResult] | None = None,
) -> Ask:
    """Return what makes a run of one more model; the data are opened now, once for all of them.

    Args:
        spec: What is asked; its model is not looked at.
        environment: What the runs take from their surroundings.
        again: Whether to make a run though an equal one is finished.
        sharded: Has a run asked shard by shard, elsewhere, where the data are opened once more; None asks it here.

    Raises:
        UserError: Something is configured wrongly, whichever model is asked.
    """
    asked: Asked = open_asked(spec, environment.say)

    def ask(one: RunSpec, around: RunEnvironment) -> RunResult:
        if sharded is not None:
            return sharded(one, around, again)
        return run_prepared(prepare_run(one, around, asked), around, again=again)

    return ask


def ask_checkpoint(spec: RunSpec, environment: RunEnvironment, ask: Ask) -> Outcome:
    """Ask one checkpoint of several, and free what its model took.

    Raises:
        StoreError: The disk refuses: it would refuse the others too.
        KeyboardInterrupt: Ctrl-C.
    """
    try:
        result = ask(spec, environment)
    except StoreError:
        raise
    except UserError as fault:
        return _failed(spec.model, str(fault), fault.exit_code)
    except Exception as fault:  # noqa: BLE001 - whatever one checkpoint brings about, the others go on
        return _failed(spec.model, f"unexpected {type(fault).__name__}: {fault}", ExitCode.CRASH)
    finally:
        _free_memory()
    return Outcome(spec.model, result, exit_code=ExitCode.OK if result.summary.is_complete else ExitCode.INCOMPLETE)


def run_spec_of(spec: RunSpec, model: str) -> RunSpec:
    """Return the specification for one of several models; a name that was given is told apart by the model's."""
    return replace(spec, model=model, name=None if spec.name is None else f"{spec.name}-{model_slug(model)}")


def exit_code_of(outcomes: Sequence[Outcome]) -> ExitCode:
    """Return the exit code for several checkpoints: 0 when each has a whole run.

    Where none has one it is the first one's; else 5, or 1 for an error that nobody foresaw.
    """
    codes = [outcome.exit_code for outcome in outcomes]
    if not any(codes):
        return ExitCode.OK
    if all(codes) and all(outcome.result is None for outcome in outcomes):
        return codes[0]
    return ExitCode.CRASH if ExitCode.CRASH in codes else ExitCode.INCOMPLETE


def _failed(model: str, fault: str, code: ExitCode) -> Outcome:
    """Return what became of a checkpoint that could not be asked; one that is no longer there was removed meanwhile."""
    if is_numbered(Path(model)) and not is_checkpoint(Path(model)):
        return Outcome(model, fault="it was removed while it was read", exit_code=ExitCode.INCOMPLETE, removed=True)
    return Outcome(model, fault=fault, exit_code=code)


def _free_memory() -> None:
    """Give back what the last model took before the next one is loaded; its memory of pictures refers to itself."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
