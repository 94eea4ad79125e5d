"""Tests of logs that meet their benchmark: whose question each answer is of, what is refused, what the run says."""

import csv
import json
import re
import zipfile
from dataclasses import replace
from datetime import UTC, datetime
from itertools import cycle

import pytest

from harness.comparison.comparability import runs_comparability, task_comparability
from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.verify_run import verify_run
from harness.evaluation.predictions_file import score_file
from harness.evaluation.rescore import PredictionSource, rescore_run, save_predictions_run
from harness.imports.foreign import ForeignAnswer, ForeignLog, ForeignLogError, ForeignTask
from harness.imports.imported_run import Importing, save_imported_run
from harness.imports.vlmevalkit import read_vlmevalkit
from harness.runs.manifest import IMPORTED, imported_of
from harness.runs.store import load_run
from harness.scoring.score import score_generation
from harness.values import Generation, ScoreConfig
from reports.board.board import leaderboard_json, rank_board, read_leaderboard
from reports.pages.run_page import stored_run_page
from tasks.catalog import BENCHMARKS
from tasks.imported_samples import benchmark_named, match_task
from tasks.local_data import find_local_files, open_task_data, without_image

NOW = datetime(2026, 11, 29, 10, 15, tzinfo=UTC)
PLAIN = ScoreConfig(format="plain")
DRESSES = (
    "{gold}",
    "The answer is {gold}.",
    "nothing of that",
    "<think>Is it B?</think>{gold}",
    "",
    "No",
    " {gold}\n",
    "7",
)


def samples_of(task, folder, *, pictures=True):
    """The benchmark's own questions, in the order of its rows."""
    benchmark = BENCHMARKS[task]
    adapter = benchmark.adapter
    data = open_task_data(benchmark, folder)
    return [adapter.sample_of(doc if pictures else without_image(adapter, doc)) for doc in data]


def dressed(samples):
    return [
        dress.format(gold=(sample.answers or ("",))[0]) for sample, dress in zip(samples, cycle(DRESSES), strict=False)
    ]


def vlmevalkit_table(path, source, texts):
    """Write a benchmark's table as VLMEvalKit leaves it: without its pictures, with an answer a row."""
    csv.field_size_limit(2**30)
    with source.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    columns = [name for name in rows[0] if name != "image"]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow([*columns, "prediction"])
        writer.writerows([*(row[name] for name in columns), text] for row, text in zip(rows, texts, strict=True))
    return path


def imported(root, tool, task, foreign, data=None, *, version="", config=PLAIN, name=None):
    """Make a run of one task of a log."""
    matched = match_task(tool, foreign, BENCHMARKS[task], data)
    log = ForeignLog(tool, version, "someone/tiny", "", (foreign,), {"log": "0" * 64})
    found = save_imported_run(root, log, [matched], Importing(config, {}, name), now=NOW)
    return load_run(found.folder), found


def lmms_eval_task(samples, texts, **fields):
    """What a log of lmms-eval says of answers, by row."""
    answers = tuple(
        ForeignAnswer(
            str(row), text, prompt=f"{sample.question}\nAnswer.", cells={"target": (sample.answers or ("",))[0]}
        )
        for row, (sample, text) in enumerate(zip(samples, texts, strict=True))
    )
    found = {"rows": len(answers), "theirs": {"average,none": 0.5}, "generation": {"max_new_tokens": 16}, **fields}
    return ForeignTask("mmstar", answers, **found)


TABLES = [
    "mmstar", "mmbench_en_dev", "mme", "ocrbench", "pope", "hallusion_bench", "ai2d", "scienceqa", "mathvista",
    "chartqa", "textvqa", "docvqa", "infovqa",
]  # fmt: skip


@pytest.mark.parametrize("task", TABLES)
def test_a_result_of_vlmevalkit_scores_as_the_benchmarks_own_rows_with_and_without_data(task, local_data, tmp_path):
    (source,) = find_local_files(BENCHMARKS[task], local_data.tsv)
    samples = samples_of(task, local_data.tsv)
    texts = dressed(samples)
    path = vlmevalkit_table(tmp_path / f"m_{task}.tsv", source, texts)
    foreign = read_vlmevalkit(path, model="m").tasks[0]
    wanted = {
        sample.id: score_generation(sample, Generation(text), PLAIN)
        for sample, text in zip(samples, texts, strict=True)
    }

    for data in (None, open_task_data(BENCHMARKS[task], local_data.tsv)):
        run, _ = imported(tmp_path / str(data is None), "vlmevalkit", task, foreign, data)

        records = {record.sample.id: record for record in run.records()}
        assert {name: record.score for name, record in records.items()} == wanted
        assert [records[sample.id].generation.text for sample in samples] == texts
        assert verify_run(run.path) == []
        if data is not None:
            assert {name: record.sample for name, record in records.items()} == {one.id: one for one in samples}


def test_import_scores_as_score_does_on_the_same_texts_and_rescore_as_both(local_data, tmp_path):
    samples = samples_of("mmstar", local_data.tsv)
    texts = dressed(samples)
    lines = [
        {"id": one.id, "task": "mmstar", "prediction": text, "answers": list(one.answers), "choices": dict(one.choices)}
        for one, text in zip(samples, texts, strict=True)
    ]
    (tmp_path / "lines.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    data = open_task_data(BENCHMARKS["mmstar"], local_data.tsv)

    for protocol in ("strict", "vlmevalkit", "lmms-eval"):
        config = ScoreConfig(protocol, "plain")
        scored = score_file(tmp_path / "lines.jsonl", config, None)
        run, found = imported(
            tmp_path / protocol, "lmms-eval", "mmstar", lmms_eval_task(samples, texts), data, config=config
        )
        assert [record.score for record in run.records()] == [row.score for row in scored.rows]
        again = rescore_run(run, protocol)
        assert again.tasks["mmstar"].metrics == found.summary.tasks["mmstar"].metrics


def test_the_manifest_says_whose_log_it_was_and_what_is_not_known(local_data, tmp_path):
    samples = samples_of("mmstar", local_data.tsv)
    data = open_task_data(BENCHMARKS["mmstar"], local_data.tsv)
    run, found = imported(
        tmp_path, "lmms-eval", "mmstar", lmms_eval_task(samples, dressed(samples)), data, version="0.7.3", name="peer"
    )

    manifest = run.manifest
    told = imported_of(manifest)
    assert (told.program, told.theirs, told.compared) == (
        "lmms-eval 0.7.3", {"mmstar": {"average,none": 0.5}}, {"mmstar": {"accuracy": 0.5}},
    )  # fmt: skip
    assert (manifest.backend, manifest.predictions_only, manifest.partial, manifest.name) == (
        "lmms-eval", True, False, "peer",
    )  # fmt: skip
    assert (manifest.pixel_limits, dict(manifest.generation), manifest.prompt_hash) == (None, {}, "")
    assert manifest.tasks["mmstar"].generation == {"max_new_tokens": 16}
    assert manifest.tasks["mmstar"].prompt_hash
    (one,) = found.differences
    assert (one.metric, one.theirs, one.ours) == (
        "accuracy",
        0.5,
        found.summary.tasks["mmstar"].metrics["accuracy"].value,
    )


def test_failures_are_null_by_name_and_never_wrong(local_data, tmp_path):
    samples = samples_of("mmstar", local_data.tsv)
    foreign = lmms_eval_task(samples, dressed(samples))
    failed = ForeignAnswer("0", "", error="429", prompt=foreign.answers[0].prompt, cells=foreign.answers[0].cells)
    data = open_task_data(BENCHMARKS["mmstar"], local_data.tsv)
    task = ForeignTask("mmstar", (failed, *foreign.answers[1:]), foreign.rows, {})

    run, found = imported(tmp_path, "lmms-eval", "mmstar", task, data)

    first = next(iter(run.records()))
    assert (first.score.value, first.score.faults, first.generation.error) == (None, ("error",), "429")
    assert found.summary.tasks["mmstar"].metrics["accuracy"].n == len(samples) - 1


def test_by_the_programs_rules_a_failed_request_is_what_it_made_of_it(local_data, tmp_path):
    samples = samples_of("mmstar", local_data.tsv)
    answers = tuple(
        ForeignAnswer(one.id, one.answers[0] if place % 2 else "", error=None if place % 2 else "failed",
                      logged="" if place % 2 else "Failed to obtain answer via API.", cells={"answer": one.answers[0]})
        for place, one in enumerate(samples)
    )  # fmt: skip
    data = open_task_data(BENCHMARKS["mmstar"], local_data.tsv)

    _, found = imported(tmp_path, "vlmevalkit", "mmstar", ForeignTask("MMStar", answers, 24, {"Overall": 0.5}), data)

    (one,) = found.differences
    assert (one.theirs, one.ours, one.by_their_rules) == (0.5, 1.0, 0.5)


def test_lmms_eval_needs_the_benchmarks_data(local_data):
    samples = samples_of("mmstar", local_data.tsv)

    with pytest.raises(ForeignLogError, match="give the benchmark's data"):
        match_task("lmms-eval", lmms_eval_task(samples, dressed(samples)), BENCHMARKS["mmstar"], None)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"target": "D"}, "are not those of"),
        ({"prompt": "Quite another question?"}, "are not those of"),
        ({"place": "999"}, "are not those of"),
    ],
)
def test_a_log_of_other_rows_is_refused(wrong, says, local_data):
    samples = samples_of("mmstar", local_data.tsv)
    foreign = lmms_eval_task(samples, dressed(samples))
    first = foreign.answers[0]
    odd = ForeignAnswer(
        wrong.get("place", first.place), first.text, prompt=wrong.get("prompt", first.prompt),
        cells={"target": wrong.get("target", first.cells["target"])},
    )  # fmt: skip
    task = ForeignTask("mmstar", (odd, *foreign.answers[1:]), foreign.rows, {})

    with pytest.raises(ForeignLogError, match=says):
        match_task("lmms-eval", task, BENCHMARKS["mmstar"], open_task_data(BENCHMARKS["mmstar"], local_data.tsv))


def test_a_log_of_another_number_of_rows_is_refused(local_data):
    samples = samples_of("mmstar", local_data.tsv)
    task = lmms_eval_task(samples, dressed(samples), rows=len(samples) + 1)

    with pytest.raises(ForeignLogError, match=r"asked of 25 rows, and .* has 24"):
        match_task("lmms-eval", task, BENCHMARKS["mmstar"], open_task_data(BENCHMARKS["mmstar"], local_data.tsv))


@pytest.mark.parametrize(
    ("tool", "name", "ours"),
    [
        ("lmms-eval", "mmstar", "mmstar"), ("vlmevalkit", "MMBench_DEV_EN_V11", "mmbench_en_dev_v11"),
        ("vlmevalkit", "HallusionBench", "hallusion_bench"), ("inspect", "inspect_evals/mmstar", "mmstar"),
        ("lmms-eval", "mmbench_test_en", None), ("vlmevalkit", "MMBench", None), ("inspect", "gsm8k", None),
        ("vlmevalkit", "../mmstar", "mmstar"), ("inspect", "", None),
    ],
)  # fmt: skip
def test_a_name_is_one_of_ours_or_asked_for(tool, name, ours):
    if ours is not None:
        assert benchmark_named(tool, name, {}).name == ours
        return
    with pytest.raises(ForeignLogError, match="Say which with --task"):
        benchmark_named(tool, name, {})
    assert benchmark_named(tool, name, {name: "mmstar"}).name == "mmstar"


INSPECT_ROWS = [
    ("choice", {"choices": ["a dog", "a cat"], "target": ["B"]}, ("B", {"A": "a dog", "B": "a cat"})),
    ("the option's text", {"choices": ["a dog", "a cat"], "target": ["a cat"]}, ("B", {"A": "a dog", "B": "a cat"})),
    ("no options", {"target": ["B"]}, None),
    ("no such option", {"choices": ["a dog", "a cat"], "target": ["C"]}, None),
    ("two targets", {"choices": ["a dog", "a cat"], "target": ["A", "B"]}, None),
    ("no target", {"choices": ["a dog", "a cat"], "target": []}, None),
    ("too many options", {"choices": ["x"] * 27, "target": ["A"]}, None),
]


@pytest.mark.parametrize(("cells", "wanted"), [row[1:] for row in INSPECT_ROWS], ids=[row[0] for row in INSPECT_ROWS])
def test_inspect_gives_options_and_target_or_the_sample_is_null(cells, wanted):
    whole = {"question": "Which?", "choices": ["a", "b"], "target": ["A"]}
    answers = (ForeignAnswer("0", "A", cells=whole), ForeignAnswer("1", "B", cells={"question": "Which?", **cells}))

    matched = match_task("inspect", ForeignTask("x", answers, 2, {}), BENCHMARKS["mmstar"], None)

    if wanted is None:
        assert "1" not in matched.samples
        assert "cannot be read from the log" in matched.faults["1"]
    else:
        assert (matched.samples["1"].answers, dict(matched.samples["1"].choices)) == ((wanted[0],), wanted[1])


@pytest.mark.parametrize(
    ("held", "is_partial", "is_told"), [(1499, True, False), (1500, False, False), (1501, True, True)]
)
def test_a_log_of_more_questions_than_the_benchmark_has_is_not_the_benchmark(held, is_partial, is_told):
    cells = {"question": "Which?", "choices": ["a", "b"], "target": ["A"]}
    answers = tuple(ForeignAnswer(str(place), "A", cells=cells) for place in range(held))

    matched = match_task("inspect", ForeignTask("x", answers, held, {}), BENCHMARKS["mmstar"], None)

    assert (matched.rows, matched.held, matched.partial) == (1500, held, is_partial)
    assert any("some are of other data" in note for note in matched.notes) == is_told


def test_inspect_benchmarks_that_need_official_columns_need_data():
    answers = (ForeignAnswer("0", "1", cells={"question": "How many?", "target": ["1"]}),)

    with pytest.raises(ForeignLogError, match="columns that Inspect's log does not have"):
        match_task("inspect", ForeignTask("x", answers, 1, {}), BENCHMARKS["mathvista"], None)


# --- what may be compared -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def three(local_data, tmp_path_factory):
    """The same texts as a log of each program and as a predictions file, all with the benchmark's data."""
    root = tmp_path_factory.mktemp("imports")
    samples = samples_of("mmstar", local_data.tsv)
    texts = dressed(samples)
    data = open_task_data(BENCHMARKS["mmstar"], local_data.tsv)
    asked = [{"question": one.question, "target": list(one.answers), "answer": one.answers[0]} for one in samples]
    answers = tuple(
        ForeignAnswer(one.id, text, cells=cells) for one, text, cells in zip(samples, texts, asked, strict=True)
    )
    tasks = {
        "lmms-eval": lmms_eval_task(samples, texts),
        "vlmevalkit": ForeignTask("MMStar", answers, len(answers), {"Overall": 0.25}),
        "inspect": ForeignTask("mmstar", answers, len(answers), {"choice/accuracy": 0.75}),
    }
    runs = {tool: imported(root / "runs", tool, "mmstar", task, data)[0] for tool, task in tasks.items()}
    again = imported(root / "runs", "lmms-eval", "mmstar", lmms_eval_task(samples, texts), data, name="again")[0]
    other = lmms_eval_task(samples, texts, generation={"max_new_tokens": 1024})
    warmer = imported(root / "runs", "lmms-eval", "mmstar", other, data, name="longer")[0]
    lines = [{"id": one.id, "task": "mmstar", "prediction": text, "answers": list(one.answers),
              "choices": dict(one.choices)} for one, text in zip(samples, texts, strict=True)]  # fmt: skip
    (root / "lines.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")
    rows = score_file(root / "lines.jsonl", PLAIN, None).rows
    folder, _ = save_predictions_run(root / "runs", rows, PLAIN, PredictionSource("file", "0" * 64, {}), now=NOW)
    return {**runs, "again": again, "longer": warmer, "file": load_run(folder)}


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ("lmms-eval", "vlmevalkit", "asked by different programs, lmms-eval and vlmevalkit"),
        ("vlmevalkit", "inspect", "asked by different programs, vlmevalkit and inspect"),
        ("lmms-eval", "again", None),
        ("lmms-eval", "file", None),
    ],
)
def test_runs_of_different_programs_are_not_subtracted(three, one, other, says):
    found = runs_comparability((three[one], None), (three[other], None))

    assert bool(found.reasons) == (says is not None)
    assert says is None or found.reasons[0].startswith(says)
    assert any("is imported from" in note for note in found.notes)


def test_arguments_that_a_log_says_are_held_against_it(three):
    one, other = (three[name].manifest.tasks["mmstar"] for name in ("lmms-eval", "longer"))

    assert task_comparability(one, other, elsewhere=True).reasons == (
        "generation arguments differ: max_new_tokens 16 and max_new_tokens 1024",
    )


def test_a_run_of_ours_is_not_subtracted_from_an_imported_one(three, local_data, tmp_path):
    own = replace(three["lmms-eval"], manifest=replace(three["lmms-eval"].manifest, other={}, predictions_only=False))
    own = replace(own, path=tmp_path)

    reasons = runs_comparability((own, None), (three["inspect"], None)).reasons

    assert reasons[0].startswith("asked by different programs, satori-bench and inspect")


def test_a_comparison_says_so_and_a_board_greys_and_tells_their_numbers(three):
    names = ("lmms-eval", "vlmevalkit", "inspect")
    root = three["lmms-eval"].path.parent
    comparison = compare_runs(open_sides([three[name].path.name for name in names[:2]], root), seed=0)
    board = rank_board(read_leaderboard([three[name].path for name in names]), seed=0)

    assert not comparison.pairs[0].comparability.comparable
    cells = {entry.imported: entry.cells["mmstar"] for entry in board.entries}
    assert {name: cell.theirs for name, cell in cells.items()} == {
        "lmms-eval": 0.5,
        "vlmevalkit": 0.25,
        "inspect": 0.75,
    }
    assert sum(bool(cell.incomparable) for cell in cells.values()) == 2
    assert {entry["imported"] for entry in leaderboard_json(board)["entries"]} == set(names)


def test_pages_take_whatever_a_manifest_says_of_an_import(three):
    told = {"tool": "<b>x</b>", "version": "<i>1</i>", "tasks": {"<u>t</u>": {"compared": {"<s>m</s>": 0.5}}}}
    own = replace(three["lmms-eval"], manifest=replace(three["lmms-eval"].manifest, other={IMPORTED: told}))

    html = stored_run_page(own).decode()

    assert "imported from &lt;b&gt;x" in html
    assert not re.search("<b>x|<i>1|<u>t|<s>m", html)


@pytest.mark.parametrize(
    ("told", "compared"),
    [
        ({"tool": 3, "version": None, "tasks": {"mmstar": {"compared": {"accuracy": 10**400, "iou": True}}, "mme": []}},
         {"mmstar": {}}),
        ({"tasks": ["mmstar"]}, {}),
        ({}, {}),
    ],
)  # fmt: skip
def test_an_import_is_one_whatever_its_manifest_says_of_it(three, told, compared):
    manifest = replace(three["lmms-eval"].manifest, other={IMPORTED: told})
    found = runs_comparability((replace(three["lmms-eval"], manifest=manifest), None), (three["inspect"], None))

    assert imported_of(manifest).compared == compared
    assert found.reasons[0].startswith("asked by different programs")


# --- the command ----------------------------------------------------------------------------------------------------


def test_the_command_imports_and_tells_what_is_left_out(command, local_data, tmp_path):
    (source,) = find_local_files(BENCHMARKS["mmstar"], local_data.tsv)
    samples = samples_of("mmstar", local_data.tsv)
    folder = tmp_path / "m"
    folder.mkdir()
    texts = ["Failed to obtain answer via API.", *dressed(samples)[1:]]
    vlmevalkit_table(folder / "m_MMStar.tsv", source, texts)
    (folder / "m_MMStar_acc.csv").write_text('"split","Overall"\n"none","0.25"\n', encoding="utf-8")
    (folder / "m_MME.pkl").write_bytes(b"cos\nsystem\n(S'false'\ntR.")

    found = command(
        "import", "vlmevalkit", folder, "--data-dir", local_data.tsv, "--out", tmp_path / "runs", "--no-page"
    )

    code, out, err = found
    assert code == 0, err
    for said in ("not imported: MME: m_MME.pkl is a pickle", "MMStar of VLMEvalKit is mmstar here: 24 of 24",
                 "1 answers are null", "VLMEvalKit's own 25.00 %", "by its rules"):  # fmt: skip
        assert said in out + err
    (run,) = (tmp_path / "runs").iterdir()
    assert load_run(run).manifest.model == "m"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["lmms-eval", "nowhere"], "does not exist"),
        (["inspect", "."], "no .eval lies in"),
        (["vlmevalkit", "."], "lies in"),
        (["lmms-eval", "."], "_results.json lies in"),
        (["lmms_eval", "."], "Did you mean 'lmms-eval'?"),
    ],
)
def test_the_command_refuses_what_is_no_log(command, tmp_path, words, says):
    code, _, err = command("import", *words, "--out", tmp_path / "runs")

    assert code == 2
    assert says in err
    assert not (tmp_path / "runs").exists()


def test_the_command_takes_a_name_for_an_unknown_task(command, tmp_path):
    sample = {
        "id": 1, "epoch": 1, "input": "Which?", "choices": ["a dog", "a cat"], "target": "B",
        "output": {"choices": [{"message": {"content": "B"}}]},
    }  # fmt: skip
    header = {"version": 2, "status": "success", "eval": {"task": "mine", "model": "m", "dataset": {"samples": 1}}}
    with zipfile.ZipFile(tmp_path / "x.eval", "w") as file:
        file.writestr("header.json", json.dumps(header))
        file.writestr("samples/1_epoch_1.json", json.dumps(sample))
    words = ["import", "inspect", tmp_path / "x.eval", "--out", tmp_path / "runs", "--no-page"]

    refused, taken = command(*words), command(*words, "--task", "mine=mmstar")
    wrong = command(*words, "--task", "other=mmstar")

    assert (refused[0], wrong[0], taken[0]) == (2, 2, 0), taken
    assert "is no task here" in refused[2]
    assert "the log has no 'other'; it has mine" in wrong[2]
    assert "not all of its questions were asked" in taken[2]


@pytest.mark.parametrize(
    ("answer", "is_told"), [({"answer": "B"}, False), ({"answer": ""}, True), ({"answer": None}, True)]
)
def test_a_table_without_right_answers_says_what_scores_it(command, tmp_path, answer, is_told):
    row = {"question": "Which?", "A": "cat", "B": "dog", "prediction": "B", "category": "x", "l2_category": "y"}
    table = tmp_path / "m_MMStar.json"
    table.write_text(json.dumps([{"index": place, **row, **answer} for place in range(3)]), encoding="utf-8")

    code, _, said = command("import", "vlmevalkit", table, "--model", "m", "--no-page")

    assert code == 0, said
    assert ("no right answer to any question, so nothing is scored: give the benchmark's data" in said) == is_told
