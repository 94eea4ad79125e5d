#!/usr/bin/env bash
# pandas 3.1.1 with XlsxWriter 3.3.1: a text that begins with "internal:", "external:" or "mailto:" is written to .xlsx
# without that word, and a long web address is not written at all; nothing is raised.
#
# DataFrame.to_excel hands texts to XlsxWriter, whose option strings_to_urls is on: what begins like an address becomes a
# link, and the cell shows the address without its scheme. "internal: bleeding is seen", a radiologist's sentence, comes
# back as " bleeding is seen". An address of more than 2,079 characters is left out with a warning: the cell is empty and
# reads as missing. Evaluation programs keep what models wrote in such files; VLMEvalKit writes its results so, with
# strings_to_formulas off and strings_to_urls left on.
#
# Seen with Python 3.11:
#   internal: bleeding is seen ->  bleeding is seen
#   external: a wall ->  a wall
#   http://example.org/ and 3,000 letters -> nan
#   mailto:someone -> someone
#   the same with strings_to_urls off: all four as they were
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

python3 -m venv "$place/venv"
"$place/venv/bin/python" -m pip install --quiet pandas==3.1.1 xlsxwriter==3.3.1 openpyxl==3.1.5 numpy==2.4.6 >&2

cat > "$place/write.py" <<'PYTHON'
import sys
import warnings

import pandas as pd

warnings.simplefilter("ignore")
TEXTS = ["internal: bleeding is seen", "external: a wall", "http://example.org/" + "a" * 3000, "mailto:someone"]
for options in ({"strings_to_formulas": False}, {"strings_to_formulas": False, "strings_to_urls": False}):
    path = f"{sys.argv[1]}/x.xlsx"
    with pd.ExcelWriter(path, engine="xlsxwriter", engine_kwargs={"options": options}) as writer:
        pd.DataFrame({"text": TEXTS}).to_excel(writer, index=False)
    back = pd.read_excel(path)["text"].tolist()
    print("; ".join(f"[{str(text)[:22]}]" for text in back), back == TEXTS)
PYTHON
found=$("$place/venv/bin/python" "$place/write.py" "$place")
echo "$found"
[ "$found" = "[ bleeding is seen]; [ a wall]; [nan]; [someone] False
[internal: bleeding is ]; [external: a wall]; [http://example.org/aaa]; [mailto:someone] True" ]
