"""Tests of the readers of other programs' logs: what a log says, what its format hides, and what is refused."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from harness.imports.bounded import ZipMembers
from harness.imports.foreign import ForeignLogError
from harness.imports.inspect_log import read_inspect
from harness.imports.lmms_eval import read_lmms_eval
from harness.imports.their_numbers import compared_numbers
from harness.imports.vlmevalkit import read_vlmevalkit
from harness.imports.xlsx_table import read_xlsx

CASES = json.loads((Path(__file__).parents[1] / "cases" / "imported_logs.json").read_text(encoding="utf-8"))


def cases(kind):
    return pytest.mark.parametrize("case", CASES[kind], ids=lambda case: case["name"])


# --- lmms-eval ------------------------------------------------------------------------------------------------------


def lmms_log(folder, rows=None, text=None, *, effective=None, filter_list=None, results=None, stem="20261129_101500"):
    """Write a log of one task as lmms-eval does."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = text if text is not None else "".join(f"{json.dumps(row)}\n" for row in rows)
    (folder / f"{stem}_samples_mmstar.jsonl").write_text(lines, encoding="utf-8")
    config = {"generation_kwargs": {"max_new_tokens": 16}, "filter_list": filter_list}
    count = len(rows or []) if effective is None else effective
    found = {
        "results": {"mmstar": {"alias": "mmstar", "average,none": 0.5, "average_stderr,none": "N/A"}},
        "configs": {"mmstar": config},
        "n-samples": {"mmstar": {"original": max(count, 2), "effective": count}},
        "config": {"model": "qwen2_5_vl", "model_args": "pretrained=a/b"},
        "lmms_eval_version": "0.7.3@abc",
        "model_name": "a/b",
        "date": stem,
    }
    (folder / f"{stem}_results.json").write_text(json.dumps({**found, **(results or {})}), encoding="utf-8")
    return folder


@cases("lmms_eval_answers")
def test_lmms_eval_a_row_gives_what_the_model_wrote(tmp_path, case):
    log = read_lmms_eval(lmms_log(tmp_path, [case["row"]]))

    answers = log.tasks[0].answers
    assert [answer.text for answer in answers] == case["texts"]
    assert [answer.repeat for answer in answers] == list(range(len(answers)))
    assert (case.get("error") or "") in (answers[0].error or "")
    assert (answers[0].error is None) == ("error" not in case)
    assert answers[0].truncated == case.get("truncated", False)


@cases("lmms_eval_refused")
def test_lmms_eval_a_task_that_lies_is_refused_by_name(tmp_path, case):
    text = "[" * case["nested"] if "nested" in case else case.get("text")
    folder = lmms_log(
        tmp_path, case.get("rows"), text, effective=case.get("effective"), filter_list=case.get("filter_list")
    )

    log = read_lmms_eval(folder)

    assert log.tasks == ()
    assert case["says"] in log.refused["mmstar"]


def test_lmms_eval_rows_are_sorted_and_equal_ones_count_once(tmp_path):
    rows = [{"doc_id": place, "filtered_resps": text} for place, text in ((2, "c"), (0, "a"), (0, "a"), (1, "b"))]

    task = read_lmms_eval(lmms_log(tmp_path, rows)).tasks[0]

    assert [(answer.place, answer.text) for answer in task.answers] == [("0", "a"), ("1", "b"), ("2", "c")]
    assert "1 lines repeat another" in task.notes[0]


def test_lmms_eval_says_version_model_numbers_and_what_is_partial(tmp_path):
    rows = [{"doc_id": 0, "filtered_resps": "B", "input": "Which?", "target": "B", "average": float("nan")}]

    log = read_lmms_eval(lmms_log(tmp_path, rows))
    task = log.tasks[0]

    assert (log.version, log.model, log.settings["model_args"]) == ("0.7.3", "a/b", "pretrained=a/b")
    assert task.theirs == {"average,none": 0.5}
    assert (task.rows, task.partial, task.generation) == (2, True, {"max_new_tokens": 16})
    assert (task.answers[0].prompt, task.answers[0].cells) == ("Which?", {"target": "B"})
    assert set(log.files) == {"20261129_101500_results.json", "20261129_101500_samples_mmstar.jsonl"}


def test_lmms_eval_which_log_is_meant(tmp_path):
    rows = [{"doc_id": 0, "filtered_resps": "B"}]
    lmms_log(tmp_path / "out" / "model", rows)

    for path in (tmp_path, tmp_path / "out", tmp_path / "out" / "model" / "20261129_101500_samples_mmstar.jsonl"):
        assert read_lmms_eval(path).model == "a/b"
    lmms_log(tmp_path / "out" / "model", rows, stem="20261129_111500")
    with pytest.raises(ForeignLogError, match="holds 2 logs"):
        read_lmms_eval(tmp_path)
    with pytest.raises(ForeignLogError, match="is missing"):
        read_lmms_eval(tmp_path / "20261129_121500_samples_mmstar.jsonl")
    with pytest.raises(ForeignLogError, match="no log of lmms-eval"):
        read_lmms_eval(tmp_path / "other.json")


def test_lmms_eval_an_empty_name_and_version_are_not_known(tmp_path):
    rows = [{"doc_id": 0, "filtered_resps": "B"}]
    folder = lmms_log(tmp_path / "m", rows, results={"model_name": "", "lmms_eval_version": "unknown@unknown"})

    log = read_lmms_eval(folder)

    assert (log.model, log.version) == ("qwen2_5_vl", "")


# --- VLMEvalKit -----------------------------------------------------------------------------------------------------


def tsv(path, columns, rows):
    """Write a table as VLMEvalKit does: every cell quoted."""
    lines = ["\t".join('"' + cell.replace('"', '""') + '"' for cell in row) for row in (columns, *rows)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@cases("vlmevalkit_answers")
def test_vlmevalkit_a_row_gives_what_the_model_wrote(tmp_path, case):
    row = {"index": "0", "question": "Which?", **case["row"]}
    path = tsv(tmp_path / "m_MMStar.tsv", list(row), [list(row.values())])

    (answer,) = read_vlmevalkit(path, model="m").tasks[0].answers

    assert answer.text == case.get("text", "")
    assert (answer.error is not None) == ("error" in case)
    assert case.get("error", "") in (answer.error or "")
    assert answer.cells == {"index": "0", "question": "Which?"}


@cases("vlmevalkit_refused")
def test_vlmevalkit_a_table_that_is_no_result_is_refused(tmp_path, case):
    path = tsv(tmp_path / "m_MMStar.tsv", case["columns"], case["rows"])

    log = read_vlmevalkit(path, model="m")

    assert log.tasks == ()
    assert case["says"] in log.refused["MMStar"]


def test_vlmevalkit_null_in_json_is_no_answer_and_an_empty_text_is_one(tmp_path):
    rows = [
        {"index": 0, "prediction": None},
        {"index": 1.0, "prediction": ""},
        {"index": 2, "prediction": float("nan")},
        {"index": 3},
        {"index": 4, "prediction": 5},
        {"index": 5, "prediction": {"answer": "A"}},
    ]
    path = tmp_path / "m_MMStar.json"
    path.write_text(json.dumps(rows), encoding="utf-8")

    answers = read_vlmevalkit(path, model="m").tasks[0].answers

    null, other = "there is no answer: the cell is null", "the cell is no text"
    assert [answer.place for answer in answers] == ["0", "1", "2", "3", "4", "5"]
    assert [answer.error for answer in answers] == [null, None, null, null, other, other]


def test_vlmevalkit_a_pickle_is_named_and_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "exploded"),))

    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "m_MMStar.pkl").write_bytes(pickle.dumps(Bomb()))

    log = read_vlmevalkit(tmp_path / "m")

    assert "is a pickle" in log.refused["MMStar"]
    assert not (tmp_path / "exploded").exists()


def test_vlmevalkit_takes_results_from_a_folder_and_leaves_what_was_made_of_them(tmp_path):
    folder = tmp_path / "my_score_model" / "T20261129-101500"
    head, row = ["index", "prediction"], [["0", "A"]]
    for name in ("my_score_model_MMStar", "my_score_model_MMStar_KO"):
        tsv(folder / f"{name}.tsv", head, row)
    for name, column in (("exact_matching_result", "hit"), ("results", "eval_score"), ("auxmatch", "log")):
        tsv(folder / f"my_score_model_MMStar_{name}.tsv", [*head, column], [["0", "A", "1"]])
    (folder / "my_score_model_MMStar_acc.csv").write_text('"split","Overall"\n"none","0.25"\n', encoding="utf-8")
    (folder / "01_MMStar.pkl").write_bytes(b"")
    (tmp_path / "my_score_model" / "my_score_model_MMStar.tsv").symlink_to(folder / "my_score_model_MMStar.tsv")

    log = read_vlmevalkit(tmp_path / "my_score_model")

    assert (log.model, log.created, log.refused) == ("my_score_model", "T20261129-101500", {})
    assert [(task.name, task.theirs) for task in log.tasks] == [("MMStar", {"Overall": 0.25}), ("MMStar_KO", {})]


def test_vlmevalkit_numbers_of_several_splits_are_told_apart(tmp_path):
    path = tsv(tmp_path / "m_POPE.tsv", ["index", "prediction"], [["0", "Yes"]])
    told = {}
    for name, rows in (("one", '"dev","62.0"\n'), ("two", '"Overall","62.0"\n"popular","61.0"\n'), ("none", "")):
        (tmp_path / "m_POPE_score.csv").write_text(f'"split","Overall"\n{rows}', encoding="utf-8")
        told[name] = read_vlmevalkit(path, model="m").tasks[0].theirs

    assert told == {"one": {"Overall": 62.0}, "two": {"Overall/Overall": 62.0, "popular/Overall": 61.0}, "none": {}}


def test_vlmevalkit_names_are_asked_for_where_they_are_not_clear(tmp_path):
    path = tsv(tmp_path / "a_b_MMStar.tsv", ["index", "prediction"], [["0", "A"]])

    with pytest.raises(ForeignLogError, match="--model"):
        read_vlmevalkit(path)
    assert read_vlmevalkit(path, model="a_b").tasks[0].name == "MMStar"
    for name, wanted in (("a_MMStar", ("a", "MMStar")), ("Qwen2.5-VL-3B_MME", ("Qwen2.5-VL-3B", "MME"))):
        log = read_vlmevalkit(tsv(tmp_path / "alone" / f"{name}.tsv", ["index", "prediction"], [["0", "A"]]))
        assert (log.model, log.tasks[0].name) == wanted
    for name in ("MMStar", "_MMStar", "a_", "_a_", "_a_MMStar", "a_MMBench_DEV_EN"):
        with pytest.raises(ForeignLogError, match="--model"):
            read_vlmevalkit(tsv(tmp_path / "alone" / f"{name}.tsv", ["index", "prediction"], [["0", "A"]]))
    for folder in ("T20261129-101500", "T20261129_Gabc"):
        (tmp_path / folder).mkdir()
    with pytest.raises(ForeignLogError, match="holds 2 evaluations"):
        read_vlmevalkit(tmp_path)


def test_vlmevalkit_an_unfinished_evaluation_is_partial(tmp_path):
    tsv(tmp_path / "m" / "m_MMStar.tsv", ["index", "prediction"], [["0", "A"]])
    status = {"model_name": "m", "datasets": {"MMStar": {"status": "infer", "prediction_file": "../../etc/passwd"}}}
    (tmp_path / "m" / "status.json").write_text(json.dumps(status), encoding="utf-8")

    task = read_vlmevalkit(tmp_path / "m").tasks[0]

    assert (task.partial, task.notes) == (True, ("its status.json says 'infer': it is not finished",))


# --- .xlsx ----------------------------------------------------------------------------------------------------------

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
ODR = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def xlsx(path, sheet, *, target="worksheets/sheet1.xml", mode=""):
    """Write a workbook of one sheet."""
    strings = (
        f'<sst xmlns="{MAIN}"><si><t>shared</t></si><si><r><t>two </t></r><r><t>pieces</t></r></si>'
        "<si><t>東京</t><rPh><t>トウキョウ</t></rPh></si></sst>"
    )
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(
            "xl/workbook.xml", f'<workbook xmlns:r="{ODR}"><sheet name="s" sheetId="1" r:id="rId7"/></workbook>'
        )
        file.writestr(
            "xl/_rels/workbook.xml.rels",
            f'<Relationships><Relationship Id="rId7" Target="{target}"{mode}/></Relationships>',
        )
        file.writestr("xl/sharedStrings.xml", strings)
        file.writestr("xl/worksheets/sheet1.xml", sheet)
    return path


@cases("xlsx_cells")
def test_xlsx_a_cell_gives_its_text_or_says_what_hides_it(tmp_path, case):
    filled = "x" * case.get("fill", 0) + "\U0001f600" * case.get("fill_wide", 0)
    cell = case.get("cell") or f'<c r="A2" t="inlineStr"><is><t>{filled}</t></is></c>'
    links = f'<hyperlinks><hyperlink ref="{case["link"]}"/></hyperlinks>' if "link" in case else ""
    head = '<row r="1"><c r="A1" t="inlineStr"><is><t>prediction</t></is></c></row>'
    sheet = f'<worksheet xmlns="{MAIN}"><sheetData>{head}<row r="2">{cell}</row></sheetData>{links}</worksheet>'

    table = read_xlsx(xlsx(tmp_path / "x.xlsx", sheet))

    hidden = table.hidden.get((0, "prediction"))
    assert (hidden is None) == (case.get("hidden") is None)
    assert (case.get("hidden") or "") in (hidden or "")
    if "text" in case:
        assert table.rows == ({"prediction": case["text"]},)


@cases("xlsx_refused")
def test_xlsx_a_hostile_workbook_is_refused(tmp_path, case):
    mode = ' TargetMode="External"' if case.get("external") else ""
    path = xlsx(
        tmp_path / "x.xlsx",
        case.get("sheet", "<worksheet/>"),
        target=case.get("target", "worksheets/sheet1.xml"),
        mode=mode,
    )

    with pytest.raises(ForeignLogError, match=r".") as fault:
        read_xlsx(path)

    assert case["says"] in str(fault.value)


def test_xlsx_blank_cells_and_rows_are_not_there(tmp_path):
    head = "".join(f'<c r="{place}1" t="inlineStr"><is><t>{place}</t></is></c>' for place in "AB")
    rows = '<row r="2"/><row r="3"><c r="B3" t="inlineStr"><is><t>x</t></is></c></row>'
    last = '<row r="9"><c r="A9"><f>1</f></c></row>'
    sheet = f'<worksheet><sheetData><row r="1">{head}</row>{rows}{last}</sheetData></worksheet>'

    table = read_xlsx(xlsx(tmp_path / "x.xlsx", sheet))

    assert (table.columns, table.rows, list(table.hidden)) == (("A", "B"), ({"B": "x"}, {"A": ""}), [(1, "A")])


# --- zip ------------------------------------------------------------------------------------------------------------


def test_zip_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    path = tmp_path / "bomb.xlsx"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("xl/workbook.xml", b"\0" * (40 * 2**20))

    with pytest.raises(ForeignLogError, match="no log has such a member"):
        read_xlsx(path)


def test_zip_a_member_that_is_longer_than_its_directory_says_is_refused(tmp_path):
    path = tmp_path / "lies.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a", b"x" * 5_000)
    content = path.read_bytes()
    place = content.rindex(b"PK\x01\x02") + 24  # the size in the directory
    path.write_bytes(content[:place] + (10).to_bytes(4, "little") + content[place + 4 :])

    with (
        ZipMembers(path) as members,
        pytest.raises(ForeignLogError, match=r"not what the file's directory says|damaged"),
    ):
        members.read("a")


def test_zip_what_is_no_file_of_its_own_is_refused(tmp_path):
    (tmp_path / "cut.eval").write_bytes(b"PK\x03\x04 and no more")
    os.mkfifo(tmp_path / "pipe.eval")

    for name, says in (("cut.eval", "no whole zip"), ("pipe.eval", "no plain file"), ("none.eval", "cannot read")):
        with pytest.raises(ForeignLogError, match=says):
            read_inspect(tmp_path / name)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_zip_a_member_twice_is_refused(tmp_path):
    path = tmp_path / "twice.eval"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("header.json", "{}")
        file.writestr("header.json", "[]")

    with pytest.raises(ForeignLogError, match="a name that another has"):
        read_inspect(path)


# --- Inspect --------------------------------------------------------------------------------------------------------


def inspect_log(path, sample=None, *, header=None, without=(), more=None, zstd=False):
    """Write a log of one sample as Inspect does."""
    first = {
        "id": 1, "epoch": 1, "input": "Which?", "choices": ["a dog", "a cat"], "target": "B",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Which?"}]}, {"role": "assistant"}],
        "output": {"choices": [{"message": {"content": "B"}}], "completion": "B"},
    }  # fmt: skip
    top = {
        "version": 2, "status": "success",
        "eval": {"task": "mmstar", "model": "openai/m", "created": "2026-11-29T10:15:00+00:00",
                 "dataset": {"samples": 1}, "packages": {"inspect_ai": "0.3.285"}, "config": {},
                 "model_generate_config": {"max_tokens": 64}},
        "plan": {"steps": [], "config": {"temperature": 0.0}},
        "results": {"scores": [{"name": "choice", "metrics": {"accuracy": {"value": 1.0}, "stderr": {"value": 0.1}}}]},
    }  # fmt: skip
    members = {"header.json": {**top, **(header or {})}, "samples/1_epoch_1.json": {**first, **(sample or {})}}
    members |= more or {}
    with zipfile.ZipFile(path, "w") as file:
        for name, value in members.items():
            if name not in without:
                content = json.dumps(value).encode()
                info = zipfile.ZipInfo(name)
                file.writestr(info, content)
                if zstd:
                    _repack(file, info, content)
    return path


def _repack(file, info, content):
    """Put Zstandard in place of a member's content, as Inspect's patched zipfile does."""
    packed = pa.compress(content, "zstd", asbytes=True)
    stream = file.fp
    stream.seek(info.header_offset)
    stream.truncate()
    info.compress_type, info.compress_size = 93, len(packed)
    stream.write(info.FileHeader(zip64=False))
    stream.write(packed)
    file.start_dir = stream.tell()


@cases("inspect_answers")
def test_inspect_a_sample_gives_what_the_model_wrote(tmp_path, case):
    (answer,) = read_inspect(inspect_log(tmp_path / "x.eval", case["sample"])).tasks[0].answers

    assert answer.text == case.get("text", "")
    assert (answer.error is not None) == ("error" in case)
    assert case.get("error", "") in (answer.error or "")
    assert answer.truncated == case.get("truncated", False)


@cases("inspect_refused")
def test_inspect_a_log_that_is_not_whole_or_lies_is_refused(tmp_path, case):
    path = inspect_log(
        tmp_path / "x.eval", header=case.get("header"), without=case.get("without", ()), more=case.get("with")
    )

    with pytest.raises(ForeignLogError, match=r".") as fault:
        read_inspect(path)

    assert case["says"] in str(fault.value)


@pytest.mark.parametrize("zstd", [False, True])
def test_inspect_says_what_the_log_says(tmp_path, zstd):
    log = read_inspect(inspect_log(tmp_path / "x.eval", zstd=zstd))

    (task,) = log.tasks
    assert (log.version, log.model, log.created) == ("0.3.285", "openai/m", "2026-11-29T10:15:00+00:00")
    assert (task.name, task.theirs) == ("mmstar", {"choice/accuracy": 1.0})
    assert (task.generation, task.partial) == ({"max_new_tokens": 64, "temperature": 0.0}, False)
    assert task.answers[0].prompt == "user: Which?"
    assert task.answers[0].cells == {"question": "Which?", "target": ["B"], "choices": ["a dog", "a cat"]}


def test_inspect_zstandard_that_is_damaged_is_named(tmp_path):
    path = inspect_log(tmp_path / "x.eval", zstd=True)
    content = bytearray(path.read_bytes())
    place = content.index(b"\x28\xb5\x2f\xfd")
    content[place + 12] ^= 0xFF
    path.write_bytes(content)

    with pytest.raises(ForeignLogError, match=r"damaged|not what the file's directory says"):
        read_inspect(path)


def test_inspect_what_is_missing_makes_it_partial(tmp_path):
    spec = {"task": "mmstar", "model": "m", "dataset": {"samples": 3}, "config": {"epochs": 2}}
    again = {"samples/2_epoch_2.json": {"id": 2, "epoch": 2, "output": {"choices": [{"message": {"content": "A"}}]}}}
    log = read_inspect(inspect_log(tmp_path / "x.eval", header={"eval": spec, "status": "cancelled"}, more=again))

    (task,) = log.tasks
    assert (task.rows, task.partial) == (3, True)
    assert [(answer.place, answer.repeat) for answer in task.answers] == [("1", 0), ("2", 1)]
    assert "2 of 3 samples are not in it" in task.notes
    assert "its status is 'cancelled': it is not finished" in task.notes


def test_inspect_its_json_form_says_the_same(tmp_path):
    path = inspect_log(tmp_path / "x.eval")
    with zipfile.ZipFile(path) as file:
        whole = {**json.loads(file.read("header.json")), "samples": [json.loads(file.read("samples/1_epoch_1.json"))]}
    (tmp_path / "y.json").write_text(json.dumps(whole), encoding="utf-8")

    assert read_inspect(tmp_path / "y.json").tasks == read_inspect(path).tasks
    assert read_inspect(tmp_path).tasks == read_inspect(path).tasks


# --- written by the programs themselves -----------------------------------------------------------------------------

LOGS = Path(__file__).parents[1] / "cases" / "logs"


def test_a_log_that_inspect_wrote_is_read():
    log = read_inspect(LOGS / "inspect_0.3.285.eval")

    (task,) = log.tasks
    assert (log.version, log.model, task.theirs) == ("0.3.285", "mockllm/model", {"choice/accuracy": 0.6})
    texts = [answer.text for answer in task.answers]
    assert texts[0] == texts[4] == "ANSWER: B"
    assert texts[1] == f"<think>{'Is it A? ' * 20}</think>ANSWER: B"
    assert [answer.truncated for answer in task.answers] == [False, False, False, False, True]
    assert task.answers[0].cells["choices"] == ["cat", "dog", "teddy bear", "rabbit"]


def test_a_table_that_vlmevalkit_wrote_is_read_and_what_it_lost_is_null():
    (task,) = read_vlmevalkit(LOGS / "tiny_MMStar.xlsx", model="tiny").tasks

    texts = [answer.text for answer in task.answers]
    assert texts == ["B", "", "", "", "None", "=1+2", "", "A\x01B_x0041_\r\n", ""]
    nulls = {place: answer.error for place, answer in enumerate(task.answers) if answer.error}
    assert list(nulls) == [1, 2, 6]
    assert "internal:" in nulls[1]
    assert "cut off" in nulls[6]
    assert task.answers[0].cells["C"] == "1.50"


# --- numbers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tool", "task", "theirs", "ours"),
    [
        ("lmms-eval", "mmstar", {"average,none": 0.5, "math,none": 1.0}, {"accuracy": 0.5}),
        ("lmms-eval", "mmbench_en_dev", {"gpt_eval_score,none": 62.0}, {"accuracy": 0.62}),
        ("lmms-eval", "mme", {"mme_perception_score,none": 1500.0}, {"perception": 1500.0}),
        ("lmms-eval", "ocrbench", {"ocrbench_accuracy,none": 0.015}, {"score": pytest.approx(15.0)}),
        ("lmms-eval", "vstar", {"vstar_overall_acc,none": 50.0}, {}),
        ("vlmevalkit", "mmstar", {"Overall": 0.41}, {"accuracy": 0.41}),
        ("vlmevalkit", "chartqa", {"Overall": 41.0}, {"accuracy": 0.41}),
        ("vlmevalkit", "ocrbench", {"Final Score": 700.0, "Final Score Norm": 70.0}, {"score": 700.0}),
        (
            "vlmevalkit",
            "pope",
            {"Overall/Overall": 82.0, "Overall/acc": 80.0, "popular/acc": 1.0},
            {"f1": 0.82, "accuracy": 0.8},
        ),
        ("vlmevalkit", "pope", {"Overall": 82.0}, {"f1": 0.82}),
        ("vlmevalkit", "mmbench_en_dev", {"Overall": 0.6}, {"accuracy": 0.6}),
        ("inspect", "mmstar", {"choice/accuracy": 0.5}, {"accuracy": 0.5}),
        ("inspect", "mmstar", {"choice/accuracy": 0.5, "match/accuracy": 0.7}, {}),
        ("inspect", "mmbench_en_dev", {"choice/accuracy": 0.5}, {}),
        ("inspect", "mmstar", {}, {}),
    ],
)
def test_only_numbers_that_count_the_same_are_set_against_ours(tool, task, theirs, ours):
    assert compared_numbers(tool, task, theirs) == ours
