"""A run whose model asks to see regions closer: what is stored, scored, compared and shown of it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from PIL import Image

from harness.comparison.comparability import input_differences
from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.sample_texts import read_answers
from harness.comparison.verify_run import verify_run
from harness.errors import ConfigError
from harness.evaluation.rescore import rescore_run
from harness.models.replay import SatoriReplay
from harness.models.zoom_words import DEFAULT_TURNS
from harness.runs.manifest import TOOL, tool_of
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_named
from harness.values import PixelLimits
from reports.pages.comparison_page import write_comparison_page
from reports.pages.explorer_texts import text_of
from reports.pages.run_page import renew_page
from tasks.run import retry_run, run_benchmarks
from tasks.run_spec import RunEnvironment, RunSpec

COLOURS = ("red", "green", "blue", "white")
ROWS = 12
SIDE = 48
LIMITS = PixelLimits(784, 50_176)


def place_of(row: int) -> tuple[int, int, int, int]:
    """Where the square of a row lies, in pixels of its picture of 640 x 480."""
    left, top = 40 * row, 30 * row
    return left, top, left + SIDE, top + SIDE


class Silent:
    """Listens to nothing."""

    def task_started(self, task, rows, answered):
        pass

    def sample_recorded(self, record):
        pass

    def task_finished(self, task):
        pass


class Looking(SatoriReplay):
    """Asks for the place that it is told of; what it then sees in the middle of the crop is its answer."""

    def __init__(self, look=True):
        super().__init__(lambda *_: "", batch_size=5, pixel_limits=LIMITS)
        self.look = look

    def generate_batch(self, prompts):
        found = super().generate_batch(prompts)
        return [replace(one, text=self.say(prompt)) for one, prompt in zip(found, prompts, strict=True)]

    def say(self, prompt) -> str:
        if not self.look:
            return "<answer>red</answer>"
        x1, y1, x2, y2 = place_of(prompt.doc_id)
        box = [round(1000 * x1 / 640), round(1000 * y1 / 480), round(1000 * x2 / 640), round(1000 * y2 / 480)]
        arguments = {"bbox_2d": box, "label": "<b>square</b>", "img_idx": 0}
        if len(prompt.said) == 0:
            call = {"name": "image_zoom_in_tool", "arguments": arguments}
            return f"<think>I look closer.</think>\n<tool_call>\n{json.dumps(call)}\n</tool_call>"
        if len(prompt.said) == 1 and prompt.doc_id == 0:
            return '<tool_call>{"name": "python", "arguments": {"code": "<script>1</script>"}}</tool_call>'
        crop = prompt.images[1]
        seen = crop.getpixel((crop.width // 2, crop.height // 2))
        nearest = min(COLOURS, key=lambda name: sum(abs(a - b) for a, b in zip(seen, rgb(name), strict=True)))
        return f"<think>It is {nearest}.</think><answer>{nearest}</answer>"


def rgb(name: str) -> tuple[int, int, int]:
    return Image.new("RGB", (1, 1), name).getpixel((0, 0))


@pytest.fixture(scope="module")
def environment():
    def made(look=True):
        return RunEnvironment(
            now=lambda: datetime.now(UTC), say=lambda _: None, listener=Silent(), packages={},
            load_model=lambda _: Looking(look),
        )  # fmt: skip

    return made


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    """A run of questions about small squares in pictures, each with its gold box."""
    folder = tmp_path_factory.mktemp("zoomed")
    lines = ["id\tquestion\tanswers\tboxes\timage_path"]
    for row in range(ROWS):
        image = Image.linear_gradient("L").resize((640, 480)).convert("RGB")
        image.paste(COLOURS[row % 4], place_of(row))
        stream = io.BytesIO()
        image.save(stream, format="PNG")
        (folder / f"{row}.png").write_bytes(stream.getvalue())
        gold = json.dumps([list(place_of(row))])
        lines.append(f"r{row}\tWhich colour is the square?\t{COLOURS[row % 4]}\t{gold}\t{row}.png")
    (folder / "rows.tsv").write_text("\n".join(lines) + "\n")
    (folder / "own.yaml").write_text("task: own\nsatori: {answer_rule: accepted, data: rows.tsv}\n")
    return RunSpec(
        model="served", backend="openai", base_url="http://one/v1", tasks=str(folder / "own.yaml"),
        form="qwen-zoom", box_dialect=dialect_named("list:xyxy:1000"), min_pixels=LIMITS.min_pixels,
        max_pixels=LIMITS.max_pixels, tool="zoom", out=folder / "runs",
    )  # fmt: skip


@pytest.fixture(scope="module")
def zoomed(spec, environment):
    """The run."""
    return run_benchmarks(spec, environment()).folder


@pytest.fixture(scope="module")
def unzoomed(spec, environment):
    """The same without the tool."""
    return run_benchmarks(replace(spec, tool=None), environment(look=False)).folder


def test_a_model_that_looks_at_the_right_place_is_right_in_answer_and_place(zoomed):
    stored = load_run(zoomed)
    metrics = stored.scores["tasks"]["own"]["metrics"]

    assert (metrics["accuracy"]["value"], metrics["acc@0.5"]["value"]) == (1.0, 1.0)
    assert metrics["mean_iou"]["value"] > 0.95
    assert metrics["valid_steps"]["value"] == 1.0
    assert verify_run(zoomed) == []


def test_every_crop_is_kept_with_its_record_and_its_picture(zoomed):
    records = {record.sample.id: record for record in load_run(zoomed).records()}
    crops = [crop for record in records.values() for crop in record.generation.crops]

    assert [len(records[f"r{row}"].generation.crops) for row in range(ROWS)] == [2] + [1] * (ROWS - 1)
    assert [crop.error for crop in records["r0"].generation.crops] == [None, "no_region"]
    shown = [crop for crop in crops if crop.sha256]
    assert all((zoomed / "media" / f"{crop.sha256}.webp").is_file() for crop in shown)
    assert all(crop.box_image_px == pytest.approx(place_of(int(name[1:])), abs=1)
               for name, record in records.items() for crop in record.generation.crops if crop.sha256)  # fmt: skip
    assert {(crop.shown_size.width % 28, crop.shown_size.height % 28) for crop in shown} == {(0, 0)}
    assert records["r1"].generation.text.count("<image>") == 1


def test_a_question_keeps_a_thumbnail_of_its_picture_alone(zoomed):
    record = next(iter(load_run(zoomed).records()))

    with Image.open(zoomed / "media" / f"{record.sample.image_sha256}.webp") as thumbnail:
        assert thumbnail.width / thumbnail.height == pytest.approx(640 / 480, rel=0.15), "not a sheet of both"


def test_a_rescore_needs_the_transcript_alone(zoomed):
    before = load_run(zoomed).scores["tasks"]["own"]["metrics"]

    summary = rescore_run(load_run(zoomed), "strict")

    after = summary.to_json()["tasks"]["own"]["metrics"]
    assert {name: metric["value"] for name, metric in after.items()} == {
        name: metric["value"] for name, metric in before.items()
    }


def test_a_run_with_a_tool_is_another_run_and_a_comparison_says_so(spec, zoomed, unzoomed, environment):
    fewer = run_benchmarks(replace(spec, tool_turns=1), environment()).folder
    manifests = [load_run(folder).manifest for folder in (zoomed, unzoomed, fewer)]

    assert len({manifest.run_key for manifest in manifests}) == 3
    assert TOOL not in manifests[1].other
    assert "at most 6 replies" in tool_of(manifests[0])
    assert any("tool (--tool) differs" in line for line in input_differences(manifests[0], manifests[1]))
    for other in (unzoomed, fewer):
        (pair,) = compare_runs(open_sides([str(zoomed), str(other)]), draws=200).pairs
        assert any("tool (--tool) differs" in note for note in pair.comparability.notes)


def test_a_retry_asks_with_the_tool_of_its_run(zoomed, environment, spec):
    folder = zoomed  # nothing to ask again
    assert retry_run(folder, environment(), {"base_url": spec.base_url}).folder == folder


def test_pages_show_what_was_seen_closer(zoomed, unzoomed, tmp_path):
    renew_page(zoomed)
    comparison = compare_runs(open_sides([str(unzoomed), str(zoomed)]), draws=200)
    (records, *_) = read_answers(comparison, comparison.pairs[0], [0])

    crops = [side["crops"] for side in text_of(records)["sides"]]
    assert [len(side) for side in crops] == [0, 2]
    assert crops[1][0]["words"].startswith("turn 1 · [")
    assert crops[1][1]["words"] == "turn 2 · not shown: no_region"
    page = write_comparison_page(comparison, tmp_path / "page.html").read_bytes()
    assert page.count(b'id="image-') == 2 * ROWS, "a picture for each sample, and one for what was seen closer"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"form": "satori"}, "needs a format in which a model calls for a region"),
        ({"form": "plain"}, "--format qwen-zoom"),
        ({"blind": "none"}, "--blind leaves out"),
        ({"tool": None, "tool_turns": 3}, "give --tool zoom"),
        ({"box_dialect": None}, "--box-dialect"),
        ({"form": "deepeyes", "box_dialect": None, "min_pixels": None, "max_pixels": None}, "--min-pixels"),
    ],
)
def test_what_cannot_be_zoomed_is_refused_before_anything_is_asked(spec, environment, change, words):
    with pytest.raises(ConfigError, match=words):
        run_benchmarks(replace(spec, **change), environment())


def test_a_run_of_before_has_no_crops(unzoomed):
    assert all(record.generation.crops == () for record in load_run(unzoomed).records())
    assert load_run(unzoomed).manifest.other["arguments"]["tool_turns"] == DEFAULT_TURNS


@pytest.mark.slow
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (400, "dark")])
def test_the_strip_is_shown_in_a_browser(zoomed, chromium, width, scheme):
    renew_page(zoomed)
    context = chromium.new_context(viewport={"width": width, "height": 1000}, color_scheme=scheme)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"file://{zoomed / 'index.html'}#of=own&id=r0")
    page.wait_for_selector(".strip figure")

    captions = page.eval_on_selector_all(".strip figcaption", "found => found.map(one => one.textContent)")
    widths = page.eval_on_selector_all(".strip img", "found => found.map(one => one.naturalWidth)")
    page.click(".strip .enlarge")
    enlarged = page.locator("dialog[open] img").get_attribute("alt")

    assert [caption.split(" · ")[0] for caption in captions] == ["turn 1", "turn 2"]
    assert len(widths) == 1
    assert widths[0] > 0
    assert enlarged.startswith("region that the model asked to see closer: turn 1")
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
