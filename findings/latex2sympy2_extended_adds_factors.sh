#!/usr/bin/env bash
# latex2sympy2_extended 1.11.0: two whole numbers side by side are added, not multiplied.
#
# So that `2\frac{1}{2}` is two and a half, a whole number before a positive fraction is read as a mixed number. A whole
# number is a fraction to it too, and so are numbers in brackets: `3(4)` and `(3)(4)` are 7, `2(3)^2` is a product again.
# Answers that are compared with it (VLMEvalKit's MathVision) are right for 7 when they say twelve.
#
# Seen with Python 3.11, sympy 1.14.0, antlr4-python3-runtime 4.11.1:
#   2\frac{1}{2}: 5/2
#   3(4): 7
#   (3)(4): 7
#   3 \cdot 4: 3*4
#   2(3)^2: 2*3**2
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet latex2sympy2_extended==1.11.0 sympy==1.14.0 \
  antlr4-python3-runtime==4.11.1 >&2

cat > "$place/products.py" <<'PYTHON'
from latex2sympy2_extended import latex2sympy

TEXTS = [r"2\frac{1}{2}", "3(4)", "(3)(4)", r"3 \cdot 4", "2(3)^2"]
found = {text: latex2sympy(text) for text in TEXTS}
for text, value in found.items():
    print(f"{text}: {value}")
assert found[r"2\frac{1}{2}"] * 2 == 5
assert found["3(4)"] == found["(3)(4)"] == 7
assert found[r"3 \cdot 4"].doit() == 12
assert found["2(3)^2"].doit() == 18
PYTHON
"$place/venv/bin/python" -W ignore "$place/products.py"
