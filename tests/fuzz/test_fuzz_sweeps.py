"""The files that a sweep goes on from, damaged: named, or gone on from without a loss; never a traceback."""

import json
import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState

from smart_retail.errors import ConfigError
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import newest_trials, open_study, table, wait_for_work, write
from smart_retail.sweep.trial import newest_version, report, results
from smart_retail.training.reproduce import metrics
from tests.helpers.faults import small_disk
from tests.helpers.fuzz import damaged, fuzz, json_values, only_clear_errors, tree
from tests.helpers.runs import run
from tests.integration.test_sweep import write_sweep

PLAN = SweepSettings(name="study", configs=[], sampler="tpe", search={"x": {"low": 0.1, "high": 0.2}}, trials=3)
FILE = Path("lightning_logs/study/study.db")


@contextmanager
def elsewhere():
    before = Path.cwd()
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # every transaction waits for the disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        os.chdir(folder)
        FILE.parent.mkdir(parents=True)
        try:
            yield
        finally:
            os.chdir(before)


def database() -> bytes:
    """Return that of a study with a trial that is complete, one that failed, and one that waits."""

    def tries(trial):
        trial.set_user_attr("settings", {"x": PLAN.suggest(trial, "x")})
        values = {"objective": 0.5, "age_mae": 7.0, "parameters": 1e6}
        trial.set_user_attr("seed_0", {"seconds": 3.0, "values": values})
        trial.report(0.5, 0)
        if trial.number:
            raise RuntimeError
        return 0.5

    with elsewhere():
        open_study(PLAN).optimize(tries, n_trials=2, catch=(RuntimeError,))
        return FILE.read_bytes()


DATABASE = database()


@fuzz(25)
@given(st.one_of(damaged(DATABASE), st.binary(min_size=1, max_size=60)))
def test_a_damaged_database(content):
    with elsewhere():
        FILE.write_bytes(content)
        with only_clear_errors():
            try:
                study = open_study(PLAN, retry=True)
                wait_for_work(study, PLAN)
                table(write(study, PLAN), PLAN)
            except StorageInternalError as error:  # which the command turns into a message
                raise ConfigError("storage") from error
        names = {"study.db", "study.db-journal", "study.lock", "leaderboard.csv", "leaderboard.md"}
        assert tree(Path()) <= {"lightning_logs", "lightning_logs/study", *(f"lightning_logs/study/{n}" for n in names)}


def test_what_is_no_database_is_named_and_left_as_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep = write_sweep(tmp_path, configurations={"a": {}})
    FILE.parent.mkdir(parents=True)
    FILE.write_bytes(b"rubbish" * 500)
    assert run("sweep", "--config", sweep, "--table") == 2
    shown = capsys.readouterr().err
    assert str(FILE) in shown and "move it away" in shown and "Traceback" not in shown
    assert FILE.read_bytes() == b"rubbish" * 500
    FILE.unlink()
    FILE.mkdir()
    assert run("sweep", "--config", sweep, "--table") == 2
    assert str(FILE) in capsys.readouterr().err


def test_a_full_disk_is_told_and_loses_what_was_not_written_and_no_more(tmp_path, monkeypatch, capsys):
    with small_disk(tmp_path / "disk", 400) as disk:
        monkeypatch.chdir(disk)
        FILE.parent.mkdir(parents=True)
        study = open_study(PLAN)
        Path("filler").write_bytes(bytes(shutil.disk_usage(disk).free - 30_000))
        written = 0
        with pytest.raises(StorageInternalError):
            while written < 1_000:
                study.set_user_attr(f"x{written}", "y" * 900)
                written += 1
        sweep = write_sweep(tmp_path, name="other", configurations={"a": {}})
        assert run("sweep", "--config", sweep, "--table") == 2
        shown = capsys.readouterr().err
        assert "full" in shown or "No space left" in shown
        Path("filler").unlink()
        study = open_study(PLAN)
        assert {trial.state for trial in newest_trials(study).values()} == {TrialState.WAITING}
        assert sum(name.startswith("x") for name in study.user_attrs) == written > 0
        monkeypatch.chdir(tmp_path)


TABLE = b"epoch,step,train/loss,val/score,val/age_mae\n0,9,1.5,,\n0,10,,0.5,7.0\n1,20,,0.6,6.5\n"
TRAINED = b"run: tiny\ndata:\n  progressive: {0: 32, 1: 48}\nmodel:\n  learning_rate: 0.1\n"
CELLS = st.sampled_from(["", "nan", "inf", "-1e999", "9" * 40, "x", '"', "0", "1.5", "True", "٣", "\x00", "\r"])
ODD_TABLE = st.lists(st.lists(CELLS, max_size=6).map(",".join), max_size=4).map(
    lambda rows: b"epoch,step,val/score\n" + "\n".join(rows).encode()
)
TABLES = st.one_of(damaged(TABLE), ODD_TABLE, st.binary(max_size=60))


class Reported:
    """A trial of which the pruner hopes the best."""

    def report(self, value, step):
        assert isinstance(value, float) and isinstance(step, int) and step >= 0

    def should_prune(self):
        return False


@fuzz(80)
@given(TABLES, st.one_of(st.just(TRAINED), damaged(TRAINED), json_values.map(lambda v: json.dumps(v).encode())))
def test_a_damaged_training(metrics_table, config):
    with tempfile.TemporaryDirectory() as folder:
        version = Path(folder) / "version_0"
        version.mkdir()
        (version / "metrics.csv").write_bytes(metrics_table)
        (version / "config.yaml").write_bytes(config)
        assert newest_version(Path(folder)) == version
        report(Reported(), "val/score", Path(folder), set())
        with only_clear_errors():
            metrics(version)
        with only_clear_errors():
            assert results(version, PLAN)["objective"] < float("inf")


def test_a_copy_of_a_run_beside_it_is_none_of_the_sweeps():
    with elsewhere():
        for name in ("version_2", "version_10", "version_10 (copy)", "version_old", "version_²"):
            Path(name).mkdir()
        assert newest_version(Path()) == Path("version_10")
