"""MMBench, circular: a question is right when every pass of it that is present is right."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from harness.means import Answers, ScoredRow, Unit, mean_answers, mean_metric, null_metric, row_unit
from harness.sample_columns import MMBENCH_PASS, cluster_of, mmbench_group, whole_number
from harness.values import Protocol, Sample


def mmbench_answers(rows: Sequence[ScoredRow], protocol: Protocol, seed: int) -> Answers:
    """Share of questions whose every present pass is right; the protocols agree on this."""
    del protocol, seed
    vanilla = mean_metric([row_unit(row) for row in rows])
    homeless = sum(mmbench_group(row.sample) is None for row in rows)
    if homeless:
        accuracy = null_metric(
            f"{homeless:,} rows have neither index nor group, so that their passes cannot be put together"
        )
        return Answers(0, {"accuracy": accuracy, "vanilla_accuracy": vanilla}, {}, {})
    questions = mmbench_questions(rows)
    answers = mean_answers(questions)
    accuracy = answers.metrics["accuracy"]
    if rows and not questions:
        accuracy = null_metric(f"no base pass (index below {MMBENCH_PASS:,}) among {len(rows):,} rows")
    return replace(answers, metrics={"accuracy": accuracy, "vanilla_accuracy": vanilla})


def mmbench_questions(rows: Sequence[ScoredRow]) -> list[Unit]:
    """Return one unit per question that has its base pass, under that pass's categories."""
    passes: dict[str, list[ScoredRow]] = defaultdict(list)
    for row in rows:
        passes[cluster_of(row.sample)].append(row)
    questions: list[Unit] = []
    for group, members in passes.items():
        base = next((row for row in members if _is_base_pass(row.sample)), None)
        if base is not None:
            value = _all_right([row.score.value for row in members])
            questions.append(replace(row_unit(base), value=value, cluster=group))
    return questions


def _all_right(values: Sequence[float | None]) -> float | None:
    """Return 0 if any value is not 1, else None if any could not be scored, else 1."""
    if any(value is not None and value < 1 for value in values):
        return 0.0
    return None if None in values else 1.0


def _is_base_pass(sample: Sample) -> bool:
    """Tell whether the row is its question's first pass; a row without an index may be."""
    index = whole_number(sample.extra.get("index"))
    group = whole_number(sample.extra.get("g_index"))
    return index is None or (index < MMBENCH_PASS if group is None else index == group)
