"""Tests of the Shapes generator: determinism, disjoint splits, balance, exact boxes, no ambiguity."""

import io
import re
import time
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tasks.shapes import (
    BENCHMARK_ROWS,
    KINDS,
    PROFILES,
    SPLITS,
    Scene,
    Thing,
    draw,
    examples,
    generate,
    split_of,
    write_parquet,
)

COUNTS = {"zero": 0, "one": 1, "two": 2, "three": 3, "four": 4}


@pytest.fixture(scope="module", params=PROFILES)
def benchmark_rows(request):
    return list(examples(request.param, "benchmark", BENCHMARK_ROWS))


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def test_the_same_arguments_give_the_same_row_and_the_same_picture():
    for profile in PROFILES:
        for split in SPLITS:
            first, second = generate(profile, split, 17, seed=3), generate(profile, split, 17, seed=3)
            assert first == second
            assert first.png() == second.png()


def test_another_seed_or_index_gives_another_scene():
    scenes = {generate("full", "train", index, seed).scene.sha256 for index in range(20) for seed in range(5)}

    assert len(scenes) == 100


@pytest.mark.parametrize("profile", PROFILES)
def test_no_benchmark_scene_is_ever_in_the_training_split(profile):
    benchmark = {row.scene.sha256 for row in examples(profile, "benchmark", BENCHMARK_ROWS)}
    train = {row.scene.sha256 for seed in range(2) for row in examples(profile, "train", 1500, seed)}

    assert not benchmark & train


def test_the_split_is_a_property_of_the_drawn_scene(benchmark_rows):
    assert {"benchmark"} == {split_of(row.scene) for row in benchmark_rows}


def test_answers_are_balanced_within_every_kind(benchmark_rows):
    kinds = Counter(row.kind for row in benchmark_rows)
    assert max(kinds.values()) - min(kinds.values()) <= 1

    for kind in set(kinds) - {"comparison"}:
        answers = Counter(row.answers[0] for row in benchmark_rows if row.kind == kind)
        assert max(answers.values()) - min(answers.values()) <= 1, (kind, answers)


def test_a_comparison_is_never_decided_by_the_order_in_the_question():
    rows = [row for row in examples("full", "benchmark", BENCHMARK_ROWS) if row.kind == "comparison"]
    first = sum(f"larger, the {row.answers[0]} or" in row.question for row in rows)

    assert 0.4 < first / len(rows) < 0.6


def drawn_pixels(row, thing: Thing) -> np.ndarray:
    """Return where a thing alone on its canvas changes pixels."""
    canvas = Scene(row.width, row.height, row.scene.background, ())
    alone = Scene(row.width, row.height, row.scene.background, (thing,))
    return (pixels(draw(alone)) != pixels(draw(canvas))).any(axis=2)


def test_gold_boxes_are_exactly_the_drawn_pixels(benchmark_rows):
    for row in benchmark_rows[:40]:
        assert pixels(row.png()).shape == (row.height, row.width, 3)
        for thing in row.scene.things:
            ys, xs = np.nonzero(drawn_pixels(row, thing))
            assert thing.box_image_px == (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
        assert row.boxes_image_px
        assert set(row.boxes_image_px) <= {thing.box_image_px for thing in row.scene.things}


def test_shapes_never_touch_and_lie_inside_the_canvas(benchmark_rows):
    for row in benchmark_rows:
        taken = np.zeros((row.height, row.width), dtype=int)
        for thing in row.scene.things:
            x1, y1, x2, y2 = thing.box_image_px
            assert 0 <= x1 < x2 <= row.width
            assert 0 <= y1 < y2 <= row.height
            taken[y1:y2, x1:x2] += 1
        assert taken.max() == 1


def test_tiny_scenes_keep_to_four_cells_and_to_multiples_of_four():
    for row in examples("tiny", "benchmark", 300):
        assert (row.width, row.height) == (56, 56)
        assert len(row.scene.things) in {1, 2}
        assert all(side % 4 == 0 for box in row.boxes_image_px for side in box)
        for thing in row.scene.things:
            x1, y1, x2, y2 = thing.box_image_px
            assert (x1 // 28, y1 // 28) == ((x2 - 1) // 28, (y2 - 1) // 28)


def test_tiny_questions_are_those_a_tiny_model_can_learn():
    assert KINDS["tiny"] == ("colour", "count", "existence")
    for row in examples("tiny", "train", 60):
        assert re.fullmatch(r"an? \w+ \w+( and an? \w+ \w+)?\.", row.caption)


def named(scene: Scene, words: str) -> list[Thing]:
    """Return the things that a phrase such as `red circle`, `circles` or `red shapes` means."""
    found = []
    for thing in scene.things:
        names = {thing.shape, f"{thing.shape}s", f"{thing.shape}es", "shape", "shapes", thing.colour}
        if all(word in names for word in words.split()):
            found.append(thing)
    return found


def answer_from_the_scene(row) -> str:
    """Answer a question from the scene alone, without looking at the gold."""
    scene, text = row.scene, row.question
    if match := re.fullmatch(r"[Ww]hat color is the (.+)\?", text):
        (thing,) = named(scene, match[1])
        return thing.colour
    if match := re.fullmatch(r"[Hh]ow many (.+) are there\?", text):
        return next(word for word, count in COUNTS.items() if count == len(named(scene, match[1])))
    if match := re.fullmatch(r"[Ii]s there an? (.+)\?", text):
        return "yes" if named(scene, match[1]) else "no"
    if match := re.fullmatch(r"In which part of the image is the (.+): .+\?", text):
        (thing,) = named(scene, match[1])
        x1, y1, x2, y2 = thing.box_image_px
        assert x2 < scene.width / 2 or x1 > scene.width / 2
        assert y2 < scene.height / 2 or y1 > scene.height / 2
        return f"{'top' if y2 < scene.height / 2 else 'bottom'} {'left' if x2 < scene.width / 2 else 'right'}"
    if match := re.fullmatch(r"Which is larger, the (.+) or the (.+)\?", text):
        (first,), (second,) = named(scene, match[1]), named(scene, match[2])
        large, small = sorted((first, second), key=lambda thing: -thing.side)
        assert large.side >= 1.5 * small.side
        return large.name
    match = re.fullmatch(r"Is the (.+) (to the left of|above) the (.+)\?", text)
    (first,), (second,) = named(scene, match[1]), named(scene, match[3])
    axis = 0 if match[2] != "above" else 1
    if first.box_image_px[axis + 2] <= second.box_image_px[axis]:
        return "yes"
    assert second.box_image_px[axis + 2] <= first.box_image_px[axis], "neither is clearly before the other"
    return "no"


def test_every_question_has_exactly_one_answer_and_the_gold_is_it(benchmark_rows):
    for row in benchmark_rows:
        assert answer_from_the_scene(row) in row.answers, row


def test_the_larger_thing_also_covers_clearly_more_pixels():
    for row in [row for row in examples("full", "benchmark", 300) if row.kind == "comparison"]:
        things = [thing for thing in row.scene.things if thing.box_image_px in row.boxes_image_px]
        (large, name), (small, _) = sorted(((int(drawn_pixels(row, t).sum()), t.name) for t in things), reverse=True)
        assert name == row.answers[0]
        assert large >= 1.3 * small


def test_a_caption_names_every_thing(benchmark_rows):
    for row in benchmark_rows[:200]:
        assert all(thing.name in row.caption for thing in row.scene.things)


def test_a_file_is_the_same_bytes_twice_and_reads_back(tmp_path):
    for name in ("one", "two"):
        write_parquet(tmp_path / f"{name}.parquet", split="benchmark", n=120, seed=4, profile="tiny")

    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    rows = pq.read_table(tmp_path / "one.parquet").to_pylist()
    assert len(rows) == 120
    example = generate("tiny", "benchmark", 101, seed=4)
    assert rows[101] == {**example.cells(), "image": {"bytes": example.png(), "path": f"{example.id}.png"}}


def test_the_file_opens_as_a_dataset_with_decoded_images(tmp_path):
    import datasets

    write_parquet(tmp_path / "s.parquet", split="train", n=3, profile="full")
    data = datasets.load_dataset(
        "parquet", data_files={"test": str(tmp_path / "s.parquet")}, split="test", cache_dir=str(tmp_path / "cache")
    )

    assert data[0]["image"].size == (data[0]["width"], data[0]["height"])


@pytest.mark.parametrize(
    "arguments",
    [("huge", "train", 0, 0), ("tiny", "test", 0, 0), ("tiny", "train", -1, 0), ("tiny", "train", 0, -1)],
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="no such row"):
        generate(*arguments)


def test_a_file_of_no_rows_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        write_parquet(tmp_path / "none.parquet", split="train", n=0)


def test_a_row_with_its_picture_takes_a_few_milliseconds_at_most():
    rows = range(300)
    started = time.process_time()
    for index in rows:
        generate("full", "benchmark", index).png()

    assert (time.process_time() - started) / len(rows) < 0.1
