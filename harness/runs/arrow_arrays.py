"""Make Arrow arrays of Python values from their buffers.

`pyarrow.array` does it too, but imports pandas wherever there is one, which takes longer than all columns of most runs.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np


def arrow_array(values: Sequence[Any], kind: Any) -> Any:
    """Return Python values as an Arrow array of a kind that a table of records has, null where they are None.

    Raises:
        UnicodeEncodeError: A text holds a lone surrogate.
        OverflowError: A whole number has more than 64 bits.
    """
    pa: Any = importlib.import_module("pyarrow")  # untyped library
    there = [value is not None for value in values]
    valid = None if all(there) else _bits(there)
    if pa.types.is_struct(kind):
        given = [{} if value is None else value for value in values]
        fields = [arrow_array([value.get(field.name) for value in given], field.type) for field in kind]
        return pa.Array.from_buffers(kind, len(values), [valid], children=fields)
    if pa.types.is_list(kind):
        items = arrow_array([item for value in values if value is not None for item in value], kind.value_type)
        buffers = [valid, _offsets([len(value or ()) for value in values])]
        return pa.Array.from_buffers(kind, len(values), buffers, children=[items])
    if pa.types.is_string(kind):
        texts = [b"" if value is None else value.encode("utf-8") for value in values]
        buffers = [valid, _offsets([len(text) for text in texts]), _buffer(b"".join(texts))]
        return pa.Array.from_buffers(kind, len(values), buffers)
    numbers = [0 if value is None else value for value in values]
    if pa.types.is_boolean(kind):
        return pa.Array.from_buffers(kind, len(values), [valid, _bits(numbers)])
    data = np.array(numbers, dtype=np.int64 if pa.types.is_int64(kind) else np.float64)
    return pa.Array.from_buffers(kind, len(values), [valid, _buffer(data)])


def _bits(truths: Sequence[Any]) -> Any:
    """Return a bit for each value, as Arrow stores what is there and what is true."""
    return _buffer(np.packbits(np.array(truths, dtype=np.bool_), bitorder="little"))


def _offsets(lengths: Sequence[int]) -> Any:
    """Return where each of values of these lengths begins, and where the last one ends."""
    ends = np.cumsum([0, *lengths])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError("a row group holds more than Arrow's offsets can count")
    return _buffer(ends.astype(np.int32))


def _buffer(data: Any) -> Any:
    return importlib.import_module("pyarrow").py_buffer(data)
