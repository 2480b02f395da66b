import io

import cv2
import numpy as np
import pytest
from PIL import Image

from smart_retail.data.images import MAX_CHUNKS, read_image, read_image_bytes
from smart_retail.errors import BrokenImageError
from tests.helpers.pictures import drawn_face, truncate, write_face, write_image


def test_channels_come_in_the_order_red_green_blue(tmp_path):
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    assert read_image(write_image(tmp_path / "red.png", red))[0, 0].tolist() == [255, 0, 0]


def test_grey_files_get_three_equal_channels(tmp_path):
    image = read_image(write_face(tmp_path / "grey.jpg", 0, grey=True))
    assert image.shape == (48, 48, 3)
    assert (image == image[..., :1]).all()


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA", "1", "CMYK"])
def test_other_colour_modes_come_as_8_bit_rgb(tmp_path, mode):
    path = tmp_path / ("image.jpg" if mode == "CMYK" else "image.png")
    Image.fromarray(drawn_face(0, 16)).convert(mode).save(path)
    image = read_image(path)
    assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)


def test_16_bit_files_come_as_8_bit(tmp_path):
    path = tmp_path / "deep.png"
    cv2.imwrite(str(path), np.full((4, 4), 0x80FF, np.uint16))
    assert read_image(path).dtype == np.uint8
    assert read_image(path)[0, 0, 0] == 0x80


def test_exif_rotation_is_applied(tmp_path):
    image = Image.fromarray(np.zeros((10, 20, 3), np.uint8))
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (20, 10, 3)


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0"])
def test_a_file_without_an_image_is_named(tmp_path, content):
    path = tmp_path / "broken.jpg"
    path.write_bytes(content)
    with pytest.raises(BrokenImageError, match=r"broken\.jpg: cannot be decoded"):
        read_image(path)


def test_a_truncated_header_is_broken(tmp_path):
    with pytest.raises(BrokenImageError):
        read_image(truncate(write_face(tmp_path / "cut.jpg", 0)))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(BrokenImageError, match=r"gone\.jpg: no such file"):
        read_image(tmp_path / "gone.jpg")


def test_too_many_pixels_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("smart_retail.data.images.MAX_PIXELS", 63)
    with pytest.raises(BrokenImageError, match="8x8 pixels are too many"):
        read_image(write_image(tmp_path / "large.png", np.zeros((8, 8, 3), np.uint8)))


def test_a_decompression_bomb_is_broken_not_fatal(tmp_path):
    """A PNG header that promises 60000 x 60000 pixels."""
    buffer = io.BytesIO()
    Image.new("L", (4, 4)).save(buffer, "PNG")
    data = bytearray(buffer.getvalue())
    data[16:24] = (60000).to_bytes(4, "big") * 2
    path = tmp_path / "bomb.png"
    path.write_bytes(data)
    with pytest.raises(BrokenImageError):
        read_image(path)


def test_a_png_whose_chunk_claims_more_than_the_file_has_never_reaches_the_decoder(tmp_path):
    png = write_face(tmp_path / "face.png", 0).read_bytes()
    for content in (png[:33] + b"RIFF" + png[37:], png[:-12] + b"IEND" + png[-8:]):
        (tmp_path / "claims.png").write_bytes(content)
        with pytest.raises(BrokenImageError, match="cut off"):
            read_image_bytes(tmp_path / "claims.png")
    chunk = bytes(4) + b"tEXt" + bytes(4)
    (tmp_path / "many.png").write_bytes(png[:33] + chunk * MAX_CHUNKS + png[33:])
    with pytest.raises(BrokenImageError, match="chunks"):
        read_image_bytes(tmp_path / "many.png")
