"""The lock files say one thing, keep to pyproject.toml, name no host, and pip can check every file that they name."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
UNFROZEN = {"setuptools", "pip", "wheel"}
"""What ``pip freeze`` leaves out, setuptools before Python 3.12 only."""
EXTRAS = ("edge", "train", "teacher", "docs", "notebooks", "dev")
"""What `make install` installs, which the locks are of."""


def pins(name: str) -> dict[str, str]:
    found = {canonicalize_name(package): version for package, version in PIN.findall((ROOT / name).read_text())}
    return {package: version for package, version in found.items() if package not in UNFROZEN}


def test_both_files_pin_the_same_versions():
    assert pins("requirements.lock") == pins("requirements-hashed.lock")


def test_every_pinned_version_lies_within_the_bounds_of_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *(project["optional-dependencies"][name] for name in EXTRAS)]
    asked = [Requirement(line) for group in groups for line in group]
    asked = [wish for wish in asked if canonicalize_name(wish.name) not in {"smart-retail", *UNFROZEN}]
    pinned = pins("requirements.lock")
    assert [str(wish) for wish in asked if not wish.specifier.contains(pinned[canonicalize_name(wish.name)])] == []


def test_make_looks_for_the_pythons_that_the_package_is_for():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    classified = [line.split(" :: ")[-1] for line in project["classifiers"] if "Python ::" in line]
    looked_for = re.search(r"^PYTHONS = .*foreach version,([\d. ]+),", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert looked_for and looked_for[1].split() == classified
    assert all(version in SpecifierSet(project["requires-python"]) for version in classified)


def test_every_package_has_a_hash():
    text = (ROOT / "requirements-hashed.lock").read_text()
    for entry in re.split(r"\n(?=[A-Za-z])", text):
        assert entry.startswith("#") or "--hash=sha256:" in entry, entry[:60]


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-hashed.lock"])
def test_no_host_is_named(name):
    assert not re.search(r"https?://|file:|--index|--find-links|--extra", (ROOT / name).read_text())
