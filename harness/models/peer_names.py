"""What other evaluation programs call our benchmarks: VLMEvalKit's data sets and lmms-eval 0.7.3's tasks.

A foreign name is never taken for ours in silence, since the peers keep several versions of one benchmark: it is
refused, with the name that is meant.
"""

from __future__ import annotations

from collections.abc import Collection
from types import MappingProxyType

from harness.errors import did_you_mean

_EN, _CN = "mmbench_en_dev", "mmbench_cn_dev"

PEER_NAMES: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        # VLMEvalKit
        "mmbench_dev_en": (_EN,),
        "mmbench_dev_en_v11": (_EN,),
        "mmbench_dev_cn": (_CN,),
        "mmbench_dev_cn_v11": (_CN,),
        "mmbench": (_EN, _CN),
        "mmbench_v11": (_EN, _CN),
        "mmbench_test_en_v11": ("mmbench_en_test",),
        "mmbench_test_cn_v11": ("mmbench_cn_test",),
        "mathvista_mini": ("mathvista",),
        "chartqa_test": ("chartqa",),
        "textvqa_val": ("textvqa",),
        "docvqa_val": ("docvqa",),
        "infovqa_val": ("infovqa",),
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
    }
)
"""Our tasks by a peer's name in lower case, with `_` for `-` and blanks."""

_OTHERS: MappingProxyType[str, str] = MappingProxyType(
    {
        **{
            f"mmbench_test_{language}": (
                "MMBench 1.0's test split, whose answers are not public; that of 1.1 is "
                f"'mmbench_{language}_test', the dev split 'mmbench_{language}_dev'"
            )
            for language in ("en", "cn")
        },
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
    if len(separated) > 1 and all(part in known or _meant(part, known) for part in separated):
        names = (name for part in separated for name in ([part] if part in known else _meant(part, known)))
        return f": tasks are given by commas: {','.join(dict.fromkeys(names))}"
    if other := _OTHERS.get(_plain(word)):
        return f": {other}."
    meant = _meant(word, known)
    if len(meant) == 1:
        return f": here it is called {meant[0]!r}."
    if meant:
        return f": here it is {len(meant)} tasks, {' and '.join(map(repr, meant))}; give one or both, by commas."
    return f".{did_you_mean(word, list(known))}"


def _plain(word: str) -> str:
    return "_".join(word.casefold().replace("-", " ").replace("_", " ").split())


def _meant(word: str, known: Collection[str]) -> tuple[str, ...]:
    """Return the known tasks that a foreign name stands for."""
    plain = _plain(word)
    meant = PEER_NAMES.get(plain, (plain,))
    return tuple(name for name in meant if name in known)
