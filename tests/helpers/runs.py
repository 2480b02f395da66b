"""Runs of the command line inside the test's process, and what they leave behind."""

import copy
from pathlib import Path
from typing import Any

import torch
import yaml

from smart_retail.cli import main

NO_FIGURES = {"every_n_epochs": 0, "graph": False}
FIGURES = {"every_n_epochs": 1, "graph": True}
"""Settings of ``figures``; to draw takes four times as long as a tiny training."""
TINY: dict[str, Any] = {
    "run": "tiny",
    "seed_everything": 0,
    "threads": 1,  # sums of other numbers of threads differ in the last bit
    "model": {
        "backbone": "test_resnet",
        "learning_rate": 1e-3,
    },  # half a million weights: a checkpoint is written at once
    "data": {
        "sources": [{"class_path": "SyntheticFaces", "init_args": {"count": 64}}],
        "image_size": 32,
        "batch_size": 8,
        "eval_batch_size": 16,
        "workers": 0,
    },
    "figures": NO_FIGURES,
    "trainer": {
        "accelerator": "cpu",
        "max_epochs": 2,
        "num_sanity_val_steps": 0,
        "log_every_n_steps": 1,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    },
}
"""A training of a second on drawn faces."""


def write_config(folder: Path, **changes: Any) -> Path:
    """Write ``TINY`` with changes; ``data={"workers": 1}`` changes that alone."""
    config = copy.deepcopy(TINY)
    for section, values in changes.items():
        if isinstance(values, dict):
            config.setdefault(section, {}).update(values)
        else:
            config[section] = values
    path = folder / f"config{len(list(folder.glob('config*.yaml')))}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(*words: str | Path) -> int:
    """Run a command; return its exit code, however it ends."""
    try:
        return main([str(word) for word in words])
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except RuntimeError as error:
        if str(error) != "stopped by the test":
            raise
        return 1


def checkpoint(name: str = "last", version: int = 0, run_name: str = "tiny") -> Path:
    """Return where a run below the working folder keeps a checkpoint."""
    return Path("lightning_logs") / run_name / f"version_{version}" / "checkpoints" / f"{name}.ckpt"


def load(path: Path) -> dict[str, Any]:
    """Load a checkpoint as users should: plain types only."""
    content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return content


def differing(first: Path, second: Path) -> list[str]:
    """Return the names of averaged and raw weights in which two checkpoints differ by any bit."""
    a, b = load(first), load(second)
    return [
        f"{part}.{name}"
        for part in ("state_dict", "current_model_state")
        for name in a[part].keys() | b[part].keys()
        if not torch.equal(a[part][name], b[part][name])
    ]
