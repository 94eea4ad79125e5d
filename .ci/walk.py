"""Count the house: files on the two walks of ARCHITECTURE.md, files of each room, dataclasses, lines.

A walk is the import closure of the modules that it enters: the files that somebody has to know of to follow it, whether
or not one text passes through each of them. Imports for types alone (`TYPE_CHECKING`) do not count, imports inside of
functions do.

    python .ci/walk.py [--files]
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("harness", "tasks", "training", "reports", "satori_bench")
WALKS = {
    "a text becomes a number": ("harness.scoring.score",),
    "records become scores.json": ("harness.summary.run_summary",),
    "two runs become a comparison": ("harness.comparison.compare",),
    "a comparison becomes a page": ("reports.pages.comparison_page",),
}


def parsed_modules() -> dict[str, ast.Module]:
    """Return every module of the product by its dotted name; a package goes by its own."""
    found: dict[str, ast.Module] = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that a module imports, of which some are modules and some lie in one."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        else:
            yield from imports(node)


def closure(starts: tuple[str, ...], modules: dict[str, ast.Module]) -> set[str]:
    """Return the modules that are entered from some; packages that only say what they are for do not count."""
    reached: set[str] = set()
    waiting = list(starts)
    while waiting:
        name = waiting.pop()
        if name in modules and name not in reached:
            reached.add(name)
            waiting += imports(modules[name])
    return {name for name in reached if len(modules[name].body) > 1}


def dataclasses(modules: dict[str, ast.Module]) -> Counter[str]:
    """Count the dataclasses of each room."""
    return Counter(
        ".".join(name.split(".")[:2])
        for name, tree in modules.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        and any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)
    )


def lines() -> int:
    """Count the lines of the product's Python files."""
    files = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


def main() -> None:
    """Print the counts; with `--files` the files of each walk too."""
    modules = parsed_modules()
    for walk, starts in WALKS.items():
        found = closure(starts, modules)
        print(f"{walk}: {len(found)} files")
        if "--files" in sys.argv[1:]:
            print("\n".join(f"    {name}" for name in sorted(found)))
    counted = dataclasses(modules)
    print(f"dataclasses: {counted.total()}")
    print("\n".join(f"    {room:<24} {count}" for room, count in counted.most_common()))
    print(f"lines: {lines():,} in {len(modules)} files")


if __name__ == "__main__":
    main()
