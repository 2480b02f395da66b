import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import smart_retail
from smart_retail.cli import main
from smart_retail.errors import ConfigError
from smart_retail.provenance import git_state, versions, without_places


def test_public_names_are_importable():
    for name in smart_retail.__all__:
        assert getattr(smart_retail, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nonsense"):
        _ = smart_retail.nonsense


def test_python_m_prints_the_help():
    done = subprocess.run(
        [sys.executable, "-m", "smart_retail", "--help"],
        capture_output=True,
        text=True,
        cwd=Path(smart_retail.__file__).parent.parent,
    )
    assert done.returncode == 0
    assert "smart-retail COMMAND" in done.stdout


def test_the_version_is_told(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"smart-retail {smart_retail.__version__}\n"


def test_versions_name_what_decides_the_outcome():
    assert versions()["torch"][0].isdigit()
    assert {"python", "timm", "lightning", "numpy"} <= versions().keys()


def test_git_state_of_a_checkout_is_its_commit(tmp_path, monkeypatch):
    def git(*words):
        subprocess.run(["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@y", *words], check=True)

    (tmp_path / "code").mkdir()
    code = tmp_path / "code" / "provenance.py"
    code.write_text("one")
    monkeypatch.setattr("smart_retail.provenance.__file__", str(code))
    assert git_state() == ""
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one", "--no-verify")
    clean = git_state()
    code.write_text("two")
    assert len(clean) == 40
    assert git_state() == clean + "+changes"


def test_a_config_that_travels_names_nobodys_folders():
    config = "trainer: {default_root_dir: /home/ann/runs}\n"
    config += "data: [{root: ~/faces}, {root: 'C:\\ann\\mine'}, {file: soft.npz}]"
    travels = yaml.safe_load(without_places(config))
    assert travels["trainer"] == {"default_root_dir": "runs"}
    assert travels["data"] == [{"root": "faces"}, {"root": "mine"}, {"file": "soft.npz"}]


@pytest.mark.parametrize("config", ["a: [", "[" * 1000, "a: &a [" + "x, " * 500 + "]\nb: [" + "*a, " * 500 + "]"])
def test_a_config_of_anyones_that_is_none_is_refused(config):
    with pytest.raises(ConfigError, match="the network's training config"):
        without_places(config)
