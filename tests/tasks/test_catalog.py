"""Tests of the table of benchmarks and of the words after `--tasks`."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from harness.errors import ConfigError
from harness.task_facts import TaskFacts, facts_of
from tasks import catalog
from tasks.benchmark import TASKS_DIR
from tasks.catalog import BENCHMARKS, GROUP_NOTES, GROUPS, UnknownTaskError, resolve_tasks

CORE = ["mmbench_en_dev", "mmbench_cn_dev", "mmstar", "mme", "ocrbench", "mathvista"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("mmstar", ["mmstar"]),
        (" mme , mmstar ", ["mme", "mmstar"]),
        ("core", CORE),
        ("all", [name for name in BENCHMARKS if facts_of(name).submission is None]),
        ("submission", ["mmbench_en_test", "mmbench_cn_test", "docvqa_test", "infovqa_test"]),
        ("shapes,core", ["shapes", *CORE]),
        ("mmstar,mmstar,core", ["mmstar", *[name for name in CORE if name != "mmstar"]]),
        ("satori_mmstar", ["mmstar"]),
        ("satori_core", CORE),
    ],
)
def test_names_become_benchmarks_once_each_in_order(names, expected):
    assert expected == [benchmark.name for benchmark in resolve_tasks(names)]


@pytest.mark.parametrize("names", ["", " , ,", "mmstr", "mmstar,nothing-like-it", "MMSTAR!"])
def test_an_unknown_or_missing_name_is_a_configuration_error(names):
    with pytest.raises(UnknownTaskError, match="Known tasks: mmbench_en_dev"):
        resolve_tasks(names)


def test_unknown_names_are_reported_together_with_the_nearest_known_one():
    with pytest.raises(ValueError, match=r"'mmstr'. Did you mean 'mmstar'\?.*'corre'. Did you mean 'core'\?"):
        resolve_tasks("mmstr,ocrbench,corre")


def test_a_missing_yaml_file_is_a_configuration_error():
    with pytest.raises(ConfigError, match="no such file"):
        resolve_tasks("nowhere/my_task.yaml")


def test_the_groups_are_those_that_benchmarks_name():
    assert list(GROUPS["core"]) == CORE
    assert [*GROUPS][-1] == "all"
    assert all(name in GROUPS[group] for name, item in BENCHMARKS.items() for group in item.groups)


def test_every_group_has_a_word():
    assert set(GROUP_NOTES) == set(GROUPS)


def test_the_group_of_the_paper_has_its_columns_or_what_stands_in():
    published = json.loads((Path(__file__).parents[2] / "reports" / "published.json").read_text(encoding="utf-8"))
    stand_ins = {"MMBench (internal split)": "mmbench_en_dev_v11", "MMMU": "mmmu_val", "MathVision": "mathvision_test"}
    columns = [stand_ins.get(column["name"], column["task"]) for column in published["columns"]]

    assert set(GROUPS["paper"]) == {name for name in columns if name in BENCHMARKS}
    assert [name for name in stand_ins.values() if "paper" in GROUP_NOTES and name in GROUP_NOTES["paper"]] == [
        "mmbench_en_dev_v11",
        "mmmu_val",
    ]


def test_the_group_of_grounding_is_that_of_gold_boxes():
    assert set(GROUPS["grounding"]) == {name for name in BENCHMARKS if facts_of(name).placed}


def test_the_group_of_plain_lmms_eval_has_the_same_members():
    listed = re.findall(
        r"^  - satori_(\w+)$", (TASKS_DIR / "satori_core.yaml").read_text(encoding="utf-8"), re.MULTILINE
    )

    assert listed == list(GROUPS["core"])


def test_facts_and_a_file_make_a_benchmark(monkeypatch):
    module = ModuleType("tasks.made_up")
    module.BENCHMARKS = (replace(BENCHMARKS["mmstar"], name="made_up", groups=("core",)),)
    monkeypatch.setitem(sys.modules, "tasks.made_up", module)
    monkeypatch.setitem(catalog.FACTS, "made_up", TaskFacts("choice"))

    assert [*catalog._read_files()] == [*BENCHMARKS, "made_up"]
    module.BENCHMARKS = ()
    with pytest.raises(KeyError, match=r"made_up \(tasks/made_up.py\)"):
        catalog._read_files()


def test_every_benchmark_is_asked_by_the_rule_and_under_the_name_of_its_facts():
    for name, item in BENCHMARKS.items():
        sample = item.adapter.sample_of({"index": 5, "id": "5", "question": "q"})
        assert (sample.task, sample.answer_rule) == (name, facts_of(name).answer_rule)


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda benchmark: benchmark.name)
def test_every_benchmark_has_its_yaml_and_a_budget_that_does_not_cut_the_format_off(benchmark):
    text = benchmark.yaml_path.read_text(encoding="utf-8")

    assert f"task: {benchmark.yaml_name}\n" in text
    assert f"test_split: {benchmark.hub_split}\n" in text
    assert benchmark.hub_path in text
    assert benchmark.max_new_tokens >= 1024


def test_listing_the_catalog_loads_no_heavy_library():
    heavy = "torch", "transformers", "datasets", "lmms_eval", "pandas", "pyarrow", "numpy", "PIL"
    code = f"import sys, tasks.catalog; print(sorted(set({heavy!r}) & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
