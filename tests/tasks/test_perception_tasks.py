"""RealWorldQA, HR-Bench, CV-Bench, BLINK and ZeroBench: rows in both layouts, right answers, how each is summed up."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harness.comparison.verify_run import verify_run
from harness.evaluation.predictions import score_lines
from harness.scoring.score import score
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from harness.task_facts import facts_of
from harness.values import PROTOCOLS, ScoreConfig
from tasks import blink, cv_bench, realworldqa, zerobench
from tasks.catalog import BENCHMARKS, GROUPS
from tasks.hooks import PLAIN_CONFIG
from tasks.local_data import DataError, open_task_data
from tasks.verify import verify_task_data

ONE_PICTURE = ["realworldqa", "hr_bench_4k", "hr_bench_8k", "cv_bench"]
PERCEPTION = [*ONE_PICTURE, "blink", "zerobench", "zerobench_subquestions"]
ROWS = {"blink": 28}


def satori(answer):
    return f"<caption>A drawing.</caption><bbox>[[1,2,30,40]]</bbox><answer>{answer}</answer>"


def samples_of(name, folder):
    benchmark = BENCHMARKS[name]
    return [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, folder)]


@pytest.mark.parametrize("name", ONE_PICTURE)
def test_parquet_and_tsv_are_the_same_rows(local_data, name):
    hub, tsv = (samples_of(name, folder) for folder in (local_data.parquet, local_data.tsv))

    assert len(hub) == 24
    for place, (one, other) in enumerate(zip(hub, tsv, strict=True)):
        assert (one.id, one.answers, one.category, one.l2_category, one.image_sha256, one.cluster) == (
            other.id,
            other.answers,
            other.category,
            other.l2_category,
            other.image_sha256,
            other.cluster,
        )
        if (name, place) != ("realworldqa", 0):
            assert one.choices == other.choices


@pytest.mark.parametrize("name", ["blink", "zerobench", "zerobench_subquestions"])
def test_several_pictures_are_the_same_in_both_layouts(local_data, name):
    hub, tsv = (samples_of(name, folder) for folder in (local_data.parquet, local_data.tsv))

    assert len(hub) == ROWS.get(name, 24)
    for one, other in zip(hub, tsv, strict=True):
        assert (one.answers, one.choices, one.question, one.category, one.pictures, one.image_sha256) == (
            other.answers,
            other.choices,
            other.question,
            other.category,
            other.pictures,
            other.image_sha256,
        )
    counts = [len(sample.pictures) for sample in hub]
    expected = [(0, 2, 3, 4)[row // 2 % 4] for row in range(28)] if name == "blink" else [0, 0, 2] * 8
    assert counts == expected  # one picture is no list of one


CLUSTERS = [
    ("realworldqa", 8), ("hr_bench_4k", 6), ("cv_bench", 12), ("blink", 8), ("zerobench", 8),
    ("zerobench_subquestions", 8),
]  # fmt: skip


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize(("name", "pictures"), CLUSTERS)
def test_questions_about_one_picture_are_one_cluster(local_data, name, layout, pictures):
    adapter = BENCHMARKS[name].adapter
    data = open_task_data(BENCHMARKS[name], getattr(local_data, layout))

    assert len({adapter.cluster_of(doc) for doc in data}) == pictures
    assert [adapter.cluster_of(doc) for doc in data] == [adapter.sample_of(doc).cluster for doc in data]


def test_the_files_of_blinks_test_split_are_not_read(local_data, tmp_path):
    data = open_task_data(BENCHMARKS["blink"], local_data.parquet)
    (tmp_path / "blink").mkdir()
    row = blink.sample_of({"idx": "test_Jigsaw_1", "answer": "hidden", "choices": ["x", "y"], "question": "q"})

    assert {text["idx"].split("_")[0] for text in data} == {"val"}
    assert row.answers is None
    with pytest.raises(DataError, match="no data for blink"):
        open_task_data(BENCHMARKS["blink"], tmp_path)


def test_the_hubs_files_of_all_subtasks_are_one_split(local_data, tmp_path, monkeypatch):
    """As `datasets` finds them in a copy of the hub's folder."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    folder = local_data.parquet / "blink"
    hub = open_task_data(replace(BENCHMARKS["blink"], hub_path=str(folder)))
    local = open_task_data(BENCHMARKS["blink"], local_data.parquet)

    assert [blink.sample_of(doc) for doc in hub] == [blink.sample_of(doc) for doc in local]


def test_the_pictures_of_a_question_stand_before_it(local_data):
    data = open_task_data(BENCHMARKS["blink"], local_data.parquet)
    adapter = BENCHMARKS["blink"].adapter
    doc = data[7]
    content = adapter.shown(doc).content(adapter.question_text(doc))

    assert [part["type"] for part in content] == ["image"] * 4 + ["text"]
    assert content[-1]["text"].endswith("(A) the first\n(B) the second\n(C) neither")


def test_zerobench_asks_for_braces():
    assert zerobench.question_text({"question_text": "How many?"}) == f"How many?\n{zerobench.IN_BRACES}"
    assert zerobench.sample_of({"question": "q", "answers": "nan"}, "zerobench").answers == ("nan",)
    assert [zerobench.cluster_of({"question_id": name}) for name in ("7_1", "7_12", "q7_1", "7", "7_")] == [
        "7", "7", "q7", "7", "7_",
    ]  # fmt: skip


@pytest.mark.parametrize("name", PERCEPTION)
def test_good_data_has_no_faults_and_a_warning_about_its_size(local_data, name):
    report = verify_task_data(BENCHMARKS[name], local_data.parquet, images=None)

    assert report.ok, report.faults
    assert str(BENCHMARKS[name].rows_expected) in report.warnings[0]
    assert not [warning for warning in report.warnings[1:] if "optional columns" not in warning]


@pytest.mark.parametrize("name", PERCEPTION)
@pytest.mark.parametrize("layout", ["parquet", "tsv"])
def test_right_answers_earn_everything(local_data, name, layout):
    samples = samples_of(name, getattr(local_data, layout))
    scored = [ScoredRow(sample, score(sample, satori(sample.answers[0]), PLAIN_CONFIG)) for sample in samples]
    summary = summarise(name, scored, "strict")

    assert {metric.name: summary.metrics[metric.name].value for metric in facts_of(name).metrics} == {
        metric.name: 1.0 for metric in facts_of(name).metrics
    }
    assert summary.shown.n == ROWS.get(name, 24)


def test_an_option_that_a_file_lacks_is_no_right_one(local_data):
    """VLMEvalKit issue 677: option B of the first row is lost in the TSV; here it is not the right one."""
    hub, tsv = (samples_of("realworldqa", folder)[0] for folder in (local_data.parquet, local_data.tsv))

    assert (hub.choices, tsv.choices) == ({"A": "red", "B": "green", "C": "blue"}, {"A": "red", "C": "blue"})


OPTIONS = (
    "What?\n\nA. red\nB. green\nPlease answer directly with only the letter of the correct option and nothing else."
)
QUESTIONS = {
    "letters": (OPTIONS, {"A": "red", "B": "green"}),
    "brackets": ("What?\n(A) red\n(B) green\n(C) blue", {"A": "red", "B": "green", "C": "blue"}),
    "colons": ("What?\nA: red\nB: green", {"A": "red", "B": "green"}),
    "a mark that is missing": ("What?\nA. red\nB green\nC. blue", {"A": "red", "B": "green", "C": "blue"}),
    "an article first": ("A car stands there.\nA. red\nB. green", {"A": "red", "B": "green"}),
    "an article alone": ("A car stands there.\nBoth of them are red.", {}),
    "one option": ("What?\nA. red\nPlease answer.", {}),
    "no options": ("How many?\nPlease answer directly with a single word or number.", {}),
    "out of order": ("What?\nA. red\nC. blue", {}),
    "windows' line ends": ("What?\r\nA. red\r\nB. green\r\n", {"A": "red", "B": "green"}),
    "marks inside": ("What?\nA. U.S. red\nB. green (B.)", {"A": "U.S. red", "B": "green (B.)"}),
    "empty": ("", {}),
}


@pytest.mark.parametrize(("question", "choices"), QUESTIONS.values(), ids=QUESTIONS)
def test_options_are_read_from_lines_of_the_question(question, choices):
    assert realworldqa.choices_in(question) == choices


def test_the_sentence_that_wants_a_letter_alone_is_not_asked():
    assert realworldqa.question_text({"question": OPTIONS}) == "What?\n\nA. red\nB. green"
    assert realworldqa.question_text({"question": "What?", "A": "red", "B": "green"}) == "What?\nA. red\nB. green"
    open_one = "How many?\nPlease answer directly with a single word or number."
    assert realworldqa.question_text({"question": open_one}) == open_one


def test_cv_bench_is_asked_in_its_authors_words():
    row = {"question": "How many?", "choices": ["1", "2"], "answer": "(B)"}

    assert cv_bench.question_text(row) == "How many?\nA. 1\nB. 2"
    assert cv_bench.question_text({**row, "prompt": "How many? (A) 1 (B) 2"}) == "How many? (A) 1 (B) 2"
    assert cv_bench.sample_of(row).answers == ("B",)


def test_one_half_of_cv_bench_gives_its_half(local_data, tmp_path):
    (tmp_path / "CV-Bench-2D.tsv").write_bytes((local_data.tsv / "CV-Bench-2D.tsv").read_bytes())
    samples = samples_of("cv_bench", tmp_path)
    scored = [ScoredRow(sample, score(sample, satori("A"), PLAIN_CONFIG)) for sample in samples]
    summary = summarise("cv_bench", scored, "strict")

    assert len(samples) == 16
    assert summary.metrics["accuracy_2d"].value == pytest.approx((3 / 6 + 5 / 10) / 2)
    assert summary.reasons["accuracy"] == "accuracy_3d: no rows of l2 categories: Omni3D"


def test_the_halves_of_cv_bench_keep_apart_what_begins_anew(local_data, tmp_path):
    data = open_task_data(BENCHMARKS["cv_bench"], local_data.tsv)
    assert [data[place]["split"] for place in (0, 15, 16, 23)] == ["2D", "2D", "3D", "3D"]
    assert data.source.count(".tsv") == 2

    (tmp_path / "CV-Bench-3D.tsv").write_text("index\timage\n", encoding="utf-8")
    (tmp_path / "CV-Bench-2D.tsv").write_bytes((local_data.tsv / "CV-Bench-2D.tsv").read_bytes())
    with pytest.raises(DataError, match=r"2D\.tsv and .*3D\.tsv: cv_bench needs the columns question"):
        open_task_data(BENCHMARKS["cv_bench"], tmp_path)


def summary_of(rows, protocol="strict"):
    scored = score_lines((json.dumps(row) for row in rows), ScoreConfig(protocol=protocol, format="plain"))
    found = [ScoredRow(row.prediction.sample, row.score) for row in scored if row.prediction is not None]
    assert len(found) == len(rows)
    return summarise(found[0].sample.task, found, protocol)


def predictions(task, spec, **fields):
    """Rows of words such as `COCO:110`: the part, and which of its answers are right."""
    return [
        {
            "id": f"{name}{place}",
            "task": task,
            "choices": {"A": "x1", "B": "x2"},
            "answers": ["A"],
            "prediction": "A" if right == "1" else "B",
            "l2_category": name,
            "category": f"c{place % 2}",
            "group": f"{name}{place // 2}",
            **fields,
        }
        for name, marks in (word.split(":") for word in spec.split())
        for place, right in enumerate(marks)
    ]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_cv_bench_weighs_its_halves_alike(protocol):
    found = summary_of(predictions("cv_bench", "ADE20K:10 COCO:1110 Omni3D:0001"), protocol).metrics
    halves = {"accuracy_2d": (1 / 2 + 3 / 4) / 2, "accuracy_3d": 1 / 4}
    expected = {"accuracy": sum(halves.values()) / 2, **halves}
    if protocol == "lmms-eval":
        expected = {"accuracy": 5 / 10, "accuracy_2d": 4 / 6, "accuracy_3d": 1 / 4}

    assert {name: found[name].value for name in expected} == pytest.approx(expected)
    assert [found[name].n for name in expected] == [10, 6, 4]
    assert all(found[name].ci_low <= found[name].value <= found[name].ci_high for name in expected)


def test_cv_bench_needs_its_sources():
    some = summary_of(predictions("cv_bench", "ADE20K:10 COCO:11 Other:1"))
    none = summary_of(predictions("cv_bench", ":10"))

    assert some.reasons["accuracy_2d"] == "rows of unknown l2 categories: Other"
    assert none.reasons["accuracy"].startswith("accuracy_2d: rows of unknown l2 categories: (none)")
    assert set(some.categories) == {"c0", "c1"}


def test_rows_of_a_source_that_could_not_be_scored_leave_no_number():
    rows = predictions("cv_bench", "ADE20K:10 COCO:11 Omni3D:1")
    rows[-1]["answers"] = ["neither"]
    found = summary_of(rows)

    assert found.reasons["accuracy"] == "Omni3D: no scored rows"
    assert found.metrics["accuracy_2d"].value == 0.75


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hr_bench_is_the_mean_of_its_cycles(protocol):
    rows = predictions("hr_bench_8k", "A:10 B:1111 C:0 D:1")
    found = summary_of(rows, protocol)

    assert found.shown.value == pytest.approx((1 / 2 + 1 + 0 + 1) / 4)
    assert found.categories["c0"].value == pytest.approx((1 + 1 + 0 + 1) / 4)  # of each cycle's rows with that category
    assert found.categories["c1"].value == pytest.approx((0 + 1) / 2)
    assert found.l2_categories["B"].value == 1.0
    rows[0]["l2_category"] = ""
    assert summary_of(rows, protocol).reasons["accuracy"] == "1 rows have no l2_category to average over"


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_blink_is_the_mean_of_its_subtasks(protocol):
    rows = [
        {**row, "category": row["l2_category"]} for row in predictions("blink", "Art_Style:10 Jigsaw:1111 IQ_Test:0")
    ]
    found = summary_of(rows, protocol)

    micro = protocol in {"vlmevalkit", "paper"}
    assert found.shown.value == pytest.approx(5 / 7 if micro else (1 / 2 + 1 + 0) / 3)
    assert {name: metric.value for name, metric in found.categories.items()} == {
        "Art_Style": 0.5, "IQ_Test": 0.0, "Jigsaw": 1.0,
    }  # fmt: skip
    rows[0]["category"] = ""
    nameless = summary_of(rows, protocol)
    assert nameless.reasons.get("accuracy") == (None if micro else "1 rows have no category to average over")


def test_they_are_groups():
    assert set(PERCEPTION) <= set(GROUPS["perception"])
    assert list(GROUPS["hr_bench"]) == ["hr_bench_4k", "hr_bench_8k"]


@pytest.mark.slow
def test_all_run_on_a_tiny_checkpoint(command, local_data, tiny_qwen2_5_vl):
    code, out, err = command(
        "run", "--model", tiny_qwen2_5_vl, "--tasks", "perception", "--data-dir", local_data.parquet,
        "--format", "plain", "--max-new-tokens", 4, "--json", "--no-page",
    )  # fmt: skip

    assert code == 0, err
    tasks = json.loads(out)["tasks"]
    assert verify_run(Path(json.loads(out)["run"])) == []
    assert {name: found["n"] for name, found in tasks.items()} == {name: ROWS.get(name, 24) for name in PERCEPTION}
    assert all(found["metrics"][facts_of(name).headline]["value"] is not None for name, found in tasks.items())


@pytest.mark.slow
def test_plain_lmms_eval_gives_the_same_scores(local_data, through_plain_lmms_eval):
    """What the hub's rows give through our YAML files is what the one scorer gives, files of fourteen subtasks too."""
    names = ["realworldqa", "cv_bench", "hr_bench_4k", "blink", "zerobench"]
    results = through_plain_lmms_eval(names, satori("A"))

    for name in names:
        rows = [ScoredRow(one, score(one, satori("A"), PLAIN_CONFIG)) for one in samples_of(name, local_data.parquet)]
        assert results[name]["accuracy,none"] == pytest.approx(summarise(name, rows, "strict").shown.value)
