"""Mixup (Zhang et al. 2018, arXiv:1710.09412) for faces whose labels are partly missing."""

from __future__ import annotations

from typing import NamedTuple

import torch
from lightning_utilities.core.apply_func import apply_to_collection

from smart_retail.data.dataset import FaceBatch


class Mixed(NamedTuple):
    """B faces, each with a second one shining through.

    Attributes:
        batch: the mixed images; labels, masks and soft targets of the face that is seen better.
        partner: the same images; labels, masks and soft targets of the other face.
        share: of the better seen face in the image and in the loss, 0.5 to 1.
    """

    batch: FaceBatch
    partner: FaceBatch
    share: float


def mixup(batch: FaceBatch, alpha: float) -> Mixed:
    """Mix every face with another one of the batch.

    Labels are not mixed but their losses are: of two faces one may lack the label, and a mean of two ages
    is not the age of either. Faces are drawn from torch's own random numbers, which a checkpoint keeps.

    Args:
        batch: images float32, normalised.
        alpha: of the Beta distribution that the share is drawn from; 0.2 mixes little, 1 evenly.
    """
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    share = max(share, 1 - share)
    order = torch.randperm(len(batch.row)).to(batch.image.device, non_blocking=True)
    partner: FaceBatch = apply_to_collection(batch, torch.Tensor, lambda values: values[order])
    image = torch.lerp(partner.image, batch.image, share)
    return Mixed(batch._replace(image=image), partner._replace(image=image), share)
