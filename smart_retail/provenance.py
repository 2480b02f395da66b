"""What made a file: versions of the code and its libraries."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("smart_retail", "torch", "timm", "lightning", "torchmetrics", "albumentations", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a training's outcome."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def git_state() -> str:
    """Return the commit of the checkout this code runs from, ``+changes`` if edited, or ``""``."""
    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return ""
    try:
        commands = (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        commit, status = (
            subprocess.run(["git", "-C", str(here), *c], capture_output=True, text=True, check=True, timeout=10).stdout
            for c in commands
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return commit.strip() + ("+changes" if status.strip() else "")
