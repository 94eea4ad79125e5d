"""The summary of 100,000 records beside that of commit eb7f11f, in the same run, and the memory that it takes.

Each code summarises the same records of four benchmarks (choices with categories, circular passes, typed answers, gold
boxes with captions) in a process of its own, turn by turn; the least time of some rounds counts. Measured twice: of
records that are there, and of records that come one by one, as from a journal, less what making them takes. Memory is
what the peak of the process grows by from 20,000 to 100,000 records that come one by one, by record.

    python -P tests/bench/bench_summary.py

Without git or that commit (an archive, a shallow clone) there is nothing to compare with, and only our own figures are
given.
"""

from __future__ import annotations

import gc
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROWS = 100_000
FEWER = 20_000
ROUNDS = 3
OLD = "eb7f11f"
ROOT = Path(__file__).parents[2]


def records(rows: int) -> Iterator[Any]:
    """Yield records, the same by either code; both know these benchmarks."""
    from harness.values import BoxMatch, Components, Generation, Record, Sample, Score, Size

    rng = random.Random(1)
    for place in range(rows):
        right, kind = float(rng.random() < 0.6), place % 10
        text = (
            f"<caption>a picture of {place} red circles</caption>\n"
            f"<bbox>[[{place % 90},12,{place % 90 + 60},80]]</bbox>\n<answer>{'ABCD'[place % 4]}</answer>"
        )
        picture: dict[str, Any] = {"image_size": Size(640, 480), "image_sha256": f"{place // 3:064x}"}
        parts = Components(format=1.0, answer=right)
        score = Score(right, "A", parts, faults=() if right or place % 3 else ("no_match",))
        if kind < 4:
            sample = Sample(
                f"{place}", "mmstar", "choice", f"Which of them is {place}?", ("A",), {"A": "a cat", "B": "a dog"},
                f"cat {place % 6}", f"sub {place % 18}", f"picture {place // 3}", extra={"index": place}, **picture,
            )  # fmt: skip
        elif kind < 6:
            index = {"index": place // 40 + 1_000_000 * (place % 40 // 10), "g_index": place // 40}
            sample = Sample(
                f"{place}", "mmbench_en_dev", "choice", "Which?", ("A",), {"A": "a cat", "B": "a dog"},
                f"cat {place % 20}", f"sub {place % 6}", f"{place // 40}", extra=index, **picture,
            )  # fmt: skip
        elif kind < 7:
            columns = {"question_type": "free_form", "answer_type": "integer", "task": f"t{place % 5}", "skills": ["a"]}
            sample = Sample(f"{place}", "mathvista", "mathvista", "How many?", ("3",), extra=columns, **picture)
        else:
            iou, gold = rng.random(), (10.0, 20.0, 100.0, 120.0 + place % 50)
            sample = Sample(
                f"{place}", "shapes", "accepted", "Which colour?", ("red",), category=f"kind {place % 4}",
                cluster=f"scene {place // 3}", boxes_image_px=(gold,), caption="a red circle", **picture,
            )  # fmt: skip
            parts = Components(format=1.0, caption=0.5, bbox=iou, answer=right)
            match = BoxMatch(1, 1, iou, int(iou >= 0.5))
            score = Score(right, "red", parts, iou=iou, match=match, boxes_image_px=(gold,))
        yield Record(sample, Generation(text, Size(448, 448), 300, 60, 0.01), score)


def child(rows: int, what: str) -> dict[str, float]:
    """Summarise so many records by the code that is on the path."""
    try:
        from harness.summary.run_summary import summarise_records
    except ImportError:  # as it was called at the old commit
        from harness.run_summary import summarise_records  # pyright: ignore[reportMissingImports]
    from harness.values import ScoreConfig

    if what == "memory":
        summarise_records(records(rows), ScoreConfig()).to_json()
        return {"peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss}
    making_s = _seconds(lambda: sum(1 for _ in records(rows)))
    streamed_s = _seconds(lambda: summarise_records(records(rows), ScoreConfig()).to_json())
    kept = list(records(rows))
    kept_s = _seconds(lambda: summarise_records(kept, ScoreConfig()).to_json())
    return {"kept_s": kept_s, "streamed_s": streamed_s - making_s}


def _seconds(work: Any) -> float:
    """Return the least processor time of two calls."""
    times: list[float] = []
    for _ in range(2):
        gc.collect()
        began_s = time.process_time()
        work()
        times.append(time.process_time() - began_s)
    return min(times)


def measure(code: Path, rows: int, what: str) -> dict[str, float]:
    """Run a child on one code."""
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-P", __file__, str(rows), what]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, cwd=tempfile.gettempdir()
    )
    return json.loads(done.stdout)


def old_code(folder: Path) -> Path | None:
    """Check the old commit out into a folder; None where there is none."""
    command = ["git", "-C", str(ROOT), "worktree", "add", "--detach", str(folder), OLD]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return folder if done.returncode == 0 else None


def main() -> dict[str, float]:
    """Measure, print the table, return its figures."""
    with tempfile.TemporaryDirectory() as scratch:
        old = old_code(Path(scratch) / "old")
        try:
            found = compare(old)
        finally:
            if old is not None:
                subprocess.run(["git", "-C", str(ROOT), "worktree", "remove", "--force", str(old)], check=False)
    return found


def compare(old: Path | None) -> dict[str, float]:
    """Measure both codes in turn and print the table."""
    codes = {"ours": ROOT} | ({OLD: old} if old is not None else {})
    times: dict[str, list[dict[str, float]]] = {name: [] for name in codes}
    for _ in range(ROUNDS):
        for name, code in codes.items():
            times[name].append(measure(code, ROWS, "time"))
    least = {name: {key: min(one[key] for one in rounds) for key in rounds[0]} for name, rounds in times.items()}
    few, many = (measure(ROOT, rows, "memory")["peak_kib"] for rows in (FEWER, ROWS))
    print(f"summary of {ROWS:,} records, seconds of a processor, the least of {ROUNDS} rounds")
    figures = {"bytes_a_record": (many - few) * 1024 / (ROWS - FEWER)}
    for key, words in (("kept_s", "records that are there"), ("streamed_s", "records one by one")):
        own = least["ours"][key]
        print(f"  {words:<24} ours {own:6.3f}", end="")
        figures[key] = own
        if old is not None:
            figures[f"ratio_{key}"] = own / least[OLD][key]
            print(
                f"   {OLD} {least[OLD][key]:6.3f}   ratio {own / least[OLD][key]:5.2f}   (wanted: at most 0.5)", end=""
            )
        print()
    print(f"  memory                   {figures['bytes_a_record']:,.0f} bytes a record")
    return figures


if __name__ == "__main__":
    if len(sys.argv) == 3:
        print(json.dumps(child(int(sys.argv[1]), sys.argv[2])))
    else:
        main()
