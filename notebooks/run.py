"""Runs notebooks in place and keeps their outputs: `python notebooks/run.py [FILE ...]`, else all beside this file.

What tells of the machine is left out: warnings and progress, which go to stderr, times and paths.
"""

from __future__ import annotations

import base64
import io
import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from PIL import Image

HERE = Path(__file__).parent
TIMEOUT_S = 1200
"""Seconds that a cell may take, also on a busy machine."""

LARGE_PNG = 100_000
"""Characters of a picture above which it is kept as JPEG: grids of faces, not lines and text."""


def smaller(data: dict[str, str]) -> dict[str, str]:
    """Return what a cell shows, by kind, with a large PNG as JPEG."""
    if len(data.get("image/png", "")) < LARGE_PNG:
        return data
    file = io.BytesIO()
    Image.open(io.BytesIO(base64.b64decode(data.pop("image/png")))).convert("RGB").save(file, "JPEG", quality=80)
    return {"image/jpeg": base64.b64encode(file.getvalue()).decode(), **data}


def run(path: Path) -> None:
    """Run a notebook in an empty folder and store it with what its cells show."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(notebook, timeout=TIMEOUT_S, resources={"metadata": {"path": folder}})
        client.execute()
    store(notebook, path)


def store(notebook: nbformat.NotebookNode, path: Path) -> None:
    """Write a notebook that has run."""
    for cell in notebook.cells:
        cell.metadata = {}
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "data" in output:
                    output.data = smaller(output.data)
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.write(notebook, path)


if __name__ == "__main__":
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    for file in map(Path, sys.argv[1:] or sorted(map(str, HERE.glob("*.ipynb")))):
        run(file)
