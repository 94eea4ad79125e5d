"""All tasks in one run, of 24 rows or more each, on a tiny checkpoint; and the rows that are drawn for it."""

from datetime import UTC, datetime

import pytest

from harness.comparison.verify_run import verify_run
from harness.runs.store import load_run
from harness.task_facts import FACTS
from tasks.catalog import BENCHMARKS, GROUPS
from tasks.local_data import open_task_data
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.verify import verify_task_data

ROWS = 24
PLACED = [name for name in BENCHMARKS if FACTS[name].placed]


@pytest.fixture(scope="module")
def long_data(draw_data, tmp_path_factory):
    """Drawn copies of all benchmarks with at least 24 rows each."""
    return draw_data(tmp_path_factory.mktemp("long") / "data", rows=ROWS)


def samples_of(name, folder):
    benchmark = BENCHMARKS[name]
    return [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, folder)]


def drawn_boxes(sample):
    return tuple(tuple(map(round, box)) for box in sample.boxes_image_px)


@pytest.mark.parametrize("name", PLACED)
def test_more_rows_with_places_are_all_different_and_good(name, long_data, local_data, place_builder):
    samples, few = (samples_of(name, data.parquet) for data in (long_data, local_data))
    pictures = {sample.image_sha256: drawn_boxes(sample) for sample in samples}
    first = {sample.image_sha256: drawn_boxes(sample) for sample in few}
    shown = [boxes[0] for boxes in pictures.values()]

    assert len(samples) >= ROWS
    assert len({sample.id for sample in samples}) == len(samples)
    assert len(pictures) == len({sample.cluster for sample in samples})
    assert first.items() <= pictures.items()
    assert set(shown) <= set(place_builder.BOXES)
    assert len(set(shown)) == len(shown) - (name == "vqa_verify"), "two of its pictures show the same box"
    assert all(abs(a - round(a)) < 1e-9 for sample in samples for box in sample.boxes_image_px for a in box)
    assert FACTS[name].answer_rule in {"box", "point"} or len({sample.answers for sample in samples}) > 2
    assert verify_task_data(BENCHMARKS[name], long_data.parquet).faults == ()


def test_the_other_layouts_hold_as_many(long_data, place_builder, tmp_path):
    place_builder.write_screenspot_json(tmp_path, ROWS)
    hub, own = (samples_of("screenspot_v2", folder) for folder in (long_data.parquet, tmp_path))

    assert samples_of("treebench", long_data.tsv) == samples_of("treebench", long_data.parquet)
    assert [drawn_boxes(sample) for sample in own] == [drawn_boxes(sample) for sample in hub]
    assert len(own) == len(samples_of("treebench", long_data.tsv)) == ROWS


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


@pytest.mark.slow
def test_every_task_runs_end_to_end_in_one_run(long_data, tiny_qwen2_5_vl, tmp_path):
    """The format's own words are left out: they are most of what a model of two layers has to read."""
    spec = RunSpec(
        model=str(tiny_qwen2_5_vl), tasks="all", data_dir=long_data.parquet, limit=ROWS, max_new_tokens=2,
        system_prompt="", prompt_suffix="", max_pixels=6272, batch_size="32", device="cpu", thumbnails=False,
        out=tmp_path / "runs",
    )  # fmt: skip
    environment = RunEnvironment(now=lambda: datetime.now(UTC), say=lambda _: None, listener=Silent(), packages={})
    folder = run_benchmarks(spec, environment).folder
    run = load_run(folder)
    counts = dict.fromkeys(GROUPS["all"], 0)
    for record in run.records():
        assert record.generation.error is None, (record.key, record.generation.error)
        counts[record.sample.task] += 1

    assert verify_run(folder) == []
    assert set(run.manifest.tasks) == set(GROUPS["all"])
    assert {name: count for name, count in counts.items() if count < ROWS} == {}
