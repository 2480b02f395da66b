"""``python -m smart_retail.sweep.latency model.pth``: size and speed of a network, as JSON."""

from __future__ import annotations

import json
import statistics
import sys

import torch

from smart_retail.models.load import load_model
from smart_retail.models.reparameterise import reparameterise
from smart_retail.timing import time_in_turns

ROUNDS = 30


def latency(path: str, rounds: int = ROUNDS) -> dict[str, float]:
    """Return the parameters and the median milliseconds of one image on one thread, reparameterised."""
    torch.set_num_threads(1)
    network = load_model(path)
    size = network.contract.image_size
    fused = reparameterise(network, torch.randn(2, 3, size, size))
    image = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        seconds = time_in_turns({"": lambda: fused(image)}, rounds)[""]
    return {
        "parameters": sum(p.numel() for p in fused.parameters()),
        "latency_ms": 1000 * statistics.median(s.wall for s in seconds),
    }


if __name__ == "__main__":
    print(json.dumps(latency(sys.argv[1])))
