#!/usr/bin/env bash
# lmms-eval 0.7.3, EMMA: after one answer "I do not know", right answers with a letter in them are wrong from then on.
#
# The task compares by latex2sympy2 1.9.1, which reads "do" as a differential, as in "dx", and in doing so puts a symbol
# into the module's table of variables. Until the process ends every text with a letter then raises a TypeError, which
# the scorer takes for "not equal". So a sample's score hangs on what was answered to the samples before it, and on
# their order. "Monday", "the door" and "dog" do the same; plain numbers are not touched. STARE compares in the same way.
#
# Seen with Python 3.11:
#   x=10 for 10: right; n=\frac{1}{2} for 0.5: right
#   I do not know for 5: wrong
#   x=10 for 10: wrong; n=\frac{1}{2} for 0.5: wrong
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet latex2sympy2==1.9.1 sympy==1.14.0 word2number==1.1 pyyaml==6.0.3 >&2
"$place/venv/bin/python" -m pip install --quiet --no-deps lmms-eval==0.7.3 >&2

cat > "$place/order.py" <<'PYTHON'
import importlib.metadata
import importlib.util
import sys
import types

# the task's own module alone: the package would import torch and every model. No judge is asked here.
judge, protocol = types.ModuleType("lmms_eval.llm_judge"), types.ModuleType("lmms_eval.llm_judge.protocol")
judge.get_server = lambda **settings: None
protocol.ServerConfig = lambda **settings: settings
sys.modules |= {"lmms_eval": types.ModuleType("lmms_eval"), judge.__name__: judge, protocol.__name__: protocol}
path = importlib.metadata.distribution("lmms-eval").locate_file("lmms_eval/tasks/emma/utils.py")
spec = importlib.util.spec_from_file_location("emma_utils", path)
task = importlib.util.module_from_spec(spec)
spec.loader.exec_module(task)

ANSWERS = (("x=10", "10"), ("n=\\frac{1}{2}", "0.5"))


def verdicts(answers):
    """Return whether answers in a box are right, and tell."""
    found = [task.is_equal(task.fast_extract_answer(f"So it is \\boxed{{{said}}}."), gold) for said, gold in answers]
    told = (f"{said} for {gold}: {'right' if right else 'wrong'}" for (said, gold), right in zip(answers, found))
    print("; ".join(told))
    return found


before, unknown, after = verdicts(ANSWERS), verdicts([("I do not know", "5")]), verdicts(ANSWERS)
if (before, unknown, after) != ([True, True], [False], [False, False]):
    sys.exit("lmms-eval or latex2sympy2 behaves differently now: see the head of this file")
PYTHON

cd "$place"  # latex2sympy2 imports a module called `gen`, which must not be one of the folder that this is run in
"$place/venv/bin/python" "$place/order.py"
