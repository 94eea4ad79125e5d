"""What other evaluation programs call our benchmarks: VLMEvalKit's data sets and lmms-eval 0.7.3's tasks.

A foreign name is never taken for ours in silence, since the peers keep several versions of one benchmark: it is
refused, with the name that is meant.
"""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from harness.errors import did_you_mean

_EN, _CN = "mmbench_en_dev", "mmbench_cn_dev"
_EN_V11, _CN_V11 = f"{_EN}_v11", f"{_CN}_v11"
_REFCOCO = tuple(f"refcoco_{split}" for split in ("val", "testA", "testB"))
_REFCOCO_PLUS = tuple(f"refcoco+_{split}" for split in ("val", "testA", "testB"))
_MATHVERSE = ("vision_only", "vision_dominant", "vision_intensive", "text_lite", "text_dominant", "text_only")
"""Its problem versions, which are categories of one task here."""
_REFCOCOG = ("refcocog_val", "refcocog_test")

PEER_NAMES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        # VLMEvalKit
        "mmbench_dev_en": (_EN,),
        "mmbench_dev_en_v11": (_EN_V11,),
        "mmbench_dev_cn": (_CN,),
        "mmbench_dev_cn_v11": (_CN_V11,),
        "mmbench": (_EN, _CN),
        "mmbench_v11": (_EN_V11, _CN_V11),
        "mmbench_test_en_v11": ("mmbench_en_test",),
        "mmbench_test_cn_v11": ("mmbench_cn_test",),
        "mathvista_mini": ("mathvista",),
        "chartqa_test": ("chartqa",),
        "textvqa_val": ("textvqa",),
        "docvqa_val": ("docvqa",),
        "infovqa_val": ("infovqa",),
        "ai2d_test": ("ai2d",),
        "scienceqa_test": ("scienceqa",),
        "hallusionbench": ("hallusion_bench",),
        "hrbench4k": ("hr_bench_4k",),
        "hrbench8k": ("hr_bench_8k",),
        "cv_bench_2d": ("cv_bench",),
        "cv_bench_3d": ("cv_bench",),
        "zerobench_sub": ("zerobench_subquestions",),
        "vstarbench": ("vstar",),
        "mmmu_dev_val": ("mmmu_val",),
        "mmmu_pro_10c": ("mmmu_pro",),
        "mmmu_pro_v": ("mmmu_pro_vision",),
        "mathvision_mini": ("mathvision_testmini",),
        "mathverse_mini": ("mathverse",),
        **{f"mathverse_mini_{version}": ("mathverse",) for version in _MATHVERSE},
        "wemath_cot": ("wemath",),
        # lmms-eval
        "mmbench_en": (_EN,),
        "mmbench_en_dev_lite": (_EN,),
        "mmbench_en_dev_static": (_EN,),
        "mmbench_cn": (_CN,),
        "mmbench_cn_dev_lite": (_CN,),
        "mathvista_testmini": ("mathvista",),
        "mathvista_testmini_cot": ("mathvista",),
        "mathvista_testmini_format": ("mathvista",),
        "mathvista_testmini_solution": ("mathvista",),
        "mmstar_qwen": ("mmstar",),
        "mmstar_oc": ("mmstar",),
        "chartqa_lite": ("chartqa",),
        "textvqa_val_lite": ("textvqa",),
        "docvqa_val_lite": ("docvqa",),
        "infovqa_val_lite": ("infovqa",),
        "ai2d_lite": ("ai2d",),
        "scienceqa_img": ("scienceqa",),
        "hallusion_bench_image": ("hallusion_bench",),
        **dict.fromkeys(("pope_full", "pope_adv", "pope_pop", "pope_random"), ("pope",)),
        "hrbench": ("hr_bench_4k", "hr_bench_8k"),
        "cv_bench_reasoning": ("cv_bench",),
        "vstar_bench": ("vstar",),
        "spatialtreebench": ("treebench",),
        **{f"{name.replace('_', '_bbox_rec_', 1)}": (name,) for name in (*_REFCOCO, *_REFCOCO_PLUS, *_REFCOCOG)},
        "mmmu": ("mmmu_val",),
        **dict.fromkeys(("mmmu_val_qwen", "mmmu_val_reasoning"), ("mmmu_val",)),
        "mmmu_pro_standard": ("mmmu_pro",),
        "mathverse_testmini": ("mathverse",),
        **{f"mathverse_testmini_{version}": ("mathverse",) for version in (*_MATHVERSE, "vision", "text")},
        "mathvision_reason_test": ("mathvision_test",),
        "mathvision_reason_testmini": ("mathvision_testmini",),
        "wemath_testmini_reasoning": ("wemath",),
        "olympiadbench_testmini": ("olympiadbench",),
        **{f"olympiadbench_oe_mm_{subject}_en_comp": ("olympiadbench",) for subject in ("maths", "physics")},
        # as people write them
        "mmbench_dev": (_EN, _CN),
        "mmb": (_EN, _CN),
        "mm_star": ("mmstar",),
        "ocr_bench": ("ocrbench",),
        "math_vista": ("mathvista",),
        "chart_qa": ("chartqa",),
        "text_vqa": ("textvqa",),
        "doc_vqa": ("docvqa",),
        "info_vqa": ("infovqa",),
        "infographicvqa": ("infovqa",),
        "infographic_vqa": ("infovqa",),
        "real_world_qa": ("realworldqa",),
        "hr_bench": ("hr_bench_4k", "hr_bench_8k"),
        "cvbench": ("cv_bench",),
        "zero_bench": ("zerobench",),
        "we_math": ("wemath",),
        "mathvision": ("mathvision_test", "mathvision_testmini"),
        "math_vision": ("mathvision_test", "mathvision_testmini"),
        "math_verse": ("mathverse",),
        "olympiad_bench": ("olympiadbench",),
        "v*": ("vstar",),
        "v*bench": ("vstar",),
        "v*_bench": ("vstar",),
        "science_qa": ("scienceqa",),
        "hallusion": ("hallusion_bench",),
    }
)
"""Our tasks by a peer's name in lower case, with `_` for `-` and blanks."""

OTHERS: MappingProxyType[str, str] = MappingProxyType(
    {
        **{
            f"mmbench_test_{language}": (
                "MMBench 1.0's test split, whose answers are not public; that of 1.1 is "
                f"'mmbench_{language}_test', the dev split 'mmbench_{language}_dev'"
            )
            for language in ("en", "cn")
        },
        "mmmu_test": "its answers are not public, so nothing can score it here; validation is 'mmmu_val'",
        "blink_test": "its answers are not public, so nothing can score it here; validation is 'blink'",
        "ai2d_test_no_mask": "another benchmark than 'ai2d', whose letters are masked, and not known here",
        "ai2d_no_mask": "another benchmark than 'ai2d', whose letters are masked, and not known here",
        "blink_circular": "another benchmark than 'blink', which asks each question once, and not known here",
        **dict.fromkeys(("scienceqa_val", "scienceqa_full"), "another split than 'scienceqa', and not known here"),
        **dict.fromkeys(
            ("mmvet", "mm_vet", "mmvet_hard", "mmvetv2", "mmvet_v2", "mm_vet_v2", "mmvetv2_group_img"),
            "every answer to it is graded by GPT-4, from 0 to 1, even a single number: neither its authors nor a peer "
            "score any part of it by rule, so nothing can score it here; `lmms:mmvetv2` is lmms-eval's own, for which "
            "that program asks GPT-4",
        ),
        "mathvista_test": "its answers are not public, so nothing can score it here; testmini is 'mathvista'",
        "textvqa_test": "its answers are not public, so nothing can score it here; validation is 'textvqa'",
        "ocrbench_v2": "another benchmark than 'ocrbench', and not known here",
        "mme_realworld": "another benchmark than 'mme', and not known here",
    }
)
"""What is near one of our names and yet something else."""


def task_hint(word: str, known: Collection[str]) -> str:
    """Return what a person who wrote an unknown task may have meant, as ` …` or `: …`; the empty text for no idea.

    Args:
        word: What was written.
        known: The names that are possible here; none else is ever given.
    """
    separated = [part for part in word.replace("+", " ").replace(";", " ").split() if part]
    if len(separated) > 1 and all(part in known or tasks_meant(part, known) for part in separated):
        names = (name for part in separated for name in ([part] if part in known else tasks_meant(part, known)))
        return f": tasks are given by commas: {','.join(dict.fromkeys(names))}"
    if other := OTHERS.get(_plain(word)):
        return f": {other}."
    meant = tasks_meant(word, known)
    if len(meant) == 1:
        return f": here it is called {meant[0]!r}."
    if meant:
        return f": here it is {len(meant)} tasks, {' and '.join(map(repr, meant))}; give one or both, by commas."
    return f".{did_you_mean(word, list(known))}"


def _plain(word: str) -> str:
    return "_".join(word.casefold().replace("-", " ").replace("_", " ").split())


def tasks_meant(word: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the known tasks that a foreign name stands for."""
    plain = _plain(word)
    meant = PEER_NAMES.get(plain, (plain,))
    return tuple(name for name in meant if name in known)
