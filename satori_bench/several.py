"""Several checkpoints of one command: a run each, a line each, and one table at the end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, TypeAlias

from reports.terminal.printing import say, say_json
from satori_bench.showing import show_incomplete, show_table, warn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from harness.comparison.compare import SideSpec
    from harness.comparison.values import Comparison
    from reports.terminal.progress import RunProgress
    from tasks.many import Outcome
    from tasks.run import RunResult
    from tasks.run_spec import RunEnvironment, RunSpec

    Sharded: TypeAlias = Callable[[RunSpec, RunEnvironment, bool], RunResult]
    """Has a run asked shard by shard; the last argument says whether to make one though an equal one is finished."""


class Asker:
    """Asks one checkpoint after the other; what is decided alike for all of them is said once."""

    def __init__(
        self,
        spec: RunSpec,
        surroundings: Callable[[RunProgress], RunEnvironment],
        sharded: Sharded | None,
        *,
        again: bool,
    ) -> None:
        """Open what is asked.

        Raises:
            UserError: Something is configured wrongly, whichever checkpoint is asked.
        """
        from reports.terminal.progress import RunProgress
        from tasks.many import asking

        self._spec, self._surroundings = spec, surroundings
        self._said: set[str] = set()
        self.is_asking = False
        """Whether a checkpoint is under way."""
        with RunProgress(sys.stderr) as progress:
            self._ask = asking(spec, surroundings(progress), again=again, sharded=sharded)

    def ask(self, model: str, heading: str) -> Outcome:
        """Ask one checkpoint under a heading."""
        from dataclasses import replace

        from reports.terminal.progress import RunProgress
        from tasks.many import ask_checkpoint, run_spec_of

        self.is_asking = True
        with RunProgress(sys.stderr) as progress:
            progress.say(heading)
            environment = replace(self._surroundings(progress), say=_said_once(self._said, progress.say))
            outcome = ask_checkpoint(run_spec_of(self._spec, model), environment, self._ask)
        self.is_asking = False
        return outcome


def outcomes_of(
    spec: RunSpec,
    models: Sequence[str],
    surroundings: Callable[[RunProgress], RunEnvironment],
    sharded: Sharded | None,
    *,
    again: bool,
) -> Iterator[Outcome]:
    """Ask models one after the other."""
    asker = Asker(spec, surroundings, sharded, again=again)
    for number, model in enumerate(models, start=1):
        outcome = asker.ask(model, f"[{number}/{len(models)}] {model}")
        show_outcome(outcome)
        yield outcome


def _said_once(said: set[str], say_it: Callable[[str], None]) -> Callable[[str], None]:
    def say_once(text: str) -> None:
        if text not in said:
            said.add(text)
            say_it(text)

    return say_once


def show_outcome(outcome: Outcome) -> None:
    """Say on stderr what became of one checkpoint, at once: a failure of the first is not to be found at the end."""
    if outcome.result is None:
        say(f"error: {outcome.model}: {outcome.fault}", sys.stderr)
        return
    say(f"run: {outcome.result.folder}", sys.stderr)
    warn(outcome.result.summary)
    if outcome.exit_code:
        show_incomplete(outcome.result)


def show_outcomes(outcomes: Sequence[Outcome], *, seed: int, as_json: bool) -> int:
    """Print what all checkpoints scored, each with its change against the first; return the exit code."""
    from harness.comparison.to_json import comparison_to_json
    from reports.terminal.checkpoint_table import checkpoint_table
    from reports.terminal.tables import write
    from tasks.many import exit_code_of

    comparison = _compared(outcomes, seed)
    if as_json:
        runs = [outcome_json(outcome) for outcome in outcomes]
        found = None if comparison is None else comparison_to_json(comparison)
        say_json({"schema": 1, "runs": runs, "comparison": found}, sys.stdout)
        return exit_code_of(outcomes)
    if comparison is not None:
        write(checkpoint_table(comparison), sys.stdout)
    else:
        for outcome in outcomes:
            if outcome.result is not None:
                summary = outcome.result.summary
                show_table(summary.tasks, title=outcome.model, protocol=summary.protocol_version, stream=sys.stdout)
                break
    for outcome in outcomes:
        what = f"no run: {outcome.fault}" if outcome.result is None else f"run: {outcome.result.folder}"
        say(f"{outcome.model}: {what}", sys.stdout)
    return exit_code_of(outcomes)


def _compared(outcomes: Sequence[Outcome], seed: int) -> Comparison | None:
    """Return all runs beside the first one; None where there are not two."""
    from harness.comparison.compare import compare_runs

    sides = sides_of(outcomes)
    if len(sides) < 2:
        return None
    return compare_runs(sides, pairs=[(0, place) for place in range(1, len(sides))], seed=seed)


def sides_of(outcomes: Sequence[Outcome]) -> list[SideSpec]:
    """Return the checkpoints with runs of their own (equal weights share one) as sides with names that differ."""
    from harness.comparison.compare import SideSpec
    from harness.runs.store import load_run

    folders = {outcome.result.folder.resolve(): outcome.model for outcome in reversed(outcomes) if outcome.result}
    labels = short_names(list(folders.values()))
    return [SideSpec(labels[model], (load_run(folder),)) for folder, model in reversed(folders.items())]


def short_names(models: Sequence[str]) -> dict[str, str]:
    """Return the shortest ends of paths that tell them apart."""
    for parts in range(1, max((len(model.split("/")) for model in models), default=0) + 1):
        names = {model: "/".join(model.rstrip("/").split("/")[-parts:]) for model in models}
        if len(set(names.values())) == len(set(models)):
            return names
    return {model: model for model in models}


def outcome_json(outcome: Outcome) -> dict[str, object]:
    """Return what became of one checkpoint as JSON."""
    told: dict[str, object] = {"model": outcome.model, "exit_code": int(outcome.exit_code)}
    if outcome.result is None:
        return {**told, "run": None, "fault": outcome.fault}
    return {**told, **outcome.result.summary.to_json(), "run": str(outcome.result.folder)}
