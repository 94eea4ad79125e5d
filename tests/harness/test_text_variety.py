import pytest

from harness.summary.text_variety import TextVarietyCounter
from harness.values import Components, Generation, Record, Sample, Score


def variety_of(texts):
    counter = TextVarietyCounter()
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
