"""A model that asks to see a region closer: what it is shown, told and scored for, whatever it writes."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from harness.errors import ConfigError, UserError
from harness.images.crops import LEAST_CELLS, cut_out, is_too_thin, size_shown, widened
from harness.models.base import TURN_APART, Prompt, Turn
from harness.models.decoding import Decoding
from harness.models.replay import SatoriReplay
from harness.models.zoom import Zoom, picture_sha256
from harness.models.zoom_words import ERRORS, MOST_CALLS, frame_fault, zoom_facts
from harness.runs.record_codec import record_from_line, record_line
from harness.scoring.box_dialects import dialect_named
from harness.scoring.formats import MARKED, format_dialect
from harness.scoring.own_format import format_of_definition
from harness.scoring.score import score_generation
from harness.values import Generation, PixelLimits, Record, Sample, ScoreConfig, Size

CASES = json.loads((Path(__file__).parents[1] / "cases" / "zoom_calls.json").read_text(encoding="utf-8"))
SIZE = Size(400, 200)
LIMITS = PixelLimits(784, 100_352)
THOUSANDTHS = dialect_named("list:xyxy:1000")
GOLD = ((100.0, 50.0, 200.0, 150.0),)
SAMPLE = Sample("1", "satori", "accepted", answers=("red",), boxes_image_px=GOLD, image_size=SIZE)


def spotted() -> Image.Image:
    """A picture in which every pixel tells where it is."""
    columns, rows = np.meshgrid(np.arange(SIZE.width), np.arange(SIZE.height))
    return Image.fromarray(np.stack([columns // 2, rows, columns % 2 * 255], axis=-1).astype(np.uint8))


PICTURE = spotted()
FORMS = ("deepeyes", "mini-o3", "pixel-reasoner", "chain-of-focus", "ground-r1", "qwen-zoom")


def dialect_of(form: str):
    if form == "qwen-zoom":
        return THOUSANDTHS
    return replace(format_dialect(form) or dialect_named("list:xyxy:input_px"))


def zoom(form: str, *, limits=LIMITS, most_turns: int = 6) -> Zoom:
    return Zoom(form, dialect_of(form), limits, suffix=MARKED[form].suffix, most_turns=most_turns)


def asked(*pictures: Image.Image) -> Prompt:
    shown = pictures or (PICTURE,)
    return Prompt("task", 3, 0, (Turn("user", (*shown, "What colour?")),), Decoding(), originals=shown)


def said(text: str, **costs) -> Generation:
    # the model sees the picture as it is: a pixel of the input is one of the image
    return Generation(text, input_size=SIZE, output_tokens=5, device_s=1.0, **costs)


def conversation(form: str, *texts: str, tool: Zoom | None = None) -> tuple[Generation, list[Prompt]]:
    """Play what a model says; return what is recorded and the prompts that it was given."""
    tool, prompts = tool or zoom(form), [asked()]
    for text in texts:
        following = tool(prompts[-1], said(text))
        if isinstance(following, Generation):
            return following, prompts
        prompts.append(following)
    raise AssertionError("the tool asks on")


def answer(form: str) -> str:
    return "\\boxed{red}" if form == "pixel-reasoner" else "<think>b</think><answer>red</answer>"


def earned(form: str, generation: Generation):
    return score_generation(SAMPLE, generation, ScoreConfig(format=form, box_dialect=dialect_of(form)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['format']}: {case['about']}")
def test_a_call_is_shown_its_region_or_told_the_error_by_name(case):
    form = case["format"]

    whole, prompts = conversation(form, case["turn"], answer(form))

    shown = [crop for crop in whole.crops if crop.error is None]
    assert case["shown"] == [pytest.approx(list(crop.box_image_px)) for crop in shown]
    assert case["errors"] == [crop.error for crop in whole.crops if crop.error]
    reply = prompts[1].turns[-1]
    assert [picture_sha256(image) for image in reply.images] == [crop.sha256 for crop in shown]
    assert all(ERRORS[error] in "".join(map(str, reply.parts)) for error in case["errors"])
    assert earned(form, whole).value == 1.0, "an error costs a turn, not the answer"


@pytest.mark.parametrize("case", [case for case in CASES if case["shown"]], ids=lambda case: case["about"])
def test_what_is_shown_is_what_the_transcript_is_scored_for(case):
    form = case["format"]
    whole, _ = conversation(form, case["turn"], answer(form))

    steps = [step for step in earned(form, whole).steps if step.is_valid]

    for step, box in zip(steps, case["shown"], strict=False):
        x1s, y1s, x2s, y2s = zip(*step.boxes_image_px, strict=True)
        around = (min(x1s), min(y1s), max(x2s), max(y2s))
        assert pytest.approx(box) == (around if MARKED[form].source_key else widened(around, SIZE))


def test_a_crop_holds_the_pixels_of_its_region():
    whole, prompts = conversation("deepeyes", call(100, 50, 200, 150), answer("deepeyes"))

    cut = prompts[1].turns[-1].images[0]
    wanted = PICTURE.crop((100, 50, 200, 150)).resize(cut.size, Image.Resampling.BICUBIC)
    inner = np.abs(np.asarray(cut, dtype=int) - np.asarray(wanted, dtype=int))[8:-8, 8:-8]  # edges see a pixel further
    assert inner.max() <= 2
    assert whole.crops[0].shown_size == Size(*cut.size)
    assert cut.width * cut.height >= min(LEAST_CELLS * LIMITS.factor**2, LIMITS.max_pixels) * 0.8


def test_a_crop_comes_from_the_benchmarks_picture_not_from_what_the_model_was_shown():
    small = PICTURE.resize((56, 28))
    prompt = replace(asked(), turns=(Turn("user", (small, "What colour?")),))

    following = zoom("mini-o3")(prompt, said('<grounding>{"bbox_2d": [0.25, 0.25, 0.5, 0.75]}</grounding>'))

    assert picture_sha256(following.images[1]) == picture_sha256(cut_out(PICTURE, (100, 50, 200, 150), LIMITS))


def test_crops_of_crops_are_followed_to_the_image_and_called_by_their_numbers():
    def look(box, source):
        return f"<think>a</think><grounding>{json.dumps({'bbox_2d': box, 'source': source})}</grounding>"

    whole, prompts = conversation(
        "mini-o3",
        look([0.5, 0, 1, 1], "original_image"),
        look([9, 9, 10, 10], "original_image"),
        look([0, 0.5, 0.5, 1], "observation_1"),
        look([0.5, 0.5, 1, 1], "observation_2"),
        answer("mini-o3"),
    )

    assert [crop.box_image_px for crop in whole.crops] == [
        (200, 0, 400, 200),
        None,
        (200, 100, 300, 200),
        (250, 150, 300, 200),
    ]
    assert [(crop.turn, crop.source) for crop in whole.crops] == [(1, 0), (2, 0), (3, 1), (4, 2)]
    told = ["".join(map(str, prompt.turns[-1].parts)) for prompt in prompts[1:]]
    named = ("(Observation 1)", "Error: ", "(Observation 2)", "(Observation 3)")
    assert [name in words for name, words in zip(named, told, strict=True)] == [True] * 4
    scored = earned("mini-o3", whole)
    assert scored.boxes_image_px == ((250, 150, 300, 200),), "the last crop is the place"
    assert [step.change for step in scored.steps] == [None, None, "narrows", "narrows"]


def call(*box: float) -> str:
    arguments = {"bbox_2d": list(box), "label": "a"}
    return (
        f"<think>a</think><tool_call>{json.dumps({'name': 'image_zoom_in_tool', 'arguments': arguments})}</tool_call>"
    )


def test_a_conversation_is_recorded_as_a_whole():
    whole, prompts = conversation("deepeyes", call(50, 50, 150, 150), call(100, 50, 200, 150), answer("deepeyes"))

    reply = f"<|im_end|>\n<|im_start|>user\n<tool_response><image></tool_response>\n{MARKED['deepeyes'].suffix}"
    assert whole.text == (
        f"{call(50, 50, 150, 150)}{reply}<|im_end|>\n<|im_start|>assistant\n"
        f"{call(100, 50, 200, 150)}{reply}<|im_end|>\n<|im_start|>assistant\n{answer('deepeyes')}"
    )
    assert (whole.output_tokens, whole.device_s, whole.input_size, whole.truncated) == (15, 3.0, SIZE, False)
    assert "".join(crop.text for crop in whole.crops) == call(50, 50, 150, 150) + call(100, 50, 200, 150)
    assert [turn.role for turn in prompts[-1].turns] == ["user", "assistant", "user", "assistant", "user"]
    assert [prompt.repeat for prompt in prompts] == [0, TURN_APART, 2 * TURN_APART], "each turn is drawn anew"
    scored = earned("deepeyes", whole)
    assert (scored.value, scored.iou, scored.components.format) == (1.0, 1.0, 1.0)
    assert [step.iou for step in scored.steps] == [pytest.approx(1 / 3), 1.0]


def test_an_answer_without_a_call_is_recorded_as_it_is():
    first = said(answer("deepeyes"))

    assert zoom("deepeyes")(asked(), first) == first


@pytest.mark.parametrize(
    ("texts", "most_turns", "truncated"),
    [
        ((call(0, 0, 100, 100),) * 4, 3, False),
        ((call(0, 0, 100, 100), call(0, 0, 50, 50) + answer("deepeyes")), 6, False),
        ((call(0, 0, 100, 100), call(0, 0, 50, 50)), 6, True),
    ],
    ids=["turns", "answer beside it", "tokens"],
)
def test_a_call_that_nobody_replies_to_is_kept_as_ended(texts, most_turns, truncated):
    tool, prompt = zoom("deepeyes", most_turns=most_turns), asked()
    *before, last = texts
    for text in before:
        prompt = tool(prompt, said(text))

    whole = tool(prompt, said(last, truncated=truncated))

    assert [crop.error for crop in whole.crops] == [None] * len(before) + ["ended"]
    assert whole.truncated is truncated
    assert ("missing" in earned("deepeyes", whole).faults) is not last.endswith("</answer>")


def test_a_turn_that_failed_leaves_no_text_and_keeps_what_was_shown():
    tool = zoom("deepeyes")
    prompt = tool(asked(), said(call(0, 0, 100, 100)))

    whole = tool(prompt, Generation("", error="the server is gone"))

    assert (whole.text, whole.error, len(whole.crops)) == ("", "the server is gone", 1)
    assert earned("deepeyes", whole).faults == ("error",)


@pytest.mark.parametrize("pictures", [(), (PICTURE, PICTURE)])
def test_a_box_does_not_say_which_of_several_pictures_it_lies_in(pictures):
    prompt = replace(asked(*pictures), originals=pictures)

    following = zoom("deepeyes")(prompt, said(call(0, 0, 100, 100)))

    assert [crop.error for crop in following.said[0].crops] == ["no_source"]
    assert following.images == prompt.images


def test_a_picture_that_cannot_be_opened_again_is_no_answer():
    class Gone:
        def open(self):
            raise OSError("no such file")

    whole = zoom("deepeyes")(replace(asked(), originals=(Gone(),)), said(call(0, 0, 100, 100)))

    assert "no such file" in whole.error


@pytest.mark.parametrize("dialect", ["list:yxyx:1000", "list:xyxy:1000", "list:xyxy:input_px", "list:xyxy:image_px"])
def test_a_region_is_read_in_the_runs_dialect(dialect):
    # in numbers of the whole side; the model sees the picture at half its size
    written = {"1000": [100, 250, 500, 750], "input_px": [20, 25, 100, 75], "image_px": [40, 50, 200, 150]}
    x1, y1, x2, y2 = written[dialect.split(":")[2]]
    box = (y1, x1, y2, x2) if "yxyx" in dialect else (x1, y1, x2, y2)
    tool = Zoom("qwen-zoom", dialect_named(dialect), LIMITS, suffix="")

    following = tool(asked(), replace(said(call(*box)), input_size=Size(200, 100)))

    assert following.said[0].crops[0].box_image_px == (40, 50, 200, 150)


def test_pixels_of_a_crop_whose_size_a_rescore_would_not_know_are_refused():
    tool = Zoom("qwen-zoom", dialect_named("list:xyxy:input_px"), LIMITS, suffix="")
    prompt = tool(asked(), said(call(0, 0, 100, 100)))

    inner = call(0, 0, 50, 50).replace('"label": "a"', '"img_idx": 1')
    following = tool(prompt, said(inner))

    assert [crop.error for crop in following.said[1].crops] == ["frame_unknown"]


WEAR = [
    "<tool_call>",
    '{"bbox_2d":[',
    '<tool_call>{"bbox_2d":[0,0,9,9]}</tool_call>',
    "<think>",
    "<box>[1,2,3,4]</box>",
    "<|im_start|>assistant<think></think>",
    "<!--",
]


@pytest.mark.parametrize("form", FORMS)
def test_a_turn_of_anything_is_read_in_time(form):
    for wear in WEAR:
        started = time.perf_counter()
        zoom(form)(asked(), said(wear * (200_000 // len(wear))))
        assert time.perf_counter() - started < 8, wear


FRAGMENTS = [
    *(
        "<think>",
        "</think>",
        "<tool_call>",
        "</tool_call>",
        "<grounding>",
        "</grounding>",
        "<box>",
        "</box>",
        "<answer>",
    ),
    *(
        "</answer>",
        '{"bbox_2d": [10, 20, 110, 140]',
        '"img_idx": 1}',
        '"source": "observation_1"}',
        "[0.1,0.2,0.5,0.6]",
    ),
    *(
        "<tool_response>",
        "</tool_response>",
        "<|im_start|>user",
        "<|im_start|>assistant",
        "<!--",
        "-->",
        "\\boxed{",
        "}",
    ),
    *('"target_image": 2}', "red", "\ud83d", "<|image_pad|>", "nan"),
]


@pytest.mark.parametrize("form", FORMS)
@given(turns=st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=8).map("".join), min_size=1, max_size=3))
@settings(max_examples=60, deadline=None)
def test_whatever_a_model_writes_is_recorded_and_scored(form, turns):
    tool, prompt = zoom(form, most_turns=2), asked()
    whole = None
    for text in [*turns, answer(form)]:
        following = tool(prompt, said(text))
        if isinstance(following, Generation):
            whole = following
            break
        prompt = following

    whole = whole or tool(prompt, said(answer(form)))
    record = Record(SAMPLE, whole, earned(form, whole))
    assert record_from_line(record_line(record)[:-1], "samples.jsonl", 1).generation.crops == whole.crops


@given(
    left=st.floats(0, 399), top=st.floats(0, 199), width=st.floats(1e-6, 400), height=st.floats(1e-6, 200),
    most=st.integers(2, 400),
)  # fmt: skip
def test_a_region_is_shown_on_the_grid_and_within_the_limits(left, top, width, height, most):
    limits = PixelLimits(784, most * 784)
    region = widened((left, top, min(400.0, left + width), min(200.0, top + height)), SIZE)

    assert 0 <= region[0] < region[2] <= 400
    assert 0 <= region[1] < region[3] <= 200
    assert not is_too_thin(region)
    shown = size_shown(region, limits)
    assert shown.width % 28 == shown.height % 28 == 0
    assert cut_out(PICTURE, region, limits).size == (shown.width, shown.height)


def test_a_model_without_a_grid_of_ours_gets_a_region_in_its_own_size():
    assert size_shown((0, 0, 100.4, 50), None) == Size(100, 50)


@pytest.mark.parametrize("form", ["satori", "plain", "freeform", "treevgr", "grit", "qwen-json", "refchartqa"])
def test_a_format_without_calls_has_no_zoom(form):
    with pytest.raises(ConfigError, match=r"--tool zoom needs a format.*qwen-zoom"):
        Zoom(form, THOUSANDTHS, LIMITS, suffix="")


def test_a_format_of_ones_own_has_the_zoom():
    form = format_of_definition(
        {"name": "mine", "boxes": [["<<", ">>"]], "boxes_in": "calls", "answer": [["FINAL:", ""]], "counted": "last"}
    )
    tool = Zoom(form, THOUSANDTHS, LIMITS, suffix="Go on.")

    following = tool(asked(), said("look <<[250, 250, 500, 750]>>"))
    whole = tool(following, said("FINAL: red"))

    assert following.turns[-1].parts[-1] == "</tool_response>\nGo on."
    earned_ = score_generation(SAMPLE, whole, ScoreConfig(format=form, box_dialect=THOUSANDTHS))
    assert (earned_.value, earned_.iou) == (1.0, 1.0)


def test_a_frame_that_is_not_known_is_said_before_anything_is_asked():
    pixels = dialect_named("list:xyxy:input_px")

    assert "--box-dialect" in frame_fault(None, LIMITS, served=False)
    assert "--min-pixels" in frame_fault(pixels, None, served=True)
    assert frame_fault(pixels, LIMITS, served=True) is frame_fault(pixels, None, served=False) is None


def test_other_words_or_bounds_are_another_tool():
    facts = [zoom_facts(form, turns) for form, turns in [("deepeyes", 6), ("deepeyes", 3), ("mini-o3", 6)]]

    assert len({json.dumps(fact) for fact in facts}) == 3
    assert zoom_facts("deepeyes", 6) == facts[0]


def test_more_than_so_many_calls_are_not_shown():
    whole, prompts = conversation("deepeyes", call(0, 0, 100, 100) * (MOST_CALLS + 3), answer("deepeyes"))

    assert len(prompts[1].turns[-1].images) == MOST_CALLS
    assert len(whole.crops) == MOST_CALLS + 3


# --- through the backends -----------------------------------------------------------------------------------------


class Scripted(SatoriReplay):
    """Says what its script has for the turn, and remembers what it was shown."""

    def __init__(self, *script: str, **options) -> None:
        super().__init__(lambda *_: "", pixel_limits=LIMITS, **options)
        self.script, self.shown = script, []

    def generate_batch(self, prompts):
        self.shown += [tuple(image.size for image in prompt.images) for prompt in prompts]
        texts = [self.script[len(prompt.said)] for prompt in prompts]
        found = super().generate_batch(prompts)
        return [replace(one, text=text) for one, text in zip(found, texts, strict=True)]


def test_the_loop_lies_above_the_backend(three, recorder):
    model = Scripted(
        '<grounding>{"bbox_2d": [0, 0, 0.5, 0.5]}</grounding>',
        '<grounding>{"bbox_2d": [0, 0, 0.5, 0.5], "source": "observation_1"}</grounding>',
        "<think>b</think><answer>red</answer>",
        batch_size=2,
    )
    model.recorder, model.tool = recorder, zoom("mini-o3")

    results = three.ask(model)

    assert len(model.shown) == 9
    assert sorted(map(len, model.shown)) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [result.text.count("<image>") for result in results] == [2, 2, 2]
    kept = recorder.kept[three.task, 0]
    assert [crop.box_image_px for crop in kept.crops] == [(0, 0, 28, 28), (0, 0, 14, 14)]
    assert kept.prompt.count("<image>") == 3, "the prompt is that of the last turn"


def test_without_a_tool_nothing_is_asked_on(three, recorder):
    model = Scripted('<grounding>{"bbox_2d": [0, 0, 0.5, 0.5]}</grounding>')
    model.recorder = recorder

    three.ask(model)

    assert len(model.shown) == 3
    assert all(not kept.crops for kept in recorder.kept.values())


def test_a_transformers_model_is_shown_the_crop(tiny_qwen2_5_vl, three, recorder):
    from harness.models.hf import SatoriHF

    model = SatoriHF(str(tiny_qwen2_5_vl), device="cpu", batch_size=3, min_pixels=784, max_pixels=50_176)
    script = ['<grounding>{"bbox_2d": [0, 0, 0.5, 0.5]}</grounding>', "<think>b</think><answer>red</answer>"]
    tool, prompts = Zoom("mini-o3", dialect_of("mini-o3"), model.pixel_limits, suffix=""), []

    def scripted(prompt, generation):  # the model really answers; what it says is another matter
        prompts.append(prompt)
        return tool(prompt, replace(generation, text=script[len(prompt.said)], truncated=False))

    model.recorder, model.tool = recorder, scripted
    three.ask(model, max_new_tokens=4)

    assert sorted(len(prompt.images) for prompt in prompts) == [1, 1, 1, 2, 2, 2]
    kept = [recorder.kept[three.task, n] for n in range(3)]
    assert [len(one.crops) for one in kept] == [1, 1, 1]
    assert script[0] in kept[0].prompt, "its own words come back as they were"
    assert kept[0].prompt.count("<|image_pad|>") == 2


WRITTEN = (
    '\n<tool_call>\n{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [250, 250, 500, 750], "img_idx": 0}}\n'
    "</tool_call>"
)
NATIVE = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {
            "id": "1",
            "type": "function",
            "function": {"name": "image_zoom_in_tool", "arguments": '{"bbox_2d": [250, 250, 500, 750], "img_idx": 0}'},
        }
    ],
}


@pytest.mark.parametrize("native", [True, False], ids=["calls apart", "calls in the text"])
def test_a_served_model_is_shown_the_crop(served, reaction, three, recorder, native):
    from harness.models.served import SatoriServed

    first = NATIVE if native else {"role": "assistant", "content": WRITTEN}
    last = {"role": "assistant", "content": "<answer>red</answer>"}

    def react(body, _place):
        turns = [message["role"] for message in body["messages"]].count("user")
        choice = {"index": 0, "message": first if turns == 1 else last}
        choice["finish_reason"] = "tool_calls" if native and turns == 1 else "stop"
        usage = {"prompt_tokens": 70 * turns, "completion_tokens": 21}
        return reaction({"model": body["model"], "choices": [choice], "usage": usage})

    served.react = react
    model = SatoriServed("tiny", served.url, min_pixels=784, max_pixels=50_176, takes_calls=True)
    model.recorder, model.tool = recorder, Zoom("qwen-zoom", THOUSANDTHS, model.pixel_limits, suffix="Go on.")

    three.ask(model, max_new_tokens=64)

    kept = recorder.kept[three.task, 1]
    assert (kept.error, kept.input_tokens, kept.output_tokens) == (None, 140, 42)
    assert [crop.box_image_px for crop in kept.crops] == [(160, 120, 320, 360)]
    assert kept.text == (
        f"{WRITTEN}<|im_end|>\n<|im_start|>user\n<tool_response><image></tool_response>\nGo on.<|im_end|>\n"
        "<|im_start|>assistant\n<answer>red</answer>"
    )
    asked_on = [body["messages"] for body in served.seen if len(body["messages"]) == 4]
    assert len(asked_on) == 3
    assert {messages[2]["content"] for messages in asked_on} == {WRITTEN}, "what it said comes back as text"
    assert all(
        [part["type"] for part in messages[3]["content"]] == ["text", "image_url", "text"] for messages in asked_on
    )


def test_a_call_apart_is_no_answer_where_no_tool_was_offered(served, three, recorder):
    from harness.models.served import SatoriServed

    served.message, served.finish = NATIVE, "tool_calls"
    model = SatoriServed("tiny", served.url, min_pixels=784, max_pixels=50_176)
    model.recorder = recorder

    with pytest.raises(UserError, match="a tool that nobody offered"):
        three.ask(model, max_new_tokens=64)

    assert all("a tool that nobody offered" in kept.error for kept in recorder.kept.values())
