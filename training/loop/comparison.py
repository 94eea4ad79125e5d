"""Compare a loop's runs: each stage with the stage before it and with the base, and the arms with each other.

The numbers are those of `harness/comparison/compare.py`, one `Comparison` for each way of asking; terminal, Markdown,
JSON and page show nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.comparison.compare import SideSpec, compare_runs
from harness.comparison.to_json import comparison_to_json
from harness.comparison.values import Comparison
from harness.runs.store import load_run
from training.loop.learning import Learning
from training.loop.plan import Chain
from training.loop.settings import DecodingName

SCHEMA = 2
"""Of `comparison.json`; version 1 listed rows of another engine, flat."""


@dataclass(frozen=True, slots=True)
class LoopRun:
    """One benchmark of the loop."""

    run: str
    """Run name, such as `satori-grpo`."""
    decoding: DecodingName
    """How it was asked."""
    folder: Path
    """Its run folder."""


@dataclass(frozen=True, slots=True)
class LoopComparison:
    """What stages and arms have done."""

    name: str
    """The loop's name."""
    by_decoding: Mapping[str, Comparison]
    """The comparison for each way of asking, greedy before sampled."""
    learning: tuple[Learning, ...]
    """How the reinforcement learning stages went; empty where they were too short to say."""

    def to_bytes(self) -> bytes:
        """Return `comparison.json`."""
        content = {
            "schema": SCHEMA,
            "name": self.name,
            "comparisons": {decoding: comparison_to_json(found) for decoding, found in self.by_decoding.items()},
            "learning": [asdict(item) for item in self.learning],
        }
        return (json.dumps(content, indent=1, allow_nan=False) + "\n").encode("ascii")


def pairs_of(chains: Sequence[Chain]) -> list[tuple[str, str]]:
    """Return which runs are compared: each arm's stages, then the last stage of the first arm with every other's."""
    pairs: list[tuple[str, str]] = []
    for chain in chains:
        pairs += [(chain.base, chain.sft), (chain.sft, chain.grpo), (chain.base, chain.grpo)]
    pairs += [(chains[0].grpo, chain.grpo) for chain in chains[1:]]
    return list(dict.fromkeys(pairs))


def compare_loop(pairs: Sequence[tuple[str, str]], runs: Sequence[LoopRun], *, seed: int) -> dict[str, Comparison]:
    """Compare pairs of runs, named, in every way of asking.

    Args:
        pairs: From `pairs_of`: names of runs, the earlier one first.
        runs: Every benchmark of the loop.
        seed: Fixes the draws.
    """
    names = list(dict.fromkeys(name for pair in pairs for name in pair))
    places = [(names.index(a), names.index(b)) for a, b in pairs]
    found: dict[str, Comparison] = {}
    for decoding in dict.fromkeys(run.decoding for run in runs):
        folders = {run.run: run.folder for run in runs if run.decoding == decoding}
        sides = [SideSpec(name, (load_run(folders[name]),)) for name in names]
        found[decoding] = compare_runs(sides, pairs=places, seed=seed)
    return found
