"""What a wheel and an sdist hold, how an index shows them, and that an installed package finds its configs."""

import re
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path

import pytest
from hatchling.build import build_wheel
from hatchling.builders.sdist import SdistBuilder

ROOT = Path(__file__).parents[2]
WHEEL_LIMIT = 25e6
"""Bytes; most of it the bundle of the package."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        folder = tmp_path_factory.mktemp("wheel")
        return folder / build_wheel(str(folder))


@pytest.fixture(scope="module")
def inside(wheel):
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def tracked(folder, kind=""):
    return {path.relative_to(ROOT).as_posix() for path in (ROOT / folder).rglob(f"*{kind}") if path.is_file()}


def test_the_wheel_is_small_and_holds_the_package_with_its_bundle_and_data(wheel, inside):
    assert wheel.stat().st_size < WHEEL_LIMIT
    ours = {name for name in tracked("smart_retail") if "__pycache__" not in name}
    assert ours <= inside
    assert {"smart_retail/py.typed", "smart_retail/pretrained/mobileone_s2/model.int8.onnx"} <= ours


def test_of_the_rest_of_the_checkout_it_holds_the_configs_alone(inside):
    configs = {name for name in inside if name.startswith("smart_retail/configs/")}
    assert configs == {f"smart_retail/{name}" for name in tracked("configs", ".yaml")}
    assert {name.partition("/")[0] for name in inside} == {"smart_retail"}


def test_the_sdist_has_what_builds_tests_and_explains_it_but_no_large_weights():
    held = {file.distribution_path for file in SdistBuilder(str(ROOT)).recurse_included_files()}
    wanted = {name for folder in ("configs", "docs", "notebooks", "tests") for name in tracked(folder)}
    wanted |= {"README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "requirements.lock"}
    unwanted = re.compile(r"\.safetensors$|__pycache__|\.ipynb_checkpoints|^docs/(api|generated|notebooks)/")
    assert {name for name in wanted - held if not unwanted.search(name)} == set()
    assert [name for name in held if unwanted.search(name)] == []


def test_an_index_shows_who_made_it_and_no_link_that_leads_nowhere(wheel):
    (name,) = (name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("METADATA"))
    about = message_from_bytes(zipfile.ZipFile(wheel).read(name))
    assert about["Author"] and about["Keywords"] and about["Description-Content-Type"] == "text/markdown"
    text = about.get_payload()
    assert text.startswith("# smart_retail") and "pip install" in text
    assert re.findall(r"""\]\((?!https?:)[^)]*\)|(?:src|href)=["'](?!https?:)[^"']*""", text) == []


def test_an_installed_package_finds_its_configs_from_any_folder(wheel, tmp_path):
    zipfile.ZipFile(wheel).extractall(tmp_path / "site")
    code = "from smart_retail.cli import main; main(['configs']); main(['configs', 'experiment/demo.yaml'])"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        capture_output=True,
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "site")},
    )
    said = done.stdout.decode()
    assert "base.yaml" in said and (ROOT / "configs/experiment/demo.yaml").read_text() in said, done.stderr


def test_what_builds_the_wheel_is_among_the_tools_of_development():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {*project["build-system"]["requires"]} <= {*project["project"]["optional-dependencies"]["dev"]}
