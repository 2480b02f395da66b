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

STUDY = Path("there/lightning_logs/study")


@pytest.fixture
def start():
    """Run workers in processes of their own; none outlives the test (a killed one's training ends with it)."""
    workers = []

    def begin(plan, *words):
        worker = subprocess.Popen(
            [sys.executable, "-m", "smart_retail", "sweep", "--config", str(plan), *words],
            env=os.environ | {"PYTHONPATH": str(Path(smart_retail.__file__).parent.parent)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        workers.append(worker)
        return worker

    yield begin
    for worker in workers:
        worker.kill()
        worker.wait()


def saved(trial):
    """Wait until a trial has something to go on with."""
    end = time.monotonic() + 600
    while not list((STUDY / trial / "seed_0").glob("version_0/checkpoints/last.ckpt")):
        assert time.monotonic() < end
        time.sleep(0.05)


def child_of(worker):
    (child,) = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return int(child)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the training's process below /proc")
def test_killed_trainings_and_a_killed_sweep_go_on_with_two_workers_and_the_best_is_fitted_again(
    tmp_path, monkeypatch, start
):
    monkeypatch.chdir(tmp_path)
    plan = write_sweep(
        tmp_path,
        sampler="tpe",
        search={"model.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        trials=2,
        pruner="median",
        settings={"last.minutes": 0.02, "data.epoch_size": 400, "trainer.default_root_dir": "there"},
    )
    first = start(plan)
    saved("trial_000")
    os.kill(child_of(first), signal.SIGKILL)
    saved("trial_001")
    os.kill(first.pid, signal.SIGKILL)
    said = first.communicate()[0]
    assert "trial_000: failed killed by SIGKILL" in said
    workers = [start(plan, "--retry", "true", "--refit", "1"), start(plan, "--refit", "1")]
    said = [worker.communicate(timeout=1500)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    together = "".join(said)
    assert together.count("1 interrupted: taken up again") == 1 and together.count("goes on, log in") == 2
    rows = leaderboard(Path("there"))
    assert sorted(row["configuration"] for row in rows) == ["trial_000", "trial_001"]
    assert {row["state"] for row in rows} == {"complete"} and len({row["model.learning_rate"] for row in rows}) == 2
    assert len(list(STUDY.glob("trial_*/seed_0/version_*/metrics-1.csv"))) == 2
    assert not list(STUDY.glob("trial_*/seed_0/version_1"))
    (version,) = STUDY.glob("refit/*/epochs_1/version_*")
    assert version.parts[-3] == rows[0]["configuration"] and (version / "model.pth").is_file()
    assert not Path("lightning_logs").exists()
    Path("export.yaml").write_text("precision: fp32")
    export = ["--table", "true", "--export", "bundle", "--export_config", "export.yaml"]
    assert run("sweep", "--config", plan, *export) == 0
    assert Path("bundle/manifest.json").is_file()
