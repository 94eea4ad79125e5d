#!/usr/bin/env bash
# lmms-eval 0.7.3, MathVista: to the hub's rows no answer of the type float is ever right, not even the gold itself.
#
# The column `precision` of AI4Math/MathVista is float64 (its card says so), so a row holds 1.0. The scorer calls
# round(1.2, 1.0), which raises a TypeError; an `except Exception` makes None of it, and "None" is not "1.2". With a
# precision of 1 the same answers are scored as the benchmark's authors do. Integers and options are not touched by it.
#
# Seen with Python 3.11:
#   precision 1.0: answers 1.2, 0.5, 3.14 to golds 1.2, 0.5, 3.1: wrong, wrong, wrong
#   precision 1: the same: right, right, right
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet loguru==0.7.3 pyyaml==6.0.3 levenshtein==0.27.1 pyarrow==22.0.0 >&2
"$place/venv/bin/python" -m pip install --quiet --no-deps lmms-eval==0.7.3 >&2

cat > "$place/floats.py" <<'PYTHON'
import importlib.metadata
import importlib.util
import sys
import types

import pyarrow as pa

# the task's own module alone: the package would import torch and every model. Numbers never reach the judge.
judge = types.ModuleType("lmms_eval.llm_judge")
judge.Request = judge.ServerConfig = lambda **settings: settings
judge.get_server = lambda **settings: None
sys.modules |= {"lmms_eval": types.ModuleType("lmms_eval"), "lmms_eval.llm_judge": judge}
path = importlib.metadata.distribution("lmms-eval").locate_file("lmms_eval/tasks/mathvista/mathvista_evals.py")
spec = importlib.util.spec_from_file_location("mathvista_evals", path)
task = importlib.util.module_from_spec(spec)
spec.loader.exec_module(task)
scorer = task.MathVistaEvaluator()

ANSWERS, GOLDS = ("1.2", "0.5", "3.14"), ("1.2", "0.5", "3.1")


def right(answer, gold, precision):
    """Score as mathvista_process_results does."""
    row = {"question_type": "free_form", "answer_type": "float", "query": "", "choices": None}
    extracted = scorer.extract_answer(answer, row)
    found = scorer.normalize_extracted_answer(extracted, None, row["question_type"], row["answer_type"], precision)
    return scorer.safe_equal(found, gold)


# float64, as a column of decimals and missing values is stored
stored = pa.table({"precision": pa.array([1.0, None], pa.float64())}).to_pylist()[0]["precision"]
for precision, wanted in ((stored, False), (1, True)):
    verdicts = [right(answer, gold, precision) for answer, gold in zip(ANSWERS, GOLDS)]
    print(f"precision {precision}: {', '.join('right' if one else 'wrong' for one in verdicts)}")
    if verdicts != [wanted] * len(ANSWERS):
        sys.exit("lmms-eval behaves differently now: see the head of this file")
PYTHON

"$place/venv/bin/python" "$place/floats.py"
