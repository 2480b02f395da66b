"""``smart-retail soft_targets``: what teachers predict of every training face, for many trainings of students."""

from __future__ import annotations

import copy
import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jsonargparse import ArgumentParser
from torch.utils.data import DataLoader

from smart_retail.arguments import as_list, check_above, next_steps
from smart_retail.data.datamodule import FaceDataModule, normalise
from smart_retail.data.dataset import FaceDataset
from smart_retail.data.processes import progress
from smart_retail.data.sampler import Draw
from smart_retail.data.soft_targets import SoftTargets, write_soft_targets
from smart_retail.errors import ConfigError
from smart_retail.files import write_aside
from smart_retail.models.pretrained import terms_of
from smart_retail.training.data_cli import parse_data
from smart_retail.training.distillation import Teachers

DESCRIPTION = (
    "Precompute soft targets: what teachers predict of every training face of a config, averaged over several "
    "augmented views. fit reads them with --data.soft_targets FILE. Stopped, it goes on after the last finished view."
)


def soft_targets(args: Sequence[str]) -> None:
    """Make a file of soft targets; ``args`` are the words after ``soft_targets``."""
    cli = parse_data(args, "soft_targets", DESCRIPTION, _add_options)
    options = cli.config
    check_above(1, views=options.views)
    if options.output.suffix != ".npz":
        raise ConfigError(f"--output {options.output} must be an .npz file")
    named = options.teachers if isinstance(options.teachers, dict) else as_list(options.teachers)
    data = cli.data()
    teachers = Teachers(named, data.contract.tasks)
    if options.threads:
        torch.set_num_threads(options.threads)
    crops = sorted({network.contract.crop for network in teachers.networks})
    if len(crops) > 1:
        raise ConfigError(f"the teachers' faces are cut in different ways ({', '.join(crops)}); ask them one by one")
    data.contract = replace(data.contract, crop=crops[0])  # a teacher gets faces cut as it learnt them
    provenance, part = provenance_of(teachers, data), options.output.with_suffix(".part.npz")
    targets, faces = average_predictions(teachers, data, options.views, provenance, part), data.dataset("train")
    provenance |= {"views": options.views, "terms": terms_of(named)}
    write_soft_targets(options.output, faces.keys, targets, data.contract.tasks, provenance)
    part.unlink(missing_ok=True)
    print(f"{options.output}: {len(faces)} faces, {options.output.stat().st_size / 1e6:.1f} MB")
    print(next_steps(f"fit --config ... --data.soft_targets {options.output}"))


def _add_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--teachers",
        type=str | list[str] | dict[str, str | list[str]],
        required=True,
        help="a run's folder, a checkpoint or a bundle; several, which are averaged: '[a.pth, b.pth]'; or by task: "
        "'{gender: a.pth, age: b.pth}'",
    )
    parser.add_argument("--output", type=Path, required=True, help="an .npz file")
    parser.add_argument("--views", type=int, default=4, help="the plain crop and this many less one augmented")


def provenance_of(teachers: Teachers, data: FaceDataModule) -> dict[str, Any]:
    """Return what identifies the work: all that changes a view, or a face's place among the others."""
    faces = data.dataset("train")
    own = [getattr(change, "__qualname__", type(change).__qualname__) for change in data.own_augmentation]
    rows = hashlib.blake2b("\n".join(faces.keys).encode() + faces.squares.tobytes(), digest_size=8)
    return {
        "teacher": teachers.fingerprint(),
        "contracts": [network.contract.to_dict() for network in teachers.networks],
        "data": data.index.fingerprint(),
        "faces": rows.hexdigest(),
        "seed": data.seed,
        "augmentation": asdict(data.augmentation) | ({"own": own} if own else {}),
    }


def average_predictions(
    teachers: Teachers, data: FaceDataModule, views: int, provenance: dict[str, Any], part: Path
) -> SoftTargets:
    """Average the teachers' probabilities over views of the training faces.

    Args:
        teachers: whose probabilities they are.
        data: with the training faces.
        views: the first is the plain crop, the others are augmented as in training.
        provenance: what identifies the work; a part file of another provenance, or of more views, is not continued.
        part: holds the sums so far, after each view.

    Returns:
        N rows, in the order of the training part.
    """
    faces = data.dataset("train")
    plain = copy.copy(faces)
    plain.transform = None
    size = max(network.contract.image_size for network in teachers.networks)
    done, sums = _resume(part, provenance, len(faces), views, teachers.widths)
    for view in range(done, views):
        seeds = np.random.default_rng([data.seed, view]).integers(2**63, size=len(faces))
        draws = [Draw(row, size, int(seed)) for row, seed in enumerate(seeds)]
        _add_view(teachers, data, faces if view else plain, draws, sums, f"view {view + 1} of {views}")
        with write_aside(part) as aside:
            arrays: dict[str, Any] = {"done": view + 1, "provenance": json.dumps(provenance), **sums}
            np.savez(aside, **arrays)
    # A file that broke on the way has no sum: it stays at zero and is skipped in training as well.
    return {task: torch.from_numpy(s / s.sum(1, keepdims=True).clip(min=1e-6)) for task, s in sums.items()}


def _add_view(
    teachers: Teachers, data: FaceDataModule, faces: FaceDataset, draws: list[Draw], sums: dict[str, Any], what: str
) -> None:
    contract = teachers.networks[0].contract
    loader: DataLoader[Any] = DataLoader(
        faces,
        batch_size=data.eval_batch_size,
        sampler=draws,  # type: ignore[arg-type]
        num_workers=data.workers,
        collate_fn=faces.collate,
    )
    for batch in progress(loader, len(loader), what, "step"):
        for name, values in teachers(normalise(batch.image, contract), contract).soft.items():
            sums[name][batch.row.numpy()] += values.numpy()


def _resume(
    part: Path, provenance: dict[str, Any], count: int, views: int, widths: dict[str, int]
) -> tuple[int, dict[str, np.ndarray]]:
    fresh = {name: np.zeros((count, width), np.float32) for name, width in widths.items()}
    try:
        with np.load(part, allow_pickle=False) as file:
            same = str(file["provenance"]) == json.dumps(provenance)
            if same and all(file[name].shape[0] == count for name in widths) and file["done"] <= views:
                return int(file["done"]), {name: file[name] for name in widths}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        pass  # none, or one that was cut short
    return 0, fresh
