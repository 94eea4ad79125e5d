"""Write a run's scores under several protocols as a versioned JSON object: numbers as they are, texts cut at most."""

from __future__ import annotations

from harness.evaluation.parity import NO_RULE, Agreement, DisagreedSample, RunParity, TaskParity
from harness.summary.task_summary import to_json
from harness.values import Json

PARITY_SCHEMA = 1
"""Version of the object of `parity --json`."""


def parity_to_json(parity: RunParity) -> dict[str, Json]:
    """Return the object: protocols with their versions, and per benchmark scores, agreement, samples, differences."""
    return {
        "schema": PARITY_SCHEMA,
        "run": parity.run,
        "protocols": {str(name): version for name, version in parity.versions.items()},
        "left_out": {str(name): reason for name, reason in parity.left_out.items()},
        "tasks": {task.task: _task(task) for task in parity.tasks},
    }


def _task(task: TaskParity) -> Json:
    return {
        "scores": {
            protocol: {"reason": NO_RULE} if summary is None else to_json(summary)
            for protocol, summary in task.scores.items()
        },
        "agreement": [_agreement(pair) for pair in task.agreements],
        "disagreeing": task.disagreeing,
        "samples": [_sample(sample) for sample in task.shown],
        "samples_left_out": task.left_out,
        "differences": {
            protocol: [{"says": one.says, "source": one.source} for one in found]
            for protocol, found in task.differences.items()
        },
    }


def _agreement(pair: Agreement) -> Json:
    return {"a": pair.a, "b": pair.b, "alike": pair.alike, "samples": pair.samples, "share": pair.share}


def _sample(sample: DisagreedSample) -> Json:
    return {
        "id": sample.id,
        "answers": list[Json](sample.golds),
        "answer": sample.answer,
        "taken": {
            protocol: {"extracted": taken.extracted, "score": taken.value, "faults": list[Json](taken.faults)}
            for protocol, taken in sample.taken.items()
        },
    }
