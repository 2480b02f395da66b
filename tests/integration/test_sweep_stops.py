"""A sweep whose training, or that itself, is killed: what was done stays, the rest goes on."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import smart_retail
from smart_retail.callbacks.metrics_table import RESUMED
from tests.helpers.children import HANGS
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


def training(worker, trial):
    """Wait until a worker's training has something to go on with; return whether it is that of a trial."""
    end = time.monotonic() + HANGS
    while time.monotonic() < end:
        words = Path(f"/proc/{child_of(worker) or worker.pid}/cmdline").read_bytes()
        for name in ("trial_000", "trial_001"):
            saved = list((STUDY / name / "seed_0").glob("version_0/checkpoints/last.ckpt"))
            if saved and f"/{name}/".encode() in words:
                return name == trial
        time.sleep(0.05)
    raise AssertionError("no checkpoint")


def child_of(worker):
    tasks = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    return int(tasks[0]) if tasks else 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the training's process below /proc")
def test_two_workers_share_trials_and_what_is_killed_goes_on_and_the_best_is_fitted_again_and_exported(
    tmp_path, monkeypatch, capsys, start
):
    monkeypatch.chdir(tmp_path)
    plan = write_sweep(
        tmp_path,
        sampler="tpe",
        search={"model.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}},
        trials=2,
        grace_period=4,
        settings={"last.minutes": 0.01, "data.epoch_size": 320, "trainer.default_root_dir": "there"},
    )
    workers = [start(plan), start(plan)]
    killed, other = sorted(workers, key=lambda worker: training(worker, "trial_001"))
    os.kill(killed.pid, signal.SIGKILL)
    os.kill(child_of(other), signal.SIGKILL)
    said = other.communicate(timeout=HANGS)[0]
    assert other.returncode == 0, said
    assert "trial_001: failed killed by SIGKILL" in said
    assert "trial_000/seed_0: goes on" in said and "trial_000: complete" in said
    Path("export.yaml").write_text("precision: fp32")
    again = ["--retry", "--refit", "1", "--export", "bundle", "--export_config", "export.yaml"]
    assert run("sweep", "--config", plan, *again) == 0
    said = capsys.readouterr().out
    assert "trial_001/seed_0: goes on" in said and "trial_000/seed_0" not in said
    rows = leaderboard(Path("there"))
    assert sorted(row["configuration"] for row in rows) == ["trial_000", "trial_001"]
    assert {row["state"] for row in rows} == {"complete"} and len({row["model.learning_rate"] for row in rows}) == 2
    tables = STUDY.glob("trial_*/seed_0/version_*/metrics.csv")
    assert [RESUMED in table.read_text().splitlines()[0].split(",") for table in tables] == [True, True]
    assert not list(STUDY.glob("trial_*/seed_0/version_1"))
    (version,) = STUDY.glob("refit/*/epochs_1/version_*")
    assert version.parts[-3] == rows[0]["configuration"] and (version / "model.pth").is_file()
    assert Path("bundle/manifest.json").is_file() and not Path("lightning_logs").exists()
