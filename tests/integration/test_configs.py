"""The configs that come with the project are read by the parser that people use."""

from pathlib import Path

import pytest

from tests.helpers.runs import run

CONFIGS = Path(__file__).parent.parent.parent / "configs"
EXPERIMENTS = sorted((CONFIGS / "experiment").rglob("*.yaml"))


@pytest.mark.parametrize("config", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_is_a_valid_config(config, monkeypatch, capsys):
    monkeypatch.chdir(CONFIGS.parent)
    assert run("fit", "--config", config, "--print_config") == 0
    assert "backbone:" in capsys.readouterr().out


@pytest.mark.parametrize("config", sorted((CONFIGS / "debug").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_debug_config_goes_on_top_of_an_experiment(config, monkeypatch, capsys):
    monkeypatch.chdir(CONFIGS.parent)
    assert run("fit", "--config", CONFIGS / "experiment/demo.yaml", "--config", config, "--print_config") == 0


@pytest.mark.parametrize("config", sorted((CONFIGS / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_data_config_replaces_the_sources(config, monkeypatch, capsys):
    monkeypatch.chdir(CONFIGS.parent)
    assert run("fit", "--config", CONFIGS / "experiment/demo.yaml", "--config", config, "--print_config") == 0


def test_the_demo_trains_on_drawn_faces_only():
    assert "SyntheticFaces" in (CONFIGS / "experiment/demo.yaml").read_text()
