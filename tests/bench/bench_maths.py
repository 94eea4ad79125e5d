"""Our own speed on mathematical answers: a mixed 5,000, and the worst of 50,000 drawn at random.

`python tests/bench/bench_maths.py [--fuzz 50000]`. Fails under 2,000 answers a second, or over 2 s for one of them.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path

from harness.scoring.answers.check import check_answer
from harness.values import Sample

ROWS = json.loads((Path(__file__).parents[1] / "cases" / "answers_maths.json").read_text(encoding="utf-8"))["rows"]
LEAST_A_SECOND = 2_000
MOST_SECONDS = 2.0
PIECES = [
    *"0123456789xyn+-*/^_=(){}[],.! ",
    "\\frac",
    "\\sqrt",
    "\\pi",
    "\\boxed{",
    "{1}{2}",
    "\\sin",
    "\\text{cm}",
    "^{99}",
    "e9",
    " or ",
    "%",
    "°",
    "½",
    "三",
    "$",
    "\\{",
    "\\}",
    "\\sum_{k=1}^{9}",
    "\\int",
    "\\cup",
]


def mixed(count: int, seed: int) -> list[tuple[Sample, str]]:
    """Answers of benchmarks in their usual shares: most are numbers, some formulas, some a solution with a box."""
    draw = random.Random(seed)
    numbers = [
        "{}",
        "{}.0",
        "${}$",
        "\\boxed{{{}}}",
        "The answer is {}.",
        "{} cm",
        "x = {}",
        "{}^\\circ",
        "We add both sides and get $x = 3 + {} - 3$, so the final answer is \\boxed{{{}}}.",
    ]
    rows = [row for row in ROWS if not any(word in row["gold"] for word in ("sum", "pmatrix", "binom"))]
    found: list[tuple[Sample, str]] = []
    for number in range(count):
        kind = draw.random()
        if kind < 0.6:
            value = str(draw.randint(-999, 9999) if draw.random() < 0.7 else draw.randint(-999, 999) / 100)
            gold = value if draw.random() < 0.6 else str(draw.randint(-999, 9999))
            form = draw.choice(numbers)
            answer, extra = form.format(*[value] * form.count("{}")), {}
        else:
            row = draw.choice(rows)
            gold, extra, answer = row["gold"], row.get("extra", {}), row["answer"]
            if kind > 0.85 and row["value"] == 1:
                answer = f"By the law of cosines $c^2 = a^2 + b^2$, and with {number} of them we have \\boxed{{{answer.strip('$')}}}."
        found.append((Sample(id=str(number), task="any", answer_rule="maths", answers=(gold,), extra=extra), answer))
    return found


def seconds_of(rows: list[tuple[Sample, str]]) -> tuple[float, float]:
    """Seconds of all, and of the slowest."""
    worst, begun = 0.0, time.perf_counter()
    for sample, answer in rows:
        started = time.perf_counter()
        check_answer(sample, answer, "strict")
        worst = max(worst, time.perf_counter() - started)
    return time.perf_counter() - begun, worst


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--fuzz", type=int, default=50_000)
    asked = parser.parse_args()
    rows = mixed(5_000, 1)
    seconds_of(rows[:50])  # what is loaded once
    whole, worst = seconds_of(rows)
    draw = random.Random(2)
    golds = [row["gold"] for row in ROWS]
    fuzzed = [
        (
            Sample(id="1", task="any", answer_rule="maths", answers=(draw.choice(golds),)),
            "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 30))),
        )
        for _ in range(asked.fuzz)
    ]
    fuzz_whole, fuzz_worst = seconds_of(fuzzed)
    print(f"{len(rows) / whole:,.0f} answers a second, the slowest {worst * 1000:.1f} ms")
    print(f"{asked.fuzz:,} fuzzed texts: {fuzz_whole:.1f} s, the slowest {fuzz_worst * 1000:.1f} ms")
    return int(len(rows) / whole < LEAST_A_SECOND or max(worst, fuzz_worst) > MOST_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
