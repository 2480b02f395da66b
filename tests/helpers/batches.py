"""Batches and networks small enough to train in a test."""

import torch
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, nn

from smart_retail.data.dataset import FaceBatch
from smart_retail.data.labels import no_labels
from smart_retail.models.network import FaceNet, outputs_type
from smart_retail.tasks import TASKS

FaceOutputs = outputs_type(("gender", "age", "emotion"))


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
    labels = no_labels(count, TASKS)
    labels["gender"] = torch.where(mask(gender), torch.randint(2, (count,), generator=generator), -1)
    labels["age"] = torch.where(mask(age), torch.randint(1, 90, (count,), generator=generator).float(), -1)
    labels["emotion"] = torch.where(mask(emotion), torch.randint(6, (count,), generator=generator), -1)
    return FaceBatch(image, labels, dataset=torch.arange(count) % 2, row=torch.arange(count))


def relabelled(batch: FaceBatch, **labels: Tensor) -> FaceBatch:
    """Return a batch with other labels, by their name in ``data.labels``."""
    return batch._replace(labels=batch.labels | labels)


def part_of(batch: FaceBatch, rows: slice | Tensor) -> FaceBatch:
    """Return some faces of a batch."""
    part: FaceBatch = apply_to_collection(batch, Tensor, lambda values: values[rows])
    return part
