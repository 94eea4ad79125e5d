#!/usr/bin/env bash
# lmms-eval 0.7.3: CV-Bench takes the first letter of an answer for the option, and none of its tasks gives the official
# number.
#
# `tasks/cv_bench/utils.py` reads an option with the pattern `[\(\s]*([A-Z])` and IGNORECASE at the start of the text,
# without a mark behind the letter and without a look at how many options the row has: whatever the text begins with is
# the answer. "The answer is (B)" says T and is wrong, "Because ..." says B and is right where B is. BLINK's
# `_extract_answer_letter`, which began as a copy, was mended; this one was not.
#
# CV-Bench's own number is the mean of 2D and 3D, of which 2D is the mean of ADE20K and COCO (Cambrian-1, appendix C).
# `cv_bench_default_aggregate_results` in the same file computes it, and no YAML of the task names it: all three tasks
# use the mean over rows, which weighs the halves by their 1,438 and 1,200 rows.
#
# Seen with Python 3.11:
#   'B' -> B, '(B)' -> B, 'The answer is (B)' -> T, 'Because it is nearer' -> B, 'A dog, so (B)' -> A, '2, which is B' -> ''
#   official number 0.5, the task's 0.75
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet --no-deps lmms-eval==0.7.3 >&2

cat > "$place/first_letter.py" <<'PYTHON'
import runpy

from importlib.metadata import files

folder = next(one for one in files("lmms-eval") if str(one).endswith("tasks/cv_bench/utils.py")).locate().parent
utils = runpy.run_path(str(folder / "utils.py"))

TEXTS = {
    "B": "B",
    "(B)": "B",
    "The answer is (B)": "T",
    "Because it is nearer": "B",
    "A dog, so (B)": "A",
    "2, which is B": "",
}
row = {"answer": "(B)", "idx": 0, "type": "2D", "task": "Count", "source": "COCO"}
for text, letter in TEXTS.items():
    found = utils["cv_bench_process_results"](row, [text])["cv_bench_acc"]["pred_parsed"]
    print(f"{text!r} -> {found or repr('')}")
    assert found == letter, text

rows = [{"source": source, "is_correct": right} for source, right in
        (("ADE20K", True), ("ADE20K", True), ("COCO", True), ("Omni3D", False))]
official, used = (utils[name](rows) for name in ("cv_bench_default_aggregate_results", "cv_bench_aggregate_results"))
print(f"official number {official}, the task's {used}")
assert (official, used) == (0.5, 0.75)
named = "".join(path.read_text() for path in folder.rglob("*yaml"))
assert "cv_bench_aggregate_results" in named and "cv_bench_default_aggregate_results" not in named

PYTHON
"$place/venv/bin/python" -W ignore "$place/first_letter.py"
