"""What is written is whole, and what was altered is refused."""

from __future__ import annotations

import errno
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from smart_retail.cli import main
from smart_retail.edge.bundle import verify, write_bundle
from smart_retail.edge.manifest import read_manifest
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import BundleError, ConfigError
from smart_retail.export.export import ExportSettings
from smart_retail.export.onnx import PARITY


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def test_verify_accepts_what_export_wrote(bundle: Path) -> None:
    assert set(verify(bundle)) == {"fp32", "int8"}


def test_manifest_tells_contract_metrics_and_sums(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest.contract.image_size == 32
    assert set(manifest.files) == {"model.onnx", "model.int8.onnx", "golden.npz", "MODEL_CARD.md"}
    assert {"fp32", "int8", "drop"} <= set(manifest.metrics["val"])
    assert manifest.variants["int8"]["kernels"]["QLinearConv"] > 20
    assert manifest.variants["fp32"]["parity"] <= PARITY


@pytest.mark.parametrize("name", ["model.int8.onnx", "model.onnx", "golden.npz", "MODEL_CARD.md"])
def test_a_changed_byte_is_found(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=r"altered or cut off"):
        verify(copy)


def test_predictor_refuses_a_truncated_network(copy: Path) -> None:
    path = copy / "model.int8.onnx"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(BundleError, match=r"model\.int8\.onnx was altered or cut off"):
        Predictor.from_bundle(copy)


def test_predictor_refuses_a_missing_file(copy: Path) -> None:
    (copy / "model.int8.onnx").unlink()
    with pytest.raises(BundleError, match="is missing"):
        Predictor.from_bundle(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "update smart_retail"),
        ({"outputs": ["gender", "years"]}, "answers gender, age, emotion"),
        ({"contract": {"image_size": 32}}, "contract has other fields"),
        ({"contract": None}, "manifest.json"),
        ({"files": {"../model.int8.onnx": "0"}}, "neither"),
    ],
)
def test_a_manifest_that_does_not_fit_is_refused(copy: Path, change: dict, message: str) -> None:
    path = copy / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BundleError, match=message):
        Predictor.from_bundle(copy)


def test_a_manifest_cannot_point_outside_its_folder(copy: Path) -> None:
    path = copy / "manifest.json"
    values = json.loads(path.read_text())
    values["files"]["../secret"] = "0"
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match="not a file of the bundle"):
        verify(copy)


def test_a_contract_of_another_size_is_refused(copy: Path) -> None:
    path = copy / "manifest.json"
    values = json.loads(path.read_text())
    values["contract"]["image_size"] = 64
    path.write_text(json.dumps(values))
    with pytest.raises(BundleError, match="the contract says faces of 64 px"):
        Predictor.from_bundle(copy)


def test_broken_json_is_one_line_and_exit_code_2(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "manifest.json").write_text("{")
    assert main(["verify", "--bundle", str(copy)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "damaged" in error


def test_a_failed_write_leaves_the_bundle_before(copy: Path) -> None:
    with pytest.raises(RuntimeError), write_bundle(copy) as aside:
        (aside / "model.onnx").write_bytes(b"half")
        raise RuntimeError
    assert set(verify(copy)) == {"fp32", "int8"}
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_a_kill_between_the_last_steps_costs_no_bundle(copy: Path) -> None:
    copy.rename(copy.with_name(".copy-former"))
    with pytest.raises(RuntimeError), write_bundle(copy):
        raise RuntimeError
    assert set(verify(copy)) == {"fp32", "int8"}
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_a_last_step_that_fails_puts_the_bundle_before_back(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(errno.EDQUOT, "")

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match=r"quota exceeded: .*copy"), write_bundle(copy):
        pass
    assert set(verify(copy)) == {"fp32", "int8"}
    assert [p.name for p in copy.parent.iterdir()] == ["copy"]


def test_what_a_link_names_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    for text in ("first", "second"):
        with write_bundle(tmp_path / "link") as aside:
            (aside / "manifest.json").write_text(text)
        assert (tmp_path / "there" / "manifest.json").read_text() == text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["link", "there"]


def test_the_working_folder_is_refused_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(ConfigError, match="working folder"), write_bundle(Path()):
        pytest.fail("work was begun")
    assert [p.name for p in tmp_path.iterdir()] == ["here"]


def test_a_folder_that_is_no_bundle_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="is no bundle"), write_bundle(tmp_path):
        pass
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_golden_faces_are_drawings(bundle: Path) -> None:
    with np.load(bundle / "golden.npz", allow_pickle=False) as golden:
        assert golden["crops"].shape == (4, 32, 32, 3)


@pytest.mark.parametrize("wrong", [{"limit_eval": 0}, {"limit_eval": -1}, {"seed": -1}, {"seed": 1 << 32}])
def test_numbers_that_an_export_cannot_take_are_named(wrong: dict[str, int]) -> None:
    [(name, value)] = wrong.items()
    with pytest.raises(ConfigError, match=f"{name} {value}"):
        ExportSettings(**wrong)  # type: ignore[arg-type]
