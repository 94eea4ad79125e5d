"""Read the first sheet of an .xlsx file as text, within bounds and without a spreadsheet library.

No formula is worked out, no link is followed, no document type is taken. What a cell's form hides of the text that was
written into it is said beside the text (`hidden`), because a model wrote it and a score depends on it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.parsers import expat

from harness.imports.bounded import ZipMembers
from harness.imports.foreign import ForeignLogError

CELL_CHARACTERS: Final = 32_767
"""What a cell can hold (ECMA-376, and Excel's own limit): writers cut longer texts off there."""

MAX_ROWS: Final = 1_048_576
MAX_COLUMNS: Final = 500
MAX_SHEET_BYTES: Final = 512 * 2**20
_MAX_CELLS: Final = 5_000_000
_MAX_CHARACTERS: Final = 2**30

_PLACE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})\Z")
_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
"""How a character that XML does not have is written (ECMA-376, 22.9.2.19)."""

_WEB: Final = re.compile(r"(?:ftp|https?)://", re.IGNORECASE)

FORMULA: Final = "the cell holds a formula: what was written into it cannot be told"
CUT: Final = f"the cell is full ({CELL_CHARACTERS:,} characters): the rest of the text was cut off"
LINKED: Final = (
    "the cell is a link: its writer took 'internal:', 'external:' or 'mailto:' off the beginning of the text"
)


@dataclass(frozen=True, slots=True)
class Table:
    """A sheet: its header, and rows by column name."""

    columns: tuple[str, ...]
    """Names in the first row."""
    rows: tuple[Mapping[str, str], ...]
    """Every later row that holds something; a cell that is blank is not there."""
    hidden: Mapping[tuple[int, str], str]
    """By row (from 0) and column: why the text is not the one that was written."""


@dataclass(slots=True)
class _Cells:
    """What is found while a sheet streams by; rows and columns count from 0."""

    texts: dict[tuple[int, int], str] = field(default_factory=dict[tuple[int, int], str])
    formulas: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    links: set[tuple[int, int]] = field(default_factory=set[tuple[int, int]])
    characters: int = 0


def read_xlsx(path: Path) -> Table:
    """Read the first sheet.

    Raises:
        ForeignLogError: It is no .xlsx file, is damaged, or holds more than a result can.
    """
    with ZipMembers(path) as members:
        sheet = _first_sheet(members, path)
        name = "xl/sharedStrings.xml"
        strings = _shared_strings(members.read(name, most=MAX_SHEET_BYTES), path) if name in members.members else []
        cells = _SheetReader(path, strings).read(members.read(sheet, most=MAX_SHEET_BYTES))
    return _table(cells, path)


def _table(cells: _Cells, path: Path) -> Table:
    header = {column: text for (row, column), text in cells.texts.items() if row == 0}
    if not header:
        raise ForeignLogError(f"{path}: its first sheet has no header")
    twice = len(header) - len(set(header.values()))
    if twice:
        raise ForeignLogError(f"{path}: {twice} columns have a name that another has")
    rows: dict[int, dict[str, str]] = {}
    hidden: dict[tuple[int, str], str] = {}
    for place, text in sorted(cells.texts.items()):
        row, column = place
        if row == 0 or column not in header:
            continue
        number = len(rows) - (row in rows)
        rows.setdefault(row, {})[header[column]] = text
        if (why := _why_hidden(cells, place, text)) is not None:
            hidden[number, header[column]] = why
    return Table(tuple(header[column] for column in sorted(header)), tuple(rows.values()), hidden)


def _why_hidden(cells: _Cells, place: tuple[int, int], text: str) -> str | None:
    if place in cells.formulas:
        return FORMULA
    # UTF-16 units, as a spreadsheet counts: writers cut by either
    if len(text) >= CELL_CHARACTERS or len(text.encode("utf-16-le", "surrogatepass")) // 2 >= CELL_CHARACTERS:
        return CUT
    if place in cells.links and not _WEB.match(text):
        return LINKED
    return None


# --- the XML parts --------------------------------------------------------------------------------------------------


def _parse(
    content: bytes,
    path: Path,
    start: Callable[[str, dict[str, str]], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Let a part of the file stream by; names come without their prefix."""

    def refuse(*_: object) -> None:
        raise ForeignLogError(f"{path}: its XML has a document type: no writer of results makes one")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = lambda name, found: start(name.rpartition(":")[2], found)
    if end is not None:
        parser.EndElementHandler = lambda name: end(name.rpartition(":")[2])
    if text is not None:
        parser.CharacterDataHandler = text
    try:
        parser.Parse(content, True)
    except (expat.ExpatError, LookupError, ValueError) as fault:  # an encoding that there is not, or that does not fit
        raise ForeignLogError(f"{path}: its XML is damaged: {fault}") from fault


def _first_sheet(members: ZipMembers, path: Path) -> str:
    """Return the member that holds the first sheet of the workbook."""
    ids: list[str] = []
    targets: dict[str, str] = {}

    def sheet(name: str, found: dict[str, str]) -> None:
        if name == "sheet":
            ids.append(
                next((value for key, value in found.items() if key.rpartition(":")[2] == "id" and ":" in key), "")
            )

    def relation(name: str, found: dict[str, str]) -> None:
        if name == "Relationship" and found.get("TargetMode") != "External":
            targets[found.get("Id", "")] = found.get("Target", "")

    _parse(members.read("xl/workbook.xml"), path, sheet)
    _parse(members.read("xl/_rels/workbook.xml.rels"), path, relation)
    target = targets.get(ids[0]) if ids else None
    if not target:
        raise ForeignLogError(f"{path} has no sheet of its own")
    return target.lstrip("/") if target.startswith("/") else posixpath.normpath(f"xl/{target}")


def _shared_strings(content: bytes, path: Path) -> list[str]:
    """Return the texts that cells name by number; of marked-up ones the whole text, without how it is read aloud."""
    found: list[str] = []
    parts: list[str] = []
    inside = {"t": 0, "rPh": 0}

    def start(name: str, _: dict[str, str]) -> None:
        if name == "si":
            parts.clear()
        elif name in inside:
            inside[name] += 1

    def end(name: str) -> None:
        if name in inside:
            inside[name] -= 1
        elif name == "si":
            if len(found) == _MAX_CELLS:
                raise ForeignLogError(f"{path} has more than {_MAX_CELLS:,} texts")
            found.append(_unescaped("".join(parts)))

    def text(characters: str) -> None:
        if inside["t"] and not inside["rPh"]:
            parts.append(characters)

    _parse(content, path, start, end, text)
    return found


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


class _SheetReader:
    """Follows the cells of a sheet."""

    def __init__(self, path: Path, strings: list[str]) -> None:
        self._path = path
        self._strings = strings
        self._cells = _Cells()
        self._place = (0, 0)
        self._kind = ""
        self._value: list[str] = []
        self._open = ""
        self._filled = False
        self._row = -1
        self._column = -1

    def read(self, content: bytes) -> _Cells:
        """Return the cells."""
        _parse(content, self._path, self._start, self._end, self._text)
        return self._cells

    def _start(self, name: str, found: dict[str, str]) -> None:
        if name == "row":
            self._row = int(found["r"]) - 1 if found.get("r", "").isdecimal() else self._row + 1
            self._column = -1
        elif name == "c":
            self._begin_cell(found)
        elif name in {"v", "t"}:
            self._open = name
        elif name == "f":
            self._cells.formulas.add(self._place)
        elif name == "hyperlink" and (place := _place_of(found.get("ref", "").partition(":")[0])) is not None:
            self._cells.links.add(place)

    def _begin_cell(self, found: dict[str, str]) -> None:
        place = _place_of(found["r"]) if "r" in found else (self._row, self._column + 1)
        if place is None or place[0] >= MAX_ROWS or place[1] >= MAX_COLUMNS:
            raise ForeignLogError(f"{self._path}: the cell {found.get('r', '')[:20]!r} lies outside of any result")
        self._place, (self._row, self._column) = place, place
        self._kind = found.get("t", "n")
        self._value.clear()
        self._filled = False

    def _text(self, characters: str) -> None:
        if self._open:
            self._value.append(characters)
            self._filled = True

    def _end(self, name: str) -> None:
        if name in {"v", "t"}:
            self._open = ""
        elif name == "c" and (self._filled or self._place in self._cells.formulas):
            self._keep("".join(self._value))

    def _keep(self, value: str) -> None:
        text = value
        if self._kind == "s":
            number = int(value) if value.isdecimal() else -1
            if not 0 <= number < len(self._strings):
                raise ForeignLogError(f"{self._path}: a cell names the text {value[:20]!r}, which is not there")
            text = self._strings[number]
        elif self._kind in {"inlineStr", "str"}:
            text = _unescaped(value)
        elif self._kind == "n":
            text = value.strip().removesuffix(".0")
        elif self._kind == "b":
            text = "True" if value.strip() == "1" else "False"
        self._cells.characters += len(text)
        if self._cells.characters > _MAX_CHARACTERS or len(self._cells.texts) == _MAX_CELLS:
            raise ForeignLogError(
                f"{self._path} holds more than any result: {_MAX_CELLS:,} cells, or too many characters"
            )
        self._cells.texts[self._place] = text


def _place_of(reference: str) -> tuple[int, int] | None:
    """Return row and column, from 0, of a reference such as `B3`."""
    found = _PLACE.match(reference)
    if found is None:
        return None
    column = 0
    for letter in found[1]:
        column = 26 * column + ord(letter) - ord("A") + 1
    return int(found[2]) - 1, column - 1
