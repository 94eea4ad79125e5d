#!/usr/bin/env bash
# inspect-ai 0.3.285: a log with a sample that has no score is no JSON.
#
# `Score.unscored()` is the value for a sample that a scorer could not score: metrics and reducers pass over it. Its value
# is NaN, and both log formats, `.eval` (a zip of `.json` entries) and `.json`, write it as the bare word NaN, which JSON
# does not have (RFC 8259, section 6). Inspect reads it back; a strict reader refuses the whole file or entry, and not the
# one value. One such sample is enough, and the summaries of all samples stand in one entry.
#
# Seen with Python 3.11:
#   .eval: the sample's entry: refused; summaries.json: refused; header.json: read
#   .json: refused
#   read_eval_log gives ['1.0', 'nan'] and ['1.0', 'nan']
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet inspect-ai==0.3.285 orjson==3.11.4 >&2

cat > "$place/unscored.py" <<'PYTHON'
import sys
import zipfile
from pathlib import Path

import orjson
from inspect_ai.log import EvalConfig, EvalDataset, EvalLog, EvalSample, EvalSpec, read_eval_log, write_eval_log
from inspect_ai.scorer import Score


def told(content):
    """Say what a reader that keeps to JSON makes of it."""
    try:
        orjson.loads(content)
    except orjson.JSONDecodeError:
        return "refused"
    return "read"


def sample(name, score):
    return EvalSample(id=name, epoch=1, input="?", target="a", scores={"s": score})


place = Path(sys.argv[1])
spec = EvalSpec(
    created="2026-01-02T03:04:05+00:00", task="t", model="m", dataset=EvalDataset(), config=EvalConfig()
)
samples = [sample("scored", Score(value=1.0)), sample("not", Score.unscored(explanation="the judge failed"))]
log = EvalLog(eval=spec, status="success", samples=samples)
for ending in ("eval", "json"):
    write_eval_log(log, str(place / f"log.{ending}"))
with zipfile.ZipFile(place / "log.eval") as file:
    entries = {name: told(file.read(name)) for name in file.namelist()}
print(f".eval: the sample's entry: {entries['samples/not_epoch_1.json']}; "
      f"summaries.json: {entries['summaries.json']}; header.json: {entries['header.json']}")
whole = told((place / "log.json").read_bytes())
print(f".json: {whole}")
logs = [read_eval_log(str(place / f"log.{ending}")) for ending in ("eval", "json")]
values = [sorted(str(one.scores["s"].value) for one in found.samples) for found in logs]
print(f"read_eval_log gives {values[0]} and {values[1]}")
assert entries["samples/not_epoch_1.json"] == entries["summaries.json"] == whole == "refused"
assert entries["samples/scored_epoch_1.json"] == entries["header.json"] == "read"
assert values == [["1.0", "nan"]] * 2
PYTHON
"$place/venv/bin/python" -W ignore "$place/unscored.py" "$place"
