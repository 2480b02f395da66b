"""A bundle of some of a network's tasks: the others are nowhere in it, and what stays answers the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
import yaml

from smart_retail.cli import main
from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import CARD, GOLDEN, PRECISIONS, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import ConfigError
from smart_retail.export.export import ExportSettings, export_bundle
from smart_retail.export.gate import Gate
from smart_retail.models.load import load_model
from smart_retail.quantise.int8 import Int8Settings
from tests.unit.export.conftest import GLASSES

OPEN = Gate(points=100, years=100)
QUICK: dict[str, Any] = {"int8": Int8Settings(calibration_faces=32), "limit_eval": 40}
Narrow = Callable[..., Path]


@pytest.fixture(scope="module")
def narrow(own_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Narrow:
    """Return the bundle of these tasks; each is written once."""
    written: dict[tuple[str, ...], Path] = {}

    def of(*tasks: str) -> Path:
        if tasks not in written:
            folder = tmp_path_factory.mktemp("narrow") / "bundle"
            export_bundle(own_checkpoint, folder, ExportSettings(gate=OPEN, tasks=tasks, **QUICK))
            written[tasks] = folder
        return written[tasks]

    return of


def test_the_other_heads_are_in_no_file(narrow: Narrow) -> None:
    bundle = narrow("age", "gender")
    manifest = read_manifest(bundle)
    assert manifest.contract.task_names == manifest.outputs == ("gender", "age")  # in the network's own order
    for name in PRECISIONS.values():
        model = onnx.load(bundle / name)
        assert [value.name for value in model.graph.output] == ["gender", "age"]
        assert not [t.name for t in model.graph.initializer if "emotion" in t.name or "glasses" in t.name]
        (contract,) = (entry.value for entry in model.metadata_props if entry.key == "contract")
        assert [task["name"] for task in json.loads(contract)["tasks"]] == ["gender", "age"]
    with np.load(bundle / GOLDEN) as stored:
        assert set(stored) == {"crops", *(f"{p}.{task}" for p in PRECISIONS for task in ("gender", "age"))}
    assert set(manifest.metrics["val"]["drop"]) == {"gender", "age"}
    assert manifest.calibration.keys() <= {"gender"} and manifest.intervals.keys() <= {"age"}
    assert not any("emotion" in metric or "glasses" in metric for metric in manifest.metrics["val"]["int8"])
    assert set(verify(bundle)) == {"fp32", "int8"}


def test_the_card_says_what_is_left_out_and_warns_of_nothing_else(narrow: Narrow) -> None:
    card = (narrow("age", "gender") / CARD).read_text().partition("```yaml")[0]
    assert "One network for gender (2 classes) and age (years)" in card
    assert "Left out: it was also trained on emotion (6 classes) and glasses (2 classes)" in card
    assert card.lower().count("emotion") == 1
    alone = (narrow("glasses") / CARD).read_text()
    assert "One network for glasses (2 classes) of" in alone and "- Age is" not in alone and "with an age" not in alone


@pytest.mark.parametrize("tasks", [("age", "gender"), ("age",), ("glasses",)])
def test_what_stays_answers_as_before_to_the_bit(own: Path, narrow: Narrow, tasks: tuple[str, ...]) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    for precision in ("fp32", "int8"):
        whole = Predictor.from_bundle(own, precision=precision)
        some = Predictor.from_bundle(narrow(*tasks), precision=precision)
        whole.temperatures = some.temperatures = {}  # those are of the faces that it was measured on
        expected = whole.outputs(crops)
        assert {
            task: (values == expected[task]).all() for task, values in some.outputs(crops).items()
        } == dict.fromkeys(tasks, True)


@pytest.mark.parametrize("tasks", [("age",), ("glasses",)])
def test_every_command_takes_a_bundle_of_one_task(
    narrow: Narrow, own_checkpoint: Path, tasks: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.helpers.pictures import write_image

    bundle, (task,) = str(narrow(*tasks)), tasks
    write_image(tmp_path / "in" / "face.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    assert main(["verify", "--bundle", bundle]) == 0
    assert main(["predict", str(tmp_path / "in"), "--bundle", bundle, "--draw", str(tmp_path / "drawn")]) == 0
    (drawn,) = (tmp_path / "drawn").iterdir()
    assert drawn.name == "face.png"
    assert main(["watch", str(tmp_path / "in"), "--bundle", bundle, "--detector", "none.onnx"]) == 2  # but for that
    words = ["--rounds", "1", "--threads", "1", "--batch_size", "1", "--faces", "10", "--format", "json"]
    capsys.readouterr()
    assert main(["benchmark", "bundle", "--bundle", bundle, "--checkpoint", str(own_checkpoint), *words]) == 0
    accuracy = json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"]
    assert all(metric.startswith(task) for figures in accuracy.values() for metric in figures)
    assert {"PyTorch", "ONNX FP32", "ONNX INT8"} <= accuracy.keys()
    assert main(["evaluate", bundle, "--output", str(tmp_path / "report"), "--data.limit_eval", "20"]) == 0
    said = capsys.readouterr()
    assert "trained on other data" not in said.err
    assert task in (tmp_path / "report" / "report.md").read_text()
    resized = [*words[:6], "--image_size", "64", "--checkpoint", str(own_checkpoint)]
    assert main(["benchmark", "bundle", "--bundle", bundle, *resized]) == 0


def test_a_training_starts_from_what_is_there(narrow: Narrow) -> None:
    from smart_retail.models.network import FaceNet

    network = FaceNet("mobileone_s0", init_weights=str(narrow("age")))
    random = [line for line in network.misfits if "starts at random" in line]
    assert random and all(line.startswith(("heads.gender", "heads.emotion")) for line in random)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tasks": ("age", "hat", "mood")}, "--tasks hat mood: this network knows gender, age, emotion, glasses"),
        ({"tasks": ()}, "--tasks without a name"),
        ({"tasks": ("age",), "gate": Gate(tasks={"emotion": 2})}, "gate.tasks names emotion; exported are age"),
        ({"tasks": ("gender", "glasses"), "age_distribution": True}, "of gender, glasses none is of years"),
    ],
)
def test_what_cannot_be_left_out_is_told_before_the_work(
    own_checkpoint: Path, tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        export_bundle(own_checkpoint, tmp_path / "b", ExportSettings(**settings), {"data": "is not read"})


def test_bytes_logits_and_years_are_kept_with_the_tasks(own_checkpoint: Path, tmp_path: Path) -> None:
    words = ["--input", "uint8", "--outputs", "logits", "--age_distribution", "true", "--precision", "fp32"]
    data = yaml.safe_dump({"data": {"sources": ["SyntheticFaces"], "tasks": GLASSES}})
    (tmp_path / "data.yaml").write_text(data)
    words += ["--tasks", "age", "glasses", "--limit_eval", "20", "--data", str(tmp_path / "data.yaml")]
    assert main(["export", "--checkpoint", str(own_checkpoint), "--output", str(tmp_path / "b"), *words]) == 0
    manifest = read_manifest(tmp_path / "b")
    assert manifest.outputs == ("age", "glasses", "age_distribution")
    crops = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    answers = Predictor.from_bundle(tmp_path / "b").outputs(crops)
    network = load_model(own_checkpoint)
    images = torch.from_numpy(crops.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (network.contract.mean, network.contract.std))
    with torch.no_grad():
        expected = network((images - mean) / std)
    assert answers["age_distribution"].sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert answers["age"] == pytest.approx(expected.age.numpy(), abs=0.1)
    assert answers["glasses"] == pytest.approx(expected.glasses.softmax(1).numpy(), abs=1e-2)
