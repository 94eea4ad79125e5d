"""Look at the surroundings before a run: packages, device, disk, data, and what a judge needs."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal, TypeAlias

from tasks.benchmark import Benchmark
from tasks.catalog import resolve_tasks
from tasks.local_data import candidate_files, find_local_files

State: TypeAlias = Literal["ok", "warn", "fail"]

NEEDED_PACKAGES = (
    "torch",
    "torchvision",
    "transformers",
    "lmms-eval",
    "accelerate",
    "peft",
    "datasets",
    "pillow",
    "pyarrow",
)
LEAST_FREE_GIB = 1.0
"""A full core run with thumbnails stays below this."""
HUB_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class DoctorSpec:
    """What to look at."""

    tasks: str
    """Whose data to look for."""
    data_dir: Path | None
    """Folder of local data."""
    out: Path
    """Where runs will go."""
    judge: str | None
    """Judge model, when one is wanted."""
    judge_reachable: bool
    """Whether a key or a local endpoint for it was given."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding."""

    name: str
    """What was looked at."""
    state: State
    """`fail` means that a run would not work."""
    found: str
    """What was found."""
    mend: str = ""
    """What to do about it; empty when nothing is to be done."""


def diagnose(spec: DoctorSpec) -> list[Check]:
    """Return every finding, in a fixed order.

    Raises:
        UnknownTaskError: `spec.tasks` names something unknown.
    """
    benchmarks = resolve_tasks(spec.tasks)
    checks = [_packages(), _device(), _disk(spec.out)]
    checks += [_data(benchmark, spec.data_dir) for benchmark in benchmarks]
    checks.append(_judge(spec))
    return checks


def _packages() -> Check:
    """Look for the packages that a run needs."""
    versions: list[str] = []
    missing: list[str] = []
    for name in NEEDED_PACKAGES:
        try:
            versions.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Check("packages", "fail", f"missing: {', '.join(missing)}", f"pip install {' '.join(missing)}")
    return Check("packages", "ok", ", ".join(versions))


def _device() -> Check:
    """Say which device a run would use."""
    try:
        import torch  # noqa: PLC0415 - seconds of import that only this check needs
    except (ImportError, OSError) as fault:
        return Check("device", "fail", f"torch cannot be imported: {fault}", "pip install torch torchvision")
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(place) for place in range(torch.cuda.device_count())]
        return Check("device", "ok", ", ".join(names))
    mend = "" if torch.get_num_threads() == 1 else "on a busy machine set OMP_NUM_THREADS=1: more threads can be slower"
    return Check("device", "ok", f"cpu, {torch.get_num_threads()} threads", mend)


def _disk(out: Path) -> Check:
    """Look at the disk that runs will be written to."""
    place = out.absolute()
    while not place.exists():
        place = place.parent
    free_gib = shutil.disk_usage(place).free / 2**30
    if free_gib < LEAST_FREE_GIB:
        return Check("disk", "fail", f"{free_gib:.2f} GiB free at {out}", "free some space or name another --out")
    return Check("disk", "ok", f"{free_gib:.0f} GiB free at {out}")


def _data(benchmark: Benchmark, data_dir: Path | None) -> Check:
    """Look for a task's data: local, embedded, or the hub."""
    name = f"data of {benchmark.name}"
    if data_dir is not None and (files := find_local_files(benchmark, data_dir)):
        return Check(name, "ok", ", ".join(str(file) for file in files))
    if benchmark.own is not None and benchmark.own.data_file is not None:
        return Check(name, "ok", str(benchmark.own.data_file))
    if not benchmark.hub_path:
        return Check(name, "ok", "embedded")
    if data_dir is not None:
        looked = ", ".join(str(path) for path in candidate_files(benchmark, data_dir))
        return Check(name, "fail", f"nothing in {data_dir}", f"put one of these there: {looked}")
    return _hub(name, benchmark)


def _hub(name: str, benchmark: Benchmark) -> Check:
    """Ask the hub whether it would give the data."""
    mend = f"pass --data-dir DIR with {benchmark.name}/*.parquet or {' or '.join(benchmark.tsv_files) or 'a TSV file'}"
    try:
        from huggingface_hub import HfApi  # noqa: PLC0415 - slow to import, and only the hub needs it

        HfApi().dataset_info(benchmark.hub_path, timeout=HUB_TIMEOUT_S)
    except Exception as fault:  # noqa: BLE001 - the hub's client raises a dozen kinds of its own libraries
        return Check(name, "fail", f"hub dataset {benchmark.hub_path} unreachable ({type(fault).__name__})", mend)
    return Check(name, "ok", f"hub dataset {benchmark.hub_path}")


def _judge(spec: DoctorSpec) -> Check:
    """Say whether the judge that was asked for could be called."""
    if spec.judge is None:
        return Check("judge", "ok", "none asked for; everything is scored by rule")
    if not spec.judge_reachable:
        return Check("judge", "fail", f"no key for {spec.judge}", "set OPENAI_API_KEY, or give --judge-url")
    return Check("judge", "ok", f"{spec.judge}: a key or an endpoint is given")
