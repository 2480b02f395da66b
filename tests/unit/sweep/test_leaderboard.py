import io

import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial
from rich.console import Console

from smart_retail.sweep.settings import SweepSettings
from smart_retail.sweep.study import leaderboard, table


def trial(name, *scores, state=TrialState.COMPLETE, **attributes):
    runs = {
        f"seed_{seed}": {
            "seconds": 60.0 * (seed + 1),
            "values": {
                "objective": s,
                "score": s,
                "gender_acc": s,
                "utkface/age_mae": 10 * s,
                "age_mae": 9 * s,
                "age_b_mae": s,
            },
        }
        for seed, s in enumerate(scores)
    }
    value = sum(scores) / len(scores) if state == TrialState.COMPLETE else None
    given = {"name": name, "settings": {"model.learning_rate": 0.1}} | runs | attributes
    return create_trial(state=state, value=value, user_attrs=given)


def test_seeds_become_mean_and_sample_deviation():
    rows = leaderboard([trial("one", 0.5, 0.7)], "maximize")
    assert rows.loc[0, "score"] == pytest.approx(0.6)
    assert rows.loc[0, "score_spread"] == pytest.approx(0.02**0.5)
    assert rows.loc[0, "utkface/age_mae"] == pytest.approx(6.0)
    assert rows.loc[0, "utkface/age_mae_spread"] == pytest.approx(2**0.5)
    assert rows.loc[0, "seeds"] == 2 and rows.loc[0, "minutes"] == pytest.approx(1.5)
    assert pd.isna(leaderboard([trial("one", 0.5)], "maximize").loc[0, "score_spread"])


@pytest.mark.parametrize(("direction", "order"), [("maximize", ["b", "a"]), ("minimize", ["a", "b"])])
def test_the_best_is_first_and_the_failed_ones_are_last(direction, order):
    trials = [
        trial("broken", state=TrialState.FAIL, reason="killed by SIGKILL"),
        trial("waits", state=TrialState.WAITING),
        trial("a", 0.4),
        trial("cut", 0.9, state=TrialState.PRUNED),
        trial("b", 0.6),
    ]
    rows = leaderboard(trials, direction)
    assert list(rows["configuration"]) == [*order, "cut", "waits", "broken"]
    assert rows["rank"].dropna().tolist() == [1, 2]
    assert rows.iloc[-1]["reason"] == "killed by SIGKILL" and pd.isna(rows.iloc[-1]["score"])


def test_a_metric_has_a_column_for_each_data_set_if_there_are_several():
    def head(rows):
        return [column.header for column in table(rows, plan).columns]

    plan = SweepSettings(name="study", configs=[], configurations={"one": {}}, seeds=[0, 1])
    one = trial("one", 0.5, 0.7)
    assert {"age mae", "gender acc", "seeds"} <= set(head(leaderboard([one], "maximize")))
    more = trial("two", 0.6, seed_0={"seconds": 1.0, "values": {"objective": 1.0, "fairface/age_mae": 4.0}})
    rows = leaderboard([one, more], "maximize")
    assert {"utkface/age mae", "fairface/age mae"} <= set(head(rows)) and "age mae" not in head(rows)
    assert "age b mae" not in head(rows) and "age_b_mae" in rows
    shown = io.StringIO()
    Console(file=shown, width=300).print(table(rows, plan))
    assert "60.0% ± 14.1%" in shown.getvalue()


def test_a_trial_that_has_only_begun_and_one_that_was_lost_have_rows_as_well():
    begun = trial("begun", state=TrialState.RUNNING, settings=None, seed_0={"seconds": 30.0})
    rows = leaderboard([trial("lost", state=TrialState.FAIL), begun], "maximize")
    assert rows["state"].tolist() == ["running", "failed"] and rows["minutes"].tolist()[0] == 0.5
    assert rows.iloc[1]["reason"] == "its worker was killed"


def test_a_study_without_trials_has_no_rows():
    assert leaderboard([], "maximize").empty
