"""The site: every page, notebook and docstring, without a warning."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_it_is_built_offline_without_a_warning(tmp_path):
    command = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "docs", str(tmp_path / "site")]
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "<img" in (tmp_path / "site/notebooks/02_compare_two_ideas.html").read_text(encoding="utf-8")
    assert "usage: smart-retail watch" in (tmp_path / "site/generated/commands.html").read_text(encoding="utf-8")
