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
- BLINK is the mean of its subtasks' means in the authors' `eval/evaluate.py`, and in lmms-eval, whose group does not
  weigh by size; VLMEvalKit takes the mean over questions;
- CV-Bench is the mean of its two halves, of which the first, 2D, is the mean of the means of its two sources
  (Cambrian-1, appendix C). VLMEvalKit gives the halves alone; lmms-eval, whose `cv_bench_default_aggregate_results` no
  YAML names, the mean over questions;
- HR-Bench asks every question in four cycles of its options, and is the mean of the cycles' means, in both peers;
- MathVerse has per problem version the mean over its rows, in VLMEvalKit too (`MathVerse_acc`); no program computes a
  mean of these means, and `mean_of_versions` is ours. `accuracy`, the mean over all rows, is lmms-eval's
  `gpt_eval_score` of `mathverse_testmini`;
- We-Math takes a problem's steps, asked alone, and the whole problem together (`utils/wemath.py` in VLMEvalKit,
  `wemath/wemath_utils.py` in lmms-eval). IK, insufficient knowledge: a step and the whole are wrong; IG, inadequate
  generalization: all steps are right, the whole is wrong; CM, complete mastery: all are right (strict), or a step and
  the whole (loose); RM, rote memorization: the whole is right though a step is wrong (strict), or all are (loose). The
  score is 1 - (0.5 IG + RM + IK) / problems; RM is given of those whose whole is right. Both peers divide by 525, the
  number of the benchmark's problems, and so count one that was not asked as mastered; `strict` divides by those that
  are there with all their steps. S1, S2 and S3 are the means over steps, and over wholes of two and of three steps;
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
    "sample", "question", "image_of_two", "image_of_more", "figure", "question_of_set", "problem", "sample_in_category",
    "said", "said_in_category",
]  # fmt: skip
"""What a metric counts: samples; MMBench questions with their passes; MME images with their two (or more) questions;
HallusionBench's figures, and its questions over all figures of a set; what became of a We-Math problem, of which all
steps and the whole are there; a sample once for each of its categories, which
commas join; whether yes and whether no was said to a sample, or to a sample in each of its categories."""

Earned: TypeAlias = Literal["answer", "answer_and_place", "said"]
"""What a sample gives a metric: its answer's score; or 1 where the answer is right and the union IoU at least 0.5,
else 0, and nothing where either of the two could not be scored (the quadrant `right_answer_right_place`); or what it
said: 1 for yes, 0 for no, one half for neither."""

Combination: TypeAlias = Literal[
    "mean", "count", "mean_of_categories", "mean_of_l2", "sum_of_categories", "precision", "recall", "f1", "yes_ratio",
    "recall_or_0", "f1_or_0", "recall_of_said", "f1_of_said", "gold_yes_ratio", "score_strict", "score_loose",
    "insufficient_knowledge", "inadequate_generalization", "mastery_strict", "mastery_loose", "rote_strict",
    "rote_loose",
]  # fmt: skip
"""How units become a number: their mean; how many are right; the mean of the means of categories, or of l2 categories
(of those that `parts` names, or of the means that `adds` names); the sum of the categories' means, whose units are
drawn within their category, as the benchmark fixes how many each has; or a ratio of sums over what was said (`RATES` in
`harness/summary/measures.py`), where `or_0` is 0 where yes is never right and `of_said` leaves out what was neither, or
over what became of problems (`OUTCOME_RATES` there)."""

SubmissionFile: TypeAlias = Literal["mmbench", "rrc"]
"""The file that a benchmark's authors take for a split whose labels they keep: MMBench's table, or the list of the
Robust Reading Competition (DocVQA, InfographicVQA); `harness/evaluation/submission.py` writes both."""

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

WEMATH_PROBLEMS = 525
"""Problems of We-Math, each with its steps."""

WEMATH_STEPS = ("S1", "S2", "S3")
"""We-Math's questions: one step alone, and whole problems of two and of three."""

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
    """Categories that `part_rule` speaks of; for means l2 categories."""
    part_rule: PartRule = "these"
    """Which categories a sum or a mean of parts takes."""
    adds: tuple[str, ...] = ()
    """Names of the metrics whose categories it takes together, in place of `parts`; a mean weighs them alike."""
    full_rows: int | None = None
    """A count needs so many samples, and is given on their scale; None counts those of any set."""
    of_units: int | None = None
    """What a rate of problems is divided by, whatever number of them is there; None for that number."""
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

    submission: SubmissionFile | None = None
    """The official file for its answers, where nobody but its authors has the labels; None where it has labels."""

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
            or any(metric.unit in {"figure", "question_of_set", "problem"} for metric in self.metrics)
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

_CV_BENCH_2D, _CV_BENCH_3D = ("ADE20K", "COCO"), ("Omni3D",)
_CV_BENCH = (
    replace(_ACCURACY, combine="mean_of_l2", adds=("accuracy_2d", "accuracy_3d")),
    AnswerMetric("accuracy_2d", combine="mean_of_l2", parts=_CV_BENCH_2D, part_rule="these_alone"),
    AnswerMetric("accuracy_3d", combine="mean_of_l2", parts=_CV_BENCH_3D, part_rule="these_alone"),
)
_CV_BENCH_LMMS_EVAL = (_ACCURACY, *(replace(metric, combine="mean", part_rule="these") for metric in _CV_BENCH[1:]))

_WEMATH_RATE_NAMES: tuple[tuple[str, Combination], ...] = (
    ("score_strict", "score_strict"),
    ("score_loose", "score_loose"),
    ("IK", "insufficient_knowledge"),
    ("IG", "inadequate_generalization"),
    ("CM_strict", "mastery_strict"),
    ("CM_loose", "mastery_loose"),
    ("RM_strict", "rote_strict"),
    ("RM_loose", "rote_loose"),
)
_WEMATH_RATES = tuple(AnswerMetric(name, "problem", combine) for name, combine in _WEMATH_RATE_NAMES)
_WEMATH_ACCURACIES = (*(AnswerMetric(name, parts=(name,)) for name in WEMATH_STEPS), _ACCURACY)
_WEMATH_OF_525 = tuple(replace(metric, of_units=WEMATH_PROBLEMS) for metric in _WEMATH_RATES) + _WEMATH_ACCURACIES

_MATHVISION = TaskFacts("maths", file="mathvision", judged=True)

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
    "mmbench_en_dev_v11": _MMBENCH,
    "mmbench_cn_dev_v11": _MMBENCH,
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
    **dict.fromkeys(("mmmu_val", "mmmu_pro", "mmmu_pro_4options", "mmmu_pro_vision"), TaskFacts("mmmu", file="mmmu")),
    # Alone it names no split: answers to it are scored, and the splits are asked.
    "mathvision": replace(_MATHVISION, file=None),
    **dict.fromkeys(("mathvision_testmini", "mathvision_test"), _MATHVISION),
    "mathverse": TaskFacts(
        "maths",
        metrics=(AnswerMetric("mean_of_versions", combine="mean_of_categories"), _ACCURACY),
        l2_categories=("subjects", "l2_category"),
        judged=True,
        shown=("mean_of_versions", "accuracy"),
    ),
    "wemath": TaskFacts(
        "choice",
        metrics=(*_WEMATH_RATES, *_WEMATH_ACCURACIES),
        metrics_under=dict.fromkeys(("vlmevalkit", "paper", "lmms-eval"), _WEMATH_OF_525),
        judged=True,
        shown=("score_strict", "score_loose"),
    ),
    "olympiadbench": TaskFacts("maths"),
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
    **dict.fromkeys(
        ("mmbench_en_test", "mmbench_cn_test"), replace(_MMBENCH, file="unlabelled", judged=False, submission="mmbench")
    ),
    "docvqa_test": TaskFacts(
        "anls",
        file="unlabelled",
        metrics=(AnswerMetric("anls"),),
        categories=("question_types",),
        l2_categories=(),
        submission="rrc",
    ),
    "infovqa_test": TaskFacts(
        "anls",
        file="unlabelled",
        metrics=(AnswerMetric("anls"),),
        categories=("answer_type",),
        l2_categories=("operation/reasoning",),
        submission="rrc",
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
    "realworldqa": TaskFacts("short", l2_categories=()),
    **dict.fromkeys(
        ("hr_bench_4k", "hr_bench_8k"),
        TaskFacts("choice", file="hr_bench", metrics=(replace(_ACCURACY, combine="mean_of_l2"),)),
    ),
    "blink": TaskFacts(
        "choice",
        metrics=(replace(_ACCURACY, combine="mean_of_categories"),),
        metrics_under=dict.fromkeys(("vlmevalkit", "paper"), (_ACCURACY,)),
        l2_categories=(),
    ),
    **dict.fromkeys(("zerobench", "zerobench_subquestions"), TaskFacts("short", file="zerobench", l2_categories=())),
    "cv_bench": TaskFacts(
        "choice",
        metrics=_CV_BENCH,
        metrics_under={"lmms-eval": _CV_BENCH_LMMS_EVAL},
        shown=("accuracy", "accuracy_2d", "accuracy_3d"),
    ),
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
    **dict.fromkeys(("refcoco", "refcoco+", "refcocog"), TaskFacts("box", None, metrics=(AnswerMetric("acc@0.5"),))),
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


NATIVE_PREFIX = "lmms:"
"""Begins the name of a task of lmms-eval's own, in `--tasks` and wherever its numbers stand."""


def is_native(task: str) -> bool:
    """Tell whether a task is lmms-eval's own, whose numbers lmms-eval's own code makes."""
    return task.startswith(NATIVE_PREFIX)


def is_native_metric(name: str) -> bool:
    """Tell whether a metric is one of lmms-eval's own, by its key `metric,filter`: no name of ours has a comma."""
    return "," in name


POINT_MAXIMA: Mapping[str, int] = {
    metric.name: metric.most for facts in FACTS.values() for metric in facts.metrics if metric.most is not None
}
"""Metrics that count a benchmark's own points instead of a share, and the most that each can be."""
