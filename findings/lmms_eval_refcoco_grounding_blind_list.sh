#!/usr/bin/env bash
# lmms-eval 0.7.3, task refcoco_grounding: one fixed list of boxes, the same for every picture, gets ACC@0.5 of 0.77.
#
# The prompt asks for "every object that matches", and of all boxes in the answer the scorer keeps the one that lies
# best on the gold box, as pixels or as thousandths, whichever lies better. Wrong boxes cost nothing and no number of
# them is too many. So an answer that never looked at the picture scores higher the more boxes it lists. Gold boxes here
# are 500 drawn ones of 64 to 400 pixels in a picture of 640 x 480.
#
# Seen with Python 3.11:
#   1 box: ACC@0.5 0.002, mean IoU 0.178
#   9 boxes: ACC@0.5 0.366, mean IoU 0.416
#   100 boxes: ACC@0.5 0.772, mean IoU 0.572
#   625 boxes: ACC@0.5 0.970, mean IoU 0.660
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet loguru==0.7.3 pillow==12.0.0 >&2
"$place/venv/bin/python" -m pip install --quiet --no-deps lmms-eval==0.7.3 >&2

cat > "$place/blind.py" <<'PYTHON'
import importlib.metadata
import importlib.util
import json
import random

from PIL import Image

# the task's own module alone: the package would import torch and every model
path = importlib.metadata.distribution("lmms-eval").locate_file("lmms_eval/tasks/refcoco_grounding/utils.py")
spec = importlib.util.spec_from_file_location("refcoco_grounding", path)
task = importlib.util.module_from_spec(spec)
spec.loader.exec_module(task)

PICTURE = Image.new("RGB", (640, 480))
draw = random.Random(0)


def gold():
    """Return x, y, width and height of a box, in pixels."""
    width, height = draw.randint(64, 400), draw.randint(64, 400)
    return [draw.randint(0, 640 - width), draw.randint(0, 480 - height), width, height]


def tiles(sides):
    """Return boxes of all these sides, in thousandths, every half a side."""
    return [
        [x, y, x + width, y + height]
        for width in sides
        for height in sides
        for x in range(0, 1001 - width, width // 2)
        for y in range(0, 1001 - height, height // 2)
    ]


GOLDS = [gold() for _ in range(500)]
for sides in ([1000], [500], [250, 500], [150, 250, 400, 600]):
    boxes = tiles(sides)
    answer = json.dumps([{"bbox_2d": box, "label": "it"} for box in boxes])
    rows = [{"answer": "it", "bbox": box, "image": PICTURE, "question_id": 0} for box in GOLDS]
    scored = [task.refcoco_grounding_process_result(row, [answer]) for row in rows]
    right = task.refcoco_grounding_acc05([row["refcoco_grounding_ACC@0.5"] for row in scored])
    iou = task.refcoco_grounding_iou([row["refcoco_grounding_IoU"] for row in scored])
    print(f"{len(boxes)} box{'es' if len(boxes) > 1 else ''}: ACC@0.5 {right:.3f}, mean IoU {iou:.3f}")
PYTHON
found=$("$place/venv/bin/python" "$place/blind.py")
echo "$found"
[ "$found" = "1 box: ACC@0.5 0.002, mean IoU 0.178
9 boxes: ACC@0.5 0.366, mean IoU 0.416
100 boxes: ACC@0.5 0.772, mean IoU 0.572
625 boxes: ACC@0.5 0.970, mean IoU 0.660" ]
