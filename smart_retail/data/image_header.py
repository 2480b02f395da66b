"""What an image file says of itself in its first bytes: its format and its size, before anything is decoded."""

from __future__ import annotations

import re
from struct import error, unpack_from
from typing import Any

SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
}
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame and tell its size; those left out are tables."""
JPEG_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
"""Markers without a length behind them."""
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands of HEIC files."""
HEADER = 1 << 16
"""Bytes in which an AVIF file tells the size of its pictures."""
PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s")
TIFF_WIDTH, TIFF_HEIGHT = 256, 257
TIFF_INTEGERS = {3: "H", 4: "I"}


def image_format(data: bytes) -> str | None:
    """Return ``JPEG``, ``PNG``, ``GIF``, ``BMP``, ``WEBP``, ``TIFF``, ``JPEG2000``, ``AVIF``, ``PPM``; None for others.

    These are Pillow's names of the formats that OpenCV reads too. The first 1,024 bytes do.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    found = (name for start, name in SIGNATURES.items() if data.startswith(start))
    return next(found, "PPM" if PNM.match(data[:1024]) else None)


def is_heic(data: bytes) -> bool:
    """Whether a file is a photo as iPhones keep it, which OpenCV cannot read."""
    return data[4:8] == b"ftyp" and data[8:12] in HEIC


def image_size(data: bytes, name: str) -> tuple[int, int] | None:
    """Return width and height in pixels as a file's header promises them; None where it does not.

    Args:
        data: the whole file.
        name: what ``image_format`` says of it.
    """
    try:
        width, height = _size(data, name)
    except (error, LookupError, TypeError, ValueError):  # it ends before, or says something else
        return None
    return int(width), abs(int(height))  # of a BMP from top to bottom it is negative


def _size(data: bytes, name: str) -> Any:
    match name:
        case "JPEG":
            frame: Any = jpeg_frame(data)
            return unpack_from(">HH", data, frame + 5)[::-1]
        case "PNG":
            return unpack_from(">II", data, 16)
        case "AVIF":
            return _avif(data)
        case "GIF":
            return unpack_from("<HH", data, 6)
        case "BMP":
            return unpack_from("<HH" if data[14] == 12 else "<ii", data, 18)  # OS/2 has short ones
        case "WEBP":
            return _webp(data)
        case "TIFF":
            return _tiff(data)
        case "JPEG2000":
            # The code stream's own header: decoders go by it, whatever the boxes around it say.
            return unpack_from(">II", data, data.index(b"\xff\x4f\xff\x51") + 8)
    header: Any = PNM.match(data[:1024])
    return header.groups()


def jpeg_frame(data: bytes) -> int | None:
    """Return where a JPEG's frame header begins; the thumbnail of a camera lies in a segment before it."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in JPEG_FRAMES:
            return at
        if marker == 0xFF:  # padding
            at += 1
        elif marker in JPEG_ALONE:
            at += 2
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def _webp(data: bytes) -> tuple[int, ...]:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    return tuple(side & 0x3FFF for side in unpack_from("<HH", data, 26)) if kind == b"VP8 " else ()


def _tiff(data: bytes) -> tuple[int, ...]:
    order = "<" if data[:1] == b"I" else ">"
    (at,) = unpack_from(order + "I", data, 4)
    (count,) = unpack_from(order + "H", data, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = unpack_from(order + "HH", data, entry)
        if kind in TIFF_INTEGERS:
            (found[tag],) = unpack_from(order + TIFF_INTEGERS[kind], data, entry + 8)
    return found[TIFF_WIDTH], found[TIFF_HEIGHT]


def _avif(data: bytes) -> tuple[int, ...]:
    # Several pictures may lie in one file (alpha, tiles): the largest has to be unpacked.
    sizes = (unpack_from(">II", data, match.end() + 4) for match in re.finditer(b"ispe", data[:HEADER]))
    return max(sizes, key=lambda size: size[0] * size[1])
