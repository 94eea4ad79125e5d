#!/usr/bin/env bash
# transformers 5.24.0: the pixel limits of GLM-4.xV's image processor count a still picture as two frames.
#
# `size = {"shortest_edge": ..., "longest_edge": ...}` means pixel counts for Qwen2-VL's image processor and for GLM's,
# with the same patches of 14 pixels merged 2 x 2. Qwen2-VL's holds the pixels of the resized picture between the two.
# GLM's holds twice those pixels between them, as if the picture were a video of two frames; what it returns is one
# (`image_grid_thw` starts with 1). So a `size` copied from one to the other halves the picture, or does not enlarge a
# small one that far. The docstring does not say so.
#
# Seen with Python 3.11 (pixels of the resized picture):
#   1600 x 1200, longest_edge 1000000: Qwen2VL 964320, Glm4v 477456, Glm46V 477456
#   1000 x 990, longest_edge 1000000: Qwen2VL 987840, Glm4v 490000, Glm46V 490000
#   300 x 200, shortest_edge 100000: Qwen2VL 109760, Glm4v 60368, Glm46V 60368
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet transformers==5.24.0 pillow==12.0.0 >&2

cat > "$place/limits.py" <<'PYTHON'
from importlib import import_module

from PIL import Image

PROCESSORS = {"Qwen2VL": "qwen2_vl", "Glm4v": "glm4v", "Glm46V": "glm46v"}


def pixels(name, size, picture):
    """Return the pixels of the picture after resizing, which must be one frame."""
    processors = import_module(f"transformers.models.{PROCESSORS[name]}.image_processing_pil_{PROCESSORS[name]}")
    processor = getattr(processors, f"{name}ImageProcessorPil")(size=size)
    frames, down, across = processor(picture, return_tensors="np")["image_grid_thw"][0].tolist()
    assert frames == 1
    return down * across * processor.patch_size**2


CASES = [(1600, 1200, 1, 1_000_000), (1000, 990, 1, 1_000_000), (300, 200, 100_000, 2_000_000)]
for width, height, least, most in CASES:
    picture, size = Image.new("RGB", (width, height)), {"shortest_edge": least, "longest_edge": most}
    found = {name: pixels(name, size, picture) for name in PROCESSORS}
    limit = f"longest_edge {most}" if least == 1 else f"shortest_edge {least}"
    print(f"{width} x {height}, {limit}: " + ", ".join(f"{name} {count}" for name, count in found.items()))
    assert least <= found["Qwen2VL"] <= most
    for name in ("Glm4v", "Glm46V"):
        assert least <= 2 * found[name] <= most and found[name] < 0.6 * found["Qwen2VL"]
PYTHON
"$place/venv/bin/python" -W ignore "$place/limits.py"
