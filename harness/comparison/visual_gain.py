"""Say what a model's score owes to seeing: a run's score less that of the same model's blind run, sample by sample.

A blind run (`run --blind`) was asked otherwise, so that nothing compares it as like with like. But where nothing else
differs, the difference is what the pictures gave: a score that stays without them measures words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from harness.comparison.comparability import runs_comparability
from harness.comparison.values import Comparability, Pair, VisualGain
from harness.runs.manifest import BLIND, Manifest, blind_of
from harness.runs.store import StoredRun
from harness.values import Protocol


@dataclass(frozen=True, slots=True)
class GainSide:
    """One side of a comparison, as far as its blindness goes."""

    runs: tuple[StoredRun, ...]
    """Its runs."""
    protocol: Protocol | None
    """As in `SideSpec`."""

    @property
    def is_blind(self) -> bool:
        """Whether any of its runs saw no pictures."""
        return any(blind_of(run.manifest) is not None for run in self.runs)


def visual_gains(
    sides: Sequence[GainSide], compared: Callable[[int, int, Comparability | None], Pair]
) -> tuple[VisualGain, ...]:
    """Return the visual gain of every side of which a blind side of the same model is there.

    Args:
        sides: The sides of a comparison.
        compared: Compares two sides, given by their places, the first one subtracted, as comparable as it is told.
    """
    found: list[VisualGain] = []
    for place, side in enumerate(sides):
        blind = next((other for other, one in enumerate(sides) if _is_blind_of(one, side)), None)
        if blind is None:
            continue
        comparability = runs_comparability(
            (_seeing(sides[blind].runs[0]), sides[blind].protocol), (side.runs[0], side.protocol)
        )
        pair = compared(blind, place, comparability)
        shown = blind_of(sides[blind].runs[0].manifest) or ""
        rows = tuple(benchmark.headline for benchmark in pair.benchmarks)
        found.append(VisualGain(place, blind, shown, rows))
    return tuple(found)


def _is_blind_of(one: GainSide, side: GainSide) -> bool:
    """Tell whether a side is the blind one of another: of the same model, and only the other saw."""
    if not one.is_blind or side.is_blind:
        return False
    return _model(one.runs[0].manifest) == _model(side.runs[0].manifest)


def _model(manifest: Manifest) -> tuple[str | None, ...]:
    """Return what tells a model from others: its weights where they are seen, else its name."""
    known = manifest.weights_hash if not manifest.predictions_only else ""
    return (known or manifest.model, manifest.adapter_hash, manifest.config_hash, manifest.backend)


def _seeing(run: StoredRun) -> StoredRun:
    """Return a blind run as if it had been asked with its pictures, to see what else differs."""
    other = {name: value for name, value in run.manifest.other.items() if name != BLIND}
    return replace(run, manifest=replace(run.manifest, other=other))
