"""Arrays made of buffers are those that Arrow makes of the same values, and no pandas is imported for them."""

from __future__ import annotations

import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.runs.arrow_arrays import arrow_array
from harness.runs.record_table import _arrow_schema

SCALARS = {
    pa.string(): st.text(),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False) | st.integers(-(2**53), 2**53),
    pa.bool_(): st.booleans(),
}


def _values(kind):
    if pa.types.is_struct(kind):
        return st.none() | st.fixed_dictionaries({}, optional={field.name: _values(field.type) for field in kind})
    if pa.types.is_list(kind):
        return st.none() | st.lists(_values(kind.value_type), max_size=3)
    return st.none() | SCALARS[kind]


KINDS = sorted(set(_arrow_schema(pa, None).types), key=str)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_every_kind_of_column_is_what_arrow_makes_of_it(kind):
    @settings(max_examples=30)
    @given(st.lists(_values(kind), max_size=10))
    def holds(values):
        ours = arrow_array(values, kind)

        ours.validate(full=True)
        assert pa.array(values, type=kind).equals(ours)

    holds()


@pytest.mark.parametrize(("value", "kind"), [("\ud800", pa.string()), (2**63, pa.int64())])
def test_what_arrow_cannot_hold_is_refused(value, kind):
    with pytest.raises((UnicodeEncodeError, OverflowError)):
        arrow_array([value], kind)


def test_a_table_is_written_without_pandas(tmp_path):
    code = (
        "import sys; from pathlib import Path; from harness.runs.record_table import write_parquet\n"
        "from harness.values import Components, Generation, Record, Sample, Score\n"
        "record = Record(Sample('1', 'shapes', 'accepted'), Generation('red'), Score(1.0, 'red', Components()))\n"
        f"write_parquet(Path({str(tmp_path / 'table.parquet')!r}), [record])\n"
        "sys.exit('pandas' in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
