"""Image files as they are found in the wild and as somebody with bad intentions makes them; all generated."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from tests.helpers.pictures import drawn_face


def encoded(kind: str, picture: Image.Image | None = None, **settings: object) -> bytes:
    """Return a drawn face, or another picture, as bytes of a format."""
    buffer = io.BytesIO()
    (picture or Image.fromarray(drawn_face(1, 64))).save(buffer, kind, **settings)
    return buffer.getvalue()


def png_bomb(width: int = 20_000, height: int = 20_000) -> bytes:
    """Return a valid black 1 bit PNG: about 50 kB that unfold to 1.2 GB of RGB."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    rows = zlib.compress(bytes(height * (1 + (width + 7) // 8)), 9)
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def readable_images() -> dict[str, bytes]:
    """Return odd but sound files by name: a face can be made of each."""
    face = Image.fromarray(drawn_face(1, 64))
    turned = Image.Exif()
    turned[0x0112] = 6
    moving = {"save_all": True, "append_images": [face.rotate(90)]}
    clear = face.quantize(16)
    clear.info["transparency"] = 0
    return {
        "progressive.jpg": encoded("JPEG", progressive=True),
        "cmyk.jpg": encoded("JPEG", face.convert("CMYK")),
        "cmyk.tif": encoded("TIFF", face.convert("CMYK")),
        "grey.jpg": encoded("JPEG", face.convert("L")),
        "turned.jpg": encoded("JPEG", face.resize((64, 32)), exif=turned),
        "png_named.jpg": encoded("PNG"),
        "jpeg_named.png": encoded("JPEG"),
        "transparent_palette.png": encoded("PNG", clear),
        "alpha.png": encoded("PNG", face.convert("RGBA")),
        "one_bit.png": encoded("PNG", face.convert("1")),
        "16_bit.png": cv2.imencode(".png", drawn_face(1, 64).astype(np.uint16) * 257)[1].tobytes(),
        "animated.gif": encoded("GIF", **moving),
        "animated.webp": encoded("WEBP", **moving),
        "lossless.webp": encoded("WEBP", lossless=True),
        "animated.png": encoded("PNG", **moving),
        "plain.bmp": encoded("BMP"),
        "plain.ppm": encoded("PPM"),
        "plain.jp2": encoded("JPEG2000"),
        "one_pixel.png": encoded("PNG", face.resize((1, 1))),
        "one_pixel.jpg": encoded("JPEG", face.resize((1, 1))),
        "wide.png": encoded("PNG", face.resize((30_000, 12))),
        "wider_than_a_warp_takes.png": encoded("PNG", face.resize((40_000, 12))),
        "tall.jpg": encoded("JPEG", face.resize((8, 60_000))),
        "garbage_behind.jpg": encoded("JPEG") + b"garbage" * 100,
    }


def broken_images() -> dict[str, bytes]:
    """Return files by name that must be refused, with the name, and soon."""
    jpeg, png = encoded("JPEG"), encoded("PNG")
    deep = bytearray(png)
    deep[16:24] = struct.pack(">II", 60_000, 60_000)
    none = bytearray(png)
    none[16:24] = struct.pack(">II", 0, 64)
    at = jpeg.index(b"\xff\xc0")
    tall = jpeg[: at + 5] + struct.pack(">HH", 65_500, 65_500) + jpeg[at + 9 :]
    scan = jpeg[jpeg.index(b"\xff\xda") : -2]
    return {
        "empty.jpg": b"",
        "one_byte.jpg": b"\xff",
        "signature.jpg": jpeg[:4],
        **{f"cut_{share}.jpg": jpeg[: len(jpeg) * share // 100] for share in (5, 30, 60, 90, 99)},
        **{f"cut_{share}.png": png[: len(png) * share // 100] for share in (5, 60, 99)},
        "cut.webp": encoded("WEBP")[:200],
        "cut.gif": encoded("GIF")[:100],
        "cut.tif": encoded("TIFF")[:200],
        "bomb.png": png_bomb(),
        "promises_much.png": bytes(deep),
        "no_width.png": bytes(none),
        "claims_much.png": png[:33] + b"RIFF" + png[37:],  # 1.3 GB of pixels in a file of a few kilobytes
        "promises_much.jpg": tall,
        "many_scans.jpg": jpeg[:-2] + scan * 2_000 + jpeg[-2:],
        "promises_much.ppm": b"P6 999999999 999999999 255\n" + bytes(100),
        "text.jpg": b"no image at all\n" * 10,
        "drawing.jpg": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
        "postscript.jpg": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(owned) (w) file\n%%EOF\n",
        "icon.jpg": encoded("ICO"),
        "zeros.png": bytes(5_000),
    }


def write_hostile_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """Write the whole corpus, with what is no file at all; return the readable and the broken ones."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for group in (readable_images(), broken_images()):
        paths.append([folder / name for name in group])
        for name, content in group.items():
            (folder / name).write_bytes(content)
    (folder / "a_folder.jpg").mkdir()
    os.mkfifo(folder / "a_pipe.jpg")
    (folder / "a_loop.jpg").symlink_to(folder / "a_loop.jpg")
    (folder / "leads_nowhere.jpg").symlink_to(folder / "nowhere.jpg")
    specials = ("a_folder.jpg", "a_pipe.jpg", "a_loop.jpg", "leads_nowhere.jpg")
    return paths[0], paths[1] + [folder / name for name in specials]
