"""What happens to a face between the file and the network.

The data sets differ in more than faces: FER2013 is grey, 48 px and blurred, and the only one with
emotions; the others are sharp and in colour, as a camera's crops are. Without the degradations here
an emotion head learns grey, soft faces and meets sharp, coloured ones in a shop.
"""

from __future__ import annotations

import os
import random
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

# Set before the import, which would ask the package index for a newer version.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A

from smart_retail.data.corruptions import KINDS, OFF_CENTRE, WORST, amount_of, corrupt, known_kinds, shift
from smart_retail.data.crops import Square, crop_square
from smart_retail.errors import ConfigError, DataError

OwnAugmentation = Callable[[np.ndarray, np.random.Generator], np.ndarray]
"""Takes a crop, (S, S, 3) uint8 RGB, and what to draw from; gives another one of that shape."""


@dataclass(frozen=True)
class Augmentation:
    """How strongly training images are changed.

    Attributes:
        strength: scales every range and probability below but the severity; 0 turns all off, 1 is the default.
        zoom: crop margins vary by this share of the side.
        shift: crop centres vary by this share of the side.
        turn: degrees.
        grey: probability that a colour face turns grey.
        degrade: probability of each of blur, downscaling and JPEG artefacts.
        light: probability of a change in brightness, contrast, gamma or colour.
        occlude: probability that a patch is covered.
        corrupt: how likely a face is worsened as a camera would, for each kind of ``corruptions.KINDS`` that is
            wanted: ``{motion: 0.1, noise: 0.1}``. Each is drawn for itself; none by default.
        severity: the largest that is drawn for them, uniformly from 0; 4 is the worst of the report.
    """

    strength: float = 1.0
    zoom: float = 0.12
    shift: float = 0.06
    turn: float = 12.0
    grey: float = 0.3
    degrade: float = 0.15
    light: float = 0.5
    occlude: float = 0.25
    corrupt: dict[str, float] = field(default_factory=dict)
    severity: float = 2.0

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0 <= self.strength <= 2:
            raise ConfigError(f"augmentation strength {self.strength} is outside 0 to 2")
        for name in ("zoom", "shift", "grey", "degrade", "light", "occlude"):
            limit = 0.45 if name in ("zoom", "shift") else 1.0
            if not 0 <= getattr(self, name) <= limit:
                raise ConfigError(f"augmentation {name} {getattr(self, name)} is outside 0 to {limit}")
        known_kinds(self.corrupt)
        for kind, probability in self.corrupt.items():
            if not 0 <= probability <= 1:
                raise ConfigError(f"augmentation corrupt: {kind} {probability} is outside 0 to 1")
        if not 0 <= self.severity <= WORST:
            raise ConfigError(f"augmentation severity {self.severity} is outside 0 to {WORST}")


class TrainTransform:
    """Random crop jitter and degradation, a function of the image and a seed alone.

    albumentations' own generators repeat themselves in every forked worker and epoch
    (https://github.com/albumentations-team/albumentations/issues/1409 and others), so each face is
    drawn from the seed that the sampler gives with it: the same in any number of workers, different
    in every epoch, and repeatable from the run's seed.
    """

    def __init__(self, augmentation: Augmentation, own: Sequence[OwnAugmentation] = ()) -> None:
        """Build the pipeline for one strength, with changes of one's own at its end."""
        self.augmentation, self.own = augmentation, own
        self.random = random.Random()
        self.numpy_random = np.random.Generator(np.random.PCG64(0))
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            self.pixels = A.Compose(_pixel_transforms(augmentation))
        # One shared stream: set_random_seed would give every transform the same one, and all of
        # them would fire together.
        self.pixels.set_random_state(self.numpy_random, self.random)

    def __call__(self, image: np.ndarray, square: Square, size: int, seed: int) -> np.ndarray:
        """Return an augmented crop.

        Args:
            image: (H, W, 3) uint8 RGB.
            square: the contract's crop.
            size: side of the result in pixels.
            seed: what to draw; the same seed gives the same result.

        Returns:
            (size, size, 3) uint8 RGB.
        """
        self.random.seed(seed)
        self.numpy_random.bit_generator.state = np.random.PCG64(seed).state
        a, draw = self.augmentation, self.random.uniform
        zoom = 1 + a.strength * draw(-a.zoom, a.zoom)
        reach = a.strength * a.shift * square.side
        square = square._replace(
            x=square.x + draw(-reach, reach), y=square.y + draw(-reach, reach), side=square.side * zoom
        )
        angle = a.strength * draw(-a.turn, a.turn)
        flip = self.random.random() < 0.5
        drawn, random = _kinds(a, seed)
        if OFF_CENTRE in drawn:
            square = shift(square, amount_of(OFF_CENTRE, drawn[OFF_CENTRE]), random)
        crop = crop_square(image, square, size, angle=angle, flip=flip and a.strength > 0)
        crop = corrupt(crop, drawn.items(), random)
        crop = self.pixels(image=crop)["image"]
        random = np.random.default_rng([seed, 2])
        for change in self.own:
            crop = change(crop, random)
            if not isinstance(crop, np.ndarray) or crop.dtype != np.uint8 or crop.shape != (size, size, 3):
                found = f"{getattr(crop, 'dtype', type(crop).__name__)} {getattr(crop, 'shape', '')}"
                raise DataError(f"data.own_augmentation {change} gave {found}, not uint8 ({size}, {size}, 3)")
        return np.ascontiguousarray(crop)


def _kinds(a: Augmentation, seed: int) -> tuple[dict[str, float], np.random.Generator]:
    """Draw kinds of corruption with their severities, and give what their details are drawn from.

    The numbers are apart from the other changes': these stay the same whatever is switched on here.
    Likewise a kind comes for the same faces whichever other kinds there are.
    """
    random = np.random.default_rng([seed, 1])
    drawn = {
        kind: a.severity * random.random()
        for kind, luck in zip(KINDS, random.random(len(KINDS)), strict=True)
        if luck < a.strength * a.corrupt.get(kind, 0)
    }
    return drawn, random


def _pixel_transforms(a: Augmentation) -> list[A.BasicTransform | A.BaseCompose]:
    s = a.strength
    if s == 0:
        return []

    def p(probability: float) -> float:
        return min(1.0, s * probability)

    light = 0.25 * s
    return [
        A.OneOf(
            [
                A.RandomBrightnessContrast(brightness_limit=light, contrast_limit=light),
                A.RandomGamma(gamma_limit=(100 - 35 * s / 2, 100 + 50 * s)),
                A.ColorJitter(brightness=0, contrast=0, saturation=0.3 * s, hue=0.02 * s),
            ],
            p=p(a.light),
        ),
        A.ToGray(p=p(a.grey)),
        A.Downscale(
            scale_range=(0.5, 0.9),
            interpolation_pair={"downscale": cv2.INTER_AREA, "upscale": cv2.INTER_LINEAR},
            p=p(a.degrade),
        ),
        A.GaussianBlur(sigma_limit=(0.3, 1.0), blur_limit=0, p=p(a.degrade)),
        A.ImageCompression(quality_range=(35, 90), p=p(a.degrade)),
        A.CoarseDropout(
            num_holes_range=(1, 1), hole_height_range=(0.1, 0.35), hole_width_range=(0.1, 0.35), p=p(a.occlude)
        ),
    ]
