"""Render charts in a process of its own: Vega-Lite specifications in, SVG out, a line of JSON each.

Started by `reports/pages/chart_renderer.py`, never imported: the renderer is a JavaScript engine that ends its process
by a trap where it cannot reserve its address space, and that must cost a picture, not a run.
"""

from __future__ import annotations

import json
import sys


def main() -> None:
    """Answer each line of stdin, a specification, by a line with its SVG, or with why there is none."""
    import vl_convert  # noqa: PLC0415 - a trap in it must find the parent listening

    for line in sys.stdin:
        try:
            answer = {"svg": vl_convert.vegalite_to_svg(json.loads(line))}
        except Exception as fault:  # noqa: BLE001 - whatever the renderer raises, the parent is told
            answer = {"fault": f"{type(fault).__name__}: {fault}"[:500]}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
