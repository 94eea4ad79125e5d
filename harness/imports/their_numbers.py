"""Which of another program's own numbers stands for which of our metrics, and on which scale.

Only numbers that count the same thing are set against ours; all others are kept as they are and compared with nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from harness.imports.foreign import Tool
from harness.task_facts import facts_of
from harness.values import AnswerRule

Pairs: TypeAlias = tuple[tuple[str, str, float], ...]
"""Their name, our metric, and what theirs is divided by to be on our scale."""

_PERCENT: Final = 100.0

_LMMS_EVAL: Final[Mapping[str, Pairs]] = {
    # metric_list of the YAMLs of lmms-eval 0.7.3; `,none` is the name of no filter
    "mmstar": (("average,none", "accuracy", 1.0),),
    "mme": (("mme_perception_score,none", "perception", 1.0), ("mme_cognition_score,none", "cognition", 1.0)),
    "pope": (("pope_f1_score,none", "f1", 1.0), ("pope_accuracy,none", "accuracy", 1.0)),
    "ocrbench": (("ocrbench_accuracy,none", "score", 0.001),),  # points of a thousand, whatever number of rows
    "chartqa": (("relaxed_overall,none", "accuracy", 1.0),),
    "textvqa": (("exact_match,none", "accuracy", 1.0),),
    "docvqa": (("anls,none", "anls", 1.0),),
    "infovqa": (("anls,none", "anls", 1.0),),
    "scienceqa": (("exact_match,none", "accuracy", 1.0),),
    "mmmu_val": (("mmmu_acc,none", "accuracy", 1.0),),
    **dict.fromkeys(("mmbench_en_dev", "mmbench_cn_dev"), (("gpt_eval_score,none", "accuracy", _PERCENT),)),
}

_VLMEVALKIT: Final[Mapping[str, Pairs]] = {
    # vlmeval/dataset at e8e78f05: image_yorn.py, image_vqa.py
    "mme": (("perception", "perception", 1.0), ("reasoning", "cognition", 1.0)),
    "ocrbench": (("Final Score", "score", 1.0),),  # its norm divides by 10 whatever number of rows there is
    "hallusion_bench": (
        ("Overall/aAcc", "aAcc", _PERCENT), ("Overall/fAcc", "fAcc", _PERCENT), ("Overall/qAcc", "qAcc", _PERCENT),
    ),
    "pope": (
        ("Overall", "f1", _PERCENT), ("acc", "accuracy", _PERCENT),  # a table of one split
        ("Overall/Overall", "f1", _PERCENT), ("Overall/acc", "accuracy", _PERCENT),
    ),
    "docvqa": (("Overall", "anls", _PERCENT),),
    "infovqa": (("Overall", "anls", _PERCENT),),
}  # fmt: skip

_VLMEVALKIT_BY_RULE: Final[Mapping[AnswerRule, Pairs]] = {
    "choice": (("Overall", "accuracy", 1.0),),  # image_mcq.py writes shares
    "relaxed": (("Overall", "accuracy", _PERCENT),),  # image_vqa.py writes percent
    "vqa": (("Overall", "accuracy", _PERCENT),),
}


def compared_numbers(tool: Tool, task: str, theirs: Mapping[str, float]) -> dict[str, float]:
    """Return those of a program's numbers that stand for metrics of ours, by our name and on our scale."""
    return {ours: theirs[name] / scale for name, ours, scale in _pairs(tool, task, theirs) if name in theirs}


def _pairs(tool: Tool, task: str, theirs: Mapping[str, float]) -> Pairs:
    facts = facts_of(task)
    if tool == "lmms-eval":
        return _LMMS_EVAL.get(task, ())
    if tool == "vlmevalkit":
        return _VLMEVALKIT.get(task) or _VLMEVALKIT_BY_RULE.get(facts.answer_rule, ())
    accuracies = [name for name in theirs if name.endswith("/accuracy")]
    plain = facts.headline == "accuracy" and facts.metrics[0].combine == "mean" and facts.metrics[0].unit == "sample"
    # two scorers give two accuracies, and nobody says which is the log's
    return ((accuracies[0], "accuracy", 1.0),) if len(accuracies) == 1 and plain else ()
