"""Packs of small trees, and damage to them."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from smart_retail.data.index import FaceIndex, SplitSettings, build_index
from smart_retail.data.pack import PackSettings, write_pack
from smart_retail.data.sources.all_age_faces import AllAgeFaces
from smart_retail.data.sources.base import Source
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.packed import NAME, PackedFaces
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.utkface import UTKFace
from tests.helpers.pictures import drawn_face, write_image
from tests.helpers.trees import write_all_age_faces, write_fer2013, write_table, write_utkface


def index_of(*sources: Source, **settings: Any) -> FaceIndex:
    """Build an index of a few faces, of which some may be broken."""
    return build_index(sources, SplitSettings(**settings), max_broken=0.5, workers=1)


def mixed_sources(folder: Path) -> list[Source]:
    """Write trees with duplicates, leaks, a broken file, votes, landmarks, ranges and several faces of one picture."""
    rows = "".join(f"both.png,{age},{x},18,{x + 12},18,{x + 6},28\n" for age, x in ((30, 20), (41, 70)))
    table = write_table(
        folder / "own", "path,age,left_eye_x,left_eye_y,right_eye_x,right_eye_y,mouth_x,mouth_y\n" + rows
    )
    write_image(table.parent / "both.png", drawn_face(9, 128)[:64])
    return [
        FER2013(str(write_fer2013(folder / "fer", 3, duplicates=2, broken=1)), labels="mixed"),
        UTKFace(str(write_utkface(folder / "utk", 12, contradictory=2))),
        AllAgeFaces(str(write_all_age_faces(folder / "aaf"))),
        FaceTable(str(table), name="own"),
    ]


def pack_of(folder: Path, *sources: Source, **settings: int) -> PackedFaces:
    """Pack faces and return the source that reads them."""
    write_pack(index_of(*sources), folder, PackSettings(**settings), workers=1)
    return PackedFaces(str(folder))


def change_about(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Edit a pack's description in place."""
    about = json.loads((folder / NAME).read_text())
    change(about)
    (folder / NAME).write_text(json.dumps(about))


def change_table(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Replace the first file of a pack, with sums that fit."""
    path = folder / "faces-000.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    data = path.read_bytes()
    fitting = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    change_about(folder, lambda about: about["files"][0].update(fitting))
