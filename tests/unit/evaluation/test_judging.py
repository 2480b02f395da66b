from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from smart_retail.contract import Contract
from smart_retail.data.crops import CROP, LANDMARKS
from smart_retail.errors import ConfigError, DataError
from smart_retail.evaluation.judging import Judge, as_columns, predict
from smart_retail.evaluation.metrics import face_losses, losses_between, measure
from smart_retail.evaluation.predictions import columns, tasks_of_table
from smart_retail.evaluation.run import all_tasks
from smart_retail.evaluation.wording import loss_in_words
from smart_retail.tasks import AGE, EMOTION, GENDER, TASKS
from tests.helpers.pictures import write_face

CONTRACT = Contract(image_size=32)
NONE = float("nan")


@pytest.fixture
def faces(tmp_path) -> pd.DataFrame:
    """Four faces: two ages in a range, one emotion that the crowd calls by another name, one without a majority."""
    known = {
        "age_low": [20, 20, NONE, NONE],
        "age_high": [29, 29, NONE, NONE],
        "emotion": [2, 2, 2, NONE],
        "emotion_crowd": [2, 3, NONE, NONE],
        "emotion_original": [2, 2, 2, 2],
        "gender": [NONE] * 4,
        "age": [NONE] * 4,
    }
    table = pd.DataFrame(known).assign(
        key=[f"a/{i}" for i in range(4)], dataset="a", race="", pose="", duplicate="", cluster=range(4)
    )
    table[[*CROP, *LANDMARKS]] = np.nan
    table["path"] = [str(write_face(tmp_path / f"{i}.png", i, 40)) for i in range(4)]
    return table


def judge(name, run, contract=CONTRACT):
    return Judge(name, contract, lambda crops: as_columns(run(crops), contract.tasks))


def constant(years, crops):
    """A network that says one number of years of every face."""
    count = len(crops)
    ages = np.full((count, 1), years, np.float32)
    return {"gender": np.full((count, 2), 0.5), "age": ages, "emotion": np.eye(6)[np.full(count, 2)]}


def test_ranges_and_other_opinions_are_measured_beside_the_labels(faces):
    def run(crops):
        ages = np.array([[25.0], [31.0], [50.0], [50.0]], np.float32)
        return constant(0, crops) | {"age": ages}

    (table,) = predict([judge("happy", run)], faces)
    found = {name: (figure.value, figure.faces) for name, figure in measure(table, TASKS).items()}
    assert found["age_inside"] == (0.5, 2)
    assert found["emotion_crowd_acc"] == (0.5, 2)
    assert found["emotion_original_acc"] == (1.0, 4)
    assert found["emotion_original_f1"][0] == 1
    assert found["emotion_acc"] == (1, 3)
    assert "age_mae" not in found


def test_labels_that_a_table_lacks_have_no_figure(faces):
    nobody = pd.array([pd.NA] * 4, "Int16")  # as an index has them
    plain = faces.assign(age_low=NONE, age_high=NONE, emotion_crowd=nobody, emotion_original=nobody)
    absent = faces.drop(columns=["age_low", "age_high", "emotion_crowd", "emotion_original"])
    for without in (plain, absent):
        (table,) = predict([judge("any", partial(constant, 0.0))], without)
        assert not {"age_inside", "emotion_crowd_acc", "emotion_original_acc"} & set(measure(table, TASKS))


def test_a_loss_of_years_outside_known_ranges_is_a_loss_of_age(faces):
    good, ruined = predict([judge("good", partial(constant, 25.0)), judge("ruined", partial(constant, 60.0))], faces)
    found = losses_between(good, ruined, TASKS)
    assert (found["age"]["drop"], found["age"]["faces"], found["age"]["unit"]) == (30.5, 2, "years")
    assert (found["emotion"]["drop"], found["emotion"]["faces"], found["emotion"]["unit"]) == (0, 3, "points")
    assert "gender" not in found  # nobody knows it
    alone = losses_between(good[:1], ruined[:1], TASKS)["age"]
    assert (alone["low"], alone["high"], loss_in_words(alone)) == (None, None, f"{alone['drop']:+.2f}")


def test_what_counts_against_a_network_is_a_hundred_points_or_the_years(faces):
    (table,) = predict([judge("any", partial(constant, 31.0))], faces.assign(emotion=[2, 3, NONE, 2]))
    assert face_losses(table, EMOTION).tolist() == pytest.approx([0, 100, NONE, 0], nan_ok=True)
    assert face_losses(table, AGE).tolist() == pytest.approx([1.5, 1.5, NONE, NONE], nan_ok=True)
    table.loc[0, "age"] = 20.0  # known exactly, it counts before the range
    assert face_losses(table, AGE)[:2].tolist() == pytest.approx([11, 1.5])
    assert np.isnan(face_losses(table, GENDER)).all()


def test_a_face_that_cannot_be_read_costs_its_row_alone(faces, tmp_path):
    (tmp_path / "1.png").write_text("no image")
    (table,) = predict([judge("any", partial(constant, 25.0))], faces)
    assert list(table.columns) == columns(TASKS)
    assert table["key"].tolist() == ["a/0", "a/2", "a/3"]
    assert table["emotion"].tolist()[:2] == [2, 2]
    with pytest.raises(DataError, match="no face can be read"):
        predict([judge("any", partial(constant, 25.0))], faces[1:2])


def test_networks_of_one_contract_see_each_crop_together_and_others_their_own(faces):
    seen = []

    def run(name, crops):
        seen.append((name, crops.shape[1]))
        return constant(30.0, crops)

    few = Contract(image_size=48, tasks=(AGE,))
    judges = [judge("a", partial(run, "a")), judge("b", partial(run, "b"), few), judge("c", partial(run, "c"))]
    tables = predict(judges, faces)
    assert seen == [("a", 32), ("c", 32), ("b", 48)]
    assert [table.attrs["model"] for table in tables] == ["a", "b", "c"]
    assert tasks_of_table(tables[1]) == (AGE,) and "emotion" not in tables[1]


def test_networks_of_other_opinions_are_measured_against_the_opinions_of_all():
    ours, theirs = (replace(EMOTION, opinions=(name,)) for name in ("emotion_crowd", "mood"))
    judges = [judge("a", None, Contract(tasks=(GENDER, ours))), judge("b", None, Contract(tasks=(theirs, AGE)))]
    assert all_tasks(judges) == (GENDER, replace(EMOTION, opinions=("emotion_crowd", "mood")), AGE)
    judges.append(judge("c", None, Contract(tasks=(replace(GENDER, classes=("female", "male")),))))
    with pytest.raises(ConfigError, match="c knows gender as female, male, a as male, female"):
        all_tasks(judges)


def test_logits_and_distributions_become_columns():
    years = np.zeros((2, 101))
    years[:, 20] = years[:, 40] = 0.5
    outputs = {"gender": np.log([[1.0, 3.0]] * 2), "age": np.array([[-3.0], [130.0]]), "age_distribution": years}
    found = as_columns(outputs, (GENDER, AGE), logits=True)
    assert found.tolist() == [pytest.approx([0.25, 0.75, 0, 10]), pytest.approx([0.25, 0.75, 100, 10])]
