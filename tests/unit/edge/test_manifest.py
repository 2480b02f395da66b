"""Bundles of the first format are read as those of today."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import read_manifest, sha256
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.pretrained import available, find_bundle
from smart_retail.errors import BundleError
from smart_retail.export.model_card import summary
from smart_retail.tasks import EMOTIONS, GENDERS, TASKS

FIGURES = {
    "gender_faces": 40,
    "gender_acc": 0.9,
    "age_faces": 30,
    "age_mae": 5.0,
    "age_cs5": 0.6,
    "emotion_faces": 20,
    "emotion_acc": 0.7,
    "age_inside": 0.5,
    "age_range_faces": 10,
    "emotion_crowd_acc": 0.6,
    "emotion_crowd_faces": 15,
}
LOSS = {"drop": 0.1, "low": -0.1, "high": 0.3, "faces": 40}


def first_contract(values: dict[str, Any]) -> dict[str, Any]:
    """Return a contract as the first version wrote it."""
    kept = {name: value for name, value in values.items() if name not in ("tasks", "crop")}
    return kept | {"genders": list(GENDERS), "emotions": list(EMOTIONS), "age_range": [0.0, 100.0]}


@pytest.fixture
def first(bundle: Path, tmp_path: Path) -> Path:
    """The bundle as the first version would have written it."""
    folder = Path(shutil.copytree(bundle, tmp_path / "first"))
    values = json.loads((folder / "manifest.json").read_text())
    contract = first_contract(values["contract"])
    for name in ("model.onnx", "model.int8.onnx"):
        model = onnx.load(folder / name)
        told = {p.key: p.value for p in model.metadata_props}
        onnx.helper.set_model_props(model, told | {"contract": json.dumps(contract)})
        onnx.save(model, folder / name)
        values["files"][name] = sha256(folder / name)
    values["age_interval"] = values.pop("intervals")["age"]
    both = {"fp32": FIGURES, "int8": FIGURES, "ptq": FIGURES, "drop": {"gender": LOSS, "age": LOSS}, "drop_ptq": {}}
    metrics = {"val": both, "test": both | {"groups": {"data set synthetic": FIGURES}}}
    values |= {"format": 1, "contract": contract, "metrics": metrics}
    (folder / "manifest.json").write_text(json.dumps(values))
    return folder


def test_a_bundle_of_the_first_format_answers_as_before(first: Path, bundle: Path, faces: np.ndarray) -> None:
    old, new = (Predictor.from_bundle(folder, precision="fp32") for folder in (first, bundle))
    assert old.contract.tasks == TASKS and old.contract.crop == "eyes"
    assert old.predict_crops(faces) == new.predict_crops(faces)
    assert old(faces[0]).age_interval is not None
    assert set(verify(first)) == {"fp32", "int8"}


def test_figures_of_the_first_format_become_those_of_today(first: Path, bundle: Path) -> None:
    manifest = read_manifest(first)
    assert manifest.intervals == read_manifest(bundle).intervals and manifest.intervals["age"]["bands"]
    parts = [manifest.metrics["val"][name] for name in ("fp32", "int8", "ptq")]
    for part in (*parts, manifest.metrics["test"]["groups"]["data set synthetic"]):
        assert part["gender_acc"] == {"value": 0.9, "low": None, "high": None, "faces": 40}
        assert {name: figure["faces"] for name, figure in part.items()} == {
            "gender_acc": 40,
            "age_mae": 30,
            "age_cs5": 30,
            "emotion_acc": 20,
            "age_inside": 10,
            "emotion_crowd_acc": 15,
        }
    assert manifest.metrics["val"]["drop"] == {"gender": LOSS | {"unit": "points"}, "age": LOSS | {"unit": "years"}}
    assert "90.00" in summary(manifest)


@pytest.mark.parametrize(
    "change",
    [
        {"metrics": {"val": {"fp32": 3, "drop": [1], "groups": 4}, "test": "x"}},
        {"metrics": {"val": {"fp32": {"gender_acc": "x"}, "drop": {"gender": 2}, "groups": {"a": 5}}}},
        {"metrics": {}, "age_interval": {}},
    ],
)
def test_odd_figures_of_the_first_format_cost_no_answer(first: Path, change: dict[str, Any]) -> None:
    path = first / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert read_manifest(first).contract.tasks == TASKS
    Predictor.from_bundle(first)


@pytest.mark.parametrize(
    "change",
    [
        {"age_interval": 7},
        {"age_interval": {"bands": [{}]}},
        {"metrics": []},
        {"contract": {"genders": ["male", "female"]}},
    ],
)
def test_a_manifest_of_the_first_format_that_does_not_fit_is_refused(first: Path, change: dict[str, Any]) -> None:
    path = first / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=r"manifest\.json"):
        Predictor.from_bundle(first)


@pytest.mark.parametrize("change", [{"age_range": [0.0, 120.0]}, {"emotions": "x"}, {"genders": 3}, {"age_range": 5}])
def test_a_contract_of_the_first_format_that_cannot_be_is_refused(first: Path, change: dict[str, Any]) -> None:
    path = first / "manifest.json"
    values = json.loads(path.read_text())
    values["contract"] |= change
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match="contract"):
        read_manifest(first)


@pytest.mark.parametrize("name", available())
def test_what_is_shipped_tells_figures_of_today(name: str) -> None:
    manifest = read_manifest(find_bundle(name))
    assert manifest.contract.tasks == TASKS and manifest.intervals["age"]["bands"]
    assert manifest.metrics["test"]["int8"]["gender_acc"]["faces"] > 1000
    assert all(loss["unit"] in ("points", "years") for loss in manifest.metrics["val"]["drop"].values())
    assert "accuracy" in summary(manifest)
