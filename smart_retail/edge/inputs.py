"""Whatever an app holds (path, array, PIL image) as an 8 bit RGB array."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from smart_retail.data.images import read_image
from smart_retail.errors import BrokenImageError


def to_rgb(image: Any, *, bgr: bool = False) -> np.ndarray:
    """Return an image as the network's training saw it: 8 bit, three channels, upright.

    Args:
        image: path of an image file; array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16,
            bool or floats from 0 to 1; or a PIL image, whose EXIF rotation is applied. Alpha is dropped.
        bgr: the array's channels are in OpenCV's order (a frame of ``cv2.VideoCapture``).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BrokenImageError: it is no image.
    """
    if isinstance(image, str | Path):
        return read_image(image)
    if hasattr(image, "getexif") and hasattr(image, "convert"):
        return _from_pil(image)
    if not isinstance(image, np.ndarray):
        raise BrokenImageError(f"a {type(image).__name__} is no image: give a path, an array or a PIL image")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or 0 in image.shape:
        raise BrokenImageError(f"an array of shape {image.shape} is no image: (H, W), or (H, W, 1, 3 or 4)")
    colours = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image[:, :, :3]
    return np.ascontiguousarray(_to_8_bit(colours[:, :, ::-1] if bgr else colours))


def _to_8_bit(image: np.ndarray) -> np.ndarray:
    if image.dtype == np.uint8:
        return image
    if image.dtype == np.uint16:  # as OpenCV reads 16 bit files
        return (image >> 8).astype(np.uint8)
    if image.dtype == np.bool_:
        return image.astype(np.uint8) * 255
    if np.issubdtype(image.dtype, np.floating):
        if not np.isfinite(image).all() or image.min() < 0 or image.max() > 1:
            raise BrokenImageError("an array of floats must lie between 0 and 1; give 0 to 255 as uint8")
        return (image * 255 + 0.5).astype(np.uint8)
    raise BrokenImageError(f"an array of {image.dtype} is no image: uint8, uint16, bool or floats from 0 to 1")


def _from_pil(image: Any) -> np.ndarray:
    from PIL import ImageOps

    try:
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):
            return to_rgb(np.asarray(upright).astype(np.uint16))
        return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise BrokenImageError(f"a PIL image cannot be decoded: {error}") from error
