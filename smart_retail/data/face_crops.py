"""Labelled face crops for calibration and measurement, streamed in batches of bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from smart_retail import config_files
from smart_retail.contract import Contract
from smart_retail.data.crops import cut_face, face_squares
from smart_retail.data.images import read_image
from smart_retail.data.index import FaceIndex, SplitSettings, build_index
from smart_retail.data.sources.base import Source
from smart_retail.errors import BrokenImageError, CheckpointError, DataError
from smart_retail.own_code import check_imported
from smart_retail.runs import training_folders
from smart_retail.tasks import Task


@dataclass
class FaceCrops:
    """Faces of one split, cut by a contract when they are asked for.

    Attributes:
        table: rows of a ``FaceIndex``.
        contract: how they are cut.
    """

    table: pd.DataFrame
    contract: Contract

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.table)

    def sample(self, count: int | None, seed: int = 0) -> FaceCrops:
        """Return at most so many faces, drawn by the seed."""
        if count is None or count >= len(self.table):
            return self
        return FaceCrops(self.table.sample(count, random_state=seed), self.contract)

    def batches(self, size: int, what: str = "") -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield row numbers (N,) and crops (N, S, S, 3) uint8 RGB; unreadable files are left out.

        Args:
            size: faces in a batch.
            what: shown beside a progress bar; none without it.
        """
        rows: list[int] = []
        crops: list[np.ndarray] = []
        squares = face_squares(self.table, self.contract)
        paths = tqdm(self.table["path"], desc=what, unit="face", leave=False, disable=None if what else True)
        for row, path in enumerate(paths):
            try:
                image = read_image(path)
            except BrokenImageError:
                continue
            rows.append(row)
            crops.append(cut_face(image, squares[row], self.contract.image_size))
            if len(rows) == size:
                yield np.array(rows), np.stack(crops)
                rows, crops = [], []
        if rows:
            yield np.array(rows), np.stack(crops)

    def first(self, count: int) -> np.ndarray:
        """Return the first readable crops, (N, S, S, 3) uint8 RGB.

        Raises:
            DataError: none can be read.
        """
        for _, crops in self.batches(count):
            return crops
        raise DataError("no face can be read; is the data folder still there?")


def training_config(checkpoint: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the config that a checkpoint was trained with; its data are found again from any working directory.

    Args:
        checkpoint: what its file holds.
        name: of the file.

    Raises:
        CheckpointError: it does not tell.
        ConfigError: it names code of one's own that is not imported.
    """
    config = config_files.training_config(checkpoint.get("made_by"), training_folders(Path(name)))
    if not config:
        raise CheckpointError(f"{name} does not tell its training data; name them with --data configs/data/....yaml")
    check_imported(config, name)
    return config


def read_index(config: Mapping[str, Any], tasks: Sequence[Task]) -> FaceIndex:
    """List and split the faces of a training config, as its training did.

    Args:
        config: with ``data.sources`` and optionally ``data.splits`` and ``data.max_broken``, as ``fit`` takes it.
        tasks: of the network at hand: what labels are read of.

    Raises:
        DataError: a source is missing or unusable.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    # Short names of the sources in YAML: importing them lets `class_path: UTKFace` do.
    import smart_retail.data.sources  # noqa: F401

    config_files.guard_parsers()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--sources", type=list[Source])
    parser.add_class_arguments(SplitSettings, "splits")
    parser.add_argument("--max_broken", type=float, default=0.01)
    given = config.get("data") if isinstance(config, Mapping) else None
    if not isinstance(given, Mapping) or not given.get("sources"):
        raise DataError("no data.sources in the config of the data; configs/data/ has examples")
    data = {key: given[key] for key in ("sources", "splits", "max_broken") if given.get(key) is not None}
    try:
        made = parser.instantiate(parser.parse_object(data))
    except ArgumentError as error:
        line = " ".join(str(error).split())
        raise DataError(f"the training's data sources cannot be made: {line[:200]}") from error
    return build_index(made.sources, made.splits, tasks, max_broken=made.max_broken)
