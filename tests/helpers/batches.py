"""Batches and networks small enough to train in a test."""

import torch
from torch import Tensor, nn

from smart_retail.data.dataset import FaceBatch, FaceLabels
from smart_retail.models.network import FaceNet


def tiny_network(backbone: str = "resnet10t", *, seed: int = 0, **settings: object) -> FaceNet:
    """Return a small network; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return FaceNet(backbone, **{"dropout": 0.0} | settings)  # type: ignore[arg-type]


def settle(network: FaceNet, images: Tensor) -> FaceNet:
    """Give the batch norms the statistics of a batch, as training would; return the network in eval mode."""
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # the average of all batches: of this one
        norm.reset_running_stats()
    with torch.no_grad():
        network.train()(images)
    for norm in norms:
        norm.momentum = 0.1
    return network.eval()


def mask(text: str) -> Tensor:
    """Return a mask: ``x`` where there is a label, ``.`` where there is none."""
    return torch.tensor([letter == "x" for letter in text])


def face_batch(
    gender: str = "xxxx", age: str = "xxxx", emotion: str = "xxxx", *, size: int = 32, seed: int = 0
) -> FaceBatch:
    """Return a batch of noise with random labels, and with masks written as for ``mask``."""
    generator = torch.Generator().manual_seed(seed)
    count = len(gender)
    image = torch.randn(count, 3, size, size, generator=generator)
    labels = FaceLabels.none(count)._replace(
        gender=torch.randint(2, (count,), generator=generator),
        age=torch.randint(1, 90, (count,), generator=generator).float(),
        emotion=torch.randint(6, (count,), generator=generator),
        gender_mask=mask(gender),
        age_mask=mask(age),
        emotion_mask=mask(emotion),
        dataset=torch.arange(count) % 2,
    )
    return FaceBatch(image=image, row=torch.arange(count), **labels._asdict())
