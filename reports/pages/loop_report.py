"""Write a loop's comparison into its folder: Markdown, and a page per way of asking, as `compare` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.comparison.values import Comparison
from harness.runs.store import PAGE_NAME, write_atomically
from reports.pages.comparison_page import write_comparison_page
from reports.texts.markdown import comparison_markdown, neutral


def write_loop_report(name: str, by_decoding: Mapping[str, Comparison], further: Sequence[str], folder: Path) -> None:
    """Write `comparison.md` and the pages: `index.html` for the first way of asking, `index-NAME.html` for others.

    Args:
        name: The loop's name.
        by_decoding: How the runs were asked, with their comparison.
        further: Lines of Markdown to end with.
        folder: The loop's folder.

    Raises:
        ConfigError: A file cannot be written.
    """
    parts = [f"# Loop {neutral(name)}\n"]
    for number, (decoding, comparison) in enumerate(by_decoding.items()):
        write_comparison_page(comparison, folder / (PAGE_NAME if number == 0 else f"index-{decoding}.html"))
        parts.append(f"## Asked {decoding}\n\n{comparison_markdown(comparison)}")
    text = "\n".join([*parts, *further]).rstrip("\n") + "\n"
    write_atomically(folder / "comparison.md", text.encode("utf-8"))
