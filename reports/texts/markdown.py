"""Write a verdict or a comparison as Markdown for a job summary: the verdict first, at most 60 kB.

Names come from files and models, so every one is neutralised: no table cell, link, image, mention, HTML or fence of
theirs takes effect. Model texts do not appear at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.comparison.values import Comparison, Pair, ScoreRow
from harness.evaluation.parity import RunParity
from harness.gate.verdict import BenchmarkVerdict, Verdict, verdict_bars
from reports.texts.looked_changes_text import LOOKED_CAUTION, LOOKED_HEADINGS, looked_cells
from reports.texts.numbers_shown import count, p_text, percent
from reports.texts.parity_text import (
    AGREEMENT_HEADINGS,
    SCORE_HEADINGS,
    agreement_rows,
    difference_lines,
    disagreement_sentence,
    reason_lines,
    score_rows,
)
from reports.texts.verdict_text import (
    MOST_NAME_CHARACTERS,
    VERDICT_HEADINGS,
    change_text,
    cut,
    flips_text,
    gain_lines,
    mde_text,
    score_text,
    sentence_of,
    verdict_cells,
)
from reports.texts.visible import visible

MOST_BYTES = 60_000
"""A comment on GitHub holds 65,536 characters; what is longer is cut at a line, with a note."""

_ACTIVE = re.compile(r"[\\`*_{}\[\]<>()#!|~&$^=:]")

# What becomes a link with no mark of Markdown, on GitHub and in programs that show its mails: `www.` and bare domains,
# addresses, mentions and mail, issues as `#1` and `GH-1`. An entity would be taken for the same once it is decoded.
_LINKS_ITSELF = re.compile(
    r"(?<=\bwww)\.|(?<=[\w-])\.(?=[^\W\d_]{2})|:(?=//)|@|#(?=\d)|(?<=\bgh)-(?=\d)", re.IGNORECASE
)
_LOOK_ALIKES = {".": "․", ":": "：", "@": "＠", "#": "＃", "-": "‑"}
_ROOM_FOR_NOTE = 200


def neutral(text: str, most: int = MOST_NAME_CHARACTERS) -> str:
    """Return a text that Markdown shows as it is: on one line, cut, with every active character as an entity.

    A character that would make a live link gets a look-alike: the dot of `www.example.org`, the `@` of a mention.
    """
    line = " ".join(visible(cut(text, most)).split())
    inert = _LINKS_ITSELF.sub(lambda found: _LOOK_ALIKES[found[0]], line)
    return _ACTIVE.sub(lambda found: f"&#{ord(found[0])};", inert)


def verdict_markdown(verdict: Verdict, comparison: Comparison) -> str:
    """Return the job summary of a gate."""
    failing = [benchmark for benchmark in verdict.benchmarks if benchmark.state != "ok"]
    passing = [benchmark for benchmark in verdict.benchmarks if benchmark.state == "ok"]
    lines = [
        f"**{neutral(verdict.sentence)}**",
        "",
        f"Candidate {neutral(verdict.candidate.label)} against baseline {neutral(verdict.baseline.label)}.",
        f"Exit code {int(verdict.exit_code)}.",
    ]
    lines += (
        ["", *(f"- not a verdict: {neutral(reason, 400)}" for reason in verdict.reasons)] if verdict.reasons else []
    )
    lines += ["", *_verdict_table(failing)] if failing else []
    lines += [f"- {neutral(item.task)}: {neutral(sentence_of(item), 600)}" for item in failing]
    lines += _details(f"{len(passing)} within tolerance", _verdict_table(passing)) if passing else []
    lines += ["", *(f"- {neutral(note, 400)}" for note in verdict.notes)] if verdict.notes else []
    lines += _details("Every category", _rows_table(_category_rows(comparison.pairs[0])))
    return _capped([*lines, "", _method(verdict.seed, verdict.draws)])


def comparison_markdown(comparison: Comparison) -> str:
    """Return the summary of a comparison, one section a pair of sides."""
    lines: list[str] = []
    for pair in comparison.pairs:
        lines += [*_pair_lines(comparison, pair), ""]
    gains = [f"- {neutral(line, 400)}" for line in gain_lines(comparison)]
    lines += [*gains, ""] if gains else []
    return _capped([*lines, _method(comparison.seed, comparison.draws)])


def parity_markdown(parity: RunParity) -> str:
    """Return a run's scores under several protocols: scores, agreement, ids that were scored differently, reasons."""
    versions = parity.versions
    names = ", ".join(versions.values())
    lines = [f"**{neutral(parity.run)}: the same texts under {neutral(names, 200)}**", ""]
    lines += [f"- left out: {neutral(name)}: {neutral(reason, 400)}" for name, reason in parity.left_out.items()]
    scores = [row for task in parity.tasks for row in score_rows(task)]
    lines += [f"- {neutral(line, 400)}" for task in parity.tasks for line in reason_lines(task)]
    agreements = [row for task in parity.tasks for row in agreement_rows(task)]
    for headings, rows in ((SCORE_HEADINGS, scores), (AGREEMENT_HEADINGS, agreements)):
        lines += ["", *_table(headings, [[neutral(cell, 200) for cell in row] for row in rows])] if rows else []
    lines.append("")
    for task in parity.tasks:
        ids = ", ".join(neutral(sample.id) for sample in task.shown)
        lines.append(f"- {neutral(disagreement_sentence(task), 400)}{f': {ids}' if ids else ''}")
    reasons = [
        f"- {neutral(task.task)}: {neutral(line, 600)}"
        for task in parity.tasks
        if task.disagreeing
        for line in difference_lines(task, versions)
    ]
    return _capped([*lines, *(_details("Why they part", reasons) if reasons else [])])


def _pair_lines(comparison: Comparison, pair: Pair) -> list[str]:
    a, b = comparison.sides[pair.a].label, comparison.sides[pair.b].label
    headlines = [benchmark.headline for benchmark in pair.benchmarks]
    others = [row for benchmark in pair.benchmarks for row in benchmark.metrics]
    bars = verdict_bars(comparison.sides[pair.a], comparison.sides[pair.b], pair)
    said = "no verdict" if bars else _pair_sentence(pair)
    lines = [f"**{neutral(b)} against {neutral(a)}: {neutral(said)}**", ""]
    lines += [f"- no verdict: {neutral(reason, 400)}" for reason in bars]
    reasons = dict.fromkeys(
        [*pair.comparability.reasons, *(r for item in pair.benchmarks for r in item.comparability.reasons)]
    )
    lines += [f"- not comparable: {neutral(reason, 400)}" for reason in reasons]
    lines += [f"- {neutral(note, 400)}" for note in pair.comparability.notes]
    for benchmark in pair.benchmarks:
        lines += [f"- {neutral(benchmark.task)}: {neutral(note, 400)}" for note in benchmark.comparability.notes]
    lines += ["", *_rows_table(headlines)]
    lines += _details("Further metrics", _rows_table(others)) if others else []
    looked = [[neutral(cell, 200) for cell in looked_cells(row)] for row in pair.looked]
    told = [*_table(LOOKED_HEADINGS, looked), "", f"{LOOKED_CAUTION}."]
    lines += _details("Where did they look, and did it matter?", told) if looked else []
    categories = _category_rows(pair)
    return lines + (_details("Categories", _rows_table(categories)) if categories else [])


def _pair_sentence(pair: Pair) -> str:
    """Return how many benchmarks changed beyond chance (Holm, 5 %)."""
    rows = [benchmark.headline for benchmark in pair.benchmarks]
    told = [row for row in rows if row.difference is not None and row.holm_p is not None and row.holm_p < 0.05]
    better = sum(row.difference is not None and row.difference.delta > 0 for row in told)
    compared = sum(row.difference is not None for row in rows)
    if not compared:
        return "nothing could be compared"
    return f"{better} better, {len(told) - better} worse, {compared - len(told)} undecided of {compared} benchmarks"


def _category_rows(pair: Pair) -> list[ScoreRow]:
    return [row for benchmark in pair.benchmarks for row in (*benchmark.categories, *benchmark.l2_categories)]


def _verdict_table(benchmarks: Sequence[BenchmarkVerdict]) -> list[str]:
    return _table(VERDICT_HEADINGS, [verdict_cells(benchmark, neutral) for benchmark in benchmarks])


def _rows_table(rows: Sequence[ScoreRow]) -> list[str]:
    head = [
        "task",
        "category",
        "metric",
        "A",
        "B",
        "change [95 %]",
        "p",
        "Holm",
        "q",
        "n",
        "MDE",
        "flips",
        "faulty A",
        "faulty B",
    ]
    return _table(head, [_row_cells(row) for row in rows])


def _row_cells(row: ScoreRow) -> list[str]:
    found = row.difference
    return [
        neutral(row.task),
        neutral(row.category or ""),
        neutral(row.metric),
        score_text(row, row.a),
        score_text(row, row.b),
        change_text(row),
        p_text(None if found is None else found.p),
        p_text(row.holm_p),
        p_text(row.q),
        count(row.a.n),
        mde_text(row),
        flips_text(row),
        percent(row.a_faults.parse, row.a_faults.rows),
        percent(row.b_faults.parse, row.b_faults.rows),
    ]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [_line(head), _line(["---"] * len(head)), *(_line(row) for row in rows)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _details(summary: str, lines: Sequence[str]) -> list[str]:
    return ["", "<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"]


def _method(seed: int, draws: int) -> str:
    return (
        "Paired on shared samples; 95 % intervals by bootstrap and jackknife of clusters, p by flipping the sign of "
        f"whole clusters ({draws:,} draws, seed {seed}). MDE: least true change found with a power of 80 %."
    )


def _capped(lines: Sequence[str]) -> str:
    """Return the lines as text of at most `MOST_BYTES` bytes, whole lines only, with open blocks closed."""
    kept: list[str] = []
    size = opened = 0
    for place, line in enumerate(lines):
        size += len(line.encode()) + 1
        if size > MOST_BYTES - _ROOM_FOR_NOTE:
            closing = ["", "</details>"] * opened
            return (
                "\n".join([*kept, *closing, "", f"{len(lines) - place:,} more lines: see the page or --json."]) + "\n"
            )
        opened += (line == "<details>") - (line == "</details>")
        kept.append(line)
    return "\n".join(kept) + "\n"
