"""``smart-retail detect``: a table of photos becomes a table that says where their faces lie, without PyTorch."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from smart_retail.arguments import command_parser, next_steps, parse
from smart_retail.data.crops import LANDMARKS
from smart_retail.data.images import read_image
from smart_retail.data.sources.columns import Columns, find_columns
from smart_retail.data.sources.places import read_boxes
from smart_retail.data.sources.problems import Problems
from smart_retail.data.sources.table_file import as_text, read_table
from smart_retail.data.sources.table_paths import find_files
from smart_retail.edge.detector import PHOTO_PX, Detection, Detector, Landmarks, open_detector
from smart_retail.errors import BrokenImageError, ConfigError, DataError, printable
from smart_retail.files import write_aside

SCORE = "detector_score"
MAX_NAMED = 5
"""Files that are named, of those left out."""


def detect(args: Sequence[str]) -> None:
    """Write a table with landmarks; ``args`` are the words after ``detect``.

    Raises:
        ConfigError: the detector's file is none, or the output would replace the table.
        DataError: the table cannot be read, or no face was found.
    """
    parser = command_parser(
        "detect",
        "Find the face in each photo of a table: the same table comes out with the landmarks of the face nearest to "
        "the photo's centre (or inside a row's left, top, right, bottom), for the source FaceTable. Photos without a "
        "face and unreadable files are left out, counted and named.",
    )
    parser.add_argument("table", type=Path, help="CSV or Parquet file with a column path (or file, image, filename)")
    parser.add_argument("--detector", type=str, required=True, help="yunet, or a YuNet model file")
    parser.add_argument("--detector_size", type=int, default=PHOTO_PX, help="longest side of the photo that it sees")
    parser.add_argument("--output", type=Path, required=True, help=".csv or .parquet file to write")
    parser.add_argument("--root", type=Path, help="folder that relative paths start from; the table's unless given")
    parser.add_argument("--min_score", type=float, default=0.8, help="from 0 to 1, how sure")
    options = parse(parser, args)
    if not 0 <= options.min_score <= 1:
        raise ConfigError(f"--min_score {options.min_score} is outside 0 to 1")
    detector = open_detector(options.detector, min_score=options.min_score, size=options.detector_size)
    add_landmarks(options.table, options.output, options.root or options.table.parent, detector)


def add_landmarks(source: Path, output: Path, root: Path, detector: Detector) -> None:
    """Write the rows of a table whose photos have a face, with ``LANDMARKS`` and a score; tell what is left out.

    Args:
        source: CSV or Parquet file with a column of paths.
        output: CSV or Parquet file to write; its relative paths start from its own folder.
        root: folder that relative paths of ``source`` start from.
        detector: finds landmarks, too.

    Raises:
        ConfigError: the output has another ending, or is the table itself.
        DataError: the table cannot be read, or no face was found.
    """
    if output.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--output {output} must end in .csv or .parquet")
    if output.resolve() == source.resolve():
        raise ConfigError(f"--output {output} is the table itself, which would lose rows; give another name")
    # Cells go out as they came in: numbers with leading zeros, ranges, and words for what is not there.
    table = read_table(source)
    columns = find_columns(table, source)
    column = columns.ours["path"]
    written = as_text(table[column]).tolist()
    files, names = find_files(written, root)
    regions = _regions(table, columns, files, source)
    rows, places = [], []
    left_out: dict[str, list[str]] = {"without a face": [], "unreadable": []}
    bar = tqdm(files, unit="photo", disable=not sys.stderr.isatty(), file=sys.stderr)
    for number, file in enumerate(bar):
        path = Path(file or root / written[number])
        try:
            image = read_image(path)
        except BrokenImageError as error:
            left_out["unreadable"].append(str(error))
            continue
        face = nearest(detector.detect(image), _region(regions[number], image))
        if face is None or face.landmarks is None:
            left_out["without a face"].append(str(path))
            continue
        rows.append(number)
        places.append([*chain(*face.landmarks), face.score])
    for why, files in left_out.items():
        _tell(why, files)
    if not rows:
        raise DataError(f"{source}: none of its {len(table)} photos gave a face")
    found = table.iloc[rows].reset_index(drop=True)
    found[[*LANDMARKS, SCORE]] = np.round(places, 3)
    found[column] = [
        written[n] if Path(written[n]).is_absolute() else relocated(names[n], root, output.parent) for n in rows
    ]
    found = found.rename(columns=dict(zip(table.columns, table.attrs["spelling"], strict=True)))
    found.attrs.clear()  # Parquet would keep them
    with write_aside(output) as aside:
        found.to_parquet(aside) if output.suffix == ".parquet" else found.to_csv(aside, index=False)
    print(f"{len(found)} of {len(table)} photos with a face, written to {output}")
    place = f"--data.sources.init_args.table {shlex.quote(str(output))}"
    look = f"data --config configs/data/own.yaml {place} --sheet sheet.png"
    print(next_steps(look, f"evaluate BUNDLE --config configs/data/photos.yaml {place} --output report"))


def nearest(faces: Iterable[Detection], region: np.ndarray) -> Detection | None:
    """Return the face with landmarks nearest to the centre of a region, of those whose centre lies in it.

    Args:
        faces: of a photo.
        region: (4,) left, top, right, bottom in pixels.
    """
    centres = [(_centre(face.landmarks), face) for face in faces if face.landmarks]
    inside = [(at, face) for at, face in centres if (region[:2] <= at).all() and (at <= region[2:]).all()]
    middle = (region[:2] + region[2:]) / 2
    return min(inside, key=lambda found: float(np.hypot(*(found[0] - middle))), default=(None, None))[1]


def relocated(path: str, root: Path, folder: Path) -> str:
    """Return a path that starts from ``root`` as one that starts from ``folder``."""
    return Path(os.path.relpath(root.resolve() / path, folder.resolve())).as_posix()


def _centre(landmarks: Landmarks) -> np.ndarray:
    """Return the middle between the eyes' middle and the mouth."""
    left, right, mouth = map(np.asarray, landmarks)
    return np.asarray(((left + right) / 2 + mouth) / 2)


def _regions(table: pd.DataFrame, columns: Columns, files: Sequence[str], source: Path) -> np.ndarray:
    """Return (N, 4) boxes of a table's rows, NaN where there is none.

    Raises:
        DataError: they are no boxes.
    """
    problems, notes, boxes = Problems(source, table.index.to_numpy()), list[str](), columns.places.box
    if columns.places.partial:
        notes.append(
            f"not used: {', '.join(columns.places.partial)}, since {', '.join(columns.places.missing)} is missing"
        )
    regions = np.full((len(table), 4), np.nan)
    if boxes:
        regions = read_boxes(columns.places, {name: as_text(table[name]) for name in boxes}, files, problems, notes)
    problems.stop("A row without a box has the face nearest to its photo's centre")
    for note in notes:
        print(note, file=sys.stderr)
    return regions


def _region(box: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the box of a row, else the whole photo."""
    return np.array([0, 0, *image.shape[1::-1]], np.float64) if np.isnan(box).any() else box


def _tell(why: str, files: list[str]) -> None:
    if files:
        print(f"{len(files)} {why}, left out:", file=sys.stderr)
        for name in [*map(printable, files[:MAX_NAMED]), *(["..."] if len(files) > MAX_NAMED else [])]:
            print(f"  {name}", file=sys.stderr)
