"""Gender and age settle, emotion follows, tracks stay apart."""

from __future__ import annotations

import pytest

from smart_retail.data.crops import Square
from smart_retail.edge.prediction import Attribute, Prediction
from smart_retail.edge.smoother import TrackSmoother
from smart_retail.errors import ConfigError

HERE, THERE = Square(50, 50, 40), Square(200, 50, 40)


def said(female: float = 0.9, age: float = 30.0, happy: float = 0.9) -> Prediction:
    return Prediction(
        {
            "gender": Attribute("female" if female > 0.5 else "male", {"male": 1 - female, "female": female}),
            "age": Attribute(age, interval=(age - 5, age + 5)),
            "emotion": Attribute("happy" if happy > 0.5 else "sad", {"happy": happy, "sad": 1 - happy}),
        }
    )


def test_one_odd_frame_changes_neither_gender_nor_age_much() -> None:
    smoother = TrackSmoother()
    for i in range(20):
        smoother.update([HERE], [said()], i / 25)
    [(_, after)] = smoother.update([HERE], [said(female=0.1, age=60)], 20 / 25)
    assert after.gender == "female"
    assert after.age == pytest.approx(30 + 30 / 21)
    assert after.age_interval == pytest.approx((after.age - 5, after.age + 5))


def test_an_interval_that_no_bundle_tells_is_not_made_up() -> None:
    smoother = TrackSmoother()
    for i in range(2):
        [(_, after)] = smoother.update([HERE], [Prediction(said().attributes | {"age": Attribute(30.0)})], i / 25)
    assert after.age_interval is None


def test_emotion_follows_within_its_half_life() -> None:
    smoother = TrackSmoother(emotion_half_life=0.5)
    smoother.update([HERE], [said(happy=1.0)], 0.0)
    [(_, after)] = smoother.update([HERE], [said(happy=0.0)], 0.5)
    assert after.emotion_probabilities["happy"] == pytest.approx(0.5)


def test_a_task_of_ones_own_settles() -> None:
    smoother = TrackSmoother()
    for i in range(20):
        share = 0.9 if i < 19 else 0.1
        glasses = Attribute("glasses" if share > 0.5 else "none", {"none": 1 - share, "glasses": share})
        [(_, after)] = smoother.update([HERE], [Prediction({"glasses": glasses})], i / 25)
    assert after.attributes["glasses"].value == "glasses"
    assert after.attributes["glasses"].probabilities == pytest.approx({"none": 0.14, "glasses": 0.86})


def test_tracks_follow_places_not_the_order_of_the_detector() -> None:
    smoother = TrackSmoother()
    first = smoother.update([HERE, THERE], [said(age=20), said(age=60)], 0.0)
    second = smoother.update([THERE, HERE], [said(age=60), said(age=20)], 0.04)
    assert [n for n, _ in first] == [0, 1] and [n for n, _ in second] == [1, 0]
    assert [round(p.age) for _, p in second] == [60, 20]


def test_a_face_that_left_comes_back_as_a_new_one() -> None:
    smoother = TrackSmoother(patience=1.0)
    smoother.update([HERE], [said()], 0.0)
    [(number, _)] = smoother.update([HERE], [said(age=50)], 3.0)
    assert number == 1 and list(smoother.smoothed) == [1]


def test_senseless_settings_are_refused() -> None:
    with pytest.raises(ConfigError):
        TrackSmoother(emotion_half_life=0)
