"""Scoring speed: our `score()` in paper mode against the reference's way of computing its four rewards, in one run.

The reference way, per completion: regular expressions, `ast.literal_eval`, shapely polygons and their unions, NLTK word
tokens and smoothed sentence BLEU, rouge_score with a stemmer. 2,000 mixed completions, 10-30-word captions, groups of
8 completions per reference, as GRPO makes them. Values must be equal.

Then the readers of boxes: the same 2,000 answers of one to four boxes written by each family, beside the format's list.

    python -P tests/bench/bench_scoring.py
"""

from __future__ import annotations

import ast
import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from nltk.tokenize import NLTKWordTokenizer
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu
from rouge_score import rouge_scorer
from shapely.geometry import box as polygon
from shapely.ops import unary_union

from harness.images.frames import smart_resize
from harness.scoring.box_dialects import dialect_named, read_dialect_boxes
from harness.scoring.score import score
from harness.scoring.written_boxes import read_boxes
from harness.values import PAPER_PIXEL_LIMITS, Box, Sample, ScoreConfig, Size

PAPER = ScoreConfig(protocol="paper", format="satori")
GROUPS = 250
GROUP_SIZE = 8

WORDS = [
    "a",
    "the",
    "an",
    "small",
    "large",
    "red",
    "blue",
    "green",
    "old",
    "young",
    "wooden",
    "metal",
    "standing",
    "sitting",
    "running",
    "holding",
    "wearing",
    "looking",
    "near",
    "behind",
    "beside",
    "under",
    "above",
    "on",
    "in",
    "of",
    "with",
    "and",
    "man",
    "woman",
    "child",
    "dog",
    "cat",
    "horse",
    "bird",
    "car",
    "bus",
    "bicycle",
    "train",
    "street",
    "building",
    "window",
    "door",
    "table",
    "chair",
    "kitchen",
    "plate",
    "bottle",
    "glasses",
    "umbrella",
    "umbrellas",
    "traffic",
    "signs",
    "trees",
    "branches",
    "leaves",
    "berries",
    "mountains",
    "rivers",
    "beaches",
    "cloudy",
    "sky",
    "grass",
    "field",
    "market",
    "crowded",
    "brightly",
    "colored",
    "parked",
    "stopped",
]


@dataclass(frozen=True)
class Case:
    """One completion with its gold."""

    text: str
    sample: Sample


def make_cases(seed: int) -> list[Case]:
    """Return the completions: right, nearly right, and broken in the ways models break them."""
    rng = random.Random(seed)
    cases: list[Case] = []
    for group in range(GROUPS):
        words = [rng.choice(WORDS) for _ in range(rng.randint(10, 30))]
        caption = " ".join(words).capitalize() + "."
        size = Size(rng.randint(320, 1280), rng.randint(240, 960))
        gold = tuple(_box(rng, size) for _ in range(rng.randint(1, 3)))
        answer = rng.choice(["yes", "no", "two", "red", "a dog"])
        for member in range(GROUP_SIZE):
            sample = Sample(
                id=f"{group}-{member}", task="satori", answer_rule="accepted", answers=(answer, answer.capitalize()),
                caption=caption, boxes_image_px=gold, image_size=size,
            )  # fmt: skip
            cases.append(Case(_completion(rng, words, gold, size, answer), sample))
    return cases


def _box(rng: random.Random, size: Size) -> Box:
    x1, y1 = rng.randint(0, size.width - 40), rng.randint(0, size.height - 40)
    return (float(x1), float(y1), float(rng.randint(x1 + 8, size.width)), float(rng.randint(y1 + 8, size.height)))


def _completion(rng: random.Random, words: list[str], gold: tuple[Box, ...], size: Size, answer: str) -> str:
    said = [word if rng.random() > 0.3 else rng.choice(WORDS) for word in words if rng.random() > 0.1]
    caption = (" ".join(said) or "nothing").capitalize() + "."
    seen = smart_resize(size, PAPER_PIXEL_LIMITS)
    boxes = [
        [
            max(0, round(value * (seen.width / size.width if axis % 2 == 0 else seen.height / size.height)) + rng.randint(-9, 9))
            for axis, value in enumerate(gold_box)
        ]
        for gold_box in gold
    ]  # fmt: skip
    written = str(boxes)
    damage = rng.random()
    if damage < 0.05:
        written = written[:-1]
    elif damage < 0.1:
        written = "[]"
    text = f"<caption>{caption}</caption>\n<bbox>{written}</bbox>\n<answer>{answer if rng.random() < 0.6 else 'no idea'}</answer>"
    return text[: len(text) // 2] if 0.1 <= damage < 0.15 else text


def reference_way(case: Case) -> tuple[float, float, float, float]:
    """Compute format, caption, bbox and answer rewards the slow way, from scratch for each completion."""
    text, sample = case.text, case.sample
    shape = r"^\s*<caption>.*?</caption>\s*<bbox>\s*\[\[.*?\]\]\s*</bbox>\s*<answer>.*?</answer>\s*$"
    well_formed = 1.0 if re.match(shape, text, re.DOTALL | re.MULTILINE) else 0.0
    return well_formed, _reference_caption(text, sample), _reference_bbox(text, sample), _reference_answer(text, sample)


def _reference_caption(text: str, sample: Sample) -> float:
    found = re.search(r"<caption>(.*?)</caption>", text, re.DOTALL)
    if not found:
        return 0.0
    said, wanted = found.group(1).strip(), sample.caption or ""
    bleu = sentence_bleu(
        [NLTKWordTokenizer().tokenize(wanted.lower())],
        NLTKWordTokenizer().tokenize(said.lower()),
        smoothing_function=SmoothingFunction().method1,
    )
    rouge = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True).score(wanted, said)["rougeL"].fmeasure
    return (bleu + rouge) / 2


def _reference_bbox(text: str, sample: Sample) -> float:
    found = re.search(r"<bbox>(.*?)</bbox>", text, re.DOTALL)
    if not found:
        return 0.0
    try:
        boxes = ast.literal_eval(found.group(1))
    except (SyntaxError, ValueError):
        return 0.0
    if isinstance(boxes, list) and not any(isinstance(item, list) for item in boxes):
        boxes = [boxes]
    if not isinstance(boxes, list) or any(not isinstance(item, list) or len(item) != 4 for item in boxes):
        return 0.0
    assert sample.image_size is not None
    assert sample.boxes_image_px is not None
    seen = smart_resize(sample.image_size, PAPER_PIXEL_LIMITS)
    across, down = sample.image_size.width / seen.width, sample.image_size.height / seen.height
    said = unary_union([polygon(a * across, b * down, c * across, d * down) for a, b, c, d in boxes])
    wanted = unary_union([polygon(*gold) for gold in sample.boxes_image_px])
    return said.intersection(wanted).area / (said.union(wanted).area + 1e-6)


def _reference_answer(text: str, sample: Sample) -> float:
    found = re.search(r"<answer>(.*?)</answer>", text, re.DOTALL)
    return 1.0 if found and found.group(1).strip() in (sample.answers or ()) else 0.0


def ours(case: Case) -> tuple[float, float, float, float]:
    """Compute the same four through the one scorer."""
    parts = score(case.sample, case.text, PAPER).components
    return parts.format or 0.0, parts.caption or 0.0, parts.bbox or 0.0, parts.answer or 0.0


def main() -> dict[str, float]:
    """Measure both on the same completions; return the figures of the table."""
    cases = make_cases(seed=7)
    for case in cases[:50]:  # warm the libraries' own lazy tables on both sides
        reference_way(case)
    ours(Case("<caption>warm</caption>", cases[0].sample))

    started = time.perf_counter()
    slow = [reference_way(case) for case in cases]
    reference_s = time.perf_counter() - started
    started = time.perf_counter()
    fast = [ours(case) for case in cases]
    ours_s = time.perf_counter() - started

    worst = max(abs(a - b) for left, right in zip(slow, fast, strict=True) for a, b in zip(left, right, strict=True))
    figures = {
        "completions": float(len(cases)),
        "reference_us": 1e6 * reference_s / len(cases),
        "ours_us": 1e6 * ours_s / len(cases),
        "ratio": reference_s / ours_s,
        "worst_difference": worst,
    }
    print(f"scoring {len(cases)} completions, groups of {GROUP_SIZE}, paper mode")
    print(f"  reference way  {figures['reference_us']:8.1f} us each")
    print(f"  ours           {figures['ours_us']:8.1f} us each")
    print(f"  ratio          {figures['ratio']:8.1f} x   (wanted: 8)")
    print(f"  worst difference {worst:.2e}")
    return figures


NATIVE: dict[str, tuple[str, str]] = {
    "qwen3_vl": ("```json\n[{}]\n```", '{{"bbox_2d": [{0}, {1}, {2}, {3}], "label": "the red cat"}}, '),
    "internvl": ("{}", "<ref>cat</ref><box>[[{0}, {1}, {2}, {3}]]</box>"),
    "qwen2_vl": ("{}", "<|object_ref_start|>cat<|object_ref_end|><|box_start|>({0},{1}),({2},{3})<|box_end|>"),
    "minicpmv": ("{}", "<ref>cat</ref><box>{0} {1} {2} {3}</box>"),
    "florence2": ("{}", "cat<loc_{0}><loc_{1}><loc_{2}><loc_{3}>"),
    "kosmos-2.5": ("{}", "<x_{0}><y_{1}><x_{2}><y_{3}>cat"),
    "muse_spark": ("[{}]", '{{"label": "cat", "x_min": {0}, "y_min": {1}, "x_max": {2}, "y_max": {3}}}, '),
}
"""What a family writes around all boxes, and for one."""


def dialects(answers: int = 2_000, repeats: int = 15) -> dict[str, tuple[float, float]]:
    """Measure each dialect's reader; return its time on the format's list, and on its own writing, in list readings."""
    rng = random.Random(11)
    written: list[list[Box]] = [
        [_box(rng, Size(1000, 1000)) for _ in range(rng.randint(1, 4))] for _ in range(answers)
    ]  # fmt: skip
    lists = [str([[int(edge) for edge in one] for one in boxes]) for boxes in written]
    texts = {
        name: [around.format("".join(one.format(*map(int, box)) for box in boxes)) for boxes in written]
        for name, (around, one) in NATIVE.items()
    }
    found: dict[str, tuple[float, float]] = {}
    print(f"\nreading {answers} answers of 1 to 4 boxes, beside the strict reader on the format's list")
    for name, own in texts.items():
        dialect = dialect_named(name)
        # one after another in every round, so that whatever else the machine does meets all three
        rounds = [
            (
                _seconds(lambda: [read_boxes(text) for text in lists]),
                _seconds(lambda dialect=dialect: [read_dialect_boxes(text, dialect) for text in lists]),
                _seconds(lambda dialect=dialect, own=own: [read_dialect_boxes(text, dialect) for text in own]),
            )
            for _ in range(repeats)
        ]
        strict_s, list_s, own_s = map(min, zip(*rounds, strict=True))
        found[name] = (list_s / strict_s, own_s / strict_s)
        print(f"  {name:<11} {found[name][0]:5.2f} x on the list, {found[name][1]:5.2f} x on its own   (wanted: 2)")
    return found


def _seconds(call: Callable[[], object]) -> float:
    """Return the seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
    dialects()
