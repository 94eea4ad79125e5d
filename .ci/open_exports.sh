#!/bin/sh
# Export a run and open each export with its own tool: what CI cannot install (inspect-ai bounds fsspec, trackio Pillow).
#
#     .ci/open_exports.sh RUN [FOLDER]
#
# PYTHON: a Python that has the tools; without it one is made in FOLDER/venv, with the versions below.
# EVERY_EVAL_EVER: a checkout of github.com/evaleval/every_eval_ever (it is on no index); without it that part is left out.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
run=$1
folder=${2:-$(mktemp -d)}
mkdir -p "$folder"
folder=$(cd "$folder" && pwd)
run=$(cd "$run" && pwd)
python=${PYTHON:-$folder/venv/bin/python}
if [ -z "${PYTHON:-}" ]; then
  python3 -m venv "$folder/venv"
  "$python" -m pip install -q inspect-ai==0.3.285 pandas==3.1.1 lm-eval==0.4.13 trackio==0.43.0 rich jsonschema
  "$python" -m pip install -q click filelock jinja2 lark markupsafe mpmath msgspec numpy pillow pyarrow pyyaml scipy sympy
fi
for kind in inspect every-eval-ever lm-eval datasets; do
  satori-bench export "$kind" "$run" -o "$folder/$kind"
done > "$folder/files.txt"
mkdir -p "$folder/trackio"
export TRACKIO_DIR="$folder/trackio" HF_HUB_OFFLINE=1
(cd "$here/.." && PYTHONSAFEPATH= "$python" -m satori_bench export trackio "$run") > /dev/null
PYTHONPATH= "$python" "$here/open_exports.py" "$run" "$folder"
if [ -n "${EVERY_EVAL_EVER:-}" ]; then
  (cd "$folder/every-eval-ever" && PYTHONPATH="$EVERY_EVAL_EVER" "$python" -m every_eval_ever.validate data/*/*/*/*.json*)
else
  echo "every_eval_ever: not checked (EVERY_EVAL_EVER names no checkout)"
fi
