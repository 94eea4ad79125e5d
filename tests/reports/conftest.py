"""Stored runs of invented answers, their comparison, and a browser where there is one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CHROMIUM = Path("/usr/bin/chromium")
BROWSER_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
]


@pytest.fixture(scope="session")
def hostile() -> list[str]:
    """Strings that try to break out of what they are written into."""
    cases = json.loads((TESTS / "cases" / "hostile_strings.json").read_text(encoding="utf-8"))
    return [*(case["text"] for case in cases), "\ufffe\uffff", "x" * 2**20]


@pytest.fixture(scope="session")
def runs(invented, tmp_path_factory) -> dict[str, Path]:
    """Three runs of 60 Shapes questions: a base model, a better one, one that is better still; with pages."""
    from reports.pages.run_page import renew_page

    root = tmp_path_factory.mktemp("runs")
    questions = invented.shapes_questions(60)
    levels = {"base": (0.4, 0.3, 0.15), "sft": (0.7, 0.6, 0.05), "grpo": (0.95, 0.9, 0.0)}
    folders = {
        name: invented.invent_run(
            root,
            invented.Answerer(f"checkpoints/{name}", right=right, near=near, broken=broken, seed=1),
            questions,
        )
        for name, (right, near, broken) in levels.items()
    }
    for folder in folders.values():
        renew_page(folder)
    return folders


@pytest.fixture(scope="session")
def comparison(runs):
    from harness.comparison.compare import compare_runs, open_sides

    return compare_runs(open_sides([str(runs["base"]), str(runs["grpo"]), str(runs["sft"])]))


@pytest.fixture(scope="session")
def page_file(comparison, tmp_path_factory) -> Path:
    """The comparison's page in one file."""
    from reports.pages.comparison_page import write_comparison_page

    return write_comparison_page(comparison, tmp_path_factory.mktemp("page") / "page.html")


@pytest.fixture(scope="session")
def hostile_runs(invented, hostile, tmp_path_factory) -> list[Path]:
    """Two runs in which every text that a stranger controls is hostile: answers, ids, categories, models."""
    root = tmp_path_factory.mktemp("hostile")
    questions = [
        replace(
            question,
            sample=replace(
                question.sample,
                id=f"{number} {text[:400]}",
                category=text[:400],
                question=text,
                answers=(text or "?",),
                caption=text,
                cluster=text[:400] or "?",
            ),
        )
        for number, (text, question) in enumerate(zip(hostile, invented.shapes_questions(len(hostile)), strict=True))
    ]

    def answer(question, who, rng):
        text = question.sample.question
        said = text if rng.random() < who.right else "no"
        return f"<caption>{text}</caption><bbox>[[0,0,9,9]]</bbox><answer>{said}</answer>"

    return [
        invented.invent_run(
            root,
            invented.Answerer(f"{place}/<img src=x onerror=window.hacked=99>\u202e=cmd()|x", right=right, seed=place),
            questions,
            text_of=answer,
            box_dialect_reason="</title><script>window.hacked=98</script>",
            packages={"</td><script>window.hacked=97</script>": "<b>1</b>"},
            generation={'" onload="x': "<i>\u0000"},
        )
        for place, right in enumerate((0.3, 0.9))
    ]


@pytest.fixture(scope="session")
def hostile_comparison(hostile_runs):
    from harness.comparison.compare import compare_runs, open_sides

    return compare_runs(open_sides([str(path) for path in hostile_runs]))


@pytest.fixture(scope="session")
def chromium():
    """A browser, or the reason why there is none."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"no browser at {CHROMIUM}: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=str(CHROMIUM), args=BROWSER_ARGUMENTS)
        yield browser
        browser.close()
