"""What an image file says of itself in its first bytes: its format and its size, before anything is decoded."""

from __future__ import annotations

import re
import struct

TIFF_WIDTH, TIFF_HEIGHT = 256, 257
TIFF_SHORT, TIFF_LONG = 3, 4
JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers that begin a frame and tell its size; those left out are tables."""
JPEG_ALONE = frozenset(range(0xD0, 0xD8)) | {0x01}
"""Markers without a length behind them."""
HEIC = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
"""Brands of HEIC files."""
HEADER = 1 << 16
"""Bytes in which an AVIF file tells the size of its pictures."""
PNM = re.compile(rb"P[1-6](?:\s+|#[^\n]*\n)+(\d{1,9})(?:\s+|#[^\n]*\n)+(\d{1,9})\s")


def image_format(data: bytes) -> str | None:
    """Return ``JPEG``, ``PNG``, ``GIF``, ``BMP``, ``WEBP``, ``TIFF``, ``JPEG2000``, ``AVIF``, ``PPM``; None for others.

    These are Pillow's names of the formats that OpenCV reads too. The first 1,024 bytes do.
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:12] in (b"ftypavif", b"ftypavis"):
        return "AVIF"
    for start, name in (
        (b"\xff\xd8\xff", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"GIF8", "GIF"),
        (b"BM", "BMP"),
        (b"II*\0", "TIFF"),
        (b"MM\0*", "TIFF"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG2000"),
        (b"\xff\x4f\xff\x51", "JPEG2000"),
    ):
        if data.startswith(start):
            return name
    return "PPM" if PNM.match(data[:1024]) else None


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
        return SIZES[name](data)
    except (struct.error, IndexError):
        return None


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = jpeg_frame(data)
    if at is None:
        return None
    height, width = struct.unpack_from(">HH", data, at + 5)
    return width, height


def jpeg_frame(data: bytes) -> int | None:
    """Return where a JPEG's frame header begins; the thumbnail of a camera lies in a segment before it."""
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
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


def _png(data: bytes) -> tuple[int, int]:
    return struct.unpack_from(">II", data, 16)


def _gif(data: bytes) -> tuple[int, int]:
    return struct.unpack_from("<HH", data, 6)


def _bmp(data: bytes) -> tuple[int, int]:
    if data[14] == 12:  # OS/2
        return struct.unpack_from("<HH", data, 18)
    width, height = struct.unpack_from("<ii", data, 18)
    return width, abs(height)


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:1] == b"I" else ">"
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    found = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in (TIFF_WIDTH, TIFF_HEIGHT) and kind in (TIFF_SHORT, TIFF_LONG):
            (found[tag],) = struct.unpack_from(order + ("H" if kind == TIFF_SHORT else "I"), data, entry + 8)
    return (found[TIFF_WIDTH], found[TIFF_HEIGHT]) if len(found) == 2 else None


def _jpeg2000(data: bytes) -> tuple[int, int] | None:
    # The code stream's own header: decoders go by it, whatever the boxes around it say.
    at = data.find(b"\xff\x4f\xff\x51")
    return struct.unpack_from(">II", data, at + 8) if at >= 0 else None


def _avif(data: bytes) -> tuple[int, int] | None:
    # Several pictures may lie in one file (alpha, tiles): the largest has to be unpacked.
    at = [match.end() + 4 for match in re.finditer(b"ispe", data[:HEADER])]
    return max(
        (struct.unpack_from(">II", data, start) for start in at), key=lambda size: size[0] * size[1], default=None
    )


def _ppm(data: bytes) -> tuple[int, int] | None:
    match = PNM.match(data[:1024])
    return (int(match[1]), int(match[2])) if match else None


SIZES = {
    "JPEG": _jpeg,
    "PNG": _png,
    "GIF": _gif,
    "BMP": _bmp,
    "WEBP": _webp,
    "TIFF": _tiff,
    "JPEG2000": _jpeg2000,
    "AVIF": _avif,
    "PPM": _ppm,
}
