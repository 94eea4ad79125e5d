"""Look at the surroundings before a run: imports, versions, device, disk, data, and what a judge needs."""

from __future__ import annotations

import io
import shutil
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, TypeAlias

from harness.installation import (
    broken_imports,
    broken_text,
    install_command,
    missing_modules,
    other_versions,
    versions_mend,
    versions_tested,
)
from tasks.benchmark import Benchmark
from tasks.catalog import resolve_tasks
from tasks.local_data import candidate_files, find_local_files

State: TypeAlias = Literal["ok", "warn", "fail"]

RUN_PARTS = (
    "lmms_eval.evaluator",
    # what it imports only when it evaluates: a run would find these missing after its model was loaded
    "lmms_eval.evaluator:_enable_reentrant_filelocks",
    "lmms_eval.filters.transformation",
    "lmms_eval.models.model_utils.gen_metrics",
    "tasks.build",
)
"""What every run imports."""
MODEL_PARTS = {
    "hf": "harness.models.hf",
    "vllm": "harness.models.vllm_model",
    "openai": "harness.models.served",
}
"""What a run imports beside that, by backend."""

_TASK_LIBRARIES = {
    "math_verify": "its tasks that compare mathematics",
    "latex2sympy2": "its tasks mathvision, stare and emma",
}
"""Libraries of lmms-eval's own tasks that are known not to fit together; none of ours needs them."""
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
    train_parts: tuple[str, ...] = ()
    """What training imports, for `harness.installation.broken_imports`; it lies beyond what this folder knows."""


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
    with redirect_stdout(io.StringIO()):  # lmms-eval logs to stdout, which is for findings
        checks = [_run_parts(), _train_parts(spec.train_parts), _versions()]
        if not missing_modules("run"):
            checks += [_vllm(), _device(), *map(_task_library, _TASK_LIBRARIES), _chat_wrappers(), _smolvlm()]
    checks.append(_disk(spec.out))
    checks += [_data(benchmark, spec.data_dir) for benchmark in benchmarks]
    checks.append(_judge(spec))
    return checks


def _run_parts() -> Check:
    """Import what a run imports."""
    if missing := missing_modules("run"):
        found = f"not installed: {', '.join(missing)}. What needs no model works: score, compare, gate..."
        return Check("run", "fail", found, install_command("run"))
    if broken := broken_imports((*RUN_PARTS, MODEL_PARTS["hf"], MODEL_PARTS["openai"])):
        return Check("run", "fail", broken_text(broken), versions_mend())
    return Check("run", "ok", "everything that it imports is there")


def _train_parts(parts: Sequence[str]) -> Check:
    """Import what training imports."""
    if missing := missing_modules("train"):
        return Check("train", "warn", f"not installed: {', '.join(missing)}", install_command("train"))
    if broken := broken_imports(parts):
        return Check("train", "warn", f"train, loop and demo cannot work: {broken_text(broken)}", versions_mend())
    return Check("train", "ok", "everything that train, loop and demo import is there")


def _vllm() -> Check:
    """Import what `run --backend vllm` imports; most runs do without."""
    if missing_modules("vllm"):
        return Check("vllm", "ok", "not installed; --backend vllm needs it", install_command("vllm"))
    if broken := broken_imports([MODEL_PARTS["vllm"]]):
        return Check("vllm", "warn", f"--backend vllm cannot work: {broken_text(broken)}", install_command("vllm"))
    return Check("vllm", "ok", "everything that --backend vllm imports is there")


def _versions() -> Check:
    """Compare what is installed with what the test suite passed with."""
    tested, others = versions_tested(), other_versions()
    if not tested:
        return Check("versions", "warn", "this copy does not tell which versions it was tested with")
    if others:
        named = ", ".join(map(str, others))
        return Check("versions", "warn", f"{len(others)} are not the tested ones: {named}", versions_mend())
    return Check("versions", "ok", "all are the tested ones")


def _task_library(module: str) -> Check:
    """Try a library that some of lmms-eval's own tasks need."""
    name = f"lmms-eval with {module}"
    if broken := broken_imports([module]):
        return Check(name, "warn", f"{_TASK_LIBRARIES[module]} cannot run: {broken_text(broken)}. Ours do not need it")
    return Check(name, "ok", "can be imported")


def _chat_wrappers() -> Check:
    """Import the chat model wrappers that lmms-eval ships; `lmms-eval --model` can use those that come in."""
    name = "lmms-eval's own chat wrappers"
    try:
        from lmms_eval.models import MODEL_REGISTRY_V2  # noqa: PLC0415 - as heavy as a run
    except Exception as fault:  # noqa: BLE001 - `_run_parts` has said that lmms-eval cannot be imported
        return Check(name, "warn", f"not looked at: {type(fault).__name__}")
    manifests = map(MODEL_REGISTRY_V2.get_manifest, MODEL_REGISTRY_V2.list_canonical_model_ids())
    paths = [manifest.chat_class_path or "" for manifest in manifests]
    modules = sorted({path.rpartition(".")[0] for path in paths if path.startswith("lmms_eval.")})
    broken = broken_imports(modules)
    if not broken:
        return Check(name, "ok", f"all {len(modules)} can be imported")
    wrappers: dict[str, list[str]] = {}
    for part in broken:
        wrappers.setdefault(part.missing or part.reason, []).append(part.module.rpartition(".")[2])
    lacking = "; ".join(f"{', '.join(names)} (lacks {reason})" for reason, names in wrappers.items())
    return Check(
        name, "warn", f"{len(broken)} of {len(modules)} cannot be imported: {lacking}. No run of ours uses them"
    )


def _smolvlm() -> Check:
    """Look for what the processor of one model family needs beside transformers."""
    if find_spec("num2words") is None:
        return Check("SmolVLM", "warn", "its processor needs num2words, not installed here", "pip install num2words")
    return Check("SmolVLM", "ok", "num2words is there")


def _device() -> Check:
    """Say which device a run would use."""
    try:
        import torch  # noqa: PLC0415 - seconds of import that only this check needs
    except (ImportError, OSError) as fault:
        return Check("device", "fail", f"torch cannot be imported: {fault}", versions_mend())
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
