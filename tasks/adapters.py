"""Find the adapter of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping

from tasks import grounded, mathvista, mmbench, mme, mmstar, ocrbench
from tasks.adapter import Adapter
from tasks.benchmark import Benchmark

_ADAPTERS: Mapping[str, Adapter] = {
    "mmbench_en_dev": mmbench.EN,
    "mmbench_cn_dev": mmbench.CN,
    "mmstar": mmstar.ADAPTER,
    "mme": mme.ADAPTER,
    "ocrbench": ocrbench.ADAPTER,
    "mathvista": mathvista.ADAPTER,
}


def adapter_of(benchmark: Benchmark) -> Adapter:
    """Return the functions that know a benchmark's columns."""
    if benchmark.own is None and benchmark.name in _ADAPTERS:
        return _ADAPTERS[benchmark.name]
    return grounded.adapter_for(benchmark)
