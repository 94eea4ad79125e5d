#!/usr/bin/env bash
# sympy 1.14.0: `parse_latex(..., backend="lark")` moves a factorial behind a power up into the exponent.
#
# `2^{n}!` is the factorial of 2^n: the braces close the exponent, and the mark stands on the line. The lark backend reads
# 2^(n!), without a warning, so that `2^{3}!` is 64 and not 40320. With round brackets around the power it is right.
#
# Seen with Python 3.11:
#   2^{n}! -> 2**factorial(n)
#   2^{3}! -> 64
#   (2^{3})! -> 40320
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet sympy==1.14.0 lark==1.3.1 >&2

cat > "$place/parsed.py" <<'PYTHON'
from math import factorial

import sympy
from sympy.parsing.latex import parse_latex

n = sympy.Symbol("n")
found = {text: parse_latex(text, backend="lark") for text in ("2^{n}!", "2^{3}!", "(2^{3})!")}
for text, expression in found.items():
    print(f"{text} -> {expression}")
assert found["2^{n}!"] == 2 ** sympy.factorial(n)
assert found["2^{3}!"] == 2 ** factorial(3) == 64
assert found["(2^{3})!"] == factorial(2**3) == 40320
PYTHON
"$place/venv/bin/python" -W ignore "$place/parsed.py"
