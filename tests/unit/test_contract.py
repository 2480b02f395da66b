import json

import pytest

from smart_retail.contract import Contract
from smart_retail.errors import CheckpointError


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


def test_class_names_travel_in_the_order_of_the_logits():
    values = Contract().to_dict()
    assert values["genders"] == ["male", "female"]
    assert values["emotions"][2] == "happy"


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
        ("genders", ["male", []]),
        ("genders", ["male", "male"]),
        ("emotions", ["\x1b[31m"] * 6),
        ("age_range", [100.0, 0.0]),
    ],
)
def test_values_that_no_network_can_have_are_named(name, value):
    with pytest.raises(CheckpointError, match=name):
        Contract.from_dict(Contract().to_dict() | {name: value})
