"""OlympiadBench's open questions with pictures: mathematics and physics, English and Chinese, up to nine pictures.

The hub has a configuration for each source (`OE_MM_maths_en_COMP`: open-ended, multimodal, mathematics, English,
competition), which are read as one here; its columns say in words what the name does. VLMEvalKit's TSV has `source`,
the accepted answers as a list that is written as text, and the pictures as a list. Questions without a picture
(`OE_TO`) and proofs (`TP`) are not asked. Questions about the same pictures are one cluster: those of a physics problem
share them.

The words around a question are the authors', as VLMEvalKit's `OlympiadBench.build_prompt` has them; there the pictures
stand behind the text, here before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from harness.values import Json, Sample
from tasks.adapter import Adapter, row_id, seen_pictures, short_hash
from tasks.benchmark import embedded
from tasks.cells import Doc, list_of, text_of

if TYPE_CHECKING:
    from tasks.rows import Rows

IMAGE_COLUMNS: Final = (*(f"image_{number}" for number in range(1, 10)), "image")

_CODES: Final = (
    ("question_type", {"Open-ended": "OE", "Theorem proof": "TP"}),
    ("modality", {"Multimodal": "MM", "Text-only": "TO"}),
    ("subject", {"Math": "maths", "Physics": "physics"}),
    ("language", {"English": "en", "Chinese": "zh"}),
    ("difficulty", {"Competition": "COMP", "CEE": "CEE"}),
)
"""The hub's columns, and what they are called in the name of a source."""

_KINDS: Final = {
    "Numerical": ("a numerical value", "数值"),
    "Expression": ("an expression", "表达式"),
    "Equation": ("an equation", "方程"),
    "Interval": ("an interval", "区间"),
}
"""How the question calls what is wanted, in English and in Chinese; of tuples it says nothing."""


def source_of(doc: Doc) -> str:
    """Return the name of the source; the empty text where the row does not say it."""
    named = text_of(doc, "source")
    codes = [names.get(text_of(doc, column), "") for column, names in _CODES]
    return named or ("_".join(codes) if all(codes) else "")


def is_chinese(doc: Doc) -> bool:
    """Say whether the question is Chinese."""
    return "zh" in source_of(doc)


def answers_of(doc: Doc) -> tuple[str, ...] | None:
    r"""Return the accepted answers: a list, or one that Python printed, in which a backslash may stand twice.

    It is cut out at its quotes: read as a literal, `['\frac{1}{2}']` would begin with a form feed.
    """
    held = doc.get("final_answer")
    if isinstance(held, str) and held.startswith(("['", '["')) and held.endswith(("']", '"]')):
        found = [part.replace("\\\\", "\\") for part in held[2:-2].replace('", "', "', '").split("', '")]
    else:
        found = list_of(held)
    return tuple(answer.strip() for answer in found if answer.strip()) or None


def wants_several(doc: Doc) -> bool:
    """Say whether the question has several answers."""
    return text_of(doc, "is_multiple_answer").lower() in {"true", "1"}


def question_of(doc: Doc) -> str:
    """Return the question, of physics with its context."""
    context = text_of(doc, "context").strip()
    own = text_of(doc, "question").strip()
    return f"{context}\n{own}" if context not in {"", "nan"} and "physics" in source_of(doc) else own


def question_text(doc: Doc) -> str:
    """Return what is asked, in the question's language."""
    lead = _chinese_lead(doc) if is_chinese(doc) else _english_lead(doc)
    return f"{lead}\n{question_of(doc)}"


def _kinds_of(doc: Doc) -> list[int]:
    """Return which of `_KINDS` the answers are, one after another; none where the question does not say it."""
    written = text_of(doc, "answer_type")
    if "Need_human_evaluate" in written or "Tuple" in written:
        return []
    parts = written.split(",") if wants_several(doc) else [written]
    found = [next((place for place, kind in enumerate(_KINDS) if kind in part), -1) for part in parts]
    kinds = [] if -1 in found else found
    return kinds[:1] if len(set(kinds)) == 1 else kinds


def _english_lead(doc: Doc) -> str:
    names = [list(_KINDS.values())[kind][0] for kind in _kinds_of(doc)]
    kind = ""
    if len(names) > 1:
        kind = f"The problem has multiple answers, with the answers in order being {', '.join(names)}. "
    elif names and wants_several(doc):
        kind = f"The problem has multiple answers, each of them should be {names[0]}. "
    elif names:
        kind = f"The answer of The problem should be {names[0]}. "
    box = "multiple answers connected with commas" if wants_several(doc) else "answer"
    unit, about_unit = ("", "")
    if text_of(doc, "unit"):
        unit, about_unit = "(unit)", ", note that the unit of the answer should not be included in \\boxed{}"
    return (
        f"The following is an open-ended problem from an International {_subject(doc, 'Math', 'Physics')} competition. "
        f"{kind}Please calculate the answer according to the given requirements and the information provided. Please "
        "use LaTeX format to represent the variables and formulas used in the solution process and results. Please end "
        f'your solution with "So the final answer is \\boxed{{{box}}}{unit}." and give the result '
        f"explicitly{about_unit}."
    )


def _chinese_lead(doc: Doc) -> str:
    names = [list(_KINDS.values())[kind][1] for kind in _kinds_of(doc)]
    kind = ""
    if len(names) > 1:
        kind = f"，题目有多个答案，答案类型分别为{'、'.join(names)}"
    elif names and wants_several(doc):
        kind = f"，题目有多个答案，答案类型均为{names[0]}"
    elif names:
        kind = f"，答案类型为{names[0]}"
    box = "用英文逗号连接的多个答案" if wants_several(doc) else "答案"
    unit, about_unit = ("", "")
    if text_of(doc, "unit"):
        unit, about_unit = "(单位)", "，注意答案的单位不要放在\\boxed{}中"
    return (
        f"以下是中国{_subject(doc, '数学', '物理')}竞赛中的解答题{kind}。请根据题目的要求和所提供的信息计算得出答案。"
        "解答过程和结果中使用的变量和公式请使用LaTeX格式表示。"
        f'请在最后以"所以最终答案是\\boxed{{{box}}}{unit}。"显式给出结果{about_unit}。'
    )


def _subject(doc: Doc, maths: str, physics: str) -> str:
    return physics if "physics" in source_of(doc) else maths


def id_of(doc: Doc) -> str:
    """Return source and number of a hub row, else the index."""
    number, source = text_of(doc, "id"), source_of(doc)
    return f"{source}/{number}" if number and source else row_id(doc, "index", "id")


def cluster_of(doc: Doc) -> str:
    """Return the hash of the pictures, else of the context."""
    context = text_of(doc, "context")
    return seen_pictures(ADAPTER.shown(doc).images).image_sha256 or (short_hash(context) if context else id_of(doc))


def sample_of(doc: Doc) -> Sample:
    """Return the sample of a row."""
    seen = seen_pictures(ADAPTER.shown(doc).images)
    source = source_of(doc)
    extra: dict[str, Json] = {name: text_of(doc, name) for name in ("answer_type", "error", "unit", "subfield")}
    extra |= {"source": source, "is_multiple_answer": wants_several(doc)}
    language, subject = "zh" if is_chinese(doc) else "en", _subject(doc, "maths", "physics")
    return Sample(
        id=id_of(doc),
        task="olympiadbench",
        answer_rule="maths",
        question=question_of(doc),
        answers=answers_of(doc),
        category=source,
        l2_category=f"{language}_{subject}" if source else "",
        cluster=cluster_of(doc),
        image_size=seen.image_size,
        image_sha256=seen.image_sha256,
        pictures=seen.pictures,
        extra={name: value for name, value in extra.items() if value not in ("", "nan", None)},
    )


ADAPTER: Final = Adapter(sample_of, question_text, id_of, cluster_of, image_columns=IMAGE_COLUMNS, several_images=True)


def open_with_pictures(rows: Rows) -> Sequence[tuple[int, int]]:
    """Choose the open questions with pictures; a row that does not say what it is is asked."""
    sources = [source_of(rows.cells(row)) for row in range(len(rows))]
    return [(row, 0) for row, source in enumerate(sources) if not source or source.startswith("OE_MM")]


BENCHMARKS = (
    embedded(
        "olympiadbench",
        title="OlympiadBench (open questions with pictures)",
        hub_path="Hothan/OlympiadBench",
        hub_split="train",
        hub_files="OlympiadBench/OE_MM_*/*.parquet",
        hub_columns=("id", "question", "final_answer", "answer_type", "subject", "language", "image_1"),
        image_columns=IMAGE_COLUMNS,
        choose=open_with_pictures,
        tsv_files=("OlympiadBench.tsv",),
        tsv_columns=("index", "image", "question", "final_answer", "source"),
        optional_columns=("error", "unit", "is_multiple_answer", "context"),
        rows_expected=4055,
        licence="Apache-2.0 (the dataset's card)",
        notes="VLMEvalKit's figure also counts questions without a picture.",
        adapter=ADAPTER,
        groups=("math", "paper"),
    ),
)
"""Where its rows come from: hub path and columns of lmms-eval 0.7.3, files and columns of VLMEvalKit."""
