#!/usr/bin/env bash
# supervision 0.31.2: its Qwen2.5-VL and Qwen3-VL readers find no box in a lone JSON object, and find it in a list.
#
# Models write the place of one thing as a list of one object, or as that object alone. The reader cuts the text from
# the first `[` to the last `]` before it parses. Of a lone object that leaves the four numbers of its box, which are no
# object, and an empty result comes back without an error: a model that found the cat is counted as one that found
# nothing. The same object inside another object is read, because there the first `[` opens the list. An `[1]` in a
# sentence before the list loses it too.
#
# Seen with Python 3.11 (number of boxes; the same for qwen_2_5_vl and qwen_3_vl):
#   1 [{"bbox_2d": [100, 50, 300, 200], "label": "cat"}]
#   0 {"bbox_2d": [100, 50, 300, 200], "label": "cat"}
#   1 {"objects": [{"bbox_2d": [100, 50, 300, 200], "label": "cat"}]}
#   0 As in figure [1]: [{"bbox_2d": [100, 50, 300, 200], "label": "cat"}]
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet supervision==0.31.2 numpy==2.4.6 pillow==13.0.0 >&2

cat > "$place/read.py" <<'PYTHON'
import supervision

ONE = '{"bbox_2d": [100, 50, 300, 200], "label": "cat"}'
TEXTS = [f"[{ONE}]", ONE, f'{{"objects": [{ONE}]}}', f"As in figure [1]: [{ONE}]"]


def boxes(reader, text, **sizes):
    """Return how many boxes a reader finds."""
    return len(supervision.Detections.from_vlm(reader, text, resolution_wh=(640, 480), **sizes))


for text in TEXTS:
    found = {boxes("qwen_2_5_vl", text, input_wh=(640, 480)), boxes("qwen_3_vl", text)}
    print(*found, text)
PYTHON
found=$("$place/venv/bin/python" -W ignore "$place/read.py")
echo "$found"
[ "$(cut -d' ' -f1 <<< "$found" | tr '\n' ' ')" = "1 0 1 0 " ]
