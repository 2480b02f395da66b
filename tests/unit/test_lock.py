"""The lock files say one thing, name no host, and pip can check every file that they name."""

import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
UNFROZEN = {"setuptools", "pip", "wheel"}
"""What ``pip freeze`` leaves out."""


def pins(name: str) -> dict[str, str]:
    found = {canonicalize_name(package): version for package, version in PIN.findall((ROOT / name).read_text())}
    return {package: version for package, version in found.items() if package not in UNFROZEN}


def test_both_files_pin_the_same_versions():
    assert pins("requirements.lock") == pins("requirements-hashed.lock")


def test_every_package_has_a_hash():
    text = (ROOT / "requirements-hashed.lock").read_text()
    for entry in re.split(r"\n(?=[A-Za-z])", text):
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry[:60]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-hashed.lock"])
def test_no_host_is_named(name):
    assert not re.search(r"https?://|file:|--index|--find-links|--extra", (ROOT / name).read_text())
