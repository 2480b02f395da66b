"""How a camera's faces are worse than a data set's: one list, for training and for the report alike.

Every kind has one scale of severity: 0 is the face as it is, 1 to 4 are ever worse, and a fraction lies
between the amounts of its neighbours. Training draws kinds and severities
(``transforms.Augmentation.corrupt``), the report walks over all of them (``evaluation.robustness``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

import cv2
import numpy as np

from smart_retail.data.coverings import mask_mouth, shade_eyes
from smart_retail.data.crops import Square
from smart_retail.errors import ConfigError

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""(S, S, 3) uint8 RGB, an amount, and random numbers of the face to (S, S, 3)."""

GAMMA = 2.2
LINEAR = (np.arange(256, dtype=np.float32) / 255) ** np.float32(GAMMA)
"""Light that each value of a pixel stands for, 0 to 1."""
FULL_WELL, READ_NOISE = 2000.0, 0.004
"""Electrons of a small sensor's pixel in white, and the noise of reading it as a share of white."""


def turn(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Turn the face to the left or the right by so many degrees, as if it were flat."""
    return _tilt(crop, amount, 0.0 if random.random() < 0.5 else np.pi, 3.0)


def perspective(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Look from so many degrees aside, above or below, through a wide lens."""
    return _tilt(crop, amount, random.uniform(0, 2 * np.pi), 1.5)


def _tilt(crop: np.ndarray, degrees: float, towards: float, distance: float) -> np.ndarray:
    """Turn a plane about an axis through its centre.

    Args:
        crop: (S, S, 3).
        degrees: of the turn.
        towards: direction of the edge that comes nearer, in radians from the right one, downwards.
        distance: of the camera, in sides.
    """
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    x, y = np.cos(towards), np.sin(towards)
    plane = np.eye(3)
    plane[:2, :2] += (cosine - 1) * np.outer((x, y), (x, y))
    plane[2, :2] = -sine * x / distance, -sine * y / distance
    side = len(crop)
    centre = np.array([[side, 0, (side - 1) / 2], [0, side, (side - 1) / 2], [0, 0, 1]])
    matrix = centre @ plane @ np.linalg.inv(centre)
    return np.asarray(cv2.warpPerspective(crop, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE))


def occlude(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Cover a square of so many percent of the area, anywhere, with grey."""
    side = round(len(crop) * (amount / 100) ** 0.5)
    top, left = random.integers(0, len(crop) - side + 1, 2)
    covered = crop.copy()
    covered[top : top + side, left : left + side] = 128
    return covered


def colour_cast(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Balance white so many percent too warm or too cold, and up to a third of that too green or too pink."""
    warm = 1 if random.random() < 0.5 else -1
    gains = 1 + amount / 100 * np.array([warm, random.uniform(-0.33, 0.33), -warm])
    return np.clip(crop * gains.astype(np.float32) + 0.5, 0, 255).astype(np.uint8)


def desaturate(crop: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Take so many percent of the colour away."""
    plain = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(crop, 1 - amount / 100, plain, amount / 100, 0))


def darken(crop: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Leave so many percent of the values."""
    return (crop * (amount / 100)).astype(np.uint8)


def motion_blur(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Blur along a line of any direction that is so many percent of the side long."""
    angle, length = random.uniform(0, np.pi), len(crop) * amount / 100
    reach = int(np.ceil(length / 2)) + 1
    along = np.linspace(-length / 2, length / 2, 8 * reach + 1)
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    x, y = reach + along * np.cos(angle), reach + along * np.sin(angle)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for right, down in ((0, 0), (1, 0), (0, 1), (1, 1)):
        # A point between pixels counts for its four neighbours, the nearer the more.
        weight = (1 - np.abs(x - left - right)) * (1 - np.abs(y - top - down))
        np.add.at(kernel, (top + down, left + right), weight)
    return np.asarray(cv2.filter2D(crop, -1, kernel / kernel.sum(), borderType=cv2.BORDER_REPLICATE))


def gaussian_blur(crop: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Blur with a Gaussian whose sigma is so many percent of the side."""
    return np.asarray(cv2.GaussianBlur(crop, (0, 0), len(crop) * amount / 100))


def downscale(crop: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Leave so many pixels a side; what follows meets them, then ``corrupt`` enlarges them."""
    side = round(amount)
    return crop if side >= len(crop) else np.asarray(cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA))


def low_light(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Leave so many percent of the light, of which a sensor's noise is then a larger part."""
    light = LINEAR[crop] * np.float32(amount / 100)
    spread = np.sqrt(light / FULL_WELL + np.float32(READ_NOISE**2))
    seen = light + spread * random.standard_normal(crop.shape, np.float32)
    return np.asarray(255 * np.clip(seen, 0, 1) ** np.float32(1 / GAMMA) + 0.5, np.uint8)


def sensor_noise(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Add a sensor's noise, so many percent of white in white (shot noise) and half of that in black (read noise)."""
    spread = amount / 100 * np.sqrt(255 * (64 + 0.75 * crop.astype(np.float32)))
    noisy = crop + spread * random.standard_normal(crop.shape, np.float32)
    return np.asarray(np.clip(noisy + 0.5, 0, 255), np.uint8)


def compress_jpeg(crop: np.ndarray, amount: float, _: np.random.Generator) -> np.ndarray:
    """Write and read as JPEG of this quality."""
    code = cv2.imencode(".jpg", crop, [cv2.IMWRITE_JPEG_QUALITY, int(amount)])[1]
    return np.asarray(cv2.imdecode(code, cv2.IMREAD_COLOR))


def cut(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Let one side lie beyond the frame by so many percent; it repeats the frame's edge, as ``crop_square`` does."""
    turns, beyond = int(random.integers(4)), round(len(crop) * amount / 100)
    kept = np.rot90(crop, turns)[beyond:]
    return np.ascontiguousarray(np.rot90(np.pad(kept, ((beyond, 0), (0, 0), (0, 0)), "edge"), -turns))


class Kind(NamedTuple):
    """One way to make faces worse.

    Attributes:
        words: of an amount.
        amounts: from mild to hard, for the severities 1 to 4.
        change: of a crop; None where the square is another one.
        none: where the amounts start from, at severity 0.
    """

    words: str
    amounts: tuple[float, ...]
    change: Change | None = None
    none: float = 0


OFF_CENTRE = "off centre"
KINDS = {
    # In the order in which it happens to a picture: face, light, lens, sensor, file, frame.
    OFF_CENTRE: Kind("by {:g}% of the side", (5, 10, 20, 30)),
    "turned": Kind("by {:g} degrees", (15, 25, 35, 45), turn),
    "perspective": Kind("from {:g} degrees", (10, 20, 30, 40), perspective),
    "covered": Kind("{:g}% of the area", (5, 10, 20, 40), occlude),
    "masked": Kind("{:g}% of the way from mouth to eyes", (20, 40, 55, 70), mask_mouth),
    "sunglasses": Kind("take {:g}% of the light", (40, 70, 90, 100), shade_eyes),
    "colour cast": Kind("{:g}% too warm or too cold", (6, 12, 20, 30), colour_cast),
    "grey": Kind("{:g}% of the colour taken away", (25, 50, 75, 100), desaturate),
    "dark": Kind("{:g}% of the light left", (60, 40, 20, 10), darken, 100),
    "motion": Kind("over {:g}% of the side", (3, 6, 9, 12), motion_blur),
    "blurred": Kind("sigma {:g}% of the side", (1, 2, 3, 5), gaussian_blur),
    "small": Kind("{:g} px a side", (32, 24, 16, 10), downscale, 48),
    "low light": Kind("{:g}% of the light, with noise", (40, 20, 10, 5), low_light, 100),
    "noise": Kind("{:g}% of white", (3, 6, 10, 15), sensor_noise),
    "JPEG": Kind("quality {:g}", (50, 25, 10, 5), compress_jpeg, 100),
    "cut": Kind("{:g}% beyond the frame", (8, 15, 22, 30), cut),
}
WORST = 4


def known_kinds(wanted: Iterable[str] | None) -> list[str]:
    """Return the kinds that are asked for; all by default.

    Raises:
        ConfigError: there is no such kind.
    """
    found = list(KINDS) if wanted is None else list(wanted)
    if unknown := [kind for kind in found if kind not in KINDS]:
        raise ConfigError(f"{unknown[0]!r} is none of the ways to worsen faces: {', '.join(KINDS)}")
    return found


def amount_of(kind: str, severity: float) -> float:
    """Return the amount of a severity from 0 to ``WORST``; fractions lie on lines between the whole ones."""
    return float(np.interp(severity, range(WORST + 1), (KINDS[kind].none, *KINDS[kind].amounts)))


def corrupt(crop: np.ndarray, drawn: Iterable[tuple[str, float]], random: np.random.Generator) -> np.ndarray:
    """Make a face worse in several ways, one after the other.

    Args:
        crop: (S, S, 3) uint8 RGB, cut by the contract.
        drawn: kinds and severities; 0 leaves the face as it is, and so does ``OFF_CENTRE`` here (see ``shift``).
        random: where what is drawn for the face comes from: directions, places, colours, noise.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    size = len(crop)
    for kind, severity in drawn:
        if (change := KINDS[kind].change) and severity > 0:
            crop = change(crop, amount_of(kind, severity), random)
    return crop if len(crop) == size else np.asarray(cv2.resize(crop, (size, size), interpolation=cv2.INTER_LINEAR))


def shift(square: Square, amount: float, random: np.random.Generator) -> Square:
    """Return a square that is off centre by so many percent of its side, in any direction."""
    angle, reach = random.uniform(0, 2 * np.pi), square.side * amount / 100
    return square._replace(x=square.x + reach * np.cos(angle), y=square.y + reach * np.sin(angle))
