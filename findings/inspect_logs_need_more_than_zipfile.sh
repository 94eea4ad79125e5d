#!/usr/bin/env bash
# inspect-ai 0.3.285: a .eval log is a zip file that Python's own zipfile cannot read before Python 3.14.
#
# The log's format is described as a zip of JSON, and was packed with deflate. Its members are Zstandard now (method 93
# of the zip standard): `zipfile.ZipFile(log).read("header.json")` lists all members and raises NotImplementedError at
# the first one that is read; Info-ZIP's unzip 6.0 skips them. inspect-ai itself reads it since it patches zipfile on import.
# What is there to read it with: inspect-ai, Python 3.14, a Zstandard library, or the log's other form (log_format="json").
#
# Seen with Python 3.11:
#   success, methods of compression: [93], zipfile: NotImplementedError
#   and in the same Python, with inspect_ai imported: {"version":2, ...
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet inspect-ai==0.3.285 >&2

cat > "$place/write.py" <<'PYTHON'
import sys

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelOutput, ModelUsage, get_model
from inspect_ai.scorer import match

answer = ModelOutput.from_content("mockllm/model", "4")
answer.usage = ModelUsage(input_tokens=5, output_tokens=1, total_tokens=6)  # else it asks the net for a tokenizer
model = get_model("mockllm/model", custom_outputs=[answer])
(log,) = eval(
    Task(dataset=[Sample(input="2 + 2?", target="4")], scorer=match()), model=model, log_dir=sys.argv[1], display="none"
)
print(log.status)
PYTHON
cat > "$place/read.py" <<'PYTHON'
import pathlib
import sys
import zipfile

(path,) = pathlib.Path(sys.argv[1]).glob("*.eval")
if "patched" in sys.argv:
    import inspect_ai.log
file = zipfile.ZipFile(path)
try:
    said = file.read("header.json")[:12].decode()
except NotImplementedError as fault:
    said = type(fault).__name__
print(sorted({info.compress_type for info in file.infolist()}), said)
PYTHON
cd "$place"
found=$("$place/venv/bin/python" write.py "$place/logs" && "$place/venv/bin/python" read.py "$place/logs" &&
  "$place/venv/bin/python" read.py "$place/logs" patched)
echo "$found"
[ "$found" = 'success
[93] NotImplementedError
[93] {"version":2' ]
