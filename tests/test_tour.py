"""`examples/tour.ipynb` runs from its first cell to its last in an empty folder, and is stored without outputs."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")

TOUR = Path(__file__).parents[1] / "examples" / "tour.ipynb"


@pytest.fixture(scope="module")
def stored():
    return nbformat.read(TOUR, as_version=4)


def test_it_is_valid_short_and_holds_no_outputs(stored):
    nbformat.validate(stored)

    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert 8 <= len(stored.cells) <= 12
    assert [(cell.outputs, cell.execution_count) for cell in code] == [([], None)] * len(code)


@pytest.fixture(scope="module")
def executed(stored, path_to_command, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tour")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(folder / "ipython"))
        notebook = copy.deepcopy(stored)
        client = nbclient.NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
        )
        client.execute()
    return folder, notebook


def shown(notebook, word: str, kind: str) -> str:
    """What the cell that holds the word shows."""
    (cell,) = [cell for cell in notebook.cells if cell.cell_type == "code" and word in cell.source]
    return "".join(output.data.get(kind, "") for output in cell.outputs if output.output_type == "execute_result")


def test_every_cell_shows_what_it_says(executed):
    folder, notebook = executed

    for fault in ("no_match", "unclosed", "no_gold"):
        assert fault in shown(notebook, "sb.score(", "text/html")
    assert shown(notebook, 'sb.runs("runs")', "text/html").count("complete") == 2
    assert "mean_iou" in shown(notebook, "sb.load_run(", "text/html")
    assert "<tr>" in shown(notebook, "samples.query(", "text/html").split("<tbody>")[1]
    assert "unclosed" in shown(notebook, "explode", "text/plain")
    assert "headline" in shown(notebook, "compared.table", "text/html")
    assert "shapes" in shown(notebook, "flips()", "text/html")
    assert shown(notebook, "compared.plot()", "image/svg+xml").startswith("<svg")
    assert "PASS" in shown(notebook, "sb.gate(", "text/html").upper()
    assert (folder / "comparison.html").stat().st_size > 10_000
