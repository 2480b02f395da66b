"""Predictor: a bundle in, gender, age, emotion (and whatever else was learnt) of faces out. Needs no PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.crops import Square, crop_square, surroundings, whole_image
from smart_retail.edge.calibration import temperatures
from smart_retail.edge.detector import YUNET, Detection, Detector, Landmarks, open_detector
from smart_retail.edge.inputs import as_images, to_rgb
from smart_retail.edge.manifest import PRECISIONS, Manifest, check_files, of_tasks, read_manifest
from smart_retail.edge.prediction import Face, Prediction
from smart_retail.edge.pretrained import DEFAULT, find_bundle
from smart_retail.edge.readout import calibrated, to_predictions
from smart_retail.edge.runtime import DEFAULT_RUNTIME, HALF, check_session, choose_precision, feed, open_session
from smart_retail.edge.session import Provider, Runtime
from smart_retail.errors import BrokenImageError, BundleError, ConfigError


class Options(TypedDict, total=False):
    """How a network is run.

    Attributes:
        runtime: ``onnxruntime`` (the default) or ``openvino``, or a class of one's own, see ``edge.session``.
        providers: what computes, the preferred first; the CPU unless given, see ``edge.runtime.open_session``.
        threads: of one call on the CPU, 1 unless given; 0 for one a core.
        batch_size: faces that go through the network at once, 32 unless given.
        tasks: names of what is judged; all that the network knows unless given.
    """

    runtime: str | Runtime
    providers: Provider | Sequence[Provider] | None
    threads: int
    batch_size: int
    tasks: Iterable[str] | None


class Predictor:
    """Judges face images.

    >>> predictor = Predictor.from_pretrained()
    >>> predictor("face.jpg").gender
    """

    def __init__(
        self,
        path: Path,
        manifest: Manifest,
        *,
        half: bool = False,
        runtime: str | Runtime = DEFAULT_RUNTIME,
        providers: Provider | Sequence[Provider] | None = None,
        threads: int = 1,
        batch_size: int = 32,
        tasks: Iterable[str] | None = None,
    ) -> None:
        """Open one network; ``from_pretrained`` and ``from_bundle`` are the usual ways.

        Args:
            path: ONNX file.
            manifest: of its bundle.
            half: let the provider compute in 16 bits.
            runtime: see ``Options``, as the others.
            providers: what computes.
            threads: of one call; 0 for one a core.
            batch_size: faces that go through the network at once.
            tasks: names of what is judged.
        """
        if batch_size < 1 or threads < 0:
            raise ConfigError(f"batch_size {batch_size} must be 1 or more, and threads {threads} must be 0 or more")
        self.path, self.batch_size = Path(path).absolute(), batch_size
        self._judge(manifest, tasks)
        self._opening: dict[str, Any] = {"half": half, "runtime": runtime, "providers": providers, "threads": threads}
        self._detectors: dict[str, Detector] = {}
        self.session = open_session(self.path, **self._opening)
        check_session(self.session, manifest.contract, manifest.outputs, path)

    def _judge(self, manifest: Manifest, tasks: Iterable[str] | None) -> None:
        self.manifest = manifest if tasks is None else of_tasks(manifest, tasks)
        self.temperatures = temperatures(manifest.calibration, self.contract.tasks)

    def only(self, tasks: Iterable[str]) -> Self:
        """Return a Predictor of some of the tasks, on the same open network.

        Args:
            tasks: their names.

        Raises:
            ConfigError: this one does not judge some of them.
        """
        other = object.__new__(type(self))
        vars(other).update(vars(self))
        other._judge(self.manifest, tasks)
        return other

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is open: an open network cannot go to another process."""
        return {name: value for name, value in vars(self).items() if name != "session"} | {"_detectors": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the network again, from the file that it was."""
        vars(self).update(state)
        check_files(self.path.parent, self.manifest, {self.path.name})
        self.session = open_session(self.path, **self._opening)

    @classmethod
    def from_bundle(cls, bundle: str | Path, *, precision: str | None = None, **options: Unpack[Options]) -> Self:
        """Open a bundle, after comparing its sums.

        Args:
            bundle: the folder.
            precision: ``int8``, ``fp32``, or ``fp16`` where the provider is fast with it; None for the fastest.
            options: ``runtime``, ``providers``, ``threads``, ``batch_size``, ``tasks``, see ``Options``.

        Raises:
            BundleError: the bundle is incomplete, altered or of a newer format.
            ConfigError: it has no such precision or task, or the runtime or a provider is not there.
        """
        manifest = read_manifest(bundle)
        there = [p for p, name in PRECISIONS.items() if name in manifest.files]
        if not there:
            raise BundleError(f"{bundle}: the manifest names neither {' nor '.join(PRECISIONS.values())}")
        runtime, providers = options.get("runtime", DEFAULT_RUNTIME), options.get("providers")
        precision = choose_precision(there, runtime, providers, precision)
        name = PRECISIONS["fp32" if precision == HALF else precision]
        check_files(bundle, manifest, {name})
        return cls(Path(bundle) / name, manifest, half=precision == HALF, **options)

    @classmethod
    def from_pretrained(cls, name: str = DEFAULT, *, precision: str | None = None, **options: Unpack[Options]) -> Self:
        """Open a bundle that comes with the package, by its name; see ``from_bundle``.

        Raises:
            BundleError: this installation has no such bundle, or it is altered.
        """
        return cls.from_bundle(find_bundle(name), precision=precision, **options)

    @property
    def contract(self) -> Contract:
        """What the network is fed and what it answers."""
        return self.manifest.contract

    def __call__(self, image: Any, square: Square | None = None, *, bgr: bool = False) -> Prediction:
        """Judge one face.

        Args:
            image: path, encoded bytes, array or PIL image; a face crop unless ``square`` says where the face is.
            square: where to cut, see ``square``.
            bgr: arrays are in OpenCV's channel order.

        Raises:
            BrokenImageError: it is no image.
        """
        return self.predict_crops(self.crop(to_rgb(image, bgr=bgr), square)[None])[0]

    def predict(self, images: Any, *, bgr: bool = False) -> list[Prediction | BrokenImageError]:
        """Judge many face crops; one that cannot be read comes back as the error, the others are judged.

        Args:
            images: paths, encoded bytes, arrays and PIL images, mixed as you like; a single one is a list of one.
            bgr: arrays are in OpenCV's channel order.

        Returns:
            One entry for each image, in their order.
        """
        return list(self.stream(as_images(images), bgr=bgr))

    def stream(self, images: Iterable[Any], *, bgr: bool = False) -> Iterator[Prediction | BrokenImageError]:
        """Like ``predict`` for any iterable, endless ones too: a batch is taken from it, judged and yielded.

        The memory is that of one batch. The answers of a live camera come as late as a batch is full: use
        ``batch_size=1``.
        """
        frames = iter(as_images(images))
        while batch := list(islice(frames, self.batch_size)):
            crops: list[np.ndarray] = []
            results: list[BrokenImageError | None] = []
            for image in batch:
                try:
                    crops.append(self.crop(to_rgb(image, bgr=bgr)))
                    results.append(None)
                except BrokenImageError as error:
                    results.append(error)
            judged = iter(self.predict_crops(np.stack(crops)) if crops else [])
            yield from (next(judged) if result is None else result for result in results)

    def predict_image(self, photo: Any, detector: str | Path | Detector = YUNET, *, bgr: bool = False) -> list[Face]:
        """Find the faces of a photo, and judge them.

        Args:
            photo: path, encoded bytes, array or PIL image.
            detector: ``yunet`` (downloaded once), a YuNet model file, or one's own, see ``edge.detector``.
            bgr: an array is in OpenCV's channel order.

        Returns:
            One entry for each face, the detector's surest first; empty where it finds none.

        Raises:
            BrokenImageError: it is no image.
            ConfigError: the detector cannot be opened, or finds a face that cannot be cut out.
        """
        if isinstance(detector, str | Path):
            if str(detector) not in self._detectors:
                self._detectors[str(detector)] = open_detector(detector)
            detector = self._detectors[str(detector)]
        rgb = to_rgb(photo, bgr=bgr)
        found = detector.detect(rgb)
        squares = [one.square(self.contract) for one in found]
        answers = self.predict_faces(rgb, squares)
        return [Face(*parts) for parts in zip(range(len(found)), found, squares, answers, strict=True)]

    def predict_faces(self, image: Any, squares: Sequence[Square], *, bgr: bool = False) -> list[Prediction]:
        """Judge several faces of one picture.

        Args:
            image: path, encoded bytes, array or PIL image.
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
        points = Landmarks(*((float(x), float(y)) for x, y in landmarks)) if landmarks else None
        return Detection(box or (0, 0, 0, 0), landmarks=points).square(self.contract)

    def crop(self, image: np.ndarray, square: Square | None = None) -> np.ndarray:
        """Return the (S, S, 3) uint8 crop of an (H, W, 3) uint8 RGB image; the whole image without a square."""
        return crop_square(*surroundings(image, square or whole_image(image)), self.contract.image_size)

    def predict_crops(self, crops: np.ndarray) -> list[Prediction]:
        """Judge crops that follow the contract already.

        Args:
            crops: (N, S, S, 3) uint8 RGB.
        """
        predictions: list[Prediction] = []
        for start in range(0, len(crops), self.batch_size):
            batch = crops[start : start + self.batch_size]
            predictions += to_predictions(self.outputs(batch), batch, self.manifest)
        return predictions

    def outputs(self, crops: np.ndarray) -> dict[str, np.ndarray]:
        """Return what the network answers on crops that follow the contract already, as arrays.

        Args:
            crops: (N, S, S, 3) uint8 RGB, a batch.

        Returns:
            By task (N, classes) calibrated probabilities or (N, 1) years: ``gender``, ``age``, ``emotion``, ...; and
            ``age_distribution`` (N, 101) where the network has it.
        """
        answers = feed(self.session, crops, self.contract, self.manifest.outputs)
        return calibrated(answers, self.temperatures, self.manifest.form)
