"""A bundle that comes with the package is found by name, and its absence is said."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from smart_retail.cli import main
from smart_retail.edge import pretrained
from smart_retail.edge.bundle import verify
from smart_retail.edge.manifest import CARD, NAME
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import BundleError


@pytest.fixture
def shipped(bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installation that holds one bundle under the default name."""
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    return Path(shutil.copytree(bundle, tmp_path / "pretrained" / pretrained.DEFAULT))


@pytest.fixture
def none_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")


@pytest.fixture
def pictures(faces: np.ndarray, tmp_path: Path) -> Path:
    (tmp_path / "faces").mkdir()
    for i, face in enumerate(faces):
        cv2.imwrite(str(tmp_path / "faces" / f"{i}.png"), face)
    return tmp_path / "faces"


def files_of(lines: str) -> list[str]:
    return [Path(json.loads(line)["file"]).name for line in lines.splitlines()]


def test_the_default_answers_like_its_folder(shipped: Path, faces: np.ndarray) -> None:
    assert Predictor.from_pretrained()(faces[0]) == Predictor.from_bundle(shipped)(faces[0])
    assert Predictor.from_pretrained(pretrained.DEFAULT).manifest == Predictor.from_pretrained().manifest


def test_another_name_is_refused_with_those_there_are(shipped: Path) -> None:
    with pytest.raises(BundleError, match=r"resnet.*holds mobileone_s2"):
        Predictor.from_pretrained("resnet")


def test_an_installation_without_a_bundle_says_so(
    none_shipped: None, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(BundleError, match="holds none"):
        Predictor.from_pretrained()
    assert main(["predict", str(pictures)]) == 2
    assert "comes without a bundle" in capsys.readouterr().err


@pytest.mark.parametrize("front", [[], ["--bundle", pretrained.DEFAULT], ["--bundle", "a folder"]])
def test_predict_takes_images_with_and_without_a_bundle(
    shipped: Path, pictures: Path, front: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    front = [str(shipped) if word == "a folder" else word for word in front]
    assert main(["predict", *front, str(pictures), "--format", "json"]) == 0
    assert files_of(capsys.readouterr().out) == ["0.png", "1.png", "2.png", "3.png"]
    assert main(["predict", *front, *map(str, sorted(pictures.iterdir())[:2]), "--format", "json"]) == 0
    assert files_of(capsys.readouterr().out) == ["0.png", "1.png"]


def test_a_misspelt_bundle_is_not_replaced_by_the_default(
    shipped: Path, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", "--bundle", "bundel", str(pictures)]) == 2
    assert "bundel: no such file or folder" in capsys.readouterr().err
    (shipped / NAME).unlink()
    assert main(["predict", "--bundle", str(shipped), str(pictures)]) == 2
    assert "has no manifest.json" in capsys.readouterr().err


def test_a_bundle_without_images_asks_for_them(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--bundle", str(shipped)]) == 2
    assert "required: images" in capsys.readouterr().err


def test_verify_and_benchmark_take_the_default(shipped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify"]) == 0
    assert "sum matches" in capsys.readouterr().out
    assert main(["benchmark", "bundle", "--rounds", "1", "--threads", "1", "--batch_size", "1"]) == 0
    assert "ONNX INT8" in capsys.readouterr().out


def test_terms_come_first(bundle: Path) -> None:
    for name in (NAME, CARD):
        assert "no real person" in "".join((bundle / name).read_text().splitlines(keepends=True)[:6])


def test_the_card_claims_no_more_than_was_measured(bundle: Path) -> None:
    card = (bundle / CARD).read_text()
    for words in (
        "set so that about 80% of ",
        "`test` chose nothing.",
        "Intervals are 95% and resample clusters of duplicates.",
        "beyond a single stay in view",
        "the terms above do",
        "- Groups without a figure",
    ):
        assert words in card, words


@pytest.mark.parametrize("name", pretrained.available())
def test_what_is_shipped_is_whole(name: str) -> None:
    folder = pretrained.find_bundle(name)
    assert set(verify(folder)) == {"fp32", "int8"}
    assert not any(b".py" in path.read_bytes() for path in folder.glob("*.onnx")), "paths of the machine that exported"
    assert "research only" in "".join((folder / CARD).read_text().splitlines(keepends=True)[:6])
