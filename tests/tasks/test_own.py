"""Tests of a benchmark of one's own: a YAML file with a `satori` section."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ConfigError
from harness.scoring.answers.check import check_answer
from tasks.catalog import resolve_tasks
from tasks.local_data import DataError, open_task_data
from tasks.own import load_own_task
from tasks.prompts import prompt_hash
from tasks.shapes import generate
from tasks.verify import verify_task_data

GOOD = """
task: my_task
satori:
  answer_rule: choice
  data: rows.parquet
  columns: {id: key, question: text, image: picture, answers: gold, choices: options, category: kind, boxes: where}
generation_kwargs: {max_new_tokens: 1500}
process_results: !function anything.at_all
"""


@pytest.fixture
def own(tmp_path):
    example = generate("tiny", "benchmark", 0)
    rows = [
        {
            "key": f"k{number}",
            "text": "Which one?",
            "picture": {"bytes": example.png(), "path": None},
            "gold": ["B"],
            "options": ["one", "two"],
            "kind": "easy",
            "where": [[0, 0, 4, 4]],
        }
        for number in range(3)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
    (tmp_path / "my_task.yaml").write_text(GOOD, encoding="utf-8")
    return tmp_path / "my_task.yaml"


def test_columns_are_mapped_to_the_parts_of_a_sample(own):
    (benchmark,) = resolve_tasks(str(own))
    data = open_task_data(benchmark)
    sample = benchmark.adapter.sample_of(data[1])

    assert (sample.id, sample.task, sample.answers, sample.category) == ("k1", "my_task", ("B",), "easy")
    assert sample.choices == {"A": "one", "B": "two"}
    assert sample.boxes_image_px == ((0.0, 0.0, 4.0, 4.0),)
    assert benchmark.adapter.question_text(data[1]) == "Which one?\nA. one\nB. two"
    assert (benchmark.max_new_tokens, benchmark.yaml_name) == (1500, "my_task")
    assert len(prompt_hash("satori", benchmark)) == 64


def test_it_stands_beside_embedded_benchmarks(own):
    assert [benchmark.name for benchmark in resolve_tasks(f"mmstar,{own},{own}")] == ["mmstar", "my_task"]


def test_verify_reports_on_it(own):
    report = verify_task_data(load_own_task(own), images=None)

    assert (report.ok, report.rows, report.images_checked) == (True, 3, 3)


def test_the_section_may_stand_under_metadata(own):
    own.write_text("task: t\ndataset_path: some/hub\nmetadata: {satori: {answer_rule: yes_no}}\n", encoding="utf-8")

    assert load_own_task(own).hub_path == "some/hub"


def test_a_column_that_is_not_in_the_data_is_named(own):
    own.write_text(GOOD.replace("answers: gold", "answers: golds"), encoding="utf-8")

    mend = r"Name it under satori\.columns in .*my_task\.yaml, or rename it in the file"
    with pytest.raises(DataError, match=rf"needs the column golds; found key, text.*{mend}"):
        open_task_data(load_own_task(own))


def test_the_table_is_shown_as_its_data(own, command):
    code, out, _ = command("tasks", "show", own)

    assert code == 0
    assert str(own.with_name("rows.parquet")) in out
    assert "embedded" not in out


def test_a_taken_name_is_refused(own):
    own.write_text(GOOD.replace("task: my_task", "task: mmstar"), encoding="utf-8")

    with pytest.raises(ConfigError, match="'mmstar' is taken"):
        resolve_tasks(str(own))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("- a list", ["holds a mapping"]),
        ("a: [", ["cannot be read as YAML"]),
        ("task: t\ndataset_path: x/y\n", ["satori: the section is missing"]),
        (
            "{task: 'bad name!', satori: {answer_rule: choise, dat: x, columns: {quesion: q, image: 3}}, "  # noqa: ISC004 - one text
            "generation_kwargs: {max_new_tokens: 0}}",
            [
                "task: a name",
                "satori.answer_rule",
                "Did you mean 'choice'?",
                "satori.dat: unknown field",
                "satori.columns.quesion: unknown part. Did you mean 'question'?",
                "satori.columns.image: a column name",
                "max_new_tokens",
                "satori.data: a parquet or TSV file is needed",
            ],
        ),
        ("task: t\nsatori: {answer_rule: choice, data: gone.tsv}\n", ["there is no file"]),
        ("task: t\nsatori: {answer_rule: choice, data: rows.csv}\n", [".parquet or .tsv"]),
        ("task: t\ndataset_path: x/y\nsatori: {answer_rule: choice, columns: [a]}\n", ["satori.columns: a mapping"]),
    ],
)
def test_all_faults_of_a_file_are_reported_together(tmp_path, text, words):
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")

    with pytest.raises(ConfigError) as caught:
        load_own_task(path)

    assert all(word in str(caught.value) for word in ["bad.yaml", *words]), str(caught.value)


@pytest.mark.parametrize(("theirs", "ours"), [("options", "choices"), ("answer", "answers"), ("bbox", "boxes")])
def test_what_others_call_a_part_leads_to_its_name_here(tmp_path, theirs, ours):
    path = tmp_path / "own.yaml"
    path.write_text(f"task: t\nsatori: {{answer_rule: choice, data: rows.tsv, columns: {{{theirs}: x}}}}\n")

    with pytest.raises(ConfigError, match=f"It is called '{ours}' here"):
        load_own_task(path)


def choice_task(tmp_path, **cells):
    """Write a task of one's own of two rows with a letter for their gold, and further cells."""
    row = {
        "question": "Which?",
        "image": {"bytes": generate("tiny", "benchmark", 0).png(), "path": None},
        "answers": "B",
    }
    pq.write_table(pa.Table.from_pylist([{**row, "id": str(n), **cells} for n in range(2)]), tmp_path / "rows.parquet")
    path = tmp_path / "own.yaml"
    path.write_text("task: t\nsatori: {answer_rule: choice, data: rows.parquet}\n", encoding="utf-8")
    return load_own_task(path)


@pytest.mark.parametrize("options", [["a cat", "a dog"], "['a cat', 'a dog']"])
def test_a_column_called_options_holds_the_options(tmp_path, options):
    benchmark = choice_task(tmp_path, options=options)
    data = open_task_data(benchmark)

    assert benchmark.adapter.question_text(data[0]) == "Which?\nA. a cat\nB. a dog"
    assert verify_task_data(benchmark, data).ok


def of_columns(tmp_path, columns, rule="choice", **cells):
    """A task as `choice_task` makes it, whose YAML names columns."""
    choice_task(tmp_path, **cells)
    path = tmp_path / "own.yaml"
    named = f", columns: {columns}" if columns else ""
    path.write_text(f"task: t\nsatori: {{answer_rule: {rule}, data: rows.parquet{named}}}\n", encoding="utf-8")
    return load_own_task(path)


LEFT_OVER = [
    ["red", "blue"], "['red', 'blue']", 4, "4", "A. red B. blue", [{"of": "something", "else": 1}], [["red"]], None,
]  # fmt: skip
"""What a column `options` may hold that is not what is asked."""
KNOWN = {
    "columns A and B": ("", {"A": "blue", "B": "red"}),
    "a list": ("", {"choices": ["blue", "red"]}),
    "a named list": ("{choices: listed}", {"listed": ["blue", "red"]}),
    "an object that is named": ("{choices: listed}", {"listed": "{'A': 'blue', 'B': 'red'}"}),
    "named, and columns A and B": ("{choices: listed}", {"listed": None, "A": "blue", "B": "red"}),
}


@pytest.mark.parametrize("left_over", LEFT_OVER, ids=str)
@pytest.mark.parametrize("known", KNOWN)
@pytest.mark.parametrize("rule", ["choice", "mathvista", "maths"])
def test_a_column_called_options_is_not_read_beside_known_options(tmp_path, known, left_over, rule):
    columns, cells = KNOWN[known]
    benchmark = of_columns(tmp_path, columns, rule, **cells, options=left_over)

    data = open_task_data(benchmark)

    assert benchmark.adapter.question_text(data[0]) == "Which?\nA. blue\nB. red"
    assert check_answer(benchmark.adapter.sample_of(data[0]), "B", "strict").value == 1


@pytest.mark.parametrize(
    ("cells", "answer"),
    [
        ({"answers": "$2\\sqrt{3}$"}, "\\sqrt{12}"),
        ({"answers": ["1", "2"], "is_multiple_answer": True}, "2 and 1"),
        ({"answers": "1.5", "error": "1e-1"}, "1.58"),
        ({"answers": "1.5", "error": 0.1}, "1.58"),
        ({"answers": "5", "unit": "km"}, "5000 m"),
        ({"answers": "y=2x", "answer_type": "Equation"}, "2x - y = 0"),
    ],
    ids=str,
)
def test_a_table_of_mathematics_says_how_an_answer_is_compared(tmp_path, cells, answer):
    benchmark = of_columns(tmp_path, "", "maths", **cells)
    data = open_task_data(benchmark)

    assert verify_task_data(benchmark, data).ok
    assert check_answer(benchmark.adapter.sample_of(data[0]), answer, "strict").value == 1
    assert check_answer(benchmark.adapter.sample_of(data[0]), "8", "strict").value == 0


@pytest.mark.parametrize(
    ("columns", "cells"),
    [
        ("{choices: listed}", {"listed": None, "options": ["red", "blue"]}),
        ("{choices: choices}", {"options": ["red", "blue"]}),
        ("", {"choices": None, "options": ["red", "blue"]}),
        ("", {"A": None, "B": None, "options": ["red", "blue"]}),
        ("", {"options": 4}),
        ("", {"options": "one of them"}),
        ("", {"options": []}),
    ],
    ids=str,
)
def test_what_may_be_no_options_is_not_asked_as_such_and_the_rows_are_named(tmp_path, columns, cells):
    benchmark = of_columns(tmp_path, columns, **cells)

    report = verify_task_data(benchmark)

    assert benchmark.adapter.question_text(open_task_data(benchmark)[0]) == "Which?"
    assert any("rows without options" in problem for problem in report.faults)


def test_a_column_called_a_alone_is_no_option_beside_a_list_of_them(tmp_path):
    benchmark = choice_task(tmp_path, A="an answer in words", options=["a cat", "a dog"])

    assert benchmark.adapter.question_text(open_task_data(benchmark)[0]) == "Which?\nA. a cat\nB. a dog"


def test_choice_rows_without_options_are_no_benchmark(tmp_path):
    benchmark = choice_task(tmp_path, possibilities=["a cat", "a dog"])
    report = verify_task_data(benchmark, open_task_data(benchmark))

    assert not report.ok
    assert any("rows without options" in problem for problem in report.faults)


@pytest.mark.parametrize(
    "question",
    [
        "Which? A. a cat B. a dog",
        "Which?\nA: a cat\nB: a dog",
        "Which? (A) a cat (B) a dog",
        "Which? a) a cat b) a dog",
        "Which?\na. a cat\nb. a dog",
        "哪个？ A、猫 B、狗",
        "哪个？\nA．猫\nB．狗",
        "哪个？（A）猫（B）狗",
        "Which?\nA - a cat\nB - a dog",
        "Which?\nA – a cat\nB – a dog",
        "A.cat B.dog",
    ],
)
def test_options_within_the_question_are_options(tmp_path, question):
    report = verify_task_data(choice_task(tmp_path, question=question))

    assert report.ok, report.faults


@pytest.mark.parametrize(
    "question",
    [
        "Look at Figure B. Which?",
        "Is it vitamin B: yes or no?",
        "Which of plan B - the second - is it?",
        "Is A-B a word?",
        "a) What is it?",
        "Which? a. a cat B. a dog",
    ],
)
def test_a_letter_in_the_question_is_no_option(tmp_path, question):
    report = verify_task_data(choice_task(tmp_path, question=question))

    assert any("rows without options" in problem for problem in report.faults)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.tsv"])
def test_a_table_that_git_lfs_has_not_brought_is_called_that(tmp_path, name):
    (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n")
    path = tmp_path / "own.yaml"
    path.write_text(f"task: t\nsatori: {{answer_rule: choice, data: {name}}}\n", encoding="utf-8")

    with pytest.raises(DataError, match="git lfs pull"):
        open_task_data(load_own_task(path))
