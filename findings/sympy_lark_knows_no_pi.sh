#!/usr/bin/env bash
# sympy 1.14.0: `parse_latex(..., backend="lark")` cannot read \pi.
#
# Its grammar lists the Greek letters that it knows, and pi, sigma and iota are not among them (nor any capital), so the
# area of a circle is an error, and so is what sympy itself writes for pi.
#
# Seen with Python 3.11:
#   \pi r^{2}: UnexpectedCharacters
#   \frac{\pi}{6}: UnexpectedCharacters
#   \sigma^{2}: UnexpectedCharacters
#   \rho^{2}: rho**2
#   latex(pi / 6) = \frac{\pi}{6}
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet sympy==1.14.0 lark==1.3.1 >&2

cat > "$place/parsed.py" <<'PYTHON'
import sympy
from lark.exceptions import UnexpectedInput
from sympy.parsing.latex import parse_latex


def parsed(text):
    try:
        return str(parse_latex(text, backend="lark"))
    except UnexpectedInput as fault:
        return type(fault).__name__


for text in (r"\pi r^{2}", r"\frac{\pi}{6}", r"\sigma^{2}"):
    print(f"{text}: {parsed(text)}")
    assert parsed(text) == "UnexpectedCharacters"
print(r"\rho^{2}:", parsed(r"\rho^{2}"))
assert parsed(r"\rho^{2}") == "rho**2"
print(f"latex(pi / 6) = {sympy.latex(sympy.pi / 6)}")
assert sympy.latex(sympy.pi / 6) == r"\frac{\pi}{6}"
PYTHON
"$place/venv/bin/python" -W ignore "$place/parsed.py"
