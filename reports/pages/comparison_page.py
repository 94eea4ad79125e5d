"""Write the page of a comparison: one HTML file that needs nothing else, or a folder with shards and pictures.

    write_comparison_page(comparison, Path("page.html"), PageOptions())
    write_comparison_page(comparison, Path("site"), PageOptions(bundle=True))     # site/index.html, shards/, media/

Same comparison and runs, same bytes: there is no clock, no path and no random number in a page.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from pathlib import Path

import numpy as np

from harness.comparison.other_rules import MOST_SAMPLES, other_rules
from harness.comparison.sample_texts import read_answers
from harness.comparison.values import DIRECTIONS, Comparison, Direction, Pair, SampleTable
from harness.errors import ConfigError
from harness.files import make_folder, published_files, put_file
from harness.runs.json_text import parse_object
from harness.runs.record_table import read_rows
from harness.runs.store import MANIFEST_NAME, MEDIA_NAME, PARQUET_NAME, write_atomically
from harness.values import Json, Record
from reports.pages.comparison_view import ComparisonView, RulesView, SideView, comparison_view, rules_view
from reports.pages.explorer_blocks import (
    MOST_INLINE_PICTURES,
    Blocks,
    PictureBook,
    ShownSamples,
    ShownSide,
    ShownText,
    block_elements,
    choose_pictures,
    make_blocks,
    most_changed,
)
from reports.pages.explorer_texts import short_name, text_of
from reports.pages.run_page import PAGE_NAME
from reports.pages.sample_categories import needs_extra, sample_categories
from reports.pages.shell import Page, json_block, render
from reports.texts.addresses import sample_link

FLIPS_IN_PRINT = 12
"""Samples of each direction that the page lists for readers without JavaScript and on paper."""

_FLIPS_AT_ONCE = 4
"""Samples of each direction that stand open, over all pairs; the others are folded."""

_TEXT_IN_PRINT = 160
_CHANGES: tuple[Direction, ...] = ("lost", "gained")


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How a page is written."""

    pictures: bool = True
    """Whether thumbnails go with it; False for data that may not be shared."""
    most_pictures: int = MOST_INLINE_PICTURES
    """Thumbnails in one file at most; a bundle has them all."""
    bundle: bool = False
    """Whether texts and pictures lie in files beside the page."""


@dataclass(frozen=True, slots=True)
class FlipView:
    """One changed sample in the list for paper."""

    pair: str
    """Which pair, such as `B against A`."""
    direction: str
    """`lost` or `gained`."""
    task: str
    """Short task name."""
    id: str
    """The sample's id."""
    question: str
    """The question, cut."""
    accepted: str
    """The accepted answers, cut."""
    a: str
    """What A was read as."""
    b: str
    """What B was read as."""
    link: str
    """Address in the explorer."""


@dataclass(frozen=True, slots=True)
class ComparisonPage:
    """What the template shows."""

    view: ComparisonView
    """Everything but samples."""
    flips: tuple[FlipView, ...]
    """The samples that changed most."""
    more_flips: tuple[FlipView, ...]
    """Further changed samples."""
    flips_in_all: str
    """How many samples changed in all, in words."""
    pictures_note: str
    """Which pictures the page has, in words."""
    has_samples: bool
    """Whether there is anything to explore."""
    other_rules: tuple[RulesView, ...]
    """Pairs under every protocol, where their texts could be scored again; empty for none."""


def write_comparison_page(comparison: Comparison, out: Path, options: PageOptions | None = None) -> Path:
    """Write the page and return the HTML file.

    Args:
        comparison: What to show; the texts are read from its runs' folders.
        out: The file, or with `bundle` the folder; missing folders are made, an old page is replaced.
        options: How; None for one file with pictures.

    Raises:
        IncompleteError: A run's tables are missing or do not belong to its scores.
        ConfigError: `out` cannot be written, or is of the wrong kind.
    """
    options = options or PageOptions()
    page_file = out / PAGE_NAME if options.bundle else out
    if options.bundle and (out / MANIFEST_NAME).exists():
        raise ConfigError(f"{out} is a run folder, which nothing may be written into; name another folder")
    if not options.bundle and out.is_dir():
        raise ConfigError(f"{out} is a folder; name a file such as {out / 'page.html'}, or use --bundle")
    try:
        page_file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(page_file, _page_bytes(comparison, out, options))
    except OSError as fault:
        raise ConfigError(f"cannot write {page_file}: {fault.strerror or fault}") from fault
    return page_file


def _page_bytes(comparison: Comparison, out: Path, options: PageOptions) -> bytes:
    view = comparison_view(comparison)
    pictures = _pictures(comparison, options)
    blocks: dict[int, Blocks] = {}
    flips: list[FlipView] = []
    more_flips: list[FlipView] = []
    at_once = max(1, _FLIPS_AT_ONCE // max(1, len(comparison.pairs)))
    for number, pair in enumerate(comparison.pairs):
        a, b = view.pairs[number].a, view.pairs[number].b
        changed: dict[Direction, list[int]] = {
            direction: most_changed(pair.samples, direction)[:FLIPS_IN_PRINT] for direction in _CHANGES
        }
        answers: dict[int, tuple[Record, Record]] = {}
        shown = ShownSamples(
            table=pair.samples,
            sides=(_shown_side(a, pair.samples, first=True), _shown_side(b, pair.samples, first=False)),
            texts=_shown_texts(comparison, pair, frozenset(chain(*changed.values())), answers),
        )
        blocks[number] = make_blocks(shown, str(number), pictures)
        for direction, places in changed.items():
            found = [_flip(direction, number, (a, b), answers[place]) for place in places]
            flips += found[:at_once]
            more_flips += found[at_once:]
    page = ComparisonPage(
        view=view,
        flips=tuple(flips),
        more_flips=tuple(more_flips),
        flips_in_all=_flips_in_all(comparison, view),
        pictures_note=_pictures_note(pictures, options),
        has_samples=any(len(pair.samples) for pair in comparison.pairs),
        other_rules=_other_rules(comparison, view),
    )
    early, late = block_elements(blocks)
    lists: Json = {
        "lists": [f"{pair.b.letter} against {pair.a.letter}" for pair in view.pairs],
        "bundled": options.bundle,
        "pictures": [f"{MEDIA_NAME}/{name}" for name in pictures.names] if options.bundle else [],
    }
    early = {"cuts": json_block(view.cuts), "lists": json_block(lists), **early}
    if options.bundle:
        late = _write_beside(out, late, pictures)
    else:
        late.update(pictures.inline_blocks())
    return render(
        Page(
            "comparison.html.j2",
            page,
            "explorer.js",
            early_blocks=early,
            late_blocks=late,
            pictures_beside=options.bundle,
            shards_beside=options.bundle,
        )
    )


def _other_rules(comparison: Comparison, view: ComparisonView) -> tuple[RulesView, ...]:
    most = MOST_SAMPLES // max(1, len(comparison.pairs))
    found = [other_rules(comparison, pair, most=most) for pair in comparison.pairs]
    return tuple(
        rules_view(rules, view.pairs[number], number) for number, rules in enumerate(found) if rules is not None
    )


def _shown_texts(
    comparison: Comparison, pair: Pair, wanted: frozenset[int], kept: dict[int, tuple[Record, Record]]
) -> Iterator[ShownText]:
    """Yield the samples' texts, with the categories that the pair's tables count them in.

    Args:
        comparison: What the pair belongs to.
        pair: Two sides.
        wanted: Places of samples of which both answers are wanted whole.
        kept: Takes those as they come by.
    """
    extras = _extras(comparison, pair)
    for place, answers in enumerate(read_answers(comparison, pair, range(len(pair.samples)))):
        if place in wanted:
            kept[place] = answers
        sample = answers[0].sample
        names = (sample.category, sample.l2_category)
        found = sample_categories(sample.task, names, extras.get(place, {}))
        yield ShownText(sample.image_sha256, *found, text_of(answers))


def _extras(comparison: Comparison, pair: Pair) -> dict[int, Mapping[str, Json]]:
    """Return by place the official columns of the samples whose categories stand there."""
    table = pair.samples
    wanted = np.flatnonzero([needs_extra(name) for name in table.task_names])
    places = np.flatnonzero(np.isin(table.tasks, wanted)).tolist()
    if not places:
        return {}
    both = _columns(comparison, pair, "extra")
    return {place: parse_object(next((text for text in both[place] if text != "{}"), "{}")) for place in places}


def _shown_side(side: SideView, table: SampleTable, *, first: bool) -> ShownSide:
    return ShownSide(side.letter, side.label, side.colour, table.a if first else table.b)


def _pictures(comparison: Comparison, options: PageOptions) -> PictureBook:
    runs = [published_files(run.path) for run in comparison.runs if (run.path / MEDIA_NAME).is_dir()]
    if not options.pictures or not runs:
        return PictureBook([], [])
    if options.bundle:
        return PictureBook(runs, None)
    most = options.most_pictures
    per_pair = [choose_pictures(pair.samples, _images(comparison, pair), most) for pair in comparison.pairs]
    in_turn = (sha256 for turn in zip_longest(*per_pair) for sha256 in turn if sha256 is not None)
    return PictureBook(runs, list(islice(dict.fromkeys(in_turn), most)))


def _images(comparison: Comparison, pair: Pair) -> list[str]:
    """Return the digest of each sample's image, as the first side's run has it, else the second's."""
    return [one or other for one, other in _columns(comparison, pair, "image_sha256")]


def _columns(comparison: Comparison, pair: Pair, name: str) -> list[tuple[str, str]]:
    """Return a column of texts as both sides' runs have it, per sample."""
    per_side: list[list[str]] = []
    for side, columns in ((pair.a, pair.samples.a), (pair.b, pair.samples.b)):
        with published_files(comparison.sides[side].runs[0].path).open(PARQUET_NAME) as file:
            rows = list(read_rows(file, [name]))
        per_side.append([rows[row][name] for row in columns.rows.tolist()])
    return list(zip(*per_side, strict=True))


def _pictures_note(pictures: PictureBook, options: PageOptions) -> str:
    if not options.pictures:
        return "Pictures were left out of this page."
    if options.bundle or not pictures.names:
        return "" if pictures.names else "The runs hold no thumbnails."
    return f"{len(pictures.names):,} pictures are in this file, those of changed samples first; --bundle has them all."


def _flip(
    direction: Direction, number: int, sides: tuple[SideView, SideView], answers: tuple[Record, Record]
) -> FlipView:
    """Return one sample that changed, of a pair by its number."""
    a, b = answers
    return FlipView(
        pair=f"{sides[1].letter} against {sides[0].letter}",
        direction=direction,
        task=a.sample.task,
        id=short_name(a.sample.id),
        question=_short(a.sample.question),
        accepted=_short(" | ".join(a.sample.answers or ())),
        a=_short(a.score.extracted or "nothing"),
        b=_short(b.score.extracted or "nothing"),
        link=sample_link(number, a.sample.task, a.sample.id, flip=direction, sort="change"),
    )


def _short(text: str) -> str:
    return text if len(text) <= _TEXT_IN_PRINT else f"{text[:_TEXT_IN_PRINT]}…"


def _flips_in_all(comparison: Comparison, view: ComparisonView) -> str:
    parts: list[str] = []
    for pair, shown in zip(comparison.pairs, view.pairs, strict=True):
        lost, gained = ((pair.samples.directions == DIRECTIONS.index(name)).sum() for name in ("lost", "gained"))
        parts.append(f"{shown.b.letter} against {shown.a.letter}: {lost:,} lost, {gained:,} gained")
    return "; ".join(parts)


def _write_beside(out: Path, late: dict[str, str], pictures: PictureBook) -> dict[str, str]:
    """Write texts as classic scripts and pictures as files; return what stays in the page."""
    shards, media = out / "shards", out / MEDIA_NAME
    for folder in (shards, media):
        folder.parent.mkdir(parents=True, exist_ok=True)
        make_folder(folder)
    for old in shards.glob("texts-*.js"):
        old.unlink()
    stay: dict[str, str] = {}
    for name, text in late.items():
        if name.startswith("texts-"):
            write_atomically(shards / f"{name}.js", f'satoriShard("{name}","{text}")\n'.encode("ascii"))
        else:
            stay[name] = text
    for name, content in pictures.pictures():
        put_file(media / name, content)
    return stay
