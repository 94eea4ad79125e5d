"""Time and size of the pages: 100,000 samples of text in one file, 2,000 with pictures; loading and scrolling in Chromium.

Runs of invented answers are made first (that is not timed). Each page is built in a process of its own, so that its peak
memory is its own: reading, comparing and writing.

    python -P tests/bench/bench_pages.py [--samples 100000] [--keep FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import invented_runs

CHROMIUM = "/usr/bin/chromium"
BROWSER_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-quic",
    "--no-first-run",
]
BUILD = """
import json, resource, sys, time
from pathlib import Path
wall, cpu = time.perf_counter(), time.process_time()
from harness.comparison.compare import compare_runs, open_sides
from reports.pages.comparison_page import write_comparison_page
comparison = compare_runs(open_sides(sys.argv[1:3]))
compared = time.perf_counter()
write_comparison_page(comparison, Path(sys.argv[3]))
print(json.dumps({
    "compare_s": compared - wall, "wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu,
    "memory_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6,
}))
"""
SCROLL = """
async () => {
    const list = document.querySelector(".list");
    const frames = [];
    let last = performance.now();
    for (let step = 0; step < 120; step += 1) {
        list.scrollTop = (list.scrollHeight / 120) * step;
        await new Promise(requestAnimationFrame);
        const now = performance.now();
        frames.push(now - last);
        last = now;
    }
    frames.sort((a, b) => a - b);
    return { median: frames[60], p95: frames[114], worst: frames[119] };
}
"""


def build(a: Path, b: Path, page: Path) -> dict[str, float]:
    """Compare two runs and write the page in a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", BUILD, str(a), str(b), str(page)],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    return json.loads(done.stdout)


def index_mb(page: Path) -> float:
    """Size of what the page needs before its list stands: index and questions."""
    html = page.read_text(encoding="utf-8")
    sizes = [len(html.split(f'id="{name}">', 1)[1].split("</script>", 1)[0]) for name in ("index-0", "questions-0")]
    return sum(sizes) / 1e6


def load(page: Path) -> dict[str, float]:
    """Open the page five times; return the median time until the list stands, and the frames of a scroll through it."""
    from playwright.sync_api import sync_playwright

    ready: list[float] = []
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGUMENTS)
        for _ in range(5):
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            tab = context.new_page()
            tab.set_default_timeout(120_000)
            tab.goto(f"file://{page}")
            tab.wait_for_selector("#explorer[data-ready]")
            # from the first byte that the parser saw: starting a browser process is not the page's doing
            ready.append(
                tab.evaluate(
                    "performance.getEntriesByName('list-ready')[0].startTime"
                    " - performance.getEntriesByType('navigation')[0].responseStart"
                )
            )
            frames = tab.evaluate(SCROLL)
            context.close()
        browser.close()
    return {"ready_s": sorted(ready)[2] / 1000, "best_s": min(ready) / 1000, **frames}


def table(rows: list[tuple[str, str, str]]) -> None:
    """Print the results."""
    for name, found, wanted in rows:
        print(f"{name:<52} {found:>12}   {wanted}")


def measured(title: str, page: Path, built: dict[str, float]) -> list[tuple[str, str, str]]:
    """Return the lines of one page."""
    loaded = load(page)
    big = title.startswith("100,000")
    return [
        (f"{title}: build, wall", f"{built['wall_s']:.1f} s", "≤ 20 s on an idle machine" if big else ""),
        (f"{title}: build, CPU", f"{built['cpu_s']:.1f} s", "≤ 20 s" if big else ""),
        (f"{title}:   of which comparing, wall", f"{built['compare_s']:.1f} s", ""),
        (f"{title}: peak memory", f"{built['memory_gb']:.2f} GB", "≤ 1.5 GB" if big else ""),
        (f"{title}: file", f"{page.stat().st_size / 1e6:.1f} MB", "" if big else "≤ 8 MB"),
        (f"{title}: index and questions", f"{index_mb(page):.2f} MB", "≤ 5 MB" if big else ""),
        (f"{title}: list ready, median of 5", f"{loaded['ready_s']:.2f} s", "≤ 0.6 s" if big else ""),
        (f"{title}: list ready, best of 5", f"{loaded['best_s']:.2f} s", ""),
        (f"{title}: frame while scrolling, median", f"{loaded['median']:.0f} ms", "16.7 ms is 60 a second"),
        (f"{title}: frame while scrolling, 95 %", f"{loaded['p95']:.0f} ms", ""),
    ]


def main() -> None:
    """Make the runs, build the pages, load them, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--samples", type=int, default=100_000)
    arguments.add_argument("--keep", type=Path, help="Keep runs and pages here, and use runs that are there.")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = given.keep or Path(scratch)
        rows: list[tuple[str, str, str]] = []
        for title, count, pictures in (
            (f"{given.samples:,} of text", given.samples, False),
            ("2,000 with pictures", 2_000, True),
        ):
            runs = root / f"runs-{count}"
            if len(sorted(runs.glob("*/SHA256SUMS"))) != 2:
                questions = invented_runs.shapes_questions(count) if pictures else invented_runs.many_questions(count)
                for name, right in (("base", 0.4), ("sft", 0.7)):
                    invented_runs.invent_run(runs, invented_runs.Answerer(name, right, right), questions)
            base, sft = sorted(path.parent for path in runs.glob("*/SHA256SUMS"))
            page = root / f"page-{count}.html"
            rows += measured(title, page, build(base, sft, page))
        table(rows)


if __name__ == "__main__":
    main()
