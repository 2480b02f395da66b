"""A pack: all faces of a config as small images in a few Parquet files, to be carried to another machine.

What is stored is what the sources list and what the scan finds in the files, so that whoever reads a pack finds the
same duplicates and makes the same splits, whatever the settings. Only the images are others: the surroundings of
each face, shrunk and compressed.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from smart_retail.contract import Contract
from smart_retail.cores import usable_cores
from smart_retail.data.corruptions import OFF_CENTRE, amount_of
from smart_retail.data.crops import CROP, LANDMARKS, face_squares, place
from smart_retail.data.image_header import jpeg_frame
from smart_retail.data.images import read_image, read_image_bytes
from smart_retail.data.index import FaceIndex
from smart_retail.data.packed_images import IMAGE
from smart_retail.data.processes import in_processes
from smart_retail.data.sources.base import COLUMNS
from smart_retail.data.sources.packed import FORMAT, NAME, sha256, stored_columns
from smart_retail.data.transforms import Augmentation
from smart_retail.errors import ConfigError
from smart_retail.files import check_place, write_folder_aside

PLACE = (NAME, "--pack", "pack")
LOSSLESS = 101
USUAL = Augmentation()
SPARE = 1.25
"""A JPEG of this many times the size of our own encoding is kept as it is, if it need not be cut or shrunk: what is not
compressed twice is exact, and decodes three times as fast as WebP."""
NOTES = re.compile(rb"\xff[\xe1-\xef\xfe]")
"""Segments of a JPEG that may tell places, devices and names."""
FOOTER, ROW = 1 << 16, 280
"""Bytes of a file beside its images: of its footer, and of a row without its names; at most."""
PackedFace = tuple[bytes, tuple[float, float, float, float]]
"""An encoded image, and how its pixels came from the file's: left, top, and the scales across and down."""


@dataclass(frozen=True)
class PackSettings:
    """How faces are packed.

    Attributes:
        size: side in pixels of a face's square, at most; smaller faces stay as they are.
        quality: of WebP, 1 to 100; 101 is lossless. The network of the package finds 900 validation faces 0.05 years
            younger at 90 (128 px) than in the files, and 0.7 years at 80 (112 px): compression smooths wrinkles.
        megabytes: largest size of a file.
    """

    size: int = 128
    quality: int = 90
    megabytes: int = 50

    def __post_init__(self) -> None:
        """Check the ranges."""
        limits = {"size": (32, 1024), "quality": (1, LOSSLESS), "megabytes": (1, 1024)}
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                option = "pack_mb" if name == "megabytes" else f"pack_{name}"
                raise ConfigError(f"--{option} {getattr(self, name)} is outside {low} to {high}")


@dataclass(frozen=True)
class Packed:
    """What was written: faces, bytes of all files, and the seconds that it took."""

    faces: int
    size: int
    seconds: float


def check_pack_place(folder: Path) -> None:
    """Refuse a folder that is there and is no pack; see ``files.check_place``."""
    check_place(folder, *PLACE)


def write_pack(
    index: FaceIndex,
    folder: Path,
    settings: PackSettings,
    workers: int | None = None,
    augmentation: Augmentation = USUAL,
) -> Packed:
    """Write all faces of an index, those that are set aside too.

    Args:
        index: the faces, as ``build_index`` makes it.
        folder: of the pack; it appears whole at the end, or not at all.
        settings: how.
        workers: processes to decode and encode with; None for one per core.
        augmentation: what the margin has room for, beside the default's reach.

    Raises:
        ConfigError: the folder is there and is no pack.
        BrokenImageError: an image cannot be read any more.
        DataError: a process was killed.
    """
    start = time.monotonic()
    squares = face_squares(index.faces, Contract())
    tasks = [(path, square, settings, augmentation) for path, square in zip(index.faces["path"], squares, strict=True)]
    with write_folder_aside(folder, *PLACE) as aside:
        images = in_processes(pack_face, tasks, workers or usable_cores(), "packing", Path(tasks[0][0]).parent)
        names = _write_files(aside, _placeless(index), images, settings.megabytes * 10**6)
        sizes = {name: (aside / name).stat().st_size for name in names}
        about = {
            "format": FORMAT,
            "faces": len(tasks),
            "fingerprint": index.fingerprint(),
            "settings": asdict(settings),
            "tasks": [task.to_dict() for task in index.tasks],
            "datasets": [
                {"name": name, "terms": terms, "skipped": index.skipped[name]}
                for name, terms in zip(index.datasets, index.terms, strict=True)
            ],
            "files": [{"name": name, "bytes": sizes[name], "sha256": sha256(aside / name)} for name in names],
        }
        (aside / NAME).write_text(json.dumps(about, indent=1), encoding="utf-8")
    return Packed(len(tasks), sum(sizes.values()), time.monotonic() - start)


def _placeless(index: FaceIndex) -> pd.DataFrame:
    """Return what is stored of an index's rows; pictures are named by their first face, not by where they lie."""
    picture = index.faces.groupby(["dataset", "picture"], sort=False)["key"].transform("min")
    return index.faces.assign(picture=picture)[stored_columns(index.tasks)]


def _write_files(folder: Path, faces: pd.DataFrame, images: Iterator[PackedFace], largest: int) -> list[str]:
    """Write the files of a pack of at most so many bytes each; return their names."""
    names: list[str] = []
    batch: list[PackedFace] = []
    size = FOOTER
    for row, (face, key) in enumerate(zip(images, faces["key"], strict=True)):
        needed = len(face[0]) + ROW + 2 * len(key.encode())
        if batch and size + needed > largest:
            names.append(_write_file(folder, len(names), faces.iloc[row - len(batch) : row], batch))
            batch, size = [], FOOTER
        batch.append(face)
        size += needed
    return [*names, _write_file(folder, len(names), faces.iloc[-len(batch) :], batch)]


def _write_file(folder: Path, number: int, faces: pd.DataFrame, packed: list[PackedFace]) -> str:
    images, moves = zip(*packed, strict=True)
    left, top, across, down = np.array(moves).T
    faces = faces.copy()
    for x, y in (CROP[:2], *zip(LANDMARKS[::2], LANDMARKS[1::2], strict=True)):
        faces[x] = ((faces[x] - left) * across).astype(COLUMNS[x])
        faces[y] = ((faces[y] - top) * down).astype(COLUMNS[y])
    faces[CROP[2]] = (faces[CROP[2]] * across).astype(COLUMNS[CROP[2]])
    table = pa.Table.from_pandas(faces, preserve_index=False).append_column(IMAGE, pa.array(images, pa.binary()))
    name = f"faces-{number:03d}.parquet"
    compression = dict.fromkeys(table.column_names, "zstd") | {IMAGE: "none"}
    pq.write_table(
        table,
        folder / name,
        row_group_size=len(images),
        compression=compression,
        use_dictionary=["dataset", "official", "race"],
        write_statistics=False,
    )
    return name


def pack_face(task: tuple[str, np.ndarray, PackSettings, Augmentation]) -> PackedFace:
    """Cut the surroundings of a face out of its file, shrink and encode them.

    They are what augmentation reaches, and at least what the default one does: zoom, shift, and the corners of the
    turned square.

    Args:
        task: path, row of ``face_squares``, the settings, and the augmentation.

    Raises:
        BrokenImageError: the file cannot be read.
    """
    path, row, settings, a = task
    zoom, shift, turn = (max(a.strength * getattr(a, name), getattr(USUAL, name)) for name in ("zoom", "shift", "turn"))
    off_centre = amount_of(OFF_CENTRE, a.severity) / 100 if a.strength * a.corrupt.get(OFF_CENTRE, 0) > 0 else 0.0
    image = read_image(path)
    height, width = image.shape[:2]
    square = place(image, row)
    scale = min(1.0, settings.size / square.side)
    turn = min(turn, 90.0)  # beyond that a square's corners are where they were
    angles = np.radians(square.angle + np.linspace(-turn, turn, 2 * int(np.ceil(turn)) + 1))
    corner = (np.abs(np.cos(angles)) + np.abs(np.sin(angles))).max() / 2
    reach = square.side * ((corner + off_centre) * (1 + zoom) + shift) + 2 / scale
    left, top = (int(max(0, np.floor(at - reach))) for at in square[:2])
    right, bottom = (int(min(size, np.ceil(at + reach))) for at, size in ((square.x, width), (square.y, height)))
    cut = image[top:bottom, left:right]
    small = cut
    if scale < 1:
        shape = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        small = cv2.resize(cut, shape, interpolation=cv2.INTER_AREA)
    encoded = _encode(small, settings.quality)
    if small.shape == image.shape:
        encoded = _own_bytes(path, SPARE * len(encoded)) or encoded
    return encoded, (left, top, small.shape[1] / cut.shape[1], small.shape[0] / cut.shape[0])


def _encode(image: np.ndarray, quality: int) -> bytes:
    encoded = cv2.imencode(".webp", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_WEBP_QUALITY, quality])[1]
    return encoded.tobytes()


def _own_bytes(path: str, most: float) -> bytes | None:
    """Return a JPEG file's own bytes if they are few and hold nothing but the picture."""
    data, name = read_image_bytes(path)
    if name != "JPEG" or len(data) > most or NOTES.search(data, 0, jpeg_frame(data) or len(data)):
        return None
    return data
