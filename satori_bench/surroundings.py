"""What verbs take from their surroundings: time, words for the person, Ctrl-C, packages, the page after a run."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reports.terminal.printing import say
from satori_bench.showing import shell_word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.models.interruption import Interruption
    from reports.terminal.progress import RunProgress
    from tasks.run_spec import RunEnvironment


TRAIN_PARTS = (
    "training.loop.demo",
    "training.stages.launch",
    "training.loop.loop",
    "training.stages.train",
    "training.probe.probe",
)
"""What these verbs import of ours, and with it of TRL and its companions."""


def run_environment(progress: RunProgress, interruption: Interruption, *, page: bool = True) -> RunEnvironment:
    """Return what a run takes from its surroundings: time, words for the person, Ctrl-C, packages, commit."""
    from datetime import UTC, datetime

    from reports.terminal.tables import task_line
    from tasks.run_spec import RunEnvironment, package_versions

    return RunEnvironment(
        now=lambda: datetime.now(UTC),
        say=progress.say,
        listener=progress,
        packages=package_versions(),
        git_commit=os.environ.get("SATORI_BENCH_GIT_COMMIT"),
        batch_guard=interruption.batch,
        show_task=lambda summary: progress.say(task_line(summary)),
        write_page=write_page if page else None,
    )


def write_page(run_folder: Path) -> None:
    """Write or renew a published run's page; a page that fails costs nobody a run, nor its exit code."""
    from reports.pages.writer import page_fault

    if fault := page_fault(run_folder):
        say(
            f"warning: the page was not written: {fault}. The scores are complete; "
            f"make the page with: satori-bench runs page {shell_word(run_folder)}",
            sys.stderr,
        )


def quiet_libraries(*, debug: bool) -> None:
    """Keep the libraries' bars and logs out of our progress; `--debug` lets them speak."""
    if debug:
        return
    import logging
    import warnings

    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    os.environ.setdefault("LOGURU_LEVEL", "ERROR")
    os.environ.setdefault("HF_HUB_VERBOSITY", "error")
    os.environ.setdefault("DATASETS_VERBOSITY", "error")
    logging.getLogger().setLevel(logging.ERROR)
    warnings.simplefilter("ignore")


@contextmanager
def libraries_quiet() -> Iterator[None]:
    """Keep the libraries quiet for a while: a notebook's own logs, bars and warnings are as before afterwards."""
    import logging
    import warnings

    level, before = logging.getLogger().level, dict(os.environ)
    with warnings.catch_warnings():
        quiet_libraries(debug=False)
        try:
            yield
        finally:
            logging.getLogger().setLevel(level)
            for name in set(os.environ) - set(before):
                del os.environ[name]


def train_environment(progress: RunProgress | None) -> Any:
    """Return what training takes from its surroundings; without a listener nothing is said either."""
    from datetime import UTC, datetime
    from importlib import metadata

    from tasks.run_spec import package_versions
    from training.stages.train import TrainEnvironment
    from training.stages.trainers import Watch

    return TrainEnvironment(
        now=lambda: datetime.now(UTC),
        say=progress.say if progress is not None else lambda _: None,
        packages={**package_versions(), "trl": metadata.version("trl")},
        git_commit=os.environ.get("SATORI_BENCH_GIT_COMMIT"),
        watch=Watch(listener=progress),
    )


def require_loop_imports(verb: str) -> None:
    """Refuse a verb that trains and benchmarks where either cannot work, before it makes anything."""
    from harness.installation import require_imports
    from tasks.doctor import MODEL_PARTS, RUN_PARTS

    require_imports([*RUN_PARTS, MODEL_PARTS["hf"], *TRAIN_PARTS], verb)
