"""Whatever an app holds goes in; what does not is a clear error."""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from smart_retail.data.crops import Square
from smart_retail.edge.detector import Detection, Landmarks
from smart_retail.edge.prediction import PLACE, Attribute, Prediction
from smart_retail.edge.predictor import Predictor
from smart_retail.errors import BrokenImageError, BundleError, ConfigError


@pytest.fixture(scope="module")
def predictor(bundle: Path) -> Predictor:
    return Predictor.from_bundle(bundle, precision="fp32")


def test_no_torch_is_imported(bundle: Path) -> None:
    code = (
        "import sys; from smart_retail.edge.predictor import Predictor; "
        f"Predictor.from_bundle({str(bundle)!r}); "
        "heavy = {'torch', 'lightning', 'pandas', 'onnx', 'yaml', 'jsonargparse', 'PIL', 'scipy'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_prediction_is_complete(predictor: Predictor, faces: np.ndarray) -> None:
    said = predictor(faces[0])
    assert said.gender in ("male", "female")
    assert sum(said.emotion_probabilities.values()) == pytest.approx(1, abs=1e-5)
    assert 0 <= said.age_interval[0] <= said.age <= said.age_interval[1] <= 100


def test_int8_is_the_default(bundle: Path, faces: np.ndarray) -> None:
    default, int8 = Predictor.from_bundle(bundle), Predictor.from_bundle(bundle, precision="int8")
    assert default(faces[0]) == int8(faces[0])


def test_unknown_precision_is_named(bundle: Path) -> None:
    with pytest.raises(ConfigError, match="int4"):
        Predictor.from_bundle(bundle, precision="int4")


def test_path_array_bgr_and_pil_agree(predictor: Predictor, faces: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(faces[0]).save(tmp_path / "face.png")
    expected = predictor(faces[0])
    assert predictor(tmp_path / "face.png") == expected
    assert predictor(str(tmp_path / "face.png")) == expected
    assert predictor(Image.open(tmp_path / "face.png")) == expected
    assert predictor((tmp_path / "face.png").read_bytes()) == expected
    assert predictor(memoryview((tmp_path / "face.png").read_bytes())) == expected
    assert predictor(faces[0][:, :, ::-1], bgr=True) == expected
    assert predictor(np.dstack([faces[0], np.full((32, 32), 9, np.uint8)])) == expected
    assert predictor(faces[0].astype(np.uint16) * 257) == expected
    assert predictor(faces[0] / 255.0) == expected


def test_grey_is_colour_without_colour(predictor: Predictor, faces: np.ndarray) -> None:
    grey = cv2.cvtColor(faces[0], cv2.COLOR_RGB2GRAY)
    assert predictor(grey) == predictor(grey[:, :, None]) == predictor(np.dstack([grey] * 3))


def test_exif_rotation_is_undone(predictor: Predictor, faces: np.ndarray, tmp_path: Path) -> None:
    upright = cv2.resize(faces[0], (96, 96))
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / "turned.jpg", exif=exif, quality=100, subsampling=0)
    by_path, by_pil = predictor(tmp_path / "turned.jpg"), predictor(Image.open(tmp_path / "turned.jpg"))
    assert by_path.age == pytest.approx(predictor(upright).age, abs=0.5)
    assert by_pil.age == pytest.approx(by_path.age, abs=0.1)


def test_wide_modes_of_pil_are_checked_as_arrays_are(predictor: Predictor, faces: np.ndarray) -> None:
    grey = cv2.cvtColor(faces[0], cv2.COLOR_RGB2GRAY)
    expected = predictor(grey)
    assert predictor(Image.fromarray(grey.astype(np.int32))) == expected
    assert predictor(Image.fromarray(grey.astype(np.int32) * 257)) == expected
    assert predictor(Image.fromarray(grey.astype(np.uint16) * 257)) == expected
    assert predictor(Image.fromarray(grey.astype(np.float32) / 255)) == expected
    for wide in (grey.astype(np.float32), grey.astype(np.int32) - 1000, grey.astype(np.int32) * 100_000):
        with pytest.raises(BrokenImageError, match=r"between 0 and 1|none of 8 or 16 bits"):
            predictor(Image.fromarray(wide))


@pytest.mark.parametrize("shape", [(1, 1), (3, 2000), (4000, 3000)])
def test_any_size_is_judged(predictor: Predictor, shape: tuple[int, int]) -> None:
    assert isinstance(predictor(np.full((*shape, 3), 128, np.uint8)), Prediction)


def test_a_wide_frame_beyond_opencvs_limit_is_cut(predictor: Predictor) -> None:
    frame = np.zeros((64, 40000, 3), np.uint8)
    assert isinstance(predictor(frame, Square(39000, 32, 60)), Prediction)


@pytest.mark.parametrize(
    "image",
    [
        None,
        7,
        b"",
        b"no image",
        np.zeros((2, 2, 7), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros(5),
        np.full((4, 4), np.nan),
        "x",
    ],
)
def test_what_is_no_image_is_refused(predictor: Predictor, image: object) -> None:
    with pytest.raises(BrokenImageError):
        predictor(image)


def test_a_bad_image_in_a_batch_costs_only_itself(predictor: Predictor, faces: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_text("no image")
    said = predictor.predict([faces[0], tmp_path / "bad.jpg", faces[1]])
    assert [type(s) for s in said] == [Prediction, BrokenImageError, Prediction]
    assert said[2] == predictor(faces[1])


def test_one_image_is_no_list_of_letters_or_rows(predictor: Predictor, faces: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "face.png"
    Image.fromarray(faces[0]).save(path)
    expected = [predictor(faces[0])]
    for one in (path, str(path), path.read_bytes(), Image.open(path), faces[0]):
        assert predictor.predict(one) == expected
    assert len(predictor.predict(faces)) == len(faces)
    assert [str(error).partition(":")[0] for error in predictor.predict("gone.jpg")] == ["gone.jpg"]


def test_a_stream_may_be_endless_and_is_read_a_batch_at_a_time(bundle: Path, faces: np.ndarray) -> None:
    predictor = Predictor.from_bundle(bundle, precision="fp32", batch_size=2)
    read = itertools.count()
    answers = predictor.stream(faces[next(read) % len(faces)] for _ in itertools.count())
    assert all(isinstance(next(answers), Prediction) for _ in range(3))
    assert next(read) == 4


def test_it_opens_itself_again_in_another_process(bundle: Path, faces: np.ndarray) -> None:
    predictor = Predictor.from_bundle(bundle, precision="fp32")
    assert pickle.loads(pickle.dumps(predictor))(faces[0]) == predictor(faces[0])
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.map(predictor, list(faces[:2])) == [predictor(face) for face in faces[:2]]
        pool.close()
        pool.join()


def test_a_bundle_that_changed_meanwhile_is_not_opened_again(bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(bundle, tmp_path / "copy"))
    stored = pickle.dumps(Predictor.from_bundle(copy))
    (copy / "model.int8.onnx").write_bytes(b"another")
    with pytest.raises(BundleError, match="altered"):
        pickle.loads(stored)


def test_batches_do_not_change_the_answers(bundle: Path, faces: np.ndarray) -> None:
    small, large = (Predictor.from_bundle(bundle, precision="fp32", batch_size=n) for n in (1, 3))
    for one, other in zip(small.predict(faces), large.predict(faces), strict=True):
        assert isinstance(one, Prediction) and isinstance(other, Prediction)
        assert one.age == pytest.approx(other.age, abs=1e-3)


def test_some_tasks_are_answered_as_among_all_and_the_others_are_absent(bundle: Path, faces: np.ndarray) -> None:
    whole, some = Predictor.from_bundle(bundle), Predictor.from_bundle(bundle, tasks=["age", "gender"])
    expected, said = whole(faces[0]), some(faces[0])
    assert said == Prediction({task: expected.attributes[task] for task in ("gender", "age")})
    assert some.outputs(faces).keys() == {"gender", "age"}
    assert not any("emotion" in name for name in said.to_dict())
    with pytest.raises(AttributeError, match="nothing is said of emotion here, only of gender, age"):
        _ = said.emotion
    alone = pickle.loads(pickle.dumps(some.only(["age"])))
    assert alone(faces[0]) == Prediction({"age": expected.attributes["age"]})
    assert whole(faces[0]) == expected


@pytest.mark.parametrize("tasks", [["hat", "age", "mood"], "hat mood"])
def test_a_task_that_does_not_exist_is_refused_with_those_that_do(bundle: Path, tasks: str | list[str]) -> None:
    with pytest.raises(ConfigError, match="--tasks hat mood: this network knows gender, age, emotion"):
        Predictor.from_bundle(bundle, tasks=tasks)
    with pytest.raises(ConfigError, match="--tasks emotion: this network knows gender, age"):
        Predictor.from_bundle(bundle, tasks=["gender", "age"]).only("emotion")


def test_landmarks_and_boxes_follow_the_contract(predictor: Predictor) -> None:
    eyes_34_apart = (np.array([33, 40]), np.array([67, 40]), np.array([50, 76]))
    assert predictor.square(landmarks=eyes_34_apart) == pytest.approx((50, 56.2, 100, 0))
    assert predictor.square(box=(10, 20, 50, 80)) == Square(30, 50, 60)
    with pytest.raises(ConfigError, match="cannot be cut"):
        predictor.square(box=(5, 5, 5, 5))
    with pytest.raises(ConfigError, match="box or landmarks"):
        predictor.square()


def test_several_faces_of_one_picture(predictor: Predictor, faces: np.ndarray) -> None:
    picture = np.hstack([faces[0], faces[1]])
    said = predictor.predict_faces(picture, [Square(16, 16, 32), Square(48, 16, 32)])
    # The border repeats the edge alone, the neighbour touches it: half a pixel of difference.
    assert said[1].age == pytest.approx(predictor(faces[1]).age, abs=5)
    assert predictor.predict_faces(picture, []) == []


class Boxes:
    """A detector of one's own, which finds boxes alone."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        return [Detection((0, 0, 32, 32), 0.9), Detection((32, 0, 64, 30), 0.7)]


class Nothing:
    def detect(self, image: np.ndarray) -> list[Detection]:
        return []


def test_a_photo_is_searched_and_its_faces_are_judged(predictor: Predictor, faces: np.ndarray) -> None:
    photo = np.hstack([faces[0], faces[1]])
    found = predictor.predict_image(photo, Boxes())
    assert [(face.index, face.box, face.score) for face in found] == [
        (0, (0, 0, 32, 32), 0.9),
        (1, (32, 0, 64, 30), 0.7),
    ]
    assert [face.square for face in found] == [Square(16, 16, 32), Square(48, 15, 32)]
    assert [face.prediction for face in found] == predictor.predict_faces(photo, [face.square for face in found])
    assert predictor.predict_image(photo, Nothing()) == []


def test_a_face_is_told_with_all_its_coordinates(predictor: Predictor, faces: np.ndarray) -> None:
    class Whole:
        def detect(self, image: np.ndarray) -> list[Detection]:
            return [Detection((1, 2, 30, 31), 0.75, Landmarks((10, 12), (22, 12), (16, 24)))]

    [face] = predictor.predict_image(faces[0], Whole())
    told = face.to_dict()
    assert [told[name] for name in PLACE[:10]] == [1, 2, 30, 31, 10, 12, 22, 12, 16, 24]
    assert (told["x"], told["y"], told["angle"]) == (16, pytest.approx(17.4), 0)
    assert (told["face"], told["detector_score"], told["gender"]) == (0, 0.75, face.prediction.gender)
    [alone, _] = predictor.predict_image(np.hstack([faces[0], faces[1]]), Boxes())
    assert alone.to_dict()["mouth_x"] is None


def test_a_face_without_extent_is_refused(predictor: Predictor, faces: np.ndarray) -> None:
    class Flat:
        def detect(self, image: np.ndarray) -> list[Detection]:
            return [Detection((5, 5, 5, 5))]

    with pytest.raises(ConfigError, match="cannot be cut out"):
        predictor.predict_image(faces[0], Flat())


@pytest.mark.parametrize(("share", "guess"), [(0.5, True), (0.64, True), (0.66, False), (1.0, False)])
def test_nearly_equal_probabilities_are_a_guess(share: float, guess: bool) -> None:
    gender = Attribute("male", {"male": share, "female": 1 - share})
    assert gender.is_guess is guess
    assert Prediction({"gender": gender}).guesses == ["gender"] * guess


def test_of_a_wall_everything_is_a_guess(predictor: Predictor, faces: np.ndarray) -> None:
    wall = np.clip(np.random.default_rng(0).normal(128, 4, (200, 200, 3)), 0, 255).astype(np.uint8)
    assert predictor(wall).guesses == ["gender", "age", "emotion"]
    assert predictor(wall).to_dict()["guesses"] == ["gender", "age", "emotion"]
    assert not predictor(faces[0]).attributes["age"].is_guess
