"""Predictor: a bundle in, gender, age, emotion (and whatever else was learnt) of faces out. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.crops import (
    Square,
    crop_square,
    square_from_box,
    square_from_landmarks,
    surroundings,
    whole_image,
)
from smart_retail.edge.calibration import softmax, temperatures, tempered
from smart_retail.edge.inputs import to_rgb
from smart_retail.edge.manifest import PRECISIONS, Manifest, check_files, read_manifest
from smart_retail.edge.pretrained import DEFAULT, find_bundle
from smart_retail.edge.runtime import check_session, feed, open_session
from smart_retail.errors import BrokenImageError, BundleError, ConfigError
from smart_retail.tasks import AGE_MAX, AGE_MIN


@dataclass(frozen=True)
class Attribute:
    """What the network answers to one task on one face.

    Attributes:
        value: the likeliest class, or years.
        probabilities: by class; None for years.
        interval: youngest and oldest years; of validation faces the manifest's share lies inside. None for
            classes, and where the bundle tells none: too few validation faces had an age.
    """

    value: str | float
    probabilities: dict[str, float] | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Prediction:
    """What the network answers on one face.

    >>> face.gender, face.age, face.emotion
    >>> face.attributes["glasses"].value

    Attributes:
        attributes: by task.
    """

    attributes: dict[str, Attribute]

    @property
    def gender(self) -> str:
        """The likelier class."""
        return str(self._of("gender").value)

    @property
    def gender_probabilities(self) -> dict[str, float]:
        """By class."""
        return self._of("gender").probabilities or {}

    @property
    def age(self) -> float:
        """Years."""
        return float(self._of("age").value)

    @property
    def age_interval(self) -> tuple[float, float] | None:
        """Youngest and oldest years, see ``Attribute``."""
        return self._of("age").interval

    @property
    def emotion(self) -> str:
        """The likeliest class."""
        return str(self._of("emotion").value)

    @property
    def emotion_probabilities(self) -> dict[str, float]:
        """By class."""
        return self._of("emotion").probabilities or {}

    def _of(self, task: str) -> Attribute:
        if task not in self.attributes:
            raise AttributeError(f"this network says nothing of {task}; it knows {', '.join(self.attributes)}")
        return self.attributes[task]

    def to_dict(self) -> dict[str, Any]:
        """Return plain types, rounded for reading."""
        values: dict[str, Any] = {}
        for task, found in self.attributes.items():
            values[task] = found.value if isinstance(found.value, str) else round(found.value, 1)
            if found.probabilities is None:
                values[f"{task}_interval"] = found.interval and [round(years, 1) for years in found.interval]
        for task, found in self.attributes.items():
            if found.probabilities is not None:
                values[f"{task}_probabilities"] = {k: round(p, 4) for k, p in found.probabilities.items()}
        return values


class Predictor:
    """Judges face images.

    >>> predictor = Predictor.from_pretrained()
    >>> predictor("face.jpg").gender
    """

    def __init__(self, path: Path, manifest: Manifest, *, threads: int = 1, batch_size: int = 32) -> None:
        """Open one network; ``from_pretrained`` and ``from_bundle`` are the usual ways.

        Args:
            path: ONNX file.
            manifest: of its bundle.
            threads: of one call; 0 for one a core.
            batch_size: faces that go through the network at once.
        """
        if batch_size < 1 or threads < 0:
            raise ConfigError(f"batch_size {batch_size} must be 1 or more, threads {threads} 0 or more")
        self.manifest, self.batch_size = manifest, batch_size
        self.temperatures = temperatures(manifest.calibration, manifest.contract.tasks)
        self.session = open_session(path, threads=threads)
        check_session(self.session, manifest.contract, manifest.outputs, path)

    @classmethod
    def from_bundle(
        cls, bundle: str | Path, *, precision: str | None = None, threads: int = 1, batch_size: int = 32
    ) -> Predictor:
        """Open a bundle, after comparing its sums.

        Args:
            bundle: the folder.
            precision: ``int8`` or ``fp32``; None for INT8 where the bundle has it.
            threads: of one call; 0 for one a core.
            batch_size: faces that go through the network at once.

        Raises:
            BundleError: the bundle is incomplete, altered or of a newer format.
            ConfigError: it has no such precision.
        """
        manifest = read_manifest(bundle)
        there = [p for p, name in PRECISIONS.items() if name in manifest.files]
        if not there:
            raise BundleError(f"{bundle}: the manifest names neither {' nor '.join(PRECISIONS.values())}")
        precision = precision or ("int8" if "int8" in there else "fp32")
        if precision not in there:
            raise ConfigError(f"{bundle} has no precision {precision!r}, only {', '.join(there)}")
        name = PRECISIONS[precision]
        check_files(bundle, manifest, {name})
        return cls(Path(bundle) / name, manifest, threads=threads, batch_size=batch_size)

    @classmethod
    def from_pretrained(
        cls, name: str = DEFAULT, *, precision: str | None = None, threads: int = 1, batch_size: int = 32
    ) -> Predictor:
        """Open a bundle that comes with the package; see ``from_bundle``.

        Args:
            name: of the bundle.
            precision: ``int8`` or ``fp32``; None for INT8 where the bundle has it.
            threads: of one call; 0 for one a core.
            batch_size: faces that go through the network at once.

        Raises:
            BundleError: this installation has no such bundle, or it is altered.
        """
        return cls.from_bundle(find_bundle(name), precision=precision, threads=threads, batch_size=batch_size)

    @property
    def contract(self) -> Contract:
        """What the network is fed and what it says."""
        return self.manifest.contract

    def __call__(self, image: Any, square: Square | None = None, *, bgr: bool = False) -> Prediction:
        """Judge one face.

        Args:
            image: path, array or PIL image; a face crop unless ``square`` says where the face is.
            square: where to cut, see ``square``.
            bgr: arrays are in OpenCV's channel order.

        Raises:
            BrokenImageError: it is no image.
        """
        return self.predict_crops(self.crop(to_rgb(image, bgr=bgr), square)[None])[0]

    def predict(self, images: Sequence[Any], *, bgr: bool = False) -> list[Prediction | BrokenImageError]:
        """Judge many face crops; one that cannot be read comes back as the error, the others are judged.

        Args:
            images: paths, arrays and PIL images, mixed as you like.
            bgr: arrays are in OpenCV's channel order.

        Returns:
            One entry for each image, in their order.
        """
        return list(self.stream(images, bgr=bgr))

    def stream(self, images: Sequence[Any], *, bgr: bool = False) -> Iterator[Prediction | BrokenImageError]:
        """Like ``predict``, a batch at a time: the memory of one batch for any number of images."""
        for start in range(0, len(images), self.batch_size):
            crops: list[np.ndarray] = []
            results: list[BrokenImageError | None] = []
            for image in images[start : start + self.batch_size]:
                try:
                    crops.append(self.crop(to_rgb(image, bgr=bgr)))
                    results.append(None)
                except BrokenImageError as error:
                    results.append(error)
            judged = iter(self.predict_crops(np.stack(crops)) if crops else [])
            yield from (next(judged) if result is None else result for result in results)

    def predict_faces(self, image: Any, squares: Sequence[Square], *, bgr: bool = False) -> list[Prediction]:
        """Judge several faces of one picture.

        Args:
            image: path, array or PIL image.
            squares: where they are, see ``square``.
            bgr: an array is in OpenCV's channel order.

        Raises:
            BrokenImageError: it is no image.
        """
        rgb = to_rgb(image, bgr=bgr)
        return self.predict_crops(np.stack([self.crop(rgb, s) for s in squares])) if squares else []

    def square(
        self,
        *,
        box: tuple[float, float, float, float] | None = None,
        landmarks: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None,
    ) -> Square:
        """Return where the contract cuts a face.

        Args:
            box: left, top, right, bottom in pixels.
            landmarks: (x, y) of one eye, of the other eye, and of the mouth's centre; better than a box,
                whose margin depends on the detector.

        Raises:
            ConfigError: neither or both are given, or the face has no extent.
        """
        if (box is None) == (landmarks is None):
            raise ConfigError("give a box or landmarks")
        if landmarks is not None:
            first, second, mouth = (np.asarray(point, np.float64) for point in landmarks)
            square = square_from_landmarks(first, second, mouth, self.contract)
        else:
            assert box is not None
            square = square_from_box(*box)
        if not (np.isfinite(square).all() and square.side > 0):
            raise ConfigError(f"a face of side {square.side} px cannot be cut out")
        return square

    def crop(self, image: np.ndarray, square: Square | None = None) -> np.ndarray:
        """Return the (S, S, 3) uint8 crop of an (H, W, 3) uint8 RGB image; the whole image without a square."""
        return crop_square(*surroundings(image, square or whole_image(image)), self.contract.image_size)

    def predict_crops(self, crops: np.ndarray) -> list[Prediction]:
        """Judge crops that follow the contract already.

        Args:
            crops: (N, S, S, 3) uint8 RGB.
        """
        predictions = []
        for start in range(0, len(crops), self.batch_size):
            said = self.outputs(crops[start : start + self.batch_size])
            for row in range(len(crops[start : start + self.batch_size])):
                predictions.append(self._prediction({name: values[row] for name, values in said.items()}))
        return predictions

    def outputs(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the network says of crops that follow the contract already, as arrays.

        Args:
            crops: (N, S, S, 3) uint8 RGB, a batch.

        Returns:
            By task (N, classes) calibrated probabilities or (N, 1) years: ``gender``, ``age``, ``emotion``, ...; and
            ``age_distribution`` (N, 101) where the network has it.
        """
        said = feed(self.session, crops, self.contract)
        if not all(np.isfinite(values).all() for values in said.values()):
            raise BundleError("the network's answers are no numbers: its weights are damaged")
        for task, temperature in self.temperatures.items():
            values = said[task] if self.manifest.form == "probabilities" else softmax(said[task])
            said[task] = tempered(values, temperature)
        return said

    def _prediction(self, answers: dict[str, np.ndarray]) -> Prediction:
        found = {}
        for task in self.contract.tasks:
            values = answers[task.name]
            if task.is_classes:
                probabilities = dict(zip(task.classes, map(float, values), strict=True))
                found[task.name] = Attribute(task.classes[int(values.argmax())], probabilities)
                continue
            years = min(max(float(values[0]), AGE_MIN), AGE_MAX)
            reach = interval_reach(years, self.manifest.intervals.get(task.name, {}))
            ends = reach and (max(AGE_MIN, years - reach[0]), min(AGE_MAX, years + reach[1]))
            found[task.name] = Attribute(years, interval=ends)
        return Prediction(found)


def interval_reach(age: float, interval: dict[str, Any]) -> tuple[float, float] | None:
    """Return how many years an interval reaches below and above a predicted age; None where it has no band for it.

    Args:
        age: predicted years.
        interval: of a manifest's ``intervals``.
    """
    bands = [band for band in interval.get("bands", []) if band["from"] <= age]
    if not bands:
        return None
    return float(bands[-1]["below"]), float(bands[-1]["above"])
