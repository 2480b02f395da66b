import os
import signal
import threading
import time

import pandas as pd
import pytest

from smart_retail.errors import SmartRetailError
from smart_retail.files import locked
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.trial import read_metrics, reason, results, run_command

PLAN = SweepSettings(name="study", configs=[], configurations={"a": {}})


@pytest.mark.parametrize(
    ("code", "output", "expected"),
    [
        (2, "error: no such file\n", "error: no such file"),
        (1, "  File x\nRuntimeError: can't allocate memory\n\n", "RuntimeError: can't allocate memory"),
        (1, "nothing in particular\n", "nothing in particular"),
        (1, "", "exit code 1"),
        (-signal.SIGKILL, "error: an old one\n", "killed by SIGKILL (out of memory?)"),
        (143, "Received SIGTERM\n", "killed by SIGTERM"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(code, output, expected):
    assert reason(code, output) == expected


def test_a_command_that_fails_says_why_and_an_error_of_an_earlier_start_is_not_the_reason(tmp_path):
    (tmp_path / "log").write_text("error: an old one\n")
    with locked(tmp_path / "log") as log:
        run_command(["--help"], log)
        with pytest.raises(SmartRetailError, match="no command 'nonsense'"):
            run_command(["nonsense"], log)
    assert "commands:" in (tmp_path / "log").read_text()


def test_a_command_that_must_stop_is_ended_before_anything_else_happens(tmp_path):
    def stop():
        raise KeyboardInterrupt

    with locked(tmp_path / "log") as log, pytest.raises(KeyboardInterrupt):
        run_command(["fit", "--help"], log, stop)
    with locked(tmp_path / "log"):  # nobody has it any more
        pass


def test_who_inherits_a_log_holds_its_lock_when_the_worker_is_gone(tmp_path):
    with locked(tmp_path / "log") as file:
        inherited = os.dup(file.fileno())
    taken = threading.Event()

    def next_worker():
        with locked(tmp_path / "log"):
            taken.set()

    thread = threading.Thread(target=next_worker)
    thread.start()
    assert not taken.wait(0.2)
    os.close(inherited)
    thread.join()
    assert taken.is_set()


def write_run(folder, rows, config="data: {progressive: {0: 32, 1: 48}}"):
    folder.mkdir()
    pd.DataFrame(rows).to_csv(folder / "metrics.csv", index=False)
    (folder / "config.yaml").write_text(config)
    return folder


def test_the_best_epoch_is_one_at_the_final_size(tmp_path):
    rows = {"epoch": [0, 1, 2], "step": [1, 2, 3], "val/score": [0.9, 0.5, 0.6], "val/age_mae": [1.0, 5.0, 6.0]}
    version = write_run(tmp_path / "version_0", rows)
    assert results(version, PLAN) == {"score": 0.6, "age_mae": 6.0, "objective": 0.6}
    (version / "config.yaml").write_text("data: {progressive: null}")
    assert results(version, PLAN)["score"] == 0.9
    (version / "config.yaml").write_text("data: {progressive: {5: 48}}")
    with pytest.raises(SmartRetailError, match="no val/score"):
        results(version, PLAN)


def test_validations_from_before_a_resumption_count(tmp_path):
    version = write_run(tmp_path / "version_0", {"epoch": [1], "val/score": [0.4]})
    pd.DataFrame({"epoch": [0], "val/score": [0.7]}).to_csv(version / "metrics-1.csv")
    assert sorted(read_metrics(version, "val/score")["val/score"]) == [0.4, 0.7]
    assert read_metrics(tmp_path, "val/score").empty


def test_a_killed_workers_training_is_ended_too(tmp_path):
    worker = os.fork()
    if not worker:
        with locked(tmp_path / "log") as log:
            run_command(["fit", "--help"], log, lambda: os.kill(os.getpid(), signal.SIGKILL))
        os._exit(0)
    os.waitpid(worker, 0)
    begin = time.monotonic()
    with locked(tmp_path / "log"):
        assert time.monotonic() - begin < 60
