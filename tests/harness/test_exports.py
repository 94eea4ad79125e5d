"""A run in other tools' files: nothing invented, nothing lost, nothing written over; each opened by its own tool."""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import re
import shutil
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow.parquet as pq
import pytest
import yaml

from harness.errors import ConfigError
from harness.exports.every_eval_ever import write_every_eval_ever
from harness.exports.exported_run import file_part, hub_data, json_text, open_export, plain, sample_metric
from harness.exports.hub_dataset import write_dataset
from harness.exports.hub_results import HubBenchmark, read_benchmarks, write_hub_results
from harness.exports.inspect_log import write_inspect
from harness.exports.lm_eval_files import write_lm_eval
from harness.exports.placing import placed
from harness.runs.manifest import TaskManifest
from harness.values import Picture, Sample

FIELDS = json.loads((Path(__file__).parents[1] / "cases" / "export_fields.json").read_text(encoding="utf-8"))
INSPECT, EEE = FIELDS["inspect-ai 0.3.285"], FIELDS["every_eval_ever 0.3.0"]
WRITERS = {
    "inspect": write_inspect,
    "every-eval-ever": write_every_eval_ever,
    "lm-eval": write_lm_eval,
    "datasets": write_dataset,
}
"""Writers that take every run."""


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def exported(run: Path, folder: Path, kind: str) -> Path:
    """Write one export of a run; return its folder."""
    with placed(folder) as inside:
        WRITERS[kind](open_export(str(run), run.parent), inside)
    return folder


def lines_of(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.rglob("*_samples.jsonl") if list(folder.rglob("*_samples.jsonl")) else folder.rglob("samples_*")
    return [json.loads(line) for line in file.read_text("ascii").splitlines()]


@pytest.fixture(scope="module")
def wide(invented, hostile_strings, tmp_path_factory) -> Path:
    """A run of many kinds: pictures, several of them, failed requests, circular questions, hostile names and texts."""
    pictured = invented.shapes_questions(6)
    several = replace(
        pictured[5].sample, id="two", pictures=(Picture("a" * 64, 10, 20), Picture("b" * 64)), image_size=None,
        boxes_image_px=None,
    )  # fmt: skip
    passes = [
        Sample(
            id=f"{question + 1_000_000 * number}", task="mmbench_en_dev", answer_rule="choice", question="Which?",
            answers=("A",), choices={"A": "cat", "B": "dog"}, extra={"index": question + 1_000_000 * number},
        )
        for question in (1, 2)
        for number in (0, 1)
    ]  # fmt: skip
    ids = ["../../outside", "/root", "a/../b", "..", "x" * 5_000, "\ud800", "\\ud800", "a\0b", " ", "ordinary/with.png"]
    hostile = [
        Sample(
            id=name, task="ba`d|<b>\u202e\ud800/..", answer_rule="accepted", question=text, answers=(text,),
            category=text,
        )
        for name, text in zip(ids, hostile_strings.values(), strict=False)
    ]  # fmt: skip
    unplaced = Sample(id="no-gold", task="vqa", answer_rule="accepted", question="?")
    questions = [*pictured[:5], *(invented.Question(one, None) for one in (*passes, *hostile, unplaced))]
    questions.append(invented.Question(several, pictured[5].png))

    def text_of(question, who, rng) -> str:
        if question.png is not None:
            return invented.invented_text(question, who, rng)
        said = question.sample.question if question.sample.task.startswith("ba") else "B" if rng.random() < 0.2 else "A"
        return f"{said}<caption>c</caption><bbox>[[1, 2, 30, 40]]</bbox><answer>{said}</answer>"

    root = tmp_path_factory.mktemp("wide") / "runs"
    return invented.invent_run(
        root,
        invented.Answerer("me/o\u0301\ud800-`x`", failed=2, weights="a" * 64),
        questions,
        text_of=text_of,
        prompt="sent\ud800",
    )


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_run_gives_the_same_bytes_wherever_it_lies(wide, tmp_path, kind):
    moved = tmp_path / "elsewhere" / wide.name
    shutil.copytree(wide, moved)

    assert files_of(exported(wide, tmp_path / "a", kind)) == files_of(exported(moved, tmp_path / "b", kind))


@pytest.mark.parametrize("kind", WRITERS)
def test_every_file_is_plain_utf8_and_lies_inside(wide, tmp_path, kind):
    found = files_of(exported(wide, tmp_path / "out", kind))

    assert all(re.fullmatch(r"[A-Za-z0-9._+/-]+", name) and ".." not in name.split("/") for name in found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]  # nothing is left over, nothing went elsewhere
    for name, content in found.items():
        if not name.endswith((".eval", ".parquet")):
            assert "\ud800" not in content.decode("utf-8")
        if name.endswith(".json"):
            json.loads(content.decode("ascii"), parse_constant=no_constant)
        if name.endswith(".jsonl"):
            assert [json.loads(line, parse_constant=no_constant) for line in content.decode("ascii").splitlines()]


def no_constant(name: str) -> None:
    pytest.fail(f"{name} is not JSON")


def test_an_entry_of_a_log_leads_nowhere_and_all_samples_are_there(wide, tmp_path):
    for log in exported(wide, tmp_path / "logs", "inspect").glob("*.eval"):
        with zipfile.ZipFile(log) as file:
            names = file.namelist()
            header, summaries = json.loads(file.read("header.json")), json.loads(file.read("summaries.json"))
            samples = [json.loads(file.read(name)) for name in names if name.startswith("samples/")]

        assert len(set(names)) == len(names)
        assert not [name for name in names if name.startswith("/") or {"", ".", ".."} & set(name.split("/"))]
        assert all(len(name) < 250 for name in names)
        assert len(samples) == len(summaries) == header["results"]["total_samples"]
        assert {f"samples/{one['id']}_epoch_{one['epoch']}.json" for one in samples} <= set(names)


def test_a_log_holds_the_fields_that_inspect_reads_and_no_others(wide, tmp_path):
    for log in exported(wide, tmp_path / "logs", "inspect").glob("*.eval"):
        with zipfile.ZipFile(log) as file:
            found = {name: json.loads(file.read(name)) for name in file.namelist()}
        header = found["header.json"]
        parts = [("header", header), ("eval", header["eval"]), ("results", header["results"])]
        parts += [("stats", header["stats"]), ("dataset", header["eval"]["dataset"])]
        parts += [("model_generate_config", header["eval"]["model_generate_config"])]
        parts += [("score", score) for score in header["results"]["scores"]]
        parts += [("metric", one) for _, score in parts[6:] for one in score["metrics"].values()]
        parts += [("summary", summary) for summary in found["summaries.json"]]
        for sample in (value for name, value in found.items() if name.startswith("samples/")):
            parts += parts_of(sample)

        assert header["eval"] == found["_journal/start.json"]["eval"]
        wrong = [
            (kind, sorted(value))
            for kind, value in parts
            if not set(INSPECT[kind]["required"]) <= set(value) <= set(INSPECT[kind]["known"])
        ]
        assert wrong == []


def parts_of(sample: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The parts of a sample of a log, each with its kind."""
    choices = sample["output"]["choices"]
    return [
        ("sample", sample),
        ("output", sample["output"]),
        ("user", sample["input"][0]),
        *(("sample_score", score) for score in sample["scores"].values()),
        *(("error", error) for error in [sample["error"]] if error is not None),
        *(("choice", choice) for choice in choices),
        *(("assistant", choice["message"]) for choice in choices),
    ]


def test_what_failed_is_not_a_number_in_any_file(wide, tmp_path):
    run = open_export(str(wide), wide.parent)
    nulls = {plain(record.sample.id) for record in run.records() if record.score.value is None}
    log = next(exported(wide, tmp_path / "logs", "inspect").glob("*_shapes_*"))
    with zipfile.ZipFile(log) as file:
        logged = [json.loads(file.read(name)) for name in file.namelist() if name.startswith("samples/")]
    told = lines_of(exported(wide, tmp_path / "eee", "every-eval-ever"))
    harness = [
        json.loads(line)
        for file in exported(wide, tmp_path / "lm", "lm-eval").rglob("samples_*")
        for line in file.read_text("ascii").splitlines()
    ]
    table = pq.read_table(exported(wide, tmp_path / "set", "datasets") / "data" / "samples.parquet").to_pylist()

    assert len(nulls) == 3  # two requests that failed, and one row without gold
    failed = [one for one in logged if one["metadata"]["sample_id"] in nulls]
    assert [one["scores"]["accuracy"]["value"] == one["scores"]["accuracy"]["value"] for one in failed] == [False] * 2
    assert {one["error"]["message"] for one in failed} == {"no reply"}
    assert not {one["sample_id"] for one in told} & nulls
    assert {one["doc"]["id"] for one in harness if one.get("accuracy", one.get("vanilla_accuracy")) is None} == nulls
    assert {one["id"] for one in table if one["score"] is None} == nulls
    assert {one["resps"][0][0] for one in harness if one["doc"]["id"] in nulls and "no reply" in one["why_null"]} == {
        None
    }


def test_the_record_of_every_eval_ever_keeps_its_schema(wide, tmp_path):
    folder = exported(wide, tmp_path / "eee", "every-eval-ever")
    (path,) = (file for file in folder.rglob("*.json"))
    record = json.loads(path.read_text("ascii"))
    samples = folder / record["detailed_evaluation_results"]["file_path"]

    assert faults_of(record, EEE["aggregate"]) == []
    assert [fault for line in lines_of(folder) for fault in faults_of(line, EEE["instance"])] == []
    assert UUID(path.stem).version == 4
    assert samples.parent == path.parent
    assert hashlib.sha256(samples.read_bytes()).hexdigest() == record["detailed_evaluation_results"]["checksum"]
    assert len(lines_of(folder)) == record["detailed_evaluation_results"]["total_rows"]
    assert record["detailed_evaluation_results"]["additional_details"] == {
        "left_out_without_score": "2 error, 1 no_gold"
    }
    assert record["model_info"]["developer"] == "unknown"  # a model that is called a/b may be a folder


def faults_of(value: Any, schema: dict[str, Any], at: str = "") -> list[str]:
    """Say where a value is not what a frozen list of fields allows."""
    if "one_of" in schema:
        kinds = [faults_of(value, kind, at) for kind in schema["one_of"]]
        return min(kinds, key=len)
    if "known" in schema and isinstance(value, dict):
        found = [f"{at}.{name} is missing" for name in schema["required"] if name not in value]
        found += [f"{at}.{name} is unknown" for name in value if name not in schema["known"] and "others" not in schema]
        return found + [
            fault
            for name, item in value.items()
            for fault in faults_of(item, schema["known"].get(name, {"type": schema.get("others")}), f"{at}.{name}")
        ]
    if "values" in schema and isinstance(value, dict):
        return [f"{at}.{name} is no text" for name, item in value.items() if not isinstance(item, str)]
    if "items" in schema and isinstance(value, list):
        return [fault for item in value for fault in faults_of(item, schema["items"], f"{at}[]")]
    if "enum" in schema:
        return [] if value in schema["enum"] else [f"{at} is {value!r}"]
    kinds = schema.get("type")
    return [] if kinds is None or _is(value, [kinds] if isinstance(kinds, str) else kinds) else [f"{at} is {value!r}"]


def _is(value: Any, kinds: list[str]) -> bool:
    names = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}
    own = names.get(type(value), "null")
    return own in kinds or (own == "integer" and "number" in kinds)


def test_the_list_of_fields_finds_what_the_schema_refuses():
    assert faults_of({"a": "1"}, {"required": ["b"], "known": {"b": {}}}) == [".b is missing", ".a is unknown"]
    assert faults_of({"a": 1}, {"values": "string"}) == [".a is no text"]
    assert faults_of([None], {"items": {"type": "number"}}) == ["[] is None"]


def test_every_number_goes_with_its_interval_and_n(wide, tmp_path):
    run = open_export(str(wide), wide.parent)
    headline = run.tasks["shapes"].shown
    (log,) = exported(wide, tmp_path / "logs", "inspect").glob("*_shapes_*")
    with zipfile.ZipFile(log) as file:
        results = json.loads(file.read("header.json"))["results"]
    (results_file,) = exported(wide, tmp_path / "lm", "lm-eval").rglob("results_*.json")
    harness = json.loads(results_file.read_text("ascii"))
    (record_file,) = exported(wide, tmp_path / "eee", "every-eval-ever").rglob("*.json")
    record = json.loads(record_file.read_text("ascii"))
    (one,) = (row for row in record["evaluation_results"] if row["evaluation_result_id"] == "shapes.accuracy")

    found = {name: metric["value"] for name, metric in results["scores"][0]["metrics"].items()}
    wanted = {"value": headline.value, "ci_low": headline.ci_low, "ci_high": headline.ci_high}
    assert (found, results["scores"][0]["scored_samples"]) == (wanted, headline.n)
    assert results["headline"] == {"scorer": "satori-bench", "score": "accuracy", "metric": "value"}
    assert harness["results"]["shapes"]["accuracy,none"] == headline.value
    assert harness["satori_bench"]["tasks"]["shapes"]["metrics"]["accuracy"] == {
        **wanted, "n": headline.n, "reason": None,
    }  # fmt: skip
    assert one["score_details"]["score"] == headline.value
    uncertainty = one["score_details"]["uncertainty"]
    assert uncertainty["num_samples"] == headline.n
    assert uncertainty["confidence_interval"]["upper"] == headline.ci_high


def test_a_metric_without_a_value_is_left_out_and_named(wide, tmp_path):
    run = open_export(str(wide), wide.parent)
    with placed(tmp_path / "eee") as folder:
        notes = write_every_eval_ever(run, folder)
    (file,) = exported(wide, tmp_path / "lm", "lm-eval").rglob("results_*.json")
    harness = json.loads(file.read_text("ascii"))

    assert run.tasks["vqa"].shown.value is None
    assert any("vqa: accuracy" in note for note in notes)
    assert "accuracy,none" not in harness["results"]["vqa"]
    assert harness["satori_bench"]["tasks"]["vqa"]["metrics"]["accuracy"]["reason"]


def test_circular_questions_are_no_mean_of_lines():
    assert sample_metric("mmbench_en_dev", "strict") == "vanilla_accuracy"
    assert sample_metric("mme", "strict") == "accuracy"
    assert sample_metric("mmstar", "strict") == "accuracy"
    assert sample_metric("mmstar", "lmms-eval") is None  # the mean of the categories' means
    assert sample_metric("pope", "strict") is None
    assert sample_metric("lmms:mmstar", "lmms-eval-native") is None


def test_pictures_go_with_their_samples_or_are_said_to_be_missing(wide, tmp_path):
    (log,) = exported(wide, tmp_path / "logs", "inspect").glob("*_shapes_*")
    with zipfile.ZipFile(log) as file:
        samples = [json.loads(file.read(name)) for name in file.namelist() if name.startswith("samples/")]
    stored = {path.stem: path.read_bytes() for path in (wide / "media").iterdir()}

    for sample in samples:
        (image,) = (part["image"] for part in sample["input"][0]["content"] if part["type"] == "image")
        content = base64.b64decode(image.removeprefix("data:image/webp;base64,"))
        assert content == stored[sample["metadata"]["image_sha256"]]
    words = {sample["id"]: sample["metadata"]["picture"] for sample in samples}
    assert words["two"].startswith("2 pictures side by side")
    with placed(tmp_path / "without") as folder:
        write_inspect(open_export(str(wide), wide.parent), folder, pictures=False)
    (bare,) = (tmp_path / "without").glob("*_shapes_*")
    with zipfile.ZipFile(bare) as file:
        assert not [name for name in file.namelist() if b"data:image" in file.read(name)]


def test_datasets_opens_the_folder_with_its_pictures(wide, tmp_path):
    import datasets

    folder = exported(wide, tmp_path / "set", "datasets")
    opened = datasets.load_dataset(str(folder), split="samples", cache_dir=str(tmp_path / "cache"))
    records = list(open_export(str(wide), wide.parent).records())

    assert opened.features["image"] == datasets.Image()
    assert opened["id"] == [plain(record.sample.id) for record in records]
    assert opened["score"] == [record.score.value for record in records]
    shown = [row["image"] is not None for row in opened]
    assert shown == [record.sample.task == "shapes" for record in records]
    assert opened[0]["image"].size[0] <= 256
    card = yaml.safe_load((folder / "README.md").read_text("utf-8").split("---")[1])
    assert card["configs"][0]["data_files"] == [{"split": "samples", "path": "data/samples.parquet"}]
    assert "| shapes | accuracy |" in (folder / "README.md").read_text("utf-8")


def test_a_run_without_pictures_has_no_column_of_them(dressed_run, tmp_path):
    table = pq.read_schema(exported(dressed_run, tmp_path / "set", "datasets") / "data" / "samples.parquet")

    assert "image" not in table.names


@pytest.mark.parametrize("kind", WRITERS)
def test_predictions_of_twelve_benchmarks_are_exported_under_each_of_their_scores(dressed_run, tmp_path, kind):
    from harness.evaluation.rescore import rescore_run
    from harness.runs.store import load_run

    run = tmp_path / "runs" / dressed_run.name
    shutil.copytree(dressed_run, run)
    rescore_run(load_run(run), "vlmevalkit")
    first, later = open_export(str(run), run.parent), open_export(f"{run}@vlmevalkit", run.parent)
    with placed(tmp_path / "first") as folder:
        WRITERS[kind](first, folder)
    with placed(tmp_path / "later") as folder:
        WRITERS[kind](later, folder)

    assert (first.protocol, later.protocol) == ("strict", "vlmevalkit")
    assert later.provenance()["protocol"].startswith("vlmevalkit@")
    assert first.tasks["mmstar"].shown.value != later.tasks["mmstar"].shown.value
    assert files_of(tmp_path / "first") != files_of(tmp_path / "later")


def test_a_merged_run_is_exported_as_one(invented, tmp_path):
    from harness.evaluation.merge import merge_shards

    questions = invented.shapes_questions(6)
    parts = [
        invented.invent_run(tmp_path / "parts", invented.Answerer("base"), part, shard=f"{number}/2")
        for number, part in enumerate((questions[::2], questions[1::2]), start=1)
    ]
    merged = open_export(str(merge_shards(parts, tmp_path / "runs", now=invented.NOW)[0]), tmp_path)
    with placed(tmp_path / "out") as folder:
        write_lm_eval(merged, folder)

    told = {line["doc"]["id"]: line["accuracy"] for line in lines_of(tmp_path / "out")}
    halves = [record for part in parts for record in open_export(str(part), tmp_path).records()]
    assert told == {record.sample.id: record.score.value for record in halves}
    assert (merged.provenance()["shard"], open_export(str(parts[0]), tmp_path).provenance()["shard"]) == (None, "1/2")


def whole(run: Path, tmp_path: Path, data: str = "acme/shapes@0123abc, default, test") -> Path:
    """A copy of a run whose rows are said to come from the Hub, with its sums made anew."""
    from harness.files import sums_bytes
    from harness.runs.store import file_names, file_sha256

    copy = tmp_path / "hub" / run.name
    shutil.copytree(run, copy)
    manifest = json.loads((copy / "manifest.json").read_text("utf-8"))
    for task in manifest["tasks"].values():
        task["dataset_path"] = data
    (copy / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (copy / "SHA256SUMS").write_bytes(sums_bytes({name: file_sha256(copy, name) for name in file_names(copy)}))
    return copy


@pytest.fixture(scope="module")
def complete(invented, tmp_path_factory) -> Path:
    """A run of one benchmark in which nothing failed."""
    root = tmp_path_factory.mktemp("complete")
    return invented.invent_run(root, invented.Answerer("base"), invented.shapes_questions(8, pictures=False))


def test_the_hub_reads_the_entry_of_a_whole_benchmark(complete, tmp_path):
    import huggingface_hub
    from huggingface_hub._eval_results import parse_eval_result_entries

    run = open_export(str(whole(complete, tmp_path)), tmp_path)
    with placed(tmp_path / "out") as folder:
        notes = write_hub_results(run, folder)
    (entry,) = parse_eval_result_entries(yaml.safe_load((tmp_path / "out/.eval_results/shapes.yaml").read_bytes()))
    shown = run.tasks["shapes"].shown

    assert entry == huggingface_hub.EvalResultEntry(
        dataset_id="acme/shapes",
        task_id="default",
        value=round(100 * shown.value, 4),
        dataset_revision="0123abc",
        date="2026-01-02T03:04:05Z",
        notes=entry.notes,
    )
    assert entry.notes.startswith(f"accuracy in percent; 95 % interval {100 * shown.ci_low:.6g}"[:40])
    assert "n=8" in entry.notes
    assert any("list of benchmarks" in note for note in notes)


def test_what_is_no_result_of_its_benchmark_is_not_for_the_hub(complete, wide, tmp_path):
    run = open_export(str(complete), tmp_path)
    given = {"shapes": HubBenchmark("acme/shapes")}
    limited = replace(run, manifest=replace(run.manifest, tasks={
        "shapes": replace(run.manifest.tasks["shapes"], limit=8, rows=100)
    }))  # fmt: skip
    for told, one, benchmarks in (
        ("did not come from the Hub", run, {}),
        ("not all of its samples were asked", limited, given),
        ("is the shard 1/2", replace(run, manifest=replace(run.manifest, shard="1/2")), given),
        ("saw no pictures", replace(run, manifest=replace(run.manifest, other={"blind": "grey"})), given),
        ("too many of its samples have no score (2 error", open_export(str(wide), tmp_path), given),
        ("the run has shapes", run, {"mmstar": HubBenchmark("a/b")}),
    ):
        with pytest.raises(ConfigError, match=re.escape(told)), placed(tmp_path / "out") as folder:
            write_hub_results(one, folder, benchmarks)
    assert not (tmp_path / "out").exists()


def test_two_benchmarks_that_are_one_for_the_hub_are_refused_both(dressed_run, tmp_path):
    run = open_export(str(dressed_run), tmp_path)
    same = {task: HubBenchmark("acme/all") for task in ("mmstar", "ai2d")}
    other = {"mmstar": HubBenchmark("acme/all", "stars"), "ai2d": HubBenchmark("acme/all", "diagrams")}
    tasks = {task: run.tasks[task] for task in same}
    assert not any(summary.unscored for summary in tasks.values())
    run = replace(run, tasks=tasks, manifest=replace(run.manifest, tasks={
        task: TaskManifest("", "", None, "", summary.rows, summary.rows) for task, summary in tasks.items()
    }))  # fmt: skip

    with pytest.raises(ConfigError, match="same data set and task"), placed(tmp_path / "out") as folder:
        write_hub_results(run, folder, same)
    with placed(tmp_path / "out") as folder:
        write_hub_results(run, folder, other)
    assert sorted(path.name for path in (tmp_path / "out/.eval_results").iterdir()) == ["ai2d.yaml", "mmstar.yaml"]


def test_benchmarks_of_the_hub_are_read_from_words_and_from_where_rows_came_from():
    assert read_benchmarks(("mmstar=Lin-Chen/MMStar:val@abc", "a=b/c")) == {
        "mmstar": HubBenchmark("Lin-Chen/MMStar", "val", "abc"),
        "a": HubBenchmark("b/c"),
    }
    with pytest.raises(ConfigError, match="TASK=OWNER/NAME"):
        read_benchmarks(("mmstar",))
    rows = {"Lin-Chen/MMStar@newest, val, val": True, "data/mmstar": False, "data/x@1/mmstar.parquet": False, "": False}
    for path, is_hub in rows.items():
        assert (hub_data(TaskManifest("", path, None, "", 1, 1)) is not None) == is_hub


def test_nothing_is_written_over(complete, tmp_path, command):
    words = ("export", "lm-eval", complete, "-o", tmp_path / "out")
    assert command(*words)[0] == 0
    before = files_of(tmp_path / "out")

    assert command(*words)[0] == 0  # the same is there already
    (file,) = (tmp_path / "out").rglob("results_*.json")
    file.write_text("mine", encoding="utf-8")
    for other in (tmp_path / "out").rglob("samples_*"):
        other.unlink()
    code, _, said = command(*words)
    assert code == 2
    assert "is there already and holds something else" in said
    assert files_of(tmp_path / "out") == {file.relative_to(tmp_path / "out").as_posix(): b"mine"}
    assert len(before) == 2


def test_nothing_is_added_to_the_run_itself(complete, command):
    before = files_of(complete)

    assert command("export", "lm-eval", complete, "-o", complete / "lm-eval")[0] == 2
    assert command("export", "datasets", complete, "-o", complete)[0] == 2
    assert files_of(complete) == before


def test_a_link_is_not_written_through(complete, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "README.md").symlink_to(victim)

    with pytest.raises(ConfigError, match="already"):
        exported(complete, tmp_path / "out", "datasets")
    assert victim.read_text("utf-8") == "mine"


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    def fill(folder: Path) -> None:
        (folder / "half").write_text("x", encoding="utf-8")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="cannot write"), placed(tmp_path / "out") as folder:
        fill(folder)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_run_is_not_exported(complete, tmp_path, command):
    copy = tmp_path / complete.name
    shutil.copytree(complete, copy)
    with (copy / "samples.jsonl").open("ab") as file:
        file.write(b"\n")

    code, _, said = command("export", "inspect", copy, "-o", tmp_path / "out")
    assert (code, (tmp_path / "out").exists()) == (5, False)
    assert "was changed" in said


def test_a_run_that_is_not_finished_is_not_exported(complete, tmp_path, command):
    shutil.copytree(complete, tmp_path / f"{complete.name}.partial")

    assert command("export", "datasets", tmp_path / f"{complete.name}.partial", "-o", tmp_path / "out")[0] == 5
    assert command("export", "inspect", f"{complete}@paper", "-o", tmp_path / "out")[0] == 5


def test_a_package_that_is_missing_is_named_with_its_mend(complete, tmp_path, command, monkeypatch):
    for name in ("wandb", "trackio"):
        monkeypatch.setitem(sys.modules, name, None)
        code, _, said = command("export", name, complete)

        assert code == 2
        assert f"pip install 'satori-bench[{name}]'" in said


def test_provenance_holds_nothing_that_a_person_typed(complete, tmp_path):
    run = open_export(str(complete), tmp_path)
    secret = {"arguments": {"base_url": "https://h/?key=SECRET", "extra_body": {"k": "SECRET"}, "api_key": "SECRET"}}
    log = {"tool": "lmms-eval", "version": "0.7.3", "created": None, "settings": {"model_args": "key=SECRET"}}
    run = replace(run, manifest=replace(run.manifest, other=secret | {"imported": log}))

    assert "SECRET" not in json_text(run.provenance())
    assert "SECRET" not in json_text(run.task_facts("shapes"))
    assert run.provenance()["imported"] == {"tool": "lmms-eval", "version": "0.7.3", "created": None}


def test_a_digest_of_texts_is_not_told_as_one_of_weights(dressed_run, complete, tmp_path):
    elsewhere, here = (open_export(str(run), tmp_path) for run in (dressed_run, complete))

    assert (elsewhere.provenance()["weights_hash"], here.provenance()["texts_hash"]) == (None, None)
    assert elsewhere.provenance()["texts_hash"] == elsewhere.manifest.weights_hash
    assert here.provenance()["weights_hash"] == here.manifest.weights_hash


def test_names_of_files_are_told_apart():
    names = ["a", "a:b", "a-b", "a/b", "..", "", "é", "\ud800", "x" * 300, "x" * 301]

    parts = [file_part(name) for name in names]
    assert len(set(parts)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,95}", part) for part in parts)


@pytest.mark.slow
def test_wandb_gets_every_number_without_a_network(complete, tmp_path, command, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed here (extra wandb)")
    datastore = importlib.import_module("wandb.sdk.internal.datastore")
    records = importlib.import_module("wandb.proto.wandb_internal_pb2")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    shown = open_export(str(complete), tmp_path).tasks["shapes"].shown

    code, out, _ = command("export", "wandb", complete, "--project", "p", "--samples", "3")
    assert code == 0
    wandb.teardown()  # as the end of the process does: what it has in hand is written by then
    (stored,) = Path(out.strip()).glob("*.wandb")
    store, found = datastore.DataStore(), {}
    store.open_for_scan(str(stored))
    while (content := store.scan_data()) is not None:
        record = records.Record()
        record.ParseFromString(content)
        for item in record.history.item:
            found["/".join([item.key] if item.key else item.nested_key)] = json.loads(item.value_json)

    numbers = ("shapes/accuracy", "shapes/accuracy_ci_low", "shapes/accuracy_ci_high", "shapes/accuracy_n")
    assert [found[name] for name in numbers] == [shown.value, shown.ci_low, shown.ci_high, shown.n]
    assert found["samples/nrows"] == 3


@pytest.mark.slow
def test_trackio_gets_every_number(complete, tmp_path, command, monkeypatch):
    pytest.importorskip("trackio", reason="trackio wants Pillow below 13, so it is in no environment of ours")
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))

    assert command("export", "trackio", complete, "--project", "p")[0] == 0
    api = importlib.import_module("trackio.sqlite_storage")
    (logged,) = api.SQLiteStorage.get_logs("p", complete.name)
    assert logged["shapes/accuracy"] == open_export(str(complete), tmp_path).tasks["shapes"].shown.value


def test_inspect_reads_its_logs(wide, tmp_path):
    log = pytest.importorskip("inspect_ai.log", reason="inspect-ai bounds fsspec; .ci/open_exports.sh opens them")
    for path in exported(wide, tmp_path / "logs", "inspect").iterdir():
        assert log.read_eval_log(str(path)).status == "success"
