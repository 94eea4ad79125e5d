"""Markdown, JUnit, annotations and the terminal say what the verdict says, and nothing that a file's strings want."""

from __future__ import annotations

import html
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest

from harness.comparison.compare import compare_runs, open_sides
from harness.comparison.to_json import comparison_to_json
from harness.gate.policy import GatePolicy
from harness.gate.verdict import Verdict, judge, verdict_to_json
from reports.terminal.printing import line_of
from reports.terminal.tables import write
from reports.terminal.verdict_tables import comparison_table, verdict_table
from reports.texts.github import verdict_annotations
from reports.texts.junit import verdict_junit
from reports.texts.markdown import MOST_BYTES, comparison_markdown, neutral, verdict_markdown
from reports.texts.verdict_text import pair_lines, verdict_lines

ILLEGAL_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
STEERS_A_TERMINAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def rows(right: int, categories=("one", "two"), n=60, text="") -> list[dict]:
    return [
        {
            "id": f"s{place}",
            "task": "shapes",
            "prediction": f"{text}<answer>{'red' if place < right else 'blue'}</answer>",
            "answers": ["red"],
            "category": categories[place % len(categories)],
        }
        for place in range(n)
    ]


def gated(base, new, **policy):
    comparison = compare_runs(open_sides([str(base), str(new)]), draws=199)
    return judge(comparison, GatePolicy(**policy)), comparison


def every_text(verdict: Verdict, comparison) -> dict[str, str]:
    stream = io.StringIO()
    write(verdict_table(verdict), stream)
    write(comparison_table(comparison, comparison.pairs[0]), stream)
    lines = [*verdict_lines(verdict), *pair_lines(comparison, comparison.pairs[0])]
    return {
        "markdown": verdict_markdown(verdict, comparison) + comparison_markdown(comparison),
        "junit": verdict_junit(verdict).decode("utf-8"),
        "github": "\n".join(verdict_annotations(verdict)),
        "terminal": stream.getvalue() + "\n".join(line_of(line) for line in lines),
        "json": json.dumps([verdict_to_json(verdict), comparison_to_json(comparison)], allow_nan=False),
    }


def assert_harmless(texts: dict[str, str]) -> None:
    for name, text in texts.items():
        text.encode("utf-8")
        if name != "json":
            assert not STEERS_A_TERMINAL.search(text), name
    for line in texts["markdown"].splitlines():
        own = re.sub(r"</?(details|summary)>", "", line)
        assert "<" not in own
        assert "`" not in own
        assert "![" not in own
        assert "](" not in own
        assert "@" not in own
    assert all(re.match(r"::(error|warning|notice) title=[^:,]*::", line) for line in texts["github"].split("\n"))
    assert not ILLEGAL_IN_XML.search(texts["junit"])
    ET.fromstring(texts["junit"])


def test_hostile_categories_and_texts_take_no_effect(make_run, hostile_strings):
    names = [text[:3000] for text in hostile_strings.values()]
    base = make_run("base", rows(80, names, n=120, text=hostile_strings["a megabyte"][:10_000]))
    verdict, comparison = gated(base, make_run("new", rows(20, names, n=120)))

    assert verdict.outcome == "regression"
    assert_harmless(every_text(verdict, comparison))


def test_hostile_model_task_metric_and_reasons_take_no_effect(make_run, hostile_strings):
    verdict, comparison = gated(make_run("base", rows(30)), make_run("new", rows(31)))
    for text in hostile_strings.values():
        hostile = replace(
            verdict,
            baseline=replace(verdict.baseline, label=text),
            candidate=replace(verdict.candidate, label=text),
            benchmarks=tuple(replace(item, task=text, metric=text, reason=text) for item in verdict.benchmarks),
            reasons=(text,),
            notes=(text,),
        )
        pair = comparison.pairs[0]
        benchmark = replace(pair.benchmarks[0], headline=replace(pair.benchmarks[0].headline, task=text, category=text))
        sides = tuple(replace(side, label=text) for side in comparison.sides)
        shown = replace(comparison, sides=sides, pairs=(replace(pair, benchmarks=(benchmark,), only_a_tasks=(text,)),))

        assert_harmless(every_text(hostile, shown))


def test_markdown_of_any_text_is_one_line_without_active_characters(hostile_strings):
    for text in hostile_strings.values():
        shown = neutral(text)
        assert not re.search(r"[\n\r|`<>@*_\[\]!]", shown)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("www.beacon.invalid", "www․beacon․invalid"),
        ("WWW.1and1.com", "WWW․1and1․com"),
        ("beacon.com/x", "beacon․com/x"),
        ("почта.рф", "почта․рф"),
        ("https://10.0.0.1/x", "https：//10.0.0.1/x"),
        ("a.b@beacon.com", "a.b＠beacon․com"),
        ("@octocat", "＠octocat"),
        ("#12, owner/repo#12", "＃12, owner/repo＃12"),
        ("GH-7 gh-7", "GH‑7 gh‑7"),
        ("Qwen2.5-VL v0.1.2 is 3.5 % better. It has 1,000.", "Qwen2.5-VL v0.1.2 is 3.5 % better. It has 1,000."),
    ],
)
def test_nothing_in_markdown_becomes_a_link_by_itself(text, shown):
    assert shown == html.unescape(neutral(text))


def test_markdown_stays_below_its_limit_and_closes_what_it_opens(make_run):
    names = [f"category {place} " + "漢" * 100 for place in range(400)]
    verdict, comparison = gated(make_run("a", rows(400, names, n=800)), make_run("b", rows(300, names, n=800)))

    for text in (verdict_markdown(verdict, comparison), comparison_markdown(comparison)):
        assert len(text.encode("utf-8")) <= MOST_BYTES
        assert text.count("<details>") == text.count("</details>")
        assert "more lines" in text


@pytest.mark.parametrize(
    ("right", "policy", "tag", "code"),
    [
        (20, {}, "failure", 3),
        (49, {}, "skipped", 0),
        (49, {"on_inconclusive": "fail"}, "failure", 4),
        (60, {"tolerance": 10.0}, None, 0),
        (50, {"tasks": ("mme",)}, "error", 5),
    ],
)
def test_junit_text_and_json_follow_the_exit_code(make_run, right, policy, tag, code):
    verdict, comparison = gated(make_run("base", rows(50)), make_run("new", rows(right)), **policy)
    root = ET.fromstring(verdict_junit(verdict))
    found = [case.find(tag) for case in root.iter("testcase")] if tag else []

    assert verdict.exit_code == code
    assert len(root.findall("testsuite")) == len(verdict.benchmarks)
    assert all(item is not None for item in found)
    assert (root.get("failures") != "0" or root.get("errors") != "0") == (code != 0)
    assert verdict_to_json(verdict)["exit_code"] == code
    assert verdict_markdown(verdict, comparison).startswith(f"**{verdict.sentence.split(':')[0]}")
    assert verdict_annotations(verdict)[0].startswith("::error" if code else "::warning" if tag else "::notice")


def test_junit_counts_and_properties_are_those_of_the_verdict(make_run):
    verdict, _ = gated(make_run("base", rows(50)), make_run("new", rows(20)))
    root = ET.fromstring(verdict_junit(verdict))
    properties = {item.get("name"): item.get("value") for item in root.iter("property")}

    assert (root.get("tests"), root.get("failures"), root.get("errors"), root.get("skipped")) == ("1", "1", "0", "0")
    assert float(properties["delta"]) == verdict.benchmarks[0].difference.delta
    assert float(properties["p_holm"]) == verdict.benchmarks[0].p_holm


def test_a_verdict_without_benchmarks_is_an_error_in_junit(make_run):
    verdict, _ = gated(make_run("base", rows(50)), make_run("new", rows(50)))
    root = ET.fromstring(verdict_junit(replace(verdict, benchmarks=(), reasons=(), outcome="incomplete")))

    assert root.get("errors") == "1"


def test_every_writer_shows_the_notes(make_run):
    unscored = [{**row, "answers": None} if place < 20 else row for place, row in enumerate(rows(20))]
    verdict, comparison = gated(make_run("base", unscored), make_run("new", rows(20)))
    texts = every_text(verdict, comparison)

    assert verdict.notes
    for name, text in texts.items():
        assert "20 that only the candidate has" in text, name


def test_same_verdict_same_bytes(make_run):
    folders = make_run("base", rows(50)), make_run("new", rows(20))

    assert every_text(*gated(*folders)) == every_text(*gated(*folders))
