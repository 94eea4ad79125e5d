"""BLINK: fourteen kinds of perception, multiple choice about one to four pictures.

The hub has a configuration a subtask, which are read as one here: pictures in `image_1` to `image_4`, options as a
list, the answer as `(A)`, and in `prompt` the question as the authors ask it. Their test split has no answers.
VLMEvalKit's TSV has a list of pictures and the options as columns. Questions that begin with the same picture are one
cluster.
"""

from __future__ import annotations

from harness.values import Sample
from tasks.adapter import Adapter, image_cluster, image_facts_of, row_id, seen_pictures
from tasks.benchmark import embedded
from tasks.cells import Doc, lettered, lettered_columns, list_of, listed, paragraphs, text_of

_NO_ANSWER = "hidden"
"""What stands in the place of an answer in the test split."""


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options from their columns, else from the list."""
    return lettered_columns(doc) or lettered(list_of(doc.get("choices")))


def id_of(doc: Doc) -> str:
    """Return the authors' name, such as `val_Counting_1`, else the index."""
    return row_id(doc, "idx", "index")


def question_text(doc: Doc) -> str:
    """Return the authors' prompt, else the question with its options."""
    return text_of(doc, "prompt") or paragraphs(text_of(doc, "question"), listed(choices_of(doc)))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    images = _ADAPTER.shown(doc).images
    seen = seen_pictures(images)
    answer = text_of(doc, "answer").strip().strip("()")
    return Sample(
        id=id_of(doc),
        task="blink",
        answer_rule="choice",
        question=text_of(doc, "question"),
        answers=(answer,) if answer and answer != _NO_ANSWER else None,
        choices=choices_of(doc),
        category=text_of(doc, "sub_task", "category"),
        cluster=image_cluster(image_facts_of(images[0]), id_of(doc)),
        image_size=seen.image_size,
        image_sha256=seen.image_sha256,
        pictures=seen.pictures,
    )


def cluster_of(doc: Doc) -> str:
    """Return the first picture's hash."""
    return image_cluster(image_facts_of(_ADAPTER.image_value(doc)), id_of(doc))


_PICTURES = ("image_1", "image_2", "image_3", "image_4", "image")
_ADAPTER = Adapter(sample_of, question_text, id_of, cluster_of, image_columns=_PICTURES, several_images=True)

BENCHMARKS = (
    embedded(
        "blink",
        title="BLINK",
        hub_path="BLINK-Benchmark/BLINK",
        hub_split="val",
        hub_files="*/val-*.parquet",
        hub_columns=("idx", "sub_task", "image_1", "question", "choices", "answer"),
        image_columns=_PICTURES,
        tsv_files=("BLINK.tsv",),
        tsv_columns=("index", "image", "question", "answer", "A", "B"),
        optional_columns=("sub_task|category", "prompt"),
        rows_expected=1901,
        notes="The mean of the means of 14 subtasks; one to four pictures a question.",
        adapter=_ADAPTER,
        groups=("perception",),
    ),
)
"""Where its rows come from: hub path, split and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
