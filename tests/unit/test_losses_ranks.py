import os
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from smart_retail.training.losses import masked_mean

LOSSES = torch.tensor([1.0, 2.0, 4.0, 8.0])
MASK = torch.tensor([True, True, True, False])


def _rank(rank: int, rendezvous: str, out: str) -> None:
    dist.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=2)
    # Rank 0 has two labels, rank 1 one: their own means would be 1.5 and 4.
    part = slice(2 * rank, 2 * rank + 2)
    torch.save(masked_mean(LOSSES[part], MASK[part]), os.path.join(out, f"{rank}.pt"))  # noqa: PTH118
    dist.destroy_process_group()


@pytest.mark.skipif(not dist.is_available(), reason="torch without torch.distributed")
def test_what_ddp_averages_is_the_mean_over_the_labels_of_all_ranks(tmp_path: Path):
    arguments = (str(tmp_path / "rendezvous"), str(tmp_path))
    mp.start_processes(_rank, arguments, nprocs=2, start_method="fork")
    parts = [torch.load(tmp_path / f"{rank}.pt", weights_only=True).item() for rank in range(2)]
    assert sum(parts) / 2 == pytest.approx(LOSSES[MASK].mean().item())
