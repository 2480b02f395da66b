"""What made a file: versions of the code and its libraries."""

from __future__ import annotations

import platform
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from smart_retail.config_files import parse_yaml

PACKAGES = ("smart_retail", "torch", "timm", "lightning", "torchmetrics", "albumentations", "numpy")


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that decide a training's outcome."""
    found = {"python": platform.python_version()} | dict.fromkeys(PACKAGES, "not installed")
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
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


def without_places(config: str) -> str:
    """Return a config in which absolute paths are their last part: settings travel, somebody's folders do not.

    Args:
        config: YAML, from a file of anyone's.

    Raises:
        ConfigError: it is no YAML, or none of a config's size.
    """
    import yaml

    return str(yaml.safe_dump(_placeless(parse_yaml(str(config), "the network's training config")), sort_keys=False))


def _placeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _placeless(v) for name, v in value.items()}
    if isinstance(value, list):
        return [_placeless(v) for v in value]
    # As either kind of system writes them: a config may come from the other one.
    kinds = (PurePosixPath, PureWindowsPath)
    if isinstance(value, str) and (value.startswith("~") or any(kind(value).is_absolute() for kind in kinds)):
        return PureWindowsPath(value).name
    return value
