"""Comparisons of stored runs: which samples count, what may be subtracted, whose numbers they are."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.sample_texts import read_details
from harness.comparison.values import CUTS, DEFAULT_CUT, DIRECTIONS, QUADRANTS
from harness.errors import ConfigError, IncompleteError, UserError
from harness.evaluation.rescore import rescore_run
from harness.runs.store import load_run
from harness.scoring.box_dialects import dialect_named
from harness.scoring.overlap import union_iou
from harness.scoring.score import SCORER_VERSION
from harness.stats.paired import holm
from harness.task_facts import MME_COGNITION, MME_PERCEPTION

DRAWS = 199
GOLD_BOX = [100, 100, 300, 200]


def shapes(right: list[bool], *, offset: float = 0, start: int = 0, **fields) -> list[dict]:
    """Rows of Shapes, three images' worth of questions each, with a box that is off by so many pixels."""
    box = [edge + offset for edge in GOLD_BOX]
    return [
        {
            "id": f"s{place}",
            "task": "shapes",
            "question": f"colour of {place}?",
            "prediction": f"<caption>a shape</caption><bbox>[{box}]</bbox><answer>{'red' if ok else 'blue'}</answer>",
            "answers": ["red"],
            "category": f"kind {place % 2}",
            "group": f"image {place // 2}",
            "boxes": [GOLD_BOX],
            "width": 640,
            "height": 480,
        }
        | fields
        for place, ok in enumerate(right, start)
    ]


def some(n: int, share: float, seed: int) -> list[bool]:
    return (np.random.default_rng(seed).random(n) < share).tolist()


def compared(*folders, **options):
    return compare_runs(open_sides([str(folder) for folder in folders]), draws=DRAWS, **options)


def test_only_shared_samples_count_and_the_others_are_counted(make_run):
    a = make_run("a", shapes(some(60, 0.5, 1)))
    b = make_run("b", shapes(some(60, 0.5, 2), start=20))

    strictly = compared(a, b).pairs[0].benchmarks[0]
    benchmark = compared(a, b, on_shared=True).pairs[0].benchmarks[0]

    assert strictly.headline.difference is None
    assert "the candidate lacks 20 of the baseline's samples" in strictly.headline.reason
    assert (benchmark.shared, benchmark.only_a, benchmark.only_b) == (40, 20, 20)
    assert benchmark.headline.difference.n == 40
    assert benchmark.headline.difference.clusters == 20
    assert "20 samples that only a has" in benchmark.comparability.notes[0]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"question": "another?"}, "question"),
        ({"caption": "another"}, "reference caption"),
        ({"category": "another"}, "category"),
        ({"l2_category": "another"}, "l2_category"),
        ({"width": 641}, "width"),
        ({"height": 10}, "height"),
        ({"boxes": [[100, 100, 300, 201]]}, "gold boxes"),
        ({"choices": {"A": "another"}}, "choices"),
        ({"precision": 1}, "precision"),
        ({"extra": {"unit": "cm"}}, "unit"),
        ({"answer_type": "float"}, "answer_type"),
    ],
)
def test_what_enters_the_prompt_or_the_score_must_be_the_same_to_be_subtracted(make_run, changed, named):
    own = {"caption": "a scene", "l2_category": "l2", "choices": {"A": "red"}, "extra": {"unit": "m"}}
    own |= {"precision": 2, "answer_type": "text"}
    base = shapes(some(300, 0.5, 1), **own)
    few = [row | (changed if place == 7 else {}) for place, row in enumerate(base)]
    a = make_run("a", base)

    same = compared(a, make_run("same", base)).pairs[0].benchmarks[0]
    one = compared(a, make_run("few", few)).pairs[0].benchmarks[0]
    many = compared(a, make_run("many", [row | changed for row in base])).pairs[0].benchmarks[0]

    assert (same.gold_differs, same.headline.difference.delta) == (0, 0)
    assert (one.gold_differs, one.differing, one.headline.difference) == (1, (named,), None)
    assert many.headline.difference is None
    assert named in many.headline.reason


def test_what_one_side_does_not_carry_says_nothing(make_run):
    base = shapes(some(60, 0.5, 1), caption="a scene", precision=2, extra={"unit": "m"})
    bare = [{name: row[name] for name in ("id", "task", "prediction", "answers", "group")} for row in base]

    assert compared(make_run("a", base), make_run("b", bare)).pairs[0].benchmarks[0].gold_differs == 0


MATHVISTA = {"task": "mathvista", "question_type": "free_form", "answer_type": "float", "precision": 1}


@pytest.mark.parametrize(
    ("base", "missing", "named"),
    [
        (MATHVISTA, "precision", "precision"),
        (MATHVISTA, "answer_type", "answer_type"),
        (MATHVISTA, "question_type", "question_type"),
        ({"task": "mmstar", "choices": {"A": "red", "B": "blue"}, "answers": ["A"]}, "choices", "choices"),
    ],
)
def test_what_decides_how_an_answer_is_read_must_be_in_both(make_run, base, missing, named):
    whole = [row | base for row in shapes(some(60, 0.5, 1))]
    bare = [{name: value for name, value in row.items() if name != missing} for row in whole]

    found = compared(make_run("a", whole), make_run("b", bare)).pairs[0].benchmarks[0]

    assert found.headline.difference is None
    assert named in found.headline.reason


@pytest.mark.parametrize("groups", [["all"] * 60, [str(place // 2) for place in range(60)]])
def test_groups_that_are_other_sets_of_samples_bar_the_change(make_run, groups):
    rows = [row | {"group": f"image {place}"} for place, row in enumerate(shapes(some(60, 0.5, 1)))]
    other = [row | {"group": group} for row, group in zip(rows, groups, strict=True)]
    renamed = [row | {"group": f"{row['group']}.png"} for row in rows]
    a = make_run("a", rows)

    for one, two in ((a, make_run("b", other)), (make_run("c", other), a)):
        found = compared(one, two).pairs[0].benchmarks[0].headline
        assert found.difference is None
        assert "group" in found.reason
    assert compared(a, make_run("d", renamed)).pairs[0].benchmarks[0].headline.difference is not None


def options_rows(share, *, group=None, n=300, l2=2) -> list[dict]:
    return [
        {
            "id": f"s{i}", "task": "mmstar", "answers": ["A"], "choices": {"A": "x", "B": "y"}, "category": "c",
            "l2_category": f"l{min(i % 4, l2 - 1)}",
            "prediction": f"<answer>{'A' if i % 10 < 10 * share else 'B'}</answer>",
            **({"group": group(i)} if group else {}),
        }
        for i in range(n)
    ]  # fmt: skip


def test_groups_of_the_candidate_alone_hide_no_collapse(make_run):
    plain, lumped = make_run("a", options_rows(0.8)), make_run("b", options_rows(0.3, group=lambda _: "all"))
    headline = compared(plain, lumped).pairs[0].benchmarks[0].headline
    assert headline.difference is None
    assert "only the candidate says which samples belong together" in headline.reason

    pairs = make_run("c", options_rows(0.3, group=lambda i: str(i // 2)))
    assert compared(plain, pairs).pairs[0].benchmarks[0].headline.difference.clusters == 150
    assert compared(lumped, plain).pairs[0].benchmarks[0].headline.difference is not None


def test_each_side_has_the_number_of_its_own_protocol(make_run):
    said = {"l0": "<answer>A</answer>", "l1": "nothing"}
    run = make_run("a", [row | {"prediction": said[row["l2_category"]]} for row in options_rows(1)])
    for protocol in ("strict", "lmms-eval"):
        rescore_run(load_run(run), protocol)
    scores = {
        name: load_run(run).rescored[name]["tasks"]["mmstar"]["metrics"]["accuracy"]["value"]
        for name in ("strict", "lmms-eval")
    }
    assert scores["strict"] != scores["lmms-eval"]

    for order in (("strict", "lmms-eval"), ("lmms-eval", "strict")):
        headline = compared(*(f"{run}@{name}" for name in order)).pairs[0].benchmarks[0].headline
        assert (headline.a.value, headline.b.value) == pytest.approx(tuple(scores[name] for name in order))
        assert headline.difference is None
        assert "put answers together in different ways" in headline.reason


def test_second_level_categories_of_questions_have_their_faults(make_run):
    rows = [
        {
            "id": f"m{q}-{turn}", "task": "mmbench_en_dev", "index": q + 1_000_000 * turn, "category": f"c{q % 4}",
            "l2_category": f"l{q % 2}", "answers": ["A"], "choices": {"A": "x", "B": "y"}, "prediction": "no stage",
        }
        for q in range(40)
        for turn in range(3)
    ]  # fmt: skip
    benchmark = compared(make_run("a", rows), make_run("b", rows)).pairs[0].benchmarks[0]

    assert {(one.category, one.a_faults.rows, one.a_faults.parse) for one in benchmark.l2_categories} == {
        ("l0", 60, 60), ("l1", 60, 60),
    }  # fmt: skip
    assert {one.a_faults.rows for one in benchmark.categories} == {30}


def test_order_of_rows_does_not_matter(make_run):
    rows = shapes(some(60, 0.5, 1)), shapes(some(60, 0.7, 2))
    straight = compared(make_run("a", rows[0]), make_run("b", rows[1])).pairs[0].benchmarks[0]
    turned = compared(make_run("a", rows[0]), make_run("b", rows[1][::-1])).pairs[0].benchmarks[0]

    assert straight.headline == turned.headline
    assert straight.categories == turned.categories


def test_same_runs_same_values(make_run):
    folders = make_run("a", shapes(some(60, 0.5, 1))), make_run("b", shapes(some(60, 0.7, 2)))

    assert compared(*folders).pairs[0].benchmarks == compared(*folders).pairs[0].benchmarks


def test_samples_with_another_gold_are_left_out_and_too_many_bar_the_benchmark(make_run):
    a = make_run("a", shapes(some(300, 0.5, 1)))
    few = shapes(some(300, 0.5, 2))
    few[7]["answers"] = ["green"]
    many = [row | {"answers": ["green"]} for row in few]

    strictly = compared(a, make_run("strict", few)).pairs[0].benchmarks[0]
    one = compared(a, make_run("few", few), on_shared=True).pairs[0].benchmarks[0]
    other = compared(a, make_run("many", many)).pairs[0].benchmarks[0]

    assert strictly.headline.difference is None
    assert strictly.headline.reason == "1 samples are not the same in both (answers): s7"
    assert (one.gold_differs, one.shared, one.headline.difference.n) == (1, 299, 299)
    assert one.comparability.comparable
    assert not other.comparability.comparable
    assert other.headline.difference is None
    assert "not the same benchmark" in other.headline.reason


def test_unscored_samples_leave_the_mean_but_not_the_count_of_faults(make_run):
    rows = shapes(some(60, 0.5, 2))
    for row in rows[:10]:
        del row["answers"]

    folders = make_run("a", shapes(some(60, 0.5, 1))), make_run("b", rows)
    strictly = compared(*folders).pairs[0].benchmarks[0].headline
    headline = compared(*folders, on_shared=True).pairs[0].benchmarks[0].headline

    assert strictly.difference is None
    assert "no score for 10 of the 60 samples" in strictly.reason

    assert headline.difference.n == headline.a.n == headline.b.n == 50
    assert (headline.a_faults.unscored, headline.b_faults.unscored, headline.b_faults.rows) == (0, 10, 60)
    assert headline.b_faults.by_name == {"no_gold": 10}


def test_nothing_shared_is_not_comparable(make_run):
    pair = compared(make_run("a", shapes(some(20, 0.5, 1))), make_run("b", shapes(some(20, 0.5, 1), start=50))).pairs[0]

    assert pair.benchmarks[0].headline.difference is None
    assert pair.benchmarks[0].headline.a.value is None
    assert len(pair.samples) == 0


def test_predictions_made_elsewhere_are_said_to_be_so(make_run):
    pair = compared(make_run("a", shapes([True] * 20)), make_run("b", shapes([True] * 20))).pairs[0]

    assert pair.comparability.comparable
    assert "not recorded" in pair.comparability.notes[0]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"fingerprint": "3" * 64}, "the data differ"),
        ({"yaml_hash": "3" * 64}, "the task files differ"),
        ({"prompt_hash": "3" * 64}, "prompt wording differs"),
        ({"generation": {"temperature": 1.0}}, "generation arguments differ: temperature"),
        ({"scorer_version": 99}, "scorer version differs"),
        ({"judge": "a judge"}, "judge differs"),
        ({"protocol": "paper"}, "protocol differs"),
    ],
)
def test_runs_that_were_not_asked_alike_are_not_subtracted(make_run, amend_manifest, fields, reason):
    a = amend_manifest(make_run("a", shapes(some(40, 0.5, 1))))
    b = amend_manifest(make_run("b", shapes(some(40, 0.5, 2))), **fields)

    benchmark = compared(a, b).pairs[0].benchmarks[0]

    assert reason in benchmark.headline.reason
    assert benchmark.headline.difference is None
    assert benchmark.headline.a.value is not None


ASKED = {"prompt_hash": "5" * 64, "generation": {"temperature": 0.0, "max_new_tokens": 256}}


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ({"prompt_hash": "6" * 64}, "prompt wording differs"),
        ({"generation": {"temperature": 0.0, "max_new_tokens": 9}}, "generation arguments differ: max_new_tokens 256"),
    ],
)
def test_a_task_that_was_asked_in_another_way_is_not_subtracted(make_run, amend_manifest, task, reason):
    a = amend_manifest(make_run("a", shapes(some(40, 0.5, 1))), task=ASKED)
    b = amend_manifest(make_run("b", shapes(some(40, 0.5, 2))), task=ASKED | task)

    assert reason in compared(a, b).pairs[0].benchmarks[0].headline.reason


def test_what_the_run_as_a_whole_says_does_not_count_where_each_task_says_its_own(make_run, amend_manifest):
    """The order of --tasks and a default that was spelled out changed it, and two equal runs were refused."""
    whole = [
        {"prompt_hash": "3" * 64, "generation": {"temperature": 0.0, "max_new_tokens": None}},
        {"prompt_hash": "4" * 64, "generation": {"temperature": 0.0, "max_new_tokens": 256}},
    ]
    a = amend_manifest(make_run("a", shapes(some(40, 0.5, 1))), task=ASKED, **whole[0])
    b = amend_manifest(make_run("b", shapes(some(40, 0.5, 2))), task=ASKED, **whole[1])
    before = amend_manifest(make_run("c", shapes(some(40, 0.5, 3))), **whole[1])

    assert compared(a, b).pairs[0].benchmarks[0].headline.difference is not None
    assert "prompt wording differs" in compared(a, before).pairs[0].benchmarks[0].headline.reason


def test_later_scores_of_other_rules_are_not_subtracted(make_run, renew_sums):
    folders = [make_run(name, shapes(some(40, 0.5, seed))) for seed, name in enumerate("ab")]
    for folder in folders:
        rescore_run(load_run(folder), "paper")
    same = compared(*(f"{folder}@paper" for folder in folders)).pairs[0]
    later = folders[1] / "scores-paper.json"
    later.write_text(later.read_text().replace(f'"scorer_version": {SCORER_VERSION}', '"scorer_version": 99'))
    renew_sums(folders[1])
    other = compared(*(f"{folder}@paper" for folder in folders)).pairs[0]

    assert same.comparability.comparable
    assert f"scorer version differs: {SCORER_VERSION} and 99" in other.comparability.reasons


def test_what_may_differ_but_a_reader_must_know_is_noted(make_run, amend_manifest):
    a = amend_manifest(make_run("a", shapes(some(40, 0.5, 1))))
    b = amend_manifest(
        make_run("b", shapes(some(40, 0.5, 2))), format="freeform", box_dialect=dialect_named("norm_1000")
    )
    notes = compared(a, b).pairs[0].comparability.notes

    assert "format differs: satori and freeform" in notes
    assert "box dialect differs: image_px and norm_1000" in notes


def test_model_and_format_may_differ(make_run, amend_manifest):
    a = amend_manifest(make_run("a", shapes(some(40, 0.5, 1))))
    b = amend_manifest(make_run("b", shapes(some(40, 0.5, 2))), format="freeform", weights_hash="9" * 64)

    assert compared(a, b).pairs[0].benchmarks[0].headline.difference is not None


def test_two_protocols_of_one_run_compare(make_run):
    folder = make_run("a", shapes([*some(40, 0.5, 1)]))
    rescore_run(load_run(folder), "paper")

    comparison = compared(folder, f"{folder}@paper")

    assert comparison.pairs[0].comparability.comparable
    assert "same texts" in comparison.pairs[0].comparability.notes[0]
    assert set(comparison.parity[0].values) == {"strict", "paper"}
    assert comparison.sides[1].label.endswith("@paper")
    assert next(read_details(comparison, comparison.pairs[0], [0])).b.score is not None


def test_scores_that_do_not_exist_are_asked_for(make_run):
    folder = make_run("a", shapes([True] * 20))

    with pytest.raises(IncompleteError, match="satori-bench rescore"):
        compared(folder, f"{folder}@paper")


def test_seeds_of_one_model_become_one_side_with_their_spread(make_run, amend_manifest):
    runs = [
        amend_manifest(make_run(f"m{seed}", shapes(some(60, 0.5, seed))), weights_hash="7" * 64, seed=seed)
        for seed in (1, 2)
    ]
    base = amend_manifest(make_run("base", shapes(some(60, 0.5, 9))))

    comparison = compared(base, *runs)

    assert [len(side.runs) for side in comparison.sides] == [1, 2]
    spread = comparison.sides[1].spread[0]
    assert spread.sd == pytest.approx(np.std(spread.values, ddof=1))
    assert comparison.pairs[0].benchmarks[0].headline.b.value == pytest.approx(np.mean(spread.values))


@pytest.mark.parametrize(
    "unlike",
    [
        {"task": {"prompt_hash": "5" * 64}},
        {"task": {"generation": {"temperature": 1.0}}},
        {"task": {"samples": 20, "limit": 20}},
        {"task": {"template_hash": "5" * 64}},
        {"fingerprint": "5" * 64},
        {"yaml_hash": "5" * 64},
        {"backend": "openai"},
        {"partial": True},
        {"other": {"arguments": {"dtype": "bfloat16", "attn_implementation": None}}},
        {"other": {"arguments": {"dtype": "auto", "attn_implementation": "eager"}}},
        {"other": {"arguments": {"dtype": "auto", "attn_implementation": None}, "number_format": "float16"}},
        {"other": {"arguments": {"dtype": "auto", "attn_implementation": None, "served_name": "lora"}}},
    ],
)
def test_runs_that_were_asked_otherwise_are_no_seeds_of_one_model(make_run, amend_manifest, unlike):
    base, *seeds = (make_run(f"m{seed}", shapes(some(60, 0.5, seed))) for seed in (0, 1, 2))
    known = {"weights_hash": "7" * 64, "other": {"arguments": {"dtype": "auto", "attn_implementation": None}}}
    amend_manifest(base)
    alike = [amend_manifest(path, **known, seed=seed) for seed, path in enumerate(seeds)]
    assert [len(side.runs) for side in compared(base, *alike).sides] == [1, 2]

    amend_manifest(seeds[1], **(known | {"seed": 1} | unlike))

    assert [len(side.runs) for side in compared(base, *seeds).sides] == [1, 1, 1]


@pytest.mark.parametrize(
    ("ours", "theirs", "said"),
    [
        (range(60), range(1, 60), "the candidate lacks 1 of the baseline's samples"),
        (range(1, 60), range(60), "the baseline lacks 1 of the candidate's samples"),
        (range(20), range(60), "the baseline lacks 40 of the candidate's samples"),
        (range(50), range(10, 60), "the baseline lacks 10 of the candidate's samples"),
    ],
)
def test_samples_that_one_side_lacks_bar_the_comparison_whichever_it_is(make_run, ours, theirs, said):
    rows = shapes(some(60, 0.5, 1))
    a, b = (make_run(name, [rows[n] for n in own]) for name, own in (("a", ours), ("b", theirs)))

    benchmark = compared(a, b).pairs[0].benchmarks[0]

    assert said in benchmark.headline.reason
    assert benchmark.headline.difference is None
    assert compared(a, b, on_shared=True).pairs[0].benchmarks[0].headline.difference is not None


def test_two_seeds_alone_are_two_sides(make_run, amend_manifest):
    runs = [
        amend_manifest(make_run(f"m{seed}", shapes(some(60, 0.5, seed))), weights_hash="7" * 64, seed=seed)
        for seed in (1, 2)
    ]

    assert len(compared(*runs).sides) == 2


def test_three_runs_give_two_pairs_and_one_family(make_run):
    folders = [
        make_run(name, shapes(some(60, share, seed)))
        for seed, (name, share) in enumerate({"a": 0.4, "b": 0.6, "c": 0.9}.items())
    ]

    comparison = compared(*folders)
    rows = [pair.benchmarks[0].headline for pair in comparison.pairs]

    assert [row.holm_p for row in rows] == holm([row.difference.p for row in rows])
    assert all(row.q is not None for pair in comparison.pairs for row in pair.benchmarks[0].categories)


@pytest.mark.parametrize("names", [["a"], ["a", "a"]])
def test_too_few_runs_are_refused(make_run, names):
    folder = make_run("a", shapes([True] * 20))

    with pytest.raises(ConfigError):
        compared(*[folder for _ in names])


def test_a_folder_that_is_no_run_is_refused(tmp_path, make_run):
    with pytest.raises(UserError):
        compared(make_run("a", shapes([True] * 20)), tmp_path)


# --- every number is the benchmark's own --------------------------------------------------------------------------


def mme(seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": f"{subtask}-{image}-{question}",
            "task": "mme",
            "prediction": f"<answer>{'Yes' if rng.random() < 0.7 else 'No'}</answer>",
            "answers": ["Yes"],
            "category": subtask,
            "group": f"{subtask}/{image}",
        }
        for subtask in (*MME_PERCEPTION, *MME_COGNITION)
        for image in range(5)
        for question in range(2)
    ]


def mmbench(seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": str(index + 1_000_000 * turn),
            "task": "mmbench_en_dev",
            "index": index + 1_000_000 * turn,
            "prediction": f"<answer>{'A' if rng.random() < 0.8 else 'B'}</answer>",
            "answers": ["A"],
            "choices": {"A": "x", "B": "y"},
            "category": f"c{index % 3}",
        }
        for turn in range(3)
        for index in range(60)
    ]


def ocrbench(seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": str(place),
            "task": "ocrbench",
            "prediction": f"<answer>{'word' if rng.random() < 0.8 else 'other'}</answer>",
            "answers": ["word"],
            "category": ("Digit String Recognition", "Doc-oriented VQA")[place % 2],
        }
        for place in range(1000)
    ]


def mathvista(seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": str(place),
            "task": "mathvista",
            "prediction": f"<answer>{'4' if rng.random() < 0.8 else '5'}</answer>",
            "answers": ["4"],
            "question_type": "free_form",
            "answer_type": "integer",
            "extra": {"task": f"t{place % 2}", "skills": ["algebra", f"s{place % 3}"]},
        }
        for place in range(60)
    ]


def mmstar(seed: int) -> list[dict]:
    rng = np.random.default_rng(seed)
    return [
        {
            "id": str(place),
            "task": "mmstar",
            "prediction": f"<answer>{'A' if rng.random() < 0.2 + 0.2 * (place % 4) else 'B'}</answer>",
            "answers": ["A"],
            "choices": {"A": "x", "B": "y"},
            "category": f"c{place % 2}",
            "l2_category": f"l{place % 4}" if place < 50 else "l0",
        }
        for place in range(90)
    ]


@pytest.mark.parametrize("rows", [shapes, mme, mmbench, ocrbench, mathvista, mmstar])
@pytest.mark.parametrize("protocol", ["strict", "lmms-eval"])
def test_each_value_is_that_of_scores_json(make_run, rows, protocol):
    made = [shapes(some(60, 0.6, seed), offset=20 * seed) if rows is shapes else rows(seed) for seed in (1, 2)]
    folders = [make_run(name, one, protocol=protocol) for name, one in zip("ab", made, strict=True)]
    stored = [next(iter(load_run(folder).scores["tasks"].values())) for folder in folders]

    benchmark = compared(*folders).pairs[0].benchmarks[0]

    for row in (benchmark.headline, *benchmark.metrics):
        assert row.a.value == pytest.approx(stored[0]["metrics"][row.metric]["value"]), row.metric
        assert row.b.value == pytest.approx(stored[1]["metrics"][row.metric]["value"]), row.metric
    assert benchmark.headline.metric == stored[0]["headline"]
    for rows_found, name in ((benchmark.categories, "categories"), (benchmark.l2_categories, "l2_categories")):
        for row in rows_found:
            assert row.a.value == pytest.approx(stored[0][name][row.category]["value"]), row.category


def test_mmbench_tests_questions_not_passes(make_run):
    headline = compared(make_run("a", mmbench(1)), make_run("b", mmbench(2))).pairs[0].benchmarks[0].headline

    assert (headline.difference.n, headline.difference.clusters, headline.a_faults.rows) == (60, 60, 180)


def test_mme_total_spans_2800_points_over_images(make_run):
    headline = compared(make_run("a", mme(1)), make_run("b", mme(2))).pairs[0].benchmarks[0].headline

    assert (headline.metric, headline.scale, headline.span, headline.difference.n) == ("total", "points", 2800.0, 140)
    assert headline.difference.ci_low < headline.difference.delta < headline.difference.ci_high


def test_mme_without_all_subtasks_has_no_total_and_says_why(make_run):
    benchmark = compared(make_run("a", mme(1)[:40]), make_run("b", mme(2)[:40])).pairs[0].benchmarks[0]
    rows = {row.metric: row for row in (benchmark.headline, *benchmark.metrics)}

    assert list(rows)[:4] == ["total", "perception", "cognition", "accuracy"]
    assert (rows["total"].difference, rows["total"].a.value) == (None, None)
    assert "no rows of subtasks: count" in rows["total"].reason
    assert rows["accuracy"].difference.n == 40


def headline(*folders):
    return compared(*folders).pairs[0].benchmarks[0].headline


def stored_headline(folder):
    task = next(iter(load_run(folder).scores["tasks"].values()))
    return task["headline"], task["metrics"][task["headline"]]["value"]


@pytest.mark.parametrize("rows", [mmbench, mme, ocrbench, mathvista, mmstar])
@pytest.mark.parametrize("protocol", ["strict", "lmms-eval"])
def test_several_seeds_score_the_mean_of_their_own_scores(make_run, amend_manifest, rows, protocol):
    seeds = [
        amend_manifest(make_run(f"m{seed}", rows(seed), protocol=protocol), weights_hash="7" * 64, seed=seed)
        for seed in (1, 2, 3)
    ]
    base = amend_manifest(make_run("base", rows(9), protocol=protocol))

    comparison = compared(base, *seeds)

    assert len(comparison.sides) == 2
    own = [stored_headline(folder)[1] for folder in seeds]
    row = comparison.pairs[0].benchmarks[0].headline
    assert row.b.value == pytest.approx(np.mean(own))
    assert row.difference.delta == pytest.approx(np.mean(own) - stored_headline(base)[1])


def test_the_explorer_shows_the_seed_whose_texts_it_has(make_run, amend_manifest):
    seeds = [
        amend_manifest(make_run(f"m{seed}", shapes(some(60, 0.5, seed))), weights_hash="7" * 64, seed=seed)
        for seed in (1, 2)
    ]
    base = make_run("base", shapes(some(60, 0.5, 9)))

    pair = compared(base, *seeds).pairs[0]
    samples = pair.samples

    alone = compared(base, seeds[0]).pairs[0].benchmarks[0]
    assert pair.benchmarks[0].grounding == alone.grounding, "quadrants count what the explorer lists"
    assert set(samples.b.values.tolist()) == {0.0, 1.0}
    np.testing.assert_array_equal(samples.b.values, np.array(some(60, 0.5, 1), dtype=float))


def named_by_question_id(rows: list[dict]) -> list[dict]:
    return [{**row, "group": "", "extra": {"question_id": row["group"]}} for row in rows]


def test_mme_images_named_by_question_id_are_images(make_run):
    a, b = (make_run(name, named_by_question_id(mme(seed))) for seed, name in ((1, "a"), (2, "b")))
    row = headline(a, b)

    assert (row.metric, row.a.value) == stored_headline(a)
    assert row.b.value == stored_headline(b)[1]
    assert (row.metric, row.difference.n) == ("total", 140)


def test_mme_images_of_one_name_in_several_subtasks_are_several_images(make_run):
    rows = [[{**row, "group": row["group"].split("/")[1]} for row in mme(seed)] for seed in (1, 2)]
    a, b = (make_run(name, one) for name, one in zip("ab", rows, strict=True))
    row = headline(a, b)

    assert (row.metric, row.a.value) == stored_headline(a)
    assert (row.difference.n, row.difference.clusters) == (140, 70)


def test_mmbench_rows_whose_passes_cannot_be_put_together_have_no_accuracy(make_run):
    rows = [[{k: v for k, v in row.items() if k != "index"} for row in mmbench(seed)] for seed in (1, 2)]
    a, b = (make_run(name, one) for name, one in zip("ab", rows, strict=True))
    benchmark = compared(a, b).pairs[0].benchmarks[0]

    assert (benchmark.headline.metric, benchmark.headline.difference, benchmark.headline.a.value) == (
        "accuracy",
        None,
        None,
    )
    assert "neither index nor group" in benchmark.headline.reason
    assert stored_headline(a) == ("accuracy", None)
    assert benchmark.metrics[0].metric == "vanilla_accuracy"


def test_mmstar_under_lmms_eval_needs_l2_categories(make_run):
    rows = [[{k: v for k, v in row.items() if k != "l2_category"} for row in mmstar(seed)] for seed in (1, 2)]
    a, b = (make_run(name, one, protocol="lmms-eval") for name, one in zip("ab", rows, strict=True))

    assert stored_headline(a) == ("accuracy", None)
    assert headline(a, b).difference is None
    assert "l2_category" in headline(a, b).reason


@pytest.mark.parametrize(("rows", "clusters"), [(shapes, 30), (mmbench, 60), (named_by_question_id, 70)])
def test_clusters_that_one_side_knows_hold_for_both_in_either_order(make_run, rows, clusters):
    def of(seed):
        if rows is shapes:
            return shapes(some(60, 0.5, seed))
        return mmbench(seed) if rows is mmbench else named_by_question_id(mme(seed))

    known = make_run("known", of(1))
    unknown = make_run(
        "unknown", [{k: v for k, v in row.items() if k not in {"group", "index", "extra"}} for row in of(2)]
    )

    there, back = headline(known, unknown).difference, headline(unknown, known).difference

    assert there.clusters == back.clusters == clusters
    assert there.delta == pytest.approx(-back.delta)
    assert there.p == back.p
    assert (there.flips_down, there.flips_up) == (back.flips_up, back.flips_down)


def test_ocrbench_with_a_failed_row_keeps_its_score(make_run):
    rows = ocrbench(1)
    del rows[17]["answers"]
    a, b = make_run("a", rows), make_run("b", ocrbench(2))
    row = headline(a, b)

    assert (row.metric, row.a.value) == (stored_headline(a)[0], pytest.approx(stored_headline(a)[1]))
    assert row.difference.n == 999


def test_folders_of_one_name_are_told_apart_by_their_parents(make_run, tmp_path):
    folders = []
    for parent, seed in (("first", 1), ("second", 2)):
        (tmp_path / parent).mkdir()
        folders.append(make_run("same", shapes(some(40, 0.5, seed))).rename(tmp_path / parent / "latest"))

    assert [side.label for side in compared(*folders).sides] == ["first/latest", "second/latest"]


def test_a_rescore_in_another_frame_is_called_that(make_run):
    folder = make_run("a", shapes(some(40, 0.5, 1)))
    rescore_run(load_run(folder), "strict", box_dialect=dialect_named("norm_1000"))

    comparison = compared(folder, f"{folder}@strict")

    assert (
        comparison.pairs[0]
        .comparability.notes[0]
        .endswith("strict, boxes read as image_px against strict, boxes read as norm_1000")
    )
    [frame] = [field for field in comparison.provenance if field.name == "box dialect"]
    assert frame.values == ("image_px", "norm_1000")


# --- grounding ----------------------------------------------------------------------------------------------------


def grounded(make_run):
    rng = np.random.default_rng(4)
    a, b = shapes(some(80, 0.5, 1)), shapes(some(80, 0.7, 2))
    for row in (*a, *b):
        box = [edge + float(rng.normal(0, 30)) for edge in GOLD_BOX]
        row["prediction"] = (
            row["prediction"].replace(str([float(e) for e in GOLD_BOX]), str(box)).replace(str(GOLD_BOX), str(box))
        )
    return compared(make_run("a", a), make_run("b", b)).pairs[0]


def test_quadrants_are_counted_at_every_cut_and_moves_add_up(make_run):
    pair = grounded(make_run)
    block, samples = pair.benchmarks[0].grounding, pair.samples

    for place, cut in enumerate(CUTS):
        by_hand = [0, 0, 0, 0]
        for value, iou in zip(samples.a.values, samples.a.ious, strict=True):
            by_hand[2 * (value < 0.5) + (iou < cut)] += 1
        moves = np.array(block.transitions[place])
        assert list(block.a.quadrants[place]) == by_hand
        assert moves.sum(axis=1).tolist() == by_hand
        assert moves.sum(axis=0).tolist() == list(block.b.quadrants[place])
    assert sum(block.a.iou_histogram) == block.n == 80
    assert len(QUADRANTS) == 4


def test_coupling_is_the_difference_of_two_shares(make_run):
    pair = grounded(make_run)
    point = pair.benchmarks[0].grounding.b.coupling[CUTS.index(DEFAULT_CUT)]
    inside = pair.samples.b.ious >= DEFAULT_CUT
    right = pair.samples.b.values >= 0.5

    assert point.value == pytest.approx(right[inside].mean() - right[~inside].mean())
    assert (point.n_at_or_above, point.n_below) == (inside.sum(), (~inside).sum())
    assert point.ci_low < point.value < point.ci_high


def test_priors_are_the_overlap_of_boxes_that_need_no_look(make_run):
    whole, centre = grounded(make_run).benchmarks[0].grounding.priors
    gold = [tuple(map(float, GOLD_BOX))]

    assert whole.mean_iou == pytest.approx(union_iou([(0.0, 0.0, 640.0, 480.0)], gold))
    assert centre.mean_iou == pytest.approx(union_iou([(160.0, 120.0, 480.0, 360.0)], gold))


def test_several_gold_boxes_count_as_their_union(make_run):
    rows = [row | {"boxes": [GOLD_BOX, [400, 100, 500, 200]]} for row in shapes([True] * 20)]
    gold = [tuple(map(float, box)) for box in rows[0]["boxes"]]

    priors = compared(make_run("a", rows), make_run("b", rows[:19])).pairs[0].benchmarks[0].grounding.priors

    assert priors[0].mean_iou == pytest.approx(union_iou([(0.0, 0.0, 640.0, 480.0)], gold))


def test_without_gold_boxes_there_is_no_grounding(make_run):
    assert compared(make_run("a", mmbench(1)), make_run("b", mmbench(2))).pairs[0].benchmarks[0].grounding is None


# --- samples ------------------------------------------------------------------------------------------------------


def test_samples_say_which_way_they_turned(make_run):
    a = make_run("a", shapes([True, True, False, False]))
    b = make_run("b", [*shapes([True, False, True]), *shapes([False], start=3)])

    samples = compared(a, b).pairs[0].samples

    assert [DIRECTIONS[code] for code in samples.directions] == ["kept_right", "lost", "gained", "kept_wrong"]
    assert samples.ids == ("s0", "s1", "s2", "s3")


def test_details_come_from_both_runs_even_when_their_order_differs(make_run):
    rows = shapes(some(30, 0.5, 1)), shapes(some(30, 0.5, 2), offset=10)[::-1]
    comparison = compared(make_run("a", rows[0]), make_run("b", rows[1]))

    for detail in read_details(comparison, comparison.pairs[0], [0, 17, 29, 3]):
        assert detail.id == comparison.pairs[0].samples.ids[detail.place]
        assert detail.a.text == rows[0][detail.place]["prediction"]
        assert detail.b.text == rows[1][29 - detail.place]["prediction"]
        assert detail.gold_boxes_image_px == (tuple(map(float, GOLD_BOX)),)
        assert detail.b.score == comparison.pairs[0].samples.b.values[detail.place]


def test_hostile_names_pass_through_unchanged(make_run, hostile_strings):
    rows = shapes([True] * len(hostile_strings))
    for row, text in zip(rows, hostile_strings.values(), strict=True):
        row |= {"category": text[:2000], "prediction": f"<answer>{text}</answer>", "question": text[:2000]}

    comparison = compared(make_run("a", rows), make_run("b" + hostile_strings["script tag"], rows))
    samples = comparison.pairs[0].samples
    details = list(read_details(comparison, comparison.pairs[0], range(len(samples))))

    assert len(samples) == len(hostile_strings)
    assert all(not math.isnan(value) for value in samples.a.values)
    assert hostile_strings["script tag"] in {detail.question for detail in details}
