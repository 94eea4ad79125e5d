"""A raw text becomes stages and named faults, whatever is in it, and no tag soup is read differently from the rules."""

import json
import random
import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.scoring.stages import SELECTIONS, STAGES, boxes_text, parse
from harness.scoring.written_boxes import read_boxes
from harness.values import FAULTS, PARSE_FAULTS, STAGE_FORMATS, KeptStages, Response

CASES = Path(__file__).parents[1] / "cases"
TABLE = json.loads((CASES / "parse_stages.json").read_text())
PARITY = [json.loads(line) for line in (CASES / "parity_core.jsonl").read_text().splitlines()]

TAG_KINDS = {
    "satori": {"caption": "caption", "bbox": "bbox", "answer": "answer"},
    "satori-think": {
        "caption": "caption",
        "bbox": "bbox",
        "thinking": "thinking",
        "think": "thinking",
        "answer": "answer",
    },
    "satori-adaptive": {"caption": "caption", "bbox": "bbox", "answer": "answer"},
    "freeform": {"think": "thinking", "answer": "answer"},
}
FREE = {"satori-adaptive": {"caption", "bbox"}}
GOOD = {
    "satori": "<caption>a dog</caption>\n<bbox>[[1,2,3,4]]</bbox>\n<answer>B</answer>",
    "satori-think": "<caption>a dog</caption>\n<bbox>[[1,2,3,4]]</bbox>\n<thinking>hm</thinking>\n<answer>B</answer>",
    "satori-adaptive": "<bbox>[[1,2,3,4]]</bbox>\n<answer>B</answer>",
    "freeform": "<think>hm</think><answer>B</answer>",
}
SOUP = (
    ["<caption>", "</caption>", "<bbox>", "</bbox>", "<answer>", "</answer>", "<think>", "</think>"] * 3
    + [
        "\x1c",
        " \x1d1",
        "<thinking>",
        "</thinking>",
        "<ANSWER>",
        "</Answer>",
        "<Bbox>",
        "< answer >",
        "</answer\n>",
        "<answer",
        "answer>",
        "</",
        "<",
        ">",
    ]
    + ["[[1,2,3,4]]", "[[", "]]", "[", "]", "[]", "[[4,3,2,1]]", "[1,2,3,4]", "[[1e999,0,1,2]]", "1,2"]
    + [" ", " ", "\n", "\n", "\t", "\r", "\u3000", "\x85", "x", "B", "né", "\ud800", "\0", "\u0131", "\u017f"]
)
PAPER = ["paper_benchmark", "paper_reward"]
soups = st.lists(st.sampled_from(SOUP), max_size=16).map("".join)
texts = st.one_of(soups, st.text(max_size=40))


@st.composite
def near_misses(draw):
    """A text in one of the formats with up to three places of it dropped, doubled or replaced."""
    parts = re.findall(r"</?\w+>|\[\[|\]\]|\s|[^<\[\]\s]+", draw(st.sampled_from(sorted(GOOD.values()))))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(parts)))
        parts[place : place + draw(st.integers(0, 2))] = draw(st.lists(st.sampled_from(SOUP), max_size=2))
    return "".join(parts)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case['format']}-{case['selection']}-{case['text'][:50]!a}")
def test_table(case):
    expected = case["expect"]
    response = parse(case["text"], case["format"], case["selection"], truncated=case.get("truncated", False))
    boxes = None if response.boxes_written is None else [list(box) for box in response.boxes_written]

    assert expected["answer"] == response.answer
    assert expected.get("caption") == response.caption
    assert expected.get("thinking") == response.thinking
    assert expected.get("boxes") == boxes
    assert (expected["format_ok"], expected["faults"]) == (response.format_ok, list(response.faults))


# `last`, against the rule written down plainly


def complete_stages(text, form):
    """Scan the tags left to right: a stage is complete when its own closing tag comes before any other opening tag."""
    names = TAG_KINDS[form]
    stages, unpaired, opened = [], set(), None
    for tag in re.finditer(r"<[ \n\t\r]?(/?)[ \n\t\r]?([A-Za-z]+)[ \n\t\r]?>", text):
        name = tag[2].lower()
        if name not in names:
            continue
        if not tag[1]:
            unpaired |= {names[opened[0]]} if opened else set()
            opened = (name, tag)
        elif opened and opened[0] == name:
            stages.append((names[name], opened[1].start(), text[opened[1].end() : tag.start()], tag.end()))
            opened = None
        else:
            unpaired.add(names[name])
    unpaired |= {names[opened[0]]} if opened else set()
    return stages, unpaired


def with_the_templates_tag(text, form):
    """Write `<think>` where the chat template must have opened the thought that `</think>` ends first."""
    tag = re.search(r"<(/?)(?:think|thinking(?<!/thinking))>", text, re.IGNORECASE | re.ASCII)
    if not tag or not tag[1]:
        return text
    stage_tags = [*re.finditer(rf"</?(?:{'|'.join(TAG_KINDS[form])})>", text[: tag.start()], re.IGNORECASE | re.ASCII)]
    begin = stage_tags[-1].end() if stage_tags and form == "satori-think" else 0
    writes_its_own = re.search(r"<think(?:ing)?>", text[tag.end() :], re.IGNORECASE | re.ASCII)
    if form == "freeform" or (form == "satori-think" and (stage_tags or not writes_its_own)):
        return text[:begin] + "<think>" + text[begin:]
    return text if stage_tags else text[tag.end() :]


def last_by_the_rule(text, form):
    text = with_the_templates_tag(text, form)
    stages, unpaired = complete_stages(text, form)
    contents = {kind: content.strip() for kind, _, content, _ in stages}
    starts = {kind: start for kind, start, _, _ in stages}
    kinds = [kind for kind, _, _, _ in stages]
    faults = set()
    faults |= {"unclosed"} if unpaired else set()
    asked = [kind for kind in STAGES[form] if kind not in FREE.get(form, ())]
    faults |= {"missing"} if any(kind not in contents and kind not in unpaired for kind in asked) else set()
    faults |= {"empty"} if "" in contents.values() else set()
    faults |= {"multiple"} if len(set(kinds)) < len(kinds) else set()
    order = sorted(starts, key=starts.__getitem__)
    faults |= {"bad_order"} if order != [kind for kind in STAGES[form] if kind in starts] else set()
    outside, position = "", 0
    for _, start, _, end in stages:
        outside, position = outside + text[position:start], end
    exact = all(re.match(r"<\w+>(?s:.*)</\w+>\Z", text[start:end]) for _, start, _, end in stages)
    outside += text[position:] + ("" if exact else "a tag that is not written exactly")
    faults |= {"bad_order"} if not faults and outside.strip() else set()
    reading = read_boxes(contents["bbox"]) if "bbox" in contents else None
    return Response(
        answer=contents.get("answer"),
        caption=contents.get("caption"),
        thinking=contents.get("thinking"),
        boxes_written=reading and reading.boxes,
        format_ok=tuple(kinds) == tuple(kind for kind in STAGES[form] if kind in asked or kind in kinds)
        and not unpaired
        and all(contents.values())
        and not outside.strip()
        and (reading is None or reading.keeps_format),
        faults=tuple(fault for fault in FAULTS if fault in faults | set(reading.faults if reading else ())),
        kept=KeptStages(**{kind: kept_by_the_rule(kind, contents, unpaired) for kind in FREE.get(form, ())}),
    )


def kept_by_the_rule(kind, contents, unpaired):
    if kind in unpaired:
        return None
    return True if kind in contents else (False if contents.get("answer") else None)


@settings(max_examples=800, deadline=None)
@given(st.one_of(soups, near_misses()), st.sampled_from(sorted(TAG_KINDS)))
def test_last_is_the_rule(text, form):
    assert last_by_the_rule(text, form) == parse(text, form, "last")


@settings(max_examples=400, deadline=None)
@given(st.one_of(soups, near_misses()), st.sampled_from(sorted(TAG_KINDS)))
def test_what_keeps_the_format_has_no_fault_and_every_stage(text, form):
    response = parse(text, form, "last")

    if response.format_ok:
        assert set(response.faults) <= {"malformed", "non_finite", "degenerate", "inverted"}, "of single boxes only"
        assert response.answer
        assert response.boxes_written or form == "freeform" or response.kept.bbox is False


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(GOOD)), st.sampled_from([" ", "\n", "\n\n", "\t", "\u3000", ""]))
def test_outer_and_inner_blanks_and_case_keep_the_format(form, blank):
    text = GOOD[form].replace("><", f">{blank}<").replace(">\n<", f">{blank}<")

    assert parse(blank + text + blank, form, "last").format_ok
    assert parse(blank + text.upper() + blank, form, "last").format_ok


@pytest.mark.parametrize("form", sorted(GOOD))
def test_letters_that_only_lower_case_to_tag_letters_are_no_tags(form):
    text = GOOD[form].replace("answer", "an\u017fwer")

    assert parse(text, form, "last").answer is None
    assert parse(text, form, "last").faults == ("missing",)


# The paper, against its regular expressions

PAPER_STAGE = {name: re.compile(rf"<{name}>(.*?)</{name}>", re.DOTALL) for name in ("caption", "bbox", "answer")}
PAPER_ANSWER_LINE = re.compile(r"<answer>(.*?)</answer>")
PAPER_FORMAT = {
    "satori": [
        r"^\s*<caption>.*?</caption>\s*<bbox>\s*\[\[.*?\]\]\s*</bbox>\s*<answer>.*?</answer>\s*$",
    ],
    "satori-think": [
        r"^\s*<caption>.*?</caption>\s*<bbox>\s*\[\[.*?\]\]\s*</bbox>\s*<thinking>.*?</thinking>\s*<answer>.*?</answer>\s*$",
        r"^\s*<caption>.*?</caption>\s*<bbox>\s*\[\[.*?\]\]\s*</bbox>\s*<think>.*?</think>\s*<answer>.*?</answer>\s*$",
    ],
    "satori-adaptive": [
        rf"^\s*{kept}<answer>.*?</answer>\s*$"
        for caption, boxes in [(r"<caption>.*?</caption>\s*", r"<bbox>\s*\[\[.*?\]\]\s*</bbox>\s*")]
        for kept in (caption + boxes, caption, boxes, "")
    ],
    "freeform": [r"^\s*<think>.*?</think>\s*<answer>.*?</answer>\s*$"],
}


@settings(max_examples=1500, deadline=None)
@given(st.one_of(soups, near_misses()), st.sampled_from(sorted(PAPER_FORMAT)), st.sampled_from(PAPER))
def test_paper_format_is_the_regular_expression(text, form, selection):
    expected = any(re.match(pattern, text, re.DOTALL | re.MULTILINE) for pattern in PAPER_FORMAT[form])

    assert expected == parse(text, form, selection).format_ok


@settings(max_examples=800, deadline=None)
@given(st.one_of(soups, near_misses()))
def test_paper_stages_are_the_first_matches(text):
    caption, answer, line = (
        PAPER_STAGE["caption"].search(text),
        PAPER_STAGE["answer"].search(text),
        PAPER_ANSWER_LINE.search(text),
    )
    reward, benchmark = parse(text, "satori", "paper_reward"), parse(text, "satori", "paper_benchmark")

    assert (answer[1].strip() if answer else None) == reward.answer
    assert (line[1] if line else " ") == benchmark.answer
    assert (caption[1].strip() if caption else None) == reward.caption == benchmark.caption
    assert (PAPER_STAGE["bbox"].search(text) is None) == (reward.boxes_written is None)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(["<answer>", "</answer>", "\n", "x", "\r", "<"]), max_size=14).map("".join))
def test_paper_benchmark_answer_stands_on_one_line(text):
    line = PAPER_ANSWER_LINE.search(text)

    assert (line[1] if line else " ") == parse(text, "freeform", "paper_benchmark").answer


@pytest.mark.parametrize(
    "case", [case for case in PARITY if case["about"] == "satori_format"], ids=lambda case: case["id"]
)
def test_format_reward_of_the_reference(case):
    text = case["rows"][0]["prediction"]

    assert bool(case["expect"]["components"]["format"]) == parse(text, "satori", "paper_reward").format_ok


@pytest.mark.parametrize(
    "case", [case for case in PARITY if case["about"] == "satori_vqa"], ids=lambda case: case["id"]
)
def test_answer_reward_of_the_reference(case):
    (row,) = case["rows"]
    answer = parse(row["prediction"], "satori", "paper_reward").answer

    assert bool(case["expect"]["components"]["answer"]) == (answer in row["answers"])


# Totality


def random_text(rng):
    parts = []
    for _ in range(rng.randrange(12)):
        kind = rng.randrange(10)
        if kind < 7:
            parts.append(rng.choice(SOUP))
        elif kind < 8:
            parts.append("".join(map(chr, (rng.randrange(0x11_0000) for _ in range(rng.randrange(4))))))
        elif kind < 9:
            parts.append(str(rng.uniform(-1e300, 1e300)) if rng.random() < 0.5 else "9" * rng.randrange(400))
        else:
            parts.append(rng.choice(sorted(GOOD.values())))
    return "".join(parts)


def assert_total(text):
    for form in STAGE_FORMATS:
        for selection in SELECTIONS:
            response = parse(text, form, selection)
            assert set(response.faults) <= PARSE_FAULTS
            assert list(response.faults) == [fault for fault in FAULTS if fault in response.faults]
            assert (response.format_ok is None) == (form == "plain")
            assert response.answer is not None or response.faults


@settings(max_examples=300, deadline=None)
@given(texts)
def test_nothing_a_model_writes_raises(text):
    assert_total(text)


@pytest.mark.slow
def test_a_hundred_thousand_random_texts_never_raise():
    rng = random.Random(20250519)
    for _ in range(100_000):
        assert_total(random_text(rng))


def test_parsing_twice_gives_the_same():
    rng = random.Random(5)
    for _ in range(200):
        text = random_text(rng)
        for form in STAGE_FORMATS:
            for selection in SELECTIONS:
                assert parse(text, form, selection) == parse(text, form, selection)


MEGABYTE = 1_000_000
HOSTILE = {
    "answer of a megabyte": GOOD["satori"].replace("B", "word " * (MEGABYTE // 5)),
    "ten thousand boxes": f"<bbox>[{','.join(['[1,2,3,4]'] * 10_000)}]</bbox>",
    "400 digits": f"<bbox>[[1,2,3,{'1' * 400}]]</bbox>",
    "depth 100,000": f"<bbox>{'[' * 100_000}{']' * 100_000}</bbox>",
    "a million minus signs": f"<bbox>[[1,2,3,{'-' * MEGABYTE}4]]</bbox>",
    "opening tags": "<answer>" * (MEGABYTE // 8),
    "opening captions, one closing": "<caption>" * (MEGABYTE // 9) + "</caption>",
    "opening tags in capitals": "<ANSWER>" * (MEGABYTE // 8),
    "opening tags on lines": "<answer>\n" * (MEGABYTE // 9),
    "opening tags on lines, one closing": "<answer>\n" * (MEGABYTE // 9) + "</answer>",
    "closing tags": "</answer>" * (MEGABYTE // 9),
    "stages": "<answer></answer>" * (MEGABYTE // 17),
    "stages across lines": "<answer>\n</answer>\n" * (MEGABYTE // 19),
    "caption ends, boxes begin": "</caption> <bbox>" * (MEGABYTE // 17),
    "after a caption, boxes begin": "<caption>" + "</caption> <bbox>[[" * (MEGABYTE // 19),
    "blanks after a caption": "<caption></caption>" + " " * MEGABYTE,
    "blanks after many captions": "<caption>" + ("</caption>" + " " * 990) * (MEGABYTE // 1000),
    "blanks before": " " * MEGABYTE + "<caption>",
    "blanks after the answer": "<caption></caption><bbox>[[]]</bbox><answer></answer>" + " " * MEGABYTE + "x",
    "closing brackets": "<caption></caption><bbox>[[" + "]" * MEGABYTE,
    "pairs of closing brackets": "<caption></caption><bbox>[[" + "]] " * (MEGABYTE // 3),
    "less-than signs": "<" * MEGABYTE,
    "halves of tags": "<answer>" + "</answer" * (MEGABYTE // 8),
    "letters": "x" * MEGABYTE,
    "nothing": "",
}


@pytest.mark.parametrize("form", STAGE_FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_a_megabyte_of_anything_costs_milliseconds(name, form):
    text = HOSTILE[name]
    for selection in SELECTIONS:
        spent_s = []
        for _ in range(3):  # the best of three: other programs on the machine are not what is measured
            started = time.process_time()
            parse(text, form, selection)
            spent_s.append(time.process_time() - started)

        assert min(spent_s) < 1


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("ten thousand boxes", "malformed"),
        ("400 digits", "non_finite"),
        ("depth 100,000", "malformed"),
        ("a million minus signs", "malformed"),
    ],
)
@pytest.mark.parametrize("selection", SELECTIONS)
def test_hostile_boxes_have_a_named_fault(name, fault, selection):
    response = parse(HOSTILE[name], "satori", selection)

    assert response.boxes_written == ()
    assert fault in response.faults


@pytest.mark.parametrize(
    ("name", "selection", "faults"),
    [
        ("opening tags", "last", ("missing", "unclosed")),
        ("opening tags", "paper_reward", ("missing", "unclosed")),
        ("opening tags", "paper_benchmark", ("missing", "unclosed")),
        ("caption ends, boxes begin", "last", ("missing", "unclosed")),
        ("caption ends, boxes begin", "paper_reward", ("missing", "unclosed")),
        ("caption ends, boxes begin", "paper_benchmark", ("missing", "unclosed")),
        ("opening captions, one closing", "last", ("missing", "empty", "unclosed")),
        ("opening captions, one closing", "paper_reward", ("missing",)),
        ("opening captions, one closing", "paper_benchmark", ("missing",)),
    ],
)
def test_floods_of_tags_have_named_faults(name, selection, faults):
    response = parse(HOSTILE[name], "satori", selection)

    assert (False, faults) == (response.format_ok, response.faults)


@pytest.mark.parametrize("selection", SELECTIONS)
def test_a_megabyte_of_answer_is_read_whole(selection):
    written = "word " * (MEGABYTE // 5)
    response = parse(HOSTILE["answer of a megabyte"], "satori", selection)

    assert response.answer == (written if selection == "paper_benchmark" else written.strip())
    assert response.format_ok
    assert not response.faults


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match=r"'sator'.*satori"):
        parse("x", "sator", "last")
    with pytest.raises(ValueError, match=r"'first'.*paper_reward"):
        parse("x", "satori", "first")


@pytest.mark.parametrize("written", ["[[1, 2, 3, 4]]", " \n[[1, 2, 3, 4], [5, 6, 7, 8]]\t", "", "nothing", "  "])
@pytest.mark.parametrize("form", ["satori", "satori-think"])
def test_the_text_of_boxes_is_the_same_whether_a_text_keeps_the_format_or_not(form, written):
    thought = "<think>left of it</think>" if form == "satori-think" else ""
    whole = f"<caption>a scene</caption>\n<bbox>{written}</bbox>{thought}<answer>red</answer>"

    assert written.strip() == boxes_text(whole, form) == boxes_text(f"Sure: {whole} <b>", form)
