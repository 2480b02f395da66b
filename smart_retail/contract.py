"""What a network is fed and what it says: one place, and it travels with every model.

The contract is stored in checkpoints and in ``model.pth``; whoever feeds a network reads it there
instead of typing a mean, a crop margin or a class name a second time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from smart_retail.errors import CheckpointError
from smart_retail.labels import AGE_MAX, AGE_MIN, EMOTIONS, GENDERS

LARGEST = 4096
"""Side of an input in pixels beyond which a file is damaged or hostile."""
FARTHEST = 1e6
CROPS = ("eyes", "upright")
INT8_TOP = {7: 64, 8: 127}
"""Largest weight of an INT8 network by its bits, as ONNX Runtime rounds: its reduced range is symmetric, -64 to 64."""


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
        genders: class names, in the order of the gender logits.
        emotions: class names, in the order of the emotion logits.
        age_range: youngest and oldest age in years that the network can say.
    """

    image_size: int = 224
    colour_order: str = "RGB"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    crop: str = "upright"
    eye_distance: float = 0.34
    eye_weight: float = 0.55
    genders: tuple[str, ...] = GENDERS
    emotions: tuple[str, ...] = EMOTIONS
    age_range: tuple[float, float] = (AGE_MIN, AGE_MAX)

    def to_dict(self) -> dict[str, Any]:
        """Return plain types only (lists for tuples), fit for JSON and for safe checkpoints."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Contract:
        """Read what ``to_dict`` wrote.

        Raises:
            CheckpointError: a field is missing or unknown, or has a value that no network can have.
        """
        if not isinstance(values, dict):
            raise CheckpointError(f"the model's contract is no mapping of names to values: {str(values)[:80]!r}")
        values = {"crop": "eyes"} | values  # networks of before there was a choice
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            odd = ", ".join(sorted(set(values) ^ known))
            raise CheckpointError(
                f"the model's contract has other fields than this version knows: {odd}; "
                "load it with the version of smart_retail that wrote it"
            )
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        made = cls(**plain)
        if wrong := made._wrong():
            raise CheckpointError(f"the model's contract says {wrong} {str(plain[wrong])[:80]!r}, which cannot be")
        return made

    def _wrong(self) -> str:
        """Return the first field with a value of another kind or range; it may come from a damaged file."""
        classes = {"genders": GENDERS, "emotions": EMOTIONS}
        checks = {
            "image_size": type(self.image_size) is int and 1 <= self.image_size <= LARGEST,
            "colour_order": self.colour_order == "RGB",
            "mean": _numbers(self.mean, 3),
            "std": _numbers(self.std, 3) and min(self.std) > 0,
            "crop": self.crop in CROPS,
            "eye_distance": _numbers((self.eye_distance,), 1) and self.eye_distance > 0,
            "eye_weight": _numbers((self.eye_weight,), 1),
            "age_range": _numbers(self.age_range, 2) and self.age_range[0] < self.age_range[1],
        } | {name: _names(getattr(self, name), len(known)) for name, known in classes.items()}
        return next((name for name, good in checks.items() if not good), "")


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, tuple)
        and len(values) == count
        and all(isinstance(v, float | int) and abs(v) < FARTHEST for v in values)
    )


def _names(values: Any, count: int) -> bool:
    return (
        isinstance(values, tuple)
        and all(isinstance(v, str) and v.isprintable() for v in values)
        and len(values) == count == len(set(values))
    )
