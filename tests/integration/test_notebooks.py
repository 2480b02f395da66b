import os
import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.helpers.children import HANGS

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


SHORTER = {
    "02": {"SIDE, EPOCHS = 32, 6": "SIDE, EPOCHS = 32, 2", "epoch_size=1200": "epoch_size=320"},
    "03": {"max_epochs=8": "max_epochs=2"},
    "04": {"max_epochs=6": "max_epochs=1"},
}
"""By the number of a notebook, what the test trains less of: its stored outputs are of the whole training."""
MAX_BYTES = 600_000
"""Of a notebook with its figures."""


def name(path):
    return path.stem


def test_there_are_four():
    assert len(NOTEBOOKS) == 4


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_it_is_stored_with_the_outputs_of_one_run_and_without_a_trace_of_a_machine(path):
    """The site shows them as they are; `python notebooks/run.py` makes them anew."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [output for cell in code for output in cell.outputs]
    assert any({"image/png", "image/jpeg"} & {*output.get("data", {})} for output in outputs)
    shown = [output.get("text") or str(output.get("data", {}).get("text/plain")) for output in outputs]
    assert not re.search(r"/(root|home|tmp|Users|usr)/|site-packages", "\n".join(shown))
    assert all(output.output_type != "error" and output.get("name") != "stderr" for output in outputs)
    assert not any(cell.metadata for cell in notebook.cells)
    assert notebook.metadata.keys() == {"kernelspec", "language_info"}
    assert notebook.metadata["language_info"] == {"name": "python"}
    assert path.stat().st_size < MAX_BYTES


@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_it_points_at_the_real_data_by_one_variable_and_says_what_is_synthetic(path):
    notebook = nbformat.read(path, as_version=4)
    assert "synthetic" in notebook.cells[0].source
    assert "FACES = None" in notebook.cells[1].source


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=name)
def test_it_runs_from_clean(path, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    text = path.read_text(encoding="utf-8")
    for long, short in SHORTER.get(path.name[:2], {}).items():
        assert long in text
        text = text.replace(long, short)
    notebook = nbformat.reads(text, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = []
    NotebookClient(
        notebook, timeout=HANGS, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not list(tmp_path.iterdir())
