"""Faces as batches: images, and the labels that exist."""

from __future__ import annotations

import logging
from typing import NamedTuple

import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from smart_retail.contract import Contract
from smart_retail.data.crops import crop_square, face_squares, place
from smart_retail.data.images import read_image
from smart_retail.data.labels import Labels, face_labels
from smart_retail.data.sampler import Draw
from smart_retail.data.soft_targets import SoftTargets
from smart_retail.data.transforms import TrainTransform
from smart_retail.errors import BrokenImageError, DataError

log = logging.getLogger(__name__)
ALLOWED_BROKEN = 10
"""Broken images up to this number never stop a run, whatever their share."""


class FaceBatch(NamedTuple):
    """B faces.

    Attributes:
        image: (B, 3, S, S), uint8 RGB from the loader, float32 and normalised on the device.
        labels: what is known of them, see ``data.labels``.
        dataset: (B,) int64, number of the data set.
        row: (B,) int64, row in the split's table.
        soft: by task what teachers predicted of the faces, where that is stored; see ``data.soft_targets``.
    """

    image: Tensor
    labels: Labels
    dataset: Tensor
    row: Tensor
    soft: SoftTargets | None = None


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
            contract: how faces are cut, and of what tasks they have labels; its image size is that of evaluation.
            transform: training augmentation; needs indexing by ``Draw``.
            max_broken: share of unreadable files above which a worker stops the run.
        """
        # Arrow's strings: no Python object a face, which workers would copy by counting references.
        self.paths = faces["path"].astype("str").array
        self.squares = face_squares(faces, contract)
        self.keys = faces["key"].astype(str).to_list()
        self.labels = face_labels(faces, contract.tasks)
        number = {name: i for i, name in enumerate(datasets)}
        self.datasets = torch.tensor([number[name] for name in faces["dataset"]], dtype=torch.int64)
        self.soft: SoftTargets | None = None
        self.image_size, self.transform, self.max_broken = contract.image_size, transform, max_broken
        self.tasks = contract.tasks
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
        if self.broken > max(ALLOWED_BROKEN, self.max_broken * self.read):
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
        labels = {name: column[rows] for name, column in self.labels.items()}
        soft = None if self.soft is None else {task: targets[rows].float() for task, targets in self.soft.items()}
        return FaceBatch(images, labels, self.datasets[rows], rows, soft)
