"""A run in Weights & Biases or Trackio, through their own packages: every metric with n and interval, and provenance.

Nothing here opens a connection or reads a key: the packages do, by what their user has configured for them. A run
gives them numbers, texts and `ExportedRun.provenance`, which holds no option, address or key of it. A metric without a
value is not logged; it is named under `without_value`, with its reason.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Generator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from harness.errors import ConfigError
from harness.exports.exported_run import ExportedRun, json_text, plain, plain_text
from harness.values import Json, Record

SAMPLE_COLUMNS = ("task", "id", "question", "answers", "text", "extracted", "score", "iou", "faults")
"""Columns of the table of samples."""


@dataclass(frozen=True, slots=True)
class Logged:
    """Where a run went."""

    url: str | None
    """Where it is shown; None where it lies on this machine alone."""
    folder: Path | None
    """Where it lies on this machine; None where the package does not say."""


def log_to_wandb(
    exported: ExportedRun, project: str, *, mode: Literal["online", "offline"] | None = "offline", samples: int = 0
) -> Logged:
    """Log a run to Weights & Biases.

    Args:
        exported: The run.
        project: Project of the run there.
        mode: `offline` writes to this machine alone; `online` sends, as whoever the package knows; None leaves it to
            the package's own settings.
        samples: How many samples go into a table beside the numbers, from the first on.

    Raises:
        ConfigError: The package is missing, or refuses.
        UserError: A file of the run is not what was published, or cannot be read.
    """
    wandb = _package("wandb")
    # what the package would tell of this machine on its own: its load, its Git, its code, what is printed
    quiet = wandb.Settings(
        silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True, x_disable_meta=True,
        x_save_requirements=False,
    )  # fmt: skip
    with _refusals("wandb"), _stdout_kept():
        run = wandb.init(
            project=project, name=exported.name, id=exported.identity[:16], mode=mode,
            resume=None if mode == "offline" else "never",  # an offline run is always a new one
            config=_config(exported), job_type="evaluation", settings=quiet,
        )  # fmt: skip
        run.log(_numbers(exported))
        if samples:
            rows = [_row(record) for record in islice(exported.records(), samples)]
            run.log({"samples": wandb.Table(columns=list(SAMPLE_COLUMNS), data=rows)})
        folder, url = Path(run.dir).parent, None if run.offline else run.url
        run.finish()
    return Logged(url or None, folder)


def log_to_trackio(exported: ExportedRun, project: str) -> Logged:
    """Log a run to Trackio: on this machine, or where the package's own variables say.

    Raises:
        ConfigError: The package is missing, or refuses.
    """
    trackio = _package("trackio")
    with _refusals("trackio"), _stdout_kept():
        trackio.init(
            project=project, name=exported.name, config=_config(exported), resume="never", embed=False,
            auto_log_gpu=False, auto_log_cpu=False,
        )  # fmt: skip
        trackio.log(_numbers(exported))
        trackio.finish()
    folder = getattr(trackio, "TRACKIO_DIR", None)
    return Logged(None, Path(folder) if folder else None)


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as missing:
        raise ConfigError(
            f"`satori-bench export {name}` needs {name}, which cannot be imported here ({missing}). "
            f"Mend: pip install 'satori-bench[{name}]'"
        ) from missing


@contextlib.contextmanager
def _refusals(name: str) -> Generator[None]:
    """Turn what a package refuses into one line: no key, no such project, a name that it does not take."""
    try:
        yield
    except (ConfigError, OSError):
        raise
    except Exception as fault:
        told = " ".join(str(fault).split()).rstrip(".")
        raise ConfigError(f"{name} refused: {type(fault).__name__}: {told}. Nothing of the run has changed") from fault


@contextlib.contextmanager
def _stdout_kept() -> Generator[None]:
    """Send what a package prints to stderr: stdout is the command's result."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _config(exported: ExportedRun) -> dict[str, Json]:
    """Return provenance, the data of each benchmark, and the metrics that have no value."""
    nulls: dict[str, Json] = {
        f"{task}/{name}": metric.reason or "no value"
        for task, summary in exported.tasks.items()
        for name, metric in summary.metrics.items()
        if metric.value is None
    }
    data: dict[str, Json] = {task: exported.task_facts(task) for task in exported.tasks}
    headlines: dict[str, Json] = {task: summary.headline for task, summary in exported.tasks.items()}
    facts: dict[str, Json] = {
        **exported.provenance(), "data": data, "headlines": headlines, "without_value": nulls,
    }  # fmt: skip
    found = plain(facts)
    assert isinstance(found, dict), "an object stays one"
    return found


def _numbers(exported: ExportedRun) -> dict[str, float | int]:
    """Return every number by `task/metric`, its ends and its n beside it; none for what has no value."""
    numbers: dict[str, float | int] = {}
    for task, summary in exported.tasks.items():
        numbers[plain_text(f"{task}/unscored")] = sum(summary.unscored.values())
        for name, metric in summary.metrics.items():
            if metric.value is None:
                continue
            at = plain_text(f"{task}/{name}")
            numbers |= {at: metric.value, f"{at}_n": metric.n}
            if metric.ci_low is not None and metric.ci_high is not None:
                numbers |= {f"{at}_ci_low": metric.ci_low, f"{at}_ci_high": metric.ci_high}
    return numbers


def _row(record: Record) -> list[str | float | None]:
    sample, score = record.sample, record.score
    texts = {
        "task": sample.task, "id": sample.id, "question": sample.question,
        "answers": None if sample.answers is None else json_text(list(sample.answers)),
        "text": None if record.generation.error is not None else record.generation.text,
        "extracted": score.extracted, "faults": ", ".join(score.faults) or None,
    }  # fmt: skip
    cells: dict[str, str | float | None] = {
        name: None if text is None else plain_text(text) for name, text in texts.items()
    }
    cells |= {"score": score.value, "iou": score.iou}
    return [cells[name] for name in SAMPLE_COLUMNS]
