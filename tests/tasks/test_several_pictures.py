"""MMMU, MMMU-Pro and MMBench 1.1: rows in both layouts, several pictures a question, what is missing among them."""

import hashlib
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import ConfigError
from harness.scoring.score import score
from harness.summary.means import ScoredRow
from harness.summary.task_summary import summarise
from harness.values import ScoreConfig, Size
from tasks import hooks, mmbench, mmmu
from tasks.benchmark import TEMPLATE_PATH
from tasks.catalog import BENCHMARKS, resolve_tasks
from tasks.hooks import METRICS, PLAIN_CONFIG
from tasks.images import UnreadableImageError, pictures_in
from tasks.json_rows import ChosenRows, JsonRows
from tasks.local_data import DataError, DatasetOverride, open_task_data
from tasks.prompts import messages
from tasks.rows import HubRows
from tasks.run_questions import Question
from tasks.shown_pictures import Shown, named_in, shown_by
from tasks.side_gold import with_side_gold
from tasks.verify import verify_task_data

SEVERAL = ["mmmu_val", "mmmu_pro", "mmmu_pro_4options", "mmmu_pro_vision"]
NEW = [*SEVERAL, "mmbench_en_dev_v11", "mmbench_cn_dev_v11"]
RED, BLUE = b"red", b"blue"
NAMED = ("validation_Accounting_0", "validation_Art_Theory_1")
"""A row with one picture, and one with two."""


def satori(answer):
    return f"<caption>A card.</caption><bbox>[[1,2,30,40]]</bbox><answer>{answer}</answer>"


def samples_of(name, folder):
    benchmark = BENCHMARKS[name]
    return [benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark, folder)]


@pytest.mark.parametrize("name", NEW)
def test_parquet_and_tsv_are_the_same_rows(local_data, name):
    hub, tsv = (samples_of(name, folder) for folder in (local_data.parquet, local_data.tsv))

    assert len(hub) == 24
    for one, other in zip(hub, tsv, strict=True):
        assert (one.question, one.answers, one.choices, one.category, one.l2_category) == (
            other.question,
            other.answers,
            other.choices,
            other.category,
            other.l2_category,
        )
        assert (one.image_sha256, one.image_size, one.pictures) == (
            other.image_sha256,
            other.image_size,
            other.pictures,
        )
        assert len(one.image_sha256) == 64


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
@pytest.mark.parametrize("name", NEW)
def test_good_data_has_no_faults_and_clusters_are_those_of_samples(local_data, layout, name):
    folder = getattr(local_data, layout)
    report = verify_task_data(BENCHMARKS[name], folder, images=None)
    adapter = BENCHMARKS[name].adapter
    data = open_task_data(BENCHMARKS[name], folder)

    assert report.ok, report.faults
    assert all("the full split has" in text or "optional columns" in text for text in report.warnings)
    assert [adapter.cluster_of(doc) for doc in data] == [adapter.sample_of(doc).cluster for doc in data]


def test_the_pictures_of_a_sample_are_those_that_its_question_names_in_their_order(local_data, several_builder):
    samples = samples_of("mmmu_val", local_data.parquet)
    digest = [hashlib.sha256(several_builder.card(5, 4, number)).hexdigest() for number in (1, 2)]

    assert (samples[0].image_size, samples[0].pictures) == (Size(112, 112), ())
    assert [len(sample.pictures) for sample in samples[:6]] == [0, 2, 4, 0, 2, 0]
    assert [picture.sha256 for picture in samples[4].pictures] == [digest[1], digest[0]], "the second is named first"
    assert [picture.width for picture in samples[4].pictures] == [140, 112]
    assert samples[4].image_size is None
    assert samples[4].image_sha256 == hashlib.sha256(f"{digest[1]} {digest[0]}".encode()).hexdigest()


@pytest.mark.parametrize("layout", ["parquet", "tsv"])
def test_every_picture_stands_where_the_text_names_it(local_data, several_builder, layout):
    benchmark = BENCHMARKS["mmmu_val"]
    data = open_task_data(benchmark, getattr(local_data, layout))

    def content(row):
        adapter = benchmark.adapter
        turns = messages("plain", adapter.question_text(data[row]), adapter.shown(data[row]))
        return [part["text"] if part["type"] == "text" else part["url"].bytes for part in turns[-1]["content"]]

    card = [[several_builder.card(5, row, number) for number in range(1, 5)] for row in range(6)]
    assert content(0) == [card[0][0], " Which colour has the bar?\nA. red\nB. green\nC. None\nD. blue"]
    assert content(1) == [
        "Compare ",
        card[1][0],
        " with ",
        card[1][1],
        ". Which bar is wider?\nA. the first\nB. the second",
    ]
    assert content(2) == [
        "Which card is meant?\nA. ", card[2][0], "\nB. ", card[2][1], "\nC. ", card[2][2], "\nD. ", card[2][3]
    ]  # fmt: skip
    assert content(4)[:6] == ["Look at ", card[4][1], ", then at ", card[4][0], ", then at ", card[4][1]]
    assert content(5) == ["Which process is drawn? ", card[5][0]]


@pytest.mark.parametrize(
    ("text", "pictures", "parts"),
    [
        ("What?", {"image_1": RED}, [RED, "What?"]),
        ("What?", {"image_1": RED, "image_2": BLUE}, [RED, BLUE, "What?"]),
        ("What?", {"image_1": RED, "image_3": BLUE}, [RED, BLUE, "What?"]),
        ("What?", {}, [None, "What?"]),
        ("<image 1>", {"image_1": RED}, [RED]),
        ("<image 2> or <image 1>?", {"image_1": RED, "image_2": BLUE}, [BLUE, " or ", RED, "?"]),
        ("<image 1> is <image 1>", {"image_1": RED, "image_2": BLUE}, [RED, " is ", RED]),
        ("<image 1> and <image 3>", {"image_1": RED, "image_2": BLUE}, [RED, " and ", None]),
        ("<image 1>", {"image_2": BLUE}, [None]),
        (
            "<image 0> <image> <image one> < image 1>",
            {"image_1": RED},
            [RED, "<image 0> <image> <image one> < image 1>"],
        ),
        ("<image 12>?", {"image_1": RED}, [None, "?"]),
        ("<image 1> here", {"image": [RED, BLUE]}, [RED, " here"]),
        ("<image 2> here", {"image": [RED, BLUE]}, [BLUE, " here"]),
        ("here", {"image": [RED, None, BLUE]}, [RED, BLUE, "here"]),
        ("here", {"image": RED}, [RED, "here"]),
    ],
)
def test_a_row_of_plain_lmms_eval_shows_what_ours_does(text, pictures, parts):
    shown = shown_by(text, pictures, mmmu.IMAGE_COLUMNS)

    found = [part["text"] if part["type"] == "text" else part["url"] for part in shown.content(text)]
    assert found == parts


def test_pictures_are_named_once_each_in_the_order_of_first_mention():
    assert named_in("<image 3> a <image 1> b <image 3>") == (3, 1)
    assert Shown((RED,)).content("x") == [{"type": "image", "url": RED}, {"type": "text", "text": "x"}]


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("['ab', 'cd']", ["ab", "cd"]),
        ('["ab","cd"]', ["ab", "cd"]),
        ("['ab', None, \"cd\"]", ["ab", None, "cd"]),
        ("[ 'ab' , ]", ["ab"]),
        ("[]", []),
        ("ab", ["ab"]),
        (["ab", None], ["ab", None]),
        (b"ab", [b"ab"]),
        ({"bytes": b"ab", "path": None}, [{"bytes": b"ab", "path": None}]),
        (r'["a\"b"]', ['a"b']),
    ],
)
def test_a_cell_of_pictures_is_a_list_or_one(cell, found):
    assert pictures_in(cell) == found


@pytest.mark.parametrize("cell", ["[", "['ab'", "['ab' 'cd']", "[['ab']]", "[" * 50_000, "['" + "a" * 200_000])
def test_a_text_that_is_no_list_of_pictures_is_unreadable(cell):
    with pytest.raises(UnreadableImageError, match=r"list|printed"):
        pictures_in(cell)


def test_every_source_of_rows_holds_several_pictures(mmmu_file, several_builder, tmp_path, monkeypatch):
    """The hub's library, and JSON files whose pictures lie beside them."""
    import datasets

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    typed = tmp_path / "typed.parquet"
    _with_image_features(mmmu_file, typed)
    dataset = datasets.Dataset.from_parquet(str(typed), cache_dir=str(tmp_path / "cache"))
    cards = [several_builder.card(5, 1, number) for number in (1, 2)]
    for place, card in enumerate(cards):
        (tmp_path / f"{place}.png").write_bytes(card)
    listed = tmp_path / "rows.json"
    listed.write_text(json.dumps([{"image": ["0.png", None, "1.png"]}, {"image": "0.png"}, {"image": []}]))
    hub = HubRows(dataset, mmmu.IMAGE_COLUMNS, "hub", several=True)
    made = JsonRows([listed], ("image",), root=tmp_path, several=True)

    assert "image_1" not in hub.cells(1)
    assert (hub.image_numbers(1), hub.image_numbers(2)) == ((1, 2), (1, 2, 3, 4))
    assert [hub.image_bytes(1, number) for number in (1, 2)] == cards
    assert [made.image_numbers(row) for row in range(3)] == [(1, 3), (1,), ()]
    assert [made.image_bytes(0, number) for number in (1, 3)] == cards
    with pytest.raises(UnreadableImageError, match="the row has no picture 2"):
        made.image_bytes(0, 2)
    chosen = ChosenRows(hub, [(1, 0), (1, 1)])
    assert (chosen.several, chosen.image_bytes(1, 2), chosen.image_facts(0, 2).size) == (True, cards[1], Size(140, 112))


def rewritten(source, folder, change):
    """Copy a parquet file, its rows changed; returns the new folder of data."""
    table = pq.read_table(source)
    rows = table.to_pylist()
    change(rows)
    path = folder / "mmmu_val" / "data.parquet"
    path.parent.mkdir()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    return folder


@pytest.fixture
def mmmu_file(local_data):
    return next((local_data.parquet / "mmmu_val").glob("*.parquet"))


def test_a_picture_that_is_missing_among_several_is_the_fault_of_its_row(mmmu_file, tmp_path):
    def change(rows):
        rows[1]["image_2"] = None
        rows[2]["image_3"] = {"bytes": b"no picture", "path": "x.png"}

    data_dir = rewritten(mmmu_file, tmp_path, change)
    report = verify_task_data(BENCHMARKS["mmmu_val"], data_dir, images=None)
    adapter = BENCHMARKS["mmmu_val"].adapter
    data = open_task_data(BENCHMARKS["mmmu_val"], data_dir)
    missing = adapter.sample_of(data[1])

    (fault,) = report.faults
    assert fault.startswith(
        "2 unreadable images: validation_Art_Theory_1 (the row has no picture 2), validation_Biology_2"
    )
    assert [picture.sha256 != "" for picture in missing.pictures] == [True, False]
    assert (missing.image_sha256, missing.cluster) == ("", missing.id)
    with pytest.raises(UnreadableImageError, match="the row has no picture 2"):
        adapter.shown(data[1]).images[1].open()


def test_a_picture_that_no_text_names_is_told(mmmu_file, tmp_path):
    def change(rows):
        rows[0]["image_2"] = rows[1]["image_2"]

    report = verify_task_data(BENCHMARKS["mmmu_val"], rewritten(mmmu_file, tmp_path, change), images=None)

    assert report.ok
    assert (
        "1 rows with pictures that their text never names, which are not shown: validation_Accounting_0 (2)"
        in report.warnings
    )


def test_a_file_of_another_split_is_refused_with_its_name(mmmu_file, tmp_path):
    def change(rows):
        for row in rows:
            row["id"] = row["id"].replace("validation", "test")
            row["answer"] = "?"

    data_dir = rewritten(mmmu_file, tmp_path, change)

    with pytest.raises(DataError, match="its 24 rows are of the split test; mmmu_val is the validation split"):
        open_task_data(BENCHMARKS["mmmu_val"], data_dir)


def test_mmmu_takes_the_validation_rows_of_a_file_of_both_splits(local_data):
    data = open_task_data(BENCHMARKS["mmmu_val"], None, DatasetOverride(str(local_data.tsv / "MMMU_DEV_VAL.tsv")))

    assert (len(data), {doc["split"] for doc in data}) == (24, {"validation"})


def test_pictures_in_several_columns_of_a_tsv_are_refused(tmp_path):
    path = tmp_path / "mmmu_val.tsv"
    path.write_text("index\tquestion\timage_1\timage_2\tanswer\tA\tB\n1\tq\tx\ty\tA\tr\tg\n", encoding="utf-8")

    with pytest.raises(
        DataError, match="its pictures stand in image_1, image_2; in a TSV file they are one column 'image'"
    ):
        open_task_data(BENCHMARKS["mmmu_val"], tmp_path)


@pytest.mark.parametrize(
    ("row", "subject", "discipline"),
    [
        ({"id": "validation_Art_Theory_7"}, "Art_Theory", "Art & Design"),
        ({"id": "test_Energy_and_Power_12", "subject": "Energy_and_Power"}, "Energy_and_Power", "Tech & Engineering"),
        ({"index": "5", "category": "Public Health"}, "Public_Health", "Health & Medicine"),
        ({"index": "5", "category": "Poetry", "l2-category": "Letters"}, "Poetry", "Letters"),
        ({"id": "7"}, "", ""),
    ],
)
def test_subject_and_discipline_are_told_alike_in_every_layout(row, subject, discipline):
    sample = mmmu.sample_of({"question": "q", **row}, task="mmmu_val")

    assert (sample.category, sample.l2_category) == (subject, discipline)


@pytest.mark.parametrize(
    ("cell", "answers"),
    [
        ("B", ("B",)),
        ("['24/7', '3.429']", ("24/7", "3.429")),
        (["a", "b"], ("a", "b")),
        (" 7 ", ("7",)),
        ("None", ("None",)),
        ("nan", ("nan",)),
        ("?", None),
        ("", None),
        (None, None),
    ],
)
def test_an_answer_is_one_or_several_and_a_public_one(cell, answers):
    assert mmmu.answers_of_row({"answer": cell}) == answers


def test_options_that_read_none_or_nan_are_texts():
    options = ["None", "nan", "N/A", "null"]
    hub = mmmu.sample_of({"question": "q", "options": repr(options), "answer": "B"}, task="mmmu_val")
    tsv = mmmu.sample_of({"question": "q", **dict(zip("ABCD", options, strict=True)), "answer": "B"}, task="mmmu_val")

    assert list(hub.choices.values()) == list(tsv.choices.values()) == options
    assert score(hub, "nan", ScoreConfig(format="plain")).value == 1.0


def test_a_g_index_says_which_rotations_belong_together():
    rows = [{"index": index, "g_index": group} for index, group in ((7, 7), (19, 7), (2_000_003, 7))]
    samples = [
        mmbench.sample_of({"question": "q", "A": "a", "B": "b", "answer": "A", **row}, "mmbench_en_dev_v11")
        for row in rows
    ]

    assert {mmbench.cluster_of(row) for row in rows} == {sample.cluster for sample in samples} == {"7"}
    scored = [
        ScoredRow(one, score(one, text, ScoreConfig(format="plain"))) for one, text in zip(samples, "AAB", strict=True)
    ]
    assert summarise("mmbench_en_dev_v11", scored, "strict").metrics["accuracy"].value == 0.0
    assert summarise("mmbench_en_dev_v11", scored[:2], "strict").metrics["accuracy"].value == 1.0


def test_version_1_1_is_never_read_as_version_1_0(local_data, tmp_path):
    file = local_data.tsv / "MMBench_DEV_EN_V11.tsv"
    (tmp_path / file.name).write_bytes(file.read_bytes())

    with pytest.raises(DataError, match="no data for mmbench_en_dev in "):
        open_task_data(BENCHMARKS["mmbench_en_dev"], tmp_path)
    assert len(open_task_data(BENCHMARKS["mmbench_en_dev_v11"], tmp_path)) == 24


def test_without_local_data_version_1_1_says_where_it_is_got():
    with pytest.raises(DataError, match=r"MMBench_DEV_CN_V11\.tsv from https://opencompass"):
        open_task_data(BENCHMARKS["mmbench_cn_dev_v11"])


@pytest.mark.parametrize("name", NEW)
def test_right_answers_earn_the_whole_score(local_data, name):
    samples = samples_of(name, local_data.tsv)
    scored = [ScoredRow(one, score(one, satori(one.answers[0]), PLAIN_CONFIG)) for one in samples]
    summary = summarise(name, scored, "strict")

    assert summary.metrics["accuracy"].value == 1.0
    assert summary.metrics["accuracy"].n == (6 if "mmbench" in name else 24)


@pytest.mark.parametrize(
    ("protocol", "form"),
    [
        *((protocol, "satori") for protocol in ("strict", "vlmevalkit", "paper", "lmms-eval")),
        ("strict", "qwen-json"),
        ("strict", "deepeyes"),
        ("lmms-eval", "deepeyes"),
    ],
)
def test_no_box_is_placed_where_a_question_shows_several_pictures(local_data, protocol, form):
    one, several = samples_of("mmmu_val", local_data.parquet)[:2]
    call = '<tool_call>{"name": "image_zoom_in_tool", "arguments": {"bbox_2d": [1, 2, 30, 40]}}</tool_call>'
    text = f'<think>[{{"bbox_2d": [1, 2, 30, 40], "label": "x"}}]</think>{call}{satori("B")}'
    config = ScoreConfig(protocol=protocol, format=form)

    alone, among = (score(sample, text, config) for sample in (one, several))
    assert "no_source" not in alone.faults
    assert (among.iou, among.match, among.boxes_image_px, among.steps) == (None, None, None, ())
    assert "no_source" in among.faults
    assert among.value == score(several, text, config).value is not None


@pytest.mark.parametrize("name", SEVERAL)
def test_the_hook_scores_as_the_one_scorer_does(local_data, name):
    doc = open_task_data(BENCHMARKS[name], local_data.parquet)[1]
    sample = BENCHMARKS[name].adapter.sample_of(doc)
    results = getattr(hooks, f"{name}_results")
    for text in (satori(sample.answers[0]), satori("neither nor"), "", "<answer>"):
        items = results(doc, [text])
        assert set(items) == set(METRICS[name])
        assert items["accuracy"].get("score") == score(sample, text, PLAIN_CONFIG).value
    for broken in ({}, {"image_1": 7, "question": None}, {"answer": {"a": 1, "b": 2}}, {"options": [["a"]]}):
        assert set(results(broken, ["<answer>x"])) == set(METRICS[name])


@pytest.mark.slow
def test_plain_lmms_eval_gives_the_same_scores_and_sees_the_same_pictures(local_data, tmp_path, monkeypatch):
    """All six at once: what the hub's rows give through our YAML files is what the one scorer gives."""
    from lmms_eval import evaluator
    from lmms_eval.api.model import lmms
    from lmms_eval.tasks import TaskManager

    seen = {}

    class Replay(lmms):
        is_simple = False

        def generate_until(self, requests):
            for request in requests:
                _, doc_to_messages, _, doc_id, task, split = request.args
                turns = doc_to_messages(self.task_dict[task][split][doc_id])
                sizes = [part["url"].size for part in turns[-1]["content"] if part["type"] == "image"]
                seen[task, doc_id] = sizes
            return [satori("B") for _ in requests]

        def generate_until_multi_round(self, requests):
            raise NotImplementedError

        def loglikelihood(self, requests):
            raise NotImplementedError

    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "yamls"
    folder.mkdir()
    (folder / TEMPLATE_PATH.name).write_bytes(TEMPLATE_PATH.read_bytes())
    for name in NEW:
        benchmark = BENCHMARKS[name]
        (file,) = (local_data.parquet / name).glob("*.parquet")
        lines = benchmark.yaml_path.read_text(encoding="utf-8").split("dataset_kwargs")[0].splitlines()
        rest = benchmark.yaml_path.read_text(encoding="utf-8").partition("test_split")
        lines = [line for line in lines if not line.startswith(("dataset_name", "dataset_path"))]
        if "dataset_kwargs" in benchmark.yaml_path.read_text(encoding="utf-8"):
            lines += [*(rest[1] + rest[2]).splitlines()]
        lines += ["dataset_path: parquet", f"dataset_kwargs: {{data_files: {{{benchmark.hub_split}: {file}}}}}"]
        typed = tmp_path / f"{name}.parquet"
        _with_image_features(file, typed)
        lines[-1] = lines[-1].replace(str(file), str(typed))
        (folder / benchmark.yaml_path.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    results = evaluator.simple_evaluate(
        model=Replay(),
        tasks=[BENCHMARKS[name].yaml_name for name in NEW],
        task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        bootstrap_iters=0,
        log_samples=False,
    )["results"]

    for name in NEW:
        samples = samples_of(name, local_data.parquet)
        ours = summarise(name, [ScoredRow(one, score(one, satori("B"), PLAIN_CONFIG)) for one in samples], "strict")
        assert results[BENCHMARKS[name].yaml_name]["accuracy,none"] == pytest.approx(ours.metrics["accuracy"].value)
        for place, sample in enumerate(samples):
            sizes = [(one.width, one.height) for one in sample.pictures] or [
                (sample.image_size.width, sample.image_size.height)
            ]
            assert set(seen[BENCHMARKS[name].yaml_name, place]) == set(sizes)


def _with_image_features(source, target):
    """Write a file whose pictures `datasets` decodes, as the hub's are."""
    import datasets

    rows = datasets.Dataset.from_parquet(str(source))
    for column in rows.column_names:
        if column.startswith("image"):
            rows = rows.cast_column(column, datasets.Image())
    rows.to_parquet(str(target))


OWN = """
task: pairs
satori:
  answer_rule: {rule}
  data: rows.parquet
  several_images: {several}
  columns: {{image: view, answers: answer}}
"""


@pytest.fixture
def own_task(tmp_path, several_builder):
    """Write a task of one's own whose rows show two pictures, in a list or in numbered columns; returns its YAML."""

    def write(rows, *, rule="choice", several="true"):
        path = tmp_path / "pairs.yaml"
        path.write_text(OWN.format(rule=rule, several=several), encoding="utf-8")
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "rows.parquet")
        return path

    return write


def in_a_list(card, **cells):
    return {"question": "Is <image 2> <image 1>?", "A": "yes", "B": "no", "answer": "A", "view": card, **cells}


@pytest.mark.parametrize("numbered", [False, True])
def test_a_task_of_ones_own_may_show_several_pictures(own_task, several_builder, command, numbered):
    cards = [several_builder.card(1, 2, number) for number in (1, 2)]
    held = {"view": cards} if not numbered else {f"view_{place}": card for place, card in enumerate(cards, start=1)}
    row = {name: cell for name, cell in in_a_list(None).items() if name != "view"} | held
    path = own_task([row, row | {"question": "And both?"}])
    (benchmark,) = resolve_tasks(str(path))
    first, second = (benchmark.adapter.sample_of(doc) for doc in open_task_data(benchmark))

    assert [picture.width for picture in first.pictures] == [140, 112]
    assert [picture.width for picture in second.pictures] == [112, 140], "those that nobody names come in their order"
    assert verify_task_data(benchmark, images=None).faults == ()
    code, out, _ = command("tasks", "prompt", path, "--format", "plain")
    assert (code, "Is <image 140x112> <image 112x112>?\nA. yes\nB. no" in out) == (0, True)


def test_gold_boxes_beside_several_pictures_are_a_fault_and_score_nothing(own_task, several_builder):
    cards = [several_builder.card(1, 2, number) for number in (1, 2)]
    (benchmark,) = resolve_tasks(str(own_task([in_a_list(cards, boxes=[[4, 4, 40, 40]])], rule="box")))
    (doc,) = open_task_data(benchmark)
    report = verify_task_data(benchmark, images=None)
    earned = score(benchmark.adapter.sample_of(doc), "[4, 4, 40, 40]", ScoreConfig(format="plain"))

    assert (
        "1 rows with gold boxes and several pictures, of which no box says which it lies in (no_source): 0"
        in report.faults
    )
    assert (earned.value, earned.iou, earned.faults) == (None, None, ("no_source",))


def test_several_pictures_that_nobody_declared_are_unreadable_as_before(own_task, several_builder):
    cards = [several_builder.card(1, 2, number) for number in (1, 2)]
    (benchmark,) = resolve_tasks(str(own_task([in_a_list(cards)], several="false")))

    (fault,) = verify_task_data(benchmark, images=None).faults
    assert "the row has 2 images, and one is asked about" in fault


def test_whether_there_are_several_pictures_is_true_or_false(own_task, several_builder):
    with pytest.raises(ConfigError, match=r"satori\.several_images: true or false is needed, found 'maybe'"):
        resolve_tasks(str(own_task([in_a_list([b""])], several="maybe")))


def test_boxes_of_a_file_are_given_to_no_question_about_several_pictures(local_data, tmp_path):
    path = tmp_path / "boxes.jsonl"
    lines = [{"task": "mmmu_val", "id": name, "boxes": [[4, 4, 40, 40]]} for name in NAMED]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    data = open_task_data(BENCHMARKS["mmmu_val"], local_data.parquet)
    (question,), tally = with_side_gold(path, [Question(BENCHMARKS["mmmu_val"], data, len(data), limited=False)])

    samples = [question.benchmark.adapter.sample_of(doc) for doc in data][:2]
    assert [sample.boxes_image_px for sample in samples] == [((4.0, 4.0, 40.0, 40.0),), None]
    assert tally.to_json()["faults"] == {"several_pictures": 1}
    assert any("of which no box says which it lies in: they get none: mmmu_val" in line for line in tally.messages())
