#!/usr/bin/env bash
# transformers 5.24.0: a processor class that it does not know makes AutoProcessor return a bare tokenizer, without a word.
#
# One folder with a CLIP configuration, a tokenizer and an image processor. Where preprocessor_config.json names no
# processor_class, AutoProcessor goes by the model type and returns a CLIPProcessor. Where it names one that this version
# does not have (another version's, or a fork's), it does not go by the model type: it tries AutoTokenizer, and returns
# that. Nothing is raised or logged; what fails is the first call with a picture, far from the cause.
#
# Seen with Python 3.11:
#   processor_class not given: CLIPProcessor
#   processor_class CLIPProcessor: CLIPProcessor
#   processor_class CLIPTextImageProcessor: TokenizersBackend
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet transformers==5.24.0 tokenizers==0.23.3 pillow==12.0.0 >&2

cat > "$place/load.py" <<'PYTHON'
import json
import pathlib
import sys

from tokenizers import Tokenizer, models
from transformers import AutoProcessor

folder = pathlib.Path(sys.argv[1])
folder.mkdir()
(folder / "config.json").write_text(json.dumps({"model_type": "clip"}))
Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>")).save(str(folder / "tokenizer.json"))
(folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
for name in (None, "CLIPProcessor", "CLIPTextImageProcessor"):
    settings = {"image_processor_type": "CLIPImageProcessor"} | ({"processor_class": name} if name else {})
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    print(f"processor_class {name or 'not given'}: {type(AutoProcessor.from_pretrained(folder)).__name__}")
PYTHON
found=$(HF_HUB_OFFLINE=1 "$place/venv/bin/python" "$place/load.py" "$place/clip" 2> "$place/log" || cat "$place/log" >&2)
echo "$found"
[ "$found" = "processor_class not given: CLIPProcessor
processor_class CLIPProcessor: CLIPProcessor
processor_class CLIPTextImageProcessor: TokenizersBackend" ]
