"""What `probe` keeps of each edited picture: a line of `probes.jsonl` beside the run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, TypeAlias

import msgspec

from harness.probes.fills import Fill, Operation
from harness.probes.variants import Target
from harness.values import Count, Share

PROBES_NAME: Final = "probes.jsonl"
"""The file, one line an edited picture, in the order of the run."""
PROBE_SCORES_NAME: Final = "probes.json"
"""What the lines come to."""

Edge: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]
Edges: TypeAlias = tuple[Edge, Edge, Edge, Edge]


class ProbeRecord(msgspec.Struct, kw_only=True, frozen=True, omit_defaults=True):
    """What came of one question about one edited picture."""

    task: str
    """Short task name."""
    id: str
    """Sample id."""
    operation: Operation
    """What was done to the picture."""
    target: Target = "none"
    """To whose region."""
    k: Count = 0
    """Which control, from 1; 0 for what is none."""
    step: Count = 0
    """Whose step's region it is, or controls for, from 1; 0 for what is no step's."""
    fill: Fill = "mean"
    """By which colour."""
    boxes_px: tuple[Edges, ...] = ()
    """The region in pixels of the original; right and bottom are the first left out."""
    source_px: tuple[Edges, ...] = ()
    """What was pasted into each box, of its shape; empty where nothing was."""
    expected: tuple[str, ...] = ()
    """Accepted answers to what was pasted; empty where they are not known, or nothing was."""
    area_share: Share = 0.0
    """Share of the picture that it is."""
    overlap_with_named: Share = 0.0
    """Share of the named region that it covers."""
    text: str = ""
    """What the model wrote; empty where it was refused."""
    answer: str | None = None
    """The answer in it; None where there is none."""
    is_same: bool = False
    """Whether the answer is that of the run; a text without an answer is not."""
    follows: bool | None = None
    """Whether the answer is that of what was pasted; where that is not known, whether it is another than the run's.
    None of other edits."""
    is_format_ok: bool = False
    """Whether the text keeps to the format."""
    value: Share | None = None
    """What the scorer gives it; None where it gives nothing."""
    p_original: Share | None = None
    """Probability of the run's answer after the text that was written anew, up to the answer; None where the backend
    gives none, or nothing begins an answer."""
    error: str | None = None
    """Why there is no text."""


_DECODER: Final = msgspec.json.Decoder(ProbeRecord)


def probe_lines(records: Iterable[ProbeRecord]) -> bytes:
    """Return the file's content."""
    return b"".join(msgspec.json.encode(record) + b"\n" for record in records)


def read_probes(content: bytes, where: str) -> list[ProbeRecord]:
    """Return the records of a file's content.

    Raises:
        ValueError: A line is none; names it.
    """
    records: list[ProbeRecord] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            records.append(_DECODER.decode(line))
        except (msgspec.MsgspecError, UnicodeDecodeError) as fault:
            raise ValueError(f"{where} line {number} is no probe record: {fault}") from fault
    return records
