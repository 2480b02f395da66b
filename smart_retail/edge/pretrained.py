"""Bundles that come with the package, and what a command line's word for a bundle means."""

from __future__ import annotations

from pathlib import Path

from smart_retail.edge.manifest import NAME
from smart_retail.errors import BundleError

DEFAULT = "mobileone_s2"
FOLDER = Path(__file__).parents[1] / "pretrained"
"""One folder a bundle, package data."""


def available() -> list[str]:
    """Return the names of the bundles that this installation holds."""
    return sorted(p.parent.name for p in FOLDER.glob(f"*/{NAME}"))


def find_bundle(wanted: str | Path | None = None) -> Path:
    """Return the folder of a bundle.

    Args:
        wanted: a folder, or the name of a bundle that comes with the package; None for its default.

    Raises:
        BundleError: there is none.
    """
    if wanted is not None and Path(wanted).is_dir():
        return Path(wanted)
    shipped = available()
    name = str(wanted or DEFAULT)
    if name in shipped:
        return FOLDER / name
    if wanted is None and not shipped:
        raise BundleError("this installation comes without a bundle: name one that `smart-retail export` wrote")
    raise BundleError(
        f"{name}: no such file or folder, and no bundle of that name comes with the package "
        f"(it holds {', '.join(shipped) or 'none'})"
    )
