from functools import partial

import numpy as np
import pandas as pd
import pytest

from smart_retail.contract import Contract
from smart_retail.data.face_crops import FaceCrops
from smart_retail.export.measure import drops, judge
from tests.helpers.pictures import write_face
from tests.helpers.tables import face_table


@pytest.fixture
def faces(tmp_path) -> FaceCrops:
    """Four faces: two ages in a range, one emotion that the crowd calls by another name, one without a majority."""
    table = face_table(
        range(4),
        age_low=[20, 20, None, None],
        age_high=[29, 29, None, None],
        emotion=[2, 2, 2, None],
        emotion_crowd=[2, 3, None, None],
        emotion_original=[2, 2, 2, 2],
    )
    table["path"] = [str(write_face(tmp_path / f"{i}.png", i, 40)) for i in range(4)]
    return FaceCrops(table, Contract(image_size=32))


def test_ranges_and_other_opinions_are_measured_beside_the_labels(faces):
    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        count = len(crops)
        ages = np.array([[25.0], [31.0], [50.0], [50.0]], np.float32)
        return {"gender": np.full((count, 2), 0.5), "age": ages, "emotion": np.tile(np.eye(6)[2], (count, 1))}

    summary = judge({"happy": run}, faces)["happy"].summary()
    assert (summary["age_inside"], summary["age_range_faces"]) == (0.5, 2)
    assert (summary["emotion_crowd_acc"], summary["emotion_crowd_faces"]) == (0.5, 2)
    assert (summary["emotion_original_acc"], summary["emotion_original_faces"]) == (1.0, 4)
    assert summary["emotion_original_f1"] == 1
    assert summary["emotion_acc"] == 1
    assert "age_mae" not in summary


def test_labels_that_a_table_lacks_have_no_figure(faces):
    plain = faces.table.assign(**dict.fromkeys(("age_low", "age_high", "emotion_crowd", "emotion_original"), pd.NA))

    def run(crops: np.ndarray) -> dict[str, np.ndarray]:
        return {
            "gender": np.zeros((len(crops), 2)),
            "age": np.zeros((len(crops), 1)),
            "emotion": np.eye(6)[: len(crops)],
        }

    summary = judge({"any": run}, FaceCrops(plain, faces.contract))["any"].summary()
    assert not {"age_inside", "emotion_crowd_acc", "emotion_original_acc"} & set(summary)


def test_a_loss_of_years_outside_known_ranges_is_a_loss_of_age(faces):
    def run(years: float, crops: np.ndarray) -> dict[str, np.ndarray]:
        ages = np.full((len(crops), 1), years, np.float32)
        return {"gender": np.zeros((len(crops), 2)), "age": ages, "emotion": np.zeros((len(crops), 6))}

    judged = judge({"good": partial(run, 25.0), "ruined": partial(run, 60.0)}, faces)
    found = drops(judged["good"], judged["ruined"])["age"]
    assert (found["drop"], found["faces"]) == (30.5, 2)
