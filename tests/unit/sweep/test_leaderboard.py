import pandas as pd
import pytest
from optuna.trial import TrialState, create_trial

from smart_retail.sweep.leaderboard import leaderboard


def trial(name, *scores, state=TrialState.COMPLETE, **attributes):
    runs = {
        str(seed): {
            "state": "complete",
            "seconds": 60.0 * (seed + 1),
            "values": {"objective": s, "gender_acc": s, "utkface/age_mae": 10 * s},
        }
        for seed, s in enumerate(scores)
    }
    value = sum(scores) / len(scores) if state == TrialState.COMPLETE else None
    return create_trial(state=state, value=value, user_attrs={"name": name, "runs": runs} | attributes)


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


def test_a_retry_takes_the_place_of_what_failed():
    rows = leaderboard([trial("one", state=TrialState.FAIL, reason="no room"), trial("one", 0.5)], "maximize")
    assert rows[["state", "reason"]].values.tolist() == [["complete", ""]]


def test_a_study_without_trials_has_no_rows():
    assert leaderboard([], "maximize").empty
