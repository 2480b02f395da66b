"""Drawn faces as files: no photograph is ever used."""

from pathlib import Path

import cv2
import numpy as np

from smart_retail.data.sources.drawing import FaceSpec, draw_face


def drawn_face(seed: int, size: int = 48, *, gender: int = 0, age: float = 30, emotion: int = 3) -> np.ndarray:
    """Return a drawn face, (size, size, 3) uint8 RGB."""
    return draw_face(FaceSpec(gender, age, emotion), np.random.default_rng(seed), size)


def write_image(path: Path, image: np.ndarray) -> Path:
    """Write an RGB or grey image in the format of the name's ending (``.pg`` is a JPEG)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    ending = path.suffix if path.suffix in (".jpg", ".png") else ".jpg"
    path.write_bytes(cv2.imencode(ending, pixels)[1].tobytes())
    return path


def write_face(path: Path, seed: int, size: int = 48, *, grey: bool = False, **labels: float) -> Path:
    """Draw a face into a file."""
    face = drawn_face(seed, size, **labels)  # type: ignore[arg-type]
    return write_image(path, cv2.cvtColor(face, cv2.COLOR_RGB2GRAY) if grey else face)


def truncate(path: Path, size: int = 60) -> Path:
    """Leave only the first bytes of a file, as an interrupted copy does."""
    path.write_bytes(path.read_bytes()[:size])
    return path
