"""Say what a text that is not UTF-8 may be, and how it is made UTF-8; only for messages, nothing is read by a guess."""

from __future__ import annotations

import codecs

_MARKS = (
    (b"\xff\xfe\0\0", "UTF-32LE"),
    (b"\0\0\xfe\xff", "UTF-32BE"),
    (b"\xff\xfe", "UTF-16LE"),
    (b"\xfe\xff", "UTF-16BE"),
)
"""Byte order marks of encodings that spreadsheets export."""
_CANDIDATES = ("gb18030", "cp932", "big5", "euc_kr", "cp1252", "latin-1")
"""Encodings in which a text is tried, those that refuse most first; the last one reads everything."""
_MOST_NAMED = 4


def marked_encoding(start: bytes) -> str | None:
    """Return the encoding whose byte order mark a file begins with; None for UTF-8, with or without its own mark."""
    return next((name for mark, name in _MARKS if start.startswith(mark)), None)


def possible_encodings(text: bytes, *, whole: bool) -> list[str]:
    """Return names of encodings in which a text can be read; never empty.

    Args:
        text: Its bytes.
        whole: Whether it is the whole text: a character that is cut at its end is then no character of an encoding.
    """
    if 0 in text:
        return ["UTF-16"]
    names: list[str] = []
    for name in _CANDIDATES:
        try:
            codecs.getincrementaldecoder(name)().decode(text, final=whole)
        except UnicodeDecodeError:
            continue
        names.append(name.upper())
    return names[:_MOST_NAMED]


def how_to_mend(encoding: str, file_name: str) -> str:
    """Say how a file becomes UTF-8."""
    return f"Save it as UTF-8, for instance with: iconv -f {encoding} -t UTF-8 {file_name} > utf8-{file_name}"
