"""A stored run under several protocols: the numbers are those of `rescore`, every sample that parts them is found."""

from __future__ import annotations

import json
import shutil
from itertools import combinations

import pytest

from harness.errors import ConfigError
from harness.evaluation.parity import NO_RULE, Agreement, Taken, run_parity
from harness.evaluation.parity_json import parity_to_json
from harness.evaluation.predictions import ANSWER_RULES, score_lines
from harness.evaluation.rescore import rescore_run
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_named
from harness.scoring.own_rules import has_own_rule
from harness.scoring.protocol_differences import OF_TASKS, differences_of
from harness.task_facts import FACTS
from harness.values import PROTOCOLS, Sample, ScoreConfig
from reports.terminal.parity_table import show_parity
from reports.texts.markdown import parity_markdown


@pytest.fixture(scope="module")
def parity(dressed_run):
    return run_parity(load_run(dressed_run))


def task_of(parity, name):
    return next(task for task in parity.tasks if task.task == name)


def test_every_number_is_the_one_that_rescore_stores(parity, dressed_run, tmp_path):
    again = shutil.copytree(dressed_run, tmp_path / "run")

    for protocol in PROTOCOLS:
        stored = rescore_run(load_run(again), protocol).tasks
        ours = {task.task: task.scores[protocol] for task in parity.tasks if task.scores[protocol] is not None}
        assert ours == {name: stored[name] for name in ours}


def test_many_samples_of_many_benchmarks_part_the_protocols(parity):
    assert sum(task.scores["strict"].rows for task in parity.tasks) == 576
    assert len(parity.tasks) == 12
    assert all(task.disagreeing for task in parity.tasks)
    for task in parity.tasks:
        values = {summary.shown.value for summary in task.scores.values() if summary is not None}
        assert len(values) > 1 or task.task == "mmbench_en_dev"  # its passes part, its questions do not


def test_a_protocol_without_a_rule_has_no_score_and_is_in_no_pair(parity):
    shapes = task_of(parity, "shapes")

    assert [protocol for protocol, summary in shapes.scores.items() if summary is None] == ["vlmevalkit", "lmms-eval"]
    assert shapes.agreements == (Agreement("strict", "paper", 36, 48),)
    assert all(set(sample.taken) == {"strict", "paper"} for sample in shapes.shown)
    assert parity_to_json(parity)["tasks"]["shapes"]["scores"]["vlmevalkit"] == {"reason": NO_RULE}


def test_what_wants_a_judge_is_null_under_strict_and_0_where_the_peer_says_so(parity):
    maths = task_of(parity, "mathvista")

    assert maths.scores["strict"].unscored == {"needs_judge": 12}
    assert (maths.scores["strict"].n, maths.scores["vlmevalkit"].n) == (36, 48)
    [sample] = [sample for sample in maths.shown if sample.id == "2"]
    assert sample.taken["strict"] == Taken("about 1.2", None, ("needs_judge",))
    assert sample.taken["vlmevalkit"] == Taken(None, 0.0, ("needs_judge",))


def test_shown_samples_are_capped_and_the_rest_is_counted(dressed_run):
    [few] = [task for task in run_parity(load_run(dressed_run), shown_samples=3).tasks if task.task == "mmstar"]
    [none] = [task for task in run_parity(load_run(dressed_run), shown_samples=0).tasks if task.task == "mmstar"]

    assert (len(few.shown), few.left_out, few.disagreeing) == (3, 18, 21)
    assert (none.shown, none.left_out) == ((), 21)


def test_a_sample_says_what_each_protocol_took_and_gave(parity):
    hotdog = task_of(parity, "mmstar").shown[0]

    assert (hotdog.id, hotdog.golds, hotdog.answer) == ("5", ("B",), "hotdog")
    assert hotdog.taken["strict"] == hotdog.taken["lmms-eval"] == Taken(None, 0.0, ("no_match",))
    assert hotdog.taken["paper"] == hotdog.taken["vlmevalkit"] == Taken("B", 1.0, ())


def test_agreement_counts_each_pair_on_all_samples(parity, dressed_run):
    """The counts again, by the plainest way: each record scored by itself."""
    from harness.evaluation.predictions import rescore_record
    from harness.runs.manifest import config_of

    run = load_run(dressed_run)
    records = [record for record in run.records() if record.sample.task == "ai2d"]
    values = {
        protocol: [rescore_record(one, config_of(run.manifest, protocol)).score.value for one in records]
        for protocol in PROTOCOLS
    }
    expected = {
        (a, b): sum(one == other for one, other in zip(values[a], values[b], strict=True))
        for a, b in combinations(PROTOCOLS, 2)
    }

    assert {(pair.a, pair.b): pair.alike for pair in task_of(parity, "ai2d").agreements} == expected


def test_protocols_are_taken_in_the_order_asked_for_and_two_are_needed(dressed_run):
    run = load_run(dressed_run)

    assert run_parity(run, ("lmms-eval", "strict", "lmms-eval")).protocols == ("lmms-eval", "strict")
    for too_few in ((), ("strict",), ("strict", "strict")):
        with pytest.raises(ConfigError, match="at least two protocols"):
            run_parity(run, too_few)


def test_a_format_that_a_protocol_cannot_read_leaves_it_out_or_is_refused_by_name(invented, tmp_path):
    config = ScoreConfig(format="qwen-json")
    questions = invented.many_questions(4)
    run = load_run(invented.invent_run(tmp_path, invented.Answerer("marked"), questions, config=config))

    found = run_parity(run)
    assert found.protocols == ("strict", "vlmevalkit", "lmms-eval")
    assert "cannot read format qwen-json" in found.left_out["paper"]
    with pytest.raises(ConfigError, match="cannot read format"):
        run_parity(run, ("strict", "paper"))


def test_json_and_markdown_hold_the_same_numbers_and_markdown_no_answer(parity, capsys):
    found = json.loads(json.dumps(parity_to_json(parity), allow_nan=False))
    text = parity_markdown(parity)

    assert found["protocols"]["vlmevalkit"] == "vlmevalkit@e8e78f05"
    assert found["tasks"]["mmstar"]["scores"]["lmms-eval"]["metrics"]["accuracy"]["value"] == pytest.approx(
        0.5022222222
    )
    assert "50.2" in text
    assert "21 samples are scored differently" in text
    assert "hotdog looks" not in text
    import sys

    show_parity(parity, sys.stdout)
    out = capsys.readouterr().out
    assert "nothing → 0 (no_match) · paper, vlmevalkit: 'B' → 1" in out.replace("strict, lmms-eval: ", "")
    assert "shapes: vlmevalkit, lmms-eval: no rule of its own: as strict" in out


# --- the sentences ----------------------------------------------------------------------------------------------------

PIXELS = dialect_named("image_px")
OPTIONS = {"A": "cat", "B": "dog", "C": "teddy bear", "D": "rabbit"}
LONG = "B because its ears hang down and it looks at the ball that lies before it"
STATED = [
    # benchmark, fields of its row, answer, score under each protocol that the sentence speaks of
    ("mmstar", {"choices": OPTIONS, "answers": ["B"]}, "hotdog", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("mmstar", {"choices": OPTIONS, "answers": ["A"]}, "A dog", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("mmstar", {"choices": OPTIONS, "answers": ["B"]}, LONG, {"strict": 1, "vlmevalkit": 0, "paper": 1}),
    ("mmstar", {"choices": OPTIONS, "answers": ["A"]}, "A or B", {"strict": 0, "lmms-eval": 1}),
    ("mmstar", {"choices": OPTIONS, "answers": ["D"]}, "DOG", {"strict": 0, "lmms-eval": 1}),
    ("mmbench_en_dev", {"choices": OPTIONS, "answers": ["B"]}, "hotdog", {"strict": 0, "lmms-eval": 1}),
    ("mme", {"answers": ["Yes"]}, "not yes", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("mme", {"answers": ["Yes"]}, "yes, no", {"strict": 0, "vlmevalkit": 0, "paper": 0}),
    ("mme", {"answers": ["Yes"]}, "The answer is yes", {"strict": 1, "lmms-eval": 0}),
    ("mme", {"answers": ["No"]}, "None", {"strict": 0, "lmms-eval": 1}),
    ("pope", {"answers": ["Yes"]}, "Yes.", {"strict": 1, "vlmevalkit": 1, "lmms-eval": 0}),
    ("hallusion_bench", {"answers": ["No"]}, "I do not know", {"strict": 0, "vlmevalkit": 0, "lmms-eval": 1}),
    ("ai2d", {"choices": OPTIONS, "answers": ["B"]}, "The answer is B", {"strict": 1, "lmms-eval": 0}),
    ("ai2d", {"choices": OPTIONS, "answers": ["B"]}, "B. dog", {"strict": 1, "lmms-eval": 1}),
    ("scienceqa", {"choices": OPTIONS, "answers": ["B"]}, "(B)", {"strict": 1, "lmms-eval": 0}),
    ("ocrbench", {"answers": ["", "x"]}, "anything", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("ocrbench", {"answers": ["stop"]}, "ｓｔｏｐ", {"strict": 0, "lmms-eval": 1}),
    ("mathvista", {"answers": ["0"], "answer_type": "integer"}, "0", {"strict": 1, "vlmevalkit": 0, "paper": 0}),
    (
        "mathvista",
        {"answers": ["1.2"], "answer_type": "float", "precision": 1.0},
        "1.24",
        {"strict": 1, "vlmevalkit": 0, "lmms-eval": 0},
    ),
    (
        "mathvista",
        {"answers": ["1.2"], "answer_type": "float", "precision": 1},
        "1.24",
        {"strict": 1, "vlmevalkit": 0, "lmms-eval": 1},
    ),
    ("mmmu_val", {"answers": ["5"], "question_type": "open"}, "15", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("mmmu_val", {"choices": OPTIONS, "answers": ["A"]}, "a MAGMA rock", {"strict": 0, "lmms-eval": 1}),
    ("mmmu_pro_vision", {"choices": OPTIONS, "answers": ["B"]}, "(B)", {"strict": 1, "lmms-eval": 0}),
    ("mathvision_test", {"answers": ["8"]}, "2^3", {"vlmevalkit": 1, "paper": 1}),
    ("mathvision_test", {"answers": ["8"]}, "a", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("mathverse", {"answers": ["5"]}, "5.0", {"strict": 1, "vlmevalkit": 0, "paper": 0}),
    ("mathverse", {"answers": ["5"]}, "5", {"strict": 1, "vlmevalkit": 1, "lmms-eval": 0}),
    ("olympiadbench", {"answers": [r"\frac{1}{2}"]}, "0.5", {"strict": 1, "vlmevalkit": 0}),
    ("wemath", {"choices": OPTIONS, "answers": ["B"]}, "Banana", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("wemath", {"choices": OPTIONS, "answers": ["B"]}, "(B)", {"strict": 1, "vlmevalkit": 0, "lmms-eval": 1}),
    ("realworldqa", {"answers": ["3"]}, "3", {"strict": 1, "vlmevalkit": 0, "paper": 0, "lmms-eval": 1}),
    ("realworldqa", {"answers": ["3"]}, "three", {"strict": 1, "lmms-eval": 0}),
    ("zerobench", {"answers": ["5"]}, "{15}", {"strict": 0, "vlmevalkit": 1, "lmms-eval": 0}),
    ("zerobench", {"answers": ["5"]}, "5", {"strict": 1, "vlmevalkit": 0, "lmms-eval": 1}),
    ("hr_bench_4k", {"choices": OPTIONS, "answers": ["B"]}, "hotdog", {"strict": 0, "lmms-eval": 1}),
    ("cv_bench", {"choices": OPTIONS, "answers": ["B"]}, "The answer is B", {"strict": 1, "lmms-eval": 0}),
    ("blink", {"choices": OPTIONS, "answers": ["B"]}, "By the look of it", {"strict": 0, "lmms-eval": 1}),
    (
        "refcoco_val",
        {"boxes": [[64, 48, 320, 240]], "width": 640, "height": 480},
        "[64, 48, 320, 240]",
        {"strict": 1, "vlmevalkit": 0, "lmms-eval": 0},
    ),
    (
        "refcoco_val",
        {"boxes": [[64, 48, 320, 240]], "width": 640, "height": 480},
        "[0.1, 0.1, 0.5, 0.5]",
        {"strict": 0, "vlmevalkit": 1, "lmms-eval": 1},
    ),
    ("satori", {"answers": ["red"]}, "Red", {"strict": 1, "paper": 0}),
    ("chartqa", {"answers": ["14"]}, "14%", {"strict": 1, "vlmevalkit": 0, "paper": 0, "lmms-eval": 0}),
    ("chartqa", {"answers": ["100"]}, "95", {"strict": 1, "vlmevalkit": 1, "paper": 0, "lmms-eval": 1}),
    ("chartqa", {"answers": ["blue"]}, " blue ", {"strict": 1, "vlmevalkit": 1, "lmms-eval": 0}),
    ("textvqa", {"answers": ["a"] * 10}, "the", {"strict": 0, "vlmevalkit": 1, "paper": 1}),
    ("textvqa", {"answers": ["5"] * 10}, "5.", {"vlmevalkit": 0, "paper": 1}),
    ("docvqa", {"answers": ["stop"]}, "the stop", {"strict": 0, "vlmevalkit": 0.5, "paper": 0.5, "lmms-eval": 0.5}),
    ("docvqa", {"answers": ["stop"]}, "  halt" + " " * 8, {"vlmevalkit": 0.7142857142857143, "lmms-eval": 0}),
]


@pytest.mark.parametrize(("task", "row", "answer", "expected"), STATED, ids=[f"{c[0]}:{c[2][:20]}" for c in STATED])
def test_a_difference_is_as_its_sentence_says(task, row, answer, expected):
    line = json.dumps({"id": "1", "task": task, "prediction": answer, **row})
    found = {
        protocol: next(
            score_lines([line], ScoreConfig(protocol=protocol, format="plain", box_dialect=PIXELS))
        ).score.value
        for protocol in expected
    }

    assert found == pytest.approx(expected)


def test_every_rule_that_a_peer_has_is_explained():
    for task, facts in FACTS.items():
        for protocol in set(PROTOCOLS) - {"strict"}:
            own = has_own_rule(Sample("1", task, facts.answer_rule), protocol)
            told = differences_of(task, facts.answer_rule, protocol)
            assert bool(told) == own, f"{protocol} reads {task} in its own way: say how"


def test_every_benchmark_that_a_peer_puts_together_in_its_own_way_is_explained():
    for task, facts in FACTS.items():
        for protocol in facts.metrics_under:
            assert protocol in OF_TASKS.get(task, {}), f"{protocol} sums {task} up in its own way: say how"


def test_a_benchmark_is_explained_by_its_own_sentence_or_by_that_of_its_kind():
    kinds = {
        task: [one.says for one in differences_of(task, ANSWER_RULES[task], "lmms-eval")] for task in ("mme", "pope")
    }

    assert kinds["mme"][0].startswith("Only the first four characters")
    assert len(kinds["pope"]) == 1
    assert differences_of("shapes", "accepted", "vlmevalkit") == ()
