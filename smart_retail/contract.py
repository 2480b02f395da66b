"""What a network is fed and what it says: one place, and it travels with every model.

The contract is stored in checkpoints and in ``model.pth``; whoever feeds a network reads it there
instead of typing a mean, a crop margin or a class name a second time.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from smart_retail.errors import CheckpointError
from smart_retail.labels import AGE_MAX, AGE_MIN, EMOTIONS, GENDERS


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
        eye_weight: the square is centred at ``eye_weight * eyes + (1 - eye_weight) * mouth``.
        genders: class names, in the order of the gender logits.
        emotions: class names, in the order of the emotion logits.
        age_range: youngest and oldest age in years that the network can say.
    """

    image_size: int = 224
    colour_order: str = "RGB"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
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
            CheckpointError: a field is missing or unknown.
        """
        known = {f.name for f in fields(cls)}
        if set(values) != known:
            odd = ", ".join(sorted(set(values) ^ known))
            raise CheckpointError(
                f"the model's contract has other fields than this version knows: {odd}; "
                "load it with the version of smart_retail that wrote it"
            )
        plain: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**plain)
