"""Tell where a run's probes and attention say what their own lines do not give.

`probes.json` and `attention.json` are made of the lines beside them and of the run's records; lines of probes are made
of the texts that they hold. Checksums say nothing of that where somebody made them anew.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, cast

import msgspec

from harness.comparison.same_numbers import differences
from harness.probes.attention_records import ATTENTION_NAME, ATTENTION_SCORES_NAME, AttentionRecord
from harness.probes.attention_summary import attention_scores, summarise_attention
from harness.probes.before_asking import (
    BeforeAsking,
    Key,
    Paste,
    PastedInto,
    PasteFor,
    before_asking,
    drawn,
)
from harness.probes.probe_records import PROBE_SCORES_NAME, PROBES_NAME, ProbeRecord
from harness.probes.probe_summary import StoredProbes, probe_scores, summarise_probes
from harness.probes.probed_sample import ProbedSample, probed_sample
from harness.probes.probed_text import ProbedQuestion, probe_record
from harness.probes.sample_scores import PasteStatus
from harness.probes.stored import stored_attention, stored_attention_scores, stored_edits, stored_probes
from harness.probes.variants import Variant
from harness.runs.manifest import config_of
from harness.runs.store import StoredRun
from harness.scoring.score import SCORER_VERSION
from harness.values import Generation, Json, Record, Sample, ScoreConfig

_MOST_NAMED: Final = 4
"""Numbers of one file that are named; how many more there are is told."""
_COMPARED: Final = ("tasks", "samples", "pasted", "stepped", "samples_of_run", "least_dependence", "relies_above")
"""Of a file what follows from the lines; the rest is how they were made."""

_NOTHING_PASTED: Final = ("not_about_region", "nothing_other", "no_box", "no_room")
"""What a benchmark says of a sample into whose region nothing is pasted."""


def looked_contradictions(run: StoredRun) -> Iterator[str]:
    """Yield what a finished run's probes and attention say against its records, one sentence each.

    Attention cannot be read again without the model, nor can probabilities: those numbers of the lines are believed.
    Probes of another scorer version are not recounted, as their texts may be read by other rules.

    Raises:
        UserError: A file cannot be used.
    """
    records = list(run.records())
    keys = [(record.sample.task, record.sample.id) for record in records]
    yield from _attention(run, records, keys)
    if run.manifest.scorer_version == SCORER_VERSION:
        yield from _probes(run, records, keys)


def _attention(run: StoredRun, records: Sequence[Record], keys: Sequence[Key]) -> Iterator[str]:
    lines = stored_attention(run)
    if stored_attention_scores(run) is None or lines is None:
        return
    told = _object(run, ATTENTION_SCORES_NAME)
    limit, seed = _whole(told.get("limit")), _whole(told.get("seed")) or 0
    yield from _other_samples(ATTENTION_NAME, [(line.task, line.id) for line in lines], keys, limit, seed)
    yield from _other_boxes(lines, records)
    summary = summarise_attention(records, lines, seed=seed)
    own = attention_scores(summary, seed=seed, limit=limit, samples=len(records))
    yield from _told(ATTENTION_SCORES_NAME, told, own)


def _other_boxes(lines: Sequence[AttentionRecord], records: Sequence[Record]) -> Iterator[str]:
    """Yield the samples that have boxes, or none, against what their lines say."""
    with_boxes = {
        (record.sample.task, record.sample.id): bool(record.score.boxes_image_px)
        for record in records
        if not record.repeat
    }
    wrong = [
        line for line in lines if line.status in ("ok", "no_boxes") and with_boxes.get((line.task, line.id)) is not (
            line.status == "ok"
        )
    ]  # fmt: skip
    if wrong:
        yield (
            f"{ATTENTION_NAME} has {len(wrong)} samples whose status is not that of their boxes, such as "
            f"{wrong[0].task} {wrong[0].id}: {wrong[0].status}"
        )


def _probes(run: StoredRun, records: Sequence[Record], keys: Sequence[Key]) -> Iterator[str]:
    probes, lines = stored_probes(run), stored_edits(run)
    if probes is None or lines is None:
        return
    told = _object(run, PROBE_SCORES_NAME)
    by_key: dict[Key, list[ProbeRecord]] = {}
    for line in lines:
        by_key.setdefault((line.task, line.id), []).append(line)
    config = config_of(run.manifest)
    chosen = [records[place] for place in drawn(keys, _whole(told.get("limit")), probes.plan.seed)]
    paste_for = _pasted_as_told(probes, by_key)
    before = [before_asking(record, config, probes.plan, paste_for=paste_for) for record in chosen]
    asked = [(record.sample.task, record.sample.id) for record in chosen]
    if added := by_key.keys() - set(asked):
        yield f"{PROBES_NAME} has edits of {len(added)} samples that were not drawn, such as {' '.join(min(added))}"
    yield from _other_edits(dict(zip(asked, before, strict=True)), by_key)
    yield from _other_texts(dict(zip(asked, before, strict=True)), by_key, config)
    samples = [
        probed_sample(record, one, by_key.get(key, ()))
        for record, one, key in zip(chosen, before, asked, strict=True)
    ]  # fmt: skip
    yield from _told(PROBE_SCORES_NAME, told, _own_scores(samples, probes, len(records)))


def _pasted_as_told(probes: StoredProbes, lines: Mapping[Key, Sequence[ProbeRecord]]) -> PasteFor:
    """Return what says of a sample what was pasted: its lines, else its status. The benchmark alone knows better."""
    statuses = {(score.task, score.id): score.status for score in probes.pasted}

    def told(sample: Sample, into: PastedInto) -> Paste | PasteStatus:
        del into
        key = (sample.task, sample.id)
        if line := next((line for line in lines.get(key, ()) if line.operation == "paste"), None):
            return Paste(line.source_px, line.expected)
        status = statuses.get(key)
        return status if status is not None and status in _NOTHING_PASTED else Paste(())

    return told


def _own_scores(samples: Sequence[ProbedSample], probes: StoredProbes, of_run: int) -> dict[str, Json]:
    summary = summarise_probes(samples, probes.plan)
    return probe_scores(summary, samples, probes.plan, told={"samples_of_run": of_run})


def _other_edits(before: Mapping[Key, BeforeAsking], lines: Mapping[Key, Sequence[ProbeRecord]]) -> Iterator[str]:
    """Yield the samples that were not asked about the pictures that the plan asks for.

    Other objects are known to the benchmark alone: of those nothing is said.
    """
    wrong: list[Key] = []
    for key, one in before.items():
        meant = {variant for variant in one.variants if variant.target != "other"}
        found = {_variant(line) for line in lines.get(key, ()) if line.target != "other"}
        if meant != found:
            wrong.append(key)
    if wrong:
        yield (
            f"{PROBES_NAME} has {len(wrong)} samples with other edits than the plan asks for, such as "
            f"{' '.join(wrong[0])}"
        )


def _other_texts(
    before: Mapping[Key, BeforeAsking], lines: Mapping[Key, Sequence[ProbeRecord]], config: ScoreConfig
) -> Iterator[str]:
    """Yield how many lines say something else than their texts."""
    wrong = [
        line
        for key, one in before.items()
        if one.question is not None
        for line in lines.get(key, ())
        if not _is_of_text(line, one.question, config)
    ]
    if wrong:
        first = wrong[0]
        yield (
            f"{PROBES_NAME} has {len(wrong)} lines that are not what their texts give, such as {first.task} "
            f"{first.id}, {first.operation} of {first.target}"
        )


def _is_of_text(line: ProbeRecord, question: ProbedQuestion, config: ScoreConfig) -> bool:
    own = probe_record(question, _variant(line), Generation(line.text, error=line.error), config, line.p_original)
    told, made = (cast("Json", msgspec.json.decode(msgspec.json.encode(one))) for one in (line, own))
    return next(differences(told, made, "line"), None) is None


def _variant(line: ProbeRecord) -> Variant:
    return Variant(line.operation, line.target, line.k, line.fill, line.boxes_px, line.source_px, line.step)


def _other_samples(name: str, found: Sequence[Key], keys: Sequence[Key], limit: int | None, seed: int) -> Iterator[str]:
    meant = [keys[place] for place in drawn(keys, limit, seed)]
    if list(found) != meant:
        yield f"{name} has lines of {len(found)} samples, and {len(meant)} are drawn of the run: they are not the same"


def _told(name: str, told: Mapping[str, Json], own: Mapping[str, Json]) -> Iterator[str]:
    """Yield the first places where a file differs from what its lines give, and how many more there are."""
    given = cast("dict[str, Json]", msgspec.json.decode(msgspec.json.encode(own)))  # lists, as the file has them
    compared = [
        text
        for field in _COMPARED
        if field in told and field in given
        for text in differences(told[field], given[field], field)
    ]
    yield from (f"{name}: {text}" for text in islice(compared, _MOST_NAMED))
    if len(compared) > _MOST_NAMED:
        yield f"{name}: {len(compared) - _MOST_NAMED} more numbers are not those that its lines give"


def _object(run: StoredRun, name: str) -> dict[str, Json]:
    """Return a file that was read as what it is before, as it is written."""
    with run.files.open(name) as file:
        return cast("dict[str, Json]", msgspec.json.decode(file.read()))


def _whole(value: Json) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
