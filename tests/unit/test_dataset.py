import numpy as np
import pytest
import torch

from smart_retail.contract import Contract
from smart_retail.data.crops import crop_square, whole_image
from smart_retail.data.dataset import ALLOWED_BROKEN, FaceDataset
from smart_retail.data.images import read_image
from smart_retail.data.sampler import Draw
from smart_retail.data.transforms import Augmentation, TrainTransform
from smart_retail.errors import DataError
from smart_retail.tasks import TASKS
from tests.helpers.pictures import truncate, write_face
from tests.helpers.tables import face_table


def faces_on_disk(folder, count=4, **labels):
    faces = face_table(range(count), **labels)
    faces["path"] = [str(write_face(folder / f"{i}.png", i, 40)) for i in range(count)]
    return faces


def dataset(faces, **settings):
    return FaceDataset(faces, ["a"], **{"contract": Contract(image_size=32)} | settings)


def test_a_plain_number_gives_the_plain_crop(tmp_path):
    faces = faces_on_disk(tmp_path)
    image, row = dataset(faces, transform=TrainTransform(Augmentation()))[2]
    expected = read_image(faces["path"][2])
    assert row == 2
    assert (image.permute(1, 2, 0).numpy() == crop_square(expected, whole_image(expected), 32)).all()


def test_a_draw_tells_row_size_and_augmentation(tmp_path):
    data = dataset(faces_on_disk(tmp_path), transform=TrainTransform(Augmentation()))
    (a, row), (b, _), (c, _) = data[Draw(1, 48, 5)], data[Draw(1, 48, 5)], data[Draw(1, 48, 6)]
    assert (a.shape, row) == ((3, 48, 48), 1)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def test_a_crop_square_is_used_where_there_is_one(tmp_path):
    faces = faces_on_disk(tmp_path)
    faces.loc[0, ["crop_x", "crop_y", "crop_side"]] = 16.0
    image, _ = dataset(faces, contract=Contract(image_size=16))[0]
    assert (image.permute(1, 2, 0).numpy() == read_image(faces["path"][0])[8:24, 8:24]).all()


def test_labels_are_minus_one_exactly_where_they_are_missing(tmp_path):
    faces = faces_on_disk(tmp_path, gender=[1, None, 0, None], age=[3, 4, None, None], emotion=[None, None, None, 5])
    data = dataset(faces)
    labels = data.collate([data[i] for i in range(4)]).labels
    assert labels["gender"].tolist() == [1, -1, 0, -1]
    assert labels["age"].tolist() == [3, 4, -1, -1]
    assert labels["emotion"].tolist() == [-1, -1, -1, 5]


def test_a_batch_has_the_documented_types(tmp_path):
    data = dataset(faces_on_disk(tmp_path))
    batch = data.collate([data[0], data[3]])
    assert (batch.image.dtype, batch.image.shape) == (torch.uint8, (2, 3, 32, 32))
    assert batch.image.is_contiguous()
    assert [batch.labels[task.name].dtype for task in TASKS] == [torch.int64, torch.float32, torch.int64]
    assert batch.row.tolist() == [0, 3]


def test_a_file_broken_since_the_scan_is_left_out_of_its_batch(tmp_path, caplog):
    faces = faces_on_disk(tmp_path, gender=[0, 1, 0, 1])
    truncate(tmp_path / "1.png", 0)
    data = dataset(faces)
    batch = data.collate([data[i] for i in range(4)])
    assert batch.row.tolist() == [0, 2, 3]
    assert batch.labels["gender"].tolist() == [0, 0, 1]
    assert "1.png" in caplog.text


def test_a_batch_without_any_readable_image_stops(tmp_path):
    data = dataset(faces_on_disk(tmp_path))
    with pytest.raises(DataError, match="is the data folder still there"):
        data.collate([None, None])


def test_a_few_broken_files_never_stop_a_run(tmp_path):
    faces = faces_on_disk(tmp_path, ALLOWED_BROKEN)
    for path in tmp_path.iterdir():
        truncate(path, 0)
    data = dataset(faces, max_broken=0.0)
    assert [data[i] for i in range(ALLOWED_BROKEN)] == [None] * ALLOWED_BROKEN


def test_more_than_the_allowed_share_stops_with_the_last_file(tmp_path):
    faces = faces_on_disk(tmp_path, ALLOWED_BROKEN + 1)
    for path in tmp_path.iterdir():
        truncate(path, 0)
    data = dataset(faces, max_broken=0.5)
    with pytest.raises(
        DataError,
        match=rf"{ALLOWED_BROKEN + 1} of the last {ALLOWED_BROKEN + 1} images.*max_broken.*{ALLOWED_BROKEN}\.png",
    ):
        for i in range(ALLOWED_BROKEN + 1):
            _ = data[i]


def test_the_data_set_number_is_its_place_in_the_list(tmp_path):
    faces = faces_on_disk(tmp_path)
    faces["dataset"] = ["b", "a", "b", "c"]
    data = FaceDataset(faces, ["a", "b", "c"], contract=Contract(image_size=32))
    assert data.datasets.tolist() == [1, 0, 1, 2]
    assert np.array_equal(data.collate([data[3], data[0]]).dataset, [2, 1])
