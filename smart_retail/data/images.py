"""Reading image files as RGB arrays, the one way used everywhere."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from smart_retail.errors import BrokenImageError

# One decoder thread per process: parallelism comes from DataLoader workers, and OpenCV's own pool
# does not survive a fork.
cv2.setNumThreads(0)
# OpenCV refuses larger images before it allocates them (decompression bombs).
MAX_PIXELS = 1 << 28


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file.

    Grey, palette, alpha and 16 bit files come back as 8 bit colour; EXIF rotation is applied.

    Args:
        path: an image file that OpenCV can read.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        BrokenImageError: the file is missing, empty, truncated beyond reading or no image.
    """
    try:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise BrokenImageError(f"{path}: cannot be decoded ({error.err})") from error
    if image is None:
        what = "cannot be decoded as an image" if Path(path).is_file() else "no such file"
        raise BrokenImageError(f"{path}: {what}")
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise BrokenImageError(f"{path}: {image.shape[1]}x{image.shape[0]} pixels are too many")
    return image
