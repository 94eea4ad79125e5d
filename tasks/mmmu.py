"""MMMU's validation split, and MMMU-Pro: college questions with one picture or several, also in the options.

A question or an option names a picture of its row as `<image 2>`; the hub has them in the columns `image_1` to
`image_7`, VLMEvalKit's TSV as a list in one. The hub's options are a list that is written as text, the TSV's columns.
MMMU's open questions want a number or a few words, of which several may be right. MMMU-Pro's variant `vision` has
question and options within its one picture.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from harness.values import Json, Sample
from tasks.adapter import Adapter, row_id, seen_pictures
from tasks.benchmark import Benchmark, embedded
from tasks.cells import Doc, answers_of, lettered, lettered_columns, list_of, listed, paragraphs, text_of
from tasks.shown_pictures import shown_by

if TYPE_CHECKING:
    from tasks.rows import Rows

IMAGE_COLUMNS: Final = (*(f"image_{number}" for number in range(1, 8)), "image")

VISION_QUESTION: Final = (
    "Answer the multiple-choice question in the picture. Give the letter of the right option of those in the picture."
)

DISCIPLINES: Final[Mapping[str, tuple[str, ...]]] = {
    "Art & Design": ("Art", "Art_Theory", "Design", "Music"),
    "Business": ("Accounting", "Economics", "Finance", "Manage", "Marketing"),
    "Science": ("Biology", "Chemistry", "Geography", "Math", "Physics"),
    "Health & Medicine": (
        "Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine", "Pharmacy",
        "Public_Health",
    ),
    "Humanities & Social Science": ("History", "Literature", "Sociology", "Psychology"),
    "Tech & Engineering": (
        "Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics", "Energy_and_Power",
        "Materials", "Mechanical_Engineering",
    ),
}  # fmt: skip
"""The subjects of each discipline (Yue et al. 2024, arXiv 2311.16502, figure 3), by the names that ids have."""

_DISCIPLINE_OF: Final = {subject: discipline for discipline, subjects in DISCIPLINES.items() for subject in subjects}
_ID: Final = re.compile(r"(?P<split>dev|validation|test)_(?P<subject>\w+)_\d+")
_NO_ANSWER: Final = frozenset({"", "?"})
"""What stands for an answer that is not public."""


def choices_of(doc: Doc) -> dict[str, str]:
    """Return the options: from their columns, else from the list; none where the question is open."""
    return lettered_columns(doc) or lettered(list_of(doc.get("options")))


def id_of(doc: Doc) -> str:
    """Return the id, such as `validation_Accounting_1`, else the index."""
    return row_id(doc, "id", "index")


def subject_of(doc: Doc) -> str:
    """Return the subject, which an id holds where no column does."""
    found = _ID.fullmatch(text_of(doc, "id"))
    named = text_of(doc, "subject", "category").strip().replace(" ", "_")
    return named or (found["subject"] if found else "")


def question_text(doc: Doc, *, task: str) -> str:
    """Return question and options."""
    if task.endswith("_vision"):
        return VISION_QUESTION
    return paragraphs(text_of(doc, "question"), listed(choices_of(doc)))


def answers_of_row(doc: Doc) -> tuple[str, ...] | None:
    """Return the right letter, or what an open question accepts; None where the answer is not public."""
    found = answers_of(doc.get("answer"))
    answers = tuple(answer.strip() for answer in found if answer.strip() not in _NO_ANSWER)
    return answers or None


def sample_of(doc: Doc, *, task: str) -> Sample:
    """Return the sample of a row; questions about the same pictures are one cluster."""
    seen = seen_pictures(shown_by(question_text(doc, task=task), doc, IMAGE_COLUMNS).images)
    subject = subject_of(doc)
    extra: dict[str, Json] = {
        name: text_of(doc, name) for name in ("question_type", "topic_difficulty") if text_of(doc, name)
    }
    return Sample(
        id=id_of(doc),
        task=task,
        answer_rule="mmmu",
        question=VISION_QUESTION if task.endswith("_vision") else text_of(doc, "question"),
        answers=answers_of_row(doc),
        choices=choices_of(doc),
        category=subject,
        l2_category=_DISCIPLINE_OF.get(subject, text_of(doc, "l2-category")),
        cluster=seen.image_sha256 or id_of(doc),
        image_size=seen.image_size,
        image_sha256=seen.image_sha256,
        pictures=seen.pictures,
        extra=extra,
    )


def validation_rows(rows: Rows) -> Sequence[tuple[int, int]]:
    """Choose the rows of the validation split: VLMEvalKit's file holds `dev` as well, and a folder may hold all three.

    Raises:
        DataError: There is none.
    """
    splits = [_split_of(rows.cells(row)) for row in range(len(rows))]
    chosen = [(row, 0) for row, split in enumerate(splits) if split in {"validation", ""}]
    if splits and not chosen:
        from tasks.rows import DataError  # noqa: PLC0415 - reads pictures; listing benchmarks needs none of it

        raise DataError(
            f"{rows.source}: its {len(splits)} rows are of the split {' and '.join(sorted(set(splits)))}; mmmu_val is "
            "the validation split, and the answers of test are not public. Pass the file of validation"
        )
    return chosen


def _split_of(doc: Doc) -> str:
    """Return the split that a row says it is of; the empty text where it says none."""
    named = text_of(doc, "split").strip()
    found = _ID.fullmatch(text_of(doc, "id"))
    return named or (found["split"] if found else "")


def _adapter(task: str) -> Adapter:
    """Return the functions that know a task's columns."""
    ask = partial(question_text, task=task)
    return Adapter(
        partial(sample_of, task=task),
        ask,
        id_of,
        _cluster(ask),
        image_columns=IMAGE_COLUMNS,
        several_images=True,
    )


def _cluster(ask: Callable[[Doc], str]) -> Callable[[Doc], str]:
    """Make a `cluster_of` that groups the rows of the same pictures."""

    def cluster_of(doc: Doc) -> str:
        return seen_pictures(shown_by(ask(doc), doc, IMAGE_COLUMNS).images).image_sha256 or id_of(doc)

    return cluster_of


def _pro(task: str, title: str, config: str, **fields: Any) -> Benchmark:
    """Return a variant of MMMU-Pro."""
    return embedded(
        task,
        title=title,
        hub_path="MMMU/MMMU_Pro",
        hub_config=config,
        hub_split="test",
        image_columns=IMAGE_COLUMNS,
        rows_expected=1730,
        licence="Apache-2.0 (the dataset's card)",
        adapter=_adapter(task),
        **fields,
    )


_PRO_COLUMNS: Final = ("id", "question", "options", "image_1", "answer", "subject")
_TSV_COLUMNS: Final = ("index", "question", "image", "answer")

BENCHMARKS = (
    embedded(
        "mmmu_val",
        title="MMMU (validation)",
        hub_path="lmms-lab-encoder/MMMU",
        hub_split="validation",
        hub_columns=("id", "question", "options", "image_1", "answer", "question_type"),
        image_columns=IMAGE_COLUMNS,
        choose=validation_rows,
        tsv_files=("MMMU_DEV_VAL.tsv",),
        tsv_columns=(*_TSV_COLUMNS, "A", "B"),
        optional_columns=("image_2", "topic_difficulty"),
        rows_expected=900,
        licence="Apache-2.0 (the dataset's card)",
        notes="Pictures stand where the text names them. 53 questions are open: a number or a few words.",
        adapter=_adapter("mmmu_val"),
        groups=("paper",),
    ),
    _pro(
        "mmmu_pro",
        "MMMU-Pro (10 options)",
        "standard (10 options)",
        hub_columns=_PRO_COLUMNS,
        tsv_files=("MMMU_Pro_10c.tsv",),
        tsv_columns=(*_TSV_COLUMNS, "A", "B"),
        notes="The published figure is the mean of this and mmmu_pro_vision.",
    ),
    _pro(
        "mmmu_pro_4options",
        "MMMU-Pro (4 options)",
        "standard (4 options)",
        hub_columns=_PRO_COLUMNS,
        tsv_columns=(*_TSV_COLUMNS, "A", "B"),
        notes="A step of the paper's ablation; no peer has a score of it.",
    ),
    _pro(
        "mmmu_pro_vision",
        "MMMU-Pro (vision)",
        "vision",
        hub_columns=("id", "image", "options", "answer", "subject"),
        tsv_files=("MMMU_Pro_V.tsv",),
        tsv_columns=("index", "image", "answer", "A", "B"),
        notes="Question and options are in the picture; lmms-eval counts an answer of a single letter alone.",
    ),
)  # fmt: skip
"""Where their rows come from: hub path, split and columns of lmms-eval 0.7.3 and the card; VLMEvalKit's files."""
