import csv

import yaml

from tests.helpers.runs import run, write_config


def write_sweep(folder, **settings):
    config = write_config(folder, trainer={"max_epochs": 1}, data={"sources": SOURCES})
    plan = {"name": "study", "configs": [str(config)], "epochs": 1} | settings
    (folder / "sweep.yaml").write_text(yaml.safe_dump(plan))
    return folder / "sweep.yaml"


SOURCES = [{"class_path": "SyntheticFaces", "init_args": {"count": 64}}]


def leaderboard(folder):
    (path,) = (folder / "lightning_logs/study").glob("*.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


def test_a_failing_trial_is_marked_and_the_rest_goes_on_and_is_not_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plan = write_sweep(
        tmp_path, configurations={"good": {"model.learning_rate": 1e-3}, "bad": {"model.optimizer": "no_such_one"}}
    )
    assert run("sweep", "--config", plan) == 0
    rows = {row["configuration"]: row for row in leaderboard(tmp_path)}
    assert set(rows) == {"good", "bad"}
    assert float(rows["good"]["score"]) > 0
    assert "no_such_one" in str(rows["bad"])
    runs = sorted((tmp_path / "lightning_logs/study").rglob("metrics.csv"))
    assert run("sweep", "--config", plan) == 0
    assert sorted((tmp_path / "lightning_logs/study").rglob("metrics.csv")) == runs


def test_a_misspelt_setting_is_found_before_the_first_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plan = write_sweep(tmp_path, configurations={"one": {"model.rate_of_learning": 1e-3}})
    assert run("sweep", "--config", plan) == 2
    error = capsys.readouterr().err
    assert "rate_of_learning" in error and "Traceback" not in error
    plan.write_text(plan.read_text() + "sampler: nearest\n")
    assert run("sweep", "--config", plan) == 2
    assert "nearest" in capsys.readouterr().err
