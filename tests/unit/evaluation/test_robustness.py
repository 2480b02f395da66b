import cv2
import numpy as np
import pandas as pd
import pytest

from smart_retail.arguments import command_parser
from smart_retail.contract import Contract
from smart_retail.data.corruptions import KINDS
from smart_retail.data.crops import CROP, LANDMARKS, crop_square, whole_image
from smart_retail.errors import ConfigError
from smart_retail.evaluation.command import add_options
from smart_retail.evaluation.judging import Judge
from smart_retail.evaluation.robustness import robustness, worsen
from tests.helpers.predictions import predictions

RNG = np.random.default_rng(0)
FACE = cv2.GaussianBlur(RNG.integers(0, 256, (80, 80, 3), np.uint8), (0, 0), 2)
SQUARE = whole_image(FACE)
CLEAN = crop_square(FACE, SQUARE, 48).astype(float)
NOWHERE = dict.fromkeys((*CROP, *LANDMARKS), np.nan)


@pytest.mark.parametrize("kind", KINDS)
def test_harder_amounts_change_a_face_more(kind):
    changes = [
        np.mean([np.abs(worsen(FACE, SQUARE, 48, kind, amount, seed) - CLEAN).mean() for seed in range(8)])
        for amount in KINDS[kind].amounts
    ]
    assert changes[0] > 0 and np.diff(changes).min() > -0.05 and changes[-1] > 1.3 * changes[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_and_shapes_stay(kind):
    first, again = (worsen(FACE, SQUARE, 48, kind, KINDS[kind].amounts[-1], 3) for _ in range(2))
    assert first.shape == (48, 48, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)


def test_a_network_that_looks_at_light_alone_fails_in_the_dark(tmp_path):
    cv2.imwrite(str(tmp_path / "face.png"), np.full((40, 40, 3), 100, np.uint8))
    faces = predictions(40).assign(path=str(tmp_path / "face.png"), **NOWHERE)
    faces["age"] = 100.0
    faces.loc[0, "path"] = str(tmp_path / "gone.png")

    def say(crops):
        answers = np.full((len(crops), 10), 0.5)
        answers[:, 2] = crops.mean(axis=(1, 2, 3))
        return answers

    rows = robustness([Judge("light", Contract(image_size=32), say)], faces, 1000)
    ages = rows[rows["metric"] == "age_mae"].set_index(["kind", "severity"])
    assert ages.loc[("", 0), "value"] == 0 and ages.loc[("", 0), "faces"] == 39
    assert ages.loc["dark", "value"].tolist() == [40, 60, 80, 90]
    assert ages.loc["off centre", "value"].eq(0).all()
    assert len(ages) == 1 + sum(len(k.amounts) for k in KINDS.values())
    kept = rows[rows["metric"] == "emotion_kept"].set_index(["kind", "severity"])
    assert kept["value"].eq(1).all() and kept["faces"].eq(39 - faces["emotion"][1:].notna().sum()).all()
    assert isinstance(rows, pd.DataFrame) and set(rows["model"]) == {"light"}


def test_the_gap_between_grey_and_colour_is_told_of_faces_without_an_emotion(tmp_path):
    for name, colour in (("grey.png", 100), ("red.png", (0, 0, 200))):
        cv2.imwrite(str(tmp_path / name), np.full((40, 40, 3), colour, np.uint8))
    faces = predictions(40).assign(**NOWHERE, emotion=np.nan)
    faces["path"] = [str(tmp_path / name) for name in ["grey.png"] * 10 + ["red.png"] * 30]

    def say(crops):
        """Happiness is red."""
        red = np.ptp(crops.mean(axis=(1, 2)), axis=1) > 50
        return np.concatenate([np.full((len(crops), 4), 0.5), np.eye(6)[np.where(red, 3, 4)]], axis=1)

    rows = robustness([Judge("colour", Contract(image_size=32), say)], faces, 1000, ["grey", "dark"])
    assert set(rows["kind"]) == {"", "grey", "dark"}
    kept = rows[rows["metric"] == "emotion_kept"].set_index(["kind", "severity"])["value"]
    assert kept["", 0] == 1
    assert kept["grey", 1] == 1 and kept["grey", 4] == 0.25
    assert kept["dark"].tolist()[0] == 1
    assert "emotion_acc" not in set(rows["metric"])


def test_an_unknown_kind_is_named():
    with pytest.raises(ConfigError, match="'gray' is none of the ways to worsen faces: off centre, turned"):
        robustness([], predictions(4), 4, ["gray"])


def test_the_help_names_every_kind_and_the_work():
    parser = command_parser("evaluate", "")
    add_options(parser)
    said = " ".join(parser.format_help().split())
    listed = said[said.index("only some of:") :]
    assert all(kind in listed for kind in KINDS)
    assert f"{1 + sum(len(kind.amounts) for kind in KINDS.values())} times the work" in said
