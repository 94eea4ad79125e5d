import hashlib
from collections import Counter

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from harness.images.grid import grid_size
from harness.scoring.box_dialects import dialect_named
from harness.scoring.score import score
from harness.scoring.stages import parse
from harness.values import BOX_FRAMES, SATORI_LIST, PixelLimits, ScoreConfig, Size
from training.data.example import Example
from training.data.shapes import LabelNoise, shapes_examples
from training.data.source_rows import RowPlace, read_row
from training.data.targets import boxes_text, missing_gold, target_text

LIMITS = PixelLimits(56 * 56, 512 * 28 * 28)
GROUNDED = ("satori", "satori-think")


def example(**changes) -> Example:
    values = {
        "id": "one",
        "question": "what color is the circle?",
        "answers": ("red", "crimson"),
        "image": b"",
        "image_size": Size(200, 100),
        "image_sha256": hashlib.sha256(b"").hexdigest(),
        "caption": "a red circle.",
        "boxes_image_px": ((10.0, 20.0, 50.0, 60.0), (100.0, 0.0, 200.0, 100.0)),
    }
    return Example(**(values | changes))


@pytest.mark.parametrize(
    ("frame", "boxes"),
    [
        ("image_px", "[[10,20,50,60],[100,0,200,100]]"),
        ("norm_1000", "[[50,200,250,600],[500,0,1000,1000]]"),
        ("norm_1", "[[0.050,0.200,0.250,0.600],[0.500,0.000,1.000,1.000]]"),
        ("input_px", "[[20,40,100,120],[200,0,400,200]]"),
    ],
)
def test_boxes_are_written_in_the_model_s_frame(frame, boxes):
    text = target_text(example(), "satori", dialect_named(frame), Size(400, 200))

    assert text == f"<caption>a red circle.</caption><bbox>{boxes}</bbox><answer>red</answer>"


def test_each_format_joins_its_stages_in_its_own_way():
    one = example(boxes_image_px=((10.0, 20.0, 50.0, 60.0),))

    assert target_text(one, "satori-think", SATORI_LIST) == (
        "<caption>a red circle.</caption>\n<bbox>[[10,20,50,60]]</bbox>\n"
        "<thinking>the marked region shows that the answer is red</thinking>\n<answer>red</answer>"
    )
    assert target_text(one, "freeform", SATORI_LIST) == "<think>a red circle.</think><answer>red</answer>"
    assert target_text(one, "plain", SATORI_LIST) == "red"


def test_the_adaptive_format_is_taught_in_four_shapes_each_by_a_quarter_whatever_is_asked():
    rows = [example(id=f"shapes-{number}", question=f"{number % 3}") for number in range(2_400)]
    texts = [target_text(row, "satori-adaptive", SATORI_LIST) for row in rows]
    earned = [
        score(row.sample(), text, ScoreConfig(format="satori-adaptive")) for row, text in zip(rows, texts, strict=True)
    ]
    shapes = Counter((row.question, one.kept.caption, one.kept.bbox) for row, one in zip(rows, earned, strict=True))

    assert all(one.components.format == one.value == 1.0 for one in earned)
    assert len(shapes) == 12
    assert all(150 <= found <= 250 for found in shapes.values())  # 200 expected; 3.7 standard deviations
    assert texts == [target_text(row, "satori-adaptive", SATORI_LIST) for row in rows]


def test_the_adaptive_format_leaves_out_what_an_example_has_no_gold_for():
    bare = [example(id=str(number), caption=None, boxes_image_px=()) for number in range(20)]

    assert {target_text(row, "satori-adaptive", SATORI_LIST) for row in bare} == {"<answer>red</answer>"}
    assert missing_gold(bare[0], "satori-adaptive") == ()


def test_several_regions_are_thought_of_together():
    assert "the 2 marked regions show that" in target_text(example(), "satori-think", SATORI_LIST)


@pytest.mark.parametrize(
    ("box", "written"),
    [
        ((10.4, 20.5, 50.6, 60.49), "[[10,21,51,60]]"),
        ((10.1, 20.1, 10.4, 20.2), "[[10,20,11,21]]"),
        ((9.6, 0.0, 10.4, 5.0), "[[9,0,11,5]]"),
        ((199.7, 99.8, 200.0, 100.0), "[[199,99,200,100]]"),
        ((0.0, 0.0, 0.2, 0.2), "[[0,0,1,1]]"),
        ((0.0, 0.0, 5e-324, 5e-324), "[[0,0,1,1]]"),
        ((0.0, 7.0, 0.0, 7.0), "[[0,6,1,7]]"),
    ],
)
def test_rounding_never_empties_a_box(box, written):
    assert boxes_text([box], SATORI_LIST) == written


def test_fractions_keep_three_decimals_and_an_area():
    assert boxes_text([(0.12345, 0.5, 0.12349, 1.0)], dialect_named("norm_1")) == "[[0.123,0.500,0.124,1.000]]"


def test_gold_that_sticks_out_is_cut_before_it_is_taught():
    out = example(boxes_image_px=((-5.0, -5.0, 50.0, 60.0), (150.0, 50.0, 300.0, 300.0)))

    assert "[[0,0,50,60],[150,50,200,100]]" in target_text(out, "satori", SATORI_LIST)


@pytest.mark.parametrize("frame", BOX_FRAMES)
@pytest.mark.parametrize("left", [59.99994, 59.99999999999999])
def test_a_sliver_at_the_edge_stays_inside_the_frame(frame, left):
    sliver = example(image_size=Size(60, 60), boxes_image_px=((left, left, 60.0, 60.0),))
    seen = grid_size(sliver.image_size, LIMITS)

    text = target_text(sliver, "satori", dialect_named(frame), seen)

    earned = score(sliver.sample(), text, ScoreConfig("strict", "satori", dialect_named(frame)), input_size=seen)
    assert (earned.components.format, earned.match.predicted) == (1.0, 1)
    assert inside_frame(parse(text, "satori", "last").boxes_written[0], frame, sliver.image_size, seen)


def test_missing_gold_is_said_before_and_refused_after():
    bare = example(caption=None, boxes_image_px=None)

    assert missing_gold(example(), "satori") == ()
    assert missing_gold(bare, "satori-think") == ("caption", "boxes")
    assert missing_gold(bare, "freeform") == ("caption",)
    assert missing_gold(bare, "plain") == ()
    assert missing_gold(example(boxes_image_px=()), "satori") == ("boxes",)
    with pytest.raises(ValueError, match="'one' has no caption and no boxes"):
        target_text(bare, "satori", SATORI_LIST)
    with pytest.raises(ValueError, match="size of the image as the model sees it"):
        target_text(example(), "satori", dialect_named("input_px"))
    with pytest.raises(ValueError, match="no gold box inside"):
        target_text(example(boxes_image_px=((300.0, 0.0, 400.0, 50.0),)), "satori", SATORI_LIST)


@pytest.mark.parametrize(
    "words",
    ["gemma4", "qwen2_vl", "minicpmv", "florence2", "muse_spark", "paligemma", "kosmos-2.5", "kimi_vl", "llava",
     "satori:yxyx:1000", "satori:xywh:image_px", "list:xyxy:999"],
)  # fmt: skip
def test_a_target_in_a_dialect_is_read_in_it(words):
    dialect = dialect_named(words)
    text = target_text(example(), "satori", dialect, Size(420, 224))
    earned = score(example().sample(), text, ScoreConfig("strict", "satori", dialect), input_size=Size(420, 224))

    assert earned.iou >= 0.95
    assert earned.match.predicted == len(example().boxes_image_px)
    assert earned.components.format == float(dialect.syntax == "satori")


def test_patch_indices_are_not_taught():
    with pytest.raises(ValueError, match="are not taught"):
        target_text(example(), "satori", dialect_named("kosmos-2"))


@pytest.mark.parametrize("profile", ["tiny", "full"])
@pytest.mark.parametrize("form", GROUNDED)
@pytest.mark.parametrize("noise", [None, LabelNoise()])
def test_targets_of_shapes_earn_full_marks_in_every_frame(profile, form, noise):
    for row in shapes_examples(profile, 24, 7, noise=noise):
        seen = grid_size(row.image_size, LIMITS)
        for frame in BOX_FRAMES:
            text = target_text(row, form, dialect_named(frame), seen)
            earned = score(row.sample(), text, ScoreConfig("strict", form, dialect_named(frame)), input_size=seen)
            parts = earned.components
            assert (parts.format, parts.caption, parts.answer, earned.faults) == (1.0, 1.0, 1.0, ())
            assert parts.bbox == 1.0 or parts.bbox >= 0.9
            assert parts.bbox == 1.0 or frame != "image_px"


@st.composite
def examples(draw, least_share: float = 0.04):
    """Examples as the loader lets them through, with boxes of at least a share of each side."""
    width, height = draw(st.integers(60, 3000)), draw(st.integers(60, 3000))
    fractions = st.floats(0, 1 - least_share)
    boxes = []
    for _ in range(draw(st.integers(1, 4))):
        x1, y1 = draw(fractions), draw(fractions)
        x2, y2 = draw(st.floats(x1 + least_share, 1)), draw(st.floats(y1 + least_share, 1))
        boxes.append([x1 * width, y1 * height, x2 * width, y2 * height])
    text = st.text(max_size=30)
    cells = {"question": "q", "image": "x", "answers": [draw(text)], "caption": draw(text), "boxes": boxes}
    loaded = read_row(cells, RowPlace("f", 1, "jsonl"), OneImage(Size(width, height)))
    assume(loaded.example is not None and not missing_gold(loaded.example, "satori"))
    return loaded.example


class OneImage:
    """Stands for a file of this size, so that no picture needs to be drawn."""

    def __init__(self, size: Size) -> None:
        self.size = size

    def bytes_of(self, value: object) -> bytes:
        return repr(value).encode()

    def size_of(self, data: bytes) -> Size:
        return self.size


@settings(max_examples=150)
@given(examples(), st.sampled_from(BOX_FRAMES), st.sampled_from(GROUNDED))
def test_what_the_loader_lets_through_earns_full_marks(row, frame, form):
    seen = grid_size(row.image_size, LIMITS)

    text = target_text(row, form, dialect_named(frame), seen)

    parsed = parse(text, form, "last")
    earned = score(row.sample(), text, ScoreConfig("strict", form, dialect_named(frame)), input_size=seen)
    assert len(parsed.boxes_written) == len(row.boxes_image_px)
    assert (parsed.format_ok, parsed.faults) == (True, ())
    assert (earned.components.format, earned.components.caption, earned.components.answer) == (1.0, 1.0, 1.0)
    assert earned.components.bbox >= least_overlap(row, frame, seen)


def least_overlap(row, frame, seen) -> float:
    """What rounding leaves: each edge moves by at most half a unit of the frame."""
    units = {
        "image_px": (1.0, 1.0),
        "input_px": (row.image_size.width / seen.width, row.image_size.height / seen.height),
        "norm_1000": (row.image_size.width / 1000, row.image_size.height / 1000),
        "norm_1": (row.image_size.width / 1000, row.image_size.height / 1000),
    }
    unit_x, unit_y = units[frame]
    shares = [
        (1 - unit_x / (x2 - x1)) * (1 - unit_y / (y2 - y1)) / ((1 + unit_x / (x2 - x1)) * (1 + unit_y / (y2 - y1)))
        for x1, y1, x2, y2 in row.boxes_image_px
    ]
    return max(0.0, min(shares))


def inside_frame(box, frame, image_size, seen) -> bool:
    sizes = {"image_px": image_size, "input_px": seen, "norm_1000": Size(1000, 1000), "norm_1": Size(1, 1)}
    x1, y1, x2, y2 = box
    return 0 <= x1 < x2 <= sizes[frame].width and 0 <= y1 < y2 <= sizes[frame].height


@settings(max_examples=150)
@given(examples(least_share=1e-6), st.sampled_from(BOX_FRAMES))
def test_a_box_of_any_size_is_taught_and_overlaps(row, frame):
    seen = grid_size(row.image_size, LIMITS)

    text = target_text(row, "satori", dialect_named(frame), seen)

    earned = score(row.sample(), text, ScoreConfig("strict", "satori", dialect_named(frame)), input_size=seen)
    assert earned.components.format == 1.0
    assert earned.components.bbox > 0
    assert earned.match.predicted == earned.match.gold
    assert all(inside_frame(box, frame, row.image_size, seen) for box in parse(text, "satori", "last").boxes_written)


@given(examples(), st.sampled_from(["freeform", "plain"]))
@settings(max_examples=50)
def test_targets_without_boxes_keep_their_format_and_are_right(row, form):
    earned = score(row.sample(), target_text(row, form, SATORI_LIST), ScoreConfig("strict", form))

    assert earned.value == 1.0
    assert earned.components.format in {None, 1.0}
