"""CV-Bench: how many, where, which is nearer: multiple choice about pictures of ADE20K, COCO (2D) and Omni3D (3D).

The hub's rows have the options as a list, the answer as `(C)`, and in `prompt` the question as the authors ask it, with
its options. VLMEvalKit has a TSV for each half, whose rows have the options as columns. `task` (Count, Relation, Depth,
Distance) is the category, `source` the second level, of which the official number is made.
"""

from __future__ import annotations

from harness.values import Sample
from tasks.adapter import Adapter, cluster_by_image, image_cluster, image_facts_of, image_value, row_id
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered, lettered_columns, list_of, listed, paragraphs, text_of


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options from their columns, else from the list."""
    return lettered_columns(doc) or lettered(list_of(doc.get("choices")))


def id_of(doc: Doc) -> str:
    """Return the half and the number in it: VLMEvalKit's two files begin anew."""
    half = text_of(doc, "type", "split")
    return f"{half}/{row_id(doc, 'idx', 'index')}" if half else row_id(doc, "idx", "index")


def question_text(doc: Doc) -> str:
    """Return the authors' prompt, else the question with its options."""
    return text_of(doc, "prompt") or paragraphs(text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row; questions about the same image are one cluster."""
    facts = image_facts_of(image_value(doc))
    answer = text_of(doc, "answer").strip().strip("()")
    return Sample(
        id=id_of(doc),
        task="cv_bench",
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer else None,
        choices=choices_of(doc),
        category=text_of(doc, "task", "category"),
        l2_category=text_of(doc, "source"),
        cluster=image_cluster(facts, id_of(doc)),
        image_size=facts.size if facts else None,
        image_sha256=facts.sha256 if facts else "",
    )


BENCHMARKS = (
    embedded(
        "cv_bench",
        title="CV-Bench",
        hub_path="nyu-visionx/CV-Bench",
        hub_columns=("image", "question", "choices", "answer", "source"),
        tsv_files=("CV-Bench-2D.tsv", "CV-Bench-3D.tsv"),
        tsv_parts=True,
        tsv_columns=("index", "image", "question", "answer", "A", "B", "source"),
        optional_columns=("idx|index", "task|category", "prompt"),
        rows_expected=2638,
        licence="Apache-2.0 (the dataset's card)",
        notes="accuracy is the mean of 2D and 3D; 2D is that of its two sources. VLMEvalKit's two files are one here.",
        adapter=Adapter(sample_of, question_text, id_of, cluster_by_image(id_of)),
        groups=("perception",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
