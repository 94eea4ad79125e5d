"""Read a person's own format: a TOML file, or what a manifest stored of one.

    name = "my-format"
    thought = [["<think>", "</think>"]]
    answer = [["<answer>", "</answer>"]]
    boxes = [["<box>", "</box>"]]
    boxes_in = "thought"
    dialect = "list:xyxy:1000"
    suffix = "Think in <think> </think>, with a <box> behind each thing, then answer in <answer> </answer>."

Its keys are the fields of `GroundedFormat`. All its faults are told together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from harness.errors import ConfigError, did_you_mean
from harness.scoring.box_dialects import dialect_named
from harness.scoring.formats import format_named
from harness.values import FORMATS, AnyFormat, BoxDialect, GroundedFormat, Json, Marks

MAX_FILE_BYTES: Final = 200_000
"""A longer file is none of a format."""
MAX_PAIRS: Final = 16
"""Pairs of marks of one kind."""
MAX_MARK_CHARACTERS: Final = 200
"""Characters of a mark, of a key and of a name."""
MAX_SIDE: Final = 1_000_000
"""What a whole side may be written as."""
MAX_WORDS_CHARACTERS: Final = 20_000
"""Characters of the words that ask for a format."""

_CHOICES: Final = {name: get_args(get_type_hints(GroundedFormat)[name]) for name in ("boxes_in", "counted")}


def format_given(words: str) -> AnyFormat:
    """Return the format that a person names, built in or by the path of a file.

    Raises:
        ConfigError: There is no such format, or the file is none.
    """
    return read_own_format(Path(words)) if words.endswith(".toml") else format_named(words)


def read_own_format(path: Path) -> GroundedFormat:
    """Read a format's file.

    Raises:
        ConfigError: It cannot be read, is no TOML, or says what no format can be; names every fault.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as fault:
        raise ConfigError(f"--format: cannot read {path}: {fault.strerror or fault}") from fault
    if len(content) > MAX_FILE_BYTES:
        raise ConfigError(f"--format: {path} has more than {MAX_FILE_BYTES:,} bytes: that is no format")
    try:
        said = tomllib.loads(content.decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as fault:
        raise ConfigError(f"--format: {path} is no TOML: {fault}") from fault
    try:
        return format_of_definition({"name": path.stem, **said})
    except ValueError as fault:
        raise ConfigError(f"--format {path}: {fault}") from fault


def format_of_definition(said: Mapping[str, Json]) -> GroundedFormat:
    """Return the format that a definition says, the inverse of `formats.definition_of`.

    Raises:
        ValueError: It says what no format can be; names every fault.
    """
    given: dict[str, Any] = {}
    faults: list[str] = []
    for key, value in said.items():
        if key not in _READERS:
            near = did_you_mean(key, list(_READERS))
            faults.append(f"unknown key {key[:60]!r}.{near} A format has {', '.join(_READERS)}")
            continue
        try:
            given[key] = _READERS[key](key, value)
        except (ValueError, ConfigError) as fault:
            faults.append(str(fault))
    if "name" not in said:
        faults.append("name is missing")
    if not faults:
        form = GroundedFormat(**given)
        faults = _contradictions(form)
        if not faults:
            return form
    raise ValueError("; ".join(faults))


def _text(key: str, value: Json, longest: int = MAX_MARK_CHARACTERS) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key} must be a text, found {value!r:.60}")  # noqa: TRY004 - data, not a type
    if len(value) > longest:
        raise ValueError(f"{key} has {len(value):,} characters, more than {longest:,}")
    return value


def _words(key: str, value: Json) -> str:
    return _text(key, value, MAX_WORDS_CHARACTERS)


def _choice(key: str, value: Json) -> str:
    if value not in _CHOICES[key]:
        raise ValueError(f"{key} must be one of {', '.join(_CHOICES[key])}, found {value!r:.60}")
    return str(value)


def _flag(key: str, value: Json) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{key} must be true or false, found {value!r:.60}")  # noqa: TRY004 - data, not a type
    return value


def _number(key: str, value: Json) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_MARK_CHARACTERS:
        raise ValueError(f"{key} must be a whole number from 0 to {MAX_MARK_CHARACTERS}, found {value!r:.60}")
    return value


def _side(key: str, value: Json) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= MAX_SIDE:
        raise ValueError(f"{key} must be a number above 0 and up to {MAX_SIDE:,}, found {value!r:.60}")
    return float(value)


def _dialect(key: str, value: Json) -> BoxDialect | None:
    return None if value is None else dialect_named(_text(key, value))


def _texts(key: str, value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > MAX_PAIRS:
        raise ValueError(f"{key} must be a list of at most {MAX_PAIRS} texts, found {value!r:.60}")
    return tuple(_text(key, item) for item in value)


def _pairs(key: str, value: Json) -> tuple[Marks, ...]:
    if not isinstance(value, list) or len(value) > MAX_PAIRS:
        raise ValueError(f'{key} must be a list of at most {MAX_PAIRS} pairs such as [["<a>", "</a>"]]')
    return tuple(_pair(key, item) for item in value)


def _pair(key: str, value: Json) -> Marks:
    if not isinstance(value, list) or len(value) != 2:
        raise ValueError(f'{key}: a pair of marks such as ["<a>", "</a>"] is needed, found {value!r:.60}')
    opening, closing = _text(key, value[0]), _text(key, value[1])
    if not opening.strip():
        raise ValueError(f"{key}: an opening mark is blank")
    if closing and closing != "\n" and not closing.strip():
        raise ValueError(f"{key}: the closing mark of {opening!r} is blank; write a line break alone, or nothing")
    if opening.lower() == closing.lower():
        raise ValueError(f"{key}: {opening!r} opens and closes: which is which cannot be told")
    return opening, closing


_READERS: Final[Mapping[str, Callable[[str, Json], object]]] = {
    "name": _text,
    "answer": _pairs,
    "answer_key": _text,
    "thought": _pairs,
    "boxes": _pairs,
    "boxes_in": _choice,
    "box_key": _text,
    "boxes_needed": _flag,
    "counted": _choice,
    "source_key": _text,
    "source_image": _texts,
    "source_crop": _text,
    "first_crop": _number,
    "unit_above_one": _side,
    "dialect": _dialect,
    "system": _words,
    "suffix": _words,
    "source": _words,
}
"""What reads each key; the fields of `GroundedFormat`, in their order."""


def _contradictions(form: GroundedFormat) -> list[str]:
    """Return what single fields allow and the format as a whole does not."""
    faults: list[str] = []
    if not form.name.strip() or not form.name.isprintable():
        faults.append("name is blank or has characters that do not print")
    if form.name in FORMATS:
        faults.append(f"name {form.name!r} is that of a built-in format: give it another")
    if form.boxes_in == "thought" and not form.thought:
        faults.append("boxes_in is thought, and there are no marks of a thought")
    if form.boxes_in == "answer" and not form.answer:
        faults.append("boxes_in is answer, and there are no marks of an answer")
    if form.boxes_in == "calls" and not form.boxes:
        faults.append("boxes_in is calls, and there are no marks of boxes")
    if form.answer and form.answer_key:
        faults.append("answer and answer_key both say where the answer is: leave one out")
    if any(not closing.strip() for _, closing in form.thought):
        faults.append("a thought needs a closing mark")
    if form.source_key and not form.boxes:
        faults.append("source_key is about marked boxes, and there are no marks of boxes")
    if form.source_key and form.dialect is not None and isinstance(form.dialect.unit, str):
        faults.append("source_key needs a dialect in shares of a side: how many pixels a crop has is not known")
    return faults
