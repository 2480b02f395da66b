import numpy as np
import pandas as pd
import pytest

from smart_retail.evaluation.metrics import MIN_GROUP_FACES, measure, slices, tabulate
from smart_retail.evaluation.results import Results
from smart_retail.evaluation.wording import goals, metric_name
from smart_retail.tasks import AGE, EMOTIONS, GENDER, TASKS, Task, checked
from tests.helpers.predictions import P_EMOTION, predictions


def test_labels_that_are_missing_are_left_out():
    table = predictions()
    table["emotion"] = np.nan
    table.loc[:49, "age"] = np.nan
    found = measure(table, TASKS)
    assert "emotion_acc" not in found
    assert found["age_mae"].faces == 150
    assert found["age_bias"].value == pytest.approx(3)


def test_answers_that_are_missing_are_left_out():
    table = predictions()
    table.loc[:9, ["p_gender_male", "p_gender_female"]] = np.nan
    assert measure(table, TASKS)["gender_acc"].faces == 190


def test_groups_with_few_faces_are_named_without_a_figure():
    table = predictions()
    table.loc[: MIN_GROUP_FACES - 2, "race"] = "Black"
    figures = tabulate(table)
    small = figures[figures["group"].str.startswith("Black")]
    assert len(small) and small["value"].isna().all() and (small["faces"] < MIN_GROUP_FACES).all()


def test_faces_with_a_duplicate_are_told_apart():
    table = predictions()
    table.loc[:99, "duplicate"] = "set aside"
    table.loc[:99, "age_pred"] = table["age"]
    figures = tabulate(table)
    apart = figures[(figures["part"] == "duplicates") & (figures["metric"] == "age_mae")].set_index("group")["value"]
    assert apart.to_dict() == pytest.approx(
        {"a, without a duplicate in training": 3.0, "a, duplicate set aside from training": 0.0}
    )


def test_ages_of_which_a_range_is_known_are_inside_or_so_many_years_outside():
    table = predictions(4).assign(age=np.nan)
    table["age_low"], table["age_high"] = [20.0, 20, 70, np.nan], [29.0, 29, 100, np.nan]
    table["age_pred"] = [29.4, 35.5, 60.0, 50.0]
    found = measure(table, TASKS)
    assert "age_mae" not in found
    assert found["age_inside"].faces == 3
    assert found["age_inside"].value == pytest.approx(1 / 3)
    assert found["age_outside"].value == pytest.approx((0 + 6 + 9.5) / 3)


def test_emotions_are_measured_against_the_crowd_and_the_data_set():
    table = predictions(100)
    said = table[P_EMOTION].to_numpy().argmax(1)
    table["emotion_crowd"] = np.where(np.arange(100) < 90, said, np.nan)
    table["emotion_original"] = (said + (np.arange(100) < 50)) % 6
    found = measure(table, TASKS)
    assert found["emotion_crowd_acc"][:1] + found["emotion_crowd_acc"][3:] == (1.0, 90)
    assert found["emotion_crowd_f1"].value == 1
    assert found["emotion_original_acc"].value == pytest.approx(0.5)


def test_an_opinion_that_was_learnt_is_shown_once():
    table = predictions(100)
    table["emotion_crowd"] = table["emotion"]
    table["emotion_original"] = (table["emotion"] + 1) % 6
    figures = tabulate(table).assign(model="ours")
    header = Results([table], figures, pd.DataFrame(), pd.DataFrame()).table("all").header
    assert "emotion accuracy, FER2013's labels, %" in header
    assert "emotion accuracy, crowd's majority, %" not in header


def test_a_head_of_its_own_has_its_own_name_and_a_goal_holds_for_the_classes_it_was_made_for():
    original = Task("emotion_original", classes=EMOTIONS)
    heads = checked((*TASKS, original))
    assert metric_name("emotion_original_acc", TASKS) == "emotion accuracy, FER2013's labels, %"
    assert metric_name("emotion_original_acc", heads) == "emotion_original accuracy, %"
    assert metric_name("mood_boss_f1", (Task("mood", classes=("a", "b", "c"), opinions=("mood_boss",)),)) == (
        "mood macro F1, mood_boss, %"
    )
    assert set(goals(heads)) == {"gender_acc", "age_mae", "emotion_acc", "emotion_original_acc"}
    assert not goals((Task("emotion", classes=("good", "bad")), Task("age", classes=("young", "old"))))


def test_turned_heads_are_told_apart():
    table = predictions(100)
    table.loc[:59, "pose"], table.loc[60:, "pose"] = "turned", "frontal"
    table.loc[:59, "age_pred"] = table["age"]
    poses = tabulate(table).query("part == 'pose' and metric == 'age_mae'").set_index("group")["value"]
    assert poses.to_dict() == pytest.approx({"frontal heads": 3.0, "turned heads": 0.0})


def test_ranges_of_ages_are_grouped_by_their_middle():
    table = predictions(200)
    table["age_low"], table["age_high"] = table["age"] // 10 * 10, table["age"] // 10 * 10 + 9
    table["age"] = np.nan
    groups = tabulate(table).query("part == 'group' and metric == 'gender_acc'")["group"]
    assert {"White", "male", "18 to 39"} <= set(groups)


def test_tasks_of_ones_own_have_figures_of_their_kind():
    tasks = (AGE, Task("glasses", classes=("none", "glasses")), Task("hat", classes=("none", "cap", "hood")))
    table = predictions(100, tasks=tasks)
    found = measure(table, tasks)
    assert {"glasses_acc", "glasses_balanced_acc", "hat_acc", "hat_f1", "age_mae", "age_bias", "age_cs5"} == set(found)
    assert set(tabulate(table)["metric"]) == set(found)


def test_without_a_task_of_years_no_figure_is_by_age():
    table = predictions(100, tasks=(Task("glasses", classes=("none", "glasses")),))
    assert set(tabulate(table)["part"]) == {"all", "data set"}


def test_groups_are_named_by_the_classes_of_the_task_at_hand():
    table = predictions()
    swapped = (Task("gender", classes=("female", "male")), AGE)
    named = slices(table, swapped)
    assert (named["by_gender"] == named["gender"].map({0.0: "female", 1.0: "male"})).all()
    grouped = (GENDER, Task("age", classes=("child", "adult")))
    assert slices(table, grouped).empty
