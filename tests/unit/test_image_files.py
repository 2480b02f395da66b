"""Folders of pictures: the content decides, and what is left out is told."""

import cv2
import numpy as np
import pytest
from PIL import Image

from smart_retail.data.images import read_image
from smart_retail.data.sources.folder import FaceFolder
from smart_retail.edge.predict_command import find_images
from smart_retail.errors import BrokenImageError, DataError
from tests.helpers.pictures import drawn_face, write_face

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


@pytest.fixture
def folder(tmp_path):
    for name in ("IMG_1.JPG", "b.jfif", "g.jpe", "h.jpeg_large", "l.mpo", "noext", "sub.jpg/k.jpg", "x.txt"):
        path = write_face(tmp_path / "face.jpg", 1)
        (tmp_path / name).parent.mkdir(exist_ok=True)
        path.rename(tmp_path / name)
    for ending in (".gif", ".pgm", ".webp", ".jp2"):
        Image.fromarray(drawn_face(1)[..., 0]).save(tmp_path / f"p{ending}")
    for name, content in (("._IMG_1.JPG", b"\0\5\x16\7"), (".DS_Store", b""), ("Thumbs.db", b""), ("IMG_4.HEIC", HEIC)):
        (tmp_path / name).write_bytes(content)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "__MACOSX" / "._a.jpg").write_bytes(b"x")
    return tmp_path


def test_pictures_are_found_whatever_they_are_called_and_the_rest_is_told(folder, capsys):
    found = {path[len(str(folder)) + 1 :] for path in find_images([str(folder)])}
    called = {"IMG_1.JPG", "b.jfif", "g.jpe", "h.jpeg_large", "l.mpo", "noext", "sub.jpg/k.jpg", "x.txt"}
    assert found == called | {"p.gif", "p.pgm", "p.webp", "p.jp2"}
    said = capsys.readouterr().err
    assert "left out: 1 HEIC photos (save them as JPEG)" in said
    assert "left out: 4 no pictures" in said
    assert all(read_image(folder / name).ndim == 3 for name in found)


def test_a_folder_without_a_picture_is_refused_after_telling_what_it_has(tmp_path, capsys):
    (tmp_path / "a.heic").write_bytes(HEIC)
    with pytest.raises(DataError, match="no image in"):
        find_images([str(tmp_path)])
    assert "a.heic" in capsys.readouterr().err


def test_a_heic_photo_is_named_with_the_way_out(tmp_path):
    (tmp_path / "a.jpg").write_bytes(HEIC)
    with pytest.raises(BrokenImageError, match="a HEIC photo, which OpenCV does not read: save it as JPEG"):
        read_image(tmp_path / "a.jpg")


def test_avif_is_read(tmp_path):
    try:
        content = cv2.imencode(".avif", np.full((40, 60, 3), 90, np.uint8))[1].tobytes()
    except cv2.error:
        pytest.skip("this OpenCV writes no AVIF")
    (tmp_path / "a.avif").write_bytes(content)
    assert read_image(tmp_path / "a.avif").shape == (40, 60, 3)
    assert find_images([str(tmp_path)]) == [str(tmp_path / "a.avif")]


def test_folders_of_classes_take_pictures_by_their_content_too(folder):
    (folder / "happy").mkdir()
    for name in ("b.jfif", "noext", "IMG_4.HEIC", "._IMG_1.JPG"):
        (folder / name).rename(folder / "happy" / name)
    listing = FaceFolder(str(folder), "emotion").load()
    assert sorted(listing.faces["key"]) == ["folder/happy/b.jfif", "folder/happy/noext"]
    assert listing.skipped["HEIC photos (save them as JPEG)"] == 1
    assert listing.skipped["no image file"] == 1
