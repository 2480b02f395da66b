"""Boxes and landmarks under the names that people give them."""

import numpy as np
import pytest

from smart_retail.data.crops import LANDMARKS
from smart_retail.data.sources.table import FaceTable
from smart_retail.errors import DataError
from tests.helpers.pictures import write_image

SQUARE = ["crop_x", "crop_y", "crop_side"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_image(folder / "a.png", np.full((80, 100, 3), 90, np.uint8))
    return folder


def listed(folder, header, *rows, **settings):
    (folder / "faces.csv").write_text(f"path,age,{header}\n" + "".join(f"a.png,3,{row}\n" for row in rows))
    return FaceTable(str(folder / "faces.csv"), **settings).load()


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("left,top,right,bottom", "10,20,40,50"),
        ("xmin,ymin,xmax,ymax", "10,20,40,50"),
        ("x_min,x_max,y_min,y_max", "10,40,20,50"),
        ("x1,y1,x2,y2", "10,20,40,50"),
        ("bbox_x1,bbox_y1,bbox_x2,bbox_y2", "10,20,40,50"),
        ("x,y,w,h", "10,20,30,30"),
        ("x,y,dx,dy", "10,20,30,30"),
        ("face_x,face_y,face_width,face_height", "10,20,30,30"),
        ("Left,Top,Width,Height", "10,20,30,30"),
        ("x_center,y_center,width,height", "25,35,30,30"),
        ("x,y,side,angle", "25,35,30,0"),
        ("bbox", '"[50, 20, 30, 30]"'),
        ("bbox_xywh", "10 20 30 30"),
        ("bbox_xyxy", '"(10, 20, 40, 50)"'),
        ("faceRectangle", "\"{'top': 20, 'left': 10, 'width': 30, 'height': 30}\""),
        ("x,y,w,h", '"10,0","20,0","30,0","30,0"'),
    ],
)
def test_a_box_is_read_by_common_names(folder, header, cells):
    x = 65 if header == "bbox" else 25
    assert listed(folder, header, cells).faces[SQUARE].to_numpy().tolist() == [[x, 35, 30]]


def test_the_width_of_the_picture_is_no_box(folder):
    listing = listed(folder, "width,height", "100,80")
    assert np.isnan(listing.faces["crop_side"][0])
    assert listing.notes == ["columns that are not used: width, height"]
    assert listed(folder, "width,height,xmin,ymin,xmax,ymax", "100,80,10,20,40,50").faces["crop_side"].tolist() == [30]


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("x,y,w", "columns x, y, w are a part .* and h is missing; where they are something else"),
        ("left,top,width", "and height is missing"),
        ("x,y,w,hight", "and h is missing"),
        ("x,y,width,heigth", "height is missing; is heigth meant"),
        ("xmin,ymin,xmax", "and ymax is missing"),
        ("bbox_x,bbox_y,bbox_w", "and bbox_h is missing"),
        ("left_eye_x,left_eye_y,right_eye_x", "right_eye_y, mouth_x, mouth_y is missing"),
        ("lefteye_x,lefteye_y,righteye_x,righteye_y", "and mouth_x, mouth_y is missing"),
    ],
)
def test_a_part_of_a_box_or_of_landmarks_is_refused(folder, header, message):
    with pytest.raises(DataError, match=message):
        listed(folder, header, ",".join("1" for _ in header.split(",")))


def test_a_part_of_a_box_can_be_left_out_by_the_config(folder):
    assert len(listed(folder, "x,y", "1,2", columns={"x": None, "y": None}).faces) == 1


def test_a_list_of_four_numbers_is_told_apart_by_what_fits_into_the_pictures(folder):
    beyond = listed(folder, "bbox", '"60,50,90,75"')  # as x y w h it would reach over the edge
    assert beyond.faces[SQUARE].to_numpy().tolist() == [[75, 62.5, 30]]
    assert "bbox is read as x y x y" in beyond.notes
    with pytest.raises(DataError, match=r"bbox may be x y w h or x y x y; say which in columns: \{bbox: bbox_xywh\}"):
        listed(folder, "bbox", '"10,10,40,40"')
    told = listed(folder, "bbox", '"10,10,40,40"', columns={"bbox": "bbox_xyxy"})
    assert told.faces["crop_side"].tolist() == [30]


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("x,y,w,h", "10,20,,30", "x, y, w, h are incomplete"),
        ("x,y,w,h", "10,20,0,30", "width and height must be more than 0"),
        ("x,y,w,h", "0.1,0.2,0.3,0.3", "are shares of the picture's sides; they must be pixels"),
        ("x,y,w,h", '"1,024","2,048",30,30', "must be numbers .pixels., as 1024 or 10.5"),
        ("bbox", "0.1 0.2 0.3 0.4", "bbox are shares of the picture's sides"),
        ("x1,y1,x2,y2", "40,50,30,30", "right must be more than left"),
        ("bbox", '"1,2,3"', "bbox must hold 4 numbers"),
    ],
)
def test_a_box_that_is_none_is_refused_with_its_row(folder, header, cells, message):
    with pytest.raises(DataError, match=rf"{message}.*\(row 2\)"):
        listed(folder, header, cells)


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("eye_left_x,eye_left_y,eye_right_x,eye_right_y,mouth_center_x,mouth_center_y", "20,20,40,20,30,45"),
        (
            "lefteye_x,lefteye_y,righteye_x,righteye_y,nose_x,nose_y,leftmouth_x,leftmouth_y,rightmouth_x,rightmouth_y",
            "20,20,40,20,30,33,25,45,35,45",
        ),
        ("left_eye,right_eye,nose,mouth_left,mouth_right", '"(20, 20)","(40, 20)","(30, 33)","(25, 45)","(35, 45)"'),
        ("left_eye,right_eye,mouth", "\"{'y': 20, 'x': 20}\",\"{'x': 40, 'y': 20}\",\"{'x': 30, 'y': 45}\""),
    ],
)
def test_landmarks_are_read_by_common_names(folder, header, cells):
    assert listed(folder, header, cells).faces[list(LANDMARKS)].to_numpy().tolist() == [[20, 20, 40, 20, 30, 45]]


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("landmarks", '"[[20, 20], [40, 20], [30, 45]]"', "landmarks would tell where a face lies, and is not read"),
        ("left_eye,right_eye,mouth", "row: 20 col: 20,row: 20 col: 40,row: 45 col: 30", "left_eye must hold x, y"),
    ],
)
def test_landmarks_whose_order_is_not_known_are_refused(folder, header, cells, message):
    with pytest.raises(DataError, match=message):
        listed(folder, header, cells)
    assert len(listed(folder, header, cells, columns=dict.fromkeys(header.split(","))).faces) == 1
