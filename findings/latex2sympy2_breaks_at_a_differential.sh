#!/usr/bin/env bash
# latex2sympy2 1.9.1: after one text with a differential, every text with a letter is an error.
#
# A differential is a `d` before another letter, as in `3 dx` and in the word "add". Reading one puts its variable into
# the module's global `var`, which was the dictionary of known variables; from then on each letter is looked up in a
# symbol and ends in "TypeError: argument of type 'Symbol' is not iterable", for the life of the process. An evaluation
# that reads answers one after another and takes errors for inequality, as lmms-eval's and VLMEvalKit's MathVision do,
# gives "x=12" its score by whether somebody wrote "add" before.
#
# Seen with Python 3.11, sympy 1.14.0, antlr4-python3-runtime 4.7.2:
#   x=12 alone: 12
#   x=12 after 3 dx: TypeError
#   x=12 after add: TypeError
#   12 after 3 dx: 12
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet latex2sympy2==1.9.1 sympy==1.14.0 antlr4-python3-runtime==4.7.2 >&2

cat > "$place/letters.py" <<'PYTHON'
import sys

from latex2sympy2 import latex2sympy

*before, text = sys.argv[1:]
for earlier in before:
    latex2sympy(earlier)
try:
    print(latex2sympy(text))
except TypeError as fault:
    print(type(fault).__name__)
PYTHON

said() { "$place/venv/bin/python" -W ignore "$place/letters.py" "$@"; }

for pair in "alone|12" "3 dx|TypeError" "add|TypeError"; do
  earlier=${pair%|*}
  if [ "$earlier" = alone ]; then found=$(said "x=12"); else found=$(said "$earlier" "x=12"); fi
  [ "$earlier" = alone ] && printf 'x=12 alone: %s\n' "$found" || printf 'x=12 after %s: %s\n' "$earlier" "$found"
  [ "$found" = "${pair#*|}" ]
done
number=$(said "3 dx" "12")
printf '12 after 3 dx: %s\n' "$number"
[ "$number" = "12" ]
