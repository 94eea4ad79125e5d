"""Tests of gold boxes in other frames, through the commands that see them: tasks verify, data verify|build, run."""

import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from harness.errors import ExitCode
from harness.scoring.gold_boxes import MEANING_OF_READING
from tasks.local_data import open_task_data
from tasks.own import load_own_task
from tasks.verify import gold_box_faults

SIZE = (1600, 1200)
WRITTEN = {
    "norm_1": lambda x1, y1, x2, y2: [x1 / 1600, y1 / 1200, x2 / 1600, y2 / 1200],
    "norm_1000": lambda x1, y1, x2, y2: [round(x1 / 1.6), round(y1 / 1.2), round(x2 / 1.6), round(y2 / 1.2)],
    "percent": lambda x1, y1, x2, y2: [x1 / 16, y1 / 12, x2 / 16, y2 / 12],
    "xywh": lambda x1, y1, x2, y2: [x1, y1, x2 - x1, y2 - y1],
    "yxyx": lambda x1, y1, x2, y2: [y1, x1, y2, x2],
    "other_px": lambda x1, y1, x2, y2: [x1 * 2.5, y1 * 2.5, x2 * 2.5, y2 * 2.5],
    "image_px": lambda x1, y1, x2, y2: [x1, y1, x2, y2],
}
"""Reading to how it writes a box of pixels of an image of 1600 x 1200."""


@pytest.fixture(scope="module")
def image() -> bytes:
    buffer = io.BytesIO()
    Image.new("1", SIZE).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def boxes_image_px():
    rng = np.random.default_rng(5)
    corners = [np.sort(rng.integers(0, side - 9, (12, 2)), axis=1) for side in SIZE]
    return [[int(x1), int(y1), int(x2) + 9, int(y2) + 9] for (x1, x2), (y1, y2) in zip(*corners, strict=True)]


@pytest.fixture
def files(tmp_path, image, boxes_image_px):
    """Write the boxes in a reading, as a benchmark of one's own and as training data; returns both files."""
    (tmp_path / "pic.png").write_bytes(image)

    def write(reading: str, declared: str = ""):
        boxes = [[WRITTEN[reading](*box)] for box in boxes_image_px]
        rows = [
            {"image": "pic.png", "question": f"Where {n}?", "answers": "a", "boxes": box} for n, box in enumerate(boxes)
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
        frame = f", gold_box_frame: {declared}" if declared else ""
        (tmp_path / "own.yaml").write_text(
            f"task: own\nsatori: {{answer_rule: accepted, data: rows.parquet{frame}}}\n", encoding="utf-8"
        )
        (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row | {"caption": "a b"}) + "\n" for row in rows))
        return tmp_path / "own.yaml", tmp_path / "rows.jsonl"

    return write


OTHERS = [reading for reading in WRITTEN if reading != "image_px"]


@pytest.mark.parametrize("reading", OTHERS)
def test_both_verbs_name_the_frame_and_nothing_is_built(command, files, tmp_path, reading):
    own, training = files(reading)

    told = command("tasks", "verify", own)
    checked = command("data", "verify", training)
    built = command("data", "build", training, "-o", "out.parquet", "--drop-faulty")

    assert (told[0], checked[0], built[0]) == (ExitCode.USAGE,) * 3
    for text in (told[1], checked[1], built[2]):
        assert f"look like {reading} (" in text
        assert MEANING_OF_READING[reading] in text
        assert reading == "other_px" or f"frame: {reading}" in text or f"--box-frame {reading}" in text
    assert not (tmp_path / "out.parquet").exists()


@pytest.mark.parametrize("reading", [reading for reading in OTHERS if reading != "other_px"])
def test_who_declares_the_frame_gets_the_boxes_in_pixels(command, files, boxes_image_px, reading):
    own, training = files(reading, declared=reading)

    told = command("tasks", "verify", own)
    checked = command("data", "verify", training, "--box-frame", reading)
    benchmark = load_own_task(own)
    read = [benchmark.adapter.sample_of(doc).boxes_image_px[0] for doc in open_task_data(benchmark)]

    assert (told[0], checked[0]) == (ExitCode.OK, ExitCode.OK), told[1] + checked[1]
    assert np.allclose(boxes_image_px, read, atol=1.0 if reading == "norm_1000" else 1e-6)


def test_data_verify_says_of_a_row_nothing_else_than_of_its_file(command, tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (800, 200)).save(buffer, "PNG")
    (tmp_path / "wide.png").write_bytes(buffer.getvalue())
    rows = [
        {"image": "wide.png", "question": f"Where {n}?", "answers": ["a"], "caption": "a b", "boxes": [box]}
        for n, box in enumerate([[20, 471, 64, 724], [93, 438, 197, 647], [54, 249, 177, 641], [1, 371, 140, 628]])
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    code, out, _ = command("data", "verify", tmp_path / "rows.jsonl")

    assert code == ExitCode.USAGE
    assert "4 box_norm_1000 (dropped): not pixels of the image; of the whole file see below" in out
    assert "pass --box-frame yxyx" in out
    assert "pass --box-frame norm_1000" not in out


def test_larger_pixels_are_not_taken_for_thousandths_without_a_doubt(command, tmp_path):
    buffer = io.BytesIO()
    Image.new("1", (320, 240)).save(buffer, "PNG")
    (tmp_path / "small.png").write_bytes(buffer.getvalue())
    boxes = [[340, 124, 490, 214], [96, 216, 602, 294], [188, 110, 468, 384], [84, 172, 338, 308]]
    rows = [
        {"image": "small.png", "question": f"Where {n}?", "answers": ["a"], "caption": "a b", "boxes": [box]}
        for n, box in enumerate(boxes)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert "they may also be pixels of a larger image" in command("data", "verify", tmp_path / "rows.jsonl")[1]


def test_honest_boxes_are_under_no_suspicion(command, files):
    own, training = files("image_px")

    assert command("tasks", "verify", own)[0] == ExitCode.OK
    assert command("data", "verify", training)[0] == ExitCode.OK
    assert command("data", "build", training, "-o", "out.parquet")[0] == ExitCode.OK


def test_thousandths_that_somebody_declares_to_be_pixels_are_believed(command, files):
    own, training = files("norm_1000", declared="image_px")

    assert command("tasks", "verify", own)[0] == ExitCode.OK
    assert command("data", "verify", training, "--box-frame", "image_px")[0] == ExitCode.OK


def test_fractions_are_no_pixels_whatever_is_declared(command, files):
    own, training = files("norm_1", declared="image_px")

    assert "(box_norm_1: fractions of the image)" in command("tasks", "verify", own)[1]
    assert "12 box_norm_1 (dropped)" in command("data", "verify", training, "--box-frame", "image_px")[1]


@pytest.mark.parametrize("reading", WRITTEN)
def test_a_run_says_so_before_it_asks(files, reading):
    benchmark = load_own_task(files(reading)[0])

    said = gold_box_faults(benchmark, open_task_data(benchmark))

    assert (not said) == (reading == "image_px")
    assert not said or f"look like {reading}" in said[0]


@pytest.mark.parametrize(
    ("width", "height", "declared", "words"),
    [
        (800, 600, "", "12 rows .*not the image's size .size_mismatch.*: 0 .800x600 on an image of 1600x1200"),
        (3200, 2400, "", "size_mismatch.*declare gold_box_frame: input_px"),
        (1600, 1199, "image_px", "size_mismatch"),
        (1596, 1204, "xywh", "size_mismatch"),
        (1200, 1600, "", "12 rows .*exchanged .lying_size"),
        (1200, 1600, "image_px", "lying_size"),
        (1200, 1600, "input_px", "lying_size"),
        (800, 600, "input_px", None),
        (1600, 1200, "", None),
        (None, None, "", None),
    ],
)
def test_a_run_says_that_boxes_are_of_another_size_than_their_image(files, tmp_path, width, height, declared, words):
    own, _ = files("image_px", declared)
    rows = [row | {"width": width, "height": height} for row in pq.read_table(tmp_path / "rows.parquet").to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    benchmark = load_own_task(own)

    said = gold_box_faults(benchmark, open_task_data(benchmark))

    assert (words is None) == (not any(name in one for one in said for name in ("size_mismatch", "lying_size")))
    assert words is None or any(re.search(words, one) for one in said), said


def test_a_wrong_declaration_is_refused_with_a_hint(command, files):
    own, _ = files("norm_1", declared="norm1")

    code, _, err = command("tasks", "verify", own)

    assert code == ExitCode.USAGE
    assert "satori.gold_box_frame: one of image_px, input_px, norm_1000, norm_1, percent, xywh, yxyx is needed" in err
    assert "Did you mean 'norm_1'" in err


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([1700, 10, 1800, 60], "1 rows with a gold box outside of the image (box_outside): 12"),
        ([0.1, 0.2, 0.6, 0.9], "unlike the others' (box_norm_1): 12 ([0.1, 0.2, 0.6, 0.9] on an image of 1600x1200)"),
        ([0, 0, 1, 1], "unlike the others' (box_norm_1): 12"),
        ([50, 10, 20, 60], "1 rows with broken gold boxes"),
        ([50, 10, 50, 60], "1 rows with broken gold boxes"),
        ([50, 10, float("nan"), 60], "1 rows with broken gold boxes"),
    ],
)
def test_one_bad_row_is_named_and_suspects_nothing(command, files, tmp_path, box, words):
    own, _ = files("image_px")
    table = pq.read_table(tmp_path / "rows.parquet")
    texts = [json.dumps(value) for value in [*table.column("boxes").to_pylist(), [box]]]
    rows = [row | {"boxes": text} for row, text in zip([*table.to_pylist(), table.to_pylist()[0]], texts, strict=True)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")

    code, out, _ = command("tasks", "verify", own)

    assert code == ExitCode.USAGE
    assert words in out
    assert "look like" not in out


@pytest.mark.parametrize("size", [[1600], [1, 2], {"a": 1}, "wide", float("nan"), 0, -3])
def test_columns_width_and_height_that_are_no_size_say_nothing(command, files, tmp_path, size):
    own, _ = files("image_px")
    table = pq.read_table(tmp_path / "rows.parquet")
    for name in ("width", "height"):
        table = table.append_column(name, pa.array([size] * len(table)))
    pq.write_table(table, tmp_path / "rows.parquet")

    code, out, _ = command("tasks", "verify", own)

    assert code in {ExitCode.OK, ExitCode.USAGE}
    assert "look like" not in out
    assert "holds" not in out


@pytest.mark.parametrize("reading", WRITTEN)
def test_score_doubts_the_gold_boxes_of_a_predictions_file(command, boxes_image_px, tmp_path, reading):
    rows = [
        {
            "id": str(n),
            "task": "satori",
            "prediction": f"<caption>a</caption><bbox>{json.dumps([box])}</bbox><answer>a</answer>",
            "answers": ["a"],
            "boxes": [WRITTEN[reading](*box)],
            "width": 1600,
            "height": 1200,
        }
        for n, box in enumerate(boxes_image_px)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    code, _, err = command("score", tmp_path / "rows.jsonl", "--output", "out.jsonl")

    assert code == ExitCode.OK
    if reading == "xywh":  # a row whose corners stand the wrong way round is named, and not scored
        assert "boxes[0] is inverted" in err
        return
    assert ("satori: the gold boxes look like" in err) == (reading != "image_px"), err
    assert reading == "image_px" or f"look like {reading} ({MEANING_OF_READING[reading]})" in err


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        ([[0, 0, 100, 100]], None),
        ([[50, 50, 104, 90]], "in 1 rows they reach over its edge and are cut there"),
        ([[10, 10, 40, 40], [300, 300, 310, 310]], "in 1 rows one lies outside of it and does not count"),
        ([[300, 300, 310, 310]], "in 1 rows one lies outside of it and does not count"),
    ],
)
def test_score_counts_gold_boxes_that_do_not_lie_in_their_image(command, tmp_path, boxes, says):
    row = {"task": "satori", "prediction": "<bbox>[[1, 2, 30, 40]]</bbox><answer>a</answer>", "answers": ["a"]}
    good = [{**row, "id": str(n), "boxes": [[n, n, 20 + n, 30 + n]], "width": 100, "height": 100} for n in range(20)]
    lines = [*good, {**row, "id": "odd", "boxes": boxes, "width": 100, "height": 100}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    _, _, err = command("score", tmp_path / "rows.jsonl", "--output", "out.jsonl")

    assert ("not all gold boxes lie in their image" in err) == (says is not None), err
    assert says is None or f"satori: not all gold boxes lie in their image: {says} (the first row is 'odd')" in err


def test_a_row_of_predictions_with_several_pictures_has_no_box_scored(command, tmp_path):
    row = {"id": "1", "task": "mmmu_val", "prediction": "<bbox>[[1, 2, 30, 40]]</bbox><answer>A</answer>",
           "answers": ["A"], "choices": {"A": "a", "B": "b"}, "boxes": [[1, 2, 30, 40]], "width": 100, "height": 100,
           "pictures": [{"width": 100, "height": 100}, {"width": 64, "height": 48}]}  # fmt: skip
    (tmp_path / "rows.jsonl").write_text(f"{json.dumps(row)}\n{json.dumps(row | {'id': '2', 'pictures': 3})}\n")

    _, _, err = command("score", tmp_path / "rows.jsonl", "--output", "out.jsonl")

    first, second = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert (first["score"], first["iou"], first["faults"]) == (1.0, None, ["missing", "no_source"])
    assert second["faults"] == ["error"]
    assert "pictures must be a list of objects" in err
