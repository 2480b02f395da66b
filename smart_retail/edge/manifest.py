"""``manifest.json``: what a bundle holds, what it was made from, and the sums that prove it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from smart_retail.contract import Contract
from smart_retail.errors import BundleError, CheckpointError, ConfigError, one_line
from smart_retail.tasks import Task, checked, chosen, task_of

NAME = "manifest.json"
FORMAT = 2
"""Raised when older code could misread a bundle."""
CARD = "MODEL_CARD.md"
GOLDEN = "golden.npz"
PRECISIONS = {"fp32": "model.onnx", "int8": "model.int8.onnx"}
DROPS = {"int8": "drop", "ptq": "drop_ptq"}
"""By variant, where the metrics tell what it loses. A bundle from quantisation-aware training also
tells of post-training quantisation of the same network (``ptq``), which it does not hold."""
DISTRIBUTION = "_distribution"
"""Behind the name of a task of years: its output with the probability of each year."""
LEARNT = "tasks_learnt"
"""In ``made_by``: all tasks of the training, where a bundle leaves some out."""
PARTS = ("variants", "metrics", "intervals", "latency", "made_by")
"""Entries that map names to values. (``calibration`` is checked where it is read.)"""
MAX_BYTES = 1 << 24
"""Bytes; a manifest takes some ten thousand."""


@dataclass(frozen=True)
class Manifest:
    """The content of ``manifest.json``.

    Attributes:
        contract: what the network is fed and what it says.
        input: ``float32`` ((B, 3, S, S), normalised) or ``uint8`` ((B, S, S, 3) RGB as it is).
        form: ``probabilities`` or ``logits`` of classes.
        outputs: names of the outputs, in their order.
        files: sha256 of each file of the bundle.
        variants: by precision: size, how it was quantised, integer kernels, parity.
        metrics: by split and precision: values, labels behind them, drops.
        intervals: by task of years, half-widths by the predicted years that reach the stated coverage.
        calibration: by task the temperature of its probabilities, see ``edge.calibration``; bundles
            written before have none.
        latency: what was measured, and the device.
        made_by: versions, commit, config and data fingerprint of the training.
        terms: of the faces it was trained on, which bind its use.
        format: version of the layout.
    """

    contract: Contract
    input: str
    form: str
    outputs: tuple[str, ...]
    files: dict[str, str]
    variants: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    intervals: dict[str, Any] = field(default_factory=dict)
    calibration: dict[str, Any] = field(default_factory=dict)
    latency: dict[str, Any] = field(default_factory=dict)
    made_by: dict[str, Any] = field(default_factory=dict)
    terms: list[str] = field(default_factory=list)
    format: int = FORMAT

    def dump(self) -> str:
        """Return the JSON text; the terms come first, where nobody overlooks them."""
        values = asdict(self) | {"contract": self.contract.to_dict(), "outputs": list(self.outputs)}
        values = {"terms": values.pop("terms")} | dict(sorted(values.items()))
        return json.dumps(values, indent=2, allow_nan=False) + "\n"


def of_tasks(manifest: Manifest, names: Iterable[str]) -> Manifest:
    """Return a manifest that promises the answers to these tasks alone.

    Raises:
        ConfigError: some are not among its own, or none is named.
    """
    tasks = chosen(manifest.contract.tasks, names)
    kept = set(output_names(tasks, distributions=True))
    outputs = tuple(name for name in manifest.outputs if name in kept)
    return replace(manifest, contract=replace(manifest.contract, tasks=tasks), outputs=outputs)


def learnt(made_by: Mapping[str, Any], tasks: Iterable[Task]) -> tuple[Task, ...]:
    """Return the tasks that a network of these tasks was trained on; its bundle may leave some out.

    Raises:
        BundleError: what ``made_by`` names are no tasks.
    """
    try:
        return checked(map(task_of, made_by[LEARNT])) if LEARNT in made_by else tuple(tasks)
    except (ConfigError, TypeError) as error:
        raise BundleError(f"the manifest's {LEARNT} cannot be: {one_line(error)}") from error


def output_names(tasks: Iterable[Task], *, distributions: bool) -> tuple[str, ...]:
    """Return the names of a network's outputs: of each task, then of the distributions of years."""
    tasks = tuple(tasks)
    years = [task.name + DISTRIBUTION for task in tasks if not task.is_classes] if distributions else []
    return (*(task.name for task in tasks), *years)


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_manifest(bundle: str | Path) -> Manifest:
    """Read the manifest of a bundle.

    Args:
        bundle: the folder.

    Raises:
        BundleError: it is missing, damaged, of a newer format or incomplete.
    """
    path = Path(bundle) / NAME
    if not Path(bundle).is_dir():
        raise BundleError(f"{bundle}: no such bundle (a folder with {NAME})")
    try:
        if path.exists() and not path.is_file():  # a pipe would wait for its writer
            raise BundleError(f"{path} is no ordinary file")
        if path.is_file() and path.stat().st_size > MAX_BYTES:
            raise BundleError(f"{path} is too large to be a manifest")
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BundleError(f"{bundle} is no bundle: it has no {NAME}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BundleError(f"{path} is damaged: {one_line(error)}") from error
    if not isinstance(values, dict) or not isinstance(values.get("format"), int):
        raise BundleError(f"{path} is no manifest of a bundle")
    if values["format"] > FORMAT:
        raise BundleError(
            f"{path} has format {values['format']}, this version reads up to {FORMAT}: update smart_retail"
        )
    required = {"contract", "input", "form", "outputs", "files"}
    if missing := required - values.keys():
        raise BundleError(f"{path} lacks {', '.join(sorted(missing))}")
    if values["format"] == 1:
        values = _of_format_1(values)
    try:
        contract = Contract.from_dict(values.pop("contract"))
    except (CheckpointError, TypeError, AttributeError) as error:
        raise BundleError(f"{path}: {error}") from error
    if wrong := _wrong(values):
        raise BundleError(f"{path}: {wrong} has a value that no bundle has: {str(values[wrong])[:80]!r}")
    outputs = tuple(values.pop("outputs"))
    known = {f.name for f in fields(Manifest)}
    return Manifest(contract=contract, outputs=outputs, **{k: v for k, v in values.items() if k in known})


def _of_format_1(values: dict[str, Any]) -> dict[str, Any]:
    """Return a manifest of the first format in the form of this one; what is odd in it stays for ``_wrong``."""
    values = values | ({"intervals": {"age": values["age_interval"]}} if values.get("age_interval") else {})
    metrics = values.get("metrics")
    if not isinstance(metrics, dict):
        return values
    return values | {"metrics": {split: _figures_of_format_1(found) for split, found in metrics.items()}}


def _figures_of_format_1(found: Any) -> Any:
    """Return the figures of one split; they were plain numbers, with the faces behind those of a task beside them."""
    if not isinstance(found, dict):
        return found
    made = {}
    for name, part in found.items():
        if name in DROPS.values():
            made[name] = _losses_of_format_1(part)
        elif name == "groups" and isinstance(part, dict):
            made[name] = {group: _numbers_of_format_1(values) for group, values in part.items()}
        else:
            made[name] = _numbers_of_format_1(part)
    return made


def _numbers_of_format_1(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    faces = {metric: f"{metric.rpartition('_')[0]}_faces" for metric in part} | {"age_inside": "age_range_faces"}
    return {
        metric: {"value": value, "low": None, "high": None, "faces": part.get(faces[metric])}
        for metric, value in part.items()
        if not metric.endswith("_faces")
    }


def _losses_of_format_1(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    units = {task: "years" if task == "age" else "points" for task in part}
    return {task: {"unit": units[task], **d} if isinstance(d, dict) else d for task, d in part.items()}


def _wrong(values: dict[str, Any]) -> str:
    """Return the first entry of another kind than any version wrote; the file may come from anyone."""
    files, outputs = values["files"], values["outputs"]
    checks = {
        "input": values["input"] in ("float32", "uint8"),
        "form": values["form"] in ("probabilities", "logits"),
        "outputs": isinstance(outputs, list) and all(isinstance(name, str) for name in outputs),
        "files": isinstance(files, dict) and all(isinstance(found, str) for found in files.values()),
    }
    checks |= {name: isinstance(values.get(name, {}), dict) for name in PARTS}
    if checks["intervals"]:
        checks["intervals"] = all(map(_is_interval, values.get("intervals", {}).values()))
    return next((name for name, good in checks.items() if not good), "")


def _is_interval(interval: Any) -> bool:
    bands = interval.get("bands", []) if isinstance(interval, dict) else None
    return isinstance(bands, list) and all(map(_is_band, bands))


def _is_band(band: Any) -> bool:
    return isinstance(band, dict) and all(isinstance(band.get(end), float | int) for end in ("from", "below", "above"))


def check_files(bundle: str | Path, manifest: Manifest, only: set[str] | None = None) -> None:
    """Compare the files of a bundle with their sums.

    Args:
        bundle: the folder.
        manifest: of the bundle.
        only: names to check; None for all.

    Raises:
        BundleError: a file is missing or altered.
    """
    for name, expected in manifest.files.items():
        if only is not None and name not in only:
            continue
        path = Path(bundle) / name
        if Path(name).name != name:
            raise BundleError(f"{Path(bundle) / NAME} names {name!r}, which is not a file of the bundle's own folder")
        if not path.is_file():
            raise BundleError(f"{path} is missing; copy the whole bundle again")
        if path.resolve().parent != Path(bundle).resolve():
            raise BundleError(f"{path} is a link to a file outside of the bundle; copy the bundle with its files")
        found = sha256(path)
        if found != expected:
            raise BundleError(
                f"{path} was altered or cut off: its SHA-256 is {found[:12]}..., the manifest says "
                f"{str(expected)[:12]}...; copy the bundle again"
            )
