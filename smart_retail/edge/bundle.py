"""Writing a bundle whole or not at all, and checking one again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.npz import read_npz
from smart_retail.edge.manifest import GOLDEN, NAME, PRECISIONS, Manifest, check_files, read_manifest, sha256
from smart_retail.edge.runtime import DEFAULT_RUNTIME, check_session, feed, open_session
from smart_retail.edge.session import Provider, Runtime
from smart_retail.errors import BundleError, CheckpointError, DataError
from smart_retail.files import write_folder_aside

TOLERANCE = {"fp32": 1e-3, "int8": 0.05}
"""Largest deviation from the stored outputs: share of a probability or of 100 years. Integer kernels
differ between processors in the last bit of each layer."""

MOST_GOLDEN_BYTES = 1 << 28


def write_bundle(folder: Path) -> AbstractContextManager[Path]:
    """Yield a folder aside that takes the place of ``folder`` when the block ends well.

    Raises:
        ConfigError: the place is taken by something that is no bundle, or cannot be replaced.
    """
    return write_folder_aside(folder, NAME, "--output", "bundle")


def seal(folder: Path, manifest: Manifest) -> None:
    """Write the manifest with the sums of all files in the folder."""
    names = sorted(p.name for p in folder.iterdir() if p.name != NAME)
    sealed = replace(manifest, files={name: sha256(folder / name) for name in names})
    (folder / NAME).write_text(sealed.dump(), encoding="utf-8")


def write_golden(folder: Path, contract: Contract, crops: np.ndarray) -> None:
    """Store faces and what each network of the folder answers on them.

    Args:
        folder: with the networks.
        contract: of the networks.
        crops: (N, S, S, 3) uint8 RGB of nobody: a bundle goes places where training faces must not go.
    """
    stored = {"crops": crops}
    for precision, name in PRECISIONS.items():
        if (folder / name).is_file():
            answers = feed(open_session(folder / name), crops, contract)
            stored |= {f"{precision}.{output}": value for output, value in answers.items()}
    np.savez_compressed(folder / GOLDEN, **stored)  # type: ignore[arg-type]


def verify(
    bundle: str | Path,
    *,
    runtime: str | Runtime = DEFAULT_RUNTIME,
    providers: Provider | Sequence[Provider] | None = None,
) -> dict[str, float]:
    """Check a bundle: sums, contract, outputs, and the stored answers.

    Args:
        bundle: the folder.
        runtime: that must answer as ONNX Runtime did on the CPU that wrote it, see ``runtime.open_session``.
        providers: of it.

    Returns:
        Largest deviation from the stored answers, by precision.

    Raises:
        BundleError: anything is not as it was written.
    """
    folder = Path(bundle)
    manifest = read_manifest(folder)
    if needed := {PRECISIONS["fp32"], GOLDEN} - manifest.files.keys():
        raise BundleError(f"{folder / NAME} has no sums of {', '.join(sorted(needed))}")
    check_files(folder, manifest)
    golden = _read_golden(folder / GOLDEN, manifest)
    found = {}
    for precision, name in PRECISIONS.items():
        if name not in manifest.files:
            continue
        session = open_session(folder / name, runtime=runtime, providers=providers)
        check_session(session, manifest.contract, manifest.outputs, folder / name)
        written = session.metadata
        if not _agrees(written, manifest.contract):
            raise BundleError(f"{folder / name}: the contract in its metadata is not the manifest's")
        worst = 0.0
        for output, value in feed(session, golden["crops"], manifest.contract).items():
            expected = golden.get(f"{precision}.{output}", np.empty(0))
            if expected.shape != value.shape or expected.dtype.kind != "f":
                raise BundleError(f"{folder / GOLDEN} has no answers of {name} to compare {output} with")
            years = {task.name for task in manifest.contract.tasks if not task.is_classes}
            scale = 100.0 if output in years else max(1.0, float(np.abs(expected).max()))
            deviation = float(np.abs(value - expected).max()) / scale
            if not deviation <= TOLERANCE[precision]:  # not a number either
                raise BundleError(
                    f"{folder / name} answers other than when it was written: deviation {deviation:.1e}, "
                    f"allowed {TOLERANCE[precision]:.0e}; are this processor, provider and version supported?"
                )
            worst = max(worst, deviation)
        found[precision] = worst
    return found


def _read_golden(path: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    try:
        golden = read_npz(path, MOST_GOLDEN_BYTES)
    except DataError as error:
        raise BundleError(str(error)) from error
    crops, side = golden.get("crops", np.empty(0)), manifest.contract.image_size
    if crops.dtype != np.uint8 or crops.shape[1:] != (side, side, 3) or not len(crops):
        raise BundleError(f"{path} holds no faces of {side} px")
    return golden


def _agrees(metadata: Mapping[str, str], contract: Contract) -> bool:
    try:
        return Contract.from_dict(_json(metadata.get("contract", "null"))) == contract
    except CheckpointError:
        return False


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
