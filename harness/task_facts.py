"""Declare once per benchmark what its numbers are: answer rule, clusters, categories, metrics, who judges it.

This table is also the list of benchmarks: `tasks/catalog.py` takes their rows from the file of `tasks/` that is named
here.

Everything that names, makes, checks or shows a benchmark's numbers reads this table: `scores.json`, comparisons, ranks,
the gate, the leaderboard, pages and tables. A task that is not in it has one metric, the mean over its samples.

How the benchmarks aggregate (VLMEvalKit and lmms-eval, read in source):

- MMBench is circular. A question counts as right when every pass that is present is right; passes that are missing are
  not asked for, questions without their base pass do not count. `vanilla_accuracy` is the mean over samples;
- MMStar under `lmms-eval` is the mean of the l2 categories' means, as that program averages averages;
- MME has per subtask 100 * accuracy over questions + 100 * share of images with both questions right; `perception` sums
  ten subtasks (at most 2000), `cognition` four (at most 800), `total` both. VLMEvalKit passes over other subtasks;
  lmms-eval adds up what is there and takes every subtask that is not perception for cognition. An image has two
  questions; VLMEvalKit takes more;
- OCRBench's `score` is the number of right answers: `strict` gives it for the full 1,000 only and keeps its scale where
  some of them could not be scored, the peers count those of any set;
- POPE asks whether a thing is in a picture, in three samplings of things, and measures the answers "yes" as finds:
  precision, recall, F1 and how often "yes" was said. A question of two samplings counts in both, as in the authors'
  files and in VLMEvalKit, whose `Overall` is F1. An answer that is neither yes nor no finds nothing; lmms-eval leaves
  it out of recall, takes each row once, and gives as yes ratio that of the gold answers. Where yes is never right, both
  give 0, and we nothing;
- HallusionBench counts questions (aAcc), figures with all their questions right (fAcc), and questions right on all
  figures of their set (qAcc).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Literal, TypeAlias

from harness.values import AnswerRule, Protocol
from harness.vocabulary import PLACE_RULES

Scale: TypeAlias = Literal["fraction", "points"]
"""`fraction`: from 0 to 1, shown in percent; `points`: the benchmark's own, such as MME's 2800."""

UnitKind: TypeAlias = Literal[
    "sample", "question", "image_of_two", "image_of_more", "figure", "question_of_set", "sample_in_category", "said",
    "said_in_category",
]  # fmt: skip
"""What a metric counts: samples; MMBench questions with their passes; MME images with their two (or more) questions;
HallusionBench's figures, and its questions over all figures of a set; a sample once for each of its categories, which
commas join; whether yes and whether no was said to a sample, or to a sample in each of its categories."""

Earned: TypeAlias = Literal["answer", "answer_and_place", "said"]
"""What a sample gives a metric: its answer's score; or 1 where the answer is right and the union IoU at least 0.5,
else 0, and nothing where either of the two could not be scored (the quadrant `right_answer_right_place`); or what it
said: 1 for yes, 0 for no, one half for neither."""

Combination: TypeAlias = Literal[
    "mean", "count", "mean_of_l2", "sum_of_categories", "precision", "recall", "f1", "yes_ratio", "recall_or_0",
    "f1_or_0", "recall_of_said", "f1_of_said", "gold_yes_ratio",
]  # fmt: skip
"""How units become a number: their mean; how many are right; the mean of the l2 categories' means; the sum of the
categories' means, whose units are drawn within their category, as the benchmark fixes how many each has; or a ratio of
sums over what was said (`RATES` in `harness/summary/measures.py`), where `or_0` is 0 where yes is never right, and
`of_said` leaves out what was neither."""

PartRule: TypeAlias = Literal["these_alone", "these", "these_if_there", "all_others"]
"""Which categories a sum takes: the named ones, where none is missing and (`these_alone`) no unknown one is there;
those of them that are there; those that are there and not named."""

MME_PERCEPTION = (
    "OCR", "artwork", "celebrity", "color", "count", "existence", "landmark", "position", "posters", "scene",
)  # fmt: skip
"""Subtasks of MME's perception score."""

MME_COGNITION = ("code_reasoning", "commonsense_reasoning", "numerical_calculation", "text_translation")
"""Subtasks of MME's cognition score."""

IMAGE_POINTS = 200
"""Most that an MME image, and so a subtask, can earn."""

OCRBENCH_ROWS = 1000
"""Rows of the full OCRBench, so that its score reaches 1000."""

VISUAL_COT_SOURCES = (
    "cub", "docvqa", "dude", "emotic", "flickr30k", "gqa", "infographicsvqa", "openimages", "sroie", "textcap",
    "textvqa", "visual7w", "vsr",
)  # fmt: skip
"""Sources of Visual CoT's benchmark, each a benchmark of its own."""

OCRBENCH_TEXT_RECOGNITION = (
    "Regular Text Recognition",
    "Irregular Text Recognition",
    "Artistic Text Recognition",
    "Handwriting Recognition",
    "Digit String Recognition",
    "Non-Semantic Text Recognition",
)
"""OCRBench categories that its report adds up as Text Recognition."""


@dataclass(frozen=True, slots=True)
class AnswerMetric:
    """One number that a benchmark makes of its answers."""

    name: str
    """As in `scores.json`."""
    unit: UnitKind = "sample"
    """What it counts."""
    combine: Combination = "mean"
    """How."""
    most: int | None = None
    """Greatest value where it counts the benchmark's own points; None for a fraction."""
    parts: tuple[str, ...] = ()
    """Categories that `part_rule` speaks of."""
    part_rule: PartRule = "these"
    """Which categories a sum takes."""
    adds: tuple[str, ...] = ()
    """Names of the metrics whose categories it takes together, in place of `parts`."""
    full_rows: int | None = None
    """A count needs so many samples, and is given on their scale; None counts those of any set."""
    earned: Earned = "answer"
    """What a sample gives it."""

    @property
    def scale(self) -> Scale:
        """How to show it."""
        return "fraction" if self.most is None else "points"


_ACCURACY = AnswerMetric("accuracy")
_BOTH_RIGHT = AnswerMetric("right_answer_right_place", earned="answer_and_place")


@dataclass(frozen=True, slots=True)
class TaskFacts:
    """What is known of one benchmark."""

    answer_rule: AnswerRule = "accepted"
    """What kind of answer a row wants."""
    file: str | None = ""
    """The file of `tasks/` that knows its rows, without `.py`; empty where it is called like the benchmark, None where
    answers to it are scored but it is never asked."""
    metrics: tuple[AnswerMetric, ...] = (_ACCURACY,)
    """What it makes of the answers, the headline first."""
    metrics_under: Mapping[Protocol, tuple[AnswerMetric, ...]] = field(
        default_factory=dict[Protocol, tuple[AnswerMetric, ...]]
    )
    """The same under protocols that aggregate in another way; the names stay."""
    cluster: Literal["own", "question", "image"] = "own"
    """What makes samples dependent: their own cluster; MMBench's question; MME's image."""
    categories: tuple[str, ...] = ("category",)
    """Where its categories stand, best first: `category`, `l2_category`, or a column of `extra`."""
    l2_categories: tuple[str, ...] = ("l2_category",)
    """The same for the second level; without any, the categories put together by `groups`."""
    groups: Mapping[str, str] = field(default_factory=dict[str, str])
    """Category to second-level category, where these differ."""
    judged: bool = False
    """Whether a judge may decide what its rules leave open."""
    judge_reads_options: bool = False
    """Whether lmms-eval has the judge tell which option a free answer means."""
    captioned: bool = False
    """Whether its rows carry reference captions."""
    shown: tuple[str, ...] = ()
    """Metrics that get a line in a closing table; empty for the headline alone."""

    @property
    def headline(self) -> str:
        """The metric that stands for the benchmark."""
        return self.metrics[0].name

    @property
    def placed(self) -> bool:
        """Whether where an answer looks is part of the benchmark's own numbers."""
        return any(metric.earned == "answer_and_place" for metric in self.metrics) or self.answer_rule in PLACE_RULES

    @property
    def category_most(self) -> int | None:
        """Greatest score of a category that counts points of its own; None for fractions."""
        return IMAGE_POINTS if self.cluster == "image" else None

    @property
    def reads_extra(self) -> bool:
        """Whether its units or categories stand in the official columns of `extra`."""
        return (
            self.cluster != "own"
            or bool({*self.categories, *self.l2_categories} - {"category", "l2_category"})
            or any(metric.unit in {"figure", "question_of_set"} for metric in self.metrics)
        )

    @property
    def reads_answers(self) -> bool:
        """Whether its numbers want the gold beside the scores: what was said is a find or not by what is right."""
        return any(metric.earned == "said" for metric in self.metrics)

    def metrics_of(self, protocol: Protocol) -> tuple[AnswerMetric, ...]:
        """Return what it makes of the answers under a protocol, the headline first."""
        return self.metrics_under.get(protocol, self.metrics)


def _mme(unit: UnitKind, perception: PartRule, cognition: tuple[PartRule, tuple[str, ...]]) -> tuple[AnswerMetric, ...]:
    """Return MME's sums over images of a kind, and the mean over questions."""
    points = AnswerMetric("total", unit, "sum_of_categories", 2800, adds=("perception", "cognition"))
    rule, parts = cognition
    return (
        points,
        replace(points, name="perception", most=2000, parts=MME_PERCEPTION, part_rule=perception, adds=()),
        replace(points, name="cognition", most=800, parts=parts, part_rule=rule, adds=()),
        _ACCURACY,
    )


_MME_OF_MORE = _mme("image_of_more", "these", ("these", MME_COGNITION))
_OCRBENCH_SCORE = AnswerMetric("score", combine="count", most=OCRBENCH_ROWS)

_SAID = AnswerMetric("f1", "said_in_category", "f1", earned="said")
_POPE = (
    _SAID,
    AnswerMetric("accuracy", "sample_in_category"),
    replace(_SAID, name="precision", combine="precision"),
    replace(_SAID, name="recall", combine="recall"),
    replace(_SAID, name="yes_ratio", combine="yes_ratio"),
)
_POPE_VLMEVALKIT = (
    replace(_SAID, combine="f1_or_0"),
    *_POPE[1:3],
    replace(_SAID, name="recall", combine="recall_or_0"),
    _POPE[-1],
)
_SAID_ONCE = replace(_SAID, unit="said", combine="f1_of_said")
_POPE_LMMS_EVAL = (
    _SAID_ONCE,
    _ACCURACY,
    replace(_SAID_ONCE, name="precision", combine="precision"),
    replace(_SAID_ONCE, name="recall", combine="recall_of_said"),
    replace(_SAID_ONCE, name="yes_ratio", combine="gold_yes_ratio"),
)

_MMBENCH = TaskFacts(
    "choice",
    file="mmbench",
    metrics=(AnswerMetric("accuracy", "question"), AnswerMetric("vanilla_accuracy")),
    cluster="question",
    judged=True,
    judge_reads_options=True,
)

_ANSWER_AND_PLACE = (_BOTH_RIGHT, _ACCURACY)
_SHOWN_PLACED = ("right_answer_right_place", "accuracy")
_PLACED_CHOICE = TaskFacts("choice", metrics=_ANSWER_AND_PLACE, shown=_SHOWN_PLACED)

FACTS: Mapping[str, TaskFacts] = {
    "mmbench_en_dev": _MMBENCH,
    "mmbench_cn_dev": _MMBENCH,
    "mmstar": TaskFacts("choice", metrics_under={"lmms-eval": (replace(_ACCURACY, combine="mean_of_l2"),)}),
    "mme": TaskFacts(
        "yes_no",
        metrics=_mme("image_of_two", "these_alone", ("these_alone", MME_COGNITION)),
        metrics_under={
            "vlmevalkit": _MME_OF_MORE,
            "paper": _MME_OF_MORE,
            "lmms-eval": _mme("image_of_two", "these_if_there", ("all_others", MME_PERCEPTION)),
        },
        cluster="image",
        l2_categories=(),
        shown=("perception", "cognition", "total"),
    ),
    "ocrbench": TaskFacts(
        "ocr",
        metrics=(replace(_OCRBENCH_SCORE, full_rows=OCRBENCH_ROWS), _ACCURACY),
        metrics_under=dict.fromkeys(("vlmevalkit", "paper", "lmms-eval"), (_OCRBENCH_SCORE, _ACCURACY)),
        categories=("category", "question_type"),
        l2_categories=(),
        groups=dict.fromkeys(OCRBENCH_TEXT_RECOGNITION, "Text Recognition"),
        shown=("score", "accuracy"),
    ),
    "mathvista": TaskFacts(
        "mathvista", categories=("task", "category"), l2_categories=("skills", "l2_category"), judged=True
    ),
    "chartqa": TaskFacts("relaxed", l2_categories=()),
    "textvqa": TaskFacts("vqa", l2_categories=()),
    "docvqa": TaskFacts("anls", metrics=(AnswerMetric("anls"),), categories=("question_types",), l2_categories=()),
    "infovqa": TaskFacts(
        "anls",
        file="docvqa",
        metrics=(AnswerMetric("anls"),),
        categories=("answer_type",),
        l2_categories=("operation/reasoning",),
    ),
    "pope": TaskFacts(
        "yes_no",
        metrics=_POPE,
        metrics_under={
            "vlmevalkit": _POPE_VLMEVALKIT,
            "paper": _POPE_VLMEVALKIT,
            "lmms-eval": _POPE_LMMS_EVAL,
        },
        l2_categories=(),
        shown=("f1", "accuracy"),
    ),
    "hallusion_bench": TaskFacts(
        "yes_no",
        metrics=(AnswerMetric("aAcc"), AnswerMetric("fAcc", "figure"), AnswerMetric("qAcc", "question_of_set")),
        shown=("aAcc", "fAcc", "qAcc"),
    ),
    **dict.fromkeys(("ai2d", "scienceqa"), TaskFacts("choice", file="numbered_choice")),
    "shapes": TaskFacts(file="grounded", captioned=True),
    **dict.fromkeys(
        (
            *(f"{name}_{split}" for name in ("refcoco", "refcoco+") for split in ("val", "testA", "testB")),
            "refcocog_val",
            "refcocog_test",
        ),
        TaskFacts("box", file="refcoco", metrics=(AnswerMetric("acc@0.5"),)),
    ),
    "screenspot_v2": TaskFacts("point"),
    "multihopspatial": _PLACED_CHOICE,
    "treebench": _PLACED_CHOICE,
    "vstar": _PLACED_CHOICE,
    "vqa_verify": TaskFacts(metrics=_ANSWER_AND_PLACE, captioned=True, shown=_SHOWN_PLACED),
    **dict.fromkeys(
        (f"visual_cot_{source}" for source in VISUAL_COT_SOURCES),
        TaskFacts(file="visual_cot", metrics=_ANSWER_AND_PLACE, shown=_SHOWN_PLACED),
    ),
    "satori": TaskFacts(file=None),
}
"""Every benchmark with rules of its own, by short name."""

_FAMILIES: Mapping[str, TaskFacts] = {"mmbench_": _MMBENCH}
"""Facts of every task whose name begins so, such as other languages of MMBench."""

_PLAIN = TaskFacts()


@lru_cache(maxsize=256)
def facts_of(task: str) -> TaskFacts:
    """Return what is known of a task; the plain facts of one that nothing is known of."""
    found = FACTS.get(task)
    return found or next((facts for begin, facts in _FAMILIES.items() if task.startswith(begin)), _PLAIN)


POINT_MAXIMA: Mapping[str, int] = {
    metric.name: metric.most for facts in FACTS.values() for metric in facts.metrics if metric.most is not None
}
"""Metrics that count a benchmark's own points instead of a share, and the most that each can be."""
