"""Say in a sentence what a fault, a metric or a word in a column's head means; pages link to it where it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from harness.values import Fault

FAULTS_EXPLAINED: Final[Mapping[Fault, str]] = {
    "missing": "A stage that the format asks for is not in the text.",
    "empty": "A stage is there and holds nothing.",
    "unclosed": "A stage was opened and never closed; nothing in it counts.",
    "multiple": "A stage stands in the text more than once; the last complete answer counts.",
    "truncated": "The token budget ended the text.",
    "bad_order": "The stages do not come in the order that the format asks for.",
    "malformed": "A box is not four numbers in brackets; it earns nothing.",
    "non_finite": "A box holds a number that is infinite or none; it earns nothing.",
    "degenerate": "A box has no width or no height; it earns nothing.",
    "inverted": "A box's right or lower edge comes before its left or upper one; it earns nothing.",
    "out_of_image": "A box reaches beyond the picture; it is cut at the edge.",
    "frame_unknown": "Nothing says in which frame the numbers of a box are meant, so boxes are not scored.",
    "other_dialect": "Boxes are written as the family writes them, not as the format asks; their place counts.",
    "point": "Points are written where boxes were wanted; they earn nothing.",
    "quad": "Four corners are written where boxes were wanted; they earn nothing.",
    "no_source": "A box lies in a crop that no step before it made, or the question shows several pictures.",
    "no_match": "No single answer could be read from the text; it scores 0.",
    "no_gold": "The sample has nothing to score against; it counts in no number.",
    "needs_judge": "Only a judge could score this answer, and there was none; it counts in no number.",
    "judge_error": "The judge failed or its reply could not be read; the sample counts in no number.",
    "error": "The sample could not be asked or scored; it counts in no number, and the run says how many did so.",
}
"""Every fault."""

METRICS_EXPLAINED: Final[Mapping[str, str]] = {
    "accuracy": "Mean score of the answers, in percent, as the benchmark aggregates it: MMBench counts a question as "
    "right when every rotation of its options is.",
    "vanilla_accuracy": "Mean score of MMBench's rows, each rotation for itself, in percent.",
    "accuracy_2d": "CV-Bench: mean of the accuracies on ADE20K and on COCO, in percent.",
    "accuracy_3d": "CV-Bench: accuracy on Omni3D, in percent.",
    "perception": "MME: sum of ten subtasks, at most 2,000 points.",
    "cognition": "MME: sum of four subtasks, at most 800 points.",
    "total": "MME: perception and cognition together, at most 2,800 points.",
    "score": "OCRBench: right answers of 1,000, in points.",
    "anls": "Mean likeness of answers to the nearest gold by edit distance, in percent; a half and less is 0.",
    "f1": "POPE: harmonic mean of precision and recall of yes, in percent; an answer that is neither yes nor no finds "
    "nothing.",
    "precision": "POPE: share of the yes said that are right, in percent.",
    "recall": "POPE: share of the questions to be answered with yes that were, in percent.",
    "yes_ratio": "POPE: share of the questions that were answered with yes, in percent; under lmms-eval those whose "
    "right answer is yes.",
    "aAcc": "HallusionBench: share of right answers, in percent.",
    "fAcc": "HallusionBench: share of figures with all their questions right, in percent.",
    "qAcc": "HallusionBench: share of questions that are right on all figures of their set, in percent.",
    "mean_of_versions": "MathVerse: mean of the accuracies on the versions of its problems, in percent; no other "
    "program computes it.",
    "score_strict": "We-Math: problems whose steps and whole are right, and half of those whose whole alone is wrong, "
    "in percent.",
    "score_loose": "We-Math: problems of which the whole and a step are right, and half of those whose whole alone is "
    "wrong, in percent.",
    "IK": "We-Math, insufficient knowledge: share of problems of which a step and the whole are wrong, in percent.",
    "IG": "We-Math, inadequate generalization: share of problems whose steps are right and whose whole is wrong, in "
    "percent.",
    "CM_strict": "We-Math, complete mastery: share of problems whose steps and whole are right, in percent.",
    "CM_loose": "We-Math, complete mastery: share of problems of which the whole and a step are right, in percent.",
    "RM_strict": "We-Math, rote memorization: of the problems whose whole is right, share with a wrong step, in "
    "percent.",
    "RM_loose": "We-Math, rote memorization: of the problems whose whole is right, share with every step wrong, in "
    "percent.",
    "S1": "We-Math: accuracy on single steps, in percent.",
    "S2": "We-Math: accuracy on whole problems of two steps, in percent.",
    "S3": "We-Math: accuracy on whole problems of three steps, in percent.",
    "format": "Share of texts that keep to the format wholly, in percent.",
    "caption": "Mean likeness of the caption to the reference caption, in percent.",
    "bbox": "Mean reward of the boxes, in percent.",
    "parse_rate": "Share of texts with a box that could be read, in percent; no gold is needed to say it.",
    "boxes_per_text": "Mean number of boxes in a text that lie in the image at least in part.",
    "area_share": "Mean share of the image that a text's boxes cover together, in percent; one that is near 100 looks "
    "nowhere.",
    "outside_share": "Share of the texts with boxes of which a box reaches out of the image, in percent.",
    "mean_iou": "Mean overlap of the model's boxes with the gold boxes, as areas of unions, from 0 to 1; a sample "
    "without a usable box counts as 0, unless its text left the boxes out as its format allows: that is not counted.",
    "acc@0.5": "Share of samples with an IoU of at least 0.5, in percent.",
    "matched_iou": "Mean overlap of boxes matched one to one, from 0 to 1; a box too few or too many costs.",
    "box_precision@0.5": "Share of the model's boxes that match a gold box at an IoU of at least 0.5, in percent.",
    "box_recall@0.5": "Share of the gold boxes that a box of the model matches at an IoU of at least 0.5, in percent.",
    "valid_steps": "Share of the steps of all thoughts that look at a place in the picture, in percent.",
    "first_step_iou": "Mean overlap of the first place that a thought looks at with the gold boxes, from 0 to 1.",
    "last_step_iou": "Mean overlap of the last place that a thought looks at with the gold boxes, from 0 to 1.",
    "narrowing_steps": "Share of the steps that look closer, inside of where the step before them looked, in percent.",
}
"""Metrics that tables name."""

WORDS_EXPLAINED: Final[Mapping[str, str]] = {
    "95 %": "An interval of the method that covers the true value in 95 of 100 repetitions; clusters are resampled.",
    "change": "Score of the later side less that of the earlier, on the samples that both have. ▲ and ▼ mark changes "
    "whose adjusted p is below 0.05.",
    "p": "How often chance alone would make a change at least this large, in either direction.",
    "Holm p": "p after Holm's adjustment for all headlines on the page.",
    "q": "p after Benjamini and Hochberg's adjustment for all exploratory rows on the page.",
    "n": "What the score counts: samples, or the benchmark's own units such as MMBench's questions.",
    "clusters": "Independent groups of samples, such as all questions about one picture.",
    "MDE": "Minimum detectable effect: the least true change that these samples would show 80 % of the time.",
    "lost / gained": "Units that were right before and are wrong now, and the other way round.",
    "format faults": "Share of texts with any fault that says that the text itself did not keep to the format.",
    "cut off": "Share of texts that the token budget ended.",
    "unscored": "Samples without a value; they are left out of score and n.",
    "IoU": "Area of the overlap of two sets of boxes over the area of their union, from 0 to 1.",
    "answer and place": "Whether the answer is right (a score of at least 0.5), and whether the boxes are where the "
    "gold is (an IoU of at least the cut).",
    "coupling": "How much more often the answer is right where the place is: P(right | IoU at or above the cut) less "
    "P(right | below it).",
    "rank": "Where a model may stand when all models of a column are resampled together; models of one group cannot be "
    "told from its best.",
    "protocol": "The rules by which a raw answer becomes a score.",
    "chance": "What one of the options at random, or a coin for yes and no, earns on the same questions, aggregated as "
    "the benchmark is; a dash where questions have no options.",
    "one answer": "What giving the one answer that is right most often earns on every question, with that answer.",
    "visual gain": "The score less that of the same model's blind run (`run --blind`), which was asked the same "
    "questions without their pictures: what the score owes to seeing. Paired on the samples that both have.",
    "known overlap": "Why a score may be inflated by what the model was trained on, with the source of the claim.",
}
"""Words in the heads of columns."""


@dataclass(frozen=True, slots=True)
class GlossaryPart:
    """One kind of entry."""

    title: str
    """What these are."""
    entries: tuple[tuple[str, str], ...]
    """Term and sentence."""


GLOSSARY: Final = (
    GlossaryPart("Words", tuple(WORDS_EXPLAINED.items())),
    GlossaryPart("Metrics", tuple(METRICS_EXPLAINED.items())),
    GlossaryPart("Faults", tuple(FAULTS_EXPLAINED.items())),
)
"""Every entry of a page's glossary."""
