"""A detector is whatever finds boxes; YuNet's file is found, or downloaded, or its place is named."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from smart_retail.contract import Contract
from smart_retail.data.crops import TURNED_RATIO, face_squares
from smart_retail.data.images import read_image
from smart_retail.data.sources.all_age_faces import AllAgeFaces
from smart_retail.edge import detector
from smart_retail.edge.detector import YUNET_FILE, Detection, FaceDetector, open_detector, to_detection, yunet_file
from smart_retail.errors import ConfigError


def test_a_row_becomes_the_contracts_square() -> None:
    row = np.array([0, 0, 9, 9, 33, 40, 67, 40, 50, 60, 40, 76, 60, 76, 0.9]) / 2
    found = to_detection(row, scale=0.5)
    assert found.box == (0, 0, 9, 9)
    assert found.square(Contract()) == pytest.approx((50, 56.2, 100, 0))


def test_a_missing_model_is_named() -> None:
    with pytest.raises(ConfigError, match=r"yunet\.onnx: no such file; yunet stands for"):
        FaceDetector("yunet.onnx")


def test_a_file_that_is_no_detector_is_refused(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(b"none")
    with pytest.raises(ConfigError, match="is no YuNet model"):
        FaceDetector(tmp_path / "yunet.onnx")


def test_a_box_alone_gives_a_square() -> None:
    assert Detection((10, 20, 50, 80)).square(Contract()) == (30, 50, 60, 0)


def test_eyes_in_one_point_are_no_landmarks() -> None:
    row = np.array([0, 0, 9, 9, 5, 4, 5, 4, 50, 60, 40, 76, 60, 76, 0.9])
    assert to_detection(row, scale=1).landmarks is None


def test_a_detector_of_ones_own_stays_as_it_is() -> None:
    class Own:
        def detect(self, image: np.ndarray) -> list[Detection]:
            return []

    own = Own()
    assert open_detector(own) is own


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file in YuNet's place, and an empty cache folder."""
    file = tmp_path / "served.onnx"
    file.write_bytes(b"a network")
    monkeypatch.setattr(detector, "YUNET_URL", file.as_uri())
    monkeypatch.setattr(detector, "YUNET_SHA256", hashlib.sha256(b"a network").hexdigest())
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "cache"))
    return file


def test_yunet_is_downloaded_once(served: Path, tmp_path: Path) -> None:
    assert yunet_file() == tmp_path / "cache" / YUNET_FILE
    served.unlink()
    assert yunet_file().read_bytes() == b"a network"


def test_a_damaged_file_in_the_cache_is_downloaded_again(served: Path) -> None:
    yunet_file().write_bytes(b"half")
    assert yunet_file().read_bytes() == b"a network"


@pytest.mark.parametrize("content", [None, b"a page that says sign in"])
def test_what_cannot_be_downloaded_is_told_with_its_address_and_place(served: Path, content: bytes | None) -> None:
    served.unlink() if content is None else served.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        FaceDetector("yunet")
    told = str(refused.value)
    for part in (served.as_uri(), str(served.parent / "cache" / YUNET_FILE), detector.YUNET_SHA256, "--detector FILE"):
        assert part in told
    assert "\n" not in told
    assert [*(served.parent / "cache").iterdir()] == []  # the folder is there, for whoever saves the file by hand


def test_a_cache_that_cannot_be_made_is_told_the_same_way(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(served / "below_a_file"))
    with pytest.raises(ConfigError, match=r"save file://.* there"):
        yunet_file()


@pytest.fixture
def yunet(cache: Path) -> FaceDetector:
    """The real one, put into the cache as a user would."""
    file = Path(os.environ["SMART_RETAIL_DATA"]) / "yunet" / YUNET_FILE
    if not file.is_file():
        pytest.skip(f"no yunet/{YUNET_FILE} among the real data")
    shutil.copyfile(file, cache / YUNET_FILE)
    return FaceDetector("yunet")


@pytest.mark.real
def test_yunet_opens_in_silence_and_in_another_process(yunet: FaceDetector) -> None:
    code = "import pickle; from smart_retail.edge.detector import FaceDetector; "
    code += "print(pickle.loads(pickle.dumps(FaceDetector('yunet'))).model)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("yunet\n", "")


@pytest.mark.real
def test_yunets_squares_lie_where_the_published_landmarks_put_them(yunet: FaceDetector) -> None:
    faces = AllAgeFaces().load().faces.sample(200, random_state=0)
    contract = Contract()
    offsets, sides, angles = [], [], []
    for path, truth in zip(faces["path"], face_squares(faces, contract), strict=True):
        found = [face.square(contract) for face in yunet.detect(read_image(path))]
        assert found, path
        away = [np.hypot(*(np.array(square[:2]) - truth[:2])) / truth[2] for square in found]
        nearest = found[int(np.argmin(away))]
        offsets.append(min(away))
        sides.append(nearest.side / truth[2])
        angles.append(abs(nearest.angle - truth[3]))
    assert np.median(offsets) < 0.03
    assert np.quantile(offsets, 0.95) < 0.06
    assert 0.94 < np.median(sides) < 1.02
    assert 0.8 < np.quantile(sides, 0.05) < np.quantile(sides, 0.95) < 1.2
    assert np.quantile(angles, 0.95) < 12


@pytest.mark.real
def test_heads_that_are_turned_are_found_and_their_squares_keep_their_size(yunet: FaceDetector) -> None:
    photos = sorted((Path(os.environ["SMART_RETAIL_DATA"]) / "fairface" / "test").glob("*.jpg"))
    if not photos:
        pytest.skip("no fairface/test among the real data")
    contract, turned = Contract(), 0
    for path in photos:
        faces = yunet.detect(read_image(path))
        assert faces, path
        left, right, mouth = map(np.asarray, faces[0].landmarks or ())
        apart, down = np.hypot(*(left - right)), np.hypot(*((left + right) / 2 - mouth))
        if down > TURNED_RATIO * apart:
            turned += 1
            side = faces[0].square(contract).side
            assert side > apart / contract.eye_distance  # what the eyes alone would give
            assert 0.6 < side / max(faces[0].box[2] - faces[0].box[0], faces[0].box[3] - faces[0].box[1]) < 1.6
    assert turned > 40


@pytest.mark.real
def test_a_smaller_frame_for_yunet_moves_no_large_face_and_misses_small_ones(yunet: FaceDetector) -> None:
    photo = read_image(AllAgeFaces().load().faces["path"].iloc[0])
    picture = np.full((720, 1280, 3), 128, np.uint8)
    for left, side in ((100, 300), (700, 60)):  # the face takes half of the photo
        picture[200 : 200 + side, left : left + side] = cv2.resize(photo, (side, side), interpolation=cv2.INTER_AREA)
    whole, small = (FaceDetector(yunet.model, size=size).detect(picture) for size in (1280, 320))
    assert (len(whole), len(small)) == (2, 1)
    large = max(whole, key=lambda face: face.box[2] - face.box[0])
    assert np.abs(np.subtract(large.box, small[0].box)).max() < 0.2 * (large.box[2] - large.box[0])


def test_a_frame_too_small_for_any_face_is_refused_by_its_option() -> None:
    with pytest.raises(ConfigError, match="--detector_size 10 must be 64 px or more"):
        FaceDetector("yunet", size=10)
