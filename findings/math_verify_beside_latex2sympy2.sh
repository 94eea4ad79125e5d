#!/usr/bin/env bash
# Beside lmms-eval 0.7.3, which asks for `math-verify` and `latex2sympy2` without versions, no pair of them works at once.
#
# latex2sympy2 1.9.1 holds antlr4-python3-runtime at 4.7.2, and every math-verify from 0.3 on asks for
# latex2sympy2_extended, which wants a newer one. So a resolver either
#   - keeps latex2sympy2 1.9.1 and goes back to math-verify 0.1.0, which asks for sympy alone and yet imports
#     latex2sympy2_extended; or
#   - takes math-verify 0.9.0 and goes back to latex2sympy2 1.5.4, whose wheel puts a module that imports its parts
#     relatively at the top level.
# In both cases pip reports success (`pip check`: no broken requirements) and one of the two cannot be imported.
#
# Seen with Python 3.11:
#   math-verify 0.1.0: ModuleNotFoundError: No module named 'latex2sympy2_extended'
#   latex2sympy2 1.5.4: ImportError: attempted relative import with no known parent package
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

# Makes an environment of the given packages, checks its requirements, imports a module; prints the error's last line.
import_in() {
    local module=$1
    shift
    python3 -m venv "$place/$module"
    "$place/$module/bin/python" -m pip install --quiet "$@" >&2
    "$place/$module/bin/python" -m pip check >&2
    "$place/$module/bin/python" -W ignore -c "import $module" 2>&1 | tail -1 || true
}

old=$(import_in math_verify math-verify==0.1.0 latex2sympy2==1.9.1 sympy==1.14.0)
new=$(import_in latex2sympy2 math-verify==0.9.0 latex2sympy2==1.5.4 latex2sympy2-extended==1.11.0 \
    antlr4-python3-runtime==4.13.2 sympy==1.14.0)
echo "math-verify 0.1.0 beside latex2sympy2 1.9.1: $old"
echo "latex2sympy2 1.5.4 beside math-verify 0.9.0: $new"
[ "$old" = "ModuleNotFoundError: No module named 'latex2sympy2_extended'" ]
[ "$new" = "ImportError: attempted relative import with no known parent package" ]
