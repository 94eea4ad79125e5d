"""Test splits without labels, made of the drawn splits with labels: the answers are gone, or what the hub has there."""

from __future__ import annotations

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq


def write_unlabelled(parquet: Path, tsv: Path) -> None:
    """Write the four splits in the hub's layout, and MMBench's in VLMEvalKit's too."""
    for language, name in (("en", "EN"), ("cn", "CN")):
        shards = sorted((parquet / f"mmbench_{language}_dev").glob("*.parquet"))
        rows = pa.concat_tables([pq.read_table(shard) for shard in shards])
        nothing = pa.array(["nan"] * len(rows))
        _write(
            parquet / f"mmbench_{language}_test", rows.set_column(rows.column_names.index("answer"), "answer", nothing)
        )
        _without_answers(tsv / f"MMBench_DEV_{name}.tsv", tsv / f"MMBench_TEST_{name}_V11.tsv")
    for name in ("docvqa", "infovqa"):
        rows = pq.read_table(parquet / name / "validation-00000-of-00001.parquet")
        column = rows.schema.field("answers")
        nothing = pa.nulls(len(rows), column.type)
        _write(parquet / f"{name}_test", rows.set_column(rows.column_names.index("answers"), column, nothing))


def _write(folder: Path, rows: pa.Table) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows, folder / "test-00000-of-00001.parquet")


def _without_answers(source: Path, target: Path) -> None:
    csv.field_size_limit(2**27)
    with source.open(encoding="utf-8", newline="") as read, target.open("w", encoding="utf-8", newline="") as written:
        rows = list(csv.DictReader(read, delimiter="\t"))
        writer = csv.DictWriter(written, [name for name in rows[0] if name != "answer"], delimiter="\t")
        writer.writeheader()
        writer.writerows({name: cell for name, cell in row.items() if name != "answer"} for row in rows)
