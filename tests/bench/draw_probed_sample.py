"""Draw the picture of docs/probes.md: one probed Shapes sample, its edits, what a model said to each, the three numbers.

Pictures are made by the generator and by the code that `probe` edits with; texts and probabilities are those of the
run's `probes.jsonl`.

    python -P tests/bench/draw_probed_sample.py RUN SAMPLE_ID > docs/probed_sample.svg
"""

from __future__ import annotations

import base64
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import cast
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image

from harness.images.grid import to_rgb
from harness.probes.fills import Fill, Operation, Pixels, edited
from harness.probes.probe_records import ProbeRecord
from harness.probes.stored import stored_edits
from harness.probes.variants import Target
from harness.runs.store import load_run
from harness.values import Sample
from tasks.images import open_image
from tasks.shapes import Profile, Split, generate

FILL: Fill = "mean"
PANEL_PX, GAP_PX, LINE_PX, SIDE_PX = 190, 24, 18, 14
COLUMNS = 2
PANELS: tuple[tuple[str, Operation, Target], ...] = (
    ("the box that it named", "repeat", "none"),
    ("whole picture gone", "blank", "none"),
    ("named box removed", "remove", "named"),
    ("a random box removed", "remove", "random"),
    ("named box alone", "keep", "named"),
    ("a random box alone", "keep", "random"),
)
STYLE = (
    "text{font:14px system-ui,sans-serif;fill:#111}.head{font-weight:600}.said{fill:#333}"
    "image{image-rendering:pixelated}.box{fill:none;stroke:#111;stroke-width:2;stroke-dasharray:5 3}"
    ".frame{fill:none;stroke:#999}"
)


def pixels_of(sample_id: str) -> Pixels:
    _, profile, split, seed, index = sample_id.split("-")
    row = generate(cast("Profile", profile), cast("Split", split), int(index), int(seed))
    return np.asarray(to_rgb(open_image({"bytes": row.png()})), dtype=np.uint8)


def png(pixels: Pixels) -> str:
    stream = io.BytesIO()
    Image.fromarray(pixels).quantize(16).save(stream, format="PNG", optimize=True)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def of_kind(lines: Sequence[ProbeRecord], operation: Operation, target: Target) -> list[ProbeRecord]:
    return [
        line
        for line in lines
        if (line.operation, line.target) == (operation, target) and (operation == "repeat" or line.fill == FILL)
    ]


def kept(lines: Sequence[ProbeRecord]) -> float:
    return fmean(line.p_original or 0.0 for line in lines)


def said(lines: Sequence[ProbeRecord]) -> str:
    stays = sum(line.is_same for line in lines)
    answers = f"“{lines[0].answer}”" if len(lines) == 1 else f"stays {stays} of {len(lines)} times"
    return f"{answers} · p {kept(lines):.2f}"


def panel(place: int, title: str, lines: Sequence[ProbeRecord], pixels: Pixels, named: Sequence[ProbeRecord]) -> str:
    left = SIDE_PX + place % COLUMNS * (PANEL_PX + GAP_PX)
    top = 3 * LINE_PX + place // COLUMNS * (PANEL_PX + 3 * LINE_PX + 8)
    first = lines[0]
    drawn = png(edited(pixels, first.operation, first.boxes_px, FILL))
    scale = PANEL_PX / pixels.shape[1]
    boxes = "".join(
        f'<rect class="box" x="{left + x1 * scale:.1f}" y="{top + y1 * scale:.1f}" '
        f'width="{(x2 - x1) * scale:.1f}" height="{(y2 - y1) * scale:.1f}"/>'
        for x1, y1, x2, y2 in (named[0].boxes_px if first.operation == "repeat" else first.boxes_px)
    )
    below = top + PANEL_PX + LINE_PX
    return (
        f'<image x="{left}" y="{top}" width="{PANEL_PX}" height="{PANEL_PX}" href="data:image/png;base64,{drawn}"/>'
        f'<rect class="frame" x="{left}" y="{top}" width="{PANEL_PX}" height="{PANEL_PX}"/>{boxes}'
        f'<text class="head" x="{left}" y="{below}">{escape(title)}</text>'
        f'<text class="said" x="{left}" y="{below + LINE_PX}">{escape(said(lines))}</text>'
    )


def drawing(sample: Sample, answer: str, lines: Sequence[ProbeRecord], pixels: Pixels) -> str:
    found = [of_kind(lines, operation, target) for _, operation, target in PANELS]
    again, blank, removed, control, alone, control_alone = map(kept, found)
    numbers = (
        ("necessity", "random removed − named removed", control, removed),
        ("sufficiency", "named alone − random alone", alone, control_alone),
        ("image dependence", "nothing changed − all gone", again, blank),
    )
    width = 2 * SIDE_PX + COLUMNS * PANEL_PX + GAP_PX
    rows = len(PANELS) // COLUMNS
    foot = 3 * LINE_PX + rows * (PANEL_PX + 3 * LINE_PX + 8) + 4
    height = foot + len(numbers) * 2 * LINE_PX + 6
    head = f"“{sample.question}” — the model: “{answer}”"
    body = [f'<text class="head" x="{SIDE_PX}" y="{LINE_PX + 8}">{escape(head)}</text>']
    body += [
        panel(place, title, found[place], pixels, found[2])
        for place, (title, _, _) in enumerate(PANELS)
    ]  # fmt: skip
    for place, (name, meant, high, low) in enumerate(numbers):
        y = foot + place * 2 * LINE_PX
        sum_of = f"{name}: {high:.2f} − {low:.2f} = {high - low:.2f}".replace("-", "−")
        body.append(f'<text class="head" x="{SIDE_PX}" y="{y}">{escape(sum_of)}</text>')
        body.append(f'<text class="said" x="{SIDE_PX}" y="{y + LINE_PX - 2}">{escape(meant)}</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
        f"<title>{escape(sample.id)}</title><style>{STYLE}</style>"
        f'<rect width="{width}" height="{height}" fill="#fff"/>{"".join(body)}</svg>\n'
    )


def main() -> None:
    folder, sample_id = Path(sys.argv[1]), sys.argv[2]
    run = load_run(folder)
    record = next(record for record in run.records() if record.sample.id == sample_id)
    lines = [line for line in stored_edits(run) or () if line.id == sample_id]
    again = of_kind(lines, "repeat", "none")[0]
    sys.stdout.write(drawing(record.sample, again.answer or "", lines, pixels_of(sample_id)))


if __name__ == "__main__":
    main()
