"""Test splits whose answers only their authors have: MMBench 1.1, DocVQA and InfographicVQA.

They are asked as the splits with labels are; every sample is null (`no_gold`), and `satori-bench submission` writes the
file that the authors' server takes. Where a file holds something in the column of answers it is passed over: the hub
has the text "nan" or null there, and no score may come of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from harness.values import Sample
from tasks import docvqa, mmbench
from tasks.adapter import Adapter
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc

_NO_LABELS = "No labels: a run gives no score, and `satori-bench submission` writes the official file."


def _without_answers(sample_of: Callable[[Doc], Sample], doc: Doc) -> Sample:
    """Return a row's sample without whatever the row holds as its answer."""
    return replace(sample_of(doc), answers=None)


def _test_split(name: str, sample_of: Callable[[Doc], Sample], adapter: Adapter, **fields: Any) -> Benchmark:
    return embedded(
        name,
        hub_split="test",
        adapter=replace(adapter, sample_of=partial(_without_answers, sample_of)),
        notes=_NO_LABELS,
        groups=("submission",),
        **fields,
    )


def _mmbench(language: str, title: str) -> Benchmark:
    """Return MMBench 1.1's test split in one language, which the authors' file has and the hub has not."""
    name = f"mmbench_{language}_test"
    sample_of = partial(mmbench.sample_of, task=name)
    file = f"MMBench_TEST_{language.upper()}_V11.tsv"
    return _test_split(
        name,
        sample_of,
        Adapter(sample_of, mmbench.question_text, mmbench.id_of, mmbench.cluster_of),
        title=title,
        hub_columns=("index", "image", "question", "A", "B"),
        tsv_files=(file,),
        tsv_columns=("index", "image", "question", "A", "B"),
        optional_columns=("hint", "C", "D", "category", "L2-category|l2-category|l2_category"),
        download=(
            f"It is no data set of the hub's: get {file} from "
            f"https://opencompass.openxlab.space/utils/benchmarks/MMBench/{file} (VLMEvalKit's own address)."
        ),
    )


def _document(name: str, title: str, config: str, kinds: tuple[str, ...], rows: int) -> Benchmark:
    """Return a test split of the hub's; VLMEvalKit's files lack the number under which an answer is handed in."""
    sample_of = docvqa.sampler(name, kinds)
    return _test_split(
        name,
        sample_of,
        Adapter(sample_of, docvqa.question_text, docvqa.id_of, docvqa.cluster_of),
        title=title,
        hub_path="lmms-lab-encoder/DocVQA",
        hub_config=config,
        hub_columns=("image", "question", "questionId"),
        optional_columns=kinds,
        rows_expected=rows,
    )


BENCHMARKS = (
    _mmbench("en", "MMBench 1.1 test (English)"),
    _mmbench("cn", "MMBench 1.1 test (Chinese)"),
    _document("docvqa_test", "DocVQA (test)", "DocVQA", ("question_types",), 5188),
    _document("infovqa_test", "InfographicVQA (test)", "InfographicVQA", ("answer_type", "operation/reasoning"), 3288),
)
"""Where their rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
