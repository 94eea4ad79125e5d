"""Where the texts of a run attended and whether that mattered, as a page shows it.

Densities with their controls, maps of some samples; of the probes see `reports.pages.probed_view`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from harness.probes.attention_records import MAP_LEVELS, AttentionRecord
from harness.probes.attention_summary import DEFINITION, AttentionSummary
from harness.probes.stored import stored_attention, stored_attention_scores, stored_edits, stored_probes
from harness.runs.store import MEDIA_NAME, StoredRun
from harness.values import Box, Record
from reports.pages.explorer_blocks import PictureBook
from reports.pages.probed_gallery import GalleryRow, gallery, picked_keys
from reports.pages.probed_view import ProbedView, probed_view
from reports.texts.addresses import sample_link
from reports.texts.attention_text import (
    ATTENTION_HEADINGS,
    NOT_CAUSE,
    SPAN_WORDS,
    association_sentences,
    attention_rows,
    density_text,
    share_text,
    status_sentence,
)
from reports.texts.numbers_shown import number
from reports.texts.verdict_text import cut

MOST_MAPS = 8
"""Samples whose map a page shows; more are in the file."""
_WIDTH = 240
"""Of a map, in pixels of the page."""


@dataclass(frozen=True, slots=True)
class MapView:
    """Where one sample's text attended while it wrote its boxes."""

    title: str
    """Which sample."""
    link: str
    """Its address on the page."""
    drawing: Markup
    """Picture, cells and boxes."""
    words: str
    """The same in words: the cells with most attention, and the density."""


@dataclass(frozen=True, slots=True)
class BinView:
    """Accuracy between two densities."""

    range: str
    """The densities."""
    accuracy: str
    """Mean score in percent, with interval."""
    n: str
    """Samples."""


@dataclass(frozen=True, slots=True)
class AttendedTaskView:
    """What the attention of one benchmark's texts comes to."""

    task: str
    """Short task name."""
    status: str
    """How many samples were read, and why others were not."""
    sentences: tuple[str, ...]
    """How densities go with answers and places."""
    bins: tuple[BinView, ...]
    """Accuracy by the density of the rows that wrote the boxes."""


@dataclass(frozen=True, slots=True)
class AttendedView:
    """The part of the section that tells where texts attended."""

    sentence: str
    """The result in one sentence."""
    headings: tuple[str, ...]
    """Of the table."""
    rows: tuple[tuple[str, ...], ...]
    """One a benchmark and part of the text."""
    tasks: tuple[AttendedTaskView, ...]
    """By benchmark."""
    maps: tuple[MapView, ...]
    """Some samples."""
    notes: tuple[str, ...]
    """What is meant, and what does not follow."""


@dataclass(frozen=True, slots=True)
class LookedView:
    """The section of a page."""

    title: str
    """The question that it answers."""
    attended: AttendedView | None
    """Where texts attended; None where nobody looked."""
    probed: ProbedView | None
    """Whether that mattered; None where nobody asked."""
    gallery: tuple[GalleryRow, ...] = ()
    """Some probed samples as pictures."""


def looked_view(run: StoredRun, records: Mapping[tuple[str, str], Record], pictures: PictureBook) -> LookedView | None:
    """Return the section of a run's page; None where nobody looked or asked.

    Args:
        run: A finished run.
        records: Its records by task and id, those of `keys_drawn` at least.
        pictures: The thumbnails that the page shows.

    Raises:
        DamagedRunError: One of the files cannot be used.
    """
    attended = _attended_view(run, records, pictures)
    probes = stored_probes(run)
    if probes is None:
        return None if attended is None else LookedView("Where did it look?", attended, None)
    title = "Did the named region matter?" if attended is None else "Where did it look, and did it matter?"
    drawn = gallery(picked_keys(probes), stored_edits(run) or (), records, pictures)
    return LookedView(title, attended, probed_view(probes), drawn)


def keys_drawn(run: StoredRun) -> frozenset[tuple[str, str]]:
    """Return task and id of the samples that the section draws.

    Raises:
        DamagedRunError: A file of the run cannot be used.
    """
    return frozenset({*((found.task, found.id) for found in attended_with_maps(run)), *picked_keys(stored_probes(run))})


def _attended_view(
    run: StoredRun, records: Mapping[tuple[str, str], Record], pictures: PictureBook
) -> AttendedView | None:
    if (summary := stored_attention_scores(run)) is None:
        return None
    maps = [
        view
        for found in attended_with_maps(run)
        if (record := records.get((found.task, found.id))) is not None
        and (view := _map(found, record, pictures)) is not None
    ]
    return AttendedView(
        sentence=_sentence(summary),
        headings=ATTENTION_HEADINGS,
        rows=tuple(row for task, found in summary.items() for row in attention_rows(cut(task, 100), found)),
        tasks=tuple(_task_view(task, found) for task, found in summary.items()),
        maps=tuple(maps),
        notes=(DEFINITION, NOT_CAUSE),
    )


def attended_with_maps(run: StoredRun) -> list[AttentionRecord]:
    """Return the samples whose map a page shows: those whose boxes have most and least attention, half of each.

    Raises:
        DamagedRunError: The file cannot be used.
    """
    found = [
        record
        for record in stored_attention(run) or ()
        if "boxes" in record.spans and record.spans["boxes"].cells and _density(record) is not None
    ]
    ordered = sorted(found, key=lambda record: (-(_density(record) or 0.0), record.task, record.id))
    half = MOST_MAPS // 2
    return ordered if len(ordered) <= MOST_MAPS else [*ordered[:half], *ordered[-half:]]


def _density(record: AttentionRecord) -> float | None:
    named = record.spans["boxes"].named
    return None if named is None else named.density


def _sentence(summary: Mapping[str, AttentionSummary]) -> str:
    """Say what was found, benchmark by benchmark."""
    said: list[str] = []
    for task, found in summary.items():
        if (span := found.spans.get("boxes")) is None or span.density.value is None:
            said.append(f"{task}: no text could be read")
            continue
        gold = f"; the gold region had more than another object in {share_text(span.gold_over_others)}"
        said.append(
            f"{task}: while it wrote its boxes, attention was {density_text(span.density)} times as dense in them as "
            f"over the whole picture (in another sample's boxes {density_text(span.density_shuffled)}"
            f"{gold if span.gold_over_others.n else ''}; n {span.density.n})"
        )
    return ". ".join(said)


def _task_view(task: str, found: AttentionSummary) -> AttendedTaskView:
    sentences = [
        f"{SPAN_WORDS[span]}: {sentence}"
        for span, of_span in found.spans.items()
        for sentence in association_sentences(of_span)
    ]
    boxes = found.spans.get("boxes")
    bins = [
        BinView(
            f"{number(one.low, 1)} and more" if one.high is None else f"{number(one.low, 1)} to {number(one.high, 1)}",
            _share_with_interval(one.accuracy.value, one.accuracy.ci_low, one.accuracy.ci_high),
            str(one.accuracy.n),
        )
        for one in (boxes.bins if boxes is not None else ())
    ]
    return AttendedTaskView(cut(task, 100), status_sentence(found), tuple(sentences), tuple(bins))


def _share_with_interval(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return number(None if value is None else 100 * value)
    return f"{number(100 * value)} [{number(100 * low)}, {number(100 * high)}]"


def _map(found: AttentionRecord, record: Record, pictures: PictureBook) -> MapView | None:
    """Draw a sample's picture with its cells and boxes; None where what is stored does not fit together."""
    span, size = found.spans["boxes"], record.sample.image_size
    if span.cells is None or found.grid is None or found.grid_image_px is None or size is None:
        return None
    rows, columns = found.grid
    if rows * columns != len(span.cells) or not rows or size.width <= 0 or size.height <= 0:
        return None
    left, top, right, bottom = found.grid_image_px
    wide, high = (right - left) / columns, (bottom - top) / rows
    parts: list[Markup] = []
    place = pictures.number(record.sample.image_sha256)
    if place >= 0:
        parts.append(
            Markup('<image href="{}" width="{}" height="{}" preserveAspectRatio="none"/>').format(
                f"{MEDIA_NAME}/{pictures.names[place]}", size.width, size.height
            )
        )
    for number_, level in enumerate(span.cells):
        row, column = divmod(number_, columns)
        parts.append(
            Markup('<rect class="cell" x="{}" y="{}" width="{}" height="{}" fill-opacity="{}"/>').format(
                _px(left + column * wide),
                _px(top + row * high),
                _px(wide),
                _px(high),
                f"{0.75 * level / MAP_LEVELS:.3f}",
            )
        )
    parts.extend(_outlines("gold-box", record.sample.boxes_image_px or ()))
    parts.extend(_outlines("named-box", record.score.boxes_image_px or ()))
    density = _density(found)
    words = (
        f"{rows} rows of {columns} cells; most attention in {_strongest(span.cells, columns)}; "
        f"{number(density, 2)} times as dense in the boxes named as over the picture"
    )
    drawing = Markup(
        '<svg class="map" role="img" aria-label="{}" viewBox="0 0 {} {}" width="{}" height="{}">{}</svg>'
    ).format(
        words, size.width, size.height, _WIDTH, max(1, round(_WIDTH * size.height / size.width)), Markup("").join(parts)
    )
    return MapView(
        f"{cut(found.task, 60)} {cut(found.id, 60)}",
        sample_link(0, found.task, found.id),
        drawing,
        words,
    )


def _outlines(name: str, boxes: Sequence[Box]) -> list[Markup]:
    return [
        Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" vector-effect="non-scaling-stroke"/>').format(
            name, _px(x1), _px(y1), _px(x2 - x1), _px(y2 - y1)
        )
        for x1, y1, x2, y2 in boxes[:50]
        if x1 < x2 and y1 < y2
    ]


def _px(value: float) -> str:
    return f"{value:.2f}"


def _strongest(cells: Sequence[int], columns: int) -> str:
    """Name the cells with most attention, three at most."""
    best = sorted(range(len(cells)), key=lambda place: (-cells[place], place))[:3]
    return ", ".join(f"row {place // columns + 1} column {place % columns + 1}" for place in best)
