"""Asks the same samples by two backends, for `doctor --compare-backends`."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from harness.comparison.backends import BackendComparison, compare_records
from harness.installation import require_extra
from harness.runs.store import load_run
from harness.values import Record
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec


def compare_backends(spec: RunSpec, backends: tuple[str, str], environment: RunEnvironment) -> BackendComparison:
    """Ask the same samples by one backend after the other; runs go to a folder that is removed afterwards.

    Args:
        spec: What is asked; its `backend` is replaced.
        backends: The two; `openai` asks at the configuration's `base_url`.
        environment: As for a run.

    Raises:
        UserError: as a run.
    """
    if "vllm" in backends:  # before the other one is asked for minutes
        require_extra("vllm", "doctor --compare-backends")
    with tempfile.TemporaryDirectory(prefix="satori-backends-") as folder:
        records: list[list[Record]] = []
        for backend in backends:
            environment.say(f"asking by {backend}")
            of_server = {} if backend == "openai" else {"base_url": None, "served_name": None}
            asked = replace(spec, backend=backend, out=Path(folder) / backend, thumbnails=False, **of_server)
            found = run_benchmarks(asked, replace(environment, write_page=None), again=True)
            records.append(list(load_run(found.folder).records()))
    return compare_records(backends, records[0], records[1], seed=spec.seed)
