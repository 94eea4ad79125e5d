"""Spans of texts, and the tokens that wrote them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.models.written_tokens import tokens_of_spans
from harness.scoring.formats import MARKED
from harness.scoring.read_text import WrittenSpans, spans_of_text

PIECES = ["<answer>", "r", "ed", "</", "answer", ">", "", "[[1,", " 2", "]]", "é"]


def text_of(ids):
    return "".join(PIECES[number] for number in ids)


@given(
    ids=st.lists(st.integers(0, len(PIECES) - 1), max_size=30), cut=st.tuples(st.integers(0, 80), st.integers(0, 80))
)
def test_the_tokens_of_a_span_are_those_that_wrote_one_of_its_characters(ids, cut):
    begin, end = min(cut), min(max(cut), len(text_of(ids)))
    writers, place = [], 0
    for number, token in enumerate(ids):
        if max(place, begin) < min(place + len(PIECES[token]), end):
            writers.append(number)
        place += len(PIECES[token])

    (found,) = tokens_of_spans(ids, [(begin, end)], text_of)

    assert [number for number in found if PIECES[ids[number]]] == writers


def said(text, span):
    return None if span is None else text[slice(*span)]


@pytest.mark.parametrize(
    ("form", "text", "boxes", "caption", "answer"),
    [
        (
            "satori",
            "<caption>a cat</caption><bbox>[[1,2,3,4]]</bbox><answer>A</answer>",
            ["[[1,2,3,4]]"],
            "a cat",
            "A",
        ),
        ("satori", "<|im_start|>assistant\n<answer>no</answer><answer>B</answer><|im_end|>", [], None, "B"),
        ("satori", "<caption>x <answer>A</answer></caption> <answer> C </answer>", [], None, " C "),  # no whole caption
        ("satori", "", [], None, None),
        ("satori", "<bbox>[[1,2", [], None, None),
        ("plain", "A", [], None, None),
        ("freeform", "<think>[[1,2,3,4]]</think><answer>A</answer>", [], None, "A"),
        (
            "treevgr",
            "<think>a <box>[1,2,3,4]</box> b <box>[5,6,7,8]</box></think><answer>A</answer>",
            ["[1,2,3,4]", "[5,6,7,8]"],
            None,
            "A",
        ),
    ],
)
def test_where_the_parts_of_a_text_lie(form, text, boxes, caption, answer):
    spans = spans_of_text(text, form)

    assert [said(text, span) for span in spans.boxes] == boxes
    assert said(text, spans.caption) == caption
    assert said(text, spans.answer) == answer


@pytest.mark.parametrize("form", [*MARKED, "satori", "satori-think", "freeform", "plain"])
@given(text=st.text(alphabet="<>/[]{}answerboxthinkcaption123, \"':", max_size=200))
def test_spans_lie_in_the_text(form, text):
    spans = spans_of_text(text, form)

    for begin, end in (*spans.boxes, *(span for span in (spans.caption, spans.answer) if span)):
        assert 0 <= begin <= end <= len(text)
    assert isinstance(spans, WrittenSpans)
