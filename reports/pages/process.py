"""Write a run's page in a process of its own: the run's folder in, `index.html` in it out.

Started by `reports/pages/writer.py`, never imported.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Renew the page of the run that is named; what bars it is one line of stderr, and exit code 1."""
    # behind everything else: where the command is no installed one its folders must be found, and shadow nothing
    sys.path.append(str(Path(__file__).parents[2]))
    try:
        from harness.garbage import rare_collections  # noqa: PLC0415 - found only now
        from reports.pages.run_page import renew_page  # noqa: PLC0415 - as well; and may need more memory than there is

        with rare_collections():
            renew_page(Path(sys.argv[1]))
    except Exception as fault:  # noqa: BLE001 - whatever it is, the parent is told
        line = " ".join(f"{type(fault).__name__}: {fault}".split())
        sys.stderr.buffer.write(line[:200].encode("utf-8", "backslashreplace") + b"\n")
        sys.exit(1)


if __name__ == "__main__":
    main()
