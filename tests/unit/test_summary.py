import numpy as np

from smart_retail.contract import Contract
from smart_retail.data.dataset import FaceDataset
from smart_retail.data.summary import AUGMENTED_A_FACE, contact_sheet
from smart_retail.data.transforms import Augmentation, TrainTransform
from tests.helpers.pictures import write_face
from tests.helpers.tables import face_table


def test_a_contact_sheet_shows_other_draws_in_every_row_and_column(tmp_path):
    faces = face_table(range(3)).assign(path=str(write_face(tmp_path / "0.png", 0, 40)))
    data = FaceDataset(faces, ["a"], contract=Contract(image_size=32), transform=TrainTransform(Augmentation()))
    sheet = contact_sheet(data, ["a"], size=32, rows=3)
    tiles = sheet.reshape(3, 32, AUGMENTED_A_FACE + 1, 32, 3).swapaxes(1, 2)
    assert np.array_equal(tiles[0, 0], tiles[1, 0])
    assert len({tile.tobytes() for tile in tiles[:, 1:].reshape(-1, 32, 32, 3)}) == 3 * AUGMENTED_A_FACE
