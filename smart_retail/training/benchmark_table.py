"""What the benchmarks print: images a second, and how they compare pair by pair."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from smart_retail.timing import Seconds


def device() -> torch.device:
    """Return where a Trainer with ``accelerator: auto`` would train."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_name() -> str:
    """Return the GPU's name, or ``cpu`` with PyTorch's threads."""
    return torch.cuda.get_device_name() if device().type == "cuda" else f"cpu, threads: {torch.get_num_threads()}"


def report(
    title: str,
    spent: Mapping[str, Sequence[Seconds]],
    images: int,
    *,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print a table, or a line of JSON.

    Args:
        title: what was timed.
        spent: on ``images`` each, by name, in turns; the first is compared with the others.
        images: of one timing.
        as_json: print JSON instead of a table.
        more: further entries of the JSON; a text ``verdict`` among them is the table's last line.
    """
    more = more or {}
    seconds = {name: [one.wall for one in each] for name, each in spent.items()}
    first, *others = seconds
    ratios = {o: sorted(b / a for a, b in zip(seconds[first], seconds[o], strict=True)) for o in others}
    rates = {name: sorted(images / s for s in values) for name, values in seconds.items()}
    if as_json:
        rows = {n: {"min": v[0], "median": statistics.median(v), "max": v[-1]} for n, v in rates.items()}
        against = {o: {"min": r[0], "median": statistics.median(r), "max": r[-1]} for o, r in ratios.items()}
        found = {"what": title, "device": device_name(), "images_per_second": rows, "speedup": against}
        print(json.dumps(found | {"threads": torch.get_num_threads()} | dict(more)))
        return
    table = Table(title=title, title_justify="left")
    table.add_column("images a second")
    for column in ("min", "median", "max"):
        table.add_column(column, justify="right")
    for name, values in rates.items():
        table.add_row(name, *(f"{v:,.1f}" for v in (values[0], statistics.median(values), values[-1])))
    table.add_section()
    for other, r in ratios.items():
        pairs = (r[0], statistics.median(r), r[-1])
        table.add_row(f"{first} / {other}, pair by pair", *(f"{ratio:.2f}" for ratio in pairs))
    console = Console()
    console.print(table)
    console.print(more.get("verdict", f"device: {device_name()}"), soft_wrap=True)
