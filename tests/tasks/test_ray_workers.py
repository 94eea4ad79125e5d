"""A real Ray cluster of two nodes asks a run; a worker and a node are killed meanwhile, and nothing is lost."""

import os
import re
import signal
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness import installation
from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, IncompleteError
from harness.runs.journal import RunLockedError
from harness.runs.object_storage import RunsAtAddress
from harness.runs.store import load_run
from tasks.parts import held_parts
from tasks.ray_workers import RayPlan, _cluster, run_by_ray, shards_wanted
from tasks.run import prepare_run, run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.shards import Shard

pytestmark = pytest.mark.slow

ROWS = 160
NOW = datetime(2026, 1, 2, tzinfo=UTC)


def replay(seconds, broken=""):
    """Return what makes a model that says what goes by the row, `seconds` a batch; it travels to workers by value."""

    def load(_):
        import os
        import time
        from dataclasses import replace

        from harness.models.replay import SatoriReplay

        if broken == "raises":
            raise RuntimeError("CUDA error: invalid device ordinal\nof several lines")
        if broken == "dies":
            os._exit(3)

        class ByRow(SatoriReplay):
            def generate_batch(self, prompts):
                time.sleep(seconds)
                made = super().generate_batch(prompts)
                return [
                    replace(one, text=f"<answer>{('red', 'two', 'A')[prompt.drawn_by % 3]}</answer>")
                    for one, prompt in zip(made, prompts, strict=True)
                ]

        return ByRow(lambda task, row: "", batch_size=4)

    return load


class Listening:
    """Hears a run, and does something after so many records."""

    def __init__(self, after=None):
        self.records, self.said, self.after = [], [], dict(after or {})

    def task_started(self, task, rows, answered):
        self.started = (task, rows, answered)

    def sample_recorded(self, record):
        self.records.append(record.key)
        if act := self.after.pop(len(self.records), None):
            act()

    def task_finished(self, task):
        pass


def surroundings(listener, load):
    return RunEnvironment(now=lambda: NOW, say=listener.said.append, listener=listener, packages={}, load_model=load)


def workers_of(node):
    """Return the processes of our actors on a node."""
    (raylet,) = node.all_processes["raylet"]
    found = []
    for folder in Path("/proc").iterdir():
        try:
            stat = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == raylet.process.pid and b"_Worker" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except (OSError, IndexError):
            continue
    return found


@pytest.mark.parametrize(
    ("samples", "clusters", "workers", "wanted"),
    [
        (1, 1, 2, 1), (31, 31, 2, 2), (241, 241, 2, 6), (241, 241, 3, 6), (10_000, 10_000, 3, 24), (10_000, 5, 2, 5),
        (10**9, 10**9, 10**5, 10_000),
    ],
)  # fmt: skip
def test_each_worker_has_as_many_shards_where_there_are_clusters_for_it(samples, clusters, workers, wanted):
    assert shards_wanted(samples, clusters, workers) == wanted


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Two nodes with a CPU each, which notice the death of one within seconds; the driver is a part of the first."""
    pytest.importorskip("ray")
    import ray
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("node") / "cache"))
        # raylets give their workers the paths that this process has
        patch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
        quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 4}
        made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": quick})
        made.add_node(num_cpus=1)
        yield made
        processes = [
            one.process for node in made.list_all_nodes() for group in node.all_processes.values() for one in group
        ]
        ray.shutdown()
        made.shutdown()
    until = time.monotonic() + 20
    while time.monotonic() < until and any(process.poll() is None for process in processes):
        time.sleep(0.1)
    assert [process.pid for process in processes if process.poll() is None] == []


@pytest.fixture(scope="module")
def spec(tiny_qwen2_5_vl, tmp_path_factory):
    return RunSpec(
        model=str(tiny_qwen2_5_vl), tasks="shapes", limit=ROWS, max_new_tokens=4, batch_size="4", device="cpu",
        thumbnails=False, out=tmp_path_factory.mktemp("ray") / "runs",
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(spec, tmp_path_factory):
    """What one process leaves."""
    environment = surroundings(Listening(), replay(0))
    return load_run(run_benchmarks(replace(spec, out=tmp_path_factory.mktemp("alone")), environment).folder)


def told(run):
    """All of a run's records but what time they took."""
    return {
        record.key: replace(record, generation=replace(record.generation, device_s=None)) for record in run.records()
    }


def test_what_an_address_holds_is_not_asked_again_and_the_rest_goes_there(cluster, spec, alone, tmp_path):
    address, spec = (tmp_path / "parts").as_uri(), replace(spec, out=tmp_path / "runs")
    whole = prepare_run(spec, surroundings(Listening(), replay(0))).manifest
    place = RunsAtAddress(f"{address}/{whole.run_key[:12]}")
    for number in (1, 4):
        part = replace(spec, shard=Shard(number, 5), out=tmp_path / "elsewhere")
        made = run_benchmarks(part, surroundings(Listening(), replay(0))).folder
        place.put(made, f"of-5/{number}/{made.name}")
    place.write("of-5/2/half/samples.jsonl", b"no sums: its worker was killed")
    again = Listening()

    plan = RayPlan(address=cluster.address, workers=1, parts=address)
    folder = run_by_ray(spec, surroundings(again, replay(0)), plan).folder

    assert again.started[2] + len(again.records) == ROWS
    assert again.started[2] > ROWS / 5
    assert told(load_run(folder)) == told(alone)
    assert verify_run(folder) == []
    assert [path.name for path in spec.out.iterdir()] == [folder.name]
    assert [path for path in (tmp_path / "parts").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("broken", "parts", "error", "said"),
    [
        ("raises", None, IncompleteError, r"unexpected RuntimeError: CUDA error: invalid device ordinal$"),
        ("dies", None, IncompleteError, r"died 1 times while it loaded the model"),
        ("", "memory://seen-by-one-process", ConfigError, r"does not see --parts memory://.* as the machine"),
    ],
)
def test_workers_that_cannot_start_end_the_run_with_the_reason(  # noqa: PLR0917 - a case has as many parts
    cluster, spec, tmp_path, monkeypatch, broken, parts, error, said
):
    monkeypatch.setattr("tasks.ray_workers._MOST_STARTS", 1)
    plan = RayPlan(address=cluster.address, workers=1, parts=parts)

    with pytest.raises(error, match=said):
        run_by_ray(replace(spec, out=tmp_path), surroundings(Listening(), replay(0, broken)), plan)


def test_a_killed_worker_and_a_killed_node_cost_the_shards_in_their_hands_alone(cluster, spec, alone):
    head, other = cluster.head_node, next(iter(cluster.worker_nodes))
    listener = Listening(
        {
            8: lambda: [os.kill(process, signal.SIGKILL) for process in workers_of(head)],
            40: lambda: cluster.remove_node(other, allow_graceful=False),
        }
    )

    folder = run_by_ray(spec, surroundings(listener, replay(0.2)), RayPlan(address=cluster.address, workers=2)).folder

    merged = load_run(folder)
    assert listener.after == {}, "both were killed"
    assert sum("asked again" in line for line in listener.said) == 2
    assert len(listener.records) == len(set(listener.records)) == ROWS
    assert told(merged) == told(alone)
    assert merged.scores == alone.scores
    assert merged.manifest.run_key == alone.manifest.run_key
    assert verify_run(folder) == []
    assert [path.name for path in spec.out.iterdir()] == [folder.name], "the shards are cleared away"


def test_what_no_node_has_is_said_before_anything_is_asked(cluster, spec, tmp_path):
    environment, spec = surroundings(Listening(), replay(0)), replace(spec, out=tmp_path)

    with pytest.raises(ConfigError, match=r"1 CPUs and 1 GPUs, and no node .* have 1 CPUs and 0 GPUs.*--worker-gpus"):
        run_by_ray(spec, environment, RayPlan(address=cluster.address, gpus=1))
    with pytest.raises(ConfigError, match=r"wants 64 CPUs .* --worker-cpus"):
        run_by_ray(spec, environment, RayPlan(address=cluster.address, cpus=64))


@pytest.mark.parametrize(
    ("change", "said"), [({"shard": Shard(1, 2)}, "leave --shard"), ({"processes": 2}, "--num-processes out"),
                         ({"boxes": Path("b")}, "--boxes")],
)  # fmt: skip
def test_other_ways_to_cut_a_run_are_refused(spec, change, said):
    with pytest.raises(ConfigError, match=said):
        run_by_ray(replace(spec, **change), surroundings(Listening(), None), RayPlan())


def test_ray_that_is_missing_is_named_with_the_mend(spec, monkeypatch):
    found = installation.find_spec
    monkeypatch.setattr(installation, "find_spec", lambda name: None if name == "ray" else found(name))

    with pytest.raises(ConfigError, match=r"needs ray, not installed here\. Mend: pip install .*satori-bench\[ray\]"):
        run_by_ray(spec, surroundings(Listening(), None), RayPlan())


@pytest.mark.parametrize("address", ["s4://nowhere", "127.0.0.1:1", "ray://localhost:1", "[::1]:1"])
def test_no_cluster_at_the_address_is_said_at_once(monkeypatch, address):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    said = f"no Ray cluster can be reached at --address {re.escape(address)}: "
    with pytest.raises(ConfigError, match=said), _cluster(address):
        pass


def test_two_engines_cannot_ask_one_run(spec, tmp_path):
    environment, spec = surroundings(Listening(), None), replace(spec, out=tmp_path)

    with (
        held_parts(spec.out, prepare_run(spec, environment).manifest),
        pytest.raises(RunLockedError, match="another process is writing the run"),
    ):
        run_by_ray(spec, environment, RayPlan())
