"""Tests of the task objects for lmms-eval: our rows run through its evaluator, and our YAMLs through plain it."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from harness.scoring.score import score
from harness.values import FORMATS
from tasks import hooks
from tasks.benchmark import TASKS_DIR
from tasks.catalog import BENCHMARKS
from tasks.images import StoredImage
from tasks.local_data import limit_indices, open_task_data
from tasks.prompts import wording
from tasks.shapes import write_parquet

pytestmark = pytest.mark.slow
CORE = ["mmbench_en_dev", "mmbench_cn_dev", "mmstar", "mme", "ocrbench", "mathvista"]


@pytest.fixture(scope="module")
def evaluator():
    """lmms-eval, imported once."""
    from lmms_eval import evaluator

    return evaluator


def make_model(reply):
    """Return a model that answers each document through a function of its messages."""
    from lmms_eval.api.model import lmms

    class Replay(lmms):
        is_simple = False

        def __init__(self):
            super().__init__()
            self.asked = []

        def generate_until(self, requests):
            answers = []
            for request in requests:
                _, doc_to_messages, arguments, doc_id, task, split = request.args
                messages = doc_to_messages(self.task_dict[task][split][doc_id])
                self.asked.append((doc_id, arguments, messages))
                answers.append(reply(doc_id, messages))
            return answers

        def loglikelihood(self, requests):
            raise NotImplementedError

        def generate_until_multi_round(self, requests):
            raise NotImplementedError

    return Replay()


def evaluate(evaluator, model, tasks, **options):
    from lmms_eval.tasks import TaskManager

    few = TaskManager(include_path=str(TASKS_DIR), include_defaults=False)  # its own 1,985 tasks take 7 s to index
    return evaluator.simple_evaluate(
        model=model, tasks=tasks, task_manager=few, bootstrap_iters=0, log_samples=False, **options
    )


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize("name", [*CORE, "shapes"])
def test_a_built_task_runs_through_lmms_eval_on_our_rows(evaluator, local_data, name, layout):
    from tasks.build import BuildOptions, build_task

    benchmark = BENCHMARKS[name]
    data = open_task_data(benchmark, getattr(local_data, layout))
    data = data.subset(limit_indices(benchmark, data, 6))
    scored = []

    def hook(doc, text):
        scored.append((benchmark.adapter.id_of(doc), text))
        return None if len(scored) == 1 else 0.5

    model = make_model(lambda doc_id, _: f"  text {doc_id}\n\n ")
    results = evaluate(evaluator, model, [build_task(benchmark, data, BuildOptions(hook=hook))])

    id_of = benchmark.adapter.id_of
    assert sorted(scored) == sorted((id_of(doc), f"  text {place}\n\n ") for place, doc in enumerate(data))
    assert results["results"][benchmark.yaml_name]["score,none"] == 0.5
    assert results["n-samples"][benchmark.yaml_name]["effective"] == len(data)
    for _, arguments, messages in model.asked:
        assert arguments == {"max_new_tokens": 2048, "temperature": 0.0, "do_sample": False, "until": []}
        image = messages[-1]["content"][0]["url"]
        assert isinstance(image, StoredImage)
        assert image.open().mode == "RGB"


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_brings_its_own_turns(evaluator, local_data, form):
    from tasks.build import BuildOptions, build_task

    data = open_task_data(BENCHMARKS["mmstar"], local_data.parquet).subset([0])
    options = BuildOptions(asked=form, generation_kwargs={"max_new_tokens": 7, "temperature": 1.0, "do_sample": True})
    model = make_model(lambda *_: "")
    evaluate(evaluator, model, [build_task(BENCHMARKS["mmstar"], data, options)])

    (_, arguments, messages) = model.asked[0]
    assert len(messages) == (2 if wording(form).system else 1)
    assert (arguments["max_new_tokens"], arguments["temperature"]) == (7, 1.0)


def test_a_built_task_of_unscorable_rows_has_no_mean(evaluator, local_data):
    from tasks.build import BuildOptions, build_task

    data = open_task_data(BENCHMARKS["mmstar"], local_data.parquet).subset([0, 1])
    task = build_task(BENCHMARKS["mmstar"], data, BuildOptions())
    results = evaluate(evaluator, make_model(lambda *_: "x"), [task])["results"]["satori_mmstar"]

    assert results["score,none"] != results["score,none"]


def test_a_task_of_ones_own_runs_like_an_embedded_one(evaluator, local_data, tmp_path):
    from tasks.build import BuildOptions, build_task
    from tasks.own import load_own_task

    source = local_data.parquet / "mmstar" / "mmstar.parquet"
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"task: mine\nsatori: {{answer_rule: choice, data: {source}, columns: {{id: index, answers: answer}}}}\n",
        encoding="utf-8",
    )
    benchmark = load_own_task(path)
    task = build_task(benchmark, open_task_data(benchmark), BuildOptions(hook=lambda *_: 1.0))
    results = evaluate(evaluator, make_model(lambda *_: "x"), [task])

    assert results["results"]["mine"]["score,none"] == 1.0
    assert results["n-samples"]["mine"]["effective"] == 24


def test_yaml_functions_are_the_very_functions_of_the_normal_import(evaluator):
    from lmms_eval.utils import load_yaml_config

    for name, benchmark in BENCHMARKS.items():
        config = load_yaml_config(yaml_path=str(benchmark.yaml_path))
        assert config["process_results"] is getattr(hooks, f"{name}_results")
        assert config["doc_to_messages"] is getattr(hooks, f"{name}_messages")
        assert [metric["metric"] for metric in config["metric_list"]] == list(hooks.METRICS[name])
        assert config["generation_kwargs"]["max_new_tokens"] == benchmark.max_new_tokens
        assert config["generation_kwargs"]["until"] == []
        if benchmark.hub_path:
            assert (config["dataset_path"], config.get("dataset_name"), config["test_split"]) == (
                benchmark.hub_path,
                benchmark.hub_config,
                benchmark.hub_split,
            )


def test_plain_lmms_eval_finds_our_tasks_beside_its_own_names(evaluator):
    from lmms_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(TASKS_DIR), include_defaults=False)

    assert {benchmark.yaml_name for benchmark in BENCHMARKS.values()} | {"satori_core"} <= set(manager.all_tasks)


def test_plain_lmms_eval_scores_shapes_from_a_file(evaluator, tmp_path, monkeypatch):
    from lmms_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    write_parquet(tmp_path / "shapes.parquet", split="benchmark", n=12, profile="full")
    rows = list(open_task_data(BENCHMARKS["shapes"]))[:12]
    replies = [
        f"<caption>{row['caption']}</caption><bbox>{json.dumps(row['boxes'])}</bbox><answer>{row['answers'][0]}</answer>"
        for row in rows
    ]
    results = evaluator.simple_evaluate(
        model=make_model(lambda doc_id, _: replies[doc_id]),
        tasks=["satori_shapes"],
        task_manager=TaskManager(include_path=str(TASKS_DIR), include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
    )
    found = results["results"]["satori_shapes"]

    assert (found["accuracy,none"], found["format,none"], found["caption,none"]) == (1.0, 1.0, 1.0)
    assert len(results["samples"]["satori_shapes"]) == 12


def template_folder(folder):
    """Make a folder of task files that holds what ours share."""
    folder.mkdir()
    (folder / "_satori_template").write_bytes((TASKS_DIR / "_satori_template").read_bytes())
    return folder


def write_local_yaml(folder, benchmark, local_data, rows_file):
    """Write a benchmark's YAML with its rows in a local file in place of the hub's."""
    text = benchmark.yaml_path.read_text(encoding="utf-8").replace(
        f"dataset_path: {benchmark.hub_path}", "dataset_path: parquet"
    )
    text = "\n".join(line for line in text.splitlines() if not line.startswith("dataset_name"))
    with_images = with_image_features(open_task_data(benchmark, local_data.parquet), rows_file)
    files = f"dataset_kwargs: {{data_files: {{{benchmark.hub_split}: {with_images}}}}}"
    (folder / benchmark.yaml_path.name).write_text(f"{text}\n{files}\n", encoding="utf-8")


THOUGHTFUL = (
    "<think>A cat? It barks, so <answer>B</answer>.</think>\n"
    "<caption>a dog</caption><bbox>[[1,2,30,40]]</bbox><answer>A</answer>"
)


class OneReply(BaseHTTPRequestHandler):
    """A served model that always says the same."""

    text = THOUGHTFUL

    def do_GET(self):
        self.answer({"object": "list", "data": [{"id": "m", "object": "model"}]})

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        message = {"role": "assistant", "content": self.text}
        self.answer({"object": "chat.completion", "choices": [{"message": message, "finish_reason": "stop"}]})

    def answer(self, found):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_):
        pass


def test_the_command_of_lmms_eval_scores_a_thoughtful_text_as_the_one_scorer_does(local_data, tmp_path):
    folder = template_folder(tmp_path / "yamls")
    write_local_yaml(folder, BENCHMARKS["mmstar"], local_data, tmp_path / "mmstar.parquet")
    server = ThreadingHTTPServer(("127.0.0.1", 0), OneReply)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served = f"model=m,base_url=http://127.0.0.1:{server.server_port}/v1"
    command = [sys.executable, "-P", "-m", "lmms_eval", "--model", "satori_openai", "--model_args", served]
    command += ["--tasks", "satori_mmstar", "--include_path", str(folder), "--output_path", str(tmp_path / "out")]
    environment = {**os.environ, "PYTHONPATH": str(TASKS_DIR.parent), "HF_DATASETS_CACHE": str(tmp_path / "cache")}
    ended = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=280, check=False
    )
    server.shutdown()
    server.server_close()

    written = list((tmp_path / "out").rglob("*results.json"))
    assert written, ended.stderr[-2000:]  # its exit code is 0 whatever happens
    found = json.loads(written[0].read_text())["results"]["satori_mmstar"]
    sample_of = BENCHMARKS["mmstar"].adapter.sample_of
    samples = [sample_of(doc) for doc in open_task_data(BENCHMARKS["mmstar"], local_data.parquet)]
    earned = [score(sample, THOUGHTFUL, hooks.PLAIN_CONFIG) for sample in samples]
    assert found["format,none"] == sum(item.components.format for item in earned) / len(earned)
    assert found["accuracy,none"] == sum(item.value for item in earned) / len(earned)


def test_plain_lmms_eval_runs_the_core_group_and_averages_nothing_over_it(evaluator, local_data, tmp_path, monkeypatch):
    from lmms_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = template_folder(tmp_path / "yamls")
    (folder / "satori_core.yaml").write_bytes((TASKS_DIR / "satori_core.yaml").read_bytes())
    for name in CORE:
        write_local_yaml(folder, BENCHMARKS[name], local_data, tmp_path / f"{name}.parquet")
    results = evaluator.simple_evaluate(
        model=make_model(lambda *_: "<answer>Yes</answer>"),
        tasks=["satori_core"],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        log_samples=False,
    )

    assert set(results["results"]) >= {"satori_core", *(BENCHMARKS[name].yaml_name for name in CORE)}
    assert not [key for key in results["results"]["satori_core"] if key.startswith("accuracy,")]
    assert results["results"]["satori_mme"]["accuracy,none"] == 0.5


def with_image_features(data, path):
    """Write rows as the hub's own parquet: with the note that the image column holds images."""
    import datasets

    column = data.rows.image_column
    rows = [{**doc, column: {"bytes": doc[column].bytes, "path": None}} for doc in data]
    for row in rows:
        row.pop("_row")
    table = datasets.Dataset.from_list(rows).cast_column(column, datasets.Image())
    table.to_parquet(path)
    return path


PLACED_TEXT = "<caption>A board.</caption><bbox>[[100,200,400,600]]</bbox><answer>C</answer>"
"""In thousandths the red box of the first board; an answer that is right in MultihopSpatial."""
PLACED_SCORES = {
    "multihopspatial": {"right_answer_right_place": 1 / 4, "accuracy": 1.0},
    "refcoco_val": {"acc@0.5": 2 / 5},
    "screenspot_v2": {"accuracy": 1 / 3},
    "treebench": {"right_answer_right_place": 0.0, "accuracy": 0.0},
    "vstar": {"right_answer_right_place": 0.0, "accuracy": 1 / 3},
    "vqa_verify": {"right_answer_right_place": 0.0, "accuracy": 0.0, "acc@0.5": 1.0},
    "visual_cot_vsr": {"right_answer_right_place": 0.0, "acc@0.5": 1 / 2},
}
"""What it earns on the drawn rows."""


class PlacedReply(OneReply):
    """Says where the first board's box is, whatever is asked."""

    text = PLACED_TEXT


@pytest.fixture(scope="module")
def placed_scores(local_data, tmp_path_factory):
    """Metrics by task of a run of ours that asked a served model for places."""
    out = tmp_path_factory.mktemp("runs")
    server = ThreadingHTTPServer(("127.0.0.1", 0), PlacedReply)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    command = [sys.executable, "-P", "-m", "satori_bench", "run", "--model", "m", "--backend", "openai", "--no-page"]
    command += ["--base-url", f"http://127.0.0.1:{server.server_port}/v1", "--box-dialect", "norm_1000", "--out", out]
    command += ["--tasks", ",".join(PLACED_SCORES), "--data-dir", local_data.parquet]
    environment = {**os.environ, "PYTHONPATH": str(TASKS_DIR.parent)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, check=False)
    server.shutdown()
    server.server_close()

    assert ended.returncode == 0, ended.stderr[-2000:]
    found = json.loads(next(out.rglob("scores.json")).read_text())["tasks"]
    return {task: {name: metric["value"] for name, metric in of["metrics"].items()} for task, of in found.items()}


@pytest.mark.parametrize("name", PLACED_SCORES)
def test_a_run_asks_for_places_and_scores_them(placed_scores, name):
    assert {metric: placed_scores[name][metric] for metric in PLACED_SCORES[name]} == pytest.approx(PLACED_SCORES[name])


@pytest.mark.parametrize(
    "file", ["multihopspatial/test.parquet", "refcoco_val/data.parquet", "vqa_verify/train.parquet"]
)
def test_plain_lmms_eval_scores_places_alike_where_a_yaml_says_how_boxes_are_written(
    evaluator, local_data, placed_scores, file, tmp_path, monkeypatch
):
    from lmms_eval.tasks import TaskManager

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = template_folder(tmp_path / "yamls")
    name = file.split("/")[0]
    benchmark = BENCHMARKS[name]
    text = benchmark.yaml_path.read_text(encoding="utf-8").replace(f"{name}_results\n", f"{name}_results:norm_1000\n")
    text = text.replace(f"dataset_path: {benchmark.hub_path}", "dataset_path: parquet")
    text = "\n".join(line for line in text.splitlines() if not line.startswith("dataset_name"))
    files = f"dataset_kwargs: {{data_files: {{{benchmark.hub_split}: {local_data.parquet / file}}}}}"
    (folder / benchmark.yaml_path.name).write_text(f"{text}\n{files}\n", encoding="utf-8")
    results = evaluator.simple_evaluate(
        model=make_model(lambda *_: PLACED_TEXT),
        tasks=[benchmark.yaml_name],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        log_samples=False,
    )["results"][benchmark.yaml_name]

    for metric in (benchmark.headline, "mean_iou"):
        assert results[f"{metric},none"] == pytest.approx(placed_scores[name][metric])
