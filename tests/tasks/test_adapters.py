"""Tests of rows becoming samples and question texts, in both layouts."""

import pytest

from tasks import mathvista, mmbench, mme, mmstar, ocrbench
from tasks.catalog import BENCHMARKS
from tasks.cells import as_text, list_of, number_of, whole_of

ABCD = {"A": "one", "B": "two", "C": "three", "D": "four"}


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What?\nOptions: A: one, B: two, C: three, D: four", ABCD),
        ("What?\nOptions: A: one, B: two, C: three, D: four.", {**ABCD, "D": "four."}),
        ("What?\nChoices:\n(A) one\n(B) two\n(C) three\n(D) four", ABCD),
        ("What? Options: (A) one (B) two (C) three (D) four", ABCD),
        ("What?\nOptions:\nA. one\nB. two\nC. three\nD. four", ABCD),
        ("What?\noptions: A) one; B) two", {"A": "one", "B": "two"}),
        ("What?\nOptions: A: a, b and c, B: d, e", {"A": "a, b and c", "B": "d, e"}),
        ("What?\nOptions: A: 12:30, B: D: is a letter, C: x", {"A": "12:30", "B": "D: is a letter", "C": "x"}),
        ("Options: A: no, B: yes.\nAnd now?\nOptions: A: one, B: two", {"A": "one", "B": "two"}),
        (
            "Hint: give the letter, e.g., A, B, C, D.\nQuestion: x?\nChoices:\n(A) 60°\n(B) 65°",
            {"A": "60°", "B": "65°"},
        ),
        ("What?\nOptions: A: , B: ", {"A": "", "B": ""}),
        ("What?", {}),
        ("What?\nOptions: A: one", {}),
        ("What are the options?", {}),
        ("", {}),
        ("Options: " + "A: x, B: y, " * 20_000, None),
    ],
)
def test_options_are_read_out_of_a_question(question, expected):
    found = mmstar.choices_in(question)

    assert found == expected if expected is not None else list(found)[:2] == ["A", "B"]


def test_a_question_that_lists_its_options_is_left_as_it_is():
    doc = {"question": "What?\nOptions: A: one, B: two", "A": "one", "B": "two"}

    assert mmstar.question_text(doc) == doc["question"]


def test_options_in_columns_are_added_to_the_question():
    assert mmstar.question_text({"question": "What?", **ABCD}) == "What?\nA. one\nB. two\nC. three\nD. four"


def hub_mmbench(**cells):
    return {"index": 3_000_017, "question": "What?", "hint": "nan", "L2-category": "x", **cells}


def test_the_hubs_nan_is_an_empty_cell_of_mmbench():
    doc = hub_mmbench(A="one", B="nan", C="nan", D="nan")

    assert mmbench.choices_of(doc) == {"A": "one"}
    assert mmbench.question_text(doc) == "What?\nA. one"


def test_the_tsvs_nan_is_a_text_and_its_empty_cell_no_option():
    doc = {"index": "17", "question": "What?", "hint": "", "l2-category": "x", "A": "nan", "B": "N/A", "C": "", "D": ""}

    assert mmbench.choices_of(doc) == {"A": "nan", "B": "N/A"}


def test_mmbench_rotations_share_a_cluster():
    assert {"17"} == {mmbench.cluster_of({"index": index}) for index in (17, 1_000_017, "2000017", 3_000_017.0)}


def test_an_mmbench_hint_stands_before_the_question():
    assert mmbench.question_text(hub_mmbench(hint="Look.", A="one", B="two")) == "Look.\nWhat?\nA. one\nB. two"


def test_mme_questions_of_one_image_share_the_cluster_but_not_the_id():
    yes = {"question_id": "OCR/1.png", "category": "OCR", "question": "Is it a?", "answer": "Yes"}
    no = {"image_path": "OCR/1.png", "category": "OCR", "question": "Is it b?", "answer": "No"}

    assert mme.cluster_of(yes) == mme.cluster_of(no) == "OCR/1.png"
    assert mme.id_of(yes) != mme.id_of(no)


def test_mme_images_of_two_subtasks_with_one_name_are_two_clusters():
    rows = [{"question_id": "1.png", "category": category} for category in ("OCR", "count")]

    assert len({mme.cluster_of(row) for row in rows}) == 2


@pytest.mark.parametrize("answer", [["a", "b"], "['a', 'b']", '["a", "b"]'])
def test_ocrbench_answers_are_a_list_in_every_layout(answer):
    assert ocrbench.sample_of({"question": "q", "answer": answer, "_row": 4}).answers == ("a", "b")


def test_an_ocrbench_answer_with_a_comma_is_one_answer():
    assert ocrbench.sample_of({"question": "q", "answer": "a, b", "_row": 4}).answers == ("a, b",)


def test_a_row_without_an_answer_has_no_gold():
    for name, benchmark in BENCHMARKS.items():
        sample = benchmark.adapter.sample_of({"index": 5, "question": "q"})
        assert (sample.answers, sample.task) == (None, name)


QUERY = (
    "Hint: Please answer the question requiring a floating-point number with one decimal place and provide the final "
    "value, e.g., 1.2, 1.3, 1.4, at the end.\nQuestion: How much is it? (Unit: $)"
)


def test_a_ready_made_mathvista_query_gives_back_question_and_unit():
    doc = {"question": QUERY, "question_type": "free_form", "answer_type": "float", "precision": "2.0"}

    assert mathvista.question_of(doc) == "How much is it?"
    assert mathvista.question_text(doc) == "How much is it?\nThe unit is $.\nGive a number with 2 decimal places."


@pytest.mark.parametrize(
    ("stored", "kept"), [(1.0, "1.0"), ("1.0", "1"), ("2", "2"), (2, "2"), (float("nan"), "None"), ("", "None")]
)
def test_the_hubs_precision_stays_the_float_that_lmms_eval_cannot_round_to(stored, kept):
    sample = mathvista.sample_of({"question": "q", "answer": "1.2", "answer_type": "float", "precision": stored})

    assert str(sample.extra.get("precision")) == kept


def test_a_mathvista_question_with_options_lists_them_once():
    doc = {
        "question": "Hint: Please give the letter at the end.\nQuestion: Which?\nChoices:\n(A) 1\n(B) 2",
        "question_type": "multi_choice",
        "answer_type": "text",
        "choices": "['1', '2']",
        "answer": "2",
    }

    assert mathvista.question_text(doc) == "Which?\nA. 1\nB. 2\nGive the letter of the right option."
    assert mathvista.sample_of(doc).answers == ("2",)


def test_a_plain_mathvista_question_is_left_as_it_is():
    assert mathvista.question_of({"question": "Question: is it (Unit: m)"}) == "Question: is it (Unit: m)"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([[1, 2, 3, 4]], ((1.0, 2.0, 3.0, 4.0),)),
        ("[[1, 2, 3, 4], [5, 6, 7, 8]]", ((1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0))),
        (None, None),
        ([], None),
        ("", None),
        ("nonsense", None),
        ([[1, 2, 3]], None),
        ([[3, 2, 1, 4]], None),
        ([[1, 2, 3, float("nan")]], None),
        ([[1, 2, 3, "4"]], None),
        ("[" * 100_000, None),
        (7, None),
    ],
)
def test_gold_boxes_are_four_ordered_numbers_or_nothing(value, expected):
    sample = BENCHMARKS["shapes"].adapter.sample_of({"id": "1", "question": "?", "boxes": value})

    assert sample.boxes_image_px == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        (float("nan"), ""),
        (5.0, "5"),
        (5.5, "5.5"),
        ("5.0", "5.0"),
        ("nan", "nan"),
        (True, "True"),
        (7, "7"),
    ],
)
def test_a_cell_as_text_keeps_text_and_drops_only_what_is_missing(value, expected):
    assert as_text(value) == expected


@pytest.mark.parametrize(("value", "expected"), [("1.5", None), ("7", 7), ("7.0", 7), ("x", None), ("9" * 5000, None)])
def test_whole_numbers_are_read_only_from_whole_numbers(value, expected):
    assert whole_of({"n": value}, "n") == expected


@pytest.mark.parametrize("value", ["nan", "inf", "1e999", "", None])
def test_a_number_is_finite(value):
    assert number_of({"n": value}, "n") is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("[1, 'b']", ["1", "b"]),
        ("[broken", ["[broken"]),
        (["x"], ["x"]),
        ("", []),
        (None, []),
        ("[" * 9000 + "]", None),
    ],
)
def test_a_list_cell_is_a_list_or_one_text(value, expected):
    assert list_of(value) == (expected if expected is not None else [value])
