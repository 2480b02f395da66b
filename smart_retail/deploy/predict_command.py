"""``smart-retail predict`` and ``smart-retail verify``: a bundle at work, without PyTorch."""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from tqdm import tqdm

from smart_retail.deploy.bundle import verify
from smart_retail.deploy.manifest import read_manifest
from smart_retail.deploy.predictor import Prediction, Predictor
from smart_retail.errors import BrokenImageError, DataError

IMAGES = {".bmp", ".jpeg", ".jpg", ".jp2", ".png", ".ppm", ".tif", ".tiff", ".webp"}
COLUMNS = ("file", "gender", "age", "age_from", "age_to", "emotion", "gender_p", "emotion_p", "error")


def predict(args: list[str]) -> None:
    """Judge image files; ``args`` are the words after ``predict``.

    Raises:
        DataError: no image was found, or none could be read.
    """
    parser = argparse.ArgumentParser(
        prog="smart-retail predict", description="Gender, age and emotion of face crops, by a bundle."
    )
    parser.add_argument("bundle", help="folder that `smart-retail export` wrote")
    parser.add_argument("images", nargs="+", help="image files, or folders of them")
    parser.add_argument("--format", choices=("table", "json", "csv"), default="table", help="json: one object a line")
    parser.add_argument("--precision", choices=("int8", "fp32"), help="default: int8 where the bundle has it")
    parser.add_argument("--threads", type=int, default=1, help="0 for one a core (default: 1)")
    parser.add_argument("--batch-size", type=int, default=32)
    options = parser.parse_args(args)
    files = find_images(options.images)
    predictor = Predictor.from_bundle(
        options.bundle, precision=options.precision, threads=options.threads, batch_size=options.batch_size
    )
    # A bar between the lines of a table on the same terminal would tear it.
    quiet = sys.stdout.isatty() or not sys.stderr.isatty()
    results = tqdm(predictor.stream(files), total=len(files), unit="face", disable=quiet, file=sys.stderr)
    write = {"table": _table, "json": _json, "csv": _csv}[options.format]
    if write(files, results, sys.stdout) == 0:
        raise DataError(f"none of {len(files)} images could be read")


def find_images(names: Sequence[str]) -> list[str]:
    """Return files as they are, and the images in folders and below, sorted.

    Raises:
        DataError: there is none.
    """
    files: list[str] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            files += sorted(str(p) for p in path.rglob("*") if p.suffix.lower() in IMAGES)
        else:
            files.append(name)
    if not files:
        raise DataError(f"no image in {', '.join(names)}")
    return files


def _json(files: list[str], results: tqdm[Prediction | BrokenImageError], out: TextIO) -> int:
    good = 0
    for file, result in zip(files, results, strict=True):
        good += isinstance(result, Prediction)
        values = result.to_dict() if isinstance(result, Prediction) else {"error": str(result)}
        print(json.dumps({"file": file} | values), file=out)
    return good


def _csv(files: list[str], results: tqdm[Prediction | BrokenImageError], out: TextIO) -> int:
    writer = csv.DictWriter(out, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    good = 0
    for file, result in zip(files, results, strict=True):
        good += isinstance(result, Prediction)
        writer.writerow({"file": file} | (_row(result) if isinstance(result, Prediction) else {"error": str(result)}))
    return good


def _row(p: Prediction) -> dict[str, str]:
    return {
        "gender": p.gender,
        "age": f"{p.age:.1f}",
        "age_from": f"{p.age_interval[0]:.0f}",
        "age_to": f"{p.age_interval[1]:.0f}",
        "emotion": p.emotion,
        "gender_p": f"{p.gender_probabilities[p.gender]:.2f}",
        "emotion_p": f"{p.emotion_probabilities[p.emotion]:.2f}",
    }


def _table(files: list[str], results: tqdm[Prediction | BrokenImageError], out: TextIO) -> int:
    width = max(4, min(40, max(len(f) for f in files)))
    print(f"{'file':{width}}  {'gender':12} {'age':>4}  {'interval':9} emotion", file=out)
    good = 0
    for file, result in zip(files, results, strict=True):
        name = file if len(file) <= width else "..." + file[3 - width :]
        if isinstance(result, Prediction):
            good += 1
            r = _row(result)
            gender, emotion = f"{r['gender']} {r['gender_p']}", f"{r['emotion']} {r['emotion_p']}"
            interval = f"{r['age_from']} to {r['age_to']}"
            print(f"{name:{width}}  {gender:12} {result.age:4.0f}  {interval:9} {emotion}", file=out)
        else:
            print(f"{name:{width}}  {result}", file=out)
    return good


def verify_bundle(args: list[str]) -> None:
    """Check a bundle again; ``args`` are the words after ``verify``."""
    parser = argparse.ArgumentParser(
        prog="smart-retail verify", description="Recheck a bundle: sums, contract, outputs, stored answers."
    )
    parser.add_argument("bundle", help="folder that `smart-retail export` wrote")
    options = parser.parse_args(args)
    deviations = verify(options.bundle)
    manifest = read_manifest(options.bundle)
    for name in sorted(manifest.files):
        print(f"{name:18} sum matches")
    for precision, deviation in deviations.items():
        print(f"{precision:18} answers as when it was written (deviation {deviation:.1e})")
