"""A sweep whose training, or that itself, is killed: what was done stays, the rest goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import smart_retail
from tests.helpers.runs import run
from tests.integration.test_sweep import leaderboard, write_sweep

STUDY = Path("lightning_logs/study")


def start(plan, *words):
    """Run a worker in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "smart_retail", "sweep", "--config", str(plan), *words],
        env=os.environ | {"PYTHONPATH": str(Path(smart_retail.__file__).parent.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


def rows(folder):
    return {row["configuration"]: row for row in leaderboard(folder)}


def kills(step):
    stop = {"class_path": "tests.helpers.stops.StopAt", "init_args": {"step": step, "way": "kill"}}
    return {"trainer.callbacks": [stop], "last.minutes": 1e-6}


@pytest.mark.slow
def test_a_killed_training_is_marked_and_a_retry_goes_on_where_it_was(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(smart_retail.__file__).parent.parent))
    there = tmp_path / "there"
    plan = write_sweep(tmp_path, configurations={"one": kills(3)}, settings={"trainer.default_root_dir": str(there)})
    assert run("sweep", "--config", plan) == 0
    assert rows(there)["one"]["reason"] == "killed by SIGKILL (out of memory?)"
    assert run("sweep", "--config", plan, "--retry", "true") == 0
    row = rows(there)["one"]
    assert row["state"] == "complete" and float(row["score"]) > 0
    (version,) = (there / STUDY / "one/seed_0").glob("version_*")
    assert (version / "metrics-1.csv").is_file()
    assert not Path("lightning_logs").exists()


@pytest.mark.slow
def test_a_killed_sweep_is_taken_up_by_two_workers_and_its_best_is_fitted_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = {"model.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
    settings = {"last.minutes": 1e-6, "data.epoch_size": 400}
    plan = write_sweep(tmp_path, sampler="tpe", search=search, trials=3, settings=settings, pruner="median")
    first = start(plan)
    wait_for(lambda: list(STUDY.glob("*/seed_0/version_0/checkpoints/last.ckpt")))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    workers = [start(plan, "--refit", "2"), start(plan, "--refit", "2")]
    said = "".join(worker.communicate(timeout=600)[0] for worker in workers)
    assert [worker.returncode for worker in workers] == [0, 0], said
    assert said.count("1 interrupted: taken up again") == 1 and said.count("goes on, log in") == 1
    found = rows(tmp_path)
    assert len(found) == 3 and {row["state"] for row in found.values()} == {"complete"}
    assert len({row["model.learning_rate"] for row in found.values()}) == 3
    assert len(list(STUDY.glob("*/seed_0/version_*"))) == 3
    assert len(list(STUDY.glob("refit/*/epochs_2/version_*/model.pth"))) >= 1
