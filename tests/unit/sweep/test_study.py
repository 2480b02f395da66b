import signal
import sqlite3
import tempfile
import threading
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from optuna.exceptions import TrialPruned
from optuna.trial import TrialState

from smart_retail.errors import ConfigError
from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import newest_trials, open_study, wait_for_work
from smart_retail.sweep.trial import TakenOver, objective, report

SEARCH = {
    "model.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "model.task_weights": [{"age": 1.0}, {"age": 0.5}],
    "data.batch_size": {"low": 16, "high": 64, "step": 16},
}
DB = "lightning_logs/study/study.db"


@pytest.fixture(autouse=True)
def here(monkeypatch):
    memory = "/dev/shm" if Path("/dev/shm").is_dir() else None  # every transaction waits for the disk
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        monkeypatch.chdir(folder)
        yield
        monkeypatch.undo()


def plan(**settings):
    given = {"name": "study", "configs": [], "configurations": {"a": {"x": 1}, "b": {"x": 2}}} | settings
    return SweepSettings(**given)


def finish(study, planned, value=lambda settings: 0.5):
    """Work through a study without any training; return the settings that were tried, by name."""
    tried = {}

    def tries(trial):
        if "name" not in trial.user_attrs:
            raise TrialPruned  # another worker was faster
        if trial.user_attrs["settings"] is None:
            trial.set_user_attr("settings", {key: planned.suggest(trial, key) for key in planned.search})
        assert trial.user_attrs["name"] not in tried
        tried[trial.user_attrs["name"]] = trial.user_attrs["settings"]
        return value(trial.user_attrs["settings"])

    while wait_for_work(study, planned):
        study.optimize(tries, n_trials=1)
    return tried


def fail(study, **attributes):
    """Let the next trial fail."""

    def fails(trial):
        for name, value in attributes.items():
            trial.set_user_attr(name, value)
        raise RuntimeError

    study.optimize(fails, n_trials=1, catch=(RuntimeError,))


def take(study, beats=True):
    """Take a trial as a worker that is killed a moment later."""
    study._thread_local.in_optimize_loop = True
    trial = study.ask()
    trial.set_user_attr("begun", trial.number if beats else -1)
    if beats:
        study._storage.record_heartbeat(trial._trial_id)
    return trial


def an_hour_later():
    with sqlite3.connect(DB) as database:
        database.execute("UPDATE trial_heartbeats SET heartbeat = datetime(heartbeat, '-1 hour')")


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samplers_draw_as_many_as_were_asked_for_within_bounds_and_again_the_same(sampler):
    def value(settings):
        return -abs(settings["model.learning_rate"] - 0.01)

    planned = plan(sampler=sampler, search=SEARCH, trials=8)
    tried = finish(open_study(planned), planned, value)
    assert len(tried) == 8 and len({s["model.learning_rate"] for s in tried.values()}) == 8
    for settings in tried.values():
        assert 1e-4 <= settings["model.learning_rate"] <= 1e-1
        assert settings["model.task_weights"] in SEARCH["model.task_weights"]
        assert settings["data.batch_size"] in (16, 32, 48, 64)
    again = plan(name="again", sampler=sampler, search=SEARCH, trials=8)
    assert finish(open_study(again), again, value) == tried
    assert not wait_for_work(open_study(planned), planned)


def test_a_grid_is_tried_once_each():
    planned = plan(sampler="grid", search={"x": [1, 2], "y": [3, 4]})
    assert finish(open_study(planned), planned) == planned.planned()


def test_workers_that_begin_together_share_the_trials_and_never_get_the_same_one():
    planned = plan(sampler="random", search=SEARCH, trials=12)
    tried = []
    threads = [
        threading.Thread(target=lambda: tried.extend(finish(open_study(planned), planned).items())) for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(name for name, _ in tried) == [f"trial_{n:03}" for n in range(12)]
    assert len({settings["model.learning_rate"] for _, settings in tried}) == 12


@pytest.mark.parametrize("sampler", ["list", "tpe"])
def test_what_a_dead_worker_left_goes_on_with_its_runs_and_settings(sampler):
    planned = plan(sampler=sampler, search=SEARCH, trials=2)
    study = open_study(planned)
    trial = take(study)
    settings = trial.user_attrs["settings"] or {key: planned.suggest(trial, key) for key in planned.search}
    trial.set_user_attr("settings", settings)
    trial.set_user_attr("seed_0", {"seconds": 5.0})
    an_hour_later()
    other = take(study)
    second = open_study(planned)
    assert wait_for_work(second, planned)
    waiting = [t for t in newest_trials(second).values() if t.state == TrialState.WAITING]
    assert [t.user_attrs["name"] for t in waiting] == [trial.user_attrs["name"]]  # the other's worker lives
    assert waiting[0].user_attrs["settings"] == settings and waiting[0].user_attrs["seed_0"] == {"seconds": 5.0}
    study.tell(other, 0.5)
    assert finish(second, planned) == {trial.user_attrs["name"]: settings}


def test_a_worker_that_was_killed_before_its_first_heartbeat_leaves_a_trial_that_a_retry_takes_up_again():
    study = open_study(plan())
    lost = take(study, beats=False)
    assert newest_trials(open_study(plan()))[lost.user_attrs["name"]].state == TrialState.RUNNING
    assert set(finish(open_study(plan(), retry=True), plan())) == {"a", "b"}


def test_a_failed_trial_is_taken_up_again_if_asked_for_and_not_once_it_has_succeeded():
    planned = plan(configurations={"a": {}})
    study = open_study(planned)
    fail(study, reason="no room", seed_0={"seconds": 5.0})
    assert not wait_for_work(open_study(planned), planned)
    study = open_study(planned, retry=True)
    again = newest_trials(study)["a"]
    assert "reason" not in again.user_attrs and again.user_attrs["seed_0"] == {"seconds": 5.0}
    assert len(finish(study, planned)) == 1
    assert not wait_for_work(open_study(planned, retry=True), planned)


def test_ctrl_c_lines_the_trial_up_again_for_the_next_worker(monkeypatch):
    study = open_study(plan())
    monkeypatch.setattr("smart_retail.sweep.trial.say", lambda text: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        study.optimize(partial(objective, plan=plan()), n_trials=1)
    assert set(finish(open_study(plan()), plan())) == {"a", "b"}


def test_a_worker_that_was_silent_for_too_long_leaves_the_trial_to_the_other_one():
    study = open_study(plan())

    def slow(trial):
        study.tell(trial.number, state=TrialState.FAIL)  # as the other one does with what is stale
        return objective(trial, plan())

    with pytest.raises(TakenOver):
        study.optimize(slow, n_trials=1)
    assert finish(study, plan())  # this one goes on with the next


def test_other_budgets_and_other_settings_of_a_name_are_refused():
    open_study(plan(epochs=1))
    with pytest.raises(ConfigError, match="begun with epochs 1, not 2"):
        open_study(plan(epochs=2))
    with pytest.raises(ConfigError, match=r"begun with configuration a \{'x': 1\}, not \{'x': 3\}"):
        open_study(plan(epochs=1, configurations={"a": {"x": 3}}))
    open_study(plan(epochs=1, configurations={"a": {"x": 1}, "b": {"x": 2}, "c": {}}))


def test_trainings_of_a_study_that_is_gone_are_not_taken_for_this_ones():
    Path("lightning_logs/study/a/seed_0").mkdir(parents=True)
    with pytest.raises(ConfigError, match="another study"):
        open_study(plan())


def test_a_training_that_is_pruned_before_its_final_size_has_not_failed(monkeypatch):
    def hopeless(*_):
        raise TrialPruned("worse than the others")

    monkeypatch.setattr("smart_retail.sweep.trial.train", hopeless)
    study = open_study(plan())
    study.optimize(partial(objective, plan=plan()), n_trials=1)
    assert study.trials[0].state == TrialState.PRUNED
    assert study.trials[0].user_attrs["reason"] == "worse than the others"


def test_a_training_below_the_median_of_its_epoch_is_pruned():
    planned = plan(configurations={n: {} for n in "abcd"}, pruner="median", pruner_start=2)
    study = open_study(planned)
    reasons = []

    def reports(trial):
        score = {"a": 0.5, "b": 0.6, "c": 0.7, "d": 0.4}[trial.user_attrs["name"]]
        Path("version_0").mkdir(exist_ok=True)
        pd.DataFrame({"epoch": [0], "val/score": [score]}).to_csv("version_0/metrics.csv")
        try:
            report(trial, "val/score", Path(), set())
        except TrialPruned as error:
            reasons.append(str(error))
            raise
        return score

    study.optimize(reports, n_trials=4)
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE] * 3 + [TrialState.PRUNED]
    assert reasons == ["worse than the median of the others at epoch 1"]
