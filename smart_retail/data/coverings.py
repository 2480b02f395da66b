"""What people wear before their faces, drawn over a crop: medical masks and sunglasses.

Where a face that looks into the camera has eyes and mouth follows from the crop contract, so no landmarks
are needed. All places and lengths are shares of the crop's side, from its upper left corner.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.crops import FRONTAL_RATIO

CONTRACT = Contract()
EYE_GAP = CONTRACT.eye_distance
EYES_TO_MOUTH = EYE_GAP * FRONTAL_RATIO
EYES_Y = 0.5 - (1 - CONTRACT.eye_weight) * EYES_TO_MOUTH
MOUTH_Y = 0.5 + CONTRACT.eye_weight * EYES_TO_MOUTH
CLOTH = ((235, 238, 240), (150, 195, 225), (170, 215, 205), (32, 32, 36), (120, 124, 132), (238, 196, 205))
"""White, light blue, light green, black, grey, pink."""
GLASS = ((8, 8, 10), (40, 26, 16), (22, 32, 26), (24, 26, 40))
"""Black, brown, green, blue."""
SHIFT = 6
"""OpenCV draws at this many binary places of a pixel."""

Points = np.ndarray | Sequence[tuple[float, float]]


def mask_mouth(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Put a medical mask over chin and mouth, so many percent of the way from the mouth up to the eyes."""
    side = len(crop)
    wide, bottom = random.uniform(0.26, 0.31), MOUTH_Y + random.uniform(0.22, 0.26)
    top = MOUTH_Y - amount / 100 * EYES_TO_MOUTH
    right = [(0.0, top - 0.02), (0.4 * wide, top), (wide, top + 0.05), (0.95 * wide, bottom - 0.13)]
    right += [(0.75 * wide, bottom - 0.06), (0.35 * wide, bottom)]
    shape = _polygon(side, [*((0.5 + x, y) for x, y in right), *((0.5 - x, y) for x, y in right[::-1])])
    strap = _line(side, [(0.5 - wide, top + 0.06), (0.36 - wide, EYES_Y + 0.04)], 0.012)
    colour = np.array(CLOTH[random.integers(len(CLOTH))], np.float32) * random.uniform(0.85, 1.05)
    rows = (np.arange(side, dtype=np.float32) + 0.5) / side
    pleats = 1 - 0.06 * np.cos(2 * np.pi * (rows - top) / 0.075) - 0.4 * np.clip(rows - MOUTH_Y, 0, 1)
    return _over(crop, colour * (pleats[:, None] * _light(crop))[..., None], np.maximum(shape, _both(strap)))


def shade_eyes(crop: np.ndarray, amount: float, random: np.random.Generator) -> np.ndarray:
    """Put sunglasses on, two lenses or one band, that take so many percent of the light."""
    side = len(crop)
    wide, high = random.uniform(0.11, 0.18), random.uniform(0.07, 0.095)
    middle, x = EYES_Y + random.uniform(0.005, 0.035), 0.5 - EYE_GAP / 2
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    # A superellipse is rounder or squarer by its exponent.
    ring = np.stack([np.cos(angles), np.sin(angles)], 1)
    ring = np.sign(ring) * np.abs(ring) ** random.uniform(0.5, 1.0)
    lens = _polygon(side, ring * (wide, high) + (x, middle))
    temple = _line(side, [(x - wide, middle - 0.4 * high), (0.08, middle - 0.03)], 0.02)
    bridge = _line(side, [(x, middle - 0.4 * high), (0.5, middle - 0.4 * high)], 0.02)
    colour = np.array(GLASS[random.integers(len(GLASS))], np.float32)
    # The frame of clear glasses is thin: a faint one stands for it.
    framed = _over(crop, colour, _both(np.maximum(temple, bridge * (1 - lens))) * min(1.0, amount / 40))
    return _over(framed, colour, _both(lens) * (amount / 100))


def _light(crop: np.ndarray) -> np.ndarray:
    """Return how bright what is worn would be, (S, S) from 0 to 1: a white mask is dark in a dark shop."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    soft = cv2.blur(grey, (len(crop) // 3,) * 2).astype(np.float32)
    bright = float(np.percentile(grey, 90)) / 255
    return np.asarray(min(1.0, bright + 0.1) * np.clip(soft / max(1.0, float(soft.mean())), 0.6, 1.2))


def _over(crop: np.ndarray, colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    mixed: np.ndarray = crop + alpha[..., None] * (np.minimum(colour, 255) - crop)
    return np.asarray(mixed + 0.5, np.uint8)


def _both(half: np.ndarray) -> np.ndarray:
    return np.asarray(np.maximum(half, half[:, ::-1]))


def _polygon(side: int, points: Points) -> np.ndarray:
    """Fill a shape, (S, S) float32 from 0 to 1 with soft edges."""
    canvas = np.zeros((side, side), np.uint8)
    cv2.fillPoly(canvas, [_fixed(side, points)], 255, cv2.LINE_AA, SHIFT)
    return np.asarray(canvas / np.float32(255))


def _line(side: int, points: Points, thick: float) -> np.ndarray:
    canvas = np.zeros((side, side), np.uint8)
    cv2.polylines(canvas, [_fixed(side, points)], False, 255, max(1, round(thick * side)), cv2.LINE_AA, SHIFT)
    return np.asarray(canvas / np.float32(255))


def _fixed(side: int, points: Points) -> np.ndarray:
    return np.asarray(np.round((np.asarray(points) * side - 0.5) * 2**SHIFT), np.int32)
