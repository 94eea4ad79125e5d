"""Write the page of a comparison: one HTML file that needs nothing else, or a folder with shards and pictures.

    write_comparison_page(comparison, Path("page.html"), PageOptions())
    write_comparison_page(comparison, Path("site"), PageOptions(bundle=True))     # site/index.html, shards/, media/

Same comparison and runs, same bytes: there is no clock, no path and no random number in a page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.comparison import DIRECTIONS, Comparison, Pair, SampleTable
from harness.errors import ConfigError
from harness.records_parquet import read_rows
from harness.run_files import make_folder, published_files, put_file
from harness.run_store import MANIFEST_NAME, MEDIA_NAME, PARQUET_NAME, write_atomically
from harness.sample_details import read_details
from harness.values import Json
from reports.comparison_view import ComparisonView, SideView, comparison_view
from reports.page_shell import Page, json_block, render
from reports.run_page import PAGE_NAME
from reports.sample_blocks import (
    MOST_INLINE_PICTURES,
    Blocks,
    PictureBook,
    ShownSamples,
    ShownSide,
    block_elements,
    choose_pictures,
    make_blocks,
)
from reports.sample_texts import short_name, text_of_detail

FLIPS_IN_PRINT = 12
"""Samples of each direction that the page lists for readers without JavaScript and on paper."""

_TEXT_IN_PRINT = 300


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
    """Changed samples for paper."""
    flips_in_all: str
    """How many samples changed in all, in words."""
    pictures_note: str
    """Which pictures the page has, in words."""
    has_samples: bool
    """Whether there is anything to explore."""


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
    for number, pair in enumerate(comparison.pairs):
        a, b = view.pairs[number].a, view.pairs[number].b
        shown = ShownSamples(
            table=pair.samples,
            sides=(_shown_side(a, pair.samples, first=True), _shown_side(b, pair.samples, first=False)),
            texts=(
                (detail.image_sha256, text_of_detail(detail))
                for detail in read_details(comparison, pair, range(len(pair.samples)))
            ),
        )
        blocks[number] = make_blocks(shown, str(number), pictures)
        flips += _flips(comparison, number, (a, b))
    page = ComparisonPage(
        view=view,
        flips=tuple(flips),
        flips_in_all=_flips_in_all(comparison, view),
        pictures_note=_pictures_note(pictures, options),
        has_samples=any(len(pair.samples) for pair in comparison.pairs),
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


def _shown_side(side: SideView, table: SampleTable, *, first: bool) -> ShownSide:
    return ShownSide(side.letter, side.label, side.colour, table.a if first else table.b)


def _pictures(comparison: Comparison, options: PageOptions) -> PictureBook:
    runs = [published_files(run.path) for run in comparison.runs if (run.path / MEDIA_NAME).is_dir()]
    if not options.pictures or not runs:
        return PictureBook([], [])
    if options.bundle:
        return PictureBook(runs, None)
    share = max(1, options.most_pictures // max(1, len(comparison.pairs)))
    wanted: dict[str, None] = {}
    for pair in comparison.pairs:
        for sha256 in choose_pictures(pair.samples, _images(comparison, pair), share):
            wanted[sha256] = None
    return PictureBook(runs, list(wanted))


def _images(comparison: Comparison, pair: Pair) -> list[str]:
    """Return the digest of each sample's image, as the first side's run has it, else the second's."""
    per_side: list[list[str]] = []
    for side, columns in ((pair.a, pair.samples.a), (pair.b, pair.samples.b)):
        with published_files(comparison.sides[side].runs[0].path).open(PARQUET_NAME) as file:
            rows = list(read_rows(file, ["image_sha256"]))
        per_side.append([rows[row]["image_sha256"] for row in columns.rows.tolist()])
    return [one or other for one, other in zip(*per_side, strict=True)]


def _pictures_note(pictures: PictureBook, options: PageOptions) -> str:
    if not options.pictures:
        return "Pictures were left out of this page."
    if options.bundle or not pictures.names:
        return "" if pictures.names else "The runs hold no thumbnails."
    return f"{len(pictures.names):,} pictures are in this file, those of changed samples first; --bundle has them all."


def _flips(comparison: Comparison, number: int, sides: tuple[SideView, SideView]) -> Iterator[FlipView]:
    """Yield the first changed samples of each direction."""
    pair = comparison.pairs[number]
    words = f"{sides[1].letter} against {sides[0].letter}"
    for direction in ("lost", "gained"):
        changed = (pair.samples.directions == DIRECTIONS.index(direction)).nonzero()[0]
        for detail in read_details(comparison, pair, changed[:FLIPS_IN_PRINT].tolist()):
            yield FlipView(
                pair=words,
                direction=direction,
                task=detail.task,
                id=short_name(detail.id),
                question=_short(detail.question),
                accepted=_short(" | ".join(detail.answers or ())),
                a=_short(detail.a.extracted or "nothing"),
                b=_short(detail.b.extracted or "nothing"),
                link=f"#list={number}&flip={direction}",
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
