"""Faces as batches: images, labels, and a mask that says which labels exist."""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smart_retail.contract import Contract
from smart_retail.data.crops import crop_square, face_squares, place
from smart_retail.data.images import read_image
from smart_retail.data.sampler import Draw
from smart_retail.data.soft_labels import SoftLabels
from smart_retail.data.sources.base import VOTES
from smart_retail.data.transforms import TrainTransform
from smart_retail.errors import BrokenImageError, DataError

log = logging.getLogger(__name__)
FEW = 10
"""Broken images up to this number never stop a run, whatever their share."""


class FaceBatch(NamedTuple):
    """B faces. Where a mask is False the label beside it is a filler without meaning.

    Attributes:
        image: (B, 3, S, S), uint8 RGB from the loader, float32 and normalised on the device.
        gender: (B,) int64.
        age: (B,) float32, years.
        emotion: (B,) int64.
        gender_mask: (B,) bool.
        age_mask: (B,) bool.
        emotion_mask: (B,) bool.
        age_range: (B, 2) float32, youngest and oldest whole year of a label that is a range; -1 elsewhere.
        votes: (B, 6) float32, shares of what people say, which train in place of ``emotion``; zeros elsewhere.
        emotion_crowd: (B,) int64, what most people say, to measure against; -1 where it is unknown.
        emotion_original: (B,) int64, what the data set says, likewise.
        dataset: (B,) int64, number of the data set.
        row: (B,) int64, row in the split's table.
        soft: what teachers said of the faces, where that is stored.
    """

    image: Tensor
    gender: Tensor
    age: Tensor
    emotion: Tensor
    gender_mask: Tensor
    age_mask: Tensor
    emotion_mask: Tensor
    age_range: Tensor
    votes: Tensor
    emotion_crowd: Tensor
    emotion_original: Tensor
    dataset: Tensor
    row: Tensor
    soft: SoftLabels | None = None


class FaceDataset(Dataset[tuple[Tensor, int] | None]):
    """Decoded, cropped and augmented faces of one split.

    Indexed with a plain number for evaluation, with a ``Draw`` for training. A file that has become
    unreadable since the index was made yields None, which ``collate`` leaves out.
    """

    def __init__(
        self,
        faces: pd.DataFrame,
        datasets: list[str],
        *,
        contract: Contract,
        transform: TrainTransform | None = None,
        max_broken: float = 0.01,
    ) -> None:
        """Create a data set.

        Args:
            faces: rows of a ``FaceIndex``.
            datasets: names of the data sets; their order makes the numbers.
            contract: how faces are cut; its image size is that of evaluation.
            transform: training augmentation; needs indexing by ``Draw``.
            max_broken: share of unreadable files above which a worker stops the run.
        """
        # Arrow's strings: no Python object a face, which workers would copy by counting references.
        self.paths = faces["path"].astype("str").array
        self.squares = face_squares(faces, contract)
        self.keys = faces["key"].astype(str).to_list()
        self.labels = FaceLabels.of(faces, datasets)
        self.soft: SoftLabels | None = None
        self.image_size, self.transform, self.max_broken = contract.image_size, transform, max_broken
        self.read = self.broken = 0

    def __len__(self) -> int:
        """Return the number of faces."""
        return len(self.paths)

    def __getitem__(self, at: int | Draw) -> tuple[Tensor, int] | None:
        """Return a (3, S, S) uint8 image and its row, or None if the file is unreadable."""
        draw = at if isinstance(at, Draw) else Draw(int(at), self.image_size, 0)
        path = str(self.paths[draw.row])
        self.read += 1
        try:
            image = read_image(path)
        except BrokenImageError as error:
            self._count(error)
            return None
        square = place(image, self.squares[draw.row])
        if self.transform is not None and isinstance(at, Draw):
            crop = self.transform(image, square, draw.size, draw.seed)
        else:
            crop = crop_square(image, square, draw.size)
        return torch.from_numpy(crop.transpose(2, 0, 1).copy()), draw.row

    def _count(self, error: BrokenImageError) -> None:
        self.broken += 1
        log.warning("skipped: %s", error)
        if self.broken > max(FEW, self.max_broken * self.read):
            raise DataError(
                f"{self.broken} of the last {self.read} images were unreadable, more than the allowed share "
                f"{self.max_broken} (data.max_broken); the last: {error}"
            )

    def collate(self, items: list[tuple[Tensor, int] | None]) -> FaceBatch:
        """Stack what could be read.

        Raises:
            DataError: nothing could be read.
        """
        read = [item for item in items if item is not None]
        if not read:
            raise DataError(f"no image of a whole batch ({len(items)}) could be read; is the data folder still there?")
        rows = torch.tensor([row for _, row in read])
        images = torch.stack([image for image, _ in read])
        labels = FaceLabels._make(column[rows] for column in self.labels)
        soft = None if self.soft is None else SoftLabels._make(column[rows].float() for column in self.soft)
        return FaceBatch(image=images, row=rows, soft=soft, **labels._asdict())


class FaceLabels(NamedTuple):
    """Labels and masks of a whole split; fields as in ``FaceBatch``, N instead of B."""

    gender: Tensor
    age: Tensor
    emotion: Tensor
    gender_mask: Tensor
    age_mask: Tensor
    emotion_mask: Tensor
    age_range: Tensor
    votes: Tensor
    emotion_crowd: Tensor
    emotion_original: Tensor
    dataset: Tensor

    @classmethod
    def none(cls, count: int) -> FaceLabels:
        """Return those of faces of which nothing is known."""
        unknown, no = torch.zeros(count, dtype=torch.int64), torch.zeros(count, dtype=torch.bool)
        ranges, votes = torch.full((count, 2), -1.0), torch.zeros(count, len(VOTES))
        return cls(unknown, torch.zeros(count), unknown, no, no, no, ranges, votes, unknown - 1, unknown - 1, unknown)

    @classmethod
    def of(cls, faces: pd.DataFrame, datasets: list[str]) -> FaceLabels:
        """Read them from rows of a ``FaceIndex``."""
        tasks = ("gender", "age", "emotion")
        gender_mask, age_mask, emotion_mask = (
            torch.from_numpy(faces[task].notna().to_numpy(bool, copy=True)) for task in tasks
        )
        filled = [faces[task].fillna(0).to_numpy(np.float32, copy=True) for task in tasks]
        gender, age, emotion = (torch.from_numpy(values) for values in filled)
        number = {name: i for i, name in enumerate(datasets)}
        dataset = torch.tensor([number[name] for name in faces["dataset"]], dtype=torch.int64)
        age_range, votes = (
            torch.from_numpy(faces[list(columns)].to_numpy(np.float32, copy=True))
            for columns in (("age_low", "age_high"), VOTES)
        )
        crowd, original = (
            torch.from_numpy(faces[name].fillna(-1).to_numpy(np.int64))
            for name in ("emotion_crowd", "emotion_original")
        )
        return cls(
            gender=gender.long(),
            age=age,
            emotion=emotion.long(),
            gender_mask=gender_mask,
            age_mask=age_mask,
            emotion_mask=emotion_mask,
            age_range=age_range.nan_to_num(-1.0),
            votes=votes.nan_to_num(0.0),
            emotion_crowd=crowd,
            emotion_original=original,
            dataset=dataset,
        )

    def ages(self) -> np.ndarray:
        """Return (N,) years, the middle of a range; NaN where nothing is known."""
        middle = self.age_range.mean(1)
        return np.asarray(torch.where(self.age_mask, self.age, torch.where(middle < 0, torch.nan, middle)))
