"""Tests of the functions that the YAML files name for plain lmms-eval."""

import json

import pytest
from PIL import Image

from harness.scoring.score import score
from tasks import hooks
from tasks.catalog import BENCHMARKS
from tasks.hooks import METRICS, PLAIN_CONFIG
from tasks.local_data import open_task_data

CORE = ["mmbench_en_dev", "mmbench_cn_dev", "mmstar", "mme", "ocrbench", "mathvista"]


def satori(answer: str) -> str:
    return f"<caption>A drawing.</caption><bbox>[[1,2,30,40]]</bbox><answer>{answer}</answer>"


def right_answer(sample) -> str:
    return sample.answers[0]


def hook(name: str, part: str):
    return getattr(hooks, f"{name}_{part}")


@pytest.mark.parametrize("name", [*CORE, "shapes"])
def test_the_hook_scores_as_the_one_scorer_does(local_data, name):
    data = open_task_data(BENCHMARKS[name], local_data.parquet)
    doc = data[0]
    sample = BENCHMARKS[name].adapter.sample_of(doc)
    for text in (satori(right_answer(sample)), satori("neither nor"), "", "<answer>", right_answer(sample)):
        items = hook(name, "results")(doc, [text])
        assert set(items) == set(METRICS[name])
        row_metric = "vanilla_accuracy" if name.startswith("mmbench") else "accuracy"
        assert items[row_metric].get("score") == score(sample, text, PLAIN_CONFIG).value
        json.dumps(items)


@pytest.mark.parametrize("name", [*CORE, "shapes"])
def test_all_right_answers_earn_the_whole_score(local_data, name):
    data = open_task_data(BENCHMARKS[name], local_data.parquet)
    sample_of = BENCHMARKS[name].adapter.sample_of
    docs = list(data)[:40]
    items = [hook(name, "results")(doc, [satori(right_answer(sample_of(doc)))]) for doc in docs]

    assert hooks.accuracy([item["accuracy"] for item in items]) == 1.0
    assert hooks.format_rate([item["format"] for item in items]) == 1.0
    if name == "mme":
        assert hooks.total([item["total"] for item in items]) == 2800.0


@pytest.mark.parametrize("doc", [{}, {"image": 7, "question": None}, {"index": "x", "image": {"bytes": b"broken"}}])
@pytest.mark.parametrize("name", [*CORE, "shapes"])
def test_a_hook_never_raises(name, doc):
    assert set(hook(name, "results")(doc, ["\ud800<answer>B"])) == set(METRICS[name])
    assert set(hook(name, "results")(doc, [])) == set(METRICS[name])


def test_a_hook_opens_the_image_and_brings_its_own_system_turn(local_data):
    doc = open_task_data(BENCHMARKS["mmstar"], local_data.tsv)[0]
    system, user = hooks.mmstar_messages(doc)

    assert system["role"] == "system"
    assert isinstance(user["content"][0]["url"], Image.Image)
    assert isinstance(hooks.mmstar_visual(doc)[0], Image.Image)
    assert "<bbox>" in hooks.mmstar_text(doc)
    assert hooks.mmstar_target(doc) == "A"
