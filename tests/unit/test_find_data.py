from pathlib import Path

import pytest
import yaml
from jsonargparse import Namespace

from smart_retail.config_files import find_data, training_config
from smart_retail.runs import training_folders


def table(name="faces.csv", **more):
    return {"class_path": "FaceTable", "init_args": {"table": name} | more}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with faces.csv; the present directory is another."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project/faces.csv").touch()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "project"


def test_data_are_taken_from_where_the_training_ran_and_that_is_said(project, capsys):
    config = {"data": {"sources": [table()]}}
    found = training_config({"config": yaml.safe_dump(config), "folder": str(project)})
    assert found["data"]["sources"] == [table(str(project / "faces.csv"))]
    assert f"{project / 'faces.csv'} is taken" in capsys.readouterr().err


def test_data_in_the_present_directory_come_first(project, capsys):
    Path("faces.csv").touch()
    sources = [table()]
    find_data(sources, [project])
    assert sources == [table()] and capsys.readouterr().err == ""


def test_a_moved_project_is_found_by_the_place_of_its_run(project):
    run = project / "lightning_logs/own/version_0/checkpoints/best.ckpt"
    assert training_folders(run) == [project]
    found = training_config(
        {"config": yaml.safe_dump({"data": {"sources": [table()]}}), "folder": "/gone"}, training_folders(run)
    )
    assert found["data"]["sources"] == [table(str(project / "faces.csv"))]


def test_only_paths_are_looked_for(project):
    (project / "crowd").mkdir()
    sources = [Namespace(class_path="FaceTable", init_args=Namespace(table="gone.csv", name="crowd", root="crowd"))]
    find_data(sources, [project])
    assert sources[0].init_args == Namespace(table="gone.csv", name="crowd", root=str(project / "crowd"))


@pytest.mark.parametrize("sources", [None, "FaceTable", [3, None, []], [{"init_args": ["a.csv"]}], [table("a\0.csv")]])
def test_what_is_no_source_is_left_to_the_parser(project, sources):
    find_data(sources, [project])
    find_data([table("x" * 5000 + ".csv")], [project])
