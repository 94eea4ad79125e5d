"""The leaderboard: honest cells, greyed where they may not be compared, never an average, safe in every file format."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from harness.comparison.compare import compare_runs, open_sides
from harness.errors import ConfigError, IncompleteError
from harness.scoring.score import SCORER_VERSION
from harness.task_facts import MME_COGNITION, MME_PERCEPTION
from harness.values import Sample, Size
from reports.board.board import leaderboard_json, published, rank_board, read_leaderboard
from reports.pages.board_page import leaderboard_csv, leaderboard_view, write_leaderboard
from reports.texts.contamination import contamination
from satori_bench.app import cli


@pytest.fixture(scope="module")
def board(runs):
    return rank_board(read_leaderboard(list(runs.values())), seed=0)


def test_rows_stand_best_first_with_interval_and_n(board):
    assert [entry.model for entry in board.entries] == ["checkpoints/grpo", "checkpoints/sft", "checkpoints/base"]
    cell = leaderboard_view(board).entries[0].cells[0]

    assert re.fullmatch(r"\d+\.\d", cell.value)
    assert re.fullmatch(r"\[\d+\.\d, \d+\.\d\]", cell.interval)
    assert cell.about.startswith("n 60 · rank 1")


def test_scores_are_those_of_the_run(board, runs):
    stored = json.loads((runs["grpo"] / "scores.json").read_text())["tasks"]["shapes"]["metrics"]["accuracy"]
    cell = board.entries[0].cells["shapes"]

    assert (stored["value"], stored["ci_low"], stored["n"]) == (cell.value, cell.ci_low, cell.n)


def test_runs_of_another_protocol_or_other_data_are_greyed_with_the_reason_and_not_ranked(invented, runs, tmp_path):
    from harness.values import PixelLimits

    questions = invented.shapes_questions(60)
    other = invented.invent_run(
        tmp_path, invented.Answerer("other", right=1.0, near=1.0), questions, pixel_limits=PixelLimits(784, 7840)
    )
    board = rank_board(read_leaderboard([*runs.values(), other]), seed=0)
    cells = {entry.model: entry.cells["shapes"] for entry in board.entries}

    assert cells["other"].rank is None
    assert "pixel limits differ" in cells["other"].incomparable[0]
    assert all(cells[f"checkpoints/{name}"].rank is not None for name in runs)
    assert all(not cells[f"checkpoints/{name}"].incomparable for name in runs)


def test_limited_runs_are_barred_unless_allowed(invented, runs, tmp_path):
    limited = invented.invent_run(tmp_path, invented.Answerer("limited"), invented.shapes_questions(20), partial=True)
    board = read_leaderboard([runs["base"], limited])

    assert [limited.name] == [name for name, _ in board.barred]
    assert [entry.model for entry in board.entries] == ["checkpoints/base"]
    allowed = leaderboard_view(read_leaderboard([runs["base"], limited], allow_partial=True))
    assert "partial" in next(entry for entry in allowed.entries if entry.model == "limited").badges
    with pytest.raises(IncompleteError, match="--allow-partial"):
        read_leaderboard([limited])


def test_ranks_are_those_of_the_mean_on_the_shared_samples(board, runs):
    from harness.comparison.columns import read_run_table
    from harness.runs.store import load_run
    from harness.stats.paired import mean_of_sums
    from harness.stats.ranks import rank_sums

    names = [entry.run for entry in board.entries]
    tables = {path.name: read_run_table(load_run(path)) for path in runs.values()}
    codes = np.unique(tables[names[0]].clusters, return_inverse=True)[1]
    sums = [np.column_stack([np.bincount(codes, weights=tables[name].values), np.bincount(codes)]) for name in names]
    ranks = rank_sums(sums, mean_of_sums, seed=0)

    assert [entry.cells["shapes"].rank for entry in board.entries] == ranks


def test_too_few_clusters_and_single_runs_are_not_ranked(invented, runs, tmp_path):
    few = [
        invented.invent_run(tmp_path, invented.Answerer(name), invented.shapes_questions(10)) for name in ("one", "two")
    ]
    for paths in (few, [runs["base"]]):
        board = rank_board(read_leaderboard(paths), seed=0)
        assert all(entry.cells["shapes"].rank is None for entry in board.entries)


def test_a_folder_of_runs_stands_for_its_runs(board, runs):
    whole = read_leaderboard([runs["base"].parent])

    assert {entry.run for entry in board.entries} == {entry.run for entry in whole.entries}


def test_runs_of_one_folder_name_keep_their_own_ranks_and_pages(runs, tmp_path):
    names = {"one/latest": "grpo", "two/latest": "base", "two/Latest #2": "sft"}
    for place, name in names.items():
        shutil.copytree(runs[name], tmp_path / place)
    board = rank_board(read_leaderboard([tmp_path / "two", tmp_path / "one"]), seed=0)
    page = write_leaderboard(board, tmp_path / "site")

    assert [(entry.model, entry.site_name) for entry in board.entries] == [
        ("checkpoints/grpo", "latest"),
        ("checkpoints/sft", "Latest-2"),
        ("checkpoints/base", "latest-3"),
    ]
    assert [entry.cells["shapes"].rank.rank for entry in board.entries] == [1, 2, 3]
    for entry in board.entries:
        assert f'href="runs/{entry.site_name}/index.html"' in page.read_text(encoding="utf-8")
        copied = tmp_path / "site" / "runs" / entry.site_name / "index.html"
        assert copied.read_bytes() == (entry.path / "index.html").read_bytes()


def test_names_in_the_site_do_not_follow_the_order_of_the_arguments(runs, tmp_path):
    paths = [shutil.copytree(runs["base"], tmp_path / parent / "latest") for parent in ("one", "two")]
    boards = [read_leaderboard(order) for order in (paths, paths[::-1])]

    assert [{entry.path: entry.site_name for entry in board.entries} for board in boards] == [
        dict(zip(paths, ["latest", "latest-2"], strict=True))
    ] * 2


@pytest.mark.parametrize(
    ("place", "value", "field"),
    [
        (["tasks"], None, "field 'tasks' must be"),
        (["tasks"], [], "tasks is a list of 0, not an object"),
        (["tasks", "shapes"], {}, "field 'tasks.shapes."),
        (["tasks", "shapes", "headline"], 3, "tasks.shapes.headline is 3, not the name of a metric"),
        (["tasks", "shapes", "headline"], "f1", "'tasks.shapes.metrics.f1' is missing"),
        (["tasks", "shapes", "metrics"], "0.5", "tasks.shapes.metrics is '0.5', not an object"),
        (["tasks", "shapes", "metrics", "accuracy"], 0.5, "tasks.shapes.metrics.accuracy is 0.5, not an object"),
        (["tasks", "shapes", "metrics", "accuracy", "ci_low"], None, "accuracy.ci_low' is missing"),
        (["tasks", "shapes", "metrics", "accuracy", "value"], "0.5", "accuracy.value is '0.5', not a number or null"),
        (["tasks", "shapes", "metrics", "mean_iou", "n"], True, "tasks.shapes.metrics.mean_iou.n is True, not a count"),
        (["tasks", "shapes", "metrics", "accuracy", "value"], 1.5, "accuracy.value is 1.5, not from 0 to 1"),
        (["tasks", "shapes", "metrics", "accuracy", "value"], 10**400, "accuracy.value is a huge number, not a number"),
        (["tasks", "shapes", "metrics", "accuracy", "ci_low"], 0.99, "accuracy.ci_low is 0.99, not below ci_high"),
        (["tasks", "shapes", "rows"], -1, "tasks.shapes.rows is -1, not a count"),
    ],
)
def test_damaged_scores_name_file_field_and_mend(runs, tmp_path, renew_sums, place, value, field):
    """A value of None takes the field away."""
    run = shutil.copytree(runs["base"], tmp_path / "damaged")
    scores = json.loads((run / "scores.json").read_text(encoding="utf-8"))
    *parents, name = place
    fields = scores
    for parent in parents:
        fields = fields[parent]
    fields[name] = value
    if value is None:
        del fields[name]
    (run / "scores.json").write_text(json.dumps(scores), encoding="utf-8")
    renew_sums(run)
    with pytest.raises(IncompleteError) as found:
        read_leaderboard([run, runs["sft"]])

    assert found.value.exit_code == 5
    assert str(run / "scores.json") in str(found.value)
    assert field in str(found.value)
    assert str(found.value).endswith(f"satori-bench runs verify {run}")


def test_a_run_named_twice_or_no_run_is_refused(runs, tmp_path):
    with pytest.raises(ConfigError, match="named twice"):
        read_leaderboard([runs["base"], runs["base"]])
    with pytest.raises(ConfigError, match="neither a run nor a folder"):
        read_leaderboard([tmp_path])


def test_there_is_no_average_over_benchmarks(board):
    text = json.dumps(leaderboard_json(board))

    assert not re.search(r"average|macro|overall", text)


def test_published_rows_are_whole_marked_and_never_ranked(board):
    reported = published()

    assert reported.mark == "reported, not reproduced"
    assert len(reported.rows) == 11
    assert all(len(values) == len(reported.columns) == 8 for _, values in reported.rows)
    assert dict(reported.rows)["SATORI-3B"][2] - dict(reported.rows)["Qwen2.5-VL-3B"][2] == pytest.approx(-7.8)
    assert any("7.8 points below" in caution for caution in reported.cautions)
    assert sum(value is not None for _, row in reported.rows for value in row) == 78
    assert leaderboard_csv(board).count("\r\nreported,") == 78


def test_published_rows_stand_in_columns_that_we_have(board, invented):
    mathvista = replace(board, tasks=("mathvista",), entries=())
    view = leaderboard_view(mathvista)

    assert len(view.entries) == 11
    assert all(entry.reported and entry.badges == ("reported, not reproduced",) for entry in view.entries)


@pytest.mark.parametrize(
    ("model", "task", "flagged"),
    [("justairr/SATORI-3B", "textvqa", True), ("SATORI", "mmstar", False), ("qwen", "textvqa", False)],
)
def test_scores_that_training_data_may_have_inflated_are_flagged(model, task, flagged):
    assert flagged == (contamination(model, task) is not None)


def test_the_site_is_the_same_bytes_each_time_and_links_to_the_runs(board, tmp_path):
    sites = [tmp_path / "one", tmp_path / "two"]
    for site in sites:
        write_leaderboard(board, site)
    names = ["index.html", "leaderboard.json", "leaderboard.csv"]

    assert [(sites[0] / name).read_bytes() for name in names] == [(sites[1] / name).read_bytes() for name in names]
    for entry in board.entries:
        assert (sites[0] / "runs" / entry.run / "index.html").is_file()
        assert f'href="runs/{entry.run}/index.html"' in (sites[0] / "index.html").read_text(encoding="utf-8")
        assert (sites[0] / "runs" / entry.run / "media").is_dir()


def test_no_images_leaves_the_thumbnails_out_of_the_site(board, tmp_path):
    write_leaderboard(board, tmp_path, pictures=False)

    assert list(tmp_path.rglob("*.webp")) == []


def test_the_command_writes_the_site_and_prints_versioned_json(runs, tmp_path):
    arguments = ["leaderboard", *map(str, runs.values()), "-o", str(tmp_path / "site")]
    text = CliRunner().invoke(cli, arguments)
    found = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)

    assert (0, f"{tmp_path / 'site' / 'index.html'}\n") == (text.exit_code, text.stdout)
    assert (found["schema"], found["tasks"], len(found["entries"])) == (1, ["shapes"], 3)


# --- who is ranked with whom --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made_elsewhere(invented, tmp_path_factory):
    """Make runs of predictions made elsewhere: text-only, with nothing recorded of how they were asked."""
    root = tmp_path_factory.mktemp("elsewhere")

    def make(name, questions, right=0.5, **changes):
        who = invented.Answerer(name, right=right, near=1.0)
        return invented.invent_run(
            root, who, questions, predictions_only=True, **{"prompt_hash": "", "pixel_limits": None, **changes}
        )

    return make


@pytest.fixture(scope="module")
def three(invented, made_elsewhere):
    levels = {"high": 0.95, "middle": 0.6, "low": 0.2}
    return [made_elsewhere(name, invented.many_questions(100), right) for name, right in levels.items()]


def cells_of(paths, task="shapes"):
    board = rank_board(read_leaderboard(paths), seed=0)
    return {entry.model: entry.cells[task] for entry in board.entries}


def with_sample(questions, **changes):
    return [replace(question, sample=replace(question.sample, **changes)) for question in questions]


@pytest.mark.parametrize(
    ("kept", "reason"),
    [
        (slice(100, 200), "it shares 0 of 100 samples with the rest of the column"),
        (slice(80, 180), "it shares 20 of 100 samples with the rest of the column"),
        (slice(0, 20), "it shares 20 of 100 samples with the rest of the column"),
        (slice(0, 200), "it shares 100 of 200 samples with the rest of the column"),
    ],
)
def test_a_run_of_other_samples_is_greyed_and_changes_nobodys_rank(invented, made_elsewhere, three, kept, reason):
    stranger = made_elsewhere("stranger", invented.many_questions(200)[kept], 1.0)
    alone, together = cells_of(three), cells_of([stranger, *three])

    assert together.pop("stranger") == replace(cells_of([stranger])["stranger"], incomparable=(reason,))
    assert alone == together
    assert [cell.rank.rank for cell in alone.values()] == [1, 2, 3]


def test_a_ranking_on_fewer_samples_than_a_cell_counts_says_so(invented, made_elsewhere, three):
    board = rank_board(
        read_leaderboard([*three, made_elsewhere("lacks one", invented.many_questions(99), 0.4)]), seed=0
    )
    about = {entry.model: entry.cells[0].about for entry in leaderboard_view(board).entries if not entry.reported}
    found = {entry["model"]: entry["cells"]["shapes"] for entry in leaderboard_json(board)["entries"]}

    assert about["high"] == "n 100 · rank 1 a on the 99 shared"
    assert re.fullmatch(r"n 99 · rank [\d–]+ [a-z]", about["lacks one"])
    assert [cell["rank"]["n"] for cell in found.values()] == [99] * 4
    rows = list(csv.DictReader(io.StringIO(leaderboard_csv(board), newline="")))
    assert [row["rank_n"] for row in rows if row["kind"] == "run"] == ["99"] * 4


def test_a_run_of_the_same_ids_with_other_gold_is_greyed(invented, made_elsewhere, three):
    questions = invented.many_questions(100)
    other = made_elsewhere("other gold", [*with_sample(questions[:40], answers=("another thing",)), *questions[40:]])

    assert cells_of([other, *three])["other gold"].incomparable == (
        "40 of 100 shared samples are not the same in both (answers): not the same benchmark",
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"question": "another question"}, "question"),
        ({"caption": "another scene"}, "reference caption"),
        ({"category": "another kind"}, "category"),
        ({"l2_category": "another kind"}, "l2_category"),
        ({"boxes_image_px": ((1.0, 2.0, 30.0, 40.0),)}, "gold boxes"),
        ({"choices": {"A": "another thing"}}, "choices"),
        ({"image_size": Size(641, 480)}, "width"),
        ({"image_size": Size(640, 481)}, "height"),
        ({"image_sha256": "e" * 64}, "picture"),
        ({"extra": {"unit": "cm"}}, "unit"),
        ({"extra": {"precision": 2.0}}, "precision"),
        ({"extra": {"metadata": {"skills": ["counting"]}}}, "metadata"),
    ],
)
def test_what_may_not_be_subtracted_is_not_ranked_either(invented, tmp_path, changes, named):
    own = {"l2_category": "l2", "choices": {"A": "a thing"}, "image_sha256": "d" * 64}
    own |= {"extra": {"unit": "m", "precision": 1.0, "metadata": {"skills": ["logic"]}}}
    questions = with_sample(invented.many_questions(100), **own)
    few, many = ([*with_sample(questions[:n], **changes), *questions[n:]] for n in (1, 40))
    base, other, almost, others = (
        invented.invent_run(tmp_path, invented.Answerer(name), asked)
        for name, asked in (("base", questions), ("other", questions), ("almost", few), ("others", many))
    )
    alike, unlike = cells_of([base, other, almost]), cells_of([base, other, others])

    assert {name: cell.rank_n for name, cell in alike.items()} == dict.fromkeys(("base", "other", "almost"), 99)
    assert unlike["others"].incomparable == (
        f"40 of 100 shared samples are not the same in both ({named}): not the same benchmark",
    )
    [benchmark] = compare_runs(open_sides([str(base), str(others)]), draws=99).pairs[0].benchmarks
    assert unlike["others"].incomparable[0] in benchmark.comparability.reasons


def test_equal_numbers_and_objects_are_the_same_however_they_are_written(invented, tmp_path):
    questions = invented.many_questions(40)
    paths = [
        invented.invent_run(tmp_path, invented.Answerer(name), with_sample(questions, extra=extra))
        for name, extra in (
            ("one", {"precision": 2, "metadata": {"skills": ["a"], "unit": None}}),
            ("other", {"metadata": {"unit": None, "skills": ["a"]}, "precision": 2.0}),
        )
    ]

    assert all(cell.rank_n == 40 for cell in cells_of(paths).values())


@pytest.mark.parametrize("place", range(4))
@pytest.mark.parametrize("failed", [2, 30, 100])
def test_a_run_of_unexplained_nulls_stands_apart_wherever_it_is_named(invented, three, tmp_path, place, failed):
    who = invented.Answerer("failing", right=1.0, near=1.0, broken=0.0, failed=failed)
    failing = invented.invent_run(
        tmp_path, who, invented.many_questions(100), predictions_only=True, prompt_hash="", pixel_limits=None
    )
    paths = list(three)
    paths.insert(place, failing)
    cells = cells_of(paths)
    cell = cells.pop("failing")

    assert cell.rank is None
    if failed < 100:  # without any score there is nothing to rank
        assert cell.incomparable == (
            f"{failed} of its 100 samples could not be scored for an error of the model's or the judge's server",
        )
    assert cells == cells_of(three)


def test_a_single_failure_of_a_hundred_is_no_bar(invented, three, tmp_path):
    who = invented.Answerer("almost", failed=1)
    path = invented.invent_run(
        tmp_path, who, invented.many_questions(100), predictions_only=True, prompt_hash="", pixel_limits=None
    )

    assert cells_of([*three, path])["almost"].rank is not None


def test_two_runs_of_which_one_failed_grey_that_one_alone(invented, three, tmp_path):
    who = invented.Answerer("failing", failed=30)
    failing = invented.invent_run(
        tmp_path, who, invented.many_questions(100), predictions_only=True, prompt_hash="", pixel_limits=None
    )
    board = rank_board(read_leaderboard([failing, three[0]]), seed=0)
    cells = {entry.model: entry.cells["shapes"] for entry in board.entries}

    assert cells["high"].incomparable == ()
    assert "could not be scored" in cells["failing"].incomparable[0]
    assert board.unranked == {"shapes": "fewer than two runs that may be compared"}


def test_what_killed_makers_left_behind_is_no_run_of_a_folder(invented, tmp_path):
    whole = invented.invent_run(tmp_path, invented.Answerer("whole"), invented.many_questions(20))
    for name in (f".{whole.name}-17.tmp", ".scoring-x", f"{whole.name}.partial"):
        shutil.copytree(whole, tmp_path / name)

    assert [entry.path for entry in read_leaderboard([tmp_path]).entries] == [whole]


def test_a_run_that_carries_no_gold_boxes_is_ranked_with_those_that_do(invented, made_elsewhere, three):
    other = made_elsewhere("boxless", with_sample(invented.many_questions(100), boxes_image_px=None))

    assert cells_of([other, *three])["boxless"].rank is not None


def test_a_run_that_is_hardly_scored_is_greyed_and_changes_nobodys_rank(invented, made_elsewhere, three):
    questions = invented.many_questions(100)
    other = made_elsewhere("unscored", [*questions[:30], *with_sample(questions[30:], answers=None)])
    together = cells_of([other, *three])

    assert together.pop("unscored").incomparable == (
        "it shares 30 of 100 samples that could be scored with the rest of the column",
    )
    assert cells_of(three) == together


def test_runs_that_are_ranked_together_are_comparable_pair_by_pair(invented, made_elsewhere, three, tmp_path):
    """Predictions made elsewhere go with any wording; two runs of different wordings do not go with each other."""
    questions = invented.many_questions(100)
    recorded = [
        invented.invent_run(
            tmp_path, invented.Answerer(name, right=right), questions, prompt_hash=digit * 64, pixel_limits=None
        )
        for name, right, digit in (("one", 0.5, "1"), ("two", 0.7, "2"), ("again", 0.3, "1"))
    ]
    for paths in ([*three, *recorded], [*recorded[::-1], *three]):
        cells = cells_of(paths)

        assert [name for name, cell in cells.items() if cell.rank is None] == ["two"]
        assert cells["two"].incomparable == (f"prompt wording differs: {'1' * 64} and {'2' * 64}",)


def test_of_groups_of_one_size_that_of_recorded_runs_is_the_columns_standard(invented, made_elsewhere, tmp_path):
    questions = invented.many_questions(40)
    elsewhere = [made_elsewhere(name, questions, 0.9, scorer_version=9) for name in ("one", "two")]
    recorded = [invented.invent_run(tmp_path, invented.Answerer(name), questions) for name in ("three", "four")]
    cells = cells_of([*elsewhere, *recorded])

    assert {name for name, cell in cells.items() if cell.rank is not None} == {"three", "four"}
    assert all(f"scorer version differs: {SCORER_VERSION} and 9" in cells[name].incomparable for name in ("one", "two"))


def test_a_column_without_ranks_says_why(invented, runs, tmp_path):
    few = [
        invented.invent_run(tmp_path, invented.Answerer(name), invented.shapes_questions(10)) for name in ("one", "two")
    ]
    for paths, reason in (
        (few, "the runs share 10 clusters of samples: a ranking needs 15"),
        ([runs["base"]], "fewer than two runs that may be compared"),
    ):
        board = rank_board(read_leaderboard(paths), seed=0)
        assert board.unranked == leaderboard_json(board)["unranked"] == {"shapes": reason}
        assert leaderboard_view(board).columns[0].unranked == reason


def mme_questions(invented, images):
    """Two questions about each image of every MME subtask; `images` says how many each subtask has."""
    return [
        invented.Question(
            Sample(
                id=f"{name} {image} {answer}",
                task="mme",
                answer_rule="yes_no",
                answers=(answer,),
                category=name,
                cluster=f"{name} {image}",
            ),
            None,
        )
        for name in (*MME_PERCEPTION, *MME_COGNITION)
        for image in range(images(name))
        for answer in ("Yes", "No")
    ]


def mme_board(made_elsewhere, *asked):
    def said(question, who, rng):
        right = rng.random() < who.right
        return f"<answer>{'Yes' if right == (question.sample.answers == ('Yes',)) else 'No'}</answer>"

    rights = (0.95, 0.5)
    return rank_board(
        read_leaderboard(
            [
                made_elsewhere(str(right), questions, right, text_of=said)
                for right, questions in zip(rights, asked, strict=True)
            ]
        ),
        seed=0,
    )


def test_mme_is_ranked_by_its_total_on_as_many_questions_as_a_cell_counts(invented, made_elsewhere):
    questions = mme_questions(invented, lambda name: 4)
    cells = [entry.cells["mme"] for entry in mme_board(made_elsewhere, questions, questions).entries]

    assert [(cell.metric, cell.value, cell.n) for cell in cells] == [
        ("total", pytest.approx(cell.rank.value), cell.rank_n) for cell in cells
    ]
    assert [cell.rank.rank for cell in cells] == [1, 2]


def test_mme_with_a_subtask_of_one_image_is_shown_but_not_ranked(invented, made_elsewhere, tmp_path):
    questions = mme_questions(invented, lambda name: 1 if name == "OCR" else 2)
    board = mme_board(made_elsewhere, questions, questions)

    reason = "1 of 14 subtasks has a single image that all runs could score: a ranking needs two"
    assert board.unranked == {"mme": reason}
    assert [(cell.value is None, cell.rank) for cell in (entry.cells["mme"] for entry in board.entries)] == [
        (False, None)
    ] * 2
    assert f"mme is not ranked: {reason}." in write_leaderboard(board, tmp_path).read_text(encoding="utf-8")


def test_mme_is_not_ranked_by_something_else_where_the_shared_samples_make_no_total(invented, made_elsewhere):
    questions = mme_questions(invented, lambda name: 4)
    other = [*with_sample(questions[:1], answers=("No",)), *questions[1:]]

    assert mme_board(made_elsewhere, questions, other).unranked == {
        "mme": "the benchmark's total cannot be made of the samples that the runs share"
    }


# --- hostile strings ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hostile_board(hostile_runs, hostile):
    board = read_leaderboard(hostile_runs)
    entry = board.entries[0]
    named = [replace(entry, model=text, max_new_tokens=text, weights=text) for text in hostile]
    return replace(board, entries=tuple(named), barred=tuple((text, text) for text in hostile))


def test_no_cell_of_the_csv_is_a_formula_and_every_row_is_whole(hostile_board, hostile):
    text = leaderboard_csv(hostile_board)
    text.encode("utf-8")
    head, *rows = csv.reader(io.StringIO(text, newline=""))

    assert {len(head)} == {len(row) for row in rows}
    assert len(hostile) == sum(row[0] == "run" for row in rows)
    texts = [cell for row in rows for cell in row if not re.fullmatch(r"-?[\d.e-]+", cell)]
    assert not [cell for cell in texts if cell.lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_hostile_names_come_back_whole_from_the_json(hostile_board, hostile):
    found = json.loads(json.dumps(leaderboard_json(hostile_board)))

    assert hostile == [entry["model"] for entry in found["entries"]]


def test_hostile_names_are_text_on_the_board(hostile_board):
    from reports.pages.shell import Page, render

    html = render(Page("leaderboard.html.j2", leaderboard_view(hostile_board), "leaderboard.js")).decode("utf-8")

    assert html.count("<script") == 1
    assert not re.findall("<img|<iframe|<base|<link|<form|<plaintext|<svg", html)
    assert not re.findall("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", html)


@pytest.mark.parametrize("renamed", [0, 150])
def test_groups_that_only_have_other_names_are_ranked_on_all_samples(make_run, renamed):
    def run(name, prefix):
        return make_run(
            name,
            [
                {"task": "mmstar", "id": str(n), "prediction": f"<answer>{'AB'[n % 3 == 0]}</answer>", "answers": ["A"],
                 "group": f"{prefix if n >= renamed else 'g'}{n // 3}"}
                for n in range(300)
            ],
        )  # fmt: skip

    board = rank_board(read_leaderboard([run("one", "g"), run("two", "h")]), seed=0)

    assert [entry.cells["mmstar"].rank_n for entry in board.entries] == [300, 300]
