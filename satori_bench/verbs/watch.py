"""`watch`: evaluate a training's checkpoints as they appear, and gate them."""

from __future__ import annotations

import signal
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import ConfigError, ExitCode
from reports.terminal.printing import say, say_json
from satori_bench.options import Amount
from satori_bench.several import Asker, show_outcome
from satori_bench.surroundings import quiet_libraries
from satori_bench.verb import Verb
from satori_bench.verbs.run import run, run_spec, sharded, surroundings_of

if TYPE_CHECKING:
    from harness.comparison.values import Comparison
    from harness.gate.policy import GatePolicy
    from harness.gate.verdict import Verdict
    from tasks.many import Outcome

_NOT_WATCHED = frozenset({"models", "preset", "retry", "shard", "again", "show_config"})
"""Options of `run` that name a model, or one run."""
_ITS_OWN = frozenset({"as_json"})
"""Options that are about what a verb prints: `[run]` says nothing about `watch` with them."""


def _options_of_run() -> list[click.Parameter]:
    """Return how a checkpoint is asked: as `run` asks it."""
    return [parameter for parameter in run.params if parameter.name not in _NOT_WATCHED]


@click.pass_context
def _watch(
    ctx: click.Context,
    folder: Path,
    policy_file: Path | None,
    baseline: str | None,
    fail_on: str,
    once: bool,
    until: int | None,
    idle_s: float | None,
    every_s: float,
    page: bool,
    as_json: bool,
    **options: Any,
) -> int:
    """Evaluate each checkpoint of a training in FOLDER as it appears: a run, a line, and a verdict if asked for one.

    A checkpoint is whole once its trainer_state.json, which transformers writes last, is there and its weights are as
    long as they say; without that file, once nothing in it has changed for a minute. The earliest is asked first; one
    that is removed meanwhile (save_total_limit) is passed over; one that fails is told once. What is finished is not
    asked again: the same command goes on after a kill. Ctrl-C and SIGTERM end it after the batch in flight.

    What [watch] of satori-bench.toml leaves open of how a checkpoint is asked comes from [run].

    Exit code: that of the last verdict (--fail-on any: of the worst), as `gate` has it; 5 when a checkpoint could not
    be asked whole; 130 when it was stopped in the middle of one.
    """
    quiet_libraries(debug=ctx.obj["debug"])
    from harness.models.interruption import Interruption
    from tasks.watch import Clock, Until, watch_folder

    if folder.is_file():
        raise ConfigError(f"{folder} is a file: watch takes the folder that a training writes its checkpoints into")
    spec = run_spec({**options, "models": (str(folder),), "preset": None, "shard": None})
    session = Session(seed=spec.seed, as_json=as_json)
    if policy_file is not None or baseline is not None:
        from harness.gate.policy import read_policy

        session.policy = read_policy(policy_file, None)
    asker: Asker | None = None
    with Interruption(signal.SIGTERM) as interruption:
        try:
            asker = Asker(spec, surroundings_of(options, interruption, page=page), sharded(spec, options), again=False)
            if baseline is not None:
                from harness.runs.lookup import find_run

                session.hold_against(find_run(baseline, spec.out))

            watch_folder(
                folder,
                lambda checkpoint: session.taken(asker.ask(str(checkpoint), str(checkpoint))),
                Until(once, until, idle_s),
                every_s=every_s,
                clock=Clock(time.time, time.sleep),
                say=lambda text: say(text, sys.stderr),
            )
        except KeyboardInterrupt:
            if asker is None or asker.is_asking:
                raise
            say("stopped: no checkpoint was under way", sys.stderr)
    if not session.codes:
        say(f"error: no whole checkpoint was found in {folder}: nothing was asked", sys.stderr)
    return session.exit_code(any_counts=fail_on == "any")


watch = Verb(
    "watch",
    callback=_watch,
    help=_watch.__doc__,
    behind="run",
    taken=[parameter.name for parameter in _options_of_run() if parameter.name and parameter.name not in _ITS_OWN],
    params=[
        click.Argument(["folder"], type=click.Path(path_type=Path)),
        click.Option(
            ["--gate", "policy_file"],
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="POLICY",
            help="Judge each checkpoint by this gate.toml, against --baseline or else the first one asked.",
        ),
        click.Option(["--baseline"], metavar="RUN", help="The run to hold each checkpoint to."),
        click.Option(
            ["--fail-on"],
            type=click.Choice(["last", "any"]),
            default="last",
            show_default=True,
            help="Whose verdict the exit code is.",
        ),
        click.Option(["--once"], is_flag=True, help="Ask what is whole now, and do not wait."),
        click.Option(["--until"], type=click.IntRange(1), metavar="N", help="End after N checkpoints."),
        click.Option(
            ["--idle", "idle_s"],
            type=Amount(0),
            metavar="SECONDS",
            help="End when no new one has appeared for so long.",
        ),
        click.Option(
            ["--every", "every_s"],
            type=Amount(0, min_open=True),
            default=5.0,
            show_default=True,
            help="Seconds between two looks at the folder.",
        ),
        *_options_of_run(),
    ],
)


@dataclass(slots=True)
class Session:
    """What watching has come to so far."""

    seed: int
    """Fixes the draws of comparisons."""
    as_json: bool
    """Whether a JSON object a checkpoint is printed in place of a line."""
    policy: GatePolicy | None = None
    """What checkpoints are held to; None judges none."""
    baseline: Path | None = None
    """The run that each is compared with; None before the first one."""
    is_given: bool = False
    """Whether a person named the baseline."""
    codes: list[ExitCode] = field(default_factory=list["ExitCode"])
    """Of the checkpoints, in their order."""

    def hold_against(self, run_folder: Path) -> None:
        """Take the run that a person named as the baseline.

        Raises:
            IncompleteError: It is not finished.
        """
        from harness.errors import IncompleteError
        from harness.runs.store import load_run

        if not load_run(run_folder).finished:
            raise IncompleteError(f"the baseline {run_folder} is not finished: its command goes on with it")
        self.baseline, self.is_given = run_folder, True

    def taken(self, outcome: Outcome) -> Outcome:
        """Print what became of a checkpoint, keep its exit code, and return it."""
        if outcome.removed:
            say(f"{outcome.model} is passed over: {outcome.fault}", sys.stderr)
            return outcome
        show_outcome(outcome)
        comparison, verdict = (None, None) if outcome.result is None else self._judged(outcome.result.folder)
        code = outcome.exit_code or (ExitCode.OK if verdict is None else verdict.exit_code)
        self.codes.append(code)
        if self.as_json:
            say_json(_as_json(outcome, verdict, code), sys.stdout, indent=None)
        else:
            say(_line(outcome, comparison, verdict), sys.stdout)
        sys.stdout.flush()
        return outcome

    def _judged(self, run_folder: Path) -> tuple[Comparison | None, Verdict | None]:
        """Return a run beside the baseline, and what the gate says of it; nothing of the first without a baseline."""
        if self.baseline is None:
            self.baseline = run_folder
        if self.baseline.resolve() == run_folder.resolve():
            return None, None
        from harness.comparison.compare import SideSpec, compare_runs
        from harness.gate.verdict import judge
        from harness.runs.store import load_run

        base = load_run(self.baseline)
        comparison = compare_runs(
            [SideSpec(self.baseline.name, (base,)), SideSpec(run_folder.name, (load_run(run_folder),))],
            pairs=[(0, 1)],
            seed=self.seed,
        )
        return comparison, None if self.policy is None else judge(comparison, self.policy)

    def exit_code(self, *, any_counts: bool) -> ExitCode:
        """Return the exit code of all checkpoints: of the last verdict, or of the worst one.

        One that could not be asked whole counts wherever it stands: nobody knows what its verdict would be. So does
        having asked none: a training that left nothing is no pass.
        """
        if not self.codes:
            return ExitCode.INCOMPLETE
        judged = (ExitCode.OK, ExitCode.REGRESSION, ExitCode.INCONCLUSIVE)
        failed = [code for code in self.codes if code not in judged]
        verdicts = [code for code in self.codes if code in judged]
        worst_first = (ExitCode.REGRESSION, ExitCode.INCONCLUSIVE, ExitCode.OK)
        verdict = ExitCode.OK
        if verdicts:
            verdict = min(verdicts, key=worst_first.index) if any_counts else verdicts[-1]
        if verdict:
            return verdict
        if failed and len(failed) == len(self.codes):
            return failed[0]
        return ExitCode.INCOMPLETE if failed else ExitCode.OK


def _line(outcome: Outcome, comparison: Comparison | None, verdict: Verdict | None) -> str:
    """Return what a checkpoint came to as one line."""
    from reports.terminal.checkpoint_table import change_line
    from reports.terminal.tables import task_line

    name = Path(outcome.model).name
    if outcome.result is None:
        return f"{name}: no run: {outcome.fault}"
    if comparison is None:
        told = "; ".join(map(task_line, outcome.result.summary.tasks.values()))
    else:
        told = f"{change_line(comparison.pairs[0])} against {comparison.sides[0].label}"
    judged = "" if verdict is None else f"{verdict.sentence}; "
    return f"{name}: {judged}{told}; {outcome.result.folder}"


def _as_json(outcome: Outcome, verdict: Verdict | None, code: ExitCode) -> dict[str, Any]:
    from harness.gate.verdict import verdict_to_json
    from satori_bench.several import outcome_json

    found = outcome_json(replace(outcome, exit_code=code))
    return {"schema": 1, **found, "verdict": None if verdict is None else verdict_to_json(verdict)}
