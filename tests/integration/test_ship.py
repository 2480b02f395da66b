"""From training to a bundle, through the same doors as a user."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import lightning.pytorch as pl
import numpy as np
import pytest
import torch
import yaml
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger

from smart_retail.callbacks.ema import EMA
from smart_retail.callbacks.model_file import ModelFile
from smart_retail.callbacks.onnx_export import ONNXExport
from smart_retail.callbacks.qat import QuantisationAware
from smart_retail.cli import main
from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.runtime import feed, normalise, open_session
from smart_retail.errors import ConfigError
from smart_retail.export.export import ExportSettings, drawn_faces
from smart_retail.export.gate import Gate
from smart_retail.models.fake_quantise import convolutions, to_float
from smart_retail.models.load import load_model
from smart_retail.quantise.int8 import Int8Settings
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.children import exit_code, start_child

OPEN = Gate(points=100, years=100)
WEIGHT_BITS = 7
"""Not the default: a checkpoint must tell with how many it was trained."""
EXPORT = ExportSettings(int8=Int8Settings(calibration_faces=32), gate=OPEN)
CONFIG = {"data": {"sources": [{"class_path": "SyntheticFaces", "init_args": {"count": 240, "every_label": True}}]}}


def data() -> FaceDataModule:
    return FaceDataModule([SyntheticFaces(240, every_label=True)], image_size=32, batch_size=16, workers=0)


def trainer(folder: Path, callbacks: list[pl.Callback], steps: int) -> pl.Trainer:
    best = ModelCheckpoint(filename="best", monitor="val/score", mode="max", save_last=True)
    return pl.Trainer(
        max_steps=steps,
        accelerator="cpu",
        logger=CSVLogger(str(folder), name="", version=""),
        callbacks=[*callbacks, EMA(), ModelFile(CONFIG), best],
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        val_check_interval=0.5,
    )


def train(folder: Path, backbone: str, *callbacks: pl.Callback) -> Path:
    pl.seed_everything(0, verbose=False)
    module = FaceAttributeModule(backbone, image_size=32, dropout=0.0)
    trainer(folder, [*callbacks], steps=12).fit(module, data())
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short float training whose bundle was written by the callback."""
    return train(tmp_path_factory.mktemp("float"), "test_resnet", ONNXExport(settings=EXPORT))


@pytest.fixture(scope="module")
def qat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Quantisation-aware training, stopped after half of its steps and resumed."""
    folder = tmp_path_factory.mktemp("qat")
    start = str(train(tmp_path_factory.mktemp("start"), "mobileone_s0") / "model.pth")
    settings = Int8Settings(calibration_faces=32, weight_bits=WEIGHT_BITS)
    for steps, resumed in ((6, None), (12, str(folder / "checkpoints" / "last.ckpt"))):
        module = FaceAttributeModule("mobileone_s0", image_size=32, dropout=0.0, learning_rate=1e-4)
        callbacks: list[pl.Callback] = [QuantisationAware(start, settings)]
        trainer(folder, callbacks, steps).fit(module, data(), ckpt_path=resumed, weights_only=True)
    return folder


def test_the_callback_leaves_a_verified_bundle(trained: Path) -> None:
    assert set(verify(trained / "bundle")) == {"fp32", "int8"}
    made = read_manifest(trained / "bundle").made_by
    assert made["data_fingerprint"] == made["measured_on"]
    assert "synthetic" in (trained / "bundle" / "MODEL_CARD.md").read_text()


@pytest.mark.slow
def test_qat_rounds_every_convolution_and_says_what_its_file_says(qat: Path, tmp_path: Path) -> None:
    words = ["--checkpoint", str(qat / "model.pth"), "--output", str(tmp_path / "b"), *FLAGS, "--outputs", "logits"]
    assert main(["export", *words]) == 0
    manifest = read_manifest(tmp_path / "b")
    network = load_model(qat / "model.pth")
    assert manifest.variants["int8"]["method"] == "quantisation-aware training"
    assert manifest.variants["int8"]["kernels"] == {"QLinearConv": len(convolutions(network))}
    assert manifest.variants["int8"]["settings"]["weight_bits"] == WEIGHT_BITS
    assert manifest.metrics["val"].keys() == {"fp32", "int8", "ptq", "drop", "drop_ptq"}
    assert "loss of ptq (95%)" in (tmp_path / "b" / "MODEL_CARD.md").read_text()
    crops = drawn_faces(32, 16)
    said = feed(open_session(tmp_path / "b" / "model.int8.onnx"), crops, network.contract)
    images = torch.from_numpy(normalise(crops, network.contract))
    with torch.no_grad():
        rounded = network(images).gender.numpy()
        plain = to_float(network)(images).gender.numpy()
    # Only the last feature map is rounded by the file alone; a network that knows nothing shows it.
    assert np.abs(said["gender"] - rounded).mean() < 0.35 * np.abs(said["gender"] - plain).mean()


def test_qat_of_another_network_is_refused(trained: Path, tmp_path: Path) -> None:
    module = FaceAttributeModule("mobileone_s0", image_size=32)
    with pytest.raises(ConfigError, match="another network"):
        trainer(tmp_path, [QuantisationAware(str(trained / "model.pth"))], 1).fit(module, data())


def test_a_bundle_of_a_task_that_is_not_learnt_is_refused_before_the_training(tmp_path: Path) -> None:
    module = FaceAttributeModule("mobileone_s0", image_size=32)
    export = ONNXExport(settings=ExportSettings(tasks=("age", "hat")))
    with pytest.raises(ConfigError, match="--tasks hat: this network knows gender, age, emotion"):
        trainer(tmp_path, [export], 1).fit(module, data())


FLAGS = [
    *("--int8.calibration_faces", "32"),
    *("--gate.points", "100", "--gate.years", "100"),
]


def test_a_failed_gate_names_the_task_and_writes_nothing(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    worse = {"age": {"drop": 0.4, "low": 0.3, "high": 0.5, "faces": 24, "unit": "years"}}
    monkeypatch.setattr("smart_retail.export.measure.losses_between", lambda *_: worse)
    assert main(["export", "--checkpoint", str(trained / "model.pth"), "--output", str(tmp_path / "b")]) == 2
    assert "age loses 0.40 years (allowed: 0.15" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_bytes_in_and_logits_out_say_the_same(trained: Path, tmp_path: Path) -> None:
    words = ["--checkpoint", str(trained / "model.pth"), "--output", str(tmp_path / "b"), *FLAGS]
    words += ["--input", "uint8", "--outputs", "logits", "--age_distribution", "true"]
    notes = tmp_path / "tried.md"
    assert main(["export", *words, "--notes", str(notes)]) == 2, "a missing file is said before the work"
    notes.write_text("An epoch at 32 px.")
    assert main(["export", *words, "--notes", str(notes)]) == 0
    assert "## How it was made\n\nAn epoch at 32 px.\n" in (tmp_path / "b" / "MODEL_CARD.md").read_text()

    first, second = (Predictor.from_bundle(b, precision="fp32") for b in (trained / "bundle", tmp_path / "b"))
    assert second.session.inputs[0].shape[1:] == (32, 32, 3)
    assert second.manifest.outputs[-1] == "age_distribution"
    face = drawn_faces(32)[0]
    assert first(face).age == pytest.approx(second(face).age, abs=1e-2)
    assert first(face).gender_probabilities == pytest.approx(second(face).gender_probabilities, abs=1e-4)


def test_predict_prints_every_format(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, face in enumerate(drawn_faces(32)):
        cv2.imwrite(str(tmp_path / f"{i}.png"), face)
    (tmp_path / "bad.png").write_text("x")
    words = ["predict", "--bundle", str(trained / "bundle"), str(tmp_path)]
    assert main([*words, "--format", "json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [("error" in line) for line in lines] == [False, False, False, False, True]
    assert main([*words, "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("file,face,detector_score,left,top,right,bottom,")
    assert main([*words, "--draw", str(tmp_path / "drawn")]) == 0
    assert sorted(p.name for p in (tmp_path / "drawn").iterdir()) == ["0.png", "1.png", "2.png", "3.png"]
    table = capsys.readouterr().out
    assert "cannot be decoded" in table
    assert table.count("bad.png") == 1
    assert main(["predict", "--bundle", str(trained / "bundle"), str(tmp_path / "bad.png")]) == 2


@pytest.mark.slow
def test_benchmark_times_and_judges_every_variant(trained: Path, tmp_path: Path) -> None:
    """In a process of its own: where OpenVINO is installed, it leaves its host a signal stack that is no more,
    and the next signal, as of a child that ends, kills that process.
    """
    words = [
        "--bundle",
        str(trained / "bundle"),
        "--checkpoint",
        str(trained / "model.pth"),
        "--rounds",
        "2",
        "--threads",
        "1",
    ]
    words += ["--batch_size", "1", "--image_size", "[32, 48]", "--faces", "8"]
    log = tmp_path / "log.txt"
    child = start_child("benchmark", "bundle", *words, "--format", "json", log=str(log))
    assert exit_code(child) == 0, log.read_text()
    said = json.loads(log.read_text()[log.read_text().index("{") :])
    variants = ["PyTorch", "PyTorch reparameterised", "ONNX FP32", "ONNX INT8"]
    for size in (32, 48):
        rows = [row for row in said["timings"] if row["image_size"] == size]
        assert [row["variant"] for row in rows][:4] == variants
        assert all(row["processor"] > 0 for row in rows)
    torch_said, onnx_said = said["accuracy"]["PyTorch"], said["accuracy"]["ONNX FP32"]
    assert torch_said.keys() == onnx_said.keys()
    for metric, figure in torch_said.items():
        assert figure == pytest.approx(onnx_said[metric], abs=1e-3), metric
    assert {"gender_acc", "age_mae", "emotion_acc"} <= said["accuracy"]["ONNX INT8"].keys()


def test_benchmark_at_another_size_needs_a_checkpoint(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["benchmark", "bundle", "--bundle", str(trained / "bundle"), "--image_size", "48"]) == 2
    assert "needs --checkpoint" in capsys.readouterr().err


def test_data_of_another_place_can_be_named(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text(yaml.safe_dump(CONFIG))
    words = ["--checkpoint", str(trained / "model.pth"), "--output", str(tmp_path / "b"), *FLAGS]
    assert main(["export", *words, "--data", str(tmp_path / "data.yaml"), "--precision", "fp32"]) == 0
    assert "model.int8.onnx" not in read_manifest(tmp_path / "b").files
