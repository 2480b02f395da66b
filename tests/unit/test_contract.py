import json

import pytest

from smart_retail.contract import Contract
from smart_retail.errors import CheckpointError
from smart_retail.tasks import EMOTIONS, GENDERS


def test_a_contract_survives_json():
    contract = Contract(image_size=64, mean=(0.1, 0.2, 0.3))
    assert Contract.from_dict(json.loads(json.dumps(contract.to_dict()))) == contract


@pytest.mark.parametrize("change", [{"colour": "BGR"}, {"mean": None}])
def test_other_fields_are_refused_by_name(change):
    values = Contract().to_dict() | change
    if change.get("mean", 0) is None:
        del values["mean"]
    with pytest.raises(CheckpointError, match=next(iter(change))):
        Contract.from_dict(values)


def test_networks_of_before_the_choice_are_cut_by_the_eyes():
    values = Contract().to_dict()
    del values["crop"]
    assert Contract.from_dict(values).crop == "eyes"


def test_the_contract_of_before_there_were_tasks_is_that_of_the_default_ones():
    values = Contract(image_size=96).to_dict()
    del values["tasks"]
    former = {"genders": list(GENDERS), "emotions": list(EMOTIONS), "age_range": [0.0, 100.0]}
    assert Contract.from_dict(values | former) == Contract(image_size=96)
    for odd in ({"age_range": [100.0, 0.0]}, {"age_range": 3}, {"genders": "male"}, {"emotions": [1, 2]}):
        with pytest.raises(CheckpointError):
            Contract.from_dict(values | former | odd)


def test_class_names_travel_in_the_order_of_the_logits():
    gender, _, emotion = Contract().to_dict()["tasks"]
    assert gender["classes"] == ["male", "female"]
    assert emotion["classes"][2] == "happy"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image_size", 10**9),
        ("image_size", True),
        ("colour_order", "BGR"),
        ("crop", "tight"),
        ("mean", [0.5, "x", 0.5]),
        ("std", [0.0, 1.0, 1.0]),
        ("eye_distance", float("nan")),
        ("tasks", []),
        ("no task", [3]),
        ("task gender", [{"name": "gender", "classes": ["male", []]}]),
        ("task gender", [{"name": "gender", "classes": ["male", "male"]}]),
        ("task gender", [{"name": "gender", "kind": "numbers"}]),
        ("tasks gender, gender", [{"name": "gender", "classes": ["male", "female"]}] * 2),
        ("task emotion", [{"name": "emotion", "classes": ["\x1b[31m", "sad"]}]),
    ],
)
def test_values_that_no_network_can_have_are_named(name, value):
    with pytest.raises(CheckpointError, match=name):
        Contract.from_dict(Contract().to_dict() | {"tasks" if "task" in name else name: value})
