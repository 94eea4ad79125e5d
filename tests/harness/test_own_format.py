"""A person's own format: its file, its faults, what a manifest keeps of it; two definitions are two formats."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.comparison.comparability import input_differences
from harness.errors import ConfigError
from harness.runs.manifest import Manifest, manifest_from_json, manifest_to_json, stamp_hashes
from harness.scoring.formats import MARKED, definition_hash, definition_of
from harness.scoring.own_format import MAX_FILE_BYTES, format_given, format_of_definition, read_own_format
from harness.values import BoxDialect, GroundedFormat

MINE = """
thought = [["<think>", "</think>"]]
answer = [["FINAL:", "\\n"], ["FINAL:", ""]]
boxes = [["<<", ">>"]]
boxes_in = "thought"
dialect = "list:yxyx:1000"
suffix = "Think, then write FINAL: and the answer."
"""


@pytest.fixture
def write(tmp_path):
    def write_file(text, name="mine.toml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_file


def test_a_file_is_read_and_named_after_itself(write):
    assert format_given(str(write(MINE))) == GroundedFormat(
        name="mine",
        thought=(("<think>", "</think>"),),
        answer=(("FINAL:", "\n"), ("FINAL:", "")),
        boxes=(("<<", ">>"),),
        boxes_in="thought",
        dialect=BoxDialect("list", "yxyx", 1000.0),
        suffix="Think, then write FINAL: and the answer.",
    )


@pytest.mark.parametrize("form", MARKED.values(), ids=MARKED)
def test_a_definition_comes_back_as_the_format_that_it_was_made_of(form):
    mine = replace(form, name=f"my {form.name}")

    assert mine == format_of_definition(definition_of(mine))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("boxs = 1", "unknown key 'boxs'. Did you mean 'boxes'?"),
        ("answer_pattern = '(a+)+$'", "unknown key 'answer_pattern'"),
        ("boxes_in = 'thoughts'", "boxes_in must be one of thought, calls, answer, text"),
        ("counted = 3", "counted must be one of all, last"),
        ("dialect = 'list:yxyx'", "SYNTAX:ORDER:UNIT"),
        ("dialect = 'qwen2_5_v'", "Did you mean 'qwen2_5_vl'?"),
        ("dialect = 1000", "dialect must be a text"),
        ("thought = '<think>'", "thought must be a list of at most"),
        ("thought = [['<think>']]", "a pair of marks"),
        ("thought = [['', '</think>']]", "an opening mark is blank"),
        ("thought = [['**', '**']]", "opens and closes"),
        ("thought = [['<t>', '  ']]", "the closing mark of '<t>' is blank"),
        ("thought = [['<t>', '']]", "a thought needs a closing mark"),
        (f"answer = [['{'a' * 500}', 'b']]", "more than 200"),
        ("boxes_needed = 'no'", "boxes_needed must be true or false"),
        ("first_crop = -1", "first_crop must be a whole number"),
        ("unit_above_one = nan", "unit_above_one must be a number above 0"),
        ("answer_key = 'answer'", "answer and answer_key both say"),
        ("name = 'satori'", "name 'satori' is that of a built-in format"),
        ("name = ' '", "name is blank"),
        ("thought = []", "boxes_in is thought, and there are no marks of a thought"),
        ("source_key = 'source'\ndialect = 'list:xyxy:input_px'", "how many pixels a crop has"),
    ],
)
def test_what_no_format_can_be_is_refused_by_name(write, change, said):
    given = {line.split(" = ")[0] for line in change.splitlines()}
    kept = [line for line in MINE.splitlines() if line.split(" = ")[0] not in given]
    with pytest.raises(ConfigError) as caught:
        read_own_format(write("\n".join([*kept, change])))

    assert said in str(caught.value)
    assert "mine.toml" in str(caught.value)


def test_all_faults_are_told_together(write):
    with pytest.raises(ConfigError) as caught:
        read_own_format(write("boxs = 1\ncounted = 3\nboxes_in = 'answer'"))

    assert [fault in str(caught.value) for fault in ("'boxs'", "counted")] == [True, True]


@pytest.mark.parametrize("text", ["not toml", "a = " * 3, "[" * 5_000, "x" * (MAX_FILE_BYTES + 1), "name = '\ud83d'"])
def test_a_file_that_is_no_format_is_a_plain_error(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(ConfigError, match=r"mine\.toml"):
        read_own_format(path)


def test_a_file_that_is_not_there_is_named():
    with pytest.raises(ConfigError, match=r"cannot read nowhere\.toml"):
        format_given("nowhere.toml")


def manifest_in(form):
    return stamp_hashes(
        Manifest(
            model="m", weights_hash="w", adapter_hash=None, config_hash="c", model_type="qwen2_5_vl", backend="hf",
            format=form, protocol="strict", box_dialect=BoxDialect("list"), box_dialect_reason="r", pixel_limits=None,
            generation={}, tasks={}, prompt_hash="p", seed=0, packages={}, scorer_version=1, created_utc="",
        )
    )  # fmt: skip


def test_a_manifest_holds_the_whole_of_an_own_format(write):
    stored = manifest_in(read_own_format(write(MINE)))

    assert stored == manifest_from_json(manifest_to_json(stored))
    assert manifest_to_json(stored)["format"] == "mine"


def test_a_built_in_format_is_stored_by_its_name_alone():
    assert "format_definition" not in manifest_to_json(manifest_in("treevgr"))


def test_two_definitions_of_one_name_are_two_protocols(write):
    one = read_own_format(write(MINE))
    other = replace(one, suffix="Think less.")

    assert definition_hash(one) != definition_hash(other)
    assert manifest_in(one).protocol_hash != manifest_in(other).protocol_hash
    assert manifest_in(one).protocol_hash != manifest_in("treevgr").protocol_hash
    assert manifest_in("treevgr").protocol_hash == manifest_in("satori").protocol_hash
    assert any("format" in said for said in input_differences(manifest_in(one), manifest_in(other)))
    assert any("format" in said for said in input_differences(manifest_in("satori"), manifest_in(one)))


@pytest.mark.parametrize(
    "damage",
    [
        {"format_definition": {"name": "mine", "boxs": 1}},
        {"format_definition": {"name": "yours"}},
        {"format_definition": 3},
        {"format_definition": None},
    ],
)
def test_a_damaged_definition_is_refused_and_names_its_field(write, damage):
    stored = manifest_to_json(manifest_in(read_own_format(write(MINE))))
    with pytest.raises(ValueError, match="format"):
        manifest_from_json({**stored, **damage})
