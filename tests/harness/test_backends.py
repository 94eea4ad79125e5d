import pytest

from harness.comparison.backends import compare_records
from harness.errors import ExitCode, IncompleteError
from harness.values import Components, Generation, Record, Sample, Score, Size
from reports.terminal.backends import backend_lines, backend_table


def record(number, value=1.0, **generation):
    sample = Sample(id=str(number), task="mmstar", answer_rule="choice", question="?", answers=("A",))
    told = {"text": "A", "input_size": Size(56, 28), "input_tokens": 40, **generation}
    return Record(sample, Generation(**told), Score(value, "A", Components()))


ALIKE = [record(n, float(n % 2)) for n in range(20)]


def compared(*changed):
    return compare_records(("hf", "vllm"), ALIKE, [*changed, *ALIKE[len(changed) :]], seed=0)


def test_equal_runs_are_asked_alike_and_score_alike():
    found = compared()

    assert found.asks_alike
    assert found.scores_alike
    assert found.texts.same == found.texts.known == 20
    assert "alike: both are asked the same" in "\n".join(backend_lines(found))


@pytest.mark.parametrize(
    "change",
    [
        {"input_size": Size(28, 56)},
        {"input_tokens": 41},
        {"text": "", "error": "request failed"},
    ],
)
def test_one_sample_that_is_asked_otherwise_is_enough(change):
    found = compared(record(0, 0.0, **change))

    assert not found.asks_alike
    assert "NOT ALIKE: the two are not asked the same" in "\n".join(backend_lines(found))


@pytest.mark.parametrize("unknown", [{"input_size": None}, {"input_tokens": None}])
def test_what_neither_tells_is_not_taken_for_equal(unknown):
    runs = [[record(n, **unknown) for n in range(4)] for _ in range(2)]

    assert not compare_records(("hf", "openai"), *runs, seed=0).asks_alike


def test_another_text_is_shown_and_no_fault_by_itself():
    found = compared(record(0, 0.0, text="B"))

    assert found.asks_alike
    assert found.texts.differing == ("mmstar 0",)
    assert ("texts", "19 of 20", "mmstar 0") in backend_table(found).rows


def test_scores_beyond_the_noise_are_not_alike():
    found = compare_records(
        ("hf", "vllm"), [record(n, 1.0) for n in range(40)], [record(n, 0.0) for n in range(40)], seed=0
    )

    assert found.asks_alike
    assert not found.scores_alike
    assert "differ by more than noise" in "\n".join(backend_lines(found))


def test_scores_that_neither_has_are_left_out():
    found = compare_records(("hf", "vllm"), [record(0, None)], [record(0, None)], seed=0)

    assert found.difference is None
    assert found.scores_alike


@pytest.mark.parametrize("other", [[], ALIKE[:-1], [*ALIKE, record(99)]])
def test_other_samples_are_not_compared(other):
    with pytest.raises(IncompleteError, match="nothing can be compared"):
        compare_records(("hf", "vllm"), ALIKE, other, seed=0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["doctor", "--compare-backends", 5], "needs --model"),
        (["doctor", "--model", "m"], "belong to --compare-backends"),
        (["run", "--model", "m", "--tensor-parallel", 2], "need --backend vllm"),
        (["run", "--model", "m", "--gpu-memory", 0.5], "need --backend vllm"),
        (["run", "--model", "m", "--backend", "vllm", "--attn-implementation", "eager"], "vLLM chooses its own"),
        (["run", "--model", "m", "--backend", "vllm", "--num-processes", 2], "--tensor-parallel"),
    ],
)
def test_options_that_do_not_go_together_are_refused(command, arguments, said):
    code, _, err = command(*arguments)

    assert code == ExitCode.USAGE
    assert said in err
