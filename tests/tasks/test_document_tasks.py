"""ChartQA, TextVQA, DocVQA and InfographicVQA: rows in both layouts, right answers, plain lmms-eval."""

import pytest

from harness.scoring.score import score
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from tasks import chartqa, docvqa, hooks, textvqa
from tasks.catalog import BENCHMARKS, GROUPS
from tasks.hooks import METRICS, PLAIN_CONFIG
from tasks.local_data import open_task_data
from tasks.verify import verify_task_data

DOCUMENTS = ["chartqa", "textvqa", "docvqa", "infovqa"]


def satori(answer):
    return f"<caption>A drawing.</caption><bbox>[[1,2,30,40]]</bbox><answer>{answer}</answer>"


def samples_of(name, folder):
    benchmark = BENCHMARKS[name]
    return [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, folder)]


def clusters(samples):
    """Which rows stand together, whatever their cluster is called."""
    found = [sample.cluster for sample in samples]
    return [found.index(cluster) for cluster in found]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_parquet_and_tsv_are_the_same_rows(local_data, name):
    hub, tsv = (samples_of(name, folder) for folder in (local_data.parquet, local_data.tsv))

    assert len(hub) == 24
    for one, other in zip(hub, tsv, strict=True):
        assert (one.id, one.question, one.answers, one.category, one.image_sha256, one.image_size) == (
            other.id,
            other.question,
            other.answers,
            other.category,
            other.image_sha256,
            other.image_size,
        )
    by_picture = [row // 3 * 3 for row in range(24)]
    assert clusters(tsv) == by_picture
    two_pages_of_one = [0, 0, 0, *by_picture[3:]] if name != "docvqa" else [0] * 6 + by_picture[6:]
    assert clusters(hub) == two_pages_of_one


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_cluster_is_that_of_the_sample(local_data, name):
    adapter = BENCHMARKS[name].adapter
    for folder in (local_data.parquet, local_data.tsv):
        data = open_task_data(BENCHMARKS[name], folder)
        assert [adapter.cluster_of(doc) for doc in data] == [adapter.sample_of(doc).cluster for doc in data]


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize("name", DOCUMENTS)
def test_good_data_has_no_faults_and_a_warning_about_its_size(local_data, layout, name):
    report = verify_task_data(BENCHMARKS[name], getattr(local_data, layout), images=None)

    assert report.ok, report.faults
    assert str(report.rows_expected) in report.warnings[0]
    assert not [warning for warning in report.warnings[1:] if "optional columns" not in warning]


CATEGORIES = {
    "chartqa": {"human": 12, "augmented": 12},
    "textvqa": {},
    "docvqa": {"form": 16, "handwritten": 8, "layout": 8, "table/list": 8},
    "infovqa": {"single span": 16, "multi-span": 8, "non-extractive": 8},
}
RIGHT = {"chartqa": 1.0, "textvqa": (1 + 0.9 + 0.3) / 3, "docvqa": 1.0, "infovqa": 1.0}
"""What the first gold earns; people disagree in TextVQA."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_right_answers_earn_the_whole_score_by_category(local_data, name):
    samples = samples_of(name, local_data.parquet)
    scored = [ScoredRow(sample, score(sample, satori(sample.answers[0]), PLAIN_CONFIG)) for sample in samples]
    summary = summarise(name, scored, "strict")

    assert (summary.shown.value, summary.shown.n) == (pytest.approx(RIGHT[name], abs=1e-6), 24)
    assert {category: metric.n for category, metric in summary.categories.items()} == CATEGORIES[name]
    assert set(summary.l2_categories) == ({"arithmetic", "comparison", "counting"} if name == "infovqa" else set())


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_hook_scores_as_the_one_scorer_does(local_data, name):
    doc = open_task_data(BENCHMARKS[name], local_data.parquet)[0]
    sample = BENCHMARKS[name].adapter.sample_of(doc)
    results = getattr(hooks, f"{name}_results")
    for text in (satori(sample.answers[0]), satori("neither nor"), "", "<answer>"):
        items = results(doc, [text])
        assert set(items) == set(METRICS[name])
        assert items[BENCHMARKS[name].headline].get("score") == score(sample, text, PLAIN_CONFIG).value
    for broken in ({}, {"image": 7, "question": None}, {"answers": {"a": 1, "b": 2}}):
        assert set(results(broken, ["<answer>x"])) == set(METRICS[name])


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_short_answer_is_asked_for(name):
    assert BENCHMARKS[name].adapter.question_text({"question": "Which?"}) == f"Which?\n{chartqa.SHORT_ANSWER}"


def test_they_are_a_group():
    assert list(GROUPS["doc"]) == DOCUMENTS


@pytest.mark.parametrize(
    ("row", "category"),
    [
        ({"type": "human_test"}, "human"),
        ({"type": "augmented_test"}, "augmented"),
        ({"split": "test_human"}, "human"),
        ({"split": "test_augmented"}, "augmented"),
        ({"split": "test"}, "test"),
        ({}, ""),
    ],
)
def test_who_made_a_chart_question_is_told_alike_in_every_layout(row, category):
    assert chartqa.category_of({"question": "q", **row}) == category


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("14", ("14",)),
        ("['14']", ("14",)),
        ("['2014', '2015']", ("2014", "2015")),
        ("1,000", ("1,000",)),
        ("None", ("None",)),
        ("nan", ("nan",)),
        ("[2014 and 2015]", ("[2014 and 2015]",)),
        ("", None),
        (None, None),
    ],
)
def test_a_chart_answer_keeps_its_text(cell, answers):
    assert chartqa.sample_of({"question": "q", "answer": cell}).answers == answers


def test_a_blank_answer_of_one_of_ten_people_keeps_its_place():
    said = ["red"] * 9 + [""]

    assert textvqa.answers_of_people({"answers": said}) == tuple(said)
    assert textvqa.answers_of_people({"answer": repr(said)}) == tuple(said)


@pytest.mark.parametrize("row", [{}, {"answers": None}, {"answers": []}, {"answers": [""] * 10}, {"answer": ""}])
def test_a_split_without_labels_has_no_gold(row):
    assert textvqa.answers_of_people(row) is None
    assert docvqa.sampler("docvqa", ())({"question": "q", **row}).answers is None


@pytest.mark.slow
def test_plain_lmms_eval_gives_the_same_scores(local_data, through_plain_lmms_eval):
    """All four at once: what the hub's rows give through our YAML files is what the one scorer gives."""
    text = satori("14, university of california")
    results = through_plain_lmms_eval(DOCUMENTS, text)

    for name in DOCUMENTS:
        samples = samples_of(name, local_data.parquet)
        ours = summarise(name, [ScoredRow(one, score(one, text, PLAIN_CONFIG)) for one in samples], "strict").shown
        assert results[name][f"{BENCHMARKS[name].headline},none"] == pytest.approx(ours.value)
