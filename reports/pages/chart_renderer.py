"""Hand charts to a process that renders them, and outlive its death.

One process serves all charts of this one, so that its start is paid once. Where it dies (an address-space limit, as
batch systems set it, ends the JavaScript engine by a trap) or does not answer in time, there is no picture: every
chart's numbers stand in a table as well.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

ANSWER_S = 60.0
"""A chart takes a fraction of a second; the first also waits for the engine to start."""

MOST_DEATHS = 2
"""So many processes may die before no further one is started."""

_PROGRAM = Path(__file__).with_name("chart_process.py")


class ChartRenderer:
    """Renders Vega-Lite specifications in a child process, which is started when the first chart comes."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None
        self._deaths = 0

    def svg(self, specification: Mapping[str, Any]) -> str | None:
        """Return the SVG of a chart; None where it could not be rendered."""
        if self._deaths >= MOST_DEATHS:
            return None
        try:
            child = self._child or self._start()
            assert child.stdin is not None
            assert child.stdout is not None
            child.stdin.write(json.dumps(specification) + "\n")
            child.stdin.flush()
            ready, _, _ = select.select([child.stdout], [], [], ANSWER_S)
            line = child.stdout.readline() if ready else ""
        except OSError:  # also a pipe whose other end is gone
            line = ""
        if not line.endswith("\n"):
            self._deaths += 1
            self.close()
            return None
        answer = cast("dict[str, str]", json.loads(line))
        return answer.get("svg")

    def _start(self) -> subprocess.Popen[str]:
        """Start the child; it hears no Ctrl-C, which is for us to answer."""
        self._child = subprocess.Popen(  # noqa: S603 - our own program, by its full name
            [sys.executable, "-P", str(_PROGRAM)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
            start_new_session=True,
        )
        return self._child

    def close(self) -> None:
        """End the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()


RENDERER = ChartRenderer()
"""The process's one renderer."""

atexit.register(RENDERER.close)
