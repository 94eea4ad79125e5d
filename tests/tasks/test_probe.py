"""`probe` end to end, on a model that answers from the pixels of a red square and names where it is."""

import base64
import hashlib
import io
import json
import resource
import shutil
import threading
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError
from harness.models.replay import SatoriReplay
from harness.probes.before_asking import before_asking
from harness.probes.probe_records import read_probes
from harness.probes.variants import ProbePlan, Variant
from harness.runs.journal import RunLockedError, StoreError
from harness.runs.manifest import config_of
from harness.runs.store import add_files, load_run
from harness.values import SATORI_LIST, Size
from reports.pages.run_page import stored_run_page
from reports.terminal.necessity_table import show_probes
from satori_bench.verbs.probe_regions import probe
from tasks.asked_again import open_asked_run
from tasks.probe import ProbeSpec, probe_run
from tasks.probe_requests import EditedPicture, ProbedAsk, Request
from tasks.probe_work import Answered, probe_work
from tasks.run import run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec

ROWS = 12
PLAN = ProbePlan(fills=("mean",), controls=2)
VARIANTS = 2 + 2 * 3
"""Nothing changed, all gone; the region and two controls, removed and kept."""


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class Stopped(BaseException):
    """A process that is killed."""


class Seeing(SatoriReplay):
    """Says whether there is a red square, and where; one row it answers without a box, another not at all."""

    def __init__(self, stop_after=None):
        super().__init__(lambda *_: "", batch_size=4)
        self.asked = 0
        self.stop_after = stop_after

    def generate_batch(self, prompts):
        if self.stop_after is not None and self.asked >= self.stop_after:
            raise Stopped
        self.asked += len(prompts)
        found = super().generate_batch(prompts)
        return [replace(one, text=_answer(prompt)) for one, prompt in zip(found, prompts, strict=True)]


def _answer(prompt):
    return _seen(prompt.images[0], prompt.turns[-1].parts[-1])


def _seen(image, question):
    pixels = np.asarray(image).astype(int)
    red = (pixels[..., 0] > 180) & (pixels[..., 1] < 90)
    there = np.argwhere(red)
    answer = "yes" if len(there) > 20 else "no"
    if "row 0" in question:
        return f"<caption>a</caption><answer>{answer}</answer>"
    if "row 1?" in question:
        return "I do not know"
    box = [0, 0, 20, 20]
    if len(there):
        (top, left), (bottom, right) = there.min(0).tolist(), there.max(0).tolist()
        box = [left, top, right + 1, bottom + 1]
    return f"<caption>a</caption><bbox>[{box}]</bbox><answer>{answer}</answer>"


class Served(BaseHTTPRequestHandler):
    """A server of the same model, which tells no tokens."""

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = {part["type"]: part for part in asked["messages"][-1]["content"]}
        sent = parts["image_url"]["image_url"]["url"].partition("base64,")[2]
        text = _seen(Image.open(io.BytesIO(base64.b64decode(sent))), parts["text"]["text"])
        message = {"role": "assistant", "content": text}
        content = json.dumps({"model": "served", "choices": [{"message": message, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def address():
    """Where that server listens."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Served)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A finished run, whose folder tests copy."""
    folder = tmp_path_factory.mktemp("probe")
    data = folder / "data"
    data.mkdir()
    lines = ["id\tquestion\tanswers\timage_path"]
    rng = np.random.default_rng(0)
    for row in range(ROWS):
        pixels = rng.integers(90, 130, (100, 140, 3)).astype(np.uint8)
        left = 10 + 4 * row
        if row % 3:
            pixels[40:60, left : left + 20] = (230, 10, 10)
        Image.fromarray(pixels).save(data / f"{row}.png")
        lines.append(f"{row}\tis there a red square in row {row}?\t{'yes' if row % 3 else 'no'}\t{row}.png")
    (data / "own.tsv").write_text("\n".join(lines) + "\n")
    (data / "own.yaml").write_text("task: own\nsatori: {answer_rule: yes_no, data: own.tsv}\n")
    (folder / "first").symlink_to(run_benchmarks(_spec(folder), _environment(Seeing())[0]).folder)
    return folder


def _spec(folder, **changes):
    return RunSpec(
        model="served", backend="openai", base_url="http://one/v1", tasks=str(folder / "data" / "own.yaml"),
        out=folder / "runs", thumbnails=False, box_dialect=SATORI_LIST, name="first", **changes,
    )  # fmt: skip


def _environment(model):
    said = []
    made = RunEnvironment(
        now=lambda: datetime.now(UTC), say=said.append, listener=Silent(), packages={}, load_model=lambda _: model
    )
    return made, said


@pytest.fixture
def folder(first_run, tmp_path):
    """A copy of the run, alone in its folder."""
    return shutil.copytree(first_run / "first", tmp_path / "first")


def scores(folder):
    return json.loads((folder / "probes.json").read_bytes())


def test_a_run_is_probed_and_stays_sound(folder):
    model = Seeing()
    environment, said = _environment(model)

    found = probe_run(ProbeSpec(folder, PLAN), environment).summary["own"].fills["mean"]

    # all but the row without an answer; the row without a box is asked whether it needs its picture
    assert model.asked == (ROWS - 2) * VARIANTS + 2
    assert f"{model.asked} questions about edited pictures of {ROWS - 1} samples, 0 of them answered" in said[0]
    assert found.statuses == {"ok": 7, "not_testable": 3, "no_box": 1, "no_answer": 1}
    of_same = found.scores["same"]
    assert set(found.scores) == {"same"}
    assert (of_same.necessity.value, of_same.sufficiency.value) == (pytest.approx(0.7), pytest.approx(0.7))
    assert of_same.necessity_of_possible.value == of_same.sufficiency_of_possible.value == 1
    assert (of_same.necessity_strict.value, of_same.necessity_strict.n) == (pytest.approx(7 / 11), ROWS - 1)
    assert found.relied == {"right, relied": 7, "right, did not": 3, "wrong, relied": 0, "wrong, did not": 0}
    assert len(read_probes((folder / "probes.jsonl").read_bytes(), "x")) == model.asked
    assert verify_run(folder) == []
    shown = io.StringIO()
    show_probes({"own": probe_run(ProbeSpec(folder, PLAN), environment).summary["own"]}, shown)
    assert (
        "removing the box it named changed the answer 70.0 points more often than removing a random" in shown.getvalue()
    )
    assert "1 no box in the picture" in shown.getvalue()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["first"]


def test_a_server_is_probed_by_its_answers_to_the_same_texts(folder, first_run, tmp_path, address):
    here = shutil.copytree(first_run / "first", tmp_path / "here" / "first")
    probe_run(ProbeSpec(here, PLAN), _environment(Seeing())[0])
    environment, said = _environment(None)

    probe_run(ProbeSpec(folder, PLAN, changes=(("base_url", address),)), replace(environment, load_model=None))

    assert (folder / "probes.jsonl").read_bytes() == (here / "probes.jsonl").read_bytes()
    assert scores(folder) == scores(here)
    assert "a server gives answers and no probabilities" in said[0]


def test_a_key_goes_to_no_address_that_only_a_run_names(folder):
    environment, _ = _environment(None)

    with pytest.raises(ConfigError, match="a key goes only to an address that you give yourself"):
        probe_run(ProbeSpec(folder, PLAN), replace(environment, load_model=None, api_key="sk-of-mine"))


def test_what_was_answered_before_a_kill_is_not_asked_again(folder, first_run, tmp_path):
    whole = shutil.copytree(first_run / "first", tmp_path / "other" / "first")
    probe_run(ProbeSpec(whole, PLAN), _environment(Seeing())[0])
    killed, again = Seeing(stop_after=30), Seeing()

    with pytest.raises(Stopped):
        probe_run(ProbeSpec(folder, PLAN), _environment(killed)[0])
    work = folder.parent / ".first.probe.jsonl"
    assert not (folder / "probes.json").exists()
    with work.open("ab") as stream:
        stream.write(b'{"key": "torn')
    environment, said = _environment(again)
    probe_run(ProbeSpec(folder, PLAN), environment)

    assert killed.asked + again.asked == (ROWS - 2) * VARIANTS + 2
    assert f"{killed.asked} of them answered already" in said[0]
    assert scores(folder) == scores(whole)
    assert (folder / "probes.jsonl").read_bytes() == (whole / "probes.jsonl").read_bytes()


def test_more_controls_ask_only_what_is_new(folder):
    with pytest.raises(Stopped):
        probe_run(ProbeSpec(folder, PLAN), _environment(Seeing(stop_after=80))[0])
    more = Seeing()

    probe_run(ProbeSpec(folder, replace(PLAN, controls=3)), _environment(more)[0])

    assert more.asked == (ROWS - 2) * 2 + 2


def test_answers_of_another_run_are_not_taken_up(folder):
    with probe_work(folder, "one") as work:
        work.add([Answered(key="k", text="t")])
        left = work.path.read_bytes()
    work.path.write_bytes(left)

    with probe_work(folder, "one") as same:
        assert set(same.answered) == {"k"}
        with pytest.raises(RunLockedError, match="another process probes"), probe_work(folder, "one"):
            pass
    work.path.write_bytes(left)
    with probe_work(folder, "two") as other:
        assert other.answered == {}


@pytest.mark.parametrize("room", [150, 200, 450])
def test_a_disk_that_is_full_is_named_and_what_was_written_whole_is_taken_up(folder, room):
    def fill():
        with probe_work(folder, "one") as work:
            works.append(work)
            for index in range(9):
                work.add([Answered(key=f"{index}", text="t" * 100)])

    works = []
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot write to .*a file size limit"):
            fill()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    (work,) = works
    assert work.path.stat().st_size == room, "the last line is torn"
    with probe_work(folder, "one") as again:
        assert set(again.answered) == set(work.answered)
        again.add([Answered(key="more", text="t")])
        assert work.path.read_bytes().count(b"\n") == len(work.answered) + 2


@pytest.fixture(scope="module")
def stepping_run(tmp_path_factory):
    """A finished run whose thoughts name a corner first and then the square whose colour is asked for."""
    folder = tmp_path_factory.mktemp("stepping")
    data = folder / "data"
    data.mkdir()
    lines = ["id\tquestion\tanswers\timage_path"]
    rng = np.random.default_rng(0)
    for row in range(6):
        pixels = rng.integers(90, 130, (100, 140, 3)).astype(np.uint8)
        left = 30 + 12 * row
        pixels[40:60, left : left + 20] = (230, 10, 10) if row % 2 else (10, 10, 230)
        Image.fromarray(pixels).save(data / f"{row}.png")
        asked = "how many squares are there" if row == 5 else "what color is the square"
        lines.append(f"{row}\t{asked}?\t{'red' if row % 2 else 'blue'}\t{row}.png")
    (data / "own.tsv").write_text("\n".join(lines) + "\n")
    (data / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: own.tsv}\n")
    return run_benchmarks(_spec(folder, form="treevgr"), _environment(Stepping())[0]).folder


class Stepping(Seeing):
    """Says which colour the square has that it finds, and where it looked."""

    def generate_batch(self, prompts):
        found = super().generate_batch(prompts)
        return [replace(one, text=_steps_to(prompt)) for one, prompt in zip(found, prompts, strict=True)]


def _steps_to(prompt):
    pixels = np.asarray(prompt.images[0]).astype(int)
    there = np.argwhere(np.abs(pixels[..., 0] - pixels[..., 2]) > 180)
    if len(there) < 20:
        return "<think><box>[0,0,20,20]</box></think><answer>none</answer>"
    (top, left), (bottom, right) = there.min(0).tolist(), there.max(0).tolist()
    colour = "red" if pixels[there[0][0], there[0][1], 0] > 180 else "blue"
    looked = f"<box>[0,0,12,12]</box> <box>[{left},{top},{right + 1},{bottom + 1}]</box>"
    return f"<think>{looked}</think><answer>{colour}</answer>"


def test_steps_and_pasted_regions_are_asked_counted_and_recounted(stepping_run, tmp_path):
    plan = ProbePlan(fills=("mean",), controls=1, operations=("remove", "paste"), steps=True)
    folders = [shutil.copytree(stepping_run, tmp_path / name / "first") for name in ("one", "two")]
    asked = [Stepping() for _ in folders]
    for folder, model in zip(folders, asked, strict=True):
        found = probe_run(ProbeSpec(folder, plan), _environment(model)[0]).summary["own"]

    # the picture as it is and blank; the region, both steps, and what is pasted, with a control each
    assert asked[0].asked == 6 * 2 + 6 * 2 * 3 + 5 * 2
    assert found.pasted.statuses == {"ok": 5, "not_about_region": 1}
    assert (found.pasted.follows.value, found.pasted.follows_control.value, found.pasted.known) == (1, 0, 0)
    steps = found.steps["mean"].scores["same"]
    assert (steps.first.value, steps.last.value, steps.last_over_apart.value) == (0, 1, 1)
    assert found.steps["mean"].coverage.value == 1
    for name in ("probes.json", "probes.jsonl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    assert verify_run(folders[0]) == []
    for name, number in (("pasted", "follow"), ("stepped", "last")):
        told = scores(folders[1])
        told[name][0][number] = 0.5
        add_files(folders[1], {"probes.json": json.dumps(told).encode()})
        assert any(f"{name}.0.{number}" in said or name in said for said in verify_run(folders[1]))
    page = stored_run_page(load_run(folders[0])).decode()
    assert "removing what it looked at changed the answer 100.0 points more often than removing a random region" in page
    assert "with another region pasted into the box it named the answer changed 100.0 points more often" in page
    assert "over earlier ones apart from it" in page


def test_steps_are_asked_of_formats_that_have_some(folder):
    with pytest.raises(ConfigError, match=r"a format without steps; .*treevgr, .*deepeyes"):
        probe_run(ProbeSpec(folder, replace(PLAN, steps=True)), _environment(Seeing())[0])


def test_steps_are_removed_or_not_asked(stepping_run):
    with pytest.raises(ConfigError, match="leave remove in --ops"):
        probe_run(ProbeSpec(stepping_run, replace(PLAN, steps=True, operations=("keep",))), _environment(Seeing())[0])


def test_answers_kept_before_there_were_sources_have_their_keys(folder):
    run = open_asked_run(folder, {})
    asked = ProbedAsk(run.samples[2], before_asking(run.samples[2].record, config_of(run.stored.manifest), PLAN))
    variant = asked.before.variants[-1]
    sample = run.samples[2].record.sample
    told = repr(("own", sample.id, variant.operation, "mean", variant.boxes_px)).encode()

    assert Request(asked, variant).key == hashlib.sha256(told).hexdigest()[:32]
    pasted = Variant("paste", "named", boxes_px=variant.boxes_px, source_px=variant.boxes_px)
    assert Request(asked, pasted).key != Request(asked, replace(pasted, source_px=((0, 0, 1, 1),))).key


def test_a_limit_draws_the_same_samples_every_time(folder):
    asked = []
    for _ in range(2):
        probe_run(ProbeSpec(folder, PLAN, limit=4), _environment(Seeing())[0])
        asked.append({record.id for record in read_probes((folder / "probes.jsonl").read_bytes(), "x")})

    assert asked[0] == asked[1]
    assert 3 <= len(asked[0]) <= 4
    assert scores(folder)["limit"] == 4


@pytest.mark.parametrize(
    ("changes", "spec", "error", "words"),
    [
        ({"temperature": 0.7}, {}, ConfigError, "was sampled"),
        ({}, {"score": "p"}, ConfigError, "gives no probabilities"),
        ({"base_url": None}, {}, ConfigError, "needs --base-url"),
    ],
)
def test_what_would_say_nothing_is_refused(folder, changes, spec, error, words):
    with pytest.raises(error, match=words):
        probe_run(ProbeSpec(folder, PLAN, changes=tuple(changes.items()), **spec), _environment(Seeing())[0])


def test_pictures_that_are_edited_keep_their_size_and_what_is_not_filled(first_run):
    source = (first_run / "data" / "1.png").read_bytes()
    variant = Variant("remove", "named", 0, "mean", ((14, 40, 34, 60),))

    image = EditedPicture({"bytes": source}, variant, Size(140, 100)).open()

    before = np.asarray(Image.open(first_run / "data" / "1.png").convert("RGB"))
    changed = (np.asarray(image) != before).any(-1)
    assert image.size == (140, 100)
    assert changed[40:60, 14:34].all()
    assert changed.sum() == 400


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--fill", "blur"], "give mean, ring"),
        (["--fill", ""], "give mean, ring"),
        (["--ops", "remove,crop"], "give remove, keep, turn"),
        (["--k", "0"], "0 is not in the range"),
        (["--limit", "0.5"], "no whole number"),
    ],
)
def test_an_option_that_says_nothing_known_is_refused(arguments, words):
    found = CliRunner().invoke(probe, ["a-run", *arguments], obj={"debug": False})

    assert found.exit_code == 2
    assert words in " ".join(found.output.split())
