"""Every place of the training side that reads images, given the worst: no crash, no hang, the file is named."""

import resource
import shutil
from pathlib import Path

import numpy as np
import pytest

from smart_retail.data.datamodule import FaceDataModule
from smart_retail.data.duplicates import scan_image
from smart_retail.data.image_header import image_format, image_size
from smart_retail.data.images import MAX_PIXELS, read_image
from smart_retail.data.index import SplitSettings
from smart_retail.data.sources.all_age_faces import AllAgeFaces
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.errors import BrokenImageError, DataError
from smart_retail.sheet import contact_sheet
from tests.helpers.hostile_images import write_hostile_images
from tests.helpers.trees import face_points, write_all_age_faces, write_fer2013, write_points, write_utkface

NAN = float("nan")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Path], list[Path]]:
    folder = tmp_path_factory.mktemp("hostile")
    return folder, *write_hostile_images(folder)


def test_what_is_sound_is_read_and_the_header_told_its_size(corpus):
    for path in corpus[1]:
        image = read_image(path)
        data = path.read_bytes()
        width, height = image_size(data, image_format(data))
        turned = path.name == "turned.jpg"
        assert image.shape == ((width, height, 3) if turned else (height, width, 3)), path.name
        assert image.dtype == np.uint8


def test_what_is_broken_is_refused_by_name_in_little_memory(corpus):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in corpus[2]:
        with pytest.raises(BrokenImageError, match=path.name) as refused:
            read_image(path)
        assert "\n" not in str(refused.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_pixels_are_counted_before_they_are_decoded(corpus):
    with pytest.raises(BrokenImageError, match=f"20000x20000 pixels are too many .the most is {MAX_PIXELS:,}"):
        read_image(corpus[0] / "bomb.png")


def test_hashing_agrees_on_what_is_broken(corpus):
    readable, broken = ([scan_image((str(p), NAN, NAN, NAN))[3] for p in paths] for paths in corpus[1:])
    assert [p.name for p, why in zip(corpus[1], readable, strict=True) if why] == []
    assert [p.name for p, why in zip(corpus[2], broken, strict=True) if not why] == []


@pytest.fixture(scope="module")
def data(corpus, tmp_path_factory: pytest.TempPathFactory) -> FaceDataModule:
    """The corpus as a table of one's own; what hashing finds broken is left out of it."""
    folder, readable, broken = corpus
    table = tmp_path_factory.mktemp("table") / "faces.csv"
    lines = [f"{p.name},{20 + i},train" for i, p in enumerate(readable + broken)]
    table.write_text("path,age,split\n" + "\n".join(lines) + "\n")
    source = FaceTable(str(table), root=str(folder))
    splits = SplitSettings(val_share=0, test_share=0)
    return FaceDataModule([source], image_size=32, workers=0, splits=splits, max_broken=1.0)


def test_training_gets_every_sound_face_and_counts_the_others(corpus, data):
    assert {Path(p).name for p in data.index.faces["path"]} == {p.name for p in corpus[1]}
    assert not {Path(path).name for path, _ in data.index.broken} - {p.name for p in corpus[2]}
    assert all(why and "\n" not in why for _, why in data.index.broken)
    loader = data.train_dataloader()
    batch = next(iter(loader))
    assert batch.image.shape[1:] == (3, 32, 32)


def test_files_that_break_later_are_skipped_by_the_loader(corpus, data, caplog):
    training = data.dataset("train")
    paths = training.paths.copy()
    try:
        training.paths[:] = [str(p) for p in (corpus[2] * 2)[: len(paths)]]
        assert [training[row] for row in range(10)] == [None] * 10
        assert corpus[2][0].name in caplog.text
        with pytest.raises(DataError, match="no image of a whole batch"):
            training.collate([None])
    finally:
        training.paths[:] = paths


def test_the_contact_sheet_shows_the_sound_and_names_the_broken(corpus, data):
    training = data.dataset("train")
    assert contact_sheet(training, ["own"], size=32, rows=30).shape[2] == 3
    first = training.paths[0]
    try:
        training.paths[0] = str(corpus[0] / "cut_5.jpg")
        with pytest.raises(DataError, match=r"cut_5\.jpg"):
            contact_sheet(training, ["own"], size=32)
    finally:
        training.paths[0] = first


def hostile_names(folder: Path, pattern: str, corpus: Path) -> None:
    """Put the whole corpus into a data set under names that its source takes for faces."""
    shutil.rmtree(folder, ignore_errors=True)
    write_hostile_images(folder)
    for i, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / pattern.format(i=i))


@pytest.mark.parametrize("kind", ["utkface", "fer2013", "all_age_faces"])
def test_sources_list_and_hash_such_folders(tmp_path, corpus, kind):
    source: UTKFace | FER2013 | AllAgeFaces
    if kind == "utkface":
        source = UTKFace(str(write_utkface(tmp_path / "utk", 4)))
        hostile_names(tmp_path / "utk" / "UTKFace", "30_1_2_2017{i:013d}.jpg.chip.jpg", corpus[0])
    elif kind == "fer2013":
        source = FER2013(str(write_fer2013(tmp_path / "fer", 1)))
        hostile_names(tmp_path / "fer" / "train" / "happy", "Training_{i}.jpg", corpus[0])
    else:
        source = AllAgeFaces(str(write_all_age_faces(tmp_path / "aaf", 2)))
        base = tmp_path / "aaf" / "All-Age-Faces Dataset"
        hostile_names(base / "original images", "{i:05d}A30.jpg", corpus[0])
        for i in range(len(corpus[1] + corpus[2])):
            write_points(base / "key points" / f"{i:05d}A30.txt", face_points((20, 24), (44, 24), (32, 48)))
    module = FaceDataModule([source], image_size=32, workers=0, max_broken=1.0)
    assert len(module.index.broken) >= len(corpus[2])
    assert len(module.index.faces) >= 10
