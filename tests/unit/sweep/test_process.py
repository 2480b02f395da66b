import os
import signal
import subprocess
import sys

import pandas as pd
import pytest

from smart_retail.sweep.process import (
    best_metrics,
    final_size_epoch,
    identity,
    is_alive,
    reason,
    run_child,
    wait_until_gone,
)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "fit.log"


@pytest.mark.parametrize(
    ("code", "said", "expected"),
    [
        (2, "error: no such file\n", "error: no such file"),
        (1, "  File x\nRuntimeError: can't allocate memory\n\n", "RuntimeError: can't allocate memory"),
        (1, "nothing in particular\n", "nothing in particular"),
        (1, "", "exit code 1"),
        (-signal.SIGKILL, "error: an old one\n", "killed by SIGKILL (out of memory?)"),
        (143, "Received SIGTERM\n", "killed by SIGTERM"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(log, code, said, expected):
    log.write_text(said)
    assert reason(code, log) == expected


def test_errors_of_an_earlier_start_are_not_the_reason(log):
    log.write_text("error: an old one\n")
    start = log.stat().st_size
    log.write_text(log.read_text() + "something else\n")
    assert reason(1, log, start) == "something else"


def test_a_child_that_is_killed_has_its_signal_as_code_and_its_words_in_the_log(log):
    assert run_child(["--help"], log) == 0
    assert "commands:" in log.read_text()
    started = []
    assert run_child(["--help"], log, started=lambda pid: (started.append(pid), _kill(pid))) == -signal.SIGKILL


def _kill(pid):
    os.kill(pid, signal.SIGKILL)


def test_the_training_of_a_killed_sweep_may_save_before_the_next_one_begins():
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    who = identity(child.pid)
    assert is_alive(who)
    wait_until_gone(who, patience=0.0)
    assert not is_alive(who) and child.wait() == -signal.SIGKILL
    assert is_alive("elsewhere:1:2") is None


def test_the_best_epoch_is_one_at_the_final_size():
    table = pd.DataFrame({"epoch": [0, 1, 2], "val/score": [0.9, 0.5, 0.6], "val/age_mae": [1.0, 5.0, 6.0]})
    first = final_size_epoch({"data": {"progressive": {0: 32, "1": 48}}})
    assert best_metrics(table, "val/score", "maximize", first) == {"score": 0.6, "age_mae": 6.0, "objective": 0.6}
    assert (
        best_metrics(table, "val/score", "maximize", final_size_epoch({"data": {"progressive": None}}))["score"] == 0.9
    )
    assert best_metrics(table[:1], "val/score", "maximize", first) == {}
    assert best_metrics(pd.DataFrame(), "val/score", "maximize") == {}
