"""A task of one's own goes the whole way: from a checkpoint into a bundle, its gate, its card and its answers."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest

from smart_retail.cli import main
from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import CARD, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import ConfigError, GateError
from smart_retail.export.export import ExportSettings, export_bundle
from smart_retail.export.gate import Gate
from smart_retail.quantise.int8 import Int8Settings

QUICK = Int8Settings(calibration_faces=32)


def test_it_is_among_the_answers(own: Path, faces: np.ndarray) -> None:
    assert set(verify(own)) == {"fp32", "int8"}
    predictor = Predictor.from_bundle(own)
    assert predictor.contract.task_names == ("gender", "age", "emotion", "glasses")
    said = predictor(faces[0])
    found = said.attributes["glasses"]
    assert found.probabilities is not None
    assert found.value in ("none", "glasses") and found.value == max(found.probabilities, key=found.probabilities.get)
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert said.to_dict()["glasses"] == found.value and {"gender", "age", "emotion"} <= said.attributes.keys()


def test_it_is_measured_calibrated_and_named_on_the_card(own: Path) -> None:
    manifest = read_manifest(own)
    assert manifest.outputs == ("gender", "age", "emotion", "glasses")
    for precision in ("fp32", "int8"):
        assert {"glasses_acc", "glasses_balanced_acc"} <= manifest.metrics["val"][precision].keys()
    lost = manifest.metrics["val"]["drop"]["glasses"]
    assert lost["unit"] == "points" and lost["faces"] > 0
    card = (own / CARD).read_text()
    assert "One network for gender (2 classes), age (years), emotion (6 classes) and glasses (2 classes)" in card
    assert "val: glasses accuracy" in card and "test: glasses balanced accuracy" in card


@pytest.mark.slow
def test_the_gate_judges_it_and_few_steps_are_told(
    own_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ConfigError, match=r"gate\.tasks names hat; measured were gender, age, emotion, glasses"):
        settings = ExportSettings(int8=QUICK, gate=Gate(points=100, years=100, tasks={"hat": 1}))
        export_bundle(own_checkpoint, tmp_path / "b", settings)
    assert "is of step 12: from scratch little is learnt before step 100" in caplog.text
    lost = {"glasses": {"drop": 3.0, "low": 2.5, "high": 3.5, "faces": 30, "unit": "points"}}
    monkeypatch.setattr("smart_retail.export.measure.losses_between", lambda *_: lost)
    with pytest.raises(GateError, match=r"glasses loses 3\.00 points \(allowed: 2"):
        settings = ExportSettings(int8=QUICK, gate=Gate(points=100, tasks={"glasses": 2.0}))
        export_bundle(own_checkpoint, tmp_path / "b", settings)
    assert list(tmp_path.iterdir()) == []


def test_the_command_prints_it_in_every_format(
    own: Path, faces: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    Image.fromarray(faces[0]).save(tmp_path / "face.png")
    said = Predictor.from_bundle(own)(tmp_path / "face.png").attributes["glasses"].value
    printed = {}
    for way in ("json", "csv", "table"):
        assert main(["predict", str(tmp_path), "--bundle", str(own), "--format", way]) == 0
        printed[way] = capsys.readouterr().out
    assert json.loads(printed["json"])["glasses"] == said
    assert next(csv.DictReader(io.StringIO(printed["csv"])))["glasses"] == said
    assert "glasses" in printed["table"].splitlines()[0] and str(said) in printed["table"].splitlines()[1]
