import csv
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import yaml
from optuna.trial import TrialState

from smart_retail.sweep.command import read_plan
from smart_retail.sweep.study import newest_trials, open_study
from smart_retail.training.cli import check_fit
from tests.helpers.runs import run, write_config


def write_sweep(folder, **settings):
    config = write_config(folder, trainer={"max_epochs": 1}, data={"sources": SOURCES})
    plan = {"name": "study", "configs": [str(config)], "epochs": 1} | settings
    (folder / "sweep.yaml").write_text(yaml.safe_dump(plan))
    return folder / "sweep.yaml"


CONFIGS = Path(__file__).parents[2] / "configs"
SOURCES = [{"class_path": "SyntheticFaces", "init_args": {"count": 64}}]


def leaderboard(folder):
    (path,) = (folder / "lightning_logs/study").glob("*.csv")
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_a_failing_trial_is_marked_and_the_rest_goes_on_and_is_not_repeated(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    configurations = {"good": {"model.learning_rate": 1e-3}, "bad": {"model.optimizer": "no_such_one"}}
    plan = write_sweep(tmp_path, configurations=configurations)
    assert run("sweep", "--config", plan) == 0
    rows = {row["configuration"]: row for row in leaderboard(tmp_path)}
    assert set(rows) == {"good", "bad"}
    assert float(rows["good"]["score"]) > 0 and float(rows["good"]["latency_ms"]) > 0
    assert "no_such_one" in rows["bad"]["reason"] and rows["bad"]["state"] == "failed"
    study = tmp_path / "lightning_logs/study"
    assert "| 1 " in (study / "leaderboard.md").read_text()
    board = b"".join(path.read_bytes() for path in study.glob("good/seed_0/version_0/events*"))
    assert b"_hparams_" in board and b"model.learning_rate" in board
    means = b"".join(path.read_bytes() for path in study.glob("hparams/good/events*"))
    assert b"sweep/score" in means and b"sweep/gender_acc" in means and b"model.learning_rate" in means
    runs = sorted(study.rglob("metrics.csv"))
    assert run("sweep", "--config", plan) == 0
    assert sorted(study.rglob("metrics.csv")) == runs


def test_a_worker_that_is_told_to_stop_leaves_its_trial_to_the_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plan = write_sweep(tmp_path, configurations={"one": {}})
    log = Path("lightning_logs/study/one/seed_0/fit.log")

    def stop():
        while not (log.is_file() and log.stat().st_size):  # until the training has begun
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop).start()
    assert run("sweep", "--config", plan) == 130
    assert "Traceback" not in capsys.readouterr().err
    assert newest_trials(open_study(read_plan(["--config", str(plan)])[1]))["one"].state == TrialState.WAITING


def test_a_misspelt_setting_is_found_before_the_first_trial(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    plan = write_sweep(tmp_path, configurations={"one": {"model.rate_of_learning": 1e-3}})
    assert run("sweep", "--config", plan) == 2
    error = capsys.readouterr().err
    assert "configuration one" in error and "rate_of_learning" in error and "Traceback" not in error
    assert not (tmp_path / "lightning_logs").exists()
    plan = write_sweep(tmp_path, configurations={"one": {"config": ["nowhere.yaml"]}})
    assert run("sweep", "--config", plan) == 2
    assert "nowhere.yaml" in capsys.readouterr().err
    search = {"data.batch_size": {"low": "few", "high": 64}}
    plan = write_sweep(tmp_path, sampler="tpe", search=search)
    assert run("sweep", "--config", plan) == 2
    assert "few" in capsys.readouterr().err
    plan = write_sweep(tmp_path, sampler="tpe", search={"data.batch_size": {"low": 0.5, "high": 64}})
    assert run("sweep", "--config", plan) == 2
    assert "search.data.batch_size: 0.5" in capsys.readouterr().err


@pytest.mark.parametrize("sweep", sorted((CONFIGS / "sweep").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_sweeps_that_come_with_the_project_are_accepted(sweep, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    _, plan = read_plan(["--config", str(sweep)])
    check_fit(plan.candidates())
    assert len(plan.candidates()) == {"ten": 10, "ablation": 4}.get(sweep.stem, 3)
