"""Tell everything that is wrong with a run folder: what was changed, what is no plain file, and what contradicts what.

Checksums tell what was changed after publication. They say nothing where somebody made them anew: then the journal, the
table made of it and the scores made of both must still say the same.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

import numpy as np

from harness.comparison.columns import read_run_table
from harness.comparison.same_numbers import INTERVAL_SLACK, SAME
from harness.comparison.sample_texts import SHOWN_COLUMNS
from harness.comparison.verify_looked import looked_contradictions
from harness.errors import UserError
from harness.evaluation.predictions import rescore_record
from harness.files import SUMS_NAME, DamagedRunError, RunFiles, kind_of, read_sums
from harness.runs.journal import LOCK_NAME, StoreError, index_journal
from harness.runs.manifest import ManifestError, config_of, read_manifest
from harness.runs.native_metrics import native_metrics_of
from harness.runs.record_codec import CorruptRecordError, record_to_json
from harness.runs.record_table import SCORE_COLUMNS, TableError, first_difference, read_rows, utf8_text
from harness.runs.store import (
    JOURNAL_NAME,
    MANIFEST_NAME,
    PARQUET_NAME,
    PARTIAL_SUFFIX,
    SCORES_NAME,
    StoredRun,
    file_names,
    file_sha256,
    is_published,
    load_run,
    not_entered,
    rescored_name,
)
from harness.scoring.box_dialects import optional_words
from harness.scoring.formats import format_name
from harness.scoring.score import SCORER_VERSION
from harness.summary.means import Metric
from harness.summary.native import native_columns
from harness.summary.run_summary import RunSummary, summarise_records
from harness.values import NATIVE, Json, Protocol, Record

_Key = tuple[str, str, int]


def verify_run(path: Path) -> list[str]:
    """Return everything that is wrong with a run folder, one sentence each; an empty list for a sound run.

    Checked: manifest and schema, name against status, links and special files, every line of the journal. In a
    finished run also the checksums, missing and extra files, that the table says what the journal says, row by row,
    that no value is out of its range, that scores of this scorer version are those of their texts, and that the
    numbers of `scores.json`, later ones too, are those of the records, and those of `probes.json` and `attention.json`
    those of their lines. In an unfinished run a torn last line is no
    fault: it is cut off when the run is resumed. Nor is, in a finished one, what a killed writer left of later scores
    or a page: it is no part of the run. Nothing that is no plain file is opened.
    """
    if not path.is_dir():
        return [f"{path} is not a folder"]
    problems = [*_verify_manifest(path), *_verify_kinds(path)]
    published = not path.name.endswith(PARTIAL_SUFFIX)
    keys, journal_problems = _verify_journal(path, finished=published)
    problems += journal_problems
    if not published:
        return problems
    problems += _verify_sums(path)
    table_problems = _verify_keys(path, keys)
    problems += table_problems
    problems += [] if keys is None else _verify_declared(path, keys)
    readable = keys is not None and not table_problems and not journal_problems
    later = _contradictions(path) if readable else _said(lambda: load_run(path))
    return problems + [text for text in later if not _told(text, problems)]


def _verify_manifest(path: Path) -> list[str]:
    try:
        manifest = read_manifest(path / MANIFEST_NAME)
    except (ManifestError, DamagedRunError) as error:
        return [str(error)]
    if path.name.endswith(PARTIAL_SUFFIX) or is_published(path, manifest):
        return []
    return [f"its status is {manifest.status!r}, though its name is a finished run's"]


def _verify_kinds(path: Path) -> list[str]:
    names = [*file_names(path), *(name for name in (SUMS_NAME, LOCK_NAME) if os.path.lexists(path / name))]
    kinds = {name: kind for name in names if (kind := kind_of(path / name)) is not None}
    return [f"{name!r} is {kind}, and a run holds plain files only" for name, kind in kinds.items()]


def _verify_journal(path: Path, *, finished: bool) -> tuple[set[_Key] | None, list[str]]:
    try:
        index = index_journal(path / JOURNAL_NAME, check_records=True)
    except (CorruptRecordError, StoreError, DamagedRunError) as error:
        return None, [str(error)]
    torn = f"{JOURNAL_NAME} ends in {index.torn_bytes} bytes that are not a whole line"
    keys = {(utf8_text(task), utf8_text(sample_id), repeat) for task, sample_id, repeat in index.offsets}
    return keys, [torn] if finished and index.torn_bytes else []


def _verify_sums(path: Path) -> list[str]:
    sums, problems = read_sums(path)
    found = set(file_names(path))
    for name, wanted in sums.items():
        if name not in found:
            problems.append(f"{name!r} is missing")
            continue
        try:
            actual = file_sha256(path, name)
        except OSError as error:
            problems.append(f"{name!r} cannot be read: {error.strerror or error}")
        except DamagedRunError:
            continue  # no plain file: told already
        else:
            if actual != wanted:
                problems.append(f"{name!r} was changed: its checksum is {actual[:12]}..., not {wanted[:12]}...")
    if sums:
        added = found - set(sums) - not_entered(path, sums)
        problems += [f"{name!r} is not in {SUMS_NAME}: it was added later" for name in sorted(added)]
    return problems


def _verify_keys(path: Path, journal_keys: set[_Key] | None) -> list[str]:
    keys: list[_Key] = []
    try:
        with RunFiles(path, None).open(PARQUET_NAME) as file:
            rows = read_rows(file, ["task", "id", "repeat"])
            keys += [(row["task"], row["id"], row["repeat"]) for row in rows]
    except (OSError, TableError, DamagedRunError) as error:
        return [f"{PARQUET_NAME} cannot be read: {error}"]
    unique = set(keys)
    problems: list[str] = []
    if len(unique) != len(keys):
        problems.append(f"{PARQUET_NAME} has {len(keys) - len(unique)} rows whose key is there already")
    if journal_keys is not None and unique != journal_keys:
        problems.append(
            f"{JOURNAL_NAME} has {len(journal_keys)} samples and {PARQUET_NAME} {len(unique)}: "
            f"{len(journal_keys - unique)} only in the first, {len(unique - journal_keys)} only in the second"
        )
    return problems


def _verify_declared(path: Path, keys: set[_Key]) -> list[str]:
    """Return the tasks of which there are not as many records as the manifest says were asked.

    Fewer are no unfinished run: a published one has a record of every sample, also of those that could not be asked.
    """
    try:
        declared = {name: task.samples for name, task in read_manifest(path / MANIFEST_NAME).tasks.items()}
    except (ManifestError, DamagedRunError):
        return []  # told already
    lines = Counter(task for task, _, _ in keys)
    found = Counter(task for task, _ in {(task, sample_id) for task, sample_id, _ in keys})
    return [
        f"{MANIFEST_NAME}: {name} has {declared.get(name, 0)} samples, and {JOURNAL_NAME} {found[name]}"
        for name in sorted(declared.keys() | found)
        if declared.get(name, 0) not in {found[name], lines[name]}  # a predictions file counts its repeated rows
    ]


def _contradictions(path: Path) -> Iterator[str]:
    """Yield what the files of a finished run say against each other."""
    found: list[StoredRun] = []
    yield from _said(lambda: found.append(load_run(path)))
    if not found or not found[0].finished:
        return
    run = found[0]
    yield from _said(lambda: read_run_table(run))
    yield from _verify_table(run)
    yield from _verify_texts(run)
    yield from _verify_scores(run, None, run.scores or {}, SCORES_NAME)
    for protocol, scores in run.rescored.items():
        yield from _said(lambda protocol=protocol: read_run_table(run, protocol))
        yield from _verify_scores(run, protocol, scores, rescored_name("scores", protocol, "json"))
    found_beside: list[str] = []
    yield from _said(lambda: found_beside.extend(looked_contradictions(run)))
    yield from found_beside


def _verify_table(run: StoredRun) -> Iterator[str]:
    """Yield how the table differs from the journal."""
    try:
        with run.files.open(PARQUET_NAME) as file:
            difference = first_difference(file, run.records(), ("repeat", *SHOWN_COLUMNS))
    except (OSError, TableError, UserError) as error:
        yield f"{PARQUET_NAME} cannot be read: {error}"
        return
    if difference:
        yield f"{PARQUET_NAME} does not say what {JOURNAL_NAME} says: {difference}"


def _verify_texts(run: StoredRun) -> Iterator[str]:
    """Yield how many scores are not what their texts earn; scores of another version or program cannot be made here."""
    if run.manifest.protocol == NATIVE:
        found: list[str] = []
        yield from _said(lambda: found.extend(_verify_native(run)))
        yield from found
    if run.manifest.protocol == NATIVE or run.manifest.scorer_version != SCORER_VERSION:
        return
    config = config_of(run.manifest)
    differing = [
        (record.key, earned)
        for record in run.records()
        if (earned := _score_row(rescore_record(record, config))) != _score_row(record)
    ]
    if differing:
        (task, sample_id, _), earned = differing[0]
        yield (
            f"{JOURNAL_NAME} has {len(differing)} samples whose scores are not those of their texts by scorer version "
            f"{SCORER_VERSION}, such as {task} {sample_id}, whose text earns {earned['score']}"
        )


def _verify_native(run: StoredRun) -> Iterator[str]:
    """Yield lmms-eval's means that are not those of the run's records; of its other aggregates nobody can tell."""
    table = read_run_table(run)
    for task, metrics in native_metrics_of(run.manifest).items():
        places = np.array([place for place, name in enumerate(table.tasks) if name == task], dtype=np.int64)
        given = {key: column[places] for key, column in table.native.items()}
        for key, column in native_columns(given, metrics, len(places)).items():
            if column.metric.is_mean and column.metric.value is not None and not column.fits:
                known = column.values[np.isfinite(column.values)]
                mean = f"{known.mean():.6g} of {len(known)}" if len(known) else "none"
                yield (
                    f"{MANIFEST_NAME} has {column.metric.value:.6g} of {column.metric.n} as lmms-eval's mean {key} of "
                    f"{task}, and the records' is {mean}"
                )


def _score_row(record: Record) -> dict[str, Json]:
    """Return what scoring made of a record; numbers to twelve decimals, as another machine's last digits may differ."""
    row = record_to_json(record)
    return {name: _rounded(row[name]) for name in SCORE_COLUMNS}


def _rounded(value: Json) -> Json:
    """Return a value with the floats in it rounded."""
    if isinstance(value, float):
        return round(value, 12)
    if isinstance(value, dict):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list) else value


def _said(check: Callable[[], object]) -> list[str]:
    try:
        check()
    except UserError as error:
        return [str(error)]
    return []


def _told(text: str, problems: list[str]) -> bool:
    """Tell whether a file that a text is about has been named as changed or damaged."""
    return text in problems or any(
        name in text and any(name in problem for problem in problems)
        for name in (MANIFEST_NAME, JOURNAL_NAME, PARQUET_NAME, SCORES_NAME, SUMS_NAME)
    )


def _verify_scores(run: StoredRun, protocol: Protocol | None, scores: Mapping[str, Json], name: str) -> Iterator[str]:
    """Yield what a `scores.json` says that its records do not."""
    config = config_of(run.manifest, protocol)
    try:
        native = native_metrics_of(run.manifest)
        summary = summarise_records(run.records(protocol), config, seed=run.manifest.seed, native=native)
    except UserError as error:
        yield str(error)
        return
    meant: dict[str, Json] = {"protocol": protocol or run.manifest.protocol, "format": format_name(run.manifest.format)}
    if protocol is None:
        words = optional_words(run.manifest.box_dialect)
        meant |= {"box_frame": words, "box_dialect": words}  # of which runs of before have the first
        meant |= {"scorer_version": run.manifest.scorer_version}
        meant |= {"protocol_version": run.manifest.scored_by}
    for field, value in meant.items():
        if field in scores and scores[field] != value:
            yield f"{name} has {field} {scores[field]}, and {MANIFEST_NAME} {value}"
    # scores of another version keep its intervals, which may be of another method
    same_version = scores.get("scorer_version") == SCORER_VERSION
    yield from false_scores(scores, summary, name, same_version=same_version)


def false_scores(
    scores: Mapping[str, Json], summary: RunSummary, name: str = SCORES_NAME, *, same_version: bool = True
) -> Iterator[str]:
    """Yield what a `scores.json` says that the records do not give, one sentence each.

    Args:
        scores: The stored object, checked by `read_scores`.
        summary: What the records give.
        name: What the file is called.
        same_version: Whether intervals, counts within metrics and metrics that are not stored count too: another
            version may have had other rules for them.
    """
    tasks = cast("dict[str, dict[str, Json]]", scores.get("tasks") or {})
    for task in summary.tasks.keys() - tasks.keys() if "tasks" in scores else ():
        yield f"{name} has no scores of {task!r}, of which there are records"
    for task, fields in tasks.items():
        own = summary.tasks.get(task)
        if own is None:
            yield f"{name} has scores of {task!r}, of which there is no record"
            continue
        counts = {
            "headline": own.headline,
            "n": own.n,
            "rows": own.rows,
            "clusters": own.clusters,
            "parse_fault_rows": own.parse_fault_rows,
            "truncated_rows": own.truncated_rows,
            "unscored": dict(own.unscored),
            "faults": dict(own.faults),
        }
        for field, count in counts.items():
            if field in fields and fields[field] != count:
                yield f"{name}: {task} has {field} {fields[field]}, its records give {count}"
        groups = {"metrics": own.metrics, "categories": own.categories, "l2_categories": own.l2_categories}
        later = {"boxes": own.boxes, "stages": own.stages}  # runs of before have none
        groups |= {group: metrics for group, metrics in later.items() if group in fields}
        for group, metrics in groups.items():
            told = cast("dict[str, dict[str, float | None]]", fields.get(group) or {})
            for false in _false_metrics(told, metrics, same_version=same_version):
                yield f"{name}: {task} {false}"
        for what, told_of in cast("dict[str, dict[str, Json]]", fields.get("baselines") or {}).items():
            found = own.baselines.get(what)
            if same_version and found is not None and _differs(told_of.get("value"), found.value):
                yield f"{name}: {task} has {what} {told_of.get('value')}, its records give {found.value}"


def _false_metrics(
    told: Mapping[str, Mapping[str, float | None]], own: Mapping[str, Metric], *, same_version: bool
) -> Iterator[str]:
    """Yield what stored metrics say that the records do not give."""
    for name in told:
        if name not in own:
            yield f"has {name}, which its records do not give"
        elif difference := _metric_difference(told[name], own[name], same_version=same_version):
            yield f"has {name} {difference}"
    for name in own if same_version else ():
        if name not in told:
            yield f"lacks {name}, which its records give"


def _differs(told: Json, own: float | None) -> bool:
    if not isinstance(told, int | float) or own is None:
        return told is not None or own is not None
    return abs(told - own) > SAME * max(1.0, own)


def _metric_difference(stored: Mapping[str, float | None], own: Metric, *, same_version: bool) -> str | None:
    """Return how a stored metric differs from that of the records, in words; None where it does not."""
    value = stored.get("value")
    if (value is None) != (own.value is None):
        return f"{value}, its records give {own.value}"
    if value is None or own.value is None:
        return None
    if abs(value - own.value) > SAME * max(1.0, own.value):
        return f"{value:.6g}, its records give {own.value:.6g}"
    if same_version and stored.get("n", own.n) != own.n:
        return f"with n {stored['n']}, its records give {own.n}"
    ends = ((stored.get("ci_low"), own.ci_low), (stored.get("ci_high"), own.ci_high))
    width = (own.ci_high or 0.0) - (own.ci_low or 0.0)
    if same_version and any(
        (a is None) != (b is None) or abs((a or 0.0) - (b or 0.0)) > INTERVAL_SLACK * width + SAME for a, b in ends
    ):
        return f"with the interval [{ends[0][0]}, {ends[1][0]}], its records give [{own.ci_low}, {own.ci_high}]"
    return None
