"""MathVision, MathVerse, We-Math and OlympiadBench: rows in both layouts, right answers, what is asked."""

import json
from pathlib import Path

import pytest

from harness.comparison.verify_run import verify_run
from harness.errors import ExitCode
from harness.runs.store import load_run
from harness.scoring.score import score
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from tasks import hooks, mathverse, mathvision, olympiadbench, wemath
from tasks.catalog import BENCHMARKS
from tasks.hooks import METRICS, PLAIN_CONFIG
from tasks.local_data import limit_indices, open_task_data
from tasks.verify import verify_task_data

MATHS = ["mathvision_testmini", "mathvision_test", "mathverse", "wemath", "olympiadbench"]
ROWS = {"mathverse": 30}


def satori(answer):
    return f"<caption>A drawing.</caption><bbox>[[1,2,30,40]]</bbox><answer>{answer}</answer>"


def samples_of(name, folder):
    benchmark = BENCHMARKS[name]
    return [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, folder)]


@pytest.mark.parametrize("name", MATHS)
def test_parquet_and_tsv_are_the_same_questions(local_data, name):
    hub, tsv = (samples_of(name, folder) for folder in (local_data.parquet, local_data.tsv))

    assert len(hub) == len(tsv) == ROWS.get(name, 24)
    for one, other in zip(hub, tsv, strict=True):
        for field in ("question", "answers", "choices", "category", "l2_category", "cluster", "image_sha256", "extra"):
            assert getattr(one, field) == getattr(other, field), (name, one.id, field)


@pytest.mark.parametrize("name", MATHS)
@pytest.mark.parametrize("layout", ["parquet", "tsv"])
def test_the_adapter_asks_and_groups_as_its_sample_says(local_data, layout, name):
    adapter = BENCHMARKS[name].adapter
    for doc in open_task_data(BENCHMARKS[name], getattr(local_data, layout)):
        sample = adapter.sample_of(doc)
        assert adapter.cluster_of(doc) == sample.cluster
        assert adapter.id_of(doc) == sample.id
        assert sample.image_sha256


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize("name", MATHS)
def test_good_data_has_no_faults_and_a_warning_about_its_size(local_data, layout, name):
    report = verify_task_data(BENCHMARKS[name], getattr(local_data, layout), images=None)

    assert report.ok, report.faults
    assert (
        f"{BENCHMARKS[name].rows_expected:,}" in report.warnings[0]
        or str(BENCHMARKS[name].rows_expected) in report.warnings[0]
    )


@pytest.mark.parametrize("name", MATHS)
def test_right_answers_earn_the_whole_score(local_data, name):
    rows = []
    for sample in samples_of(name, local_data.parquet):
        found = score(sample, satori(sample.answers[0]), PLAIN_CONFIG)
        assert found.value == 1.0, (sample.id, sample.answers, found)
        rows.append(ScoredRow(sample, found))
    summary = summarise(name, rows, "strict")

    nothing = {"IK", "IG", "RM_strict", "RM_loose"}
    own = [metric for metric in METRICS[name] if metric != "format"]
    assert {metric: summary.metrics[metric].value for metric in own} == {
        metric: 0.0 if metric in nothing else 1.0 for metric in own
    }


@pytest.mark.parametrize("name", MATHS)
def test_the_hook_scores_as_the_one_scorer_does(local_data, name):
    doc = open_task_data(BENCHMARKS[name], local_data.parquet)[0]
    sample = BENCHMARKS[name].adapter.sample_of(doc)
    results = getattr(hooks, f"{name}_results")
    for text in (satori(sample.answers[0]), satori("neither nor"), "", "<answer>"):
        items = results(doc, [text])
        assert set(items) == set(METRICS[name])
        assert items["accuracy"].get("score") == score(sample, text, PLAIN_CONFIG).value
    for broken in ({}, {"image": 7, "question": None}, {"final_answer": {"a": 1, "b": 2}, "answer": {"a": 1, "b": 2}}):
        assert set(results(broken, ["<answer>x"])) == set(METRICS[name])


def test_versions_of_a_problem_are_one_cluster_and_each_a_category(local_data):
    samples = samples_of("mathverse", local_data.parquet)

    assert [sample.cluster for sample in samples] == [str(1 + row // 5) for row in range(30)]
    assert [sample.category for sample in samples[:5]] == [
        "Text Dominant", "Text Lite", "Vision Intensive", "Vision Dominant", "Vision Only",
    ]  # fmt: skip
    assert samples[0].choices == {"A": "40°", "B": "60°", "C": "120°", "D": "140°"}
    assert samples[5].choices == {}
    assert samples[0].extra["subjects"] == ["Plane Geometry", "Angle"]


def test_a_version_without_a_picture_is_not_asked(local_data):
    assert not [sample for sample in samples_of("mathverse", local_data.parquet) if sample.category == "Text Only"]


def test_the_version_in_the_picture_is_not_given_away():
    doc = {
        "problem_version": "Vision Only",
        "question": "",
        "question_type": "multi-choice",
        "question_for_eval": "How large is angle C?\nChoices:\nA:40°\nB:60°",
    }

    assert mathverse.question_text(doc) == f"{mathverse.VISION_QUESTION}\n{mathvision.LETTER_HINT}"
    assert mathverse.sample_of(doc).choices == {"A": "40°", "B": "60°"}


@pytest.mark.parametrize("lead", ["Please directly answer the question.", "Please first conduct reasoning, e.g., A."])
def test_a_ready_made_query_gives_back_the_question(lead):
    doc = {"question": f"{lead}\nQuestion: How large?\nChoices:\nA:1\nB:2", "problem_version": "Text Lite"}

    assert mathverse.question_text(doc) == f"How large?\nChoices:\nA:1\nB:2\n{mathvision.LETTER_HINT}"
    assert mathverse.choices_of(doc) == {"A": "1", "B": "2"}


def test_options_in_the_picture_are_not_listed():
    doc = {"question": "Which one?\n<image1>", "options": ["A", "B", "C"], "answer": "B"}

    assert mathvision.question_text(doc) == f"Which one?\n{mathvision.LETTER_HINT}"
    assert (
        mathvision.question_text(doc | {"options": ["1", "2"]}) == f"Which one?\nA. 1\nB. 2\n{mathvision.LETTER_HINT}"
    )
    assert mathvision.question_text(doc | {"options": []}) == "Which one?"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("A. 1;B. 2; C. 3", {"A": "1", "B": "2", "C": "3"}),
        ("A. 200.96;B. 6280; at most;C. none", {"A": "200.96", "B": "6280; at most", "C": "none"}),
        ("A: x\nB: B. y", {"A": "x", "B": "B. y"}),
        ("A.;B. 2", {"B": "2"}),
        ("A．甲；B．乙", {"A": "甲", "B": "乙"}),
        ("none", {}),
        ("", {}),
    ],
)  # fmt: skip
def test_options_of_one_text(written, expected):
    assert wemath.choices_of({"option": written}) == expected


def test_problems_of_two_and_three_steps_with_one_number_are_two(local_data):
    clusters = {
        wemath.cluster_of({"ID": problem, "key": key}) for problem, key in (("7", "2steps_1"), ("7", "3steps_1"))
    }
    whole = limit_indices(BENCHMARKS["wemath"], open_task_data(BENCHMARKS["wemath"], local_data.parquet), 2)

    assert clusters == {"2steps_7", "3steps_7"}
    assert whole == [0, 1, 2]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({"source": "OE_MM_physics_zh_CEE", "unit": "m", "answer_type": "Numerical", "context": "滑块。"},
         ["中国物理竞赛", "，答案类型为数值。", "所以最终答案是\\boxed{答案}(单位)", "不要放在\\boxed{}中"]),
        ({"source": "OE_MM_maths_zh_CEE", "is_multiple_answer": True, "answer_type": "Numerical", "context": "x"},
         ["中国数学竞赛", "答案类型均为数值", "\\boxed{用英文逗号连接的多个答案}"]),
        ({"source": "OE_MM_maths_en_COMP", "is_multiple_answer": "True", "answer_type": "Numerical,Equation"},
         ["International Math", "in order being a numerical value, an equation", "connected with commas}."]),
        ({"source": "OE_MM_physics_en_COMP", "unit": "kg", "answer_type": "Interval"},
         ["International Physics", "should be an interval", "\\boxed{answer}(unit).", "should not be included"]),
        ({"source": "OE_MM_maths_en_COMP", "answer_type": "Tuple"}, ["competition. Please calculate"]),
    ],
)  # fmt: skip
def test_a_question_of_olympiadbench_is_asked_in_its_language(cells, says):
    asked = olympiadbench.question_text({"question": "?", **cells})

    assert not [words for words in says if words not in asked], asked
    assert asked.endswith("\n?")
    assert ("x\n" in asked) is False


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (["5", " "], ("5",)),
        ("['5']", ("5",)),
        (r"['\frac{1}{2}']", (r"\frac{1}{2}",)),
        (r"['\\frac{1}{2}', '3']", (r"\frac{1}{2}", "3")),
        ('["it\'s"]', ("it's",)),
        ("5", ("5",)),
        ("", None),
        (None, None),
    ],
)
def test_accepted_answers_of_olympiadbench(held, expected):
    assert olympiadbench.answers_of({"final_answer": held}) == expected


def test_questions_about_the_same_pictures_are_one_cluster_and_text_alone_is_not_asked(local_data):
    samples = samples_of("olympiadbench", local_data.parquet)

    assert {sample.category for sample in samples} == {
        "OE_MM_maths_en_COMP", "OE_MM_maths_zh_CEE", "OE_MM_physics_en_COMP", "OE_MM_physics_zh_CEE",
    }  # fmt: skip
    assert {sample.l2_category for sample in samples} == {"en_maths", "zh_maths", "en_physics", "zh_physics"}
    assert [len(sample.pictures) for sample in samples[:6]] == [0, 0, 2, 3, 0, 2]
    assert samples[0].cluster == samples[1].cluster != samples[2].cluster


@pytest.mark.slow
def test_a_checkpoint_is_asked_all_of_them_and_rescored_under_every_protocol(command, tiny_qwen2_5_vl, local_data):
    code, out, err = command(
        "run", "--model", tiny_qwen2_5_vl, "--tasks", ",".join(MATHS), "--data-dir", local_data.parquet,
        "--max-new-tokens", 4, "--device", "cpu", "--min-pixels", 784, "--max-pixels", 3136, "--json",
    )  # fmt: skip

    assert code == ExitCode.OK, err
    run = load_run(Path(json.loads(out)["run"]))
    assert verify_run(run.path) == []
    scores = json.loads((run.path / "scores.json").read_text())["tasks"]
    assert {name: found["rows"] for name, found in scores.items()} == {name: ROWS.get(name, 24) for name in MATHS}
    assert not [name for name, found in scores.items() if found["unscored"]]
    for protocol in ("vlmevalkit", "paper", "lmms-eval"):
        code, _, err = command("rescore", run.path, "--protocol", protocol, "--json")
        assert code == ExitCode.OK, err
        assert verify_run(run.path) == []


@pytest.mark.slow
def test_plain_lmms_eval_gives_the_same_scores(local_data, through_plain_lmms_eval):
    """What the hub's rows give through our YAML files is what the one scorer gives."""
    names = ["mathvision_testmini", "wemath", "olympiadbench"]
    results = through_plain_lmms_eval(names, satori("B"))

    for name in names:
        rows = [ScoredRow(one, score(one, satori("B"), PLAIN_CONFIG)) for one in samples_of(name, local_data.parquet)]
        metrics = summarise(name, rows, "strict").metrics
        for metric in METRICS[name]:
            assert results[name][f"{metric},none"] == pytest.approx(metrics[metric].value), (name, metric)


def test_mathvision_alone_is_scored_and_is_no_split_that_could_be_asked(command, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "1", "task": "mathvision", "prediction": "12", "answers": ["12"]}) + "\n")

    assert command("score", rows, "--format", "plain")[0] == ExitCode.OK
    code, _, err = command("tasks", "show", "mathvision")
    assert code == ExitCode.USAGE
    assert "'mathvision_test' and 'mathvision_testmini'" in err
