"""``smart-retail predict`` and ``smart-retail verify``: a bundle at work, without PyTorch."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import cv2
from jsonargparse import ArgumentParser, Namespace
from tqdm import tqdm

from smart_retail.arguments import command_parser, next_steps, parse
from smart_retail.data.image_files import walk
from smart_retail.data.images import read_image
from smart_retail.edge.annotate import draw
from smart_retail.edge.answers import WRITERS, Answer
from smart_retail.edge.bundle import verify
from smart_retail.edge.detector import PHOTO_PX, Detector, open_detector
from smart_retail.edge.manifest import read_manifest
from smart_retail.edge.prediction import Face, Prediction
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.pretrained import find_bundle
from smart_retail.edge.runtime import DEFAULT_RUNTIME, RUNTIMES
from smart_retail.errors import BrokenImageError, ConfigError, DataError, printable
from smart_retail.files import free_name, write_aside

MAX_CROP_PX = 1000
"""Shorter side of a picture that may be a face crop; a camera's photo has more."""
CROP_SHAPES = (0.6, 1.25)
"""Width by height of what may be a face crop: faces are higher than wide, and photos mostly wider than high."""


def predict(args: Sequence[str]) -> None:
    """Judge image files; ``args`` are the words after ``predict``.

    Raises:
        BundleError: there is no such bundle.
        DataError: no image was found, or none gave a face.
    """
    parser = command_parser(
        "predict", "Gender, age and emotion by a bundle. Images are face crops unless --detector is given."
    )
    parser.add_argument("images", nargs="+", type=str, help="image files, or folders of them")
    add_network(parser)
    parser.add_argument(
        "--tasks", nargs="+", type=str, help="what is told of faces; all that the network knows unless given"
    )
    parser.add_argument("--format", type=Literal["table", "json", "csv"], default="table", help="json: one a line")
    parser.add_argument(
        "--detector", type=str, help="yunet, or a YuNet model file: find the faces in each picture first"
    )
    parser.add_argument("--detector_size", type=int, default=PHOTO_PX, help="longest side of the picture that it sees")
    parser.add_argument(
        "--draw",
        type=Path,
        help="folder for copies of the pictures with the answers drawn on them; a second 1.png becomes 1-2.png",
    )
    parser.add_argument("--batch_size", type=int, default=32, help="crops judged at once")
    options = parse(parser, args)
    find_bundle(options.bundle)  # before the images: a name of one that is missing is told first
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names that are no text come out as they went in
    files = find_images(options.images)
    if options.draw and options.draw.resolve() in {Path(file).parent.resolve() for file in files}:
        raise ConfigError(f"--draw {options.draw} is a folder of the pictures themselves, which it would overwrite")
    predictor = open_predictor(options, batch_size=options.batch_size, tasks=options.tasks)
    photos: list[str] = []
    answers = (
        _detected(files, predictor, open_detector(options.detector, size=options.detector_size))
        if options.detector
        else _crops(files, predictor, photos)
    )
    if options.draw:
        answers = _drawn(answers, options.draw)
    # A bar between the lines of a table on the same terminal would tear it.
    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    with tqdm(total=len(files), unit="image", disable=quiet, file=sys.stderr) as bar:
        good = WRITERS[options.format](files, _counted(answers, bar), predictor.contract.tasks, sys.stdout)
    _tell_photos(photos)
    if not good:
        raise DataError(f"none of {len(files)} images gave a face")
    if options.draw:
        print(f"pictures: {options.draw}", file=sys.stderr)  # stdout holds the answers alone


def add_bundle(parser: ArgumentParser) -> None:
    """Let a command be given a bundle."""
    parser.add_argument(
        "--bundle", type=str, help="folder that smart-retail export wrote, or a name; the package's own unless given"
    )


def add_runtime(parser: ArgumentParser) -> None:
    """Let a command be told what runs the network."""
    parser.add_argument("--runtime", choices=list(RUNTIMES), default=DEFAULT_RUNTIME, help="what runs networks")
    parser.add_argument(
        "--providers",
        type=list[str] | str | None,
        help="what computes, the preferred first: ONNX Runtime's cpu, cuda, tensorrt, openvino, coreml, xnnpack; "
        "OpenVINO's devices; the CPU unless given",
    )


def add_network(parser: ArgumentParser) -> None:
    """Let a command be told of everything that ``open_predictor`` reads."""
    add_bundle(parser)
    add_runtime(parser)
    parser.add_argument(
        "--precision", type=Literal["int8", "fp32", "fp16"], help="what the provider is fastest with, unless named"
    )
    parser.add_argument("--threads", type=int, default=1, help="of the network; 0 for one a core")


def open_predictor(options: Namespace, *, batch_size: int = 32, tasks: Sequence[str] | None = None) -> Predictor:
    """Open the bundle that a command was given, as it was told to."""
    return Predictor.from_bundle(
        find_bundle(options.bundle),
        precision=options.precision,
        runtime=options.runtime,
        providers=options.providers,
        threads=options.threads,
        batch_size=batch_size,
        tasks=tasks,
    )


def find_images(names: Sequence[str]) -> list[str]:
    """Return files as they are, and the images in folders and below, sorted; tells what is left out of folders.

    Raises:
        DataError: there is none.
    """
    files: list[str] = []
    left_out: dict[str, list[str]] = {}
    for name in names:
        if not Path(name).is_dir():
            files.append(name)
            continue
        for path, why in walk(Path(name)):
            (left_out.setdefault(why, []) if why else files).append(str(path))
    for why, paths in left_out.items():
        print(f"left out: {len(paths):,} {why}, as {printable(paths[0])}", file=sys.stderr)
    if not files:
        raise DataError(f"no image in {', '.join(names)}" if names else "name images, or folders of them")
    return files


def _crops(files: list[str], predictor: Predictor, photos: list[str]) -> Iterator[Answer]:
    """Judge each file as a whole; what looks like no crop of a face is added to ``photos``."""

    def images() -> Iterator[Any]:
        for file in files:
            try:
                image = read_image(file)
            except BrokenImageError:
                yield file  # the predictor meets the same
                continue
            height, width = image.shape[:2]
            low, high = CROP_SHAPES
            if min(height, width) > MAX_CROP_PX or not low * height <= width <= high * height:
                photos.append(f"{printable(file)} ({width} x {height} px)")
            yield image

    for file, result in zip(files, predictor.stream(images()), strict=True):
        yield Answer(file, result)


def _tell_photos(photos: list[str]) -> None:
    if photos:
        more = f" and {len(photos) - 1} more look" if len(photos) > 1 else " looks"
        print(
            f"{photos[0]}{more} like no face crop, and was taken for one: the answers are of the middle of the "
            "picture; --detector yunet finds the faces in it",
            file=sys.stderr,
        )


def _detected(files: list[str], predictor: Predictor, detector: Detector) -> Iterator[Answer]:
    for file in files:
        try:
            faces = predictor.predict_image(file, detector)
        except BrokenImageError as error:
            yield Answer(file, error)
            continue
        if not faces:
            yield Answer(file, BrokenImageError(f"{file}: no face found"))
        for face in faces:
            yield Answer(file, face)


def _drawn(answers: Iterable[Answer], folder: Path) -> Iterator[Answer]:
    """Draw on copies of the pictures on the way: each is written before its answers go on."""
    taken = set[str]()
    for file, group in groupby(answers, lambda answer: answer.file):
        found = list(group)
        whole = [answer.result for answer in found if isinstance(answer.result, Prediction)]
        faces = [answer.result for answer in found if isinstance(answer.result, Face)]
        if whole or faces:
            with write_aside(folder / f"{free_name(Path(file).stem, taken)}.png") as aside:
                # Not imwrite: it takes no name that is no text, and dies of it.
                bgr = cv2.cvtColor(draw(file, faces or whole[0]), cv2.COLOR_RGB2BGR)
                aside.write_bytes(cv2.imencode(".png", bgr)[1].tobytes())
        yield from found


def _counted(answers: Iterable[Answer], bar: tqdm) -> Iterator[Answer]:
    last = None
    for answer in answers:
        bar.update(answer.file != last)
        last = answer.file
        yield answer


def verify_bundle(args: Sequence[str]) -> None:
    """Check a bundle again; ``args`` are the words after ``verify``."""
    parser = command_parser("verify", "Recheck a bundle: sums, contract, outputs, stored answers.")
    add_bundle(parser)
    add_runtime(parser)
    options = parse(parser, args)
    bundle = find_bundle(options.bundle)
    deviations = verify(bundle, runtime=options.runtime, providers=options.providers)
    manifest = read_manifest(bundle)
    for name in sorted(manifest.files):
        print(f"{name:18} sum matches")
    for precision, deviation in deviations.items():
        print(f"{precision:18} answers as when it was written (deviation {deviation:.1e})")
    print(next_steps(f"predict --bundle {bundle} faces/", f"benchmark bundle --bundle {bundle}"))
