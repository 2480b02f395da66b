"""What a network is fed and what it answers: one place, and it travels with every model.

The contract is stored in checkpoints and in ``model.pth``; whoever feeds a network reads it there
instead of typing a mean, a crop margin or a class name a second time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.tasks import AGE_MAX, AGE_MIN, TASKS, Task, checked, task_of

MAX_SIDE_PX = 4096
"""Side of an input beyond which a file is damaged or hostile."""
MAX_NUMBER = 1e6
CROPS = ("eyes", "upright")
INT8_TOP = {7: 64, 8: 127}
"""Largest weight of an INT8 network by its bits, as ONNX Runtime rounds: its reduced range is symmetric, -64 to 64."""
WEIGHT_BITS = "weight_bits"
"""Name of the bits in an INT8 file's metadata, which those of 7 have: they run in the fast kernels of any processor."""


@dataclass(frozen=True)
class Contract:
    """Input and output conventions of one network.

    Attributes:
        image_size: side of the square input in pixels.
        colour_order: order of the three input channels.
        mean: per channel, of pixels scaled to 0..1 (the ImageNet values, so that ImageNet weights
            can be a start).
        std: per channel, like ``mean``.
        eye_distance: distance between the eye centres as a share of the side of the crop square.
        crop: how a square follows from landmarks, see ``data.crops.square_from_landmarks``: ``upright``, whose side
            does not shrink when a head turns and which stands as the face does, or ``eyes``, the rule of the
            first networks.
        eye_weight: the square is centred at ``eye_weight * eyes + (1 - eye_weight) * mouth``.
        tasks: what it answers, in the order of its outputs.
    """

    image_size: int = 224
    colour_order: str = "RGB"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop: str = "upright"
    eye_distance: float = 0.34
    eye_weight: float = 0.55
    tasks: tuple[Task, ...] = TASKS

    def task(self, name: str) -> Task:
        """Return the task of a name.

        Raises:
            KeyError: the network has no such task.
        """
        return {task.name: task for task in self.tasks}[name]

    @property
    def task_names(self) -> tuple[str, ...]:
        """Names of the tasks, in the order of the outputs."""
        return tuple(task.name for task in self.tasks)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types only (lists for tuples), fit for JSON and for safe checkpoints."""
        values = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return values | {"tasks": [task.to_dict() for task in self.tasks]}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """Read what ``to_dict`` wrote, in this version or an earlier one.

        Raises:
            CheckpointError: a field is missing or unknown, or has a value that no network can have.
        """
        if not isinstance(values, dict):
            raise CheckpointError(f"the model's contract is no mapping of names to values: {str(values)[:80]!r}")
        values = _of_before(values)
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            odd = ", ".join(sorted(map(str, set(values) ^ known)))
            raise CheckpointError(
                f"the model's contract has other fields than this version knows: {odd}; "
                "load it with the version of smart_retail that wrote it"
            )
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        try:
            plain["tasks"] = checked(task_of(task) for task in plain["tasks"])
        except (ConfigError, TypeError) as error:
            raise CheckpointError(f"the model's contract: {error}") from error
        made = cls(**plain)
        if wrong := made._wrong():
            raise CheckpointError(f"the model's contract says {wrong} {str(plain[wrong])[:80]!r}, which cannot be")
        return made

    def _wrong(self) -> str:
        """Return the first field with a value of another kind or range; it may come from a damaged file."""
        checks = {
            "image_size": type(self.image_size) is int and 1 <= self.image_size <= MAX_SIDE_PX,
            "colour_order": self.colour_order == "RGB",
            "mean": _numbers(self.mean, 3),
            "std": _numbers(self.std, 3) and min(self.std) > 0,
            "crop": self.crop in CROPS,
            "eye_distance": _numbers((self.eye_distance,), 1) and self.eye_distance > 0,
            "eye_weight": _numbers((self.eye_weight,), 1),
        }
        return next((name for name, good in checks.items() if not good), "")


def _of_before(values: dict[str, Any]) -> dict[str, Any]:
    """Return the contract of an earlier version in the form of this one: three tasks, and a crop that went unsaid."""
    values = {"crop": "eyes"} | values
    if "tasks" in values or not {"genders", "emotions", "age_range"} <= set(values):
        return values
    classes, ages = {"gender": values.pop("genders"), "emotion": values.pop("emotions")}, values.pop("age_range")
    if ages not in ([AGE_MIN, AGE_MAX], (AGE_MIN, AGE_MAX)):
        raise CheckpointError(f"the model's contract has other ages than {AGE_MIN:.0f} to {AGE_MAX:.0f}")
    tasks = [task.to_dict() | ({"classes": classes[task.name]} if task.is_classes else {}) for task in TASKS]
    return values | {"tasks": tasks}


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == count
        and all(isinstance(v, float | int) and abs(v) < MAX_NUMBER for v in values)
    )
