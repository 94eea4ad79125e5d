"""`runs watch`: show runs under way until they end, on a terminal in place, elsewhere a line at times."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.text import Text

from harness.evaluation.running import Pace, Running, merged_run, running_run, running_runs, scores_so_far
from reports.terminal.printing import line_of, say, say_json
from reports.terminal.progress import LINE_EVERY_S
from reports.terminal.running_table import Look, look_to_json, name_of, running_line, running_table

if TYPE_CHECKING:
    from harness.summary.summary_values import TaskSummary

_LOOK_EVERY_S = 1.0
_SHARE = 0.05
"""Of the time, at most so much is spent on looking: reckoning a long run's scores takes seconds."""


@dataclass(slots=True)
class _Followed:
    """What is remembered of one run between looks."""

    pace: Pace = field(default_factory=Pace)
    scores: Mapping[str, TaskSummary] = field(default_factory=dict[str, "TaskSummary"])
    scored: int = -1
    """Records that the scores are of."""
    next_scores_s: float = 0.0
    """When they may be reckoned again."""


class Follower:
    """Looks at runs again and again, and spends little of the time on it."""

    def __init__(self, folders: Callable[[], Sequence[Running]], clock: Callable[[], float] = time.time) -> None:
        """Follow what `folders` returns at each look."""
        self._folders, self._clock = folders, clock
        self._known: dict[Path, _Followed] = {}
        self.ended: list[Path] = []
        """Folders that were being written at the last look and are no longer."""

    def look(self) -> list[Look]:
        """Return all runs as they are now."""
        found = {running.folders[0]: running for running in self._folders()}
        self.ended = [folder for folder in self._known if folder not in found]
        for folder in self.ended:
            del self._known[folder]
        return [self._looked(folder, running) for folder, running in found.items()]

    def _looked(self, folder: Path, running: Running) -> Look:
        known = self._known.setdefault(folder, _Followed())
        now_s = self._clock()
        known.pace.see(now_s, running.done)
        if running.done != known.scored and now_s >= known.next_scores_s:
            known.scores, known.scored = scores_so_far(running), running.done
            took_s = self._clock() - now_s
            known.next_scores_s = self._clock() + took_s / _SHARE
        return Look(running, known.scores, known.pace.per_s)


def follower_of(place: Path, *, of_one_run: bool) -> Follower:
    """Return a follower of one unfinished run, or of all below a folder of runs."""

    def one() -> list[Running]:
        running = running_run(place)
        return [] if running is None else [running]

    return Follower(one if of_one_run else lambda: running_runs(place))


def show_once(follower: Follower, *, as_json: bool) -> int:
    """Print how all runs are now; return how many there are."""
    from reports.terminal.tables import write

    if follower.look():
        time.sleep(_LOOK_EVERY_S)  # a pace takes two looks
    looks, now_s = follower.look(), time.time()
    if as_json:
        say_json({"schema": 1, "runs": [look_to_json(look, now_s) for look in looks]}, sys.stdout)
    elif looks:
        write(running_table(looks, now_s), sys.stdout)
    return len(looks)


def show_until_ended(follower: Follower, *, stays: bool) -> None:
    """Show runs until none is left; with `stays` until Ctrl-C, as new ones may come."""
    console = Console(file=sys.stdout)
    if sys.stdout.isatty() and not console.is_dumb_terminal:
        _show_live(follower, console, stays=stays)
    else:
        _show_lines(follower, stays=stays)


def _show_live(follower: Follower, console: Console, *, stays: bool) -> None:
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            started_s = time.monotonic()
            looks = follower.look()
            for folder in follower.ended:
                live.console.print(Text(line_of(ended_line(folder))))
            if not looks and not stays:
                return
            lines = running_table(looks, time.time()).lines(console.width) if looks else ["no run is under way"]
            room = max(3, console.height - 2)
            shown = lines if len(lines) <= room else [*lines[: room - 1], f"… {len(lines) - room + 1} more lines"]
            live.update(Text("\n".join(map(line_of, shown)), no_wrap=True), refresh=True)
            time.sleep(max(_LOOK_EVERY_S, (time.monotonic() - started_s) / _SHARE))


def _show_lines(follower: Follower, *, stays: bool) -> None:
    said_s: dict[str, float] = {}
    while True:
        started_s = time.monotonic()
        looks = follower.look()
        for folder in follower.ended:
            say(ended_line(folder), sys.stdout)
        if not looks and not stays:
            return
        for look in looks:
            name = name_of(look.running)
            if started_s - said_s.get(name, -LINE_EVERY_S) >= LINE_EVERY_S:
                said_s[name] = started_s
                say(running_line(look, time.time()), sys.stdout)
        sys.stdout.flush()
        time.sleep(max(_LOOK_EVERY_S, (time.monotonic() - started_s) / _SHARE))


def ended_line(folder: Path) -> str:
    """Say what became of a run that is no longer being written."""
    from harness.runs.store import PARTIAL_SUFFIX, load_run
    from harness.summary.stored_scores import stored_summaries
    from reports.terminal.tables import task_line

    published = folder.with_name(folder.name.removesuffix(PARTIAL_SUFFIX))
    parts = next((parent for parent in folder.parents if parent.name.startswith(".") and parent.name != ".."), None)
    if parts is not None:  # a shard's scores are nobody's: those of all together are wanted
        published = merged_run(parts.parent, folder) or published
    if not published.is_dir():
        return f"{folder.name}: it is no longer here"
    try:
        run = load_run(published)
        told = "; ".join(map(task_line, stored_summaries(run).values())) if run.finished else "it is not finished"
    except Exception as fault:  # noqa: BLE001 - whatever is wrong with one run, the others are shown
        told = f"cannot be read: {fault}"
    return f"{published}: {told}"
