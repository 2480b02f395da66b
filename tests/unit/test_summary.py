import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.dataset import FaceDataset
from smart_retail.data.transforms import Augmentation, TrainTransform
from smart_retail.sheet import COLUMNS, FACES_A_ROW, GAP_PX, HEAD_PX, TEXT_PX, contact_sheet
from tests.helpers.pictures import write_face
from tests.helpers.tables import face_table

SIZE = 64


def test_a_contact_sheet_shows_of_each_face_the_picture_the_crop_and_two_other_draws(tmp_path):
    faces = face_table(range(4), age=[20, 30, 40, None]).assign(path=str(write_face(tmp_path / "0.png", 0, 40)))
    data = FaceDataset(faces, ["a"], contract=Contract(image_size=32), transform=TrainTransform(Augmentation()))
    sheet = contact_sheet(data, ["a"], size=SIZE, rows=2)
    wide, high = SIZE * len(COLUMNS) + GAP_PX, SIZE + TEXT_PX
    assert sheet.shape == (HEAD_PX + 2 * high, FACES_A_ROW * wide - GAP_PX, 3)
    tiles = [
        [sheet[top : top + SIZE, left + SIZE * at : left + SIZE * (at + 1)] for at in range(len(COLUMNS))]
        for top, left in ((HEAD_PX, 0), (HEAD_PX, wide), (HEAD_PX, 2 * wide), (HEAD_PX + high, 0))
    ]
    assert all(np.array_equal(face[1], tiles[0][1]) for face in tiles)  # one picture, one crop
    assert len({tile.tobytes() for face in tiles for tile in face[2:]}) == 8  # no two draws alike
    captions = [sheet[top : top + TEXT_PX, :SIZE] for top in (HEAD_PX + SIZE, HEAD_PX + high + SIZE)]
    assert all(caption.min() < 100 for caption in captions)
    assert not np.array_equal(*captions)  # of another age
