"""Reading image files as RGB arrays, the one way used everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np

from smart_retail.data.image_header import image_format, image_size, is_heic, jpeg_frame
from smart_retail.errors import BrokenImageError

# One decoder thread per process: parallelism comes from DataLoader workers, and OpenCV's own pool
# does not survive a fork.
cv2.setNumThreads(0)
MAX_PIXELS = 1 << 27
"""Larger images are refused by their header, before they are decoded: a PNG of 100 kB can unfold to
gigabytes. An image of this size takes up to about 0.8 GB for a moment."""
MAX_BYTES = 1 << 29
MAX_CHUNKS = 100_000
MAX_SCANS = 100
"""A progressive JPEG has about ten scans; a hostile one thousands, each as long to decode as an image."""
HEIC = "a HEIC photo, which OpenCV does not read: save it as JPEG, as by `heif-convert` or the phone's own export"
PACKED = re.compile(r"\.parquet#\d{1,9}$")
"""How a path into a pack ends, see ``data.packed_images``."""


def read_image(path: str | Path) -> np.ndarray:
    """Read an image file.

    Grey, palette, alpha and 16 bit files come back as 8 bit colour, of moving pictures the first one;
    EXIF rotation is applied. The content decides, not the ending of the name.

    Args:
        path: a JPEG, PNG, WebP, BMP, TIFF, GIF, JPEG 2000, PPM or (if OpenCV can) AVIF file, or an image in a pack.

    Returns:
        (H, W, 3) uint8, RGB.

    Raises:
        BrokenImageError: the file is missing, empty, truncated, too large or no image.
    """
    return _decoded(read_image_bytes(path)[0], path)


def decode_image(data: bytes, name: str) -> np.ndarray:
    """Decode the content of an image file as ``read_image`` does.

    Args:
        data: the whole file.
        name: what errors call it.

    Raises:
        BrokenImageError: it is empty, truncated, too large or no image.
    """
    _check(data, name)
    return _decoded(data, name)


def _decoded(data: bytes, path: str | Path) -> np.ndarray:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        raise BrokenImageError(f"{path}: cannot be decoded ({error.err})") from error
    if image is None:
        raise BrokenImageError(f"{path}: cannot be decoded as an image")
    return image


def read_image_bytes(path: str | Path) -> tuple[bytes, str]:
    """Read an image file without decoding it, and refuse what no decoder should be given.

    Returns:
        The whole file, and its format by Pillow's name.

    Raises:
        BrokenImageError: as for ``read_image``, as far as the header tells.
    """
    data = _packed(str(path)) if PACKED.search(str(path)) else _file(path)
    return data, _check(data, path)


def _check(data: bytes, path: str | Path) -> str:
    """Refuse what no decoder should be given, and return the format by Pillow's name."""
    name = image_format(data)
    extent = image_size(data, name) if name else None
    if name is None or extent is None:
        what = "it is empty" if not data else "its header is broken" if name else "no format that is known here"
        what = HEIC if is_heic(data) else what
        raise BrokenImageError(f"{path}: cannot be decoded as an image ({what})")
    if extent[0] * extent[1] > MAX_PIXELS:
        raise BrokenImageError(f"{path}: {extent[0]}x{extent[1]} pixels are too many (the most is {MAX_PIXELS:,})")
    if name == "JPEG":
        _check_jpeg(data, path)
    elif name == "PNG":
        _check_png(data, path)
    return name


def _packed(path: str) -> bytes:
    try:
        from smart_retail.data.packed_images import packed_image  # a device has no pyarrow
    except ImportError as error:
        raise BrokenImageError(f"{path}: packs are read with pyarrow, which is not installed") from error
    return packed_image(path)


def _file(path: str | Path) -> bytes:
    file = Path(path)
    try:
        # A pipe would wait for its writer, a device never end.
        if not file.is_file():
            what = "is a folder" if file.is_dir() else "is no ordinary file" if file.exists() else "no such file"
            raise BrokenImageError(f"{path}: {what}")
        if (size := file.stat().st_size) > MAX_BYTES:
            raise BrokenImageError(f"{path}: {size:,} bytes are too many (the most is {MAX_BYTES:,})")
        return file.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise BrokenImageError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from error


def _check_jpeg(data: bytes, path: str | Path) -> None:
    # Within compressed data 0xFF is never followed by 0xD9. OpenCV fills what is missing with grey.
    if data.find(b"\xff\xd9", jpeg_frame(data) or 0) < 0:
        raise BrokenImageError(f"{path}: cannot be decoded as an image (it is cut off)")
    if (scans := data.count(b"\xff\xda")) > MAX_SCANS:
        raise BrokenImageError(f"{path}: a JPEG of {scans} scans is no picture (the most is {MAX_SCANS})")


def _check_png(data: bytes, path: str | Path) -> None:
    # OpenCV takes the memory that a chunk claims before it reads it: up to 2 GB for a file of 70 bytes.
    start = len(b"\x89PNG\r\n\x1a\n")
    for _ in range(MAX_CHUNKS):
        kind = data[start + 4 : start + 8]
        if start == len(data):
            return
        start += 12 + int.from_bytes(data[start : start + 4], "big")
        if start > len(data):
            raise BrokenImageError(f"{path}: cannot be decoded as an image (it is cut off)")
        if kind == b"IEND":
            return
    raise BrokenImageError(f"{path}: a PNG of more than {MAX_CHUNKS:,} chunks is no picture")
