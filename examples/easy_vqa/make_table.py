"""Turn the test questions of easy-VQA into the table that task.yaml asks: 9,673 questions about 1,000 drawn pictures.

    pip install easy-vqa==1.0                     # 10 MB, MIT; not a dependency of satori-bench
    python examples/easy_vqa/make_table.py        # writes easy_vqa.parquet beside this file
    satori-bench tasks verify examples/easy_vqa/task.yaml
    satori-bench run --model checkpoint/ --tasks examples/easy_vqa/task.yaml --limit 500

Questions about one picture are one cluster, as satori-bench tells them by the picture. The categories are kinds of
answer: `yes/no`, `shape`, `colour`.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

SHAPES = frozenset({"circle", "rectangle", "triangle"})


def package_data() -> Path:
    """Return the folder of the installed package's data."""
    found = find_spec("easy_vqa")
    if found is None or found.origin is None:
        raise SystemExit("easy-vqa is not installed: pip install easy-vqa==1.0, or name its data folder with --data")
    return Path(found.origin).parent / "data"


def kind_of(answer: str) -> str:
    """Return the kind of a question by its answer."""
    return "yes/no" if answer in {"yes", "no"} else "shape" if answer in SHAPES else "colour"


def table_of(data: Path) -> pa.Table:
    """Return the test questions of a data folder as rows; a picture's file stands in each row that asks about it."""
    test = data / "test"
    questions = json.loads((test / "questions.json").read_text(encoding="utf-8"))
    pictures = {picture: (test / "images" / f"{picture}.png").read_bytes() for _, _, picture in questions}
    return pa.table(
        {
            "id": [str(place) for place in range(len(questions))],
            "question": [f"{text} Answer in one word." for text, _, _ in questions],
            "image": pa.array([pictures[picture] for _, _, picture in questions], pa.binary()),
            "answers": [[answer] for _, answer, _ in questions],
            "category": [kind_of(answer) for _, answer, _ in questions],
        }
    )


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="the package's folder `data`; default: that of the installed package")
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).parent / "easy_vqa.parquet")
    arguments = parser.parse_args()
    table = table_of(arguments.data or package_data())
    pq.write_table(table, arguments.output, row_group_size=1000)
    print(f"{arguments.output}: {table.num_rows} questions")


if __name__ == "__main__":
    main()
