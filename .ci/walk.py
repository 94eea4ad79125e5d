"""Count the house: files on the walks of ARCHITECTURE.md, dataclasses of each room, lines.

A walk is followed as it happens: each file of ours counts of which a function runs. That is how the figures of before
were made (eb7f11f: two runs become a page in 28 files), so both can be compared.

    python .ci/walk.py [--files]
"""

from __future__ import annotations

import ast
import inspect
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("harness", "tasks", "training", "reports", "satori_bench")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def entered(work: Callable[[], object]) -> list[str]:
    """Do something and return the files of ours of which a function ran; what an import runs does not count."""
    found: set[str] = set()

    def look(frame: FrameType, event: str, _: object) -> None:
        code = frame.f_code
        if event == "call" and code.co_flags & inspect.CO_OPTIMIZED and code.co_filename.startswith(f"{ROOT}/"):
            found.add(code.co_filename.removeprefix(f"{ROOT}/"))

    sys.setprofile(look)
    try:
        work()
    finally:
        sys.setprofile(None)
    return sorted(name for name in found if name.startswith(FOLDERS) and name.endswith(".py"))


def walks(folder: Path) -> dict[str, list[str]]:
    """Follow the walks on four grounded answers of two invented models."""
    from harness.comparison.compare import compare_runs, open_sides  # noqa: PLC0415 - the product is what is looked at
    from harness.evaluation.predictions import score_lines  # noqa: PLC0415
    from harness.evaluation.rescore import PredictionSource, save_predictions_run  # noqa: PLC0415
    from harness.scoring.score import score  # noqa: PLC0415
    from harness.values import Sample, ScoreConfig, Size  # noqa: PLC0415
    from reports.pages.comparison_page import write_comparison_page  # noqa: PLC0415

    text = "<caption>A red circle.</caption><bbox>[[1, 2, 30, 40]]</bbox><answer>red</answer>"
    gold = Sample(
        "1", "shapes", "accepted", answers=("red",), boxes_image_px=((1.0, 2.0, 30.0, 40.0),), caption="A red circle.",
        image_size=Size(100, 100),
    )  # fmt: skip
    row = {
        "task": "shapes", "answers": ["red"], "boxes": [[1, 2, 30, 40]], "caption": "One red disc.", "width": 100,
        "height": 100,
    }  # fmt: skip
    runs: list[str] = []

    def scored(model: str, answers: tuple[str, ...]) -> None:
        lines = [
            json.dumps(row | {"id": str(place), "prediction": text.replace("red<", f"{answer}<")})
            for place, answer in enumerate(answers)
        ]
        rows, source = score_lines(lines, ScoreConfig()), PredictionSource(model, "0" * 64, {})
        runs.append(str(save_predictions_run(folder, list(rows), ScoreConfig(), source, now=NOW)[0]))

    found = {
        "a text becomes a score": entered(lambda: score(gold, text, ScoreConfig())),
        "a line of predictions becomes a number in scores.json": entered(lambda: scored("a", ("red", "blue") * 2)),
    }
    scored("b", ("red",) * 4)
    found["two runs become a comparison"] = entered(lambda: compare_runs(open_sides(runs)))
    found["two runs become a page"] = entered(
        lambda: write_comparison_page(compare_runs(open_sides(runs)), folder / "page.html")
    )
    return found


def dataclasses_and_lines() -> tuple[Counter[str], int]:
    """Return the number of dataclasses in each room, and the lines of all product files."""
    counted: Counter[str] = Counter()
    lines = 0
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        lines += len(source.splitlines())
        room = "/".join(path.relative_to(ROOT).parts[:2]) if len(path.relative_to(ROOT).parts) > 2 else path.parent.name
        counted[room] += sum(
            any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
            for node in ast.walk(ast.parse(source))
            if isinstance(node, ast.ClassDef)
        )
    return counted, lines


def main() -> None:
    """Print the counts; with `--files` the files of each walk too."""
    with tempfile.TemporaryDirectory() as folder:
        for walk, files in walks(Path(folder)).items():
            print(f"{walk}: {len(files)} files")
            if "--files" in sys.argv[1:]:
                print("".join(f"    {name}\n" for name in files), end="")
    counted, lines = dataclasses_and_lines()
    print(f"dataclasses: {counted.total()} ({', '.join(f'{room} {number}' for room, number in counted.most_common())})")
    print(f"lines: {lines:,}")


if __name__ == "__main__":
    main()
