"""`--box-dialect` on every verb: what it reads, what it stores, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.errors import ExitCode
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_words

NATIVE = '<caption>a</caption><bbox>[{"box_2d": [250, 100, 875, 500], "label": "a"}]</bbox><answer>a</answer>'
ROW = {"task": "satori", "answers": ["a"], "boxes": [[64, 120, 320, 420]], "width": 640, "height": 480}


@pytest.fixture
def predictions(tmp_path):
    """Return a file of boxes that Gemma 4 wrote."""
    file = tmp_path / "p.jsonl"
    file.write_text("".join(json.dumps({"id": str(place), **ROW, "prediction": NATIVE}) + "\n" for place in range(4)))
    return file


def mean_iou(out: str) -> float:
    return json.loads(out)["tasks"]["satori"]["metrics"]["mean_iou"]["value"]


@pytest.mark.parametrize("words", ["gemma4", "Gemma-4", "list:yxyx:1000", "list:yxyx:norm_1000"])
def test_score_reads_boxes_in_the_dialect_and_says_nothing(command, predictions, words):
    code, out, err = command("score", predictions, "--box-dialect", words, "--json")

    assert code == ExitCode.OK
    assert "audit" not in err
    assert "box" not in err.partition("whatever was asked")[2]
    assert mean_iou(out) == pytest.approx(1.0)


def test_score_without_a_dialect_advises_the_one_that_fits(command, predictions):
    code, out, err = command("score", predictions, "--json")

    assert code == ExitCode.OK
    assert mean_iou(out) == 0.0
    assert "--box-dialect list:yxyx:1000" in err


def test_a_dialect_that_fits_far_worse_than_another_is_warned_of_in_every_verb(command, predictions):
    code, out, err = command("score", predictions, "--box-dialect", "glm46v", "--run", "runs", "--json")
    run = json.loads(out)["run"]
    _, _, again = command("rescore", run, "--box-dialect", "qwen3_vl", "--no-page")

    assert code == ExitCode.OK
    for told in (err, again):
        assert "--box-dialect list:yxyx:1000" in told


def test_a_run_keeps_its_dialect_and_a_rescore_may_take_another(command, predictions):
    _, out, _ = command("score", predictions, "--box-dialect", "gemma4", "--run", "runs", "--no-page", "--json")
    run = json.loads(out)["run"]
    stored = load_run(Path(run))

    assert dialect_words(stored.manifest.box_dialect) == "list:yxyx:1000"
    assert stored.scores["box_dialect"] == "list:yxyx:1000"
    assert command("runs", "verify", run)[0] == ExitCode.OK

    code, again, _ = command("rescore", run, "--box-dialect", "satori", "--no-page", "--json")
    assert (code, mean_iou(again)) == (ExitCode.OK, 0.0)
    assert command("runs", "verify", run)[0] == ExitCode.OK
    assert "list:yxyx:1000" in command("runs", "show", run)[1]

    command("compare", run, f"{run}@strict", "-o", "c.html")
    assert "boxes read as list:yxyx:1000 against strict, boxes read as image_px" in Path("c.html").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--box-dialect", "gema4"], "Did you mean 'gemma4'"),
        (["--box-dialect", "list:yyxx:1"], "is no order"),
        (["--box-dialect", "list:xyxy:1000", "--box-frame", "norm_1"], "give one"),
        (["--box-dialect", "auto"], "no checkpoint says which family it is"),
    ],
)
def test_wrong_words_are_refused_with_the_mend(command, predictions, options, said):
    code, _, err = command("score", predictions, *options)

    assert code == ExitCode.USAGE
    assert said in err


def test_a_dialect_whose_size_is_not_known_gives_null_and_says_so(command, predictions):
    code, out, err = command("score", predictions, "--box-dialect", "qwen2_5_vl", "--json")

    assert code == ExitCode.OK
    assert json.loads(out)["tasks"]["satori"]["metrics"]["mean_iou"]["value"] is None
    assert "frame" in err


def test_gold_boxes_may_be_declared_by_a_dialect(command, tmp_path):
    from PIL import Image

    Image.new("RGB", (640, 480)).save(tmp_path / "i.png")
    row = {"image": "i.png", "question": "q?", "answers": ["a"], "caption": "a b", "boxes": [[256, 102, 896, 512]]}
    (tmp_path / "rows.jsonl").write_text(json.dumps(row) + "\n")

    options = ("--source-format", "jsonl", "--box-dialect", "list:yxyx:1024")
    assert command("data", "verify", "rows.jsonl", *options)[0] == ExitCode.OK
    code, _, err = command("data", "build", "rows.jsonl", *options, "-o", "out.parquet")

    import pyarrow.parquet as pq

    assert code == ExitCode.OK, err
    [boxes] = pq.read_table(tmp_path / "out.parquet").column("boxes").to_pylist()
    assert [pytest.approx(edge, abs=1) for edge in (64, 120, 320, 420)] == list(boxes[0])
