#!/usr/bin/env bash
# lmms-eval 0.7.3, task mmmu_val: pictures are put in the order of their numbers, whatever number stands where; and where
# a question names a picture twice, the text between the two is not asked.
#
# A question of MMMU names its pictures in the text, as <image 2>. The task takes the pictures that are named, sorts them
# by number, and deals them out to the places in turn. "First <image 2>, then <image 1>" so shows the first picture at
# the place of the second. A picture that is named twice is one picture for two places: the text is cut at both, and
# what lies between them goes into no message.
#
# Seen with Python 3.11:
#   First <image 2>, then <image 1>. Which way did it move? -> First | image 1 | , then | image 2 | . Which way did it move?
#   In <image 1> the bar rises. When is <image 1> highest? -> In | image 1 | highest?
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet loguru==0.7.3 pillow==12.0.0 pyyaml==6.0.3 numpy==2.3.5 >&2
"$place/venv/bin/python" -m pip install --quiet --no-deps lmms-eval==0.7.3 >&2

cat > "$place/ask.py" <<'PYTHON'
import importlib.metadata
import importlib.util
import sys
import types

from PIL import Image

tasks = importlib.metadata.distribution("lmms-eval").locate_file("lmms_eval/tasks")
# the folder alone: the package's own first lines import torch and every model; the judge is not asked here
package = types.ModuleType("lmms_eval.tasks")
package.__path__ = [str(tasks)]
sys.modules["lmms_eval.tasks"] = package
for name in ("lmms_eval.verifiers", "lmms_eval.verifiers.openai"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["lmms_eval.verifiers"].VerificationPipeline = sys.modules["lmms_eval.verifiers.openai"].OpenAIVerifier = None
spec = importlib.util.spec_from_file_location("mmmu", tasks / "mmmu/utils.py")
task = importlib.util.module_from_spec(spec)
spec.loader.exec_module(task)

PICTURES = {f"image_{number}": Image.new("RGB", (8 * number, 8)) for number in (1, 2)}
WORDS = {"multiple_choice_prompt": "", "open_ended_prompt": "", "prompt_type": "format"}
for question in (
    "First <image 2>, then <image 1>. Which way did it move?",
    "In <image 1> the bar rises. When is <image 1> highest?",
):
    row = {"question": question, "question_type": "open", "options": "[]", **PICTURES}
    (turn,) = task.mmmu_doc_to_messages(row, WORDS)
    parts = [part["text"] if part["type"] == "text" else f"image {part['url'].width // 8}" for part in turn["content"]]
    print(question, "->", " | ".join(parts))
PYTHON
found=$("$place/venv/bin/python" "$place/ask.py")
echo "$found"
[ "$found" = "First <image 2>, then <image 1>. Which way did it move? -> First | image 1 | , then | image 2 | . Which way did it move?
In <image 1> the bar rises. When is <image 1> highest? -> In | image 1 | highest?" ]
