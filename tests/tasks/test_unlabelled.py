"""Splits without labels are read as those with labels are, and no answer ever comes out of their files."""

import pytest

from harness.scoring.score import score
from harness.task_facts import facts_of
from harness.values import PROTOCOLS, ScoreConfig
from tasks.catalog import BENCHMARKS, GROUPS
from tasks.local_data import open_task_data
from tasks.verify import verify_task_data

DEV = {
    "mmbench_en_test": "mmbench_en_dev",
    "mmbench_cn_test": "mmbench_cn_dev",
    "docvqa_test": "docvqa",
    "infovqa_test": "infovqa",
}


def test_splits_without_labels_are_in_their_own_group_alone():
    assert list(GROUPS["submission"]) == list(DEV)
    assert [group for group, names in GROUPS.items() if set(names) & set(DEV)] == ["submission"]


@pytest.mark.parametrize("name", DEV)
def test_rows_are_those_of_the_split_with_labels_but_for_the_answers(local_data, name):
    ours, theirs = (
        [BENCHMARKS[task].adapter.sample_of(doc) for doc in open_task_data(BENCHMARKS[task], local_data.parquet)]
        for task in (name, DEV[name])
    )

    assert len(ours) >= 24
    for one, other in zip(ours, theirs, strict=True):
        assert (one.id, one.question, one.choices, one.cluster, one.image_sha256, one.extra) == (
            other.id, other.question, other.choices, other.cluster, other.image_sha256, other.extra
        )  # fmt: skip
        assert one.answers is None
        assert other.answers


@pytest.mark.parametrize("name", [name for name in DEV if name.startswith("mmbench")])
def test_vlmevalkits_file_has_the_same_rows(local_data, name):
    hub, tsv = (
        [BENCHMARKS[name].adapter.sample_of(doc) for doc in open_task_data(BENCHMARKS[name], folder)]
        for folder in (local_data.parquet, local_data.tsv)
    )

    assert [(one.id, one.question, one.choices) for one in hub] == [(one.id, one.question, one.choices) for one in tsv]


@pytest.mark.parametrize("name", DEV)
def test_data_without_answers_is_good(local_data, name):
    report = verify_task_data(BENCHMARKS[name], local_data.parquet)

    assert report.ok, report.faults


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", DEV)
def test_every_answer_is_null_and_says_why(local_data, name, protocol):
    benchmark = BENCHMARKS[name]
    sample = benchmark.adapter.sample_of(open_task_data(benchmark, local_data.parquet)[0])
    for text in ("A", "nan", "", "None", next(iter(sample.choices.values()), "1998")):
        found = score(sample, text, ScoreConfig(protocol=protocol, format="plain"))

        assert found.value is None
        assert "no_gold" in found.faults


def test_facts_name_the_file_of_each():
    assert {name: facts_of(name).submission for name in DEV} == {
        "mmbench_en_test": "mmbench", "mmbench_cn_test": "mmbench", "docvqa_test": "rrc", "infovqa_test": "rrc"
    }  # fmt: skip
    assert all(facts_of(name).submission is None for name in DEV.values())
