"""HR-Bench 4K and 8K: small things in very large pictures, four options, each question asked in four cycles of them.

The authors' tables (`hr_bench_4k.tsv`, the hub's split `hrbench_4k`) have the options in columns and the picture as
base64 text. `category` is `single` (about one thing) or `cross` (about several); `cycle_category` names the cycle,
which is the second-level category here: the score is the mean of the cycles' means. A question's four rows show one
picture and are one cluster.
"""

from __future__ import annotations

from functools import partial

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, lettered_columns, listed, paragraphs, text_of


def id_of(doc: Doc) -> str:
    """Return the index."""
    return row_id(doc, "index")


def question_text(doc: Doc) -> str:
    """Return the question with its options."""
    return paragraphs(text_of(doc, "question"), listed(lettered_columns(doc)))


def sample_of(doc: Doc, task: str) -> Sample:
    """Return the sample of a row."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip()
    return Sample(
        id=id_of(doc),
        task=task,
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        choices=lettered_columns(doc),
        category=text_of(doc, "category"),
        l2_category=text_of(doc, "cycle_category"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


_COLUMNS = ("index", "image", "question", "answer", "A", "B", "category", "cycle_category")


def _version(size: str) -> Benchmark:
    """Return one of the two sizes."""
    name = f"hr_bench_{size}"
    return embedded(
        name,
        title=f"HR-Bench {size.upper()}",
        hub_path="DreamMr/HR-Bench",
        hub_config="hrbench_version_split",
        hub_split=f"hrbench_{size}",
        hub_columns=_COLUMNS,
        tsv_files=(f"HRBench{size.upper()}.tsv", f"hr_bench_{size}.tsv"),
        tsv_columns=_COLUMNS,
        optional_columns=("C", "D"),
        rows_expected=800,
        notes="200 questions in four cycles of their options; the score is the mean of the cycles' means.",
        adapter=Adapter(partial(sample_of, task=name), question_text, id_of, cluster_by_image(id_of)),
        groups=("perception", "hr_bench"),
    )


BENCHMARKS = (_version("4k"), _version("8k"))
"""Where their rows come from: hub path, splits and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
