"""Size and speed of a network."""

from __future__ import annotations

import statistics
from pathlib import Path

import torch

from smart_retail.models.load import load_model
from smart_retail.models.reparameterise import reparameterise
from smart_retail.timing import time_in_turns


def measure_speed(model: Path, rounds: int = 30) -> dict[str, float]:
    """Return ``parameters`` and ``latency_ms``, the median of one image on one thread, reparameterised."""
    network, threads = load_model(model), torch.get_num_threads()
    image = torch.randn(1, 3, network.contract.image_size, network.contract.image_size)
    network = reparameterise(network, image.repeat(2, 1, 1, 1))
    torch.set_num_threads(1)
    with torch.inference_mode():
        seconds = time_in_turns({"": lambda: network(image)}, rounds)[""]
    torch.set_num_threads(threads)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"parameters": parameters, "latency_ms": 1000 * statistics.median(one.wall for one in seconds)}
