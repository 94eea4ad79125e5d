"""Look where a run's texts attended: `attend`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from harness.probes.attended import region_attended
from harness.probes.attention_records import (
    ATTENTION_NAME,
    ATTENTION_SCORES_NAME,
    MAP_LEVELS,
    SPANS,
    AttentionRecord,
    AttentionStatus,
    Span,
    SpanAttention,
    as_boxes,
    attention_lines,
)
from harness.probes.attention_summary import AttentionSummary, attention_scores, summarise_attention
from harness.runs.store import add_files, scores_bytes
from harness.scoring.read_text import spans_of_text
from harness.values import Box, Record
from tasks.asked_again import AskedRun, AskedSample, open_asked_run, picked
from tasks.other_objects import other_objects
from tasks.run_spec import RunEnvironment
from tasks.run_subject import load_model

if TYPE_CHECKING:
    from harness.models.attending import AttentionOfText, WrittenText
    from harness.models.hf import SatoriHF

_BATCH = 8
"""Texts of one forward."""


@dataclass(frozen=True, slots=True)
class AttendSpec:
    """What is looked at."""

    folder: Path
    """The finished run."""
    limit: int | None = None
    """Samples that are looked at, drawn by a hash; None: all."""
    seed: int = 0
    """Of that draw, of the boxes that are shuffled, and of intervals."""
    maps: int = 50
    """Samples whose map is kept, of those drawn first."""
    changes: tuple[tuple[str, object], ...] = ()
    """Fields of the run's configuration that are others here: where the model and its data lie, and the device."""


@dataclass(frozen=True, slots=True)
class Attended:
    """What was found."""

    folder: Path
    """The run, which has the files now."""
    summary: dict[str, AttentionSummary]
    """By task."""


@dataclass(frozen=True, slots=True)
class _Readable:
    """A sample whose text can be read."""

    place: int
    """Its place among those looked at."""
    sample: AskedSample
    """The sample."""
    text: WrittenText
    """What is read of it."""
    retokenised: bool
    """Whether its tokens are not those that were drawn."""


def attend_run(spec: AttendSpec, environment: RunEnvironment) -> Attended:
    """Read what a run's texts attended to, and put it beside the run: `attention.jsonl` and `attention.json`.

    Raises:
        UserError: The run cannot be looked at, or its model's attention cannot be read.
    """
    run = open_asked_run(spec.folder, {**dict(spec.changes), "backend": "hf"})
    _check_family(run)
    samples = picked(run.samples, spec.limit, spec.seed)
    environment.say(f"attention of {len(samples)} texts of {len(run.samples)}: one forward each, nothing is generated")
    model = _load(run, environment)
    with_maps = {_key(sample.record) for sample in picked(samples, spec.maps, spec.seed)}
    shuffled = _boxes_of_others(samples, spec.seed)
    others = other_objects([sample.record for sample in run.samples])
    records: list[AttentionRecord | None] = [None] * len(samples)
    readable: list[_Readable] = []
    for place, sample in enumerate(samples):
        status, read = _read(run, sample, place, model)
        if read is None:
            records[place] = AttentionRecord(task=sample.record.sample.task, id=sample.record.sample.id, status=status)
        else:
            readable.append(read)
    for found, attention in _attention(model, readable):
        key = _key(found.sample.record)
        boxes = _Regions(shuffled.get(key, ()), others.get(key, ()), keeps_map=key in with_maps)
        records[found.place] = _record(found, attention, boxes)
    made = [record for record in records if record is not None]
    summary = summarise_attention([sample.record for sample in samples], made, seed=spec.seed)
    scores = attention_scores(summary, seed=spec.seed, limit=spec.limit, samples=len(run.samples))
    add_files(spec.folder, {ATTENTION_NAME: attention_lines(made), ATTENTION_SCORES_NAME: scores_bytes(scores)})
    return Attended(spec.folder, summary)


def _check_family(run: AskedRun) -> None:
    from harness.models.attention_rows import check_watchable  # noqa: PLC0415 - imports torch

    check_watchable(run.subject.model_type)


def _load(run: AskedRun, environment: RunEnvironment) -> SatoriHF:
    from harness.models.hf import SatoriHF  # noqa: PLC0415 - torch takes seconds to import, faults come first

    model = load_model(run.spec, environment, run.subject)
    assert isinstance(model, SatoriHF), "the configuration says so"
    return model


def _key(record: Record) -> tuple[str, str]:
    return (record.sample.task, record.sample.id)


def _read(run: AskedRun, asked: AskedSample, place: int, model: SatoriHF) -> tuple[AttentionStatus, _Readable | None]:
    """Return what is read of a sample, or why nothing is."""
    from harness.models.attending import WrittenText  # noqa: PLC0415 - imports torch
    from harness.models.base import Prompt  # noqa: PLC0415 - the same
    from harness.models.decoding import Decoding  # noqa: PLC0415 - the same
    from harness.models.written_tokens import tokens_of_spans  # noqa: PLC0415 - beside them

    record = asked.record
    sample, generation = record.sample, record.generation
    if sample.pictures:
        return "several_pictures", None
    if sample.image_size is None:
        return "no_picture", None
    if not generation.text:
        return "no_text", None
    if not record.score.boxes_image_px:
        return "no_boxes", None
    ids = generation.output_ids
    retokenised = ids is None
    if ids is None:
        ids = tuple(model.ids_of(generation.text))
    if model.text_of(ids) != generation.text and not model.text_of(ids).startswith(generation.text):
        return "no_tokens", None
    spans = spans_of_text(generation.text, run.spec.form)
    written = [*spans.boxes, spans.caption or (0, 0), spans.answer or (0, 0)]
    tokens = tokens_of_spans(ids, written, model.text_of)
    boxes = sorted({token for span in tokens[:-2] for token in span})
    turns = run.turns(asked)
    prompt = Prompt(sample.task, 0, 0, turns, Decoding(max_new_tokens=1))
    text = WrittenText(prompt, sample.image_size, ids, (boxes, list(tokens[-2]), list(tokens[-1])))
    return "ok", _Readable(place, asked, text, retokenised)


def _attention(model: SatoriHF, readable: Sequence[_Readable]) -> Iterator[tuple[_Readable, AttentionOfText]]:
    """Yield what texts attended to, batches of similar length at a time."""
    from harness.models.attending import attention_of_texts  # noqa: PLC0415 - imports torch

    def cost(found: _Readable) -> tuple[int, int]:
        size = found.text.image_size
        return size.width * size.height, len(found.text.output_ids)

    ordered = sorted(readable, key=cost)
    for batch in (ordered[first : first + _BATCH] for first in range(0, len(ordered), _BATCH)):
        opened = [
            replace(found.text, prompt=replace(found.text.prompt, turns=model.opened(found.text.prompt.turns)))
            for found in batch
        ]
        yield from zip(batch, attention_of_texts(model, opened), strict=True)


@dataclass(frozen=True, slots=True)
class _Regions:
    """What else is compared with."""

    shuffled: tuple[Box, ...]
    """Another sample's boxes, in this picture."""
    others: tuple[Box, ...]
    """Objects that the question does not ask about."""
    keeps_map: bool
    """Whether the map is kept."""


def _record(found: _Readable, attention: AttentionOfText, regions: _Regions) -> AttentionRecord:
    """Return what is kept of one sample."""
    sample, grid = found.sample.record.sample, attention.grid
    spans: dict[Span, SpanAttention] = {}
    for name, cells, tokens in zip(SPANS, attention.spans, found.text.spans, strict=True):
        if cells is None:
            continue
        named = as_boxes(found.sample.record.score.boxes_image_px or ())
        gold = as_boxes(sample.boxes_image_px or ())
        other = [region_attended(cells, grid, (box,)).density for box in regions.others]
        levels = None
        if regions.keeps_map:
            peak = float(cells.max())
            levels = tuple(round(float(cell) / peak * MAP_LEVELS) if peak > 0 else 0 for cell in cells.ravel())
        spans[name] = SpanAttention(
            rows=len(tokens),
            image_mass=float(cells.sum()),
            named=region_attended(cells, grid, named) if named else None,
            gold=region_attended(cells, grid, gold) if gold else None,
            shuffled=region_attended(cells, grid, regions.shuffled).density if regions.shuffled else None,
            other_objects=max((density for density in other if density is not None), default=None),
            cells=levels,
        )
    return AttentionRecord(
        task=sample.task,
        id=sample.id,
        status="ok",
        grid=(grid.rows, grid.columns),
        grid_image_px=grid.area_image_px,
        layers=attention.layers,
        layers_passed_over=attention.layers_passed_over,
        retokenised=found.retokenised,
        spans=spans,
    )


def _boxes_of_others(samples: Sequence[AskedSample], seed: int) -> dict[tuple[str, str], tuple[Box, ...]]:
    """Return for each sample the boxes that another one of its task names, scaled to its own picture.

    Samples of a task are put in the order of a hash, and each takes those of the next one of another cluster.
    """

    def drawn(sample: AskedSample) -> bytes:
        return hashlib.sha256(f"{seed}\0{sample.record.sample.id}".encode(errors="surrogatepass")).digest()

    tasks: dict[str, list[AskedSample]] = {}
    for sample in samples:
        if sample.record.score.boxes_image_px and sample.record.sample.image_size:
            tasks.setdefault(sample.record.sample.task, []).append(sample)
    found: dict[tuple[str, str], tuple[Box, ...]] = {}
    for ordered in (sorted(members, key=drawn) for members in tasks.values()):
        for place, sample in enumerate(ordered):
            own = sample.record.sample.cluster_id
            after = chain(ordered[place + 1 :], ordered[:place])
            other = next((one for one in after if one.record.sample.cluster_id != own), None)
            if other is not None:
                found[_key(sample.record)] = _scaled(other.record, sample.record)
    return found


def _scaled(source: Record, target: Record) -> tuple[Box, ...]:
    """Return a record's boxes in another's picture, at the same shares of its sides."""
    size, own = source.sample.image_size, target.sample.image_size
    assert size is not None, "only samples with a size are drawn"
    assert own is not None, "only samples with a size are drawn"
    across, down = own.width / size.width, own.height / size.height
    return tuple(
        (x1 * across, y1 * down, x2 * across, y2 * down) for x1, y1, x2, y2 in source.score.boxes_image_px or ()
    )
