"""``smart-retail predict`` and ``smart-retail verify``: a bundle at work, without PyTorch."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, TextIO

import cv2
from jsonargparse import ArgumentParser
from tqdm import tqdm

from smart_retail.arguments import command_parser, next_steps, parse
from smart_retail.data.cache import free_name, write_aside
from smart_retail.data.crops import Square, whole_image
from smart_retail.data.image_files import walk
from smart_retail.data.images import read_image
from smart_retail.edge.annotate import annotate
from smart_retail.edge.bundle import verify
from smart_retail.edge.detector import FaceDetector
from smart_retail.edge.manifest import read_manifest
from smart_retail.edge.predictor import Prediction, Predictor
from smart_retail.edge.pretrained import find_bundle
from smart_retail.errors import BrokenImageError, ConfigError, DataError, printable
from smart_retail.tasks import Task


class Answer(NamedTuple):
    """One face, or what is wrong with a file; the square is None where the image is a face crop."""

    file: str
    square: Square | None
    said: Prediction | BrokenImageError


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
    add_bundle(parser)
    parser.add_argument("--format", type=Literal["table", "json", "csv"], default="table", help="json: one a line")
    parser.add_argument("--detector", type=str, help="YuNet model file: find the faces in each picture first")
    parser.add_argument(
        "--draw",
        type=Path,
        help="folder for copies of the pictures with the answers drawn on them; a second 1.png becomes 1-2.png",
    )
    parser.add_argument("--precision", type=Literal["int8", "fp32"], help="int8 where the bundle has it, unless named")
    parser.add_argument("--threads", type=int, default=1, help="0 for one a core")
    parser.add_argument("--batch_size", type=int, default=32, help="crops judged at once")
    options = parse(parser, args)
    bundle = find_bundle(options.bundle)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names that are no text come out as they went in
    files = find_images(options.images)
    if options.draw and options.draw.resolve() in {Path(file).parent.resolve() for file in files}:
        raise ConfigError(f"--draw {options.draw} is a folder of the pictures themselves, which it would overwrite")
    predictor = Predictor.from_bundle(
        bundle, precision=options.precision, threads=options.threads, batch_size=options.batch_size
    )
    answers = (
        _detected(files, predictor, FaceDetector(options.detector)) if options.detector else _crops(files, predictor)
    )
    if options.draw:
        answers = _drawn(answers, options.draw)
    # A bar between the lines of a table on the same terminal would tear it.
    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    with tqdm(total=len(files), unit="image", disable=quiet, file=sys.stderr) as bar:
        write = {"table": _table, "json": _json, "csv": _csv}[options.format]
        if write(files, _counted(answers, bar), predictor.contract.tasks, sys.stdout) == 0:
            raise DataError(f"none of {len(files)} images gave a face")
    if options.draw:
        print(f"pictures: {options.draw}", file=sys.stderr)  # stdout holds the answers alone


def add_bundle(parser: ArgumentParser) -> None:
    """Let a command be given a bundle."""
    parser.add_argument(
        "--bundle", type=str, help="folder that smart-retail export wrote, or a name; the package's own unless given"
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


def _crops(files: list[str], predictor: Predictor) -> Iterator[Answer]:
    for file, said in zip(files, predictor.stream(files), strict=True):
        yield Answer(file, None, said)


def _detected(files: list[str], predictor: Predictor, detector: FaceDetector) -> Iterator[Answer]:
    for file in files:
        try:
            image = read_image(file)
        except BrokenImageError as error:
            yield Answer(file, None, error)
            continue
        squares = [face.square(predictor.contract) for face in detector.detect(image)]
        if not squares:
            yield Answer(file, None, BrokenImageError(f"{file}: no face found"))
        for square, said in zip(squares, predictor.predict_faces(image, squares), strict=True):
            yield Answer(file, square, said)


def _drawn(answers: Iterable[Answer], folder: Path) -> Iterator[Answer]:
    """Draw on copies of the pictures on the way; a picture is written when its last face has passed."""
    name, taken = "", set[str]()
    image: cv2.typing.MatLike | None = None
    for answer in answers:
        if isinstance(answer.said, Prediction):
            if image is None or answer.file != name:
                _save(folder, name, image, taken)
                name, image = answer.file, read_image(answer.file)
            annotate(image, answer.square or whole_image(image), answer.said)
        yield answer
    _save(folder, name, image, taken)


def _save(folder: Path, name: str, image: cv2.typing.MatLike | None, taken: set[str]) -> None:
    if image is None:
        return
    with write_aside(folder / f"{free_name(Path(name).stem, taken)}.png") as aside:
        # Not imwrite: it takes no name that is no text, and dies of it.
        aside.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())


def _counted(answers: Iterable[Answer], bar: tqdm) -> Iterator[Answer]:
    last = None
    for answer in answers:
        bar.update(answer.file != last)
        last = answer.file
        yield answer


def _json(files: list[str], answers: Iterable[Answer], tasks: Sequence[Task], out: TextIO) -> int:
    good = 0
    for file, square, said in answers:
        good += isinstance(said, Prediction)
        where = {name: round(v, 1) for name, v in square._asdict().items()} if square else {}
        values = said.to_dict() if isinstance(said, Prediction) else {"error": str(said)}
        print(json.dumps({"file": file} | where | values), file=out)
    return good


def _csv(files: list[str], answers: Iterable[Answer], tasks: Sequence[Task], out: TextIO) -> int:
    writer = csv.DictWriter(out, _columns(tasks), restval="", lineterminator="\n")
    writer.writeheader()
    good = 0
    for file, square, said in answers:
        good += isinstance(said, Prediction)
        where = {name: f"{v:.1f}" for name, v in square._asdict().items()} if square else {}
        writer.writerow(
            {"file": file} | where | (_row(said, tasks) if isinstance(said, Prediction) else {"error": str(said)})
        )
    return good


def _columns(tasks: Sequence[Task]) -> list[str]:
    """Return the columns of a CSV."""
    answers = [name for task in tasks for name in (task.name, *(() if task.is_classes else _ends(task)))]
    return ["file", *Square._fields, *answers, *(f"{task.name}_p" for task in tasks if task.is_classes), "error"]


def _ends(task: Task) -> tuple[str, str]:
    return f"{task.name}_from", f"{task.name}_to"


def _row(p: Prediction, tasks: Sequence[Task]) -> dict[str, str]:
    row: dict[str, str] = {}
    for task in tasks:
        found = p.attributes[task.name]
        if found.probabilities is not None:
            row |= {task.name: str(found.value), f"{task.name}_p": f"{found.probabilities[str(found.value)]:.2f}"}
            continue
        ends = (f"{years:.0f}" for years in found.interval) if found.interval else ("", "")
        row |= {task.name: f"{found.value:.1f}"} | dict(zip(_ends(task), ends, strict=True))
    return row


def _table(files: list[str], answers: Iterable[Answer], tasks: Sequence[Task], out: TextIO) -> int:
    width = max(4, min(40, max(len(f) for f in files)))
    widths = [max(len(task.name), *map(len, task.classes)) + 5 if task.is_classes else 15 for task in tasks]
    heads = [f"{task.name}{' interval' * (not task.is_classes)}" for task in tasks]
    print(f"{'file':{width}}  {_cells(heads, widths)}", file=out)
    good = 0
    for file, _, said in answers:
        name = printable(file)
        name = name if len(name) <= width else "..." + name[3 - width :]
        if isinstance(said, Prediction):
            good += 1
            print(f"{name:{width}}  {_cells([_words(said, task) for task in tasks], widths)}", file=out)
        else:
            why = str(said).removeprefix(f"{file}: ")  # the name stands in front already
            print(f"{name:{width}}  {printable(why)}", file=out)
    return good


def _words(p: Prediction, task: Task) -> str:
    found = p.attributes[task.name]
    if found.probabilities is not None:
        return f"{found.value} {found.probabilities[str(found.value)]:.2f}"
    return f"{found.value:3.0f}" + ("  {:.0f} to {:.0f}".format(*found.interval) if found.interval else "")


def _cells(words: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(f"{word:{width}}" for word, width in zip(words, widths, strict=True)).rstrip()


def verify_bundle(args: Sequence[str]) -> None:
    """Check a bundle again; ``args`` are the words after ``verify``."""
    parser = command_parser("verify", "Recheck a bundle: sums, contract, outputs, stored answers.")
    add_bundle(parser)
    bundle = find_bundle(parse(parser, args).bundle)
    deviations = verify(bundle)
    manifest = read_manifest(bundle)
    for name in sorted(manifest.files):
        print(f"{name:18} sum matches")
    for precision, deviation in deviations.items():
        print(f"{precision:18} answers as when it was written (deviation {deviation:.1e})")
    print(next_steps(f"predict --bundle {bundle} faces/", f"benchmark bundle --bundle {bundle}"))
