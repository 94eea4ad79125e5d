"""Say in a sentence how another program's rules part from `strict`, and where that was seen.

The rules themselves are code, each with its quirks in its own docstring (`harness/scoring/answers/`). Here is what a
person needs who sees two scores of the same texts: `parity` and the pages show it beside them, and
`docs/protocols.md` has all of it, held equal by a test.

Sources are files of the versions that `PEER_VERSIONS` names: of VLMEvalKit below `vlmeval/dataset/` (`utils/` there),
of lmms-eval below `lmms_eval/tasks/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from harness.values import AnswerRule, Protocol


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a protocol parts from `strict`."""

    says: str
    """A sentence."""
    source: str
    """The file of the other program in which it was read."""


_VLM_CHOICE = Difference(
    "A letter counts only among the last four words; without one, an option whose text is any part of a short answer "
    "does ('hotdog' is dog), and 'A dog' is A.",
    "vlmeval/utils/matching_util.py",
)
_PAPER_CHOICE = Difference(
    "A lone capital letter counts anywhere in the answer, else the only option whose text is any part of it, however "
    "long the answer is.",
    "vlmeval/utils/matching_util.py at 7faa5b47",
)
_LMMS_CHOICE = Difference(
    "Only letters are read, never option texts, and the best-dressed or last one is taken where several stand: 'A or "
    "B' is A, 'DOG' is D.",
    "_task_utils/mcq_extract.py",
)
_VLM_YES_NO = Difference(
    "Yes or no counts as a word anywhere in the answer, a negation notwithstanding ('not yes' is yes); both or neither "
    "is wrong.",
    "utils/yorn.py",
)
_LMMS_MME = Difference(
    "Only the first four characters are looked at: 'The answer is yes' is neither, 'None' is no.", "mme/utils.py"
)
_VLM_OCR = Difference(
    "An accepted answer within the answer counts, as under strict, but an empty one is part of every answer, and of "
    "handwritten formulas only blanks and line breaks are dropped.",
    "image_vqa.py (OCRBench)",
)
_VLM_MATHVISTA = Difference(
    "A number is what Python's int or float takes, equal without any precision, and 0 is never right at once; lists "
    "and texts never are. What is left is a judge's; without one it is 0.",
    "utils/mathvista.py",
)
_VLM_MATHVISION = (
    "An option is read as of any options, and a letter found is final. A free answer is right as a text, as what "
    "Python's eval makes of it ('A' is the gold's own value there) or as a LaTeX number within 1e-6; roots and pi are "
    "none. What is left is a judge's; without one it is 0."
)
_MATHS: Mapping[Protocol, Difference] = {
    "vlmevalkit": Difference(f"{_VLM_MATHVISION} '3(4)' is 7 and '50\\%' nothing.", "utils/mathv.py"),
    "paper": Difference(f"{_VLM_MATHVISION} 'x=5' is 5, '\\boxed{{5}}' nothing.", "utils/mathv.py at 7faa5b47"),
    "lmms-eval": Difference(
        "What stands in the last box, behind 'the answer is' or in the whole answer is compared with the letter and "
        "with the option's text, numbers at two decimals; no judge.",
        "mathvision/utils.py and mathvision/eval_utils.py",
    ),
}
_RELAXED_QUIRKS = "'%' divides by 100 on either side, and '1,000' is no number"

OF_RULES: Mapping[AnswerRule, Mapping[Protocol, Difference]] = MappingProxyType(
    {
        "choice": {"vlmevalkit": _VLM_CHOICE, "paper": _PAPER_CHOICE, "lmms-eval": _LMMS_CHOICE},
        "yes_no": {"vlmevalkit": _VLM_YES_NO, "paper": _VLM_YES_NO, "lmms-eval": _LMMS_MME},
        "ocr": {
            "vlmevalkit": _VLM_OCR,
            "paper": _VLM_OCR,
            "lmms-eval": Difference(
                "An accepted answer within the answer counts, with full-width letters taken for ASCII ones.",
                "ocrbench/utils.py",
            ),
        },
        "mathvista": {
            "vlmevalkit": _VLM_MATHVISTA,
            "paper": _VLM_MATHVISTA,
            "lmms-eval": Difference(
                "Numbers are compared as texts, rounded to a precision that must be a whole number: the hub's 1.0 "
                "makes every float answer wrong. An answer that is no option's text is a judge's, and what the judge "
                "says becomes the option that is nearest by letters.",
                "mathvista/mathvista_evals.py",
            ),
        },
        "maths": _MATHS,
        "accepted": {
            "paper": Difference(
                "The stripped answer must be one of the accepted ones letter for letter, as SATORI's reward has it.",
                "SATORI-R1's plugin.py",
            )
        },
        "mmmu": {
            "vlmevalkit": Difference(
                "Options as for `choice`; an open question has two, A its answer and B 'Other Answers', so 'A' is "
                "right and so is any short answer that contains the gold: 15 for 5.",
                "utils/multiple_choice.py (MMMU_preproc)",
            ),
            "paper": Difference(
                "Options as for `choice`; an open question has two, A its answer and B 'Other Answers', so 'A' is "
                "right and so is any answer that contains the gold: 15 for 5.",
                "utils/multiple_choice.py at 7faa5b47 (MMMU_preproc)",
            ),
            "lmms-eval": Difference(
                "A letter in brackets, before a blank or before a point, the last of several; an answer without one is "
                "wrong here and a random option there. A gold text within an open answer counts ('not acidic' for "
                "acidic), numbers at two decimals; of several accepted answers none does.",
                "_task_utils/mmmu_mcq_utils.py and mmmu/utils.py",
            ),
        },
        "relaxed": {
            "vlmevalkit": Difference(
                f"Within 5 % of the gold, by Python's float: {_RELAXED_QUIRKS}; the best of several golds.",
                "utils/vqa_eval.py",
            ),
            "paper": Difference(
                f"Gold and answer are swapped, so the 5 % are those of the answer; {_RELAXED_QUIRKS}.",
                "utils/vqa_eval.py at 7faa5b47",
            ),
            "lmms-eval": Difference(
                f"The answer as it came, blanks and all, within 5 % of the gold; {_RELAXED_QUIRKS}.", "chartqa/utils.py"
            ),
        },
        "vqa": {
            "vlmevalkit": Difference(
                "The same measure, where articles, contractions and punctuation are taken away by patterns with slips: "
                "'the' equals 'a', and a comma between digits makes all other marks vanish.",
                "utils/vqa_eval.py and vlmeval/smp/misc.py",
            ),
            "paper": Difference(
                "As VLMEvalKit today, but a point behind a digit is dropped too: '5.' is 5.",
                "utils/vqa_eval.py at 7faa5b47",
            ),
            "lmms-eval": Difference(
                "The same measure, where commas and question marks are dropped first and 's is set apart.",
                "_task_utils/vqa_eval_metric.py",
            ),
        },
        "anls": {
            "vlmevalkit": Difference(
                "The edit distance is of stripped texts, the length that it is divided by of unstripped ones, so "
                "blanks around an answer make it more alike; a likeness of just 0.5 counts.",
                "utils/vqa_eval.py",
            ),
            "paper": Difference(
                "As VLMEvalKit today: unstripped lengths, and a likeness of just 0.5 counts.",
                "utils/vqa_eval.py at 7faa5b47",
            ),
            "lmms-eval": Difference(
                "A likeness of just 0.5 counts, and blanks within the golds change the length that the distance is "
                "divided by.",
                "lmms_eval/api/metrics.py (anls)",
            ),
        },
        "box": {
            "vlmevalkit": Difference(
                "The first four numbers are the box whatever its dialect: up to 1.5 fractions of the sides, up to 1000 "
                "thousandths, above that pixels; it is cut at the image and its corners are ordered.",
                "refcoco.py",
            ),
            "lmms-eval": Difference(
                "The first four numbers in brackets are fractions of the sides, whatever their size.",
                "refcoco/utils_rec.py",
            ),
        },
    }
)
"""By the rule of the rows, for protocols that have one of their own; `short` goes by benchmark alone."""

_VLM_MATHVERSE = (
    "A judge takes the answer out and compares it. Without one an answer is right only if it is the gold letter for "
    "letter: no option is read, no number compared."
)
_VLM_OLYMPIADBENCH = (
    "Expressions are equal only if they are built alike (0.5 is no \\frac{1}{2}), since a call to a function that was "
    "commented out ends the comparison of values; a hundredth and a hundredfold are right (0.5 for 50); intervals are "
    "compared up to the shorter."
)
_WEMATH_525 = "Rates and scores are divided by 525 problems, so one that was not asked counts as mastered."

_MMBENCH = (
    "mmbench_en_dev", "mmbench_cn_dev", "mmbench_en_dev_v11", "mmbench_cn_dev_v11", "mmbench_en_test",
    "mmbench_cn_test",
)  # fmt: skip
_LMMS_MMBENCH = Difference(
    "A letter A to E as a word is read first, without taking brackets, stars or braces away, then the only option text "
    "within the answer, where a missing option is the text 'nan'; what is left goes through MMStar's reader.",
    "mmbench/mmbench_evals.py",
)
_LMMS_HR_BENCH = Difference(
    "Letters and option texts are read as VLMEvalKit did in March 2025: a lone letter anywhere, else the only text.",
    "hrbench/hrbench_evals.py",
)
_VLM_REALWORLDQA = Difference(
    "It is a benchmark of options alone: a row without any earns nothing.", "image_mcq.py (RealWorldQA)"
)
_VLM_BLINK = Difference("The score is the mean over questions, not over the subtasks' means.", "image_mcq.py (BLINK)")
_VLM_ZEROBENCH = Difference(
    "The gold must be a part of the last pair of braces: '{15}' is right for 5, and without braces nothing is.",
    "image_vqa.py (ZEROBench)",
)
_LMMS_ZEROBENCH = Difference(
    "The whole answer must be the gold, decimals by value: '5 cm' is no number, and braces are a part of it.",
    "zerobench/utils.py",
)

OF_TASKS: Mapping[str, Mapping[Protocol, Difference]] = MappingProxyType(
    {
        **{name: {"lmms-eval": _LMMS_MMBENCH} for name in _MMBENCH},
        "mmstar": {
            "lmms-eval": Difference(
                "The score is the mean of the 18 second-level categories' means, not the mean over questions.",
                "mmstar/utils.py",
            )
        },
        "mme": {
            "vlmevalkit": Difference(
                "Subtasks that it does not know are passed over, and an image may have more than two questions.",
                "utils/yorn.py",
            ),
            "paper": Difference(
                "Subtasks that it does not know are passed over, and an image may have more than two questions.",
                "utils/yorn.py at 7faa5b47",
            ),
            "lmms-eval": Difference(
                "The subtasks that are there are added up, whichever they are; every one that is not perception counts "
                "as cognition.",
                "mme/utils.py",
            ),
        },
        "ocrbench": {
            **dict.fromkeys(
                ("vlmevalkit", "paper"),
                Difference("The right answers of any number of rows are counted.", "image_vqa.py (OCRBench)"),
            ),
            "lmms-eval": Difference("The right answers of any number of rows are counted.", "ocrbench/utils.py"),
        },
        "pope": {
            **dict.fromkeys(
                ("vlmevalkit", "paper"),
                Difference(
                    "An answer that is neither counts as no in F1 and as wrong in accuracy; F1 is 0 where yes is "
                    "never right.",
                    "utils/yorn.py",
                ),
            ),
            "lmms-eval": Difference(
                "The whole answer in lower case must be yes or no ('Yes.' is wrong); only a no is a miss, each row "
                "counts once, and the yes ratio is that of the gold.",
                "pope/utils.py",
            ),
        },
        "hallusion_bench": {
            "lmms-eval": Difference(
                "An answer that contains yes is yes, any other is no: 'I do not know' is no.",
                "hallusion_bench/evaluate_hb.py",
            )
        },
        "ai2d": {
            "lmms-eval": Difference(
                "A capital letter with a point at the start, else the whole answer, must be the letter: 'The answer is "
                "B' is nothing.",
                "ai2d/utils.py",
            )
        },
        "mmmu_pro_vision": {
            "lmms-eval": Difference("The whole answer must be the letter: 'B.' is wrong.", "mmmu_pro/utils.py")
        },
        "mathverse": {
            "vlmevalkit": Difference(_VLM_MATHVERSE, "utils/mathverse.py"),
            "paper": Difference(_VLM_MATHVERSE, "utils/mathverse.py at 7faa5b47"),
            "lmms-eval": Difference(
                "A judge compares the whole answer with the gold; without one every answer is wrong.",
                "mathverse/mathverse_evals.py",
            ),
        },
        "olympiadbench": {
            "vlmevalkit": Difference(_VLM_OLYMPIADBENCH, "utils/olympiadbench.py"),
            "paper": Difference(_VLM_OLYMPIADBENCH, "utils/olympiadbench.py at 7faa5b47"),
            "lmms-eval": Difference(
                "Values are compared, exactly where the row allows no error; an allowed error is handed over as a text "
                "and fails every comparison. A hundredth and a hundredfold are right.",
                "olympiadbench/olympiadbench_evals.py",
            ),
        },
        "wemath": {
            **dict.fromkeys(
                ("vlmevalkit", "paper"),
                Difference(
                    "The letter that begins what follows the last 'Answer' ('Banana' is B, '(B)' nothing); with a "
                    f"judge options are read as elsewhere. {_WEMATH_525}",
                    "utils/wemath.py",
                ),
            ),
            "lmms-eval": Difference(
                "The best-dressed letter A to H of what stands in <answer> or the last box: one at the start before "
                f"one at the end. {_WEMATH_525}",
                "_task_utils/reasoning_utils.py and wemath/wemath_utils.py",
            ),
        },
        "realworldqa": {
            "vlmevalkit": _VLM_REALWORLDQA,
            "paper": _VLM_REALWORLDQA,
            "lmms-eval": Difference(
                "A gold A to D is looked for by MMStar's reader; any other is compared whole, case and closing points "
                "aside: 'three' is not 3.",
                "realworldqa/utils.py",
            ),
        },
        **{
            name: {"vlmevalkit": _VLM_ZEROBENCH, "lmms-eval": _LMMS_ZEROBENCH}
            for name in ("zerobench", "zerobench_subquestions")
        },
        **{name: {"lmms-eval": _LMMS_HR_BENCH} for name in ("hr_bench_4k", "hr_bench_8k")},
        "cv_bench": {
            "lmms-eval": Difference(
                "The first letter of the text is the answer, in any case: 'The answer is B' is T. The score is the "
                "mean over questions, not over the parts' means.",
                "cv_bench/utils.py",
            )
        },
        "blink": {
            "vlmevalkit": _VLM_BLINK,
            "paper": _VLM_BLINK,
            "lmms-eval": Difference(
                "A short first line, else the last letter behind 'answer', else the last capital in brackets, else the "
                "first letter of the text is taken: 'By the look of it' is B.",
                "blink/utils.py",
            ),
        },
        "scienceqa": {
            "lmms-eval": Difference(
                "The answer must be the letter alone, or a capital letter with a point at the start.",
                "scienceqa/utils.py",
            )
        },
    }
)
"""By benchmark: how it is read where its kind of answer does not say it all, and how its answers are put together."""


def differences_of(task: str, rule: AnswerRule, protocol: Protocol) -> tuple[Difference, ...]:
    """Return how a protocol parts from `strict` on a benchmark: how it reads, then what is the benchmark's own.

    A benchmark's own reader stands in place of its kind's.
    """
    of_task = OF_TASKS.get(task, {}).get(protocol)
    of_rule = OF_RULES.get(rule, {}).get(protocol)
    own_reader = (task, protocol) in _OWN_READERS
    return tuple(found for found in (None if own_reader else of_rule, of_task) if found is not None)


_PEERS: tuple[Protocol, ...] = ("vlmevalkit", "paper", "lmms-eval")
_OWN_READERS = frozenset(
    {
        *(
            (task, "lmms-eval")
            for task in (
                *_MMBENCH, "pope", "hallusion_bench", "ai2d", "scienceqa", "mmmu_pro_vision", "hr_bench_4k",
                "hr_bench_8k", "cv_bench", "blink",
            )
        ),
        *((task, peer) for task in ("mathverse", "olympiadbench", "wemath") for peer in _PEERS),
    }
)  # fmt: skip
"""Where a benchmark's sentence says how it is read, so that its kind's would be untrue."""
