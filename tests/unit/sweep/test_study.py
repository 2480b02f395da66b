import os
import subprocess
import sys

import pytest
from optuna.trial import TrialState

from smart_retail.errors import ConfigError
from smart_retail.sweep.best import alone
from smart_retail.sweep.plan import SweepSettings
from smart_retail.sweep.process import identity
from smart_retail.sweep.study import claim, open_study, retry, revive, settings_of, shown
from smart_retail.sweep.trial import _hopeless

SEARCH = {
    "model.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "model.task_weights": [{"age": 1.0}, {"age": 0.5}],
    "data.batch_size": {"low": 16, "high": 64, "step": 16},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(**settings):
    given = {"name": "study", "configs": [], "configurations": {"a": {"x": 1}, "b": {"x": 2}}} | settings
    return SweepSettings(**given)


def finish(study, planned, value=lambda settings: 0.5):
    """Work through a study without any training; return the settings that were tried."""
    tried = []
    while (trial := claim(study)) is not None:
        tried.append(settings_of(trial, planned))
        study.tell(trial, value(tried[-1]))
    return tried


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_samplers_draw_as_many_as_were_asked_for_within_bounds_and_again_the_same(sampler, tmp_path):
    def value(settings):
        return -abs(settings["model.learning_rate"] - 0.01)

    planned = plan(sampler=sampler, search=SEARCH, trials=8)
    tried = finish(open_study(planned), planned, value)
    assert len(tried) == 8 and len({s["model.learning_rate"] for s in tried}) == 8
    for settings in tried:
        assert 1e-4 <= settings["model.learning_rate"] <= 1e-1
        assert settings["model.task_weights"] in SEARCH["model.task_weights"]
        assert settings["data.batch_size"] in (16, 32, 48, 64)
    again = plan(name="again", sampler=sampler, search=SEARCH, trials=8)
    assert finish(open_study(again), again, value) == tried
    assert claim(open_study(planned)) is None


def test_a_grid_is_tried_once_each():
    planned = plan(sampler="grid", search={"x": [1, 2], "y": [3, 4]})
    assert finish(open_study(planned), planned) == list(planned.planned().values())


def test_two_workers_never_get_the_same_trial():
    planned = plan(sampler="random", search=SEARCH, trials=5)
    workers = [open_study(planned), open_study(planned)]
    names = []
    while trials := [t for t in (claim(study) for study in workers) if t is not None]:
        for study, trial in zip(workers, trials, strict=False):
            names.append(trial.user_attrs["name"])
            settings_of(trial, planned)
            study.tell(trial.number, 0.5)
    assert sorted(names) == [f"trial_{n:03}" for n in range(5)]
    rates = [t.params["model.learning_rate"] for t in shown(workers[0])]
    assert len(set(rates)) == 5


def dead_process():
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    who = identity(child.pid)
    child.communicate(b"\n")
    return who


@pytest.mark.parametrize("sampler", ["list", "tpe"])
def test_what_a_dead_worker_left_goes_on_with_its_runs_and_settings(sampler):
    planned = plan(sampler=sampler, search=SEARCH, trials=2)
    study = open_study(planned)
    trial, other = claim(study), claim(study)
    settings = settings_of(trial, planned)
    runs = {"0": {"state": "running", "seconds": 5.0}}
    trial.set_user_attr("runs", runs)
    trial.set_user_attr("worker", dead_process())
    second = open_study(planned)
    assert revive(second) == 1  # not that of the worker that lives
    taken = claim(second)
    assert taken.user_attrs["name"] == trial.user_attrs["name"] and taken.user_attrs["runs"] == runs
    assert settings_of(taken, planned) == settings
    assert sorted(t.number for t in shown(second)) == sorted([taken.number, other.number])
    assert revive(second) == 0


@pytest.mark.parametrize(("state", "same"), [("killed", True), ("failed", False)])
def test_a_failed_choice_of_the_sampler_is_chosen_anew_but_a_killed_one_goes_on(state, same):
    planned = plan(sampler="tpe", search=SEARCH, trials=1)
    study = open_study(planned)
    trial = claim(study)
    settings = settings_of(trial, planned)
    trial.set_user_attr("runs", {"0": {"state": state, "seconds": 5.0}})
    study.tell(trial, state=TrialState.FAIL)
    retry(study, planned)
    taken = claim(study)
    assert taken.user_attrs["name"] == "trial_000"
    assert (settings_of(taken, planned) == settings) == same
    assert bool(taken.user_attrs["runs"]) == same


def test_what_succeeded_at_last_is_not_retried_again():
    planned = plan(configurations={"a": {}})
    study = open_study(planned)
    study.tell(claim(study), state=TrialState.FAIL)
    retry(study, planned)
    study.tell(claim(study), 0.5)
    retry(study, planned)
    assert claim(study) is None


def test_other_budgets_and_other_settings_of_a_name_are_refused():
    open_study(plan(epochs=1))
    with pytest.raises(ConfigError, match="begun with epochs 1, not 2"):
        open_study(plan(epochs=2))
    with pytest.raises(ConfigError, match="configuration a has other settings"):
        open_study(plan(epochs=1, configurations={"a": {"x": 3}}))
    open_study(plan(epochs=1, configurations={"a": {"x": 1}, "b": {"x": 2}, "c": {}}))


def test_a_training_below_the_median_of_its_epoch_is_pruned(tmp_path):
    planned = plan(configurations={n: {} for n in "abcd"}, pruner="median", pruner_start=2)
    study = open_study(planned)
    for score in (0.5, 0.6):
        trial = claim(study)
        trial.report(score, 0)
        study.tell(trial, score)
    for name, score, hopeless in [("good", 0.7, False), ("bad", 0.4, True)]:
        folder = tmp_path / name / "version_0"
        folder.mkdir(parents=True)
        (folder / "metrics.csv").write_text(f"epoch,step,train/loss,val/score\n0,9,1.5,\n0,10,,{score}\n")
        trial = claim(study)
        assert _hopeless(trial, planned, folder, set()) == hopeless
        assert trial.user_attrs.get("pruned_at") == (1 if hopeless else None)


def test_of_two_workers_one_takes_care_of_the_best():
    planned = plan()
    open_study(planned)
    with alone(planned) as first, alone(planned) as second:
        assert (first, second) == (True, False)
    with alone(planned) as third:
        assert third


def test_a_worker_is_known_by_more_than_its_number():
    me = identity(os.getpid())
    assert revive(open_study(plan())) == 0
    host, pid, began = me.split(":")
    study = open_study(plan())
    claim(study).set_user_attr("worker", f"{host}:{pid}:{int(began) - 1}")
    assert revive(study) == 1
