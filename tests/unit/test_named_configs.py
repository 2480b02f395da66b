"""Configs are named as people type them, from any folder; wrong names are refused with those that are near."""

from pathlib import Path

import pytest

from smart_retail import cli
from smart_retail.cli import COMMANDS, main
from smart_retail.errors import ConfigError
from smart_retail.named_configs import CONFIGS, by_name, find_config, find_configs, names

DEMO = str(CONFIGS / "experiment/demo.yaml")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


@pytest.mark.parametrize("name", ["experiment/demo.yaml", "configs/experiment/demo.yaml", "./experiment/demo.yaml"])
def test_a_config_that_comes_along_is_found_from_any_folder(here, name):
    assert find_configs(["--config", name, "--run", "x"]) == ["--config", DEMO, "--run", "x"]
    assert find_configs([f"--config={name}", "-c", name]) == [f"--config={DEMO}", "-c", DEMO]
    assert find_configs(["--data", name, "--export_config", name]) == ["--data", DEMO, "--export_config", DEMO]


@pytest.mark.parametrize("place", ["experiment/demo.yaml", "configs/experiment/demo.yaml"])
def test_a_file_of_the_working_directory_comes_first(here, place):
    write(here / place)
    assert find_config("experiment/demo.yaml") == place


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("experiment/dmo.yaml", r"near it: experiment/demo\.yaml"),
        ("demo.yaml", r"near it: experiment/demo\.yaml, sweep/demo\.yaml"),
        ("demo", r"near it: experiment/demo\.yaml"),
        ("xyzzy.yaml", "smart-retail configs lists those"),
    ],
)
def test_a_name_that_does_not_exist_is_refused_with_those_near_it(here, name, told):
    with pytest.raises(ConfigError, match=f"--config {name}: no such file in .*{told}"):
        find_config(name)


@pytest.mark.parametrize(
    "words", [["--config", "{run: a}"], ["--config"], ["--data", "null"], ["--config", "/no/such.yaml"]]
)
def test_what_is_no_name_is_left_to_the_parser(here, words):
    assert find_configs(words) == words


def test_a_command_to_type_next_has_the_short_name():
    assert by_name(f"--config={DEMO}") == "--config=experiment/demo.yaml"
    weights = str(CONFIGS / "experiment/reference/student.safetensors")
    assert by_name(weights) == weights  # which is not looked for by name


def test_configs_lists_all_with_what_they_are_for_and_prints_one(here, capsys):
    assert main(["configs"]) == 0
    said = capsys.readouterr().out
    assert [line.split()[0] for line in said.splitlines()] == names() and "Drawn faces" in said
    assert main(["configs", "data/own.yaml"]) == 0
    assert capsys.readouterr().out == (CONFIGS / "data/own.yaml").read_text()


def test_without_pytorch_the_help_lists_what_runs_and_names_the_extra_for_the_rest(monkeypatch, capsys):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    assert main([]) == 0
    ready, _, rest = capsys.readouterr().out.partition("after pip install 'smart_retail[train]':")
    edge = {"configs", "predict", "watch", "verify", "benchmark bundle", "benchmark watch"}
    assert all(f"  {name} " in (ready if name in edge else rest) for name in COMMANDS)
