"""Writes docs/benchmarks.md from the facts of the benchmarks, what their files say of them, and the groups.

python tests/benchmarks_page.py
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import fields
from importlib import import_module
from pathlib import Path

from harness.models.peer_names import OTHERS
from harness.task_facts import FACTS, AnswerMetric, TaskFacts, facts_of
from reports.texts.glossary import METRICS_EXPLAINED
from tasks.benchmark import Benchmark
from tasks.catalog import BENCHMARKS, GROUP_NOTES, GROUPS

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

_HEAD = """# Benchmarks

What is asked, where its rows come from, and what is made of the answers. The page is written by
`python tests/benchmarks_page.py` from the facts in the code (`harness/task_facts.py`), what each benchmark's file in
`tasks/` says, and the groups. `satori-bench tasks show NAME` prints the same of one, `satori-bench tasks verify NAME`
holds local data against it.

- **Data**: with `--data-dir DIR` the files of `DIR/NAME/*.parquet` (the hub's columns), `DIR/NAME.parquet`,
  `DIR/NAME.tsv`, then the files that are named here; without it the hub is asked. `--dataset NAME=PATH[@REVISION]`
  takes others.
- **Rows**: of the whole split, as its authors count them. Another number is told by `tasks verify`, not refused.
- **Answer rule**: see [Answer rules](scores.md#answer-rules). Peers read answers to some benchmarks by rules of their
  own: see [below](#how-peers-read-answers).
- **Numbers**: the headline first; where a protocol makes others of the same answers, they stand behind it. All have
  intervals over the clusters.

"""

_UNITS = {
    "sample": "rows",
    "question": "questions, each right if all of its passes that are there are",
    "image_of_two": "pictures with two questions",
    "image_of_more": "pictures with two questions or more",
    "figure": "figures, each right if all of its questions are",
    "question_of_set": "questions, each right if it is on all figures of its set",
    "sample_in_category": "rows, once for each of their categories",
}

_PARTS = {
    "these_alone": "{} subtasks, all of which are needed and no other".format,
    "these": "{} subtasks, all of which are needed".format,
    "these_if_there": "those of {} subtasks that are there".format,
    "all_others": "all other subtasks".format,
}
_PEERS = (
    "harness.scoring.answers.vlmevalkit",
    "harness.scoring.answers.lmms_eval_rules",
    "harness.scoring.answers.document_answers_peers",
    "harness.scoring.answers.mmmu_peers",
    "harness.scoring.answers.maths_peers",
    "harness.scoring.answers.short_peers",
    "harness.scoring.answers.perception_letters",
    "harness.scoring.places_peers",
)
_TOKENS = next(field.default for field in fields(Benchmark) if field.name == "max_new_tokens")


def page() -> str:
    """Return the page."""
    parts = [_HEAD, *_groups(), *_overview()]
    for file, names in _by_file().items():
        parts += _section(file, names)
    return re.sub(r"\n{3,}", "\n\n", "".join([*parts, *_peers(), *_not_here()]))


def _by_file() -> dict[str, list[str]]:
    """Return the names of the benchmarks that each file of `tasks/` knows, in the order of the facts."""
    found: dict[str, list[str]] = {}
    for name in BENCHMARKS:
        found.setdefault(FACTS[name].file or name, []).append(name)
    return found


def _groups() -> Iterable[str]:
    yield "## Groups\n\n`--tasks` takes them like names, by commas.\n\n| group | for | holds |\n|---|---|---|\n"
    for group, members in GROUPS.items():
        held = "all of them" if group == "all" else ", ".join(f"`{name}`" for name in members)
        yield f"| `{group}` | {GROUP_NOTES.get(group, '')} | {held} |\n"


def _overview() -> Iterable[str]:
    yield "\n## All\n\n| task | benchmark | rows | answer rule | headline |\n|---|---|---|---|---|\n"
    for name, item in BENCHMARKS.items():
        anchor = _anchor(_heading(FACTS[name].file or name, _by_file()[FACTS[name].file or name]))
        yield (
            f"| [`{name}`](#{anchor}) | {_plain(item.title)} | {_number(item.rows_expected)} | "
            f"`{item.answer_rule}` | `{item.headline}` |\n"
        )


def _section(file: str, names: Sequence[str]) -> Iterable[str]:
    """Yield what is known of the benchmarks of one file."""
    about = (import_module(f"tasks.{file}").__doc__ or "").strip()
    yield f"\n## {_heading(file, names)}\n\n{_plain(about)}\n\n"
    yield "| task | from | VLMEvalKit's file | rows | notes |\n|---|---|---|---|---|\n"
    for name in names:
        item = BENCHMARKS[name]
        files = ", ".join(f"`{one}`" for one in item.tsv_files) + (" (both)" if item.tsv_parts else "")
        told = _plain(item.notes)
        yield f"| `{name}` | {_source(item)} | {files} | {_number(item.rows_expected)} | {told} |\n"
    yield "\n"
    for some, facts in _alike(names):
        yield from _facts(some if len(some) < len(names) else [], facts, BENCHMARKS[some[0]])


def _alike(names: Sequence[str]) -> list[tuple[list[str], TaskFacts]]:
    """Return the names that share their facts and groups, with the facts."""
    found: list[tuple[list[str], TaskFacts, tuple[str, ...]]] = []
    for name in names:
        facts, groups = facts_of(name), _all_groups(name)
        same = next((some for some, own, theirs in found if own == facts and theirs == groups), None)
        if same is None:
            found.append(([name], facts, groups))
        else:
            same.append(name)
    return [(some, facts) for some, facts, _ in found]


def _facts(names: Sequence[str], facts: TaskFacts, item: Benchmark) -> Iterable[str]:
    if names:
        yield f"{', '.join(f'`{name}`' for name in names)}:\n\n"
    yield f"- answer rule `{facts.answer_rule}`" + ("; a judge may be asked" if facts.judged else "") + "\n"
    yield f"- {_metrics(facts.metrics)}\n"
    for metrics, protocols in _by_metrics(facts):
        yield f"- under {_listed(protocols)}: {_metrics(metrics)}\n"
    second = _columns(facts.l2_categories) or ("what these are put together to" if facts.groups else "")
    yield f"- categories by {_columns(facts.categories)}" + (f"; second level by {second}" if second else "") + "\n"
    yield f"- clusters: {_cluster(facts, item)}\n"
    if groups := _all_groups(item.name):
        yield f"- groups: {', '.join(f'`{group}`' for group in groups)}\n"
    if facts.submission is not None:
        yield "- no public answers: nothing is scored, `satori-bench submission RUN` writes the official file\n"
    if item.download:
        yield f"- {_plain(item.download)}\n"
    if item.max_new_tokens != _TOKENS:
        yield f"- token budget: {item.max_new_tokens}\n"
    yield f"- licence: {_plain(item.licence)}\n\n"


def _all_groups(name: str) -> tuple[str, ...]:
    return tuple(group for group, members in GROUPS.items() if name in members and group != "all")


def _by_metrics(facts: TaskFacts) -> list[tuple[tuple[AnswerMetric, ...], list[str]]]:
    """Return the other ways to sum up, each with the protocols that have it."""
    found: list[tuple[tuple[AnswerMetric, ...], list[str]]] = []
    for protocol, metrics in facts.metrics_under.items():
        same = next((names for own, names in found if own == metrics), None)
        if same is None:
            found.append((metrics, [protocol]))
        else:
            same.append(protocol)
    return found


def _metrics(metrics: Sequence[AnswerMetric]) -> str:
    return "; ".join(f"`{metric.name}`: {_how(metric)}" for metric in metrics)


def _how(metric: AnswerMetric) -> str:
    """Say how a metric is made, from its facts, else as pages explain it."""
    units = _UNITS.get(metric.unit)
    if metric.earned == "answer_and_place":
        return "share of rows with a right answer and a union IoU of at least 0.5"
    if metric.combine in {"mean_of_l2", "mean_of_categories"}:
        if metric.adds:
            return f"mean of {_listed(metric.adds)}"
        if metric.parts:
            several = len(metric.parts) > 1
            return f"mean {'of the means of' if several else 'over rows of'} {' and '.join(metric.parts)}"
        return f"mean of the means of the {'l2 ' * (metric.combine == 'mean_of_l2')}categories"
    if metric.combine == "sum_of_categories":
        most = f", at most {metric.most}" if metric.most else ""
        if metric.adds:
            return f"sum of {_listed(metric.adds)}{most}"
        return f"sum of the scores of {_PARTS[metric.part_rule](len(metric.parts))}, over {units or 'rows'}{most}"
    if metric.combine == "count":
        return "right answers" + (f" of the full {metric.full_rows:,} alone" if metric.full_rows else " of those there")
    if metric.combine == "mean" and units is not None:
        return f"mean over {units}" + (f" of {' and '.join(metric.parts)}" if metric.parts else "")
    told = re.sub(r"^[\w-]+: ", "", METRICS_EXPLAINED.get(metric.name, "see [Metrics](metrics.md)").rstrip("."))
    return f"{told}, of {metric.of_units} whatever is there" if metric.of_units else told


def _cluster(facts: TaskFacts, item: Benchmark) -> str:
    if facts.cluster != "own":
        return {"question": "the passes of a question", "image": "the questions about a picture"}[facts.cluster]
    cluster_of = item.adapter.cluster_of
    if "cluster_by_image" in cluster_of.__qualname__:
        return "the questions about a picture"
    told = (cluster_of.__doc__ or "").strip().splitlines()
    return told[0].removeprefix("Return ").rstrip(".") if told else "the questions about the same pictures"


def _columns(names: Sequence[str]) -> str:
    return ", else ".join(f"`{name}`" for name in names)


def _source(item: Benchmark) -> str:
    if not item.hub_path:
        return "drawn here" if item.drawn else "files: see below"
    place = ", ".join(f"`{one}`" for one in (item.hub_config, item.hub_files or item.hub_split) if one)
    return f"`{item.hub_path}`, {place}"


def _peers() -> Iterable[str]:
    """Yield what the modules of peers' rules say of themselves: sources, quirks, departures."""
    yield "\n## How peers read answers\n\n"
    yield "Rules of other programs are kept with their faults. What is known of them, from the files that hold them:\n"
    for module in _PEERS:
        about = (import_module(module).__doc__ or "").strip()
        yield f"\n### `{module.replace('.', '/')}.py`\n\n{_plain(about)}\n"


def _not_here() -> Iterable[str]:
    yield "\n## What is not here\n\n| asked for | |\n|---|---|\n"
    told: dict[str, list[str]] = {}
    for name, why in OTHERS.items():
        told.setdefault(why, []).append(f"`{name}`")
    for why, names in told.items():
        yield f"| {', '.join(names)} | {_plain(why)} |\n"


def _heading(file: str, names: Sequence[str]) -> str:
    titles = list(dict.fromkeys(BENCHMARKS[name].title for name in names))
    if len(titles) < 3:
        return _plain(" and ".join(titles))
    told = (import_module(f"tasks.{file}").__doc__ or "").strip()
    return _plain(told.partition(":")[0])


def _anchor(heading: str) -> str:
    """Return the name that the site gives a heading."""
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())


def _listed(names: Sequence[str]) -> str:
    quoted = [f"`{name}`" for name in names]
    return " and ".join([", ".join(quoted[:-1]), quoted[-1]] if len(quoted) > 1 else quoted)


def _number(rows: int | None) -> str:
    return f"{rows:,}" if rows else ""


def _plain(text: str) -> str:
    """Return a text in which nothing means Markdown but code."""
    pieces = re.split(r"(`[^`]*`)", text)
    return "".join(
        piece if piece.startswith("`") else re.sub(r"([*_\\])", r"\\\1", piece.replace("<", "&lt;")) for piece in pieces
    ).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
