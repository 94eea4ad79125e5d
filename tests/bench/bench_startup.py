"""Start-up of the command: CPU of `--help`, wall time of `tasks list`.

python -P tests/bench/bench_startup.py
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import harness

CODE_ROOT = Path(harness.__file__).parents[1]
TRIES = 10


def cost(arguments: list[str]) -> tuple[float, float]:
    """Return the least CPU and wall seconds of a few tries, with compiled modules in place."""
    command = [sys.executable, "-P", "-c", "import satori_bench; satori_bench.main()", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(CODE_ROOT)}
    cpu_s, wall_s = [], []
    for _ in range(TRIES):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall_s.append(time.perf_counter() - started)
        cpu_s.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(cpu_s), min(wall_s)


def main() -> None:
    """Measure and print the table."""
    help_cpu_s, _ = cost(["--help"])
    _, list_wall_s = cost(["tasks", "list"])
    print("start-up of the command")
    print(f"  --help      {1000 * help_cpu_s:6.0f} ms CPU  (wanted: at most 150)")
    print(f"  tasks list  {1000 * list_wall_s:6.0f} ms wall (wanted: at most 1,000)")


if __name__ == "__main__":
    main()
