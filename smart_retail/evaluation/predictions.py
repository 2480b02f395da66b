"""What a network says of every face of a split, as a table that everything else is computed from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow
import torch
from torch import Tensor
from tqdm import tqdm

from smart_retail.data.cache import write_aside
from smart_retail.data.datamodule import FaceDataModule, normalise
from smart_retail.errors import DataError
from smart_retail.labels import EMOTIONS, GENDERS
from smart_retail.models.network import FaceNet

LABELS = ("gender", "age", "emotion")
GENDER_COLUMNS = [f"p_{name}" for name in GENDERS]
EMOTION_COLUMNS = [f"p_{name}" for name in EMOTIONS]
COLUMNS = ["key", "dataset", "race", "cluster", *LABELS, *GENDER_COLUMNS, "age_said", "age_std", *EMOTION_COLUMNS]


def predict_split(network: FaceNet, data: FaceDataModule, split: str) -> pd.DataFrame:
    """Run a network over one split.

    Args:
        network: in eval mode; the data module must cut faces at its contract's size.
        data: whose ``val`` or ``test`` part is judged.
        split: ``val`` or ``test``.

    Returns:
        A row for each readable face with ``COLUMNS``: labels (NaN where there is none), probabilities
        of genders and emotions, the age in years and the deviation of its distribution (0 for a
        regression). ``attrs`` tell the split and the data fingerprint.
    """
    loader = data.val_dataloader() if split == "val" else data.test_dataloader()
    faces = data.index.part(split)
    known = faces.set_index(faces["key"].astype(str))
    rows: list[int] = []
    said: list[Tensor] = []
    with torch.inference_mode(), tqdm(total=len(data.dataset(split)), desc=f"{split} faces", unit="face") as bar:
        for batch in loader:
            raw = network.raw(normalise(batch.image, network.contract))
            ages = network.age.probabilities(raw.age)
            bins = torch.arange(ages.shape[1], dtype=torch.float32)
            years = network.decode(raw).age
            spread = ((ages * bins**2).sum(1, keepdim=True) - (ages * bins).sum(1, keepdim=True) ** 2).clamp(min=0)
            said.append(torch.cat([raw.gender.softmax(1), years, spread.sqrt(), raw.emotion.softmax(1)], 1))
            rows += batch.row.tolist()
            bar.update(len(batch.row))
    keys = data.dataset(split).keys
    about = known.loc[[keys[row] for row in rows], ["dataset", "race", "cluster", *LABELS]]
    table = about.astype(dict.fromkeys(LABELS, "float64")).rename_axis("key").reset_index()
    outputs = [*GENDER_COLUMNS, "age_said", "age_std", *EMOTION_COLUMNS]
    table[outputs] = torch.cat(said).double().numpy()
    table.attrs = {"split": split, "data_fingerprint": data.index.fingerprint()}
    return table[COLUMNS]


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Write the table as Parquet, with its ``attrs``; aside and renamed."""
    with write_aside(path) as aside:
        table.to_parquet(aside, index=False)


def read_predictions(path: Path) -> pd.DataFrame:
    """Read what ``write_predictions`` wrote, or anyone's predictions with its columns.

    Raises:
        DataError: the file is missing or damaged, or lacks a column.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such predictions; smart-retail evaluate writes predictions.parquet")
    try:
        table: Any = pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{path} is damaged or no table of predictions: {str(error).splitlines()[0]}") from error
    missing = [name for name in COLUMNS if name not in table]
    if missing:
        raise DataError(f"{path} lacks the columns {', '.join(missing)}")
    frame: pd.DataFrame = table
    return frame
