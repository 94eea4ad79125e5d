import pytest

from harness.summary.text_variety import TextVarietyCounter
from harness.values import Components, Generation, Record, Sample, Score


def variety_of(texts, *, is_plain=False):
    counter = TextVarietyCounter(is_plain=is_plain)
    for text in texts:
        generation = Generation("", error="unreadable image") if text is None else Generation(text)
        score = Score(value=0.0, extracted=None, components=Components())
        counter.add(Record(Sample(id="1", task="shapes", answer_rule="accepted"), generation, score))
    return counter.result()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        ([], None),
        (["", ""], "all 2 texts are empty"),
        ([" ", "\n", ""], "all 3 texts are empty"),
        ([""], "all 1 texts are empty"),
        ([None, None], None),
        (["", None, ""], "all 2 texts are empty"),
        (["", "red"], None),
        (["A"] * 3, None),
        (["A"] * 4, "all 4 texts are the same ('A')"),
        (["A", " A\n", "A", "A "], "all 4 texts are the same ('A')"),
        (["A", "A", "A", "B"], None),
        (["!" * 100] * 9, f"all 9 texts are the same ('{'!' * 60}...')"),
        (["A", "A", "A", None], None),
    ],
)
def test_texts_that_are_all_alike_are_named(texts, said):
    warning = variety_of(texts).warning()

    assert (warning is None) if said is None else (said in warning)


@pytest.mark.parametrize(
    ("texts", "staged"),
    [
        (["<caption>a cup</caption><bbox>[[1,2,3,4]]</bbox><answer>red</answer>"], 1),
        (["<think>it is round</think>\n<answer>B</answer>", "<answer>A</answer>", "A"], 2),
        (["<answer></answer>", None], 1),
        (["<answer>B", "</answer>B", "</answer>A<answer>"], None),
        (["<answer>B</answer>", "A"], None),
        (["the answer is B", None], None),
    ],
)
def test_stages_that_plain_does_not_read_are_named(texts, staged):
    said = variety_of(texts, is_plain=True).warning()

    assert (said is None) if staged is None else said.startswith(f"{staged} of ")
    assert variety_of(texts).warning() is None, "a format with stages reads them"
