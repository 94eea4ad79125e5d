"""The same two runs give the same number, interval, p and n in every output, for every benchmark and protocol."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.to_json import comparison_to_json
from harness.gate.policy import GatePolicy
from harness.gate.verdict import judge, verdict_to_json
from harness.runs.manifest import config_of
from harness.runs.store import load_run
from harness.stats.paired import holm
from harness.summary.run_summary import summarise_records
from harness.task_facts import FACTS, MME_COGNITION, MME_PERCEPTION, OCRBENCH_ROWS, facts_of
from harness.values import PROTOCOLS
from harness.vocabulary import PLACE_RULES
from reports.board.board import leaderboard_json, rank_board, read_leaderboard
from reports.pages.comparison_view import comparison_view
from reports.pages.loop_report import write_loop_report
from reports.terminal.verdict_tables import comparison_table
from reports.texts.markdown import comparison_markdown
from reports.texts.numbers_shown import p_text
from reports.texts.verdict_text import change_text, score_text, verdict_cells
from training.loop.comparison import LoopComparison, LoopRun, compare_loop, pairs_of
from training.loop.plan import Chain

RIGHT = {
    "choice": ("A", "B"),
    "yes_no": ("Yes", "No"),
    "ocr": ("word", "other"),
    "mathvista": ("4", "5"),
    "maths": ("4", "5"),
}
"""By answer rule an answer that is right, and one that is wrong."""
TASKS = [
    name for place, (name, facts) in enumerate(FACTS.items())
    if name.startswith("mmbench") or facts not in [*FACTS.values()][:place]
]  # fmt: skip
"""Every benchmark whose facts are its own: whoever shares another's is counted as that one."""
NUMBER = ("value", "ci_low", "ci_high", "n")
GENTLE = GatePolicy(tolerance=100.0)


def spots(task: str, full: bool) -> list[dict]:
    """Where each row of a task belongs: MME's images of two questions, MMBench's passes, OCRBench's thousand rows."""
    if task == "mme":
        subtasks = (*MME_PERCEPTION, *MME_COGNITION)[: None if full else 4]
        images = [(name, f"{name}/{image}") for name in subtasks for image in range(4) for _ in range(2)]
        return [{"category": name, "group": image} for name, image in images]
    if facts_of(task).cluster == "question":
        return [
            {"index": number + 1_000_000 * turn, "category": f"c{number % 2}"}
            for number in range(40)
            for turn in range(3)
        ]
    if task == "ocrbench":
        names = ("Digit String Recognition", "Doc-oriented VQA")
        return [{"category": names[place % 2]} for place in range(OCRBENCH_ROWS if full else 40)]
    if task == "hallusion_bench":
        numbers = [(own, figure, asked) for own in range(12) for figure in range(3) for asked in range(2)]
        return [
            {
                "category": "VS",
                "l2_category": f"VS_{('chart', 'map')[own % 2]}",
                "group": f"{own}_{figure}",
                "extra": {"set_id": str(own), "figure_id": str(figure), "question_id": str(asked)},
            }
            for own, figure, asked in numbers
        ]
    if task == "wemath":
        return [
            {
                "category": f"c{number % 2}",
                "l2_category": f"S{steps}" if part == "multi" else "S1",
                "group": f"p{number}",
                "extra": {"key": f"{steps}steps_{part}"},
            }
            for number in range(40)
            for steps in (2 + number % 2,)
            for part in ("1", "2", "3", "multi")
            if not (steps == 2 and part == "3")
        ]
    if task == "cv_bench":
        sources = ("ADE20K", "COCO", "Omni3D", "Omni3D")
        return [{"category": f"c{place % 2}", "l2_category": sources[place // 2 % 4]} for place in range(120)]
    if task == "pope":
        samplings = ("adversarial", "popular", "random", "adversarial,random")
        return [{"category": samplings[place // 2 % 4], "group": f"g{place // 6}"} for place in range(120)]
    extra = {"extra": {"skills": ["algebra", "geometry"]}, "question_type": "free_form", "answer_type": "integer"}
    return [
        {"category": f"c{place % 2}", "l2_category": f"l{place % 4 % 3}", "group": f"g{place // 3}"}
        | (extra if task == "mathvista" else {})
        for place in range(90)
    ]


def prediction_of(facts, answer: str, rng) -> str:
    """A text with that answer, and a box that is right by chance where places count."""
    if not facts.placed:
        return f"<answer>{answer}</answer>"
    box = f"[[0,0,{10 if rng.random() < 0.7 else 3},10]]"
    return (
        f"<caption>x</caption><bbox>{box}</bbox><answer>{box if facts.answer_rule in PLACE_RULES else answer}</answer>"
    )


def rows_of(task: str, seed: int, *, full: bool = True) -> list[dict]:
    """Rows of a task whose answers are right by chance, the same questions for every seed."""
    rng = np.random.default_rng([seed, *task.encode()])
    facts = facts_of(task)
    right, wrong = RIGHT.get(facts.answer_rule, ("red", "blue"))
    placed = {"boxes": [[0, 0, 10, 10]], "width": 100, "height": 100} if facts.placed else {}
    people = 10 if facts.answer_rule == "vqa" else 1  # ten of them say what they see
    gold = {"answers": [right] * people} | ({"choices": {"A": "x", "B": "y"}} if right == "A" else {})
    rows = [
        {
            "id": f"{task}-{place}",
            "task": task,
            "prediction": prediction_of(facts, right if rng.random() < 0.6 + 0.1 * seed else wrong, rng),
            **gold,
            **placed,
            **spot,
        }
        for place, spot in enumerate(spots(task, full))
    ]
    if task != "pope":
        return rows
    for place, row in enumerate(rows):
        # Every second question is rightly answered with no, and some answers are neither: in finds all of it counts.
        if place % 2:
            row["answers"] = [wrong]
        if rng.random() < 0.3 - 0.1 * seed:
            row["prediction"] = f"<answer>{right if place % 7 else 'perhaps'}</answer>"
    return rows


@pytest.fixture
def two_runs(make_run):
    def make(protocol, **options):
        rows = {
            name: [row for task in TASKS for row in rows_of(task, seed, **options)] for seed, name in enumerate("ab")
        }
        return [make_run(name, own, protocol=protocol) for name, own in rows.items()]

    return make


def of(found: dict) -> dict:
    return {name: found[name] for name in NUMBER}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_reader_gives_the_same_number_interval_p_and_n(two_runs, protocol, tmp_path):
    folders = two_runs(protocol)
    comparison = compare_runs(open_sides([str(folder) for folder in folders]))
    [pair] = comparison.pairs
    rows = {item.task: item.headline for item in pair.benchmarks}
    assert set(rows) == set(TASKS)

    stored = [load_run(folder).scores["tasks"] for folder in folders]
    compared = {item["task"]: item["headline"] for item in comparison_to_json(comparison)["pairs"][0]["benchmarks"]}
    terminal = {(cells[0], cells[1]): cells for cells in comparison_table(comparison, pair).rows}
    markdown = comparison_markdown(comparison)
    page = {row.metric + row.name: row for row in comparison_view(comparison).pairs[0].headlines}
    verdict = judge(comparison, GENTLE)
    gated = {item["task"]: item["row"] for item in verdict_to_json(verdict)["benchmarks"]}
    gate_cells = {item.task: verdict_cells(item, str) for item in verdict.benchmarks}
    board = leaderboard_json(rank_board(read_leaderboard(folders), seed=0))
    cells = {entry["run"]: entry["cells"] for entry in board["entries"]}
    runs = [LoopRun(folder.name, "greedy", folder) for folder in folders]
    loop = LoopComparison("l", compare_loop([(runs[0].run, runs[1].run)], runs, seed=0), ())
    looped = json.loads(loop.to_bytes())["comparisons"]["greedy"]["pairs"][0]["benchmarks"]
    write_loop_report(loop.name, loop.by_decoding, [], tmp_path)
    loop_page = (tmp_path / "index.html").read_text(encoding="utf-8")
    loop_markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8")

    for task, row in rows.items():
        name = facts_of(task).headline
        found = row.difference
        assert found is not None, row.reason
        assert row.metric == name
        for side, scores, folder in zip("ab", stored, folders, strict=True):
            assert scores[task]["headline"] == name
            kept = of(scores[task]["metrics"][name])
            assert kept == of(compared[task][side])
            assert kept == of(gated[task][side])
            assert kept == of(cells[folder.name][task])
            assert cells[folder.name][task]["metric"] == name
        assert found.n == row.a.n
        assert found.delta == pytest.approx(row.b.value - row.a.value)
        assert compared[task]["difference"] == gated[task]["difference"] == asdict(found)
        again = next(item["headline"] for item in looped if item["task"] == task)
        assert again == compared[task]
        texts = [score_text(row, row.a), score_text(row, row.b), change_text(row), p_text(found.p)]
        assert list(terminal[task, name][2:6]) == texts
        assert terminal[task, name][7] == f"{found.n:,}"
        assert [gate_cells[task][place] for place in (2, 5, 7)] == [name, change_text(row), f"{found.n:,}"]
        for text in (markdown, loop_markdown):
            assert f"| {' | '.join(texts)} |" in text
        shown = page[name + task]
        assert f"{shown.a} {shown.a_range}".strip() == texts[0]
        assert f"{shown.b} {shown.b_range}".strip() == texts[1]
        assert (shown.p, shown.n) == (texts[3], f"{found.n:,}")
        assert all(text in loop_page for text in (shown.a_range, shown.b_range, shown.change_range))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_headline_that_cannot_be_given_is_so_everywhere_for_one_reason(two_runs, protocol):
    folders = two_runs(protocol, full=False)
    comparison = compare_runs(open_sides([str(folder) for folder in folders]))
    verdict = {item.task: item for item in judge(comparison, GENTLE).benchmarks}
    stored = load_run(folders[0]).scores["tasks"]

    for item in comparison.pairs[0].benchmarks:
        row, kept = item.headline, stored[item.task]
        assert kept["headline"] == row.metric
        assert of(kept["metrics"][row.metric]) == {name: getattr(row.a, name) for name in NUMBER}
        assert kept["reasons"].get(row.metric) == row.reason
        assert (verdict[item.task].state == "incomparable") == (row.reason is not None)
        assert verdict[item.task].reason.startswith(row.reason or "")
    refused = {item.task for item in comparison.pairs[0].benchmarks if item.headline.reason}
    assert refused == {"strict": {"mme", "ocrbench"}}.get(protocol, {"mme"})
    assert 'metrics = { mme = "' in verdict["mme"].reason


def test_a_score_has_the_interval_of_its_own_runs_seed(make_run, amend_manifest):
    folders = [
        amend_manifest(make_run(name, rows_of("mmstar", seed), protocol="lmms-eval"), weights_hash=name * 64, seed=7)
        for seed, name in enumerate("ab")
    ]
    run = load_run(folders[0])
    kept = summarise_records(run.records(), config_of(run.manifest), seed=7).tasks["mmstar"].metrics["accuracy"]

    row = compare_runs(open_sides([str(folder) for folder in folders])).pairs[0].benchmarks[0].headline

    assert row.a == kept


def test_a_loop_shows_each_stage_against_the_one_before_and_against_the_base(make_run, tmp_path):
    stages = ["base", "sft", "grpo"]
    folders = [make_run(name, rows_of("mmbench_en_dev", seed)) for seed, name in enumerate(stages)]
    runs = [LoopRun(name, "greedy", folder) for name, folder in zip(stages, folders, strict=True)]
    pairs = pairs_of([Chain("satori", *stages)])

    comparison = compare_loop(pairs, runs, seed=0)["greedy"]
    write_loop_report("l", {"greedy": comparison}, ["## How they learned"], tmp_path)

    assert pairs == [("base", "sft"), ("sft", "grpo"), ("base", "grpo")]
    rows = [pair.benchmarks[0].headline for pair in comparison.pairs]
    for row, (a, b) in zip(rows, pairs, strict=True):
        alone = compare_runs(open_sides([str(folders[stages.index(name)]) for name in (a, b)])).pairs[0]
        own = alone.benchmarks[0].headline
        assert (row.a, row.b, row.difference) == (own.a, own.b, own.difference)
    assert [row.holm_p for row in rows] == holm([row.difference.p for row in rows])
    view = comparison_view(comparison)
    assert [f"{pair.b.letter} against {pair.a.letter}" for pair in view.pairs] == [
        "B against A",
        "C against B",
        "C against A",
    ]
    assert [title.split(" with ")[0] for _, title in view.forests] == ["Change"]
    markdown = (tmp_path / "comparison.md").read_text(encoding="utf-8")
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    for row, (a, b) in zip(rows, pairs, strict=True):
        assert f"**{b} against {a}: " in markdown
        assert change_text(row) in markdown
        assert view.pairs[pairs.index((a, b))].headlines[0].change_range in page
    assert "## How they learned" in markdown


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_further_metrics_and_categories_are_those_of_scores_json_too(two_runs, protocol):
    folders = two_runs(protocol)
    stored = [load_run(folder).scores["tasks"] for folder in folders]

    for item in compare_runs(open_sides([str(folder) for folder in folders])).pairs[0].benchmarks:
        groups = {"metrics": item.metrics, "categories": item.categories, "l2_categories": item.l2_categories}
        for group, row in ((name, row) for name, rows in groups.items() for row in rows):
            kept = [scores[item.task][group][row.category or row.metric] for scores in stored]
            assert [of(asdict(side)) for side in (row.a, row.b)] == [of(one) for one in kept]
            assert row.difference.n == row.a.n
