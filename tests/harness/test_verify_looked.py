"""`runs verify` recounts probes and attention: what somebody changed is named, also where checksums were made anew."""

import json

import pytest

from harness.comparison.verify_looked import looked_contradictions
from harness.comparison.verify_run import verify_run
from harness.probes.attended import AttendedRegion
from harness.probes.attention_records import AttentionRecord, SpanAttention, attention_lines
from harness.probes.attention_summary import attention_scores, summarise_attention
from harness.probes.before_asking import before_asking, drawn
from harness.probes.probe_records import probe_lines
from harness.probes.probe_summary import probe_scores, summarise_probes
from harness.probes.probed_sample import probed_sample
from harness.probes.probed_text import probe_record
from harness.probes.variants import ProbePlan
from harness.runs.manifest import config_of
from harness.runs.store import add_files, load_run, scores_bytes
from harness.values import Generation

PLAN = ProbePlan(controls=2, operations=("remove", "keep", "turn"))
N = 12
LIMIT = 9


def text(answer, box=None):
    boxes = f"<bbox>[{box}]</bbox>" if box else ""
    return f"<caption>c</caption>{boxes}<answer>{answer}</answer>"


def row(number):
    box = None if number == 3 else [0, 0, 40, 20] if number == 5 else [number, 2, number + 6, 9]
    return {
        "id": f"s{number}",
        "task": "shapes",
        "question": "what color is it?" if number % 2 else "is it there?",
        "prediction": "who knows" if number == 7 else text("red" if number % 3 else "blue", box),
        "answers": ["red"],
        "boxes": [[0, 0, 10, 10]],
        "width": 40,
        "height": 20,
        "cluster": f"c{number // 2}",
    }


def probed(run):
    """Return the files of a run whose answers go with the named box in two of three samples."""
    records, config = list(run.records()), config_of(run.manifest)
    samples = []
    for number, place in enumerate(drawn([("shapes", record.sample.id) for record in records], LIMIT, PLAN.seed)):
        before = before_asking(records[place], config, PLAN)
        lines = []
        for variant in before.variants:
            gone = (variant.operation, variant.target) == ("remove", "named") or variant.operation == "blank"
            said = text("green" if gone and number % 3 else before.question.answer, [1, 1, 5, 5])
            kept = 0.1 if gone else 0.9
            lines.append(probe_record(before.question, variant, Generation(said), config, kept))
        samples.append(probed_sample(records[place], before, lines))
    told = {"limit": LIMIT, "samples_of_run": N, "contrast": "none", "backend": "hf"}
    scores = probe_scores(summarise_probes(samples, PLAN), samples, PLAN, told=told)
    return {
        "probes.jsonl": probe_lines(line for sample in samples for line in sample.records),
        "probes.json": scores_bytes(scores),
    }


def attended(run):
    records = list(run.records())
    lines = []
    for number, record in enumerate(records):
        region = AttendedRegion(
            0.5 + 0.2 * number, is_pointed_at=number % 2 == 0, chance_of_pointing=0.1, area_share=0.05,
            is_below_one_cell=False,
        )  # fmt: skip
        spans = {"boxes": SpanAttention(rows=3, image_mass=0.5, named=region, gold=region, shuffled=1.0)}
        ok = bool(record.score.boxes_image_px)
        lines.append(
            AttentionRecord(
                task="shapes", id=record.sample.id, status="ok" if ok else "no_boxes", grid=(2, 4), layers=2,
                spans=spans if ok else {},
            )
        )  # fmt: skip
    summary = summarise_attention(records, lines, seed=4)
    scores = attention_scores(summary, seed=4, limit=None, samples=N)
    return {"attention.jsonl": attention_lines(lines), "attention.json": scores_bytes(scores)}


@pytest.fixture(scope="module")
def files():
    """What the probes and the attention of the run come to; made once."""
    return {}


@pytest.fixture
def bare_run(make_run, files):
    """A run beside which nothing was put yet."""
    folder = make_run("a", [row(number) for number in range(N)])
    if not files:
        files.update({**probed(load_run(folder)), **attended(load_run(folder))})
    return folder


@pytest.fixture
def run(bare_run, files):
    add_files(bare_run, files)
    return bare_run


def test_a_sound_run_is_sound(run):
    scores = json.loads((run / "probes.json").read_bytes())

    assert verify_run(run) == []
    assert set(scores["tasks"]["shapes"]["fills"]["mean"]["statuses"]) > {"ok", "no_box", "control_impossible"}


FILLS = "tasks shapes fills"
BOXES = "tasks shapes spans boxes"
OF_PROBES = [
    (f"{FILLS} mean scores p necessity value", 0.123, "fills.mean.scores.p.necessity.value is 0.123, its records give"),
    (f"{FILLS} ring scores same dependence ci_low", -0.9, "fills.ring.scores.same.dependence.ci_low is -0.9"),
    (f"{FILLS} mean statuses ok", 2, "fills.mean.statuses.ok is 2"),
    (f"{FILLS} mean edits 2 kept n", 3, "fills.mean.edits[remove named].kept.n is 3"),
    (f"{FILLS} mean scores p is_artefact", True, "fills.mean.scores.p.is_artefact is True, its records give False"),
    (f"{FILLS} mean relied right,~relied", 9, "fills.mean.relied.right, relied is 9"),
    (f"{FILLS} ring", None, "lacks tasks.shapes.fills.ring"),
    ("samples 1", None, "samples has 35 entries, its records give 36"),
    ("samples 1 necessity", 0.25, "mean p].necessity is 0.25"),
    ("samples_of_run", 11, "samples_of_run is 11"),
]
OF_ATTENTION = [
    (f"{BOXES} density value", 9.9, "spans.boxes.density.value is 9.9"),
    (f"{BOXES} right_answers raw", 0.99, "spans.boxes.right_answers.raw is 0.99"),
    (f"{BOXES} overlap within_interval high", -1.0, "spans.boxes.overlap.within_interval.high is -1"),
    (f"{BOXES} bins 1 accuracy value", 0.01, "spans.boxes.bins[1].accuracy.value is 0.01"),
    ("tasks shapes statuses no_boxes", 7, "statuses.no_boxes is 7"),
]
LINES_OF_PROBES = [
    ("remove named", {"is_same": True}, "1 lines that are not what their texts give, such as shapes s"),
    ("keep named", {"text": text("purple")}, "1 lines that are not what their texts give, such as shapes s"),
    ("remove named", {"p_original": 0.3}, "scores.p.necessity.value is"),
    ("keep named", None, "1 samples with other edits than the plan asks for, such as shapes s"),
    ("remove random", {"boxes_px": [[30, 10, 36, 17]]}, "1 samples with other edits than the plan asks for"),
    ("blank none", {"id": "s99"}, "edits of 1 samples that were not drawn, such as shapes s99"),
]
LINES_OF_ATTENTION = [
    ("s4", None, "lines of 11 samples, and 12 are drawn of the run"),
    ("s4", {"status": "no_boxes", "spans": {}}, "whose status is not that of their boxes, such as shapes s4: no_boxes"),
    ("s4", {"layers": 3}, "tasks.shapes.layers is 2, its records give 3"),
]


def changed_object(content, places, value):
    """Return a JSON file with another value at a place; None takes the place away."""
    found = json.loads(content)
    *path, last = [int(name) if name.isdecimal() else name.replace("~", " ") for name in places.split()]
    inner = found
    for name in path:
        inner = inner[name]
    if value is None:
        del inner[last]
    else:
        assert inner[last] != value
        inner[last] = value
    return json.dumps(found).encode()


def changed_line(content, which, fields):
    """Return a file of lines in which the last one of a kind has other fields; None takes it away."""
    lines = [json.loads(line) for line in content.splitlines()]
    number = max(
        number
        for number, line in enumerate(lines)
        if which in (line["id"], f"{line.get('operation')} {line.get('target', 'none')}")
    )
    lines[number : number + 1] = [] if fields is None else [lines[number] | fields]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


CHANGES = [
    ("probes.json", changed_object, OF_PROBES),
    ("attention.json", changed_object, OF_ATTENTION),
    ("probes.jsonl", changed_line, LINES_OF_PROBES),
    ("attention.jsonl", changed_line, LINES_OF_ATTENTION),
]


@pytest.mark.parametrize(
    ("path", "change", "case"), [(path, change, case) for path, change, cases in CHANGES for case in cases]
)
def test_what_was_changed_is_named_though_its_checksum_was_made_anew(bare_run, files, path, change, case):
    place, value, words = case
    beside = {name: content for name, content in files.items() if name.startswith(path.split(".")[0])}
    add_files(bare_run, {**beside, path: change(files[path], place, value)})

    problems = list(looked_contradictions(load_run(bare_run)))

    assert any(words in problem for problem in problems), problems
    assert len(problems) <= 8


def test_a_file_that_cannot_be_used_is_told_once(run):
    add_files(run, {"attention.json": b'{"schema_version": 1}'})

    assert [problem for problem in verify_run(run) if "attention.json" in problem] == verify_run(run)
    assert len(verify_run(run)) == 1
