"""Read what was put beside a finished run about where it looked; such a file may be anybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from harness.files import DamagedRunError
from harness.probes.attention_records import ATTENTION_NAME, ATTENTION_SCORES_NAME, AttentionRecord, read_attention
from harness.probes.attention_summary import AttentionSummary, read_attention_scores
from harness.probes.probe_records import PROBE_SCORES_NAME, PROBES_NAME, ProbeRecord, read_probes
from harness.probes.probe_summary import StoredProbes, read_probe_scores
from harness.runs.store import StoredRun

_Read = TypeVar("_Read")


def stored_probes(run: StoredRun) -> StoredProbes | None:
    """Return what a run's `probes.json` holds; None where nobody asked.

    Raises:
        DamagedRunError: The file cannot be used.
    """
    return _read(run, PROBE_SCORES_NAME, read_probe_scores)


def stored_edits(run: StoredRun) -> list[ProbeRecord] | None:
    """Return the lines of a run's `probes.jsonl`; None where nobody asked.

    Raises:
        DamagedRunError: The file cannot be used.
    """
    return _read(run, PROBES_NAME, read_probes)


def stored_attention(run: StoredRun) -> list[AttentionRecord] | None:
    """Return the lines of a run's `attention.jsonl`; None where nobody looked.

    Raises:
        DamagedRunError: The file cannot be used.
    """
    return _read(run, ATTENTION_NAME, read_attention)


def stored_attention_scores(run: StoredRun) -> Mapping[str, AttentionSummary] | None:
    """Return what a run's `attention.json` holds, by task; None where nobody looked.

    Raises:
        DamagedRunError: The file cannot be used.
    """
    return _read(run, ATTENTION_SCORES_NAME, read_attention_scores)


def _read(run: StoredRun, name: str, read: Callable[[bytes, str], _Read]) -> _Read | None:
    if name not in (run.files.sums or {}):
        return None
    with run.files.open(name) as file:
        content = file.read()
    try:
        return read(content, name)
    except ValueError as fault:
        raise DamagedRunError.of(run.path, name, f"cannot be used: {fault}") from fault
