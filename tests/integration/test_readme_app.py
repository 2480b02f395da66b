"""The example app of the README runs as it stands; only the detector's model file is not there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from smart_retail.data.sources.drawing import FaceSpec, draw_face
from smart_retail.edge import detector
from tests.integration.test_ship import trained  # noqa: F401 - a fixture

README = Path(__file__).parents[2] / "README.md"


class OneFace:
    def __init__(self, model: str) -> None:
        self.model = model

    def detect(self, image: np.ndarray) -> list[detector.Detection]:
        return [detector.Detection((30, 30, 70, 90), 1.0, detector.Landmarks((40, 50), (60, 50), (50, 75)))]


def test_the_app_counts_and_draws(
    trained: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = next(c for c in re.findall(r"```python\n(.*?)```", README.read_text(), re.S) if "VideoCapture" in c)
    assert code.count("\n") < 60
    for i in range(3):
        face = draw_face(FaceSpec(0, 30.0, 2), np.random.default_rng(0), 96)
        cv2.imwrite(str(tmp_path / f"{i:04d}.png"), face)
    monkeypatch.setattr(detector, "FaceDetector", OneFace)
    monkeypatch.setattr(sys, "argv", ["app.py", str(trained / "bundle"), "yunet.onnx", str(tmp_path / "%04d.png")])
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "app.py", "exec"), {})
    assert "visitors by group: {" in capsys.readouterr().out
    assert (tmp_path / "annotated.jpg").is_file()
