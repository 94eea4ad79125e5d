"""Shards: fixed parts in whole clusters, and a merged run that is what one process would have left."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, IncompleteError
from harness.evaluation.merge import merge_shards
from harness.models.replay import SatoriReplay
from harness.runs.store import load_run
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.shards import Shard, shard_indices, shard_of

NOW = datetime(2026, 1, 2, tzinfo=UTC)
TASKS = "mmbench_en_dev,mmstar,mme,shapes"


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class ByRow(SatoriReplay):
    """Says what goes by the row in the whole of the data, as sampling does."""

    def __init__(self):
        super().__init__(lambda task, row: "", batch_size=4)

    def generate_batch(self, prompts):
        answers = ("A", "yes", "B", "no", "red", "")
        return [
            replace(
                made,
                text=f"<caption>x</caption><bbox>[[1,2,{9 + prompt.drawn_by % 20},9]]</bbox>"
                f"<answer>{answers[prompt.drawn_by % len(answers)]}</answer>",
            )
            for made, prompt in zip(super().generate_batch(prompts), prompts, strict=True)
        ]


@pytest.fixture(scope="module")
def environment():
    return RunEnvironment(
        now=lambda: NOW, say=lambda _: None, listener=Silent(), packages={"torch": "1"}, load_model=lambda _: ByRow()
    )


@pytest.fixture(scope="module")
def spec(tiny_qwen2_5_vl, local_data, tmp_path_factory):
    return RunSpec(
        model=str(tiny_qwen2_5_vl), tasks=TASKS, data_dir=local_data.parquet, limit=40,
        out=tmp_path_factory.mktemp("shards") / "runs",
    )  # fmt: skip


@pytest.fixture(scope="module")
def shards(spec, environment):
    return [run_benchmarks(replace(spec, shard=Shard(n, 3), name=f"part{n}"), environment).folder for n in (1, 2, 3)]


def told(record):
    """All of a record but what time it took."""
    return replace(record, generation=replace(record.generation, device_s=None))


def test_a_merged_run_is_what_one_process_leaves(spec, environment, shards, tmp_path):
    alone = load_run(run_benchmarks(replace(spec, out=tmp_path), environment).folder)

    folder, _ = merge_shards([shards[2], shards[0], shards[1]], tmp_path / "merged", now=NOW)

    merged = load_run(folder)
    assert sorted(map(told, merged.records()), key=lambda record: record.key) == sorted(
        map(told, alone.records()), key=lambda record: record.key
    )
    assert merged.scores == alone.scores
    assert merged.manifest.run_key == alone.manifest.run_key
    assert merged.manifest.name is None, "part1 and part2 are no names of the whole"
    assert merged.manifest.tasks == alone.manifest.tasks
    assert [part["shard"] for part in merged.manifest.other["merged"]] == ["1/3", "2/3", "3/3"]
    assert {path.name for path in (folder / "media").iterdir()} == {
        path.name for path in (alone.path / "media").iterdir()
    }
    assert verify_run(folder) == []


def test_what_is_merged_is_not_asked_again(spec, environment, shards):
    folder, _ = merge_shards(shards, spec.out, now=NOW)

    assert run_benchmarks(spec, environment).folder == folder


def test_a_shard_is_a_partial_run_of_its_own_input(shards):
    manifests = [load_run(shard).manifest for shard in shards]

    assert all(manifest.partial for manifest in manifests)
    assert len({manifest.run_key for manifest in manifests}) == 3
    assert [verify_run(shard) for shard in shards] == [[]] * 3


@pytest.mark.parametrize(
    ("parts", "error", "said"),
    [
        ([0, 1], IncompleteError, "shard 3/3 missing: make it with the same command and --shard 3/3"),
        ([1], IncompleteError, "shards 1/3, 3/3 missing"),
        ([0, 1, 1, 2], ConfigError, "shard 2/3 is given twice"),
    ],
)
def test_missing_and_repeated_shards_are_named(shards, tmp_path, parts, error, said):
    with pytest.raises(error, match=said):
        merge_shards([shards[part] for part in parts], tmp_path, now=NOW)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_new_tokens": 9}, "generation.max_new_tokens of mmbench_en_dev, mme, mmstar and 1 more is [0-9]+ and 9"),
        ({"form": "plain"}, "format is satori and plain"),
        ({"seed": 5, "limit": 30}, "limit of shapes is 40 and 30; seed is 0 and 5"),
        ({"tasks": "mmstar,shapes"}, "tasks is mmbench_en_dev, mme, mmstar, shapes and mmstar, shapes"),
    ],
)
def test_shards_of_other_settings_are_refused(spec, environment, shards, tmp_path, change, said):
    other = run_benchmarks(replace(spec, shard=Shard(2, 3), out=tmp_path / "other", **change), environment).folder

    with pytest.raises(ConfigError, match=f"not asked alike: .*{said}.* Make one of them again"):
        merge_shards([shards[0], other, shards[2]], tmp_path / "merged", now=NOW)


def test_shards_of_other_cuts_and_whole_runs_are_refused(spec, environment, shards, tmp_path):
    half = run_benchmarks(replace(spec, tasks="mme", shard=Shard(1, 2), out=tmp_path / "half"), environment).folder
    whole = run_benchmarks(replace(spec, tasks="mme", out=tmp_path / "whole"), environment).folder

    with pytest.raises(ConfigError, match="different cuts"):
        merge_shards([shards[0], half], tmp_path / "merged", now=NOW)
    with pytest.raises(ConfigError, match="is no shard"):
        merge_shards([whole, *shards], tmp_path / "merged", now=NOW)


def test_a_damaged_shard_is_refused(shards, tmp_path):
    copy = shutil.copytree(shards[1], tmp_path / "copy")
    with (copy / "samples.jsonl").open("ab") as journal:
        journal.write(b"\n")

    with pytest.raises(IncompleteError, match=r"samples\.jsonl"):
        merge_shards([shards[0], copy, shards[2]], tmp_path / "merged", now=NOW)
    assert list((tmp_path / "merged").iterdir()) == []


def test_more_shards_than_clusters_say_so(spec, environment, tmp_path):
    with pytest.raises(ConfigError, match="holds no sample"):
        run_benchmarks(replace(spec, tasks="mmstar", limit=2, shard=Shard(9, 9), out=tmp_path), environment)


@pytest.mark.parametrize(
    "words", ["", "1", "0/3", "4/3", "1/0", "-1/2", "1/2/3", "a/b", "1/99999", "1.0/2", "\u0661/2"]
)
def test_what_is_no_shard_is_refused(words):
    with pytest.raises(ConfigError, match="--shard"):
        shard_of(words)


@given(st.lists(st.text(max_size=3), max_size=60), st.integers(1, 7), st.randoms(use_true_random=False))
def test_shards_part_the_rows_in_whole_clusters_whatever_their_order(clusters, of, random):
    parts = [shard_indices("t", clusters, Shard(number, of)) for number in range(1, of + 1)]
    shuffled = random.sample(clusters, len(clusters))

    assert sorted(place for part in parts for place in part) == list(range(len(clusters)))
    homes = [{clusters[place] for place in part} for part in parts]
    assert sum(map(len, homes)) == len(set(clusters))
    assert max(map(len, homes)) - min(map(len, homes)) <= 1
    assert homes == [
        {shuffled[place] for place in shard_indices("t", shuffled, Shard(number, of))} for number in range(1, of + 1)
    ]


def test_the_command_merges_and_names_what_is_missing(command, shards, tmp_path):
    root = tmp_path / "runs"
    code, out, _ = command("runs", "merge", *shards, "--out", root, "--no-page", "--json")
    missing = command("runs", "merge", shards[0], "--out", root)

    (folder,) = root.iterdir()
    assert code == 0
    assert folder.name in out
    assert missing[0] == 5
    assert "shards 2/3, 3/3 missing" in " ".join(missing[2].split())


def test_boxes_of_a_file_are_for_the_merged_run(spec, environment, tmp_path):
    for cut in ({"shard": Shard(1, 2)}, {"processes": 2}):
        with pytest.raises(ConfigError, match="rescore with the merged run"):
            run_benchmarks(replace(spec, boxes=tmp_path / "boxes.jsonl", out=tmp_path, **cut), environment)
