"""All outputs of one gate, its exit code and the page of `compare` say the same of many constructed pairs of runs.

Numbers are rounded here once more, by this file's own hand, from those of the JSON, and looked for in every output.
"""

from __future__ import annotations

import html
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner
from markupsafe import Markup

from harness.comparison import compare as comparing
from reports.pages import comparison_view
from satori_bench.app import cli

DRAWS = 199
OUTCOMES = {0: {"pass", "inconclusive"}, 3: {"regression"}, 4: {"inconclusive"}, 5: {"incomplete"}}
JUNIT_TAGS = {"regression": "failure", "incomparable": "error", "inconclusive": "skipped", "ok": None}
LEVELS = {"regression": "error", "incomparable": "error", "inconclusive": "warning", "ok": "notice"}
MME_SUBTASKS = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
    "commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning",
)  # fmt: skip


@dataclass(frozen=True)
class Pair:
    """How two runs are made."""

    tasks: tuple[str, ...]
    drop: float
    """Share of the rows that the candidate loses; negative: that it gains."""
    size: int
    """Rows of a benchmark."""
    cluster: int
    """Rows of a cluster."""
    missing: str
    """What the candidate lacks: nothing, a few scores, a few samples, a whole benchmark."""
    protocols: tuple[str, str]
    fails: bool
    """Whether the policy lets inconclusive fail."""


def constructed() -> list[Pair]:
    whole = itertools.product(
        [("shapes",), ("mmstar",), ("mme",), ("shapes", "mmstar"), ("mmstar", "mme", "shapes")],
        [0.0, 0.03, 0.12, 0.6, -0.3],
        [56, 84],
        [1, 10],
        ["nothing"] * 3 + ["scores", "samples", "benchmark"],
        [("strict", "strict")] * 3 + [("vlmevalkit", "vlmevalkit")] * 2 + [("strict", "vlmevalkit")],
    )
    # 31 shares no factor with the length of any list, so every value of one meets every value of another
    return [Pair(*values, fails=place % 2 == 0) for place, values in enumerate(itertools.islice(whole, 0, None, 31))]


def said(answer: str) -> str:
    return f"<answer>{answer}</answer>"


def row_of(task: str, place: int, right: bool, cluster: int) -> dict:
    row = {"id": f"{task}-{place}", "task": task}
    if task == "mme":
        subtask, answer = MME_SUBTASKS[place // 2 % 14], said("Yes" if right else "No")
        return row | {
            "answers": ["Yes"],
            "prediction": answer,
            "category": subtask,
            "group": f"{subtask}/{place // 28}",
        }
    if task == "mmstar":
        row |= {"choices": {"A": "a cat", "B": "a dog"}, "answers": ["A"], "prediction": said("A" if right else "B")}
    else:
        row |= {"answers": ["red"], "prediction": said("red" if right else "blue")}
    return row | ({"group": f"g{place // cluster}"} if cluster > 1 else {})


def rows_of(pair: Pair, *, candidate: bool) -> list[dict]:
    share = 0.65 - (pair.drop if candidate else 0.0)
    tasks = pair.tasks[: -1 if candidate and pair.missing == "benchmark" and len(pair.tasks) > 1 else None]
    rows = [
        # whole clusters fall and rise together, spread over the benchmark
        row_of(task, place, (place // pair.cluster * 7919 + 13) % 100 < 100 * share, pair.cluster)
        for task in tasks
        for place in range(pair.size)
    ]
    if candidate and pair.missing == "scores":
        rows[0] |= {"answers": None}
    return rows[1:] if candidate and pair.missing == "samples" else rows


@pytest.fixture
def stored(make_run):
    kept: dict[str, object] = {}

    def store(rows: list[dict], protocol: str, name: str):
        key = json.dumps([rows, protocol, name])
        if key not in kept:
            kept[key] = make_run(f"{name}-{len(kept)}", rows, protocol=protocol)
        return kept[key]

    return store


def invoke(*arguments) -> tuple[int, str]:
    result = CliRunner(env={"COLUMNS": "400"}).invoke(cli, [str(one) for one in arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return int(result.return_value), result.stdout


def rounded(value: float, *, signed: bool = False) -> str:
    text = f"{value:+,.1f}" if signed else f"{value:,.1f}"
    return text.lstrip("+-") if not float(text.replace(",", "")) else text.replace("-", "−")


def numbers_of(row: dict) -> dict[str, str]:
    """Return what must be read of a compared row, by what it is."""
    factor = 1.0 if row["scale"] == "points" else 100.0
    found = {side: rounded(factor * row[side]["value"]) for side in "ab" if row[side]["value"] is not None}
    change = row["difference"]
    if change is not None:
        found |= {name: rounded(factor * change[name], signed=True) for name in ("delta", "ci_low", "ci_high")
                  if change[name] is not None}  # fmt: skip
        found |= {"n": f"{change['n']:,}"}
        found |= {"mde": rounded(factor * change["mde"])} if change["mde"] is not None else {}
    return found


def table_rows(text: str) -> dict[str, str]:
    """Return what a Markdown table or a terminal's says of each task, with what is told below a row of a terminal."""
    found: dict[str, str] = {}
    last = ""
    for line in text.splitlines():
        name = re.match(r"(?:\| )?(\w+)\s", line)
        if name and name[1] not in found:
            last = name[1]
            found[last] = line
        elif last and line.startswith(" "):
            found[last] += line
        else:
            last = ""
    return found


def page_rows(page: str) -> dict[str, str]:
    rows = re.findall(
        r'<tr>\s*<th scope="row"><a href="[^"]*">(\w+)</a> <span class="muted">(.*?)</tr>', page, re.DOTALL
    )
    return {task: " ".join(html.unescape(re.sub("<[^>]*>", " ", text)).split()) for task, text in reversed(rows)}


def all_in(values, text: str) -> bool:
    """Whether every number stands in a text, not as a part of another."""
    return all(re.search(rf"(?<![\w.,−+]){re.escape(value)}(?![\w.]*\d)", text) for value in values)


@dataclass(frozen=True)
class Outputs:
    """What `gate` and `compare` left of one pair of runs."""

    codes: tuple[int, int, int]
    """Exit codes of `gate` with JSON, as text and as annotations."""
    verdict: dict
    """The JSON."""
    text: str
    """What a terminal shows."""
    annotations: list[str]
    """GitHub's commands."""
    summary: str
    """The Markdown."""
    junit: ET.Element
    """The XML."""
    compare_code: int
    """Exit code of `compare`."""
    compared: dict
    """The one pair of its JSON."""
    page: str
    """Its page."""


def outputs_of(base, new, policy, folder) -> Outputs:
    junit, markdown, page = folder / "gate.xml", folder / "gate.md", folder / "page.html"
    gate = ("gate", new, "--baseline", base, "--policy", policy)
    code, verdict = invoke(*gate, "--json", "--junit", junit, "--markdown", markdown)
    (text_code, text), (github_code, github) = invoke(*gate), invoke(*gate, "--output-format", "github")
    compare_code, compared = invoke("compare", base, new, "-o", page, "--json")
    return Outputs(
        codes=(code, text_code, github_code),
        verdict=json.loads(verdict),
        text=text,
        annotations=github.splitlines(),
        summary=html.unescape(markdown.read_text(encoding="utf-8")),
        junit=ET.parse(junit).getroot(),
        compare_code=compare_code,
        compared=json.loads(compared)["pairs"][0],
        page=page.read_text(encoding="utf-8"),
    )


def of_the_whole(found: Outputs) -> Iterator[tuple[str, object]]:
    """Yield what must hold of a verdict, each with whether it does."""
    verdict, (code, *_) = found.verdict, found.codes
    lead = html.unescape(re.search(r'<p class="lead">(.*?)</p>', found.page)[1])
    barred = lead.endswith("cannot be compared.") or lead.startswith("No verdict")
    rows = [row for item in found.compared["benchmarks"] for row in (item["headline"], *item["metrics"])]
    sentence = verdict["sentence"]
    failing = found.junit.get("failures") != "0" or found.junit.get("errors") != "0"
    yield "exit codes", {*found.codes} == {verdict["exit_code"]}
    yield "outcome", sentence.split(":")[0] == verdict["outcome"].upper() and verdict["outcome"] in OUTCOMES[code]
    yield "text: sentence", found.text.splitlines()[0] == sentence
    yield "markdown: sentence", found.summary.startswith(f"**{sentence}**")
    yield "markdown: exit code", f"Exit code {code}." in found.summary
    yield "github: sentence", found.annotations[0].endswith(f"::{sentence}")
    yield "github: level", found.annotations[0].startswith("::error") == bool(code)
    yield "junit: counts", failing == bool(code)
    yield "compare: exit code", (found.compare_code == 5) == all(row["difference"] is None for row in rows)
    yield "page: barred as the gate is", barred == bool(verdict["reasons"])


def of_a_state(found: Outputs, benchmark: dict) -> Iterator[tuple[str, object]]:
    """Yield what must hold of the state of one benchmark."""
    task, state = benchmark["task"], benchmark["state"]
    fails = state == "inconclusive" and found.verdict["policy"]["on_inconclusive"] == "fail"
    tag, level = ("failure", "error") if fails else (JUNIT_TAGS[state], LEVELS[state])
    suite = found.junit.find(f"testsuite[@name='{task}']")
    tags = [item.tag for item in suite.find("testcase") if item.tag != "system-out"]
    yield "junit: tag", tags == [tag] * bool(tag)
    yield "junit: state", properties_of(suite)["state"] == state
    yield "github: level and state", annotation_of(found, task).startswith(f"::{level} title={task}::{state.upper()}: ")
    yield "text: state", f" {state.upper()} " in table_rows(found.text)[task]
    yield "markdown: state", f"| {state.upper()} |" in table_rows(found.summary)[task]
    yield "json: a change where there is a verdict", (state == "incomparable") == (changed(benchmark) is None)
    absent = benchmark["row"] is None
    yield "page: row", (task in page_rows(found.page)) != absent
    yield "page: absence", (f"only A has: {task}" in html.unescape(found.page)) == absent


def of_the_numbers(found: Outputs, benchmark: dict) -> Iterator[tuple[str, object]]:
    """Yield what must hold of the numbers of a benchmark that both runs have."""
    task, numbers = benchmark["task"], numbers_of(benchmark["row"])
    headlines = {item["task"]: item["headline"] for item in found.compared["benchmarks"]}
    text, page = table_rows(found.text)[task], page_rows(found.page)[task]
    properties = properties_of(found.junit.find(f"testsuite[@name='{task}']"))
    for name, row in (("text", text), ("markdown", table_rows(found.summary)[task]), ("page", page)):
        yield f"{name}: {numbers} in {row!r}", all_in(numbers.values(), row)
    change = changed(benchmark)
    yield "compare: the same change", change == headlines[task]["difference"]
    if change is None:
        yield "page: no change", not re.search(r"[▲▼]|[+−]\d", page)
        yield "junit: no change", not {"delta", "ci_low", "p_holm"} & set(properties)
        yield "text: no interval", not re.search(r"\[[+−\d]", text)
        return
    yield "github: numbers", all_in(numbers.values(), annotation_of(found, task))
    exact = {name: change[name] for name in ("delta", "ci_low", "ci_high", "n") if change[name] is not None}
    yield "junit: numbers", all(properties[name] == repr(value) for name, value in exact.items())
    yield "page: direction", benchmark["state"] != "regression" or (change["delta"] < 0 and "▲" not in page)


def changed(benchmark: dict) -> dict | None:
    return None if benchmark["row"] is None else benchmark["row"]["difference"]


def annotation_of(found: Outputs, task: str) -> str:
    """Return the one annotation of a task; an empty text where there is none or several."""
    own = [line for line in found.annotations if f" title={task}::" in line]
    return own[0] if len(own) == 1 else ""


def properties_of(suite: ET.Element) -> dict[str, str]:
    return {item.get("name"): item.get("value") for item in suite.iter("property")}


def test_there_are_pairs_of_every_kind():
    pairs = constructed()

    assert len(pairs) >= 100
    for kinds in zip(
        *((p.tasks, p.drop, p.size, p.cluster, p.missing, p.protocols, p.fails) for p in pairs), strict=True
    ):
        assert len(set(kinds)) > 1
        assert all(kinds.count(kind) >= 5 for kind in set(kinds))


def test_outputs_exit_code_and_page_agree(stored, tmp_path, monkeypatch):
    whole = comparing.compare_runs
    kept: dict[tuple, object] = {}

    def compare_once(specs, **options):
        key = tuple(run.path for spec in specs for run in spec.runs)
        if key not in kept:
            kept[key] = whole(specs, **(options | {"draws": DRAWS}))
        return kept[key]

    monkeypatch.setattr(comparing, "compare_runs", compare_once)
    for chart in ("forest_chart", "curve_chart", "histogram_chart"):  # of pictures nothing is read here
        monkeypatch.setattr(comparison_view, chart, lambda *_: Markup(""))
    policy = tmp_path / "gate.toml"
    wrong: list[str] = []
    outcomes: set[tuple[int, str]] = set()
    for place, pair in enumerate(constructed()):
        policy.write_text(f'on_inconclusive = "{"fail" if pair.fails else "pass"}"\ntolerance = 2\n', encoding="utf-8")
        base = stored(rows_of(pair, candidate=False), pair.protocols[0], "base")
        new = stored(rows_of(pair, candidate=True), pair.protocols[1], "new")
        found = outputs_of(base, new, policy, tmp_path)
        held = {("", what): holds for what, holds in of_the_whole(found)}
        for benchmark in found.verdict["benchmarks"]:
            held |= {(benchmark["task"], what): holds for what, holds in of_a_state(found, benchmark)}
            if benchmark["row"] is not None:
                held |= {(benchmark["task"], what): holds for what, holds in of_the_numbers(found, benchmark)}
        wrong += [f"{place} {pair}: {task} {what}" for (task, what), holds in held.items() if not holds]
        outcomes.add((found.codes[0], found.verdict["outcome"]))

    assert not wrong, "\n".join(wrong)
    assert outcomes == {(code, outcome) for code, known in OUTCOMES.items() for outcome in known}
