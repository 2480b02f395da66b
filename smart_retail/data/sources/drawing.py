"""Parametric drawings of synthetic faces, for the demo, the tests and the notebooks.

Every face here is a cartoon drawn by code from three labels (gender, age, emotion) and a random
generator. No photograph and no real person is involved. The labels decide a handful of drawn cues
(mouth and brow shape, wrinkles, hair and so on), so a small network can learn them within minutes
on a CPU. Nothing measured on these drawings says anything about real faces or real people: use
them to check that the code runs and learns, never to report the quality of a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from smart_retail.data.sources.pen import ARC, BOW, BUMP, LOOP, RUN, Color, Image, Pen, Points, U, gauss, mix, ramp

_SKIN: Points = np.array([[252, 222, 200], [238, 195, 160], [212, 160, 122], [164, 112, 78], [112, 74, 52]], float)
_HAIR: Points = np.array([[32, 27, 28], [60, 40, 30], [98, 64, 40], [142, 78, 42], [196, 154, 94]], float)
_GREY: Color = np.array([206.0, 206.0, 210.0])
_WHITE: Color = np.array([248.0, 247.0, 243.0])
_DARK: Color = np.array([40.0, 24.0, 26.0])


class _Expression(NamedTuple):
    """Shape of mouth, brows and lids, in sides of the frame (``y`` grows downwards)."""

    mouth_width: float
    corner_lift: float
    opening: float
    boxiness: float  # exponent of the lip contours: the smaller, the squarer
    lips: float
    brow_inner: float
    brow_outer: float
    brow_arch: float
    brow_pinch: float
    lids: float


# One row per emotion: angry, fear, happy, neutral, sad, surprise.
_EXPRESSIONS: Points = np.array(
    [
        [0.128, -0.024, 0.003, 0.55, 0.50, 0.046, -0.022, 0.006, 0.030, 0.76],
        [0.172, -0.020, 0.052, 0.28, 0.75, -0.052, -0.006, 0.010, 0.026, 1.28],
        [0.182, 0.064, 0.062, 0.85, 0.90, -0.010, 0.000, 0.028, 0.000, 0.80],
        [0.138, 0.004, 0.000, 0.60, 1.00, 0.000, 0.000, 0.020, 0.000, 1.00],
        [0.122, -0.050, 0.000, 0.60, 1.00, -0.044, 0.030, 0.002, 0.012, 0.74],
        [0.086, 0.000, 0.100, 0.50, 0.95, -0.052, -0.044, 0.044, 0.000, 1.36],
    ]
)


@dataclass(frozen=True)
class FaceSpec:
    """Labels to draw; they describe the look of a cartoon, not a person.

    Attributes:
        gender: Drawn appearance, 0 male or 1 female.
        age: Drawn age in years, 0 to 100.
        emotion: Angry, fear, happy, neutral, sad, surprise as 0 to 5.
    """

    gender: int
    age: float
    emotion: int

    def __post_init__(self) -> None:
        """Check the ranges of the labels."""
        if self.gender not in (0, 1) or self.emotion not in range(6) or not 0 <= self.age <= 100:
            raise ValueError(f"label out of range: {self}")


class _Face:
    """One face: samples its look from the labels, then draws it layer by layer."""

    def __init__(self, spec: FaceSpec, rng: np.random.Generator) -> None:
        self.spec, self.rng = spec, rng
        female, age = float(spec.gender), float(spec.age)
        self.baby = float(np.exp(-age / 8.0))
        self.old = float(np.clip((age - 25.0) / 60.0, 0.0, 1.1))
        grown = float(np.clip((age - 12.0) / 8.0, 0.0, 1.0))
        # Nuisances, independent of the labels.
        tone = ramp(_SKIN, rng.random()) * rng.normal(1.0, 0.02, 3)
        self.skin = np.clip(mix(tone, np.full(3, tone.mean()), 0.14 * self.old), 20, 255)
        hair = ramp(_HAIR, rng.random() ** 1.3)
        back = rng.uniform(50, 230, 3)
        self.back = mix(back, np.full(3, back.mean()), 0.45)
        self.iris = np.array([[70, 45, 30], [60, 95, 130], [75, 100, 65]], float)[rng.integers(3)]
        self.tilt = rng.normal(0.0, 0.004, 2)
        self.fringe = rng.random() < 0.22
        self.part = rng.uniform(-0.5, 0.5)
        self.glasses = rng.random() < 0.18
        # Expression, more or less pronounced.
        rest, full = _EXPRESSIONS[3], _EXPRESSIONS[spec.emotion]
        self.look = _Expression(*(rest + gauss(rng, 1.0, 0.13, 0.75, 1.3) * (full - rest)))
        # Gender cues: each overlaps between the two labels.
        long_hair = rng.random() < (0.85 if female else 0.08)
        self.length = rng.uniform(0.68, 1.15) if long_hair else 0.40
        self.length -= (self.length - 0.40) * 0.4 * float(np.clip((7.0 - age) / 5.0, 0.0, 1.0))
        self.lashes = gauss(rng, 0.2 + 0.6 * female, 0.16, 0.0, 1.0)
        self.rouge = gauss(rng, 0.12 + 0.55 * female, 0.16, 0.0, 1.0)
        self.brow = gauss(rng, 0.034 - 0.013 * female, 0.004, 0.014, 0.044) * (1 - 0.4 * self.baby)
        jaw = gauss(rng, 0.60 + 0.20 * female, 0.06, 0.48, 0.92)
        shade = rng.choice([0.05, 0.2, 0.55], p=[0.3, 0.45, 0.25]) * (1.0 - female)
        self.beard = float(shade * grown * rng.uniform(0.7, 1.2))
        # Age cues.
        grey = 1.0 / (1.0 + np.exp((52.0 - age + rng.normal(0.0, 3.5)) / 7.0))
        self.hair = mix(hair, _GREY, float(grey))
        self.brow_color = mix(np.minimum(hair, 0.42 * self.skin), _GREY, 0.35 * float(grey))
        self.brow_color = mix(self.brow_color, self.skin, 0.35 * self.baby)
        self.recede = self.old * float(np.clip(rng.normal(1.0 - 0.6 * female, 0.2), 0.1, 1.3))
        self.cover = float(np.clip(0.22 + age / 6.0, 0.0, 1.0))
        # Geometry.
        self.eye_y = 0.40 + 0.075 * self.baby
        self.nose_y = 0.585 + 0.050 * self.baby
        self.mouth_y = 0.72 + 0.045 * self.baby + 0.006 * self.old
        self.half = gauss(rng, 0.378 + 0.045 * self.baby, 0.012, 0.34, 0.45)
        self.chin = gauss(rng, 0.945 - 0.01 * self.baby, 0.012, 0.91, 0.975)
        self.jaw = jaw - 0.10 * self.old - 0.10 * self.baby
        self.eye_gap = gauss(rng, 0.17, 0.004, 0.16, 0.18)
        self.eye = 1.0 + 0.55 * self.baby - 0.10 * self.old

    def outline(self, inset: float = 0.0) -> tuple[Points, Points]:
        """Return the contour of the head, from the left temple over the chin and the top."""
        cos, sin = np.cos(ARC), np.sin(ARC)
        half, middle = self.half - inset, 0.46
        low_x = 0.5 - half * np.sign(cos) * np.abs(cos) ** self.jaw
        low_y = middle + (self.chin - inset - middle) * sin
        top_x, top_y = 0.5 + half * cos, middle - (middle + 0.02 - inset) * sin
        return np.concatenate([low_x, top_x]), np.concatenate([low_y, top_y])

    def draw_skin(self, pen: Pen) -> None:
        """Draw what is later softened: back hair, neck, ears, face, cheeks and beard."""
        skin, half, shadow = self.skin, self.half, self.skin * 0.80
        if self.cover > 0.6:
            flare = half + 0.028 + 0.05 * max(0.0, self.length - 0.5)
            end = self.length
            x = 0.5 + flare * np.array([-1, -1.04, -0.75, 0.75, 1.04, 1])
            top_x, top_y = 0.5 + flare * np.cos(ARC), 0.40 - 0.48 * np.sin(ARC)
            y = np.array([0.4, end - 0.06, end, end, end - 0.06, 0.4])
            pen.fill(np.concatenate([x, top_x]), np.concatenate([y, top_y]), self.hair * 0.82)
        neck = np.array([-0.20, -0.24, 0.24, 0.20]) * (1.12 - 0.16 * self.spec.gender)
        pen.fill(0.5 + neck, np.array([0.7, 1.2, 1.2, 0.7]), skin * 0.72)
        for side in (-1, 1):
            ear = 0.085 + 0.012 * self.old
            pen.oval(0.5 + side * (half + 0.008), self.eye_y + 0.08, 0.042, ear, shadow)
        pen.fill(*self.outline(), shadow)
        pen.fill(*self.outline(0.016), mix(shadow, skin, 0.5))
        pen.fill(*self.outline(0.032), skin)
        if self.beard > 0.02:
            x, y = self.outline(0.012)
            x, y = x[:25], y[:25]
            keep = y > 0.56
            edge = 0.5 + U[::-1] * half * 0.97
            line = self.mouth_y - 0.075 - 0.09 * np.abs(U) ** 4 + 0.05 * np.sin(np.pi * U) ** 2
            color = mix(skin, np.minimum(self.hair, skin * 0.5), self.beard)
            pen.fill(np.append(x[keep], edge), np.append(y[keep], line), color)
        blush = mix(skin, np.array([222.0, 84.0, 84.0]), 0.10 + 0.14 * self.baby)
        socket = mix(skin, skin * 0.7, 0.15 + 0.30 * self.old)
        for side in (-1, 1):
            pen.oval(0.5 + side * 0.225, self.nose_y + 0.015, 0.075, 0.05, blush)
            pen.oval(0.5 + side * self.eye_gap, self.eye_y + 0.012, 0.10, 0.062 * self.eye, socket)

    def draw_age(self, pen: Pen) -> None:
        """Draw wrinkles, which set in one after the other, and age spots."""
        rng, age, ink = self.rng, self.spec.age, self.skin * [0.50, 0.44, 0.42]
        late = age + rng.normal(0.0, 2.5)

        def crease(onset: float, x: Points, y: Points, width: float = 0.008) -> None:
            depth = float(np.clip((late - onset) / 30.0, 0.0, 1.0))
            if depth > 0.0:
                pen.line(x, y, mix(self.skin, ink, 0.15 + 0.65 * depth), width + 0.004 * depth)

        for row in range(4):
            wave = 0.005 * np.cos(6.0 * RUN + rng.uniform(-2, 2)) - 0.008 * BOW
            x = 0.5 + (2 * RUN - 1) * (0.20 - 0.025 * row) + rng.normal(0.0, 0.01)
            crease(30.0 + 9.0 * row, x, self.eye_y - 0.165 - 0.042 * row + wave)
        for side in (-1, 1):
            eye, lips = 0.5 + side * self.eye_gap, side * (self.look.mouth_width + 0.040)
            for row in range(3):
                x = eye + side * (0.105 + 0.055 * RUN)
                crease(32.0 + 11.0 * row, x, self.eye_y + (row - 0.8) * (0.02 + 0.026 * RUN))
            for row in range(2):
                bag = self.eye_y + (0.058 + 0.030 * row) * self.eye + 0.020 * BOW
                crease(36.0 + 20.0 * row, eye + (2 * RUN - 1) * (0.075 - 0.01 * row), bag)
            x = 0.5 + side * 0.080 + (lips - side * 0.080) * RUN**0.7
            crease(24.0, x, self.nose_y - 0.005 + (self.mouth_y - self.nose_y) * RUN, 0.009)
            crease(50.0, 0.5 + lips * (1 + 0.15 * RUN), self.mouth_y + 0.045 + 0.08 * RUN)
            x = 0.5 + side * (0.24 + 0.05 * BOW)
            crease(60.0, x, self.nose_y + 0.01 + 0.16 * RUN)
            crease(72.0, x + side * 0.045, self.nose_y + 0.03 + 0.12 * RUN)
        for _ in range(rng.poisson(max(0.0, age - 45.0) / 5.0)):
            left, top = rng.uniform([0.2, 0.15], [0.8, 0.82])
            r = rng.uniform(0.008, 0.016)
            pen.oval(left, top, r, r * 0.8, mix(self.skin, self.skin * [0.66, 0.55, 0.5], 0.7))

    def draw_eyes(self, pen: Pen) -> None:
        """Draw the eyes, the brows and the nose."""
        look, skin, ink = self.look, self.skin, mix(_DARK, self.skin * 0.3, 0.3)
        wide, tall = 0.078 * (0.5 + 0.5 * self.eye), 0.040 * self.eye
        for side, tilt in zip((-1, 1), self.tilt, strict=True):
            cx, cy = 0.5 + side * self.eye_gap, self.eye_y
            # Lids: u runs from the nose outwards; angry lids slant in, sad ones slant out.
            slant = (look.brow_inner - look.brow_outer) * 0.16 * U
            upper = -tall * look.lids * BUMP**0.6 - slant
            lower = tall * (0.72 if look.corner_lift < 0.03 else 0.45) * BUMP**0.7 - slant
            x = cx + side * wide * U
            pen.band(x, cy + upper, cy + lower, _WHITE)
            for radius, color in ((0.92, self.iris), (0.45, _DARK * 0.5)):
                dx, dy = radius * tall * np.cos(LOOP), radius * tall * np.sin(LOOP)
                at = side * dx / wide
                dy = np.clip(dy, np.interp(at, U, upper), np.interp(at, U, lower))
                pen.fill(cx + dx, cy + dy, color)
            pen.oval(cx + 0.012, cy - 0.012, 0.008, 0.008, _WHITE)
            pen.line(x, cy + lower, mix(skin, ink, 0.45), 0.007)
            pen.line(x, cy + upper, ink, 0.010 + 0.016 * self.lashes)
            pen.line(x, cy + upper - 0.022, skin * 0.74, 0.008)
            if self.lashes > 0.45:
                for spot, reach in ((16, 0.034), (14, 0.030), (12, 0.022)):
                    tip = np.array([0.0, side * reach * self.lashes * 1.2])
                    rise = np.array([0.0, -0.030 * self.lashes])
                    pen.line(x[spot] + tip, cy + upper[spot] + rise, ink, 0.010)
            # Brows, from the inner to the outer end.
            run = (U + 1.0) / 2.0
            base = self.eye_y - 0.098 - 0.018 * self.baby + tilt
            y = base + look.brow_inner * (1 - run) + look.brow_outer * run - look.brow_arch * BUMP
            x = cx + side * (U * 0.098 - look.brow_pinch * (1 - run))
            body = self.brow * (0.25 + 0.75 * (1 - run**2)) * np.minimum(1.0, 0.6 + 4 * run) / 2
            pen.band(x, y - body, y + body, self.brow_color)
        size = 1.0 - 0.40 * self.baby + 0.14 * self.old
        x = 0.5 + 0.045 * size - 0.012 * BUMP
        pen.line(x, self.nose_y - 0.07 + 0.055 * U, skin * 0.84, 0.010)
        y = self.nose_y + 0.020 * BUMP**0.6
        pen.line(0.5 + 0.062 * size * U, y, skin * 0.62, 0.012)
        for side in (-1, 1):
            pen.oval(0.5 + side * 0.030 * size, self.nose_y + 0.008, 0.012, 0.008, skin * 0.42)

    def draw_mouth(self, pen: Pen) -> None:
        """Draw lips, and what an open mouth shows."""
        look, my = self.look, self.mouth_y
        width = look.mouth_width * (1 - 0.25 * self.baby)
        skew = self.rng.normal(0.0, 0.004) + (0.018 if self.spec.emotion == 0 else 0.0)
        x = 0.5 + width * U
        middle = my + look.corner_lift * (0.45 - U**2) + skew * U * self.rng.choice([-1, 1])
        shape = BUMP ** max(0.2, look.boxiness)
        top, low = middle - 0.45 * look.opening * shape, middle + look.opening * shape
        lip = look.lips * (1.0 - 0.38 * self.old) * (0.85 + 0.3 * self.rouge)
        plain = self.skin * [0.80, 0.58, 0.56]
        color = mix(plain, np.array([190.0, 36.0, 58.0]), 0.85 * self.rouge)
        bow = 1.0 - 0.25 * np.exp(-((U / 0.16) ** 2))
        pen.band(x, top - 0.024 * lip * shape * bow, low + 0.030 * lip * shape, color)
        if look.opening > 0.012:
            pen.band(x, top, low, _DARK * [1.6, 0.8, 0.9])
            inner = slice(2, -2)
            gap = (low - top)[inner]
            if self.spec.emotion == 5:
                tongue = (low - 0.35 * (low - top))[inner]
                pen.band(x[inner], tongue + 0.01 * (1 - BUMP[inner]), low[inner], np.array([178.0, 70.0, 76.0]))
            else:  # upper teeth when happy, both rows clenched in fear
                part = 0.55 if self.spec.emotion == 2 else 0.92
                pen.band(x[inner], top[inner] + 0.06 * gap, top[inner] + part * gap, _WHITE * 0.97)
                if part > 0.6:
                    pen.line(x[inner], top[inner] + 0.5 * gap, _DARK * 2.4, 0.008)
        else:
            pen.line(x, middle, mix(color * 0.45, _DARK, 0.5), 0.013)
        y = my + 0.085 + look.opening * 0.8
        pen.line(0.5 + 0.05 * U, y - 0.008 * BUMP, self.skin * 0.86, 0.009)

    def draw_hair(self, pen: Pen) -> None:
        """Draw the hair over the forehead, the strands beside the face, and glasses."""
        half = self.half
        hair = mix(self.skin, self.hair, self.cover)
        line = 0.135 - 0.02 * self.baby - 0.16 * self.recede
        temple, rim = (0.36, 0.013) if self.cover > 0.6 else (0.28, -0.022)
        away = np.abs(U - self.part * (1 - U**2)) ** (2.2 + 3.5 * self.recede)
        low = line + (temple - line) * away
        if self.fringe and self.cover > 0.6:
            low = np.maximum(low, 0.225 - 0.12 * self.recede + 0.012 * np.sin(9.0 * U))
        top_x = 0.5 + (half + 0.015 + rim) * np.cos(ARC)
        top_y = temple - (temple + 0.10) * np.sin(ARC)
        x = 0.5 + U * (half + rim)
        pen.fill(np.append(x, top_x), np.append(low, top_y), hair)
        if self.length > 0.6 and self.cover > 0.6:
            for side in (-1, 1):
                run = np.linspace(0.0, 1.0, 9)
                inner = half - 0.045 * np.sin(np.pi * run) ** 0.7 + 0.03 * run
                outer = np.full(9, half + 0.05) + 0.03 * run
                y = 0.22 + (self.length - 0.22) * run
                both = np.append(inner, outer[::-1])
                pen.fill(0.5 + side * both, np.append(y, y[::-1]), hair * 0.93)
        for at in self.rng.uniform(-0.75, 0.75, 7):
            reach = float(np.interp(at, U, low)) - 0.02
            if reach > 0.02:
                x = 0.5 + half * (at + (self.part - at) * 0.35 * np.array([1.0, 0.4, 0.0]))
                y = np.array([-0.06, 0.35 * reach, reach])
                shine = self.rng.uniform(0.80, 1.14)
                pen.line(x, y, np.minimum(hair * shine, 255.0), 0.009)
        if self.glasses:
            frame = mix(_DARK, self.back, 0.25)
            for side in (-1, 1):
                x = 0.5 + side * self.eye_gap + 0.125 * np.cos(LOOP)
                pen.line(x, self.eye_y + 0.012 + 0.092 * np.sin(LOOP), frame, 0.013, closed=True)
                x = 0.5 + side * np.array([self.eye_gap + 0.125, half + 0.01])
                pen.line(x, np.array([self.eye_y, self.eye_y - 0.01]), frame, 0.013)
            pen.line(0.5 + 0.045 * U, self.eye_y + 0.005 - 0.012 * BUMP, frame, 0.013)


def wears_glasses(spec: FaceSpec, rng: np.random.Generator) -> bool:
    """Return whether ``draw_face`` would draw glasses with these random numbers."""
    return bool(_Face(spec, rng).glasses)


def draw_face(spec: FaceSpec, rng: np.random.Generator, size: int = 96) -> Image:
    """Draw one synthetic face.

    Args:
        spec: Labels to draw.
        rng: Source of every nuisance; the same labels and state give the same picture.
        size: Side of the square picture in pixels.

    Returns:
        Picture of shape ``(size, size, 3)``, uint8 RGB.
    """
    side = size * (4 if size <= 48 else 2)
    face = _Face(spec, rng)
    canvas: Image = np.empty((side, side, 3), np.uint8)
    cv2.rectangle(canvas, (0, 0), (side, side), tuple(face.back.tolist()), -1)
    scale, angle = gauss(rng, 1.0, 0.03, 0.93, 1.08), gauss(rng, 0.0, 0.06, -0.15, 0.15)
    pen = Pen(canvas, scale, angle, np.clip(rng.normal(0.0, 0.012, 2), -0.03, 0.03))
    face.draw_skin(pen)
    face.draw_age(pen)
    cv2.blur(canvas, (side // 64 | 1, side // 64 | 1), dst=canvas)
    face.draw_mouth(pen)
    face.draw_eyes(pen)
    face.draw_hair(pen)
    small = cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA)
    if rng.random() < 0.3:
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.3, 0.6) * size / 64)
    # Light: a linear gradient, exposure, a slight tint, and sensor noise.
    turn, depth = rng.uniform(0.0, 2.0 * np.pi), rng.uniform(0.0, 0.22)
    ramp = np.linspace(-depth, depth, size, dtype=np.float32)
    across, down = np.float32(np.cos(turn)) * ramp, np.float32(np.sin(turn)) * ramp
    light = np.float32(rng.uniform(0.86, 1.08)) + across[None, :] + down[:, None]
    lit = small.astype(np.float32)
    lit *= light[..., None].astype(np.float32)
    lit *= rng.normal(1.0, 0.015, 3).astype(np.float32)
    noise = rng.standard_normal((size, size, 1), dtype=np.float32)
    lit += noise * np.float32(rng.uniform(0.5, 4.0))
    picture: Image = np.clip(lit, 0.0, 255.0).astype(np.uint8)
    return picture
