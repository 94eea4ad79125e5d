"""DocVQA and InfographicVQA, validation: questions about scanned pages and about infographics, scored by ANLS.

The hub has both in one data set, told apart by its configuration. Its rows name the kinds of a question in lists, and
a row counts in each: `question_types` (DocVQA), `answer_type` and `operation/reasoning` (InfographicVQA). Pages of one
document are one cluster where the row names it (`ucsf_document_id`), else the page's picture is. VLMEvalKit's files
have the answers in `answer` and none of this.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.values import Json, Sample
from tasks.adapter import Adapter, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, answers_of, list_of, paragraphs, text_of
from tasks.chartqa import SHORT_ANSWER


def id_of(doc: Doc) -> str:
    """Return the question's id (the hub), else the index."""
    return row_id(doc, "questionId", "index")


def question_text(doc: Doc) -> str:
    """Return the question, and that a short answer is wanted."""
    return paragraphs(text_of(doc, "question"), SHORT_ANSWER)


def cluster_of(doc: Doc) -> str:
    """Return the document, else the picture."""
    return text_of(doc, "ucsf_document_id") or image_cluster(image_facts_of(image_value(doc)), id_of(doc))


def sampler(task: str, kinds: tuple[str, ...]) -> Callable[[Doc], Sample]:
    """Make the function that makes a sample of a row; `kinds` are the columns that list what kind of question it is."""

    def sample_of(doc: Doc) -> Sample:
        facts = image_facts_of(image_value(doc))
        extra: dict[str, Json] = {kind: list[Json](list_of(doc.get(kind))) for kind in kinds if list_of(doc.get(kind))}
        return Sample(
            id=id_of(doc),
            task=task,
            answer_rule="anls",
            question=text_of(doc, "question"),
            answers=answers_of(doc.get("answers")) or answers_of(doc.get("answer")) or None,
            cluster=text_of(doc, "ucsf_document_id") or image_cluster(facts, id_of(doc)),
            image_size=facts.size if facts else None,
            image_sha256=facts.sha256 if facts else "",
            extra=extra,
        )

    return sample_of


def _benchmark(name: str, title: str, config: str, kinds: tuple[str, ...], tsv_file: str, rows: int) -> Benchmark:
    return embedded(
        name,
        title=title,
        hub_path="lmms-lab-encoder/DocVQA",
        hub_config=config,
        hub_split="validation",
        hub_columns=("image", "question", "answers", "questionId"),
        tsv_files=(tsv_file,),
        tsv_columns=("index", "image", "question", "answer"),
        optional_columns=kinds,
        rows_expected=rows,
        adapter=Adapter(sampler(name, kinds), question_text, id_of, cluster_of),
        groups=("doc",),
    )


BENCHMARKS = (
    _benchmark("docvqa", "DocVQA (validation)", "DocVQA", ("question_types",), "DocVQA_VAL.tsv", 5349),
    _benchmark(
        "infovqa",
        "InfographicVQA (validation)",
        "InfographicVQA",
        ("answer_type", "operation/reasoning"),
        "InfoVQA_VAL.tsv",
        2801,
    ),
)
"""Where their rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
