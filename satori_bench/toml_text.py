"""Write single values as TOML, so that what a command prints of its configuration can be pasted into its file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import PurePath
from typing import cast


def toml_value(value: object) -> str | None:
    """Return a value as TOML reads it; None for what TOML cannot hold.

    Args:
        value: A text, path, number, truth value, or a sequence of them. None, NaN, infinities and texts that are not
            Unicode (half a surrogate pair, as in a file name of another encoding) cannot be held.
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value) if math.isfinite(value) else None
    if isinstance(value, str | PurePath):
        return _toml_text(str(value))
    if isinstance(value, Sequence):
        items = [toml_value(item) for item in cast("Sequence[object]", value)]
        return None if None in items else f"[{', '.join(item for item in items if item is not None)}]"
    return None


def _toml_text(text: str) -> str | None:
    """Return a basic string: JSON's escapes are TOML's too, but for the one control character that JSON leaves bare."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return None
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
