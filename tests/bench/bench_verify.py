"""`tasks verify all` on some 50,000 local rows, beside the time that `datasets` needs to decode their pictures one by one.

Rows are those that the tests draw, many times over: with ids, questions and options of their own and photographs in
place of the drawings. Both are seconds of this process on a processor. Decoding is `datasets.Image` alone on bytes that
are there, without reading any file, which `verify` has to do. Tasks whose rows no parquet file holds keep theirs.

    python -P tests/bench/bench_verify.py
"""

from __future__ import annotations

import importlib.util
import io
import re
import sys
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from skimage import data as photographs

from tasks.catalog import resolve_tasks
from tasks.local_data import find_local_files
from tasks.verify import verify_task_data

ROWS_PER_FILE = 800
"""Comes to some 50,000 rows."""
WIDTH, HEIGHT = 448, 336
PICTURES = 48
DECODED = 4_000
TESTS = Path(__file__).parents[1]

_DRAWN = {
    "placed_data": "write_places",
    "document_data": "write_documents",
    "several_data": "write_several",
    "perception_data": "write_perception",
    "maths_data": "write_maths",
    "unlabelled_data": "write_unlabelled",
}
"""Modules of the tests that draw benchmarks, and what each calls it."""

_IDS = frozenset({
    "index", "g_index", "question_id", "questionId", "pid", "id", "ID", "data_id", "idx", "sample_index", "problem_index",
})  # fmt: skip
"""Columns that tell rows apart, or what belongs together."""
_OPTIONS = frozenset({"A", "B", "C", "D", "options", "choices"})
_LETTERED = re.compile(r"(?<=[A-D]: )([^,\n]+)")
"""Options within a question, as MMStar has them."""


def builder(name: str) -> ModuleType:
    """Load a module of the tests that draws data."""
    spec = importlib.util.spec_from_file_location(f"{name}_of_bench", TESTS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def drawn(folder: Path) -> Path:
    """Draw what the tests draw; return the folder for `--data-dir`."""
    data = builder("local_data").build_local_data(folder)
    for name, what in _DRAWN.items():
        getattr(builder(name), what)(data.parquet, data.tsv)
    return data.parquet


def jpegs() -> list[bytes]:
    """Return photographs, each cut a little differently."""
    found: list[bytes] = []
    sources = [photographs.astronaut(), photographs.chelsea(), photographs.coffee(), photographs.rocket()]
    for number in range(PICTURES):
        picture = Image.fromarray(sources[number % 4]).convert("RGB")
        left = number * 2
        buffer = io.BytesIO()
        picture.crop((left, 0, picture.width - 100 + left, picture.height)).resize((WIDTH, HEIGHT)).save(buffer, "JPEG")
        found.append(buffer.getvalue())
    return found


def multiply(path: Path, rows_wanted: int, pictures: list[bytes]) -> int:
    """Write a file's rows many times over, all of them different; return how many pictures they hold."""
    table = pq.read_table(path)
    rows = table.to_pylist()
    copies = -(-rows_wanted // len(rows))
    made = [changed(row, copy, pictures[(copy * len(rows) + place) % len(pictures)])
            for copy in range(copies) for place, row in enumerate(rows)]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(made, schema=table.schema), path, row_group_size=500, compression="zstd")
    return sum(_pictures_in(cell) for row in made for cell in row.values())


def _pictures_in(cell: Any) -> int:
    if isinstance(cell, list):
        return sum(map(_pictures_in, cell))
    return int(isinstance(cell, dict) and set(cell) == {"bytes", "path"} and bool(cell["bytes"]))


def changed(row: dict[str, Any], copy: int, picture: bytes) -> dict[str, Any]:
    """Return a copy of a row with ids, options and a picture of its own."""
    return {name: _cell(name, cell, copy, picture) for name, cell in row.items()}


def _cell(name: str, cell: Any, copy: int, picture: bytes) -> Any:
    if _pictures_in(cell):
        return [{**one, "bytes": picture} for one in cell] if isinstance(cell, list) else {**cell, "bytes": picture}
    if name in _IDS and cell is not None:
        number = int(cell) + 1_000 * copy if str(cell).isdigit() else None
        return f"{cell}-{copy}" if number is None else type(cell)(number)
    if name == "question" and isinstance(cell, str):
        return _LETTERED.sub(rf"\1 {copy}", cell)
    if name in _OPTIONS and isinstance(cell, str) and not cell.startswith(("[", "{")):
        return f"{cell} {copy}"
    if name in _OPTIONS and isinstance(cell, list):
        return [f"{option} {copy}" for option in cell]
    return cell


def main() -> dict[str, float]:
    """Measure, print the table, return its figures."""
    import datasets

    pictures = jpegs()
    with tempfile.TemporaryDirectory() as scratch:
        folder = drawn(Path(scratch) / "data")
        benchmarks = [item for item in resolve_tasks("all") if not item.drawn]
        found = {path for item in benchmarks for path in find_local_files(item, folder)}
        files = sorted(path for path in found if path.suffix == ".parquet")
        shown = sum(multiply(path, ROWS_PER_FILE, pictures) for path in files)
        began_s = time.process_time()
        reports = [verify_task_data(item, folder) for item in benchmarks]
        verify_s = time.process_time() - began_s
    rows = sum(report.rows for report in reports)
    feature = datasets.Image()
    began_s = time.process_time()
    for number in range(DECODED):
        feature.decode_example({"bytes": pictures[number % PICTURES], "path": None}).load()
    decode_s = (time.process_time() - began_s) / DECODED * shown
    missing = [report.task for report in reports if not report.rows]
    figures = {
        "rows": float(rows),
        "pictures": float(shown),
        "verify_s": verify_s,
        "decode_s": decode_s,
        "ratio": verify_s / decode_s,
    }
    print(
        f"tasks verify all, {rows:,} rows with {shown:,} photographs of {WIDTH}x{HEIGHT} as JPEG, seconds of a processor"
    )
    print(f"  verify                     {verify_s:7.1f}   ({1e6 * verify_s / rows:,.0f} us a row)")
    print(f"  datasets, decoding alone   {decode_s:7.1f}   ({DECODED:,} measured)")
    print(f"  ratio                      {figures['ratio']:7.2f}   (wanted: at most 0.33)")
    if missing:
        print(f"  without rows here: {', '.join(missing)}")
    return figures


if __name__ == "__main__":
    main()
