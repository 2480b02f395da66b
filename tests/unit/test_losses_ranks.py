"""Two processes with half a batch each learn what one learns from the whole."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from smart_retail.data.dataset import FaceBatch
from smart_retail.tasks import TASKS
from smart_retail.training.losses import masked_mean
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import face_batch, part_of
from tests.helpers.children import CONTEXT

LOSSES = torch.tensor([1.0, 2.0, 4.0, 8.0])
MASK = torch.tensor([True, True, True, False])

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed")


def on_two_ranks(folder: Path, job: Callable[[int], object]) -> list[Any]:
    """Return what a job says on each of two processes, of the server's that forks children."""
    mp.start_processes(_rank, (folder, job), nprocs=2, start_method=CONTEXT.get_start_method())
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def _rank(rank: int, folder: Path, job: Callable[[int], object]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2)
    torch.save(job(rank), folder / f"{rank}.pt")
    dist.destroy_process_group()


def mean_of_half(rank: int) -> Tensor:
    """Rank 0 has two labels, rank 1 one: their own means would be 1.5 and 4."""
    part = slice(2 * rank, 2 * rank + 2)
    return masked_mean(LOSSES[part], MASK[part])


def test_what_ddp_averages_is_the_mean_over_the_labels_of_all_ranks(tmp_path):
    parts = on_two_ranks(tmp_path, mean_of_half)
    assert sum(parts).item() / 2 == pytest.approx(LOSSES[MASK].mean().item())


class Step(nn.Module):
    """The training loss as a module, for DDP to wrap."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        settings = {"dropout": 0.0, "learn_task_weights": True, "image_size": 32}
        self.module = FaceAttributeModule("resnet10t", **settings)
        self.module.net.eval()  # batch norms with statistics of the batch at hand would differ

    def forward(self, batch: FaceBatch) -> Tensor:
        return self.module.step(batch, "train")[0]

    def gradients(self) -> dict[str, Tensor]:
        return {name: p.grad for name, p in self.module.named_parameters() if p.grad is not None}


def whole_batch(*, soft: bool) -> FaceBatch:
    """Return eight faces; the second half knows no age, and no face an emotion if there are soft targets."""
    batch = face_batch(gender="xx..x...", age="xxx.....", emotion="........" if soft else "x..xxxx.")
    if not soft:
        return batch
    generator = torch.Generator().manual_seed(1)
    return batch._replace(soft={t.name: torch.rand(8, t.width, generator=generator).softmax(1) for t in TASKS})


def half(batch: FaceBatch, rank: int) -> FaceBatch:
    return part_of(batch, slice(4 * rank, 4 * rank + 4))


def gradients_of_half(batch: FaceBatch, rank: int) -> dict[str, Tensor]:
    step = Step()
    wrapped = DistributedDataParallel(step)
    wrapped(half(batch, rank)).backward()
    return step.gradients()


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft targets"])
def test_half_a_batch_each_gives_the_gradient_of_the_whole(tmp_path, soft):
    batch = whole_batch(soft=soft)
    alone = Step()
    alone(batch).backward()
    ranks = on_two_ranks(tmp_path, partial(gradients_of_half, batch))
    for name, expected in alone.gradients().items():
        assert torch.equal(ranks[0][name], ranks[1][name])
        torch.testing.assert_close(ranks[0][name], expected, rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}")
