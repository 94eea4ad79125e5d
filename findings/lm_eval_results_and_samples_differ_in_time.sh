#!/usr/bin/env bash
# lm-eval 0.4.13: the results and the samples of one evaluation do not have the same time for lm-eval's own reader.
#
# `EvaluationTracker` writes `results_<time>.json` and `samples_<task>_<time>.jsonl` with one `date_id`. Whoever puts them
# together again asks `lm_eval.utils.get_file_datetime` for the time in a name: it takes the ending `.jsonl` off and
# leaves `.json` on, so the time of the results is `<time>.json`. `recreate_metadata_card`, whose comment says that both
# have the same time, compares them for equality, and so lists no file of results in the card that it writes.
#
# Seen with Python 3.11:
#   results_2026-01-02T03-04-05.678901.json -> 2026-01-02T03-04-05.678901.json
#   samples_mmlu_2026-01-02T03-04-05.678901.jsonl -> 2026-01-02T03-04-05.678901
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet lm-eval==0.4.13 >&2

cat > "$place/times.py" <<'PYTHON'
import sys
from pathlib import Path

from lm_eval.loggers import EvaluationTracker
from lm_eval.utils import get_file_datetime, get_results_filenames, get_sample_results_filenames

place = Path(sys.argv[1])
tracker = EvaluationTracker(output_path=str(place))
tracker.general_config_tracker.model_name_sanitized = "m"
row = {"doc_id": 0, "target": "a", "arguments": [("?", {})], "resps": [["a"]], "filtered_resps": ["a"],
       "doc_hash": "0", "prompt_hash": "0", "target_hash": "0"}
tracker.save_results_aggregated(results={"results": {"mmlu": {"acc,none": 1.0}}}, samples={"mmlu": [dict(row)]})
tracker.save_results_samples("mmlu", [dict(row)])
written = [str(path) for path in (place / "m").iterdir()]
(results,), (samples,) = get_results_filenames(written), get_sample_results_filenames(written)
for name in (results, samples):
    print(f"{Path(name).name} -> {get_file_datetime(Path(name).name)}")
assert get_file_datetime(results) == get_file_datetime(samples) + ".json"
assert get_file_datetime(samples) == tracker.date_id
PYTHON
"$place/venv/bin/python" -W ignore "$place/times.py" "$place"
