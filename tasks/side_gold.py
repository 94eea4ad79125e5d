"""Give a benchmark's samples the gold boxes of a file beside its data (`run --boxes`), checked before asking.

Only samples that the file speaks of are looked at, so that a few boxes cost a few pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from harness.evaluation.side_boxes import SHOWN, SideTally, check_tasks, read_side_boxes
from tasks.local_data import TaskData
from tasks.run_questions import Question


def with_side_gold(path: Path, questions: Sequence[Question]) -> tuple[list[Question], SideTally]:
    """Return what is asked with the boxes of a file as its gold, and what became of the file's lines.

    Raises:
        ConfigError: The file is damaged, or no line is about a sample that is asked.
    """
    side = read_side_boxes(path)
    check_tasks(side, [question.benchmark.name for question in questions])
    tally = SideTally(side)
    ids: dict[str, frozenset[str]] = {}
    for question in questions:
        name, adapter = question.benchmark.name, question.benchmark.adapter
        for doc in question.data:
            if side.line_of(name, adapter.id_of(doc)) is not None:
                tally.with_boxes(adapter.sample_of(doc))
        every_row = TaskData(question.data.rows)  # with --limit some are not asked
        ids[name] = frozenset(adapter.id_of(doc) for doc in every_row)
    tally.check_any([f"{name} {own}" for name, known in ids.items() for own in sorted(known)[:SHOWN]])
    tally.close(ids)
    return [_with_gold(question, tally) for question in questions], tally


def _with_gold(question: Question, tally: SideTally) -> Question:
    """Return a question whose samples carry the file's boxes."""
    own = question.benchmark.adapter
    adapter = replace(own, sample_of=lambda doc: tally.with_boxes(own.sample_of(doc)))
    return replace(question, benchmark=replace(question.benchmark, adapter=adapter))
