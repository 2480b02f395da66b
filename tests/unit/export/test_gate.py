"""What stops an export, and what is said where too few faces are there to tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smart_retail.errors import ConfigError, GateError
from smart_retail.evaluation.predictions import probability_columns
from smart_retail.export.gate import Gate, check_answers, ways_out
from smart_retail.quantise.int8 import Int8Settings
from smart_retail.tasks import AGE, EMOTION, GENDER, TASKS
from tests.helpers.predictions import predictions


def drop(value: float, unit: str = "points", wide: float = 0.05) -> dict[str, Any]:
    return {"drop": value, "low": value - wide, "high": value + wide, "faces": 100, "unit": unit}


def test_a_loss_that_is_shown_to_be_too_large_is_refused_by_name() -> None:
    assert Gate().check({"gender": drop(0.9), "age": drop(0.05, "years"), "emotion": drop(-3)}) == []
    with pytest.raises(GateError, match=r"age loses 0\.25 years \(allowed: 0\.15; 95% interval 0\.20 to") as error:
        Gate().check({"gender": drop(0.9), "age": drop(0.25, "years")})
    assert "gender loses" not in str(error.value)
    with pytest.raises(GateError, match="cannot be judged"):
        Gate().check({})


def test_too_few_faces_to_tell_pass_and_are_told() -> None:
    lost = {"gender": drop(3, wide=6), "age": drop(0.1, "years", wide=0.2), "emotion": drop(0.5)}
    unsure = Gate().check(lost)
    assert [line.partition(" ")[0] for line in unsure] == ["gender", "age"]
    assert "95% interval -3.00 to 9.00, 100 faces" in unsure[0]
    alone = drop(3) | {"low": None, "high": None, "faces": 1}
    assert Gate().check({"gender": alone}) == ["gender loses 3.00 points (allowed: 1; no interval, 1 face)"]


def test_a_task_can_have_a_limit_of_its_own() -> None:
    lost = {"gender": drop(1.5), "glasses": drop(1.5), "age": drop(1.5, "years")}
    assert Gate(years=2, tasks={"glasses": 2, "gender": 2}).check(lost) == []
    with pytest.raises(GateError, match=r"accurate: glasses loses 1\.50 points \(allowed: 0\.5;") as error:
        Gate(points=2, years=2, tasks={"glasses": 0.5}).check(lost)
    assert "gender" not in str(error.value)
    with pytest.raises(ConfigError, match=r"gate\.tasks names hat; measured were gender, glasses, age"):
        Gate(tasks={"hat": 2}).check(lost)
    for wrong in ({"points": -1}, {"years": float("nan")}, {"tasks": {"hat": -2}}):
        with pytest.raises(ConfigError, match="must be 0 or more"):
            Gate(**wrong)  # type: ignore[arg-type]


def test_all_ways_out_are_named_once() -> None:
    ways = ways_out(Int8Settings(ranges="mse", calibration_faces=256), trained=False, faces=700)
    with pytest.raises(GateError) as error:
        Gate().check({"gender": drop(3)}, ways)
    for way in (
        "--int8.calibration_faces 700",
        "--int8.ranges auto",
        "qat.yaml",
        "--precision fp32",
        "--gate.points",
        "--gate.tasks",
    ):
        assert str(error.value).count(way) == 1, way


def test_what_was_just_tried_is_not_advised() -> None:
    assert ways_out(Int8Settings(), trained=True, faces=500) == []
    rough = Int8Settings(ranges="minmax", weight_bits=7, correct_bias=False)
    told = " ".join(ways_out(rough, trained=False, faces=9999))
    for way in (
        "--int8.ranges auto",
        "--int8.weight_bits 8",
        "--int8.correct_bias true",
        "--int8.calibration_faces 4096",
    ):
        assert way in told
    assert "auto" not in " ".join(ways_out(Int8Settings(), trained=False, faces=9999))


def test_a_constant_network_is_refused_by_name() -> None:
    table = predictions()
    table[probability_columns(GENDER)] = 0.6, 0.4
    assert check_answers(table, TASKS) == ["gender"]
    table["age_pred"] = 31 + 0.1 * np.arange(len(table)) / len(table)
    table[probability_columns(EMOTION)] = np.arange(6) / 15
    with pytest.raises(GateError, match=r"a constant network: gender, age, emotion have one answer for all \d+ valid"):
        check_answers(table, TASKS)


def test_one_answer_is_right_where_the_labels_are_one() -> None:
    table = predictions()
    table["gender"] = 1.0
    table[probability_columns(GENDER)] = 0.4, 0.6
    assert check_answers(table, [GENDER]) == check_answers(table, [GENDER, AGE]) == []
