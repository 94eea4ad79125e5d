"""Tests that no run is returned, gone on with or retried as an answer to what it was not asked."""

import hashlib
import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image

from harness.errors import IncompleteError
from harness.manifest import manifest_bytes, read_manifest, stamp_hashes
from harness.model_replay import SatoriReplay
from harness.run_store import MANIFEST_NAME, list_runs, load_run
from harness.run_verify import verify_run
from tasks.run import RunEnvironment, RunSpec, _number_format, retry_run, run_benchmarks

COLOURS = ("red", "green", "blue", "white")


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class Models:
    """Hands out models that answer alike, and counts what they are asked; some rows fail."""

    def __init__(self):
        self.asked = []
        self.said = []
        self.failing = set()

    def environment(self, **given):
        return RunEnvironment(
            now=lambda: datetime.now(UTC),
            say=self.said.append,
            listener=Silent(),
            packages={},
            load_model=lambda _: _Model(self),
            **given,
        )


class _Model(SatoriReplay):
    def __init__(self, models):
        super().__init__(lambda _, row: COLOURS[row % 4], batch_size=4)
        self._models = models

    def generate_batch(self, prompts):
        self._models.asked += [prompt.doc_id for prompt in prompts]
        found = super().generate_batch(prompts)
        return [
            replace(one, text="", error="the server is gone") if prompt.doc_id in self._models.failing else one
            for one, prompt in zip(found, prompts, strict=True)
        ]


@pytest.fixture
def models():
    return Models()


@pytest.fixture
def spec(tmp_path):
    """A run of 20 questions about 4 pictures that a table names by their paths."""
    for place in range(4):
        _picture(tmp_path / f"{place}.png", COLOURS[place])
    _table(tmp_path)
    (tmp_path / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.tsv}\n")
    return RunSpec(
        model="served", backend="openai", base_url="http://one/v1", form="plain", tasks=str(tmp_path / "own.yaml"),
        out=tmp_path / "runs", thumbnails=False,
    )  # fmt: skip


def _picture(path, colour, kind="PNG", orientation=None):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    image = io.BytesIO()
    Image.new("RGB", (32, 20), colour).save(image, format=kind, exif=exif)
    path.write_bytes(image.getvalue())


def _table(folder, question="Which colour?", answers=COLOURS, rows=20):
    lines = ["id\tquestion\tanswers\timage_path"]
    lines += [f"r{n}\t{question}\t{answers[n % 4]}\t{n % 4}.png" for n in range(rows)]
    (folder / "rows.tsv").write_text("\n".join(lines) + "\n")


# --- finished runs ---


def test_a_finished_run_of_the_same_pictures_is_returned(spec, models):
    first = run_benchmarks(spec, models.environment())
    again = run_benchmarks(spec, models.environment())

    assert first.folder == again.folder
    assert sorted(models.asked) == list(range(20))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: _picture(folder / "2.png", "black"),
        lambda folder: _picture(folder / "2.png", "blue", "JPEG"),
        lambda folder: _picture(folder / "2.png", "blue", orientation=6),
        lambda folder: (folder / "2.png").unlink(),
        lambda folder: (folder / "2.png").write_bytes(b"no picture"),
        lambda folder: (folder / "2.png").rename(folder / "3.png"),
    ],
    ids=["another colour", "another file", "turned", "gone", "broken", "exchanged"],
)
def test_other_pictures_behind_the_same_paths_are_another_run(spec, models, tmp_path, change):
    first = run_benchmarks(spec, models.environment())
    change(tmp_path)
    second = run_benchmarks(spec, models.environment())

    assert second.folder != first.folder
    assert len(models.asked) > 20, "somebody was asked again"


def test_a_picture_that_could_not_be_read_then_and_can_now_is_asked_about(spec, models, tmp_path):
    (tmp_path / "1.png").rename(tmp_path / "aside.png")
    first = run_benchmarks(spec, models.environment())
    (tmp_path / "aside.png").rename(tmp_path / "1.png")
    second = run_benchmarks(spec, models.environment())

    assert second.folder != first.folder
    assert all(record.generation.error is None for record in load_run(second.folder).records())


def test_an_older_run_of_the_pictures_as_they_are_again_is_found(spec, models, tmp_path):
    first = run_benchmarks(spec, models.environment())
    _picture(tmp_path / "0.png", "black")
    run_benchmarks(spec, models.environment())
    _picture(tmp_path / "0.png", "red")

    assert run_benchmarks(spec, models.environment()).folder == first.folder


@pytest.mark.parametrize("other", [{"served_name": "another"}, {"base_url": "http://other/v1"}])
def test_another_model_at_a_server_is_another_run(spec, models, other):
    first = run_benchmarks(spec, models.environment())
    second = run_benchmarks(replace(spec, **other), models.environment())

    assert second.folder != first.folder
    assert len(models.asked) == 40


def test_name_and_address_of_a_model_that_is_not_seen_are_said(spec, models):
    named = replace(spec, served_name="lora-7")
    run_benchmarks(named, models.environment())
    run_benchmarks(named, models.environment())

    assert "The weights of served, called lora-7 at http://one/v1 are not seen here" in models.said[-1]


def test_again_makes_a_run_though_an_equal_one_is_damaged(spec, models):
    first = run_benchmarks(spec, models.environment())
    (first.folder / "samples.jsonl").write_bytes(b"")

    second = run_benchmarks(spec, models.environment(), again=True)

    assert second.folder != first.folder


# --- retries ---


@pytest.fixture
def failed(spec, models):
    """A finished run in which one sample failed, and whose next answers will not."""
    models.failing = {5}
    folder = run_benchmarks(spec, models.environment()).folder
    models.failing = set()
    models.asked.clear()
    return folder


def test_a_retry_of_the_same_input_asks_what_failed_alone(failed, models):
    result = retry_run(failed, models.environment())

    assert models.asked == [5]
    assert result.summary.unexplained_share == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: _table(folder, question="Which other colour?"), "the data differ"),
        (lambda folder: _table(folder, answers=COLOURS[::-1]), "the data differ"),
        (lambda folder: _table(folder, rows=21), "the data differ"),
        (
            lambda folder: (folder / "own.yaml").write_text(
                "task: own\nsatori: {answer_rule: number, data: rows.tsv}\n"
            ),
            "the task files differ",
        ),
        (
            lambda folder: (folder / "own.yaml").write_text(
                "task: own\nsatori: {answer_rule: accepted, data: rows.tsv}\ngeneration_kwargs: {max_new_tokens: 7}\n"
            ),
            "generation arguments differ",
        ),
        (
            lambda folder: (folder / "own.yaml").write_text(
                "task: owned\nsatori: {answer_rule: accepted, data: rows.tsv}\n"
            ),
            "task own is asked by one of them alone",
        ),
    ],
    ids=["question", "gold", "rows", "rule", "budget", "name"],
)
def test_a_retry_of_another_input_is_refused_with_what_differs(failed, models, tmp_path, change, said):
    change(tmp_path)

    with pytest.raises(IncompleteError, match=said):
        retry_run(failed, models.environment())

    assert models.asked == []
    assert [info.path for info in list_runs(tmp_path / "runs")] == [failed]


def test_an_unfinished_run_of_another_input_is_not_retried_either(spec, models, tmp_path):
    partial = _killed(spec, models)
    _table(tmp_path, question="Which other colour?")

    with pytest.raises(IncompleteError, match="the data differ"):
        retry_run(partial, models.environment())


def test_an_unfinished_run_goes_on_in_its_own_folder(spec, models):
    partial = _killed(spec, models)
    result = retry_run(partial, models.environment())

    assert f"{result.folder.name}.partial" == partial.name
    assert sorted(models.asked) == list(range(20)), "nobody was asked twice"


def test_an_unfinished_run_that_another_server_goes_on_with_loses_no_answer(spec, models):
    partial = _killed(spec, models)
    answered = list(models.asked)
    result = retry_run(partial, models.environment(), {"base_url": "http://other/v1"})

    assert len(answered) == 8
    assert sorted(models.asked) == list(range(20)), "nobody was asked twice"
    assert load_run(result.folder).manifest.other["retried"] == partial.name


def _killed(spec, models):
    """Return the folder of a run that ended after two batches."""

    class Dying(_Model):
        def generate_batch(self, prompts):
            if len(models.asked) >= 8:
                raise KeyboardInterrupt
            return super().generate_batch(prompts)

    environment = replace(models.environment(), load_model=lambda _: Dying(models))
    with pytest.raises(KeyboardInterrupt):
        run_benchmarks(spec, environment)
    [info] = list_runs(spec.out)
    return info.path


def test_pictures_that_changed_since_are_asked_about_again_by_a_retry(failed, models, tmp_path):
    _picture(tmp_path / "2.png", "black")
    result = retry_run(failed, models.environment())

    assert sorted(models.asked) == [2, 5, 6, 10, 14, 18]
    pictures = {record.sample.image_sha256 for record in load_run(result.folder).records()}
    assert len(pictures) == 4, "none of before"


@pytest.mark.parametrize("finished", [True, False])
def test_a_retry_after_the_scorer_changed_scores_every_answer_by_its_rules(spec, models, finished):
    models.failing = {5} if finished else set()
    folder = run_benchmarks(spec, models.environment()).folder if finished else _killed(spec, models)
    models.failing = set()
    _as_scored_before(folder)

    result = retry_run(folder, models.environment())

    run = load_run(result.folder)
    assert sorted(models.asked) == sorted([*range(20), *([5] if finished else [])])
    assert [record.score.value for record in run.records()] == [1.0] * 20
    assert run.manifest.scorer_version > 1
    assert verify_run(result.folder) == []


def _as_scored_before(folder):
    """Turn a run into one of an old scorer that found every answer wrong."""
    journal = folder / "samples.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    lines = [line | {"score": 0.0} if line["score"] is not None else line for line in lines]
    journal.write_text("".join(json.dumps(line) + "\n" for line in lines))
    manifest = stamp_hashes(replace(read_manifest(folder / MANIFEST_NAME), scorer_version=1))
    (folder / MANIFEST_NAME).write_bytes(manifest_bytes(manifest))
    if (sums := folder / "SHA256SUMS").exists():
        names = [line.split("  ")[1] for line in sums.read_text().splitlines()]
        sums.write_text(
            "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
        )


# --- what auto comes to ---


@pytest.mark.parametrize(
    ("dtype", "device", "has_bfloat16", "expected"),
    [
        ("auto", "cpu", True, "float32"),
        ("auto", "cuda:0", True, "bfloat16"),
        ("auto", "cuda:0", False, "float16"),
        ("float32", "cuda:0", True, "float32"),
        ("bfloat16", "cpu", False, "bfloat16"),
    ],
)
def test_the_number_format_of_a_run_is_the_one_that_is_really_used(monkeypatch, dtype, device, has_bfloat16, expected):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: has_bfloat16)
    environment = replace(Models().environment(), load_model=None)

    assert expected == _number_format(RunSpec(model="m", dtype=dtype, device=device), environment)


def test_nobody_here_knows_the_number_format_of_a_server_or_of_a_model_that_is_handed_in(spec, models):
    assert _number_format(spec, replace(models.environment(), load_model=None)) is None
    assert _number_format(replace(spec, backend="hf"), models.environment()) is None
