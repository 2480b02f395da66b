"""A bundle of some of a network's tasks: the others are nowhere in it, and what stays answers the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from smart_retail.cli import main
from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import CARD, GOLDEN, PRECISIONS, read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import ConfigError
from smart_retail.export.export import ExportSettings, export_bundle
from smart_retail.export.gate import Gate
from smart_retail.models.network import FaceNet
from tests.helpers.pictures import write_image

Narrow = Callable[[str], Path]
QUICK = ["--int8.calibration_faces", "32", "--limit_eval", "40", "--gate.points", "100", "--gate.years", "100"]
CROPS = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)


@pytest.fixture(scope="module")
def narrow(own_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Narrow:
    """Return the bundle of these tasks; each is written once."""
    written: dict[str, Path] = {}

    def of(tasks: str, *words: str) -> Path:
        if tasks not in written:
            written[tasks] = tmp_path_factory.mktemp("narrow") / "bundle"
            way = ["--checkpoint", str(own_checkpoint), "--output", str(written[tasks])]
            assert main(["export", *way, "--tasks", *tasks.split(), *QUICK]) == 0
        return written[tasks]

    return of


@pytest.fixture(scope="module")
def two(own_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another kind of file with two of four tasks."""
    bundle = tmp_path_factory.mktemp("narrow") / "two"
    words = ["--checkpoint", str(own_checkpoint), "--output", str(bundle), "--tasks", "glasses", "age"]
    words += ["--input", "uint8", "--outputs", "logits", "--age_distribution", "true"]
    assert main(["export", *words, *QUICK]) == 0
    return bundle


def test_the_other_heads_are_in_no_file(two: Path) -> None:
    manifest, names = read_manifest(two), ("age", "glasses", "age_distribution")
    assert manifest.contract.task_names == names[:2] and manifest.outputs == names  # in the network's own order
    for name in PRECISIONS.values():
        model = onnx.load(two / name)
        assert tuple(value.name for value in model.graph.output) == names
        assert not [t.name for t in model.graph.initializer if "emotion" in t.name or "gender" in t.name]
        (contract,) = (entry.value for entry in model.metadata_props if entry.key == "contract")
        assert [task["name"] for task in json.loads(contract)["tasks"]] == ["age", "glasses"]
    with np.load(two / GOLDEN) as stored:
        assert set(stored) == {"crops", *(f"{p}.{output}" for p in PRECISIONS for output in names)}
    assert set(manifest.metrics["val"]["drop"]) == {"age", "glasses"}
    assert manifest.calibration.keys() <= {"glasses"} and manifest.intervals.keys() <= {"age"}
    assert not any("emotion" in metric or "gender" in metric for metric in manifest.metrics["val"]["int8"])
    assert set(verify(two)) == {"fp32", "int8"}


@pytest.mark.slow
def test_the_card_says_what_is_left_out_and_warns_of_nothing_else(two: Path, narrow: Narrow) -> None:
    card = (two / CARD).read_text().partition("```yaml")[0]
    assert "One network for age (years) and glasses (2 classes)" in card
    assert "Left out: it was also trained on gender (2 classes) and emotion (6 classes)" in card
    assert card.lower().count("emotion") == card.lower().count("gender") == 1
    alone = (narrow("glasses") / CARD).read_text()
    assert "One network for glasses (2 classes) of" in alone and "- Age is" not in alone and "with an age" not in alone


@pytest.mark.slow
def test_what_stays_answers_as_before(own: Path, two: Path, narrow: Narrow) -> None:
    for precision in PRECISIONS:
        whole = Predictor.from_bundle(own, precision=precision)
        expected = whole.outputs(CROPS)
        for task in ("age", "glasses"):
            some = Predictor.from_bundle(narrow(task), precision=precision)
            assert some.temperatures.keys() == {task} - {"age"} and all(t == 1 for t in some.temperatures.values())
            answers = some.outputs(CROPS)
            assert answers.keys() == {task} and (answers[task] == expected[task]).all()  # to the bit
    other = Predictor.from_bundle(two, precision="fp32").outputs(CROPS)
    expected = Predictor.from_bundle(own, precision="fp32").outputs(CROPS)
    assert other["age_distribution"].sum(axis=1) == pytest.approx(1, abs=1e-4)
    assert other["age"] == pytest.approx(expected["age"], abs=0.1)
    assert other["glasses"] == pytest.approx(expected["glasses"], abs=1e-2)


@pytest.mark.slow
@pytest.mark.parametrize("task", ["age", "glasses"])
def test_every_command_takes_a_bundle_of_one_task(
    task: str,
    narrow: Narrow,
    own: Path,
    own_checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    bundle, pictures = str(narrow(task)), tmp_path / "in"
    write_image(pictures / "face.png", np.kron(CROPS[0], np.ones((3, 3, 1), np.uint8)))
    assert main(["verify", "--bundle", bundle]) == 0
    assert main(["predict", str(pictures), "--bundle", bundle, "--draw", str(tmp_path / "drawn")]) == 0
    assert [path.name for path in (tmp_path / "drawn").iterdir()] == ["face.png"]
    assert main(["evaluate", bundle, str(own), "--output", str(tmp_path / "report"), "--data.limit_eval", "20"]) == 0
    report = (tmp_path / "report" / "report.md").read_text()
    assert task in report and not any("trained on other data" in text for text in (report, caplog.text))
    capsys.readouterr()
    words = ["--rounds", "1", "--threads", "1", "--batch_size", "1", "--checkpoint", str(own_checkpoint)]
    words += ["--faces", "10", "--format", "json"] if task == "glasses" else ["--image_size", "64"]
    assert main(["benchmark", "bundle", "--bundle", bundle, *words]) == 0
    if task == "glasses":
        accuracy = json.loads(capsys.readouterr().out.splitlines()[-1])["accuracy"]
        assert {"PyTorch", "ONNX FP32", "ONNX INT8"} <= accuracy.keys()
        assert all(metric.startswith(task) for figures in accuracy.values() for metric in figures)


def test_a_training_starts_from_what_is_there(narrow: Narrow) -> None:
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
