"""Whatever an app holds (path, encoded bytes, array, PIL image) as an 8 bit RGB array."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import numpy as np

from smart_retail.data.images import decode_image, read_image
from smart_retail.errors import BrokenImageError


def to_rgb(image: Any, *, bgr: bool = False) -> np.ndarray:
    """Return an image as the network's training saw it: 8 bit, three channels, upright.

    Args:
        image: path of an image file, or its content as bytes; array (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of
            uint8, uint16, bool or floats from 0 to 1; or a PIL image, whose EXIF rotation is applied and whose wide
            modes (I, F) hold what an array may. Alpha is dropped.
        bgr: the array's channels are in OpenCV's order (a frame of ``cv2.VideoCapture``).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        BrokenImageError: it is no image.
    """
    if isinstance(image, str | os.PathLike):
        return read_image(os.fspath(image))
    if isinstance(image, bytes | bytearray | memoryview):
        return decode_image(bytes(image), f"{len(image):,} bytes")
    if hasattr(image, "getexif") and hasattr(image, "convert"):
        return _from_pil(image)
    if not isinstance(image, np.ndarray):
        raise BrokenImageError(f"a {type(image).__name__} is no image: give a path, bytes, an array or a PIL image")
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
        if upright.mode[:1] in ("I", "F"):  # convert() would clip what it does not expect, without a word
            return to_rgb(_of_whole_numbers(np.asarray(upright)) if upright.mode != "F" else np.asarray(upright))
        return np.asarray(upright.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise BrokenImageError(f"a PIL image cannot be decoded: {error}") from error


def _of_whole_numbers(image: np.ndarray) -> np.ndarray:
    """Return wide integers as the 8 or 16 bits that they hold."""
    low, high = int(image.min()), int(image.max())
    if low < 0 or high > 65535:
        raise BrokenImageError(f"a PIL image of whole numbers from {low} to {high} is none of 8 or 16 bits")
    return image.astype(np.uint16 if high > 255 or image.dtype.itemsize == 2 else np.uint8)


def as_images(images: Any) -> Iterable[Any]:
    """Return one image as a list of one; several stay as they are.

    Without this a path would be taken for letters, and an array for its rows.
    """
    single = isinstance(images, str | os.PathLike | bytes | bytearray | memoryview) or hasattr(images, "getexif")
    if isinstance(images, np.ndarray):
        single = images.ndim == 2 or (images.ndim == 3 and images.shape[2] in (1, 3, 4))
    return [images] if single else images
