#!/usr/bin/env bash
# sympy 1.14.0: `parse_latex(..., backend="lark")` returns a lark Tree where it finds two meanings, without an error.
#
# A function before a sum, or a letter before a bracket, is enough: `\sin(2x)+1` and `x(x+1)`. What comes back is no sympy
# expression: `expr.subs`, `N` and a comparison with `==` fail or are False later, far from the parser.
#
# Seen with Python 3.11:
#   \sin(2x)+1 -> Tree of [sin(2*x + 1), sin(2*x) + 1]
#   x(x+1) -> Tree of [x(x + 1), x*(x + 1)]
#   2(x+1) -> Add
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet sympy==1.14.0 lark==1.3.1 >&2

cat > "$place/parsed.py" <<'PYTHON'
import lark
import sympy
from sympy.parsing.latex import parse_latex

for text in (r"\sin(2x)+1", "x(x+1)", "2(x+1)"):
    found = parse_latex(text, backend="lark")
    if text.startswith("2"):
        print(f"{text} -> {type(found).__name__}")
        assert isinstance(found, sympy.Expr)
        continue
    meanings = sorted(map(str, found.children), reverse=text.startswith("x"))
    print(f"{text} -> {type(found).__name__} of {found.children}")
    assert isinstance(found, lark.Tree) and not isinstance(found, sympy.Basic)
    assert len(meanings) == 2
PYTHON
"$place/venv/bin/python" -W ignore "$place/parsed.py"
