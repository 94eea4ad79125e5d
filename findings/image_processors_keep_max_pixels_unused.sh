#!/usr/bin/env bash
# transformers 5.24.0: six image processors with a pixel grid take `max_pixels` when they are made, and never use it.
#
# Thirteen image processors that need no PyTorch cut a picture into a grid and bound its pixels by `size`, whose
# `shortest_edge` and `longest_edge` are pixel counts there. Seven turn the older names `min_pixels` and `max_pixels`
# into that. The other six keep them as attributes that can be read back, and cut the picture as if nothing had been
# said: no error, no warning. Given to the call in place of the constructor, the same name is refused. And ERNIE's
# `get_number_of_image_patches` heeds it, so it counts other patches than the processor makes.
#
# Seen with Python 3.11 (a picture of 1600 x 1200; with max_pixels=78400 made, called, counted):
#   Qwen2VL: 4920 patches; made 352, called 352, counted 352
#   CohereCompass: 4920 patches; made 352, called 352, counted 352
#   GlmImage: 936 patches; made 80, called 80, counted 80
#   HunYuanVL: 7600 patches; made 280, called 280, counted 280
#   HYV4VL: 7600 patches; made 280, called 280, counted 280
#   PaddleOCRVL: 9804 patches; made 352, called 352, counted 352
#   VideoLlama3: 5002 patches; made 391, called 391, counted 391
#   Cosmos3Edge: 7600 patches; made 7600, called refused, counted 7600
#   Ernie4_5_VLMoe: 9804 patches; made 9804, called refused, counted 352
#   Glm4v: 9804 patches; made 9804, called refused, counted 9804
#   Glm46V: 9804 patches; made 9804, called refused, counted 9804
#   Glm5Next: 9976 patches; made 9976, called refused, counted 9976
#   Glmga: 9804 patches; made 9804, called refused, counted 9804
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet transformers==5.24.0 pillow==12.0.0 >&2

cat > "$place/limits.py" <<'PYTHON'
from importlib import import_module

from PIL import Image

HEEDED = {
    "Qwen2VL": "qwen2_vl",
    "CohereCompass": "cohere_compass",
    "GlmImage": "glm_image",
    "HunYuanVL": "hunyuan_vl",
    "HYV4VL": "hy_v4_vl",
    "PaddleOCRVL": "paddleocr_vl",
    "VideoLlama3": "video_llama_3",
}
KEPT_UNUSED = {
    "Cosmos3Edge": "cosmos3_edge",
    "Ernie4_5_VLMoe": "ernie4_5_vl_moe",
    "Glm4v": "glm4v",
    "Glm46V": "glm46v",
    "Glm5Next": "glm5_next",
    "Glmga": "glmga",
}
LIMIT = 100 * 28 * 28
PICTURE = Image.new("RGB", (1600, 1200), "white")


def patches(processor, **limits):
    """Return how many patches a call makes of the picture, or that it refuses."""
    try:
        _, down, across = processor(PICTURE, return_tensors="np", **limits)["image_grid_thw"][0].tolist()
    except TypeError:
        return "refused"
    return down * across


def counted(processor, **limits):
    """Return how many patches the processor says that it would make; some say it as rows and columns."""
    found = processor.get_number_of_image_patches(PICTURE.height, PICTURE.width, limits)
    return found if isinstance(found, int) else found[0] * found[1]


for name, module in (HEEDED | KEPT_UNUSED).items():
    processors = import_module(f"transformers.models.{module}.image_processing_pil_{module}")
    made = getattr(processors, f"{name}ImageProcessorPil")
    free, limited = made(), made(max_pixels=LIMIT)
    facts = patches(free), patches(limited), patches(free, max_pixels=LIMIT), counted(free, max_pixels=LIMIT)
    print("{}: {} patches; made {}, called {}, counted {}".format(name, *facts))
    if name in HEEDED:
        assert facts[1] == facts[2] == facts[3] < facts[0], facts
    else:
        assert limited.max_pixels == LIMIT and facts[1] == facts[0] and facts[2] == "refused", facts
        assert (facts[3] < facts[0]) == (name == "Ernie4_5_VLMoe"), facts
PYTHON
"$place/venv/bin/python" -W ignore "$place/limits.py"
