"""Tasks of lmms-eval's own in our runs: its figures, our journal, intervals and pages; and what cannot be run."""

import hashlib
import json
import math
import shutil
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError, UserError
from harness.evaluation.parity import run_parity
from harness.evaluation.rescore import rescore_run
from harness.imports.imported_run import Importing, save_imported_run
from harness.imports.lmms_eval import read_lmms_eval
from harness.models.replay import SatoriReplay
from harness.runs.native_metrics import NATIVE_KEY, NativeMetric, native_metrics_of
from harness.runs.store import load_run
from harness.summary.native import NO_MEAN, native_columns
from harness.values import ScoreConfig
from tasks.benchmark import TEMPLATE_PATH
from tasks.catalog import BENCHMARKS, resolve_tasks
from tasks.hooks import METRICS
from tasks.imported_samples import match_task
from tasks.local_data import open_task_data
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec
from tasks.shards import Shard

STOCK = ["mmstar", "mme", "pope", "ai2d", "chartqa", "ocrbench"]
"""Tasks of lmms-eval's own that have drawn rows in the hub's columns."""

slow = pytest.mark.slow


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class InterruptionError(RuntimeError):
    """Stands for whatever ends a process in the middle of a run."""


class Counted(SatoriReplay):
    """Counts what it is asked, and may end after so many samples."""

    def __init__(self, reply, most=math.inf):
        super().__init__(reply, batch_size=4)
        self.asked = 0
        self._most = most

    def generate_batch(self, prompts):
        if self.asked + len(prompts) > self._most:
            raise InterruptionError
        self.asked += len(prompts)
        return super().generate_batch(prompts)


def gold_of(task, row):
    """What lmms-eval's scorer of a task takes for right."""
    answer = row["answer"]
    if task == "ai2d":
        return f"{'ABCD'[int(answer)]}."
    return answer[0] if isinstance(answer, list) else answer


@pytest.fixture(scope="module")
def reply(local_data):
    """Right on three of five rows, in several dresses; one answer thinks first."""
    rows = {}
    for task in STOCK:
        place = local_data.parquet / task
        files = sorted(place.glob("*.parquet")) or [place.with_suffix(".parquet")]
        rows[task] = [row for file in files for row in pq.read_table(file).to_pylist()]

    def text(task, doc_id):
        gold = gold_of(task, rows[task][doc_id])
        return [gold, "nothing of that", f" {gold}\n", f"<think>Is it no? B?</think>{gold}", "no"][doc_id % 5]

    return text


def run(model, tiny, tasks, out, **more):
    """Run tasks on a model that replays text."""
    environment = RunEnvironment(
        now=lambda: datetime.now(UTC),
        say=more.pop("say", lambda _: None),
        listener=Silent(),
        packages={"lmms-eval": "0.7.3"},
        load_model=lambda _: model,
    )
    again = more.pop("again", False)
    spec = RunSpec(model=str(tiny), tasks=tasks, out=Path(out), thumbnails=False, **more)
    return run_benchmarks(spec, environment, again=again)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of their own for runs and for what `datasets` keeps."""
    root = tmp_path_factory.mktemp("native")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_CACHE", str(root / "cache"))
        patch.setenv("LMMS_EVAL_DATASETS_CACHE", str(root / "cache"))
        yield root


@pytest.fixture(scope="module")
def native(folders, reply, tiny_qwen2_5_vl, local_data):
    """A run of all of them by name, on local files."""
    tasks = ",".join(f"lmms:{task}" for task in STOCK)
    return run(SatoriReplay(reply), tiny_qwen2_5_vl, tasks, folders / "runs", data_dir=local_data.parquet)


@pytest.fixture(scope="module")
def yamls(folders, local_data):
    """A YAML file for each that says where its rows are, as lmms-eval takes them from local files."""
    import datasets
    from lmms_eval import tasks as stock
    from lmms_eval.utils import load_yaml_config

    folder = folders / "yamls"
    folder.mkdir()
    for task in STOCK:
        path = Path(stock.__file__).parent / task / f"{task}.yaml"
        config = load_yaml_config(yaml_path=str(path), mode="simple")
        place = local_data.parquet / task
        files = sorted(place.glob("*.parquet")) or [place.with_suffix(".parquet")]
        # with the note that its pictures are pictures, as the hub's own files have it
        rows = datasets.load_dataset("parquet", data_files=list(map(str, files)), split="train")
        rows.cast_column("image", datasets.Image()).to_parquet(folder / f"{task}.parquet")
        data = f"dataset_kwargs: {{data_files: {{{config['test_split']}: {task}.parquet}}}}"
        text = f"include: {path}\ntask: {task}\ndataset_path: parquet\ndataset_name: null\n{data}\n"
        (folder / f"{task}.yaml").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def program(yamls, reply, folders):
    """What lmms-eval itself comes to, with what its command line hands to its tasks; its log is in `of-lmms-eval`."""
    from lmms_eval import evaluator
    from lmms_eval.loggers import EvaluationTracker
    from lmms_eval.tasks import TaskManager

    arguments = Namespace(
        output_path=str(folders / "of-lmms-eval"),
        process_with_media=False,
        reasoning_tags='[["<think>", "</think>"], ["<analysis>", "</analysis>"]]',
    )
    manager = TaskManager("ERROR", include_path=str(yamls), include_defaults=False)
    tracker = EvaluationTracker(output_path=arguments.output_path)
    found = evaluator.simple_evaluate(
        model=SatoriReplay(reply),
        model_args="pretrained=someone/tiny",
        tasks=STOCK,
        task_manager=manager,
        bootstrap_iters=0,
        cli_args=arguments,
        evaluation_tracker=tracker,
    )
    samples = found.pop("samples")
    tracker.save_results_aggregated(results=found, samples=samples, datetime_str="20261129_101500")
    for task in STOCK:
        tracker.save_results_samples(task_name=task, samples=samples[task])
    return found["results"]


@slow
def test_stock_tasks_give_lmms_evals_own_figures(native, program):
    for task in STOCK:
        own = {key: value for key, value in program[task].items() if "," in key and "_stderr" not in key}
        metrics = native.summary.tasks[f"lmms:{task}"].metrics
        assert {key: metric.value for key, metric in metrics.items()} == own, task
        assert any(own.values()), "a task in which nothing is right shows nothing"


@slow
def test_the_log_of_lmms_eval_imports_with_its_texts_and_comes_to_its_own_figures(
    program, reply, folders, local_data, tmp_path
):
    log = read_lmms_eval(folders / "of-lmms-eval")
    matched = [
        match_task(log.tool, task, BENCHMARKS[task.name], open_task_data(BENCHMARKS[task.name], local_data.parquet))
        for task in log.tasks
    ]
    how = Importing(ScoreConfig(format="plain"), {}, "imported")
    found = save_imported_run(tmp_path, log, matched, how, now=datetime.now(UTC))

    assert (log.model, list(log.refused)) == ("someone/tiny", ["ai2d"])
    for record in load_run(found.folder).records():
        task = record.sample.task
        row = next(place for place, sample in _places(matched, task) if sample.id == record.sample.id)
        assert record.generation.text == reply(task, row), "thoughts are there, blanks too"
    assert {one.task for one in found.differences} == set(STOCK) - {"ai2d"}
    for one in found.differences:
        # ChartQA's rule is the one that does not strip answers, and the program had stripped these
        assert one.task == "chartqa" or one.by_their_rules == pytest.approx(one.theirs), one
    assert verify_run(found.folder) == []


def _places(matched, task):
    return [(int(place), sample) for one in matched if one.task == task for place, sample in one.samples.items()]


@slow
def test_a_stock_yaml_as_a_file_gives_the_same(native, yamls, reply, folders, tiny_qwen2_5_vl):
    files = ",".join(str(yamls / f"{task}.yaml") for task in ("mmstar", "chartqa"))
    found = run(SatoriReplay(reply), tiny_qwen2_5_vl, files, folders / "runs-of-files")

    assert found.summary.tasks == {name: native.summary.tasks[name] for name in ("lmms:mmstar", "lmms:chartqa")}


@slow
def test_each_sample_keeps_what_it_gave_each_metric(native):
    records = {(record.sample.task, record.sample.id): record for record in load_run(native.folder).records()}
    first = records["lmms:chartqa", "0"].score
    summary = native.summary.tasks["lmms:chartqa"]
    overall = [record.score.native["relaxed_overall,none"] for key, record in records.items() if key[0] == summary.task]

    assert set(first.native) == {"relaxed_overall,none", "relaxed_human_split,none"}
    assert first.value == first.native["relaxed_overall,none"]
    assert sum(overall) / len(overall) == summary.metrics["relaxed_overall,none"].value
    thoughtful = records["lmms:ai2d", "3"]
    assert (thoughtful.score.extracted, thoughtful.generation.text[:7]) == ("D.", "<think>")


@slow
def test_an_aggregate_that_is_no_mean_has_no_interval_and_says_so(native):
    pope, mme = (native.summary.tasks[f"lmms:{task}"].metrics for task in ("pope", "mme"))

    assert pope["pope_accuracy,none"].ci_low < pope["pope_accuracy,none"].value < pope["pope_accuracy,none"].ci_high
    assert pope["pope_accuracy,none"].reason is None
    for metric in (pope["pope_f1_score,none"], mme["mme_perception_score,none"]):
        assert (metric.ci_low, metric.ci_high, metric.reason) == (None, None, NO_MEAN)


@slow
def test_a_native_run_names_its_protocol_and_is_sound(native):
    stored = load_run(native.folder)

    assert (stored.manifest.protocol, stored.manifest.format) == ("lmms-eval native", "plain")
    assert (stored.scores["protocol"], stored.scores["protocol_version"]) == (
        "lmms-eval native",
        "lmms-eval native@0.7.3",
    )
    assert native_metrics_of(stored.manifest)["lmms:mme"]["mme_perception_score,none"].n == 20
    assert verify_run(native.folder) == []


@slow
def test_a_killed_native_run_goes_on_and_comes_to_the_same(native, reply, folders, tiny_qwen2_5_vl, local_data):
    tasks, out = "lmms:mmstar,lmms:ocrbench", folders / "killed"
    with pytest.raises(InterruptionError):
        run(Counted(reply, most=30), tiny_qwen2_5_vl, tasks, out, data_dir=local_data.parquet)
    rest = Counted(reply)
    found = run(rest, tiny_qwen2_5_vl, tasks, out, data_dir=local_data.parquet)

    assert rest.asked == 48 - 28
    assert found.summary.tasks == {name: native.summary.tasks[name] for name in ("lmms:mmstar", "lmms:ocrbench")}


@slow
def test_native_runs_are_compared_where_an_aggregate_is_a_mean(
    native, reply, folders, tiny_qwen2_5_vl, local_data, command
):
    tasks, data = ",".join(f"lmms:{task}" for task in STOCK), {"data_dir": local_data.parquet}
    worse = run(lambda_model(reply, 3), tiny_qwen2_5_vl, tasks, folders / "runs", again=True, **data)
    comparison = compare_runs(open_sides([str(native.folder), str(worse.folder)]))
    found = {item.task: item for item in comparison.pairs[0].benchmarks}
    star, pope = found["lmms:mmstar"], {row.metric: row for row in found["lmms:pope"].metrics}

    assert star.comparability.reasons == ()
    assert star.headline.metric == "average,none"
    assert star.headline.difference.delta == pytest.approx(star.headline.b.value - star.headline.a.value)
    assert star.headline.difference.delta < 0
    assert pope["pope_f1_score,none"].difference is None
    assert "not the mean" in pope["pope_f1_score,none"].reason
    code, out, _ = command("gate", worse.folder, "--baseline", native.folder)
    assert code == 5
    verdicts = dict(line.split()[:2] for line in out.splitlines() if line.startswith("lmms:") and ": " not in line)
    assert (verdicts["lmms:mme"], verdicts["lmms:pope"]) == ("INCOMPARABLE", "REGRESSION")
    assert command("compare", native.folder, worse.folder, "-o", folders / "page.html")[0] == 0
    assert "average,none" in (folders / "page.html").read_text(encoding="utf-8")
    assert command("runs", "page", native.folder)[0] == 0
    page = (native.folder / "index.html").read_text(encoding="utf-8")
    mme = native.summary.tasks["lmms:mme"].metrics["mme_perception_score,none"].value
    assert f'{mme:,.4f} <span class="range">no interval: lmms-eval&#39;s aggregate is not the mean' in page


def lambda_model(reply, every):
    """A model that is wrong on every so manieth row besides."""
    return SatoriReplay(lambda task, doc_id: "wrong" if doc_id % every == 0 else reply(task, doc_id))


@slow
def test_a_native_run_is_not_compared_with_one_of_ours(native, reply, folders, tiny_qwen2_5_vl, local_data, command):
    ours = run(
        SatoriReplay(lambda task, row: reply(task.removeprefix("satori_"), row)),
        tiny_qwen2_5_vl, "mmstar", folders / "ours", data_dir=local_data.parquet, form="plain",
    )  # fmt: skip
    code, said, _ = command("gate", ours.folder, "--baseline", native.folder)

    assert code == 5
    assert "lmms-eval native" in said
    for refused in (lambda run: rescore_run(run, "strict"), run_parity):
        with pytest.raises(ConfigError, match=r"no rule here scores"):
            refused(load_run(native.folder))


OURS = ["chartqa", "pope", "ai2d", "hallusion_bench"]
"""Tasks of ours that plain lmms-eval runs from our YAML files."""


@slow
def test_plain_lmms_eval_comes_to_what_a_run_of_ours_does(reply, tiny_qwen2_5_vl, local_data, tmp_path, folders):
    from lmms_eval import evaluator
    from lmms_eval.tasks import TaskManager

    golds = {}
    for name in OURS:
        rows = open_task_data(BENCHMARKS[name], local_data.parquet)
        golds[f"satori_{name}"] = [BENCHMARKS[name].adapter.sample_of(doc).answers[0] for doc in rows]

    def said(task, doc_id):
        answer = [golds[task][doc_id], "Yes", "I cannot say"][doc_id % 3]
        return f"<caption>A drawing.</caption><bbox>[[1,2,30,40]]</bbox><answer>{answer}</answer>"

    (tmp_path / TEMPLATE_PATH.name).write_bytes(TEMPLATE_PATH.read_bytes())
    for name in OURS:
        benchmark = BENCHMARKS[name]
        (file,) = (local_data.parquet / name).glob("*.parquet")
        lines = benchmark.yaml_path.read_text(encoding="utf-8").splitlines()
        lines = [line for line in lines if not line.startswith(("dataset_name", "dataset_path"))]
        lines += ["dataset_path: parquet", f"dataset_kwargs: {{data_files: {{{benchmark.hub_split}: {file}}}}}"]
        (tmp_path / benchmark.yaml_path.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    plain = evaluator.simple_evaluate(
        model=SatoriReplay(said),
        tasks=[BENCHMARKS[name].yaml_name for name in OURS],
        task_manager=TaskManager("ERROR", include_path=str(tmp_path), include_defaults=False),
        bootstrap_iters=0,
        log_samples=False,
    )["results"]
    ours = run(SatoriReplay(said), tiny_qwen2_5_vl, ",".join(OURS), tmp_path / "runs", data_dir=local_data.parquet)

    for name in OURS:
        metrics = ours.summary.tasks[name].metrics
        found = {metric: plain[f"satori_{name}"][f"{metric},none"] for metric in METRICS[name]}
        assert found == {metric: metrics[metric].value for metric in METRICS[name]}, name
        assert 0 < metrics[BENCHMARKS[name].headline].value < 1


TASK = """
task: {name}
dataset_path: parquet
dataset_kwargs: {{data_files: {{test: rows.parquet}}}}
test_split: test
output_type: generate_until
doc_to_text: "{{{{question}}}}"
doc_to_visual: !function utils.pictures
doc_to_target: answer
process_results: !function utils.results
metric_list:
  - {{metric: accuracy, aggregation: mean, higher_is_better: true}}
  - {{metric: errors, aggregation: mean, higher_is_better: false}}
  - {{metric: odd, aggregation: !function utils.odd, higher_is_better: true}}
{more}
"""
CODE = """
{head}

def pictures(doc):
    return [doc["image"].convert("RGB")]

def results(doc, results):
    if results[0] == "raise":
        raise ZeroDivisionError("a scorer of a stranger's")
    right = float(results[0] == doc["answer"])
    return {{"accuracy": right, "errors": 1 - right, "odd": "no number"}}

def odd(items):
    raise KeyError("cannot be aggregated")
"""


@pytest.fixture
def write_task(tmp_path, local_data):
    """Write a task of lmms-eval's kind over POPE's rows; returns its file."""

    def write(name="mine", more="", head="", break_row=None):
        import datasets

        folder = tmp_path / name
        folder.mkdir()
        (file,) = (local_data.parquet / "pope").glob("*.parquet")
        rows = pq.read_table(file).to_pylist()[:12]
        if break_row is not None:
            rows[break_row]["image"] = {"bytes": b"no picture", "path": None}
        table = datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())
        table.to_parquet(folder / "rows.parquet")
        (folder / "utils.py").write_text(CODE.format(head=head), encoding="utf-8")
        path = folder / f"{name}.yaml"
        path.write_text(TASK.format(name=name, more=more), encoding="utf-8")
        return path

    return write


@slow
def test_what_fails_costs_its_sample_or_its_metric_alone(write_task, tiny_qwen2_5_vl, tmp_path, folders):
    path, said = write_task(break_row=2), []
    texts = ["raise", "yes", "never asked", *["yes", "no"] * 5]
    found = run(SatoriReplay(lambda _, row: texts[row]), tiny_qwen2_5_vl, str(path), tmp_path / "runs", say=said.append)
    summary = found.summary.tasks["lmms:mine"]
    records = {record.sample.id: record for record in load_run(found.folder).records()}

    assert (summary.rows, summary.n, summary.unscored) == (12, 10, {"error": 2})
    assert records["0"].score.faults == records["2"].score.faults == ("error",)
    assert "unreadable image" in records["2"].generation.error
    assert summary.metrics["accuracy,none"].n == 10
    assert summary.metrics["odd,none"].value is None
    assert "KeyError" in summary.metrics["odd,none"].reason
    assert any("ZeroDivisionError" in line for line in said)


@slow
def test_less_is_better_is_no_change_to_be_gated(write_task, tiny_qwen2_5_vl, tmp_path, folders):
    path = str(write_task())
    one = run(SatoriReplay(lambda *_: "yes"), tiny_qwen2_5_vl, path, tmp_path / "runs")
    other = run(SatoriReplay(lambda *_: "no"), tiny_qwen2_5_vl, path, tmp_path / "runs", again=True)
    (found,) = compare_runs(open_sides([str(one.folder), str(other.folder)])).pairs[0].benchmarks

    assert found.headline.difference.delta == 0.0
    assert "less is better" in next(row.reason for row in found.metrics if row.metric == "errors,none")


@slow
@pytest.mark.parametrize(
    ("tasks", "told"),
    [
        ("lmms:mmstarr", "Did you mean 'mmstar'?"),
        ("lmms:hallusion_bench_image", "asks a judge by requests"),
        ("lmms:mmbench_en_dev", "--tasks mmbench_en_dev"),
        ("lmms:vstat", "a class of its own"),
        ("lmms:mmstar,mmstar", "a run has one protocol"),
    ],
)
def test_what_cannot_be_run_is_told_before_a_model_is_loaded(
    tasks, told, tiny_qwen2_5_vl, tmp_path, local_data, monkeypatch
):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(UserError) as refused:
        run(None, tiny_qwen2_5_vl, tasks, tmp_path / "runs", data_dir=local_data.parquet)

    assert told in str(refused.value)
    assert not (tmp_path / "runs").exists()


@slow
@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"head": "import no_such_package_here"}, "Its code imports no_such_package_here"),
        ({"head": "raise RuntimeError('please pass an `api_key`')"}, "set OPENAI_API_KEY"),
        ({"more": "repeats: 4"}, "asks each question 4 times"),
        ({"more": "generation_kwargs: {temperature: hot}"}, "cannot be opened"),
        ({"more": "generation_kwargs: {top_k: -1}"}, "top_k must be 0 or more"),
        ({"more": "doc_to_messages: !function utils.odd"}, "cannot make a prompt of its first row"),
    ],
)
def test_a_file_that_cannot_be_run_says_why(write_task, written, told, tiny_qwen2_5_vl, tmp_path, folders):
    with pytest.raises(UserError) as refused:
        run(None, tiny_qwen2_5_vl, str(write_task(**written)), tmp_path / "runs")

    assert told in str(refused.value)


@slow
@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"form": "freeform"}, "--format is not theirs"),
        ({"protocol": "vlmevalkit"}, "--protocol vlmevalkit is not theirs"),
        ({"system_prompt": "Be brief."}, "--prompt"),
        ({"shard": Shard(1, 2)}, "--shard is not for them"),
    ],
)
def test_options_that_have_no_meaning_for_them_are_refused(option, told, tiny_qwen2_5_vl, tmp_path):
    with pytest.raises(ConfigError, match=told):
        run(None, tiny_qwen2_5_vl, "lmms:mmstar", tmp_path / "runs", **option)


@slow
def test_a_limit_takes_the_first_rows_as_lmms_evals_does(reply, tiny_qwen2_5_vl, local_data, tmp_path, folders):
    found = run(SatoriReplay(reply), tiny_qwen2_5_vl, "lmms:mme", tmp_path, data_dir=local_data.parquet, limit=3)
    metric = found.summary.tasks["lmms:mme"].metrics["mme_perception_score,none"]

    assert [record.sample.id for record in load_run(found.folder).records()] == ["0", "1", "2"]
    assert metric.value is None
    assert "MME only supports pairwise evaluation" in metric.reason


@slow
def test_a_group_and_a_tag_mean_their_tasks():
    group, tag = ([item.name for item in resolve_tasks(f"lmms:{name}")] for name in ("pope_full", "illusionvqa"))

    assert group == ["lmms:pope_adv", "lmms:pope_pop", "lmms:pope_random"]
    assert len(tag) > 1


def test_a_yaml_of_ones_own_without_a_section_still_says_what_is_missing(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("task: mine\ndataset_path: someone/data\n", encoding="utf-8")

    with pytest.raises(ConfigError, match="the section is missing"):
        resolve_tasks(str(path))


def metric(value, *, is_mean=False, n=4):
    return NativeMetric(value, n, is_mean)


HALF = np.array([1.0, 1.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("given", "metrics", "without"),
    [
        ({"a": HALF}, {"a": metric(0.5)}, {}),
        ({"a": HALF}, {"a": metric(0.75)}, {"a": "not the mean"}),
        ({"a": HALF * 2}, {"a": metric(1.0)}, {}),
        ({"a": HALF * 50}, {"a": metric(25.0)}, {}),
        ({"a": HALF * 500}, {"a": metric(250.0)}, {"a": "range is open"}),
        ({"a": -HALF}, {"a": metric(-0.5)}, {"a": "range is open"}),
        ({"a": HALF * 0}, {"a": metric(0.0)}, {"a": "all samples give it the same"}),
        ({"a": HALF * 0}, {"a": metric(0.0, is_mean=True)}, {}),
        ({"a": HALF, "b": HALF}, {"a": metric(0.5), "b": metric(0.75)}, {"b": "not the mean"}),
        ({"a": HALF, "b": HALF}, {"a": metric(0.5), "b": metric(0.5)}, {"a": "b came to", "b": "a came to"}),
        ({"a": HALF, "b": HALF}, {"a": metric(0.5, is_mean=True), "b": metric(0.5)}, {}),
        ({"a": HALF[:3]}, {"a": metric(2 / 3)}, {"a": "1 of its 4 samples give it no number"}),
        ({}, {"a": metric(0.5)}, {"a": "4 of its 4 samples give it no number"}),
    ],
)
def test_an_aggregate_gets_an_interval_only_where_it_is_plainly_the_mean(given, metrics, without):
    samples = max((len(column) for column in given.values()), default=4)
    found = native_columns(given, metrics, samples)
    shown = {key: column.shown(np.arange(samples)) for key, column in found.items()}

    assert {key: one.value for key, one in shown.items()} == {key: one.value for key, one in metrics.items()}
    for key, one in shown.items():
        if key in without:
            assert without[key] in one.reason
            assert (one.ci_low, one.ci_high) == (None, None)
        else:
            assert one.ci_low <= one.value <= one.ci_high


@slow
@pytest.mark.parametrize(
    ("task", "key", "value", "told"),
    [
        ("chartqa", "relaxed_overall,none", 0.99, "lmms-eval's mean relaxed_overall,none"),
        ("mme", "mme_perception_score,none", 1999.0, "its records give 1999"),
        ("mme", "mme_perception_score,none", "many", "must be a number"),
    ],
)
def test_a_changed_aggregate_is_found(native, tmp_path, task, key, value, told):
    copy = tmp_path / native.folder.name
    shutil.copytree(native.folder, copy)
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest[NATIVE_KEY][f"lmms:{task}"][key]["value"] = value
    (copy / "manifest.json").write_text(json.dumps(manifest))
    sums = (copy / "SHA256SUMS").read_text().splitlines()
    made = hashlib.sha256((copy / "manifest.json").read_bytes()).hexdigest()
    sums = [f"{made}  manifest.json" if line.endswith("manifest.json") else line for line in sums]
    (copy / "SHA256SUMS").write_text("\n".join(sums) + "\n")

    assert any(told in text for text in verify_run(copy)), verify_run(copy)
