"""The same run probed by transformers, by the real vLLM in this process and by a real `vllm serve`.

VLLM_CPU_KVCACHE_SPACE=1 python -m pytest tests/vllm_cpu -q        (docs/vllm.md says in which environment)
"""

import importlib.util
import shutil

import msgspec
import pytest

if importlib.util.find_spec("vllm") is None:
    pytest.skip("vllm is not installed: it is tried in an environment of its own", allow_module_level=True)

from vllm_cpu.taught import ROWS, spec_of, surroundings, teach, write_questions
from vllm_cpu.three_ways import server

from harness.probes.probe_records import read_probes
from harness.probes.variants import ProbePlan
from tasks.probe import ProbeSpec, probe_run
from tasks.run import run_benchmarks

WAYS = ("hf", "vllm", "openai")
PLAN = ProbePlan(fills=("mean",), controls=2)


def test_all_three_find_the_same(tmp_path):
    """The server gives answers alone; the two others probabilities that are equal but for rounding."""
    tasks = write_questions(tmp_path / "data")
    checkpoint = teach(tmp_path, tasks)
    run = run_benchmarks(spec_of(tasks, checkpoint, tmp_path / "run", zoom=False), surroundings()).folder
    told, probabilities = {}, {}
    with server(checkpoint, tmp_path) as url:
        for way in WAYS:
            folder = shutil.copytree(run, tmp_path / way)
            server_of = (("base_url", url), ("served_name", "checkpoint")) if way == "openai" else ()
            probe_run(ProbeSpec(folder, PLAN, changes=(("backend", way), *server_of)), surroundings())
            lines = read_probes((folder / "probes.jsonl").read_bytes(), "x")
            told[way] = [msgspec.structs.replace(line, p_original=None) for line in lines]
            probabilities[way] = [line.p_original for line in lines]

    assert len(told["hf"]) == ROWS * (2 + 2 * (1 + PLAN.controls))
    assert told["vllm"] == told["hf"]
    assert told["openai"] == told["hf"]
    hf, vllm = ([p for p in probabilities[way] if p is not None] for way in ("hf", "vllm"))
    assert len(hf) > len(told["hf"]) / 2  # nothing begins an answer in some texts
    assert [p is None for p in probabilities["vllm"]] == [p is None for p in probabilities["hf"]]
    assert vllm == pytest.approx(hf, abs=2e-3)
    assert set(probabilities["openai"]) == {None}
