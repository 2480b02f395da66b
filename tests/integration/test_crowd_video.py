"""Eighteen real people who come and leave are eighteen visitors; see ``tests.helpers.crowd_video``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smart_retail import watch
from tests.helpers.crowd_video import write_video


@pytest.mark.real
@pytest.mark.slow
@pytest.mark.parametrize("seed", [18, 1])
def test_eighteen_people_are_eighteen_visitors_and_the_right_ones(tmp_path: Path, seed: int) -> None:
    data = Path(os.environ["SMART_RETAIL_DATA"])
    fairface, detector = data / "fairface", data / "yunet" / "face_detection_yunet_2023mar.onnx"
    if not (fairface / "labels.csv").is_file() or not detector.is_file():
        pytest.skip("no fairface/labels.csv or yunet/face_detection_yunet_2023mar.onnx among the real data")
    people = write_video(data, fairface, detector, tmp_path / "crowd.mp4", seed)
    left = [event for event in watch(tmp_path / "crowd.mp4", detector=detector) if event.kind == "left"]
    assert len(left) == len(people) == 18
    visitors = sorted(left, key=lambda event: event.visitor)
    assert sum(v.prediction.gender == p.gender for v, p in zip(visitors, people, strict=True)) >= 16
