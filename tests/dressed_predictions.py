"""Predictions in many dresses, of twelve benchmarks: what a run of theirs scores differs from protocol to protocol."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

ROWS_OF_A_TASK = 48
_ANIMALS = {"A": "cat", "B": "dog", "C": "teddy bear", "D": "rabbit"}
_OPTIONS = (
    "B", "(B)", "**B**", "The answer is B.", "A dog", "hotdog", "dog", "A or B", "not B", "DOG", "b",
    "B because its ears hang down and it looks at the ball that lies before it", "I cannot tell", "`B`", "C?", "B. dog",
)  # fmt: skip
_YES_NO = (
    "Yes", "yes.", "The answer is yes.", "No", "None", "not sure", "Yes, there is.", "I do not know", "no", "NO!",
    "There is no such thing", "y", "It says yes and no", "Yesterday", "", "not yes",
)  # fmt: skip
_NUMBERS = ("1.24", "1.2", "about 1.2", "5", "5.0", "five", "0", "12%", "1,000", "[1, 2]", "3/5", "(B)")
_CHARTED = ("14", "14%", "0.14", " 14 ", "14.5", "1,000", "blue", " blue ", "Blue.", "0", "0.0", "13.31")
_READ = (
    "stop",
    "STOP",
    "the stop",
    "stop.",
    "a stop sign",
    "ｓｔｏｐ",
    "it says stop",
    "halt",
    "sto p",
    "",
    "5.",
    "go",
)


def predictions() -> list[dict[str, Any]]:
    """Return the rows of all benchmarks, as lines of a predictions file."""
    found: list[dict[str, Any]] = []
    texts = {
        **dict.fromkeys(("mmstar", "mmbench_en_dev", "ai2d", "scienceqa"), _OPTIONS),
        **dict.fromkeys(("mme", "pope", "hallusion_bench"), _YES_NO),
        "ocrbench": _READ,
        "mathvista": _NUMBERS,
        "chartqa": _CHARTED,
        "docvqa": _READ,
        "shapes": _READ,
    }
    for task, dresses in texts.items():
        for place, text in zip(range(ROWS_OF_A_TASK), cycle(dresses), strict=False):
            found.append({"id": str(place), "task": task, "prediction": text, **_gold(task, place)})
    return found


def _gold(task: str, place: int) -> dict[str, Any]:
    """Return what a row carries beside the prediction."""
    row: dict[str, Any] = {"category": f"kind {place % 4}", "l2_category": f"part {place % 5}"}
    if task in {"mmstar", "mmbench_en_dev", "ai2d", "scienceqa"}:
        row |= {"choices": _ANIMALS, "answers": ["B"]}
        if task == "mmbench_en_dev":  # two passes of a question
            row |= {"index": place // 2 + 1_000_000 * (place % 2)}
    elif task in {"mme", "pope", "hallusion_bench"}:
        row |= {"answers": ["No" if place % 3 == 0 else "Yes"]}
        if task == "mme":
            subtasks = ("existence", "count", "code_reasoning")
            row |= {"category": subtasks[place // 2 % 3], "extra": {"question_id": f"image-{place // 2}"}}
        if task == "hallusion_bench":
            row |= {"extra": {"set_id": str(place // 8), "figure_id": str(place // 4), "question_id": str(place % 4)}}
    elif task == "mathvista":
        kinds = (("float", "1.2", 1.0), ("integer", "5", None), ("text", "north", None), ("list", "[1, 2]", None))
        answer_type, gold, precision = kinds[place % 4]
        row |= {"answers": [gold], "question_type": "free_form", "answer_type": answer_type, "precision": precision}
    elif task == "chartqa":
        row |= {"answers": [("14", "blue", "0.0")[place % 3]]}
    else:
        row |= {"answers": ["stop"]}
    return row


def write_predictions(path: Path, *, moved: int = 0) -> Path:
    """Write all rows to a file and return it; every third row has the answer of the row that many places on."""
    rows = predictions()
    texts = [row["prediction"] for row in rows]
    for place, row in enumerate(rows):
        of_task = place // ROWS_OF_A_TASK * ROWS_OF_A_TASK
        if place % 3 == 0:
            row["prediction"] = texts[of_task + (place + moved) % ROWS_OF_A_TASK]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
