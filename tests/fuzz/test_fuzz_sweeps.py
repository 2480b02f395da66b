"""The files that a sweep goes on from, damaged: named and left as they are, or gone on from without a loss."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from smart_retail.errors import ConfigError
from smart_retail.sweep import leaderboard
from smart_retail.sweep.best import best_of
from smart_retail.sweep.journal import Journal, open_journal
from smart_retail.sweep.plan import SweepSettings
from smart_retail.sweep.process import (
    best_metrics,
    chosen_settings,
    final_size_epoch,
    identity,
    newest_version,
    read_config,
    read_metrics,
)
from smart_retail.sweep.study import claim, open_study, retry, revive, settings_of, shown
from smart_retail.sweep.trial import _hopeless
from smart_retail.training.reproduce import metrics
from tests.helpers.faults import small_disk
from tests.helpers.fuzz import damaged, fuzz, json_values, only_clear_errors, tree
from tests.helpers.runs import run
from tests.integration.test_sweep import write_sweep

PLAN = SweepSettings(name="study", configs=[], sampler="tpe", search={"x": {"low": 0.1, "high": 0.2}}, trials=3)
FILE = Path("lightning_logs/study/study.journal")


@contextmanager
def elsewhere():
    before = Path.cwd()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # every operation waits for the disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        os.chdir(folder)
        FILE.parent.mkdir(parents=True)
        try:
            yield
        finally:
            os.chdir(before)


def journal() -> bytes:
    """Return that of a study with a trial that is complete, one that failed, and one that runs."""
    with elsewhere():
        study = open_study(PLAN)
        for state in (TrialState.COMPLETE, TrialState.FAIL, None):
            trial = claim(study)
            settings_of(trial, PLAN)
            values = {"objective": 0.5, "age_mae": 7.0, "parameters": 1e6}
            run = {"state": "complete", "seconds": 3.0, "values": values, "folder": "there/version_0"}
            trial.set_user_attr("runs", {"0": run | {"child": identity(os.getpid())}})
            trial.report(0.5, 0)
            if state is not None:
                trial.set_user_attr("reason", "none")
                study.tell(trial, 0.5 if state == TrialState.COMPLETE else None, state)
        return FILE.read_bytes()


JOURNAL = journal()
LINES = JOURNAL.splitlines(keepends=True)


@st.composite
def odd_operations(draw: st.DrawFn) -> bytes:
    """Return a journal with another value at a place of one of its lines, or with another line."""
    logs = [json.loads(line) for line in LINES]
    at = logs[draw(st.integers(0, len(logs) - 1))]
    while True:
        key = draw(st.sampled_from(sorted(at)))
        if not (isinstance(at[key], dict) and at[key]):
            break
        at = at[key]
    at[key] = draw(
        json_values | st.sampled_from(["../../up", "..", -1, 99, {}, "a:b:c", f"x:{'9' * 30}:1", "2026-13-45"])
    )
    if draw(st.booleans()):
        logs.insert(draw(st.integers(0, len(logs))), draw(json_values | st.just({"op_code": 99, "worker_id": "x"})))
    return b"".join(json.dumps(log).encode() + b"\n" for log in logs)


@fuzz(100)
@given(st.one_of(damaged(JOURNAL), odd_operations(), st.binary(min_size=1, max_size=60)))
def test_a_damaged_journal(content):
    with elsewhere():
        FILE.write_bytes(content)
        with only_clear_errors():
            study = open_study(PLAN)
            revive(study), retry(study, PLAN), claim(study)
            rows = leaderboard.write(study, PLAN)
            leaderboard._cells(rows, PLAN)
            best_of(study, PLAN)
        assert FILE.read_bytes().startswith(content[: content.rfind(b"\n") + 1])
        names = {"study.journal", "leaderboard.csv", "leaderboard.md"}
        assert tree(Path()) <= {"lightning_logs", "lightning_logs/study", *(f"lightning_logs/study/{n}" for n in names)}


def states():
    return [trial.state for trial in shown(open_study(PLAN))]


def test_a_last_line_that_is_half_written_is_cut_off_and_the_study_goes_on():
    with elsewhere():
        for keep in (1, 5, 11, 20, len(LINES[-1]) - 1):
            whole = b"".join(LINES[:-1])
            FILE.write_bytes(whole + LINES[-1][:keep])
            assert len(states()) == 3
            assert FILE.read_bytes().startswith(whole) and all(map(json.loads, FILE.read_bytes().splitlines()))
            FILE.write_bytes(whole + LINES[-1][:keep] + bytes(7))  # as a file system may leave it
            assert states() == [TrialState.COMPLETE, TrialState.FAIL, TrialState.RUNNING]


def test_a_writer_that_is_killed_with_the_lock_in_hand_stops_nobody():
    with elsewhere():
        study = open_study(PLAN)
        before = FILE.read_bytes()
        code = f"""
import fcntl, os
file = open({str(FILE)!r}, "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
file.seek(0, 2)
file.write({LINES[-1][:30]!r})
file.flush()
os.kill(os.getpid(), {int(signal.SIGKILL)})
"""
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
        assert len(FILE.read_bytes()) == len(before) + 30
        trial = claim(study)  # a worker that runs already
        study.tell(trial, 0.5)
        assert FILE.read_bytes().startswith(before)
        assert states().count(TrialState.COMPLETE) == 1  # and one that comes later


def test_a_full_disk_loses_what_was_not_written_and_no_more(tmp_path, monkeypatch):
    with small_disk(tmp_path / "disk", 64) as disk:
        monkeypatch.chdir(disk)
        study = open_study(PLAN)
        Path("filler").write_bytes(bytes(40_000))
        written = 0
        with pytest.raises(OSError, match="No space left"):
            while written < 100:
                study.set_user_attr(f"x{written}", "y" * 900)
                written += 1
        assert not FILE.read_bytes().endswith(b"\n")
        Path("filler").unlink()
        assert states() == [TrialState.WAITING] * 3
        assert sum(name.startswith("x") for name in open_study(PLAN).user_attrs) == written > 0
        monkeypatch.chdir(tmp_path)


def test_workers_never_write_into_each_others_lines():
    with elsewhere():
        FILE.touch()
        logs = [{"op_code": 5, "worker_id": "x" * 3000}] * 3
        threads = [
            threading.Thread(target=lambda: [Journal(FILE).append_logs(logs) for _ in range(5)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(list(Journal(FILE).read_logs(0))) == 60


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"\x00\xff\x80 rubbish\n", "line 3 (no JSON"),
        (b"42\n", "line 3 (no operation"),
        (b"[" * 100_000 + b"\n", "line 3 (no JSON"),
        (b'{"op_code":99,"worker_id":"x"}\n', "another version"),
        (b'{"op_code":5}\n', "another version"),
    ],
    ids=["bytes", "number", "deep", "newer", "poor"],
)
@pytest.mark.parametrize("last", [False, True])
def test_damage_is_named_with_the_way_out_which_works(tmp_path, monkeypatch, capsys, line, said, last):
    monkeypatch.chdir(tmp_path)
    sweep = write_sweep(tmp_path, configurations={"a": {}})
    FILE.parent.mkdir(parents=True)
    content = b"".join([*LINES[:2], line, *(() if last else LINES[2:])])
    FILE.write_bytes(content)
    assert run("sweep", "--config", sweep, "--table", "true") == 2
    shown = capsys.readouterr().err
    assert said in shown and str(FILE) in shown and "Traceback" not in shown
    assert len(shown.splitlines()) == 2 and FILE.read_bytes() == content
    subprocess.run(shown.splitlines()[1], shell=True, check=True)
    assert FILE.read_bytes() == b"".join(LINES[:2]) and Path("damaged.journal").read_bytes() == content
    open_journal(FILE)


def test_what_is_no_file_of_its_own_is_not_written_through():
    with elsewhere():
        for make in (
            lambda: FILE.symlink_to("/nowhere/else"),
            lambda: FILE.symlink_to(Path("other").absolute()),
            lambda: os.mkfifo(FILE),
            lambda: FILE.mkdir(),
        ):
            make()
            with pytest.raises(ConfigError, match=r"study\.journal is no file of its own"):
                open_study(PLAN)
            FILE.rmdir() if FILE.is_dir() else FILE.unlink()
        assert not Path("other").exists()


TABLE = b"epoch,step,train/loss,val/score,val/age_mae\n0,9,1.5,,\n0,10,,0.5,7.0\n1,20,,0.6,6.5\n"
TRAINED = b"run: tiny\ndata:\n  progressive: {0: 32, 1: 48}\nmodel:\n  learning_rate: 0.1\n"
CELLS = st.sampled_from(["", "nan", "inf", "-1e999", "9" * 40, "x", '"', "0", "1.5", "True", "٣", "\x00", "\r"])
ODD_TABLE = st.lists(st.lists(CELLS, max_size=6).map(",".join), max_size=4).map(
    lambda rows: b"epoch,step,val/score\n" + "\n".join(rows).encode()
)
TABLES = st.one_of(damaged(TABLE), ODD_TABLE, st.binary(max_size=60))


@fuzz(80)
@given(TABLES, st.one_of(st.just(TRAINED), damaged(TRAINED), json_values.map(lambda v: json.dumps(v).encode())))
def test_a_damaged_trial(table, config):
    with tempfile.TemporaryDirectory() as folder:
        version = Path(folder) / "version_0"
        version.mkdir()
        (version / "metrics.csv").write_bytes(table)
        (version / "config.yaml").write_bytes(config)
        assert newest_version(Path(folder)) == version
        best_metrics(read_metrics(version), "val/score", "maximize")
        with only_clear_errors():
            metrics(version)
        with only_clear_errors():
            found = read_config(version)
            chosen_settings(found, ["model.learning_rate", "data.seed.x"])
            best_metrics(read_metrics(version), "val/score", "minimize", final_size_epoch(found))


def test_tables_that_are_damaged_end_no_pruned_trial():
    with elsewhere():
        study = open_study(PLAN)
        trial = claim(study)
        version = Path("version_0")
        version.mkdir()
        for table in (
            b"epoch,val/score\nx,0.5\n",
            b"val/score\n0.5\n",
            b"epoch,val/score\ninf,1\n0,inf\n",
            b"\xff\x00",
            b"",
        ):
            (version / "metrics.csv").write_bytes(table)
            assert not _hopeless(trial, PLAN, version, set())


def test_a_copy_of_a_run_beside_it_is_none_of_the_sweeps():
    with elsewhere():
        for name in ("version_2", "version_10", "version_10 (copy)", "version_old", "version_²"):
            Path(name).mkdir()
        assert newest_version(Path()) == Path("version_10")
