import contextlib
import hashlib
import json
import os
import signal

import cv2
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader

from smart_retail.contract import Contract
from smart_retail.data import pack, processes
from smart_retail.data.corruptions import OFF_CENTRE
from smart_retail.data.crops import crop_square, cut_face, face_squares, place
from smart_retail.data.dataset import FaceDataset
from smart_retail.data.images import read_image, read_image_bytes
from smart_retail.data.pack import PackSettings, write_pack
from smart_retail.data.packed_images import _held
from smart_retail.data.sampler import BalancedSampler
from smart_retail.data.sources.base import COLUMNS
from smart_retail.data.sources.packed import NAME, PackedFaces
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.transforms import Augmentation, TrainTransform
from smart_retail.errors import BrokenImageError, ConfigError, DataError
from smart_retail.tasks import EMOTION
from tests.helpers.packs import change_about, change_table, index_of, mixed_sources, pack_of
from tests.helpers.pictures import drawn_face, write_face, write_image
from tests.helpers.trees import write_table

PLACED = ["path", "picture", *[name for name, kind in COLUMNS.items() if name.startswith(("crop", "left", "right"))]]
PLACED += ["mouth_x", "mouth_y"]
POINTS = "left_eye_x,left_eye_y,right_eye_x,right_eye_y,mouth_x,mouth_y"


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return mixed_sources(tmp_path_factory.mktemp("trees"))


@pytest.fixture(scope="module")
def folder(sources, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs") / "pack"
    pack_of(folder, *sources, size=64)
    return folder


@pytest.fixture
def small(tmp_path):
    """A pack of two faces that a test may damage."""
    table = write_table(tmp_path / "own", "path,age\na.png,30\nb.png,40\n", ["a.png", "b.png"])
    pack_of(tmp_path / "pack", FaceTable(str(table)))
    return tmp_path / "pack"


@pytest.mark.parametrize(
    "settings",
    [{}, {"seed": 3, "val_share": 0.3}, {"drop_leaks": False}, {"drop_contradictions": True, "drop_repeats": True}],
)
def test_a_pack_has_the_splits_clusters_order_and_fingerprint_of_its_files(sources, folder, settings):
    files, packed = index_of(*sources, **settings), index_of(PackedFaces(str(folder)), **settings)
    same = [name for name in files.faces if name not in PLACED]
    assert packed.faces[same].equals(files.faces[same])
    assert {"cluster", "exact", "split", "digest", "emotion_votes_fear", "emotion_original"} <= set(same)
    assert packed.fingerprint() == files.fingerprint()
    assert packed.skipped == files.skipped
    assert packed.skipped["fer2013"]["unreadable image"] == 1
    assert packed.terms == files.terms
    assert packed.datasets == files.datasets


def test_the_order_of_training_is_the_same(sources, folder):
    orders = []
    for index in (index_of(*sources), index_of(PackedFaces(str(folder)))):
        train = index.part("train")
        sampler = BalancedSampler(np.ones(len(train)), epoch_size=len(train), sizes={0: 32}, seed=5)
        orders.append([train["key"].iloc[draw.row] for draw in sampler])
    assert orders[0] == orders[1]


def test_faces_of_one_picture_stay_so(sources, folder):
    files, packed = (i.faces.groupby(["dataset", "picture"]).ngroup() for i in (index_of(*sources), read(folder)))
    assert packed.tolist() == files.tolist()
    assert (read(folder).faces["picture"] == "own/both.png").sum() == 2


def read(folder):
    return index_of(PackedFaces(str(folder)))


def test_no_place_of_this_machine_enters_a_pack(sources, folder):
    for path in folder.iterdir():
        data = path.read_bytes()
        assert str(folder.parent.parent).encode() not in data
        assert b"trees" not in data


def test_a_pack_of_a_pack_has_the_same_fingerprint(folder, tmp_path):
    again = pack_of(tmp_path / "again", PackedFaces(str(folder)), size=64)
    assert index_of(again).fingerprint() == read(folder).fingerprint()


@pytest.mark.parametrize("crop", ["eyes", "upright"])
def test_crops_are_those_of_the_files_where_nothing_is_lost(tmp_path, crop):
    lines = [f"a.png,30,130,{140 + turn},160,{140 - turn},{145 + turn},172" for turn in (-12, 0, 5)]
    table = write_table(tmp_path / "own", "\n".join([f"path,age,{POINTS}", *lines]))
    write_image(table.parent / "a.png", cv2.GaussianBlur(drawn_face(3, 256), (0, 0), 2))
    source = FaceTable(str(table))
    files, packed = index_of(source).faces, index_of(pack_of(tmp_path / "pack", source, size=512, quality=101)).faces
    contract = Contract(image_size=96, crop=crop)
    places = [face_squares(faces, contract) for faces in (files, packed)]
    for row in range(3):
        images = [read_image(faces["path"].iloc[row]) for faces in (files, packed)]
        assert images[1].shape != images[0].shape
        a, b = (cut_face(image, squares[row], 96).astype(int) for image, squares in zip(images, places, strict=True))
        assert abs(a - b).max() <= 1
        # Augmentation needs the margin: the farthest zoom, shift and turn.
        far = [place(i, s[row]) for i, s in zip(images, places, strict=True)]
        far = [s._replace(x=s.x + 0.06 * s.side, y=s.y - 0.06 * s.side, side=1.12 * s.side) for s in far]
        for angle in (-12, 12):
            a, b = (crop_square(i, s, 96, angle=angle).astype(int) for i, s in zip(images, far, strict=True))
            assert abs(a - b).max() <= 1


@pytest.mark.parametrize(
    "settings",
    [
        {"zoom": 0.3, "shift": 0.2},
        {"strength": 2.0},
        {"turn": 45.0},
        {"corrupt": {OFF_CENTRE: 1.0}, "severity": 4.0},
    ],
)
def test_the_margin_has_room_for_the_augmentation_of_the_config(tmp_path, settings):
    table = write_table(tmp_path / "own", f"path,age,{POINTS}\na.png,30,143,150,163,150,153,172\n")
    noise = np.random.default_rng(0).integers(256, size=(306, 306, 3), dtype=np.uint8)
    write_image(table.parent / "a.png", cv2.GaussianBlur(noise, (0, 0), 3))
    places_alone = {"grey": 0.0, "degrade": 0.0, "light": 0.0, "occlude": 0.0}
    index, augmentation = index_of(FaceTable(str(table))), Augmentation(**places_alone | settings)
    write_pack(index, tmp_path / "pack", PackSettings(512, 101), workers=1, augmentation=augmentation)
    both = index.faces, read(tmp_path / "pack").faces
    images = [read_image(faces["path"].iloc[0]) for faces in both]
    assert images[1].shape != images[0].shape
    squares = [place(i, face_squares(faces, Contract())[0]) for i, faces in zip(images, both, strict=True)]
    transform = TrainTransform(augmentation)
    for seed in range(200):
        crops = [transform(i, s, 64, seed).astype(int) for i, s in zip(images, squares, strict=True)]
        assert abs(crops[0] - crops[1]).max() <= 2, seed


def test_large_faces_are_shrunk_and_small_ones_are_not(tmp_path):
    table = write_table(tmp_path / "own", "path,age\nlarge.png,30\nsmall.png,40\n")
    write_image(table.parent / "large.png", drawn_face(1, 200))
    write_image(table.parent / "small.png", drawn_face(2, 40))
    faces = index_of(pack_of(tmp_path / "pack", FaceTable(str(table)), size=64)).faces
    assert [read_image(path).shape for path in faces["path"]] == [(64, 64, 3), (40, 40, 3)]


def test_crops_of_shrunk_faces_look_as_those_of_the_files(sources, folder):
    contract = Contract(image_size=48)
    for faces in zip(index_of(*sources).faces.to_dict("records"), read(folder).faces.to_dict("records"), strict=True):
        crops = []
        for face in faces:
            square = face_squares(pd.DataFrame([face]), contract)[0]
            crops.append(cut_face(read_image(face["path"]), square, 48).astype(float))
        assert abs(crops[0] - crops[1]).mean() < 5, faces[0]["key"]


def test_a_small_jpeg_is_kept_as_it_is_unless_it_tells_more_than_the_picture(tmp_path):
    table = write_table(tmp_path / "own", "path,age\nplain.jpg,30\nnoted.jpg,40\n")
    data = write_face(table.parent / "plain.jpg", 1, 48, grey=True).read_bytes()
    note = b"\xff\xe1" + (2 + 20).to_bytes(2, "big") + b"Exif\0\0" + bytes(14)
    (table.parent / "noted.jpg").write_bytes(data[:2] + note + data[2:])
    faces = index_of(pack_of(tmp_path / "pack", FaceTable(str(table)), quality=100)).faces
    assert read_image_bytes(faces["path"].iloc[1]) == (data, "JPEG")  # rows are in the order of the keys
    assert read_image_bytes(faces["path"].iloc[0])[1] == "WEBP"


def test_no_file_is_larger_than_asked_for(tmp_path):
    names = [f"{i:02d}.png" for i in range(40)]
    table = write_table(tmp_path / "own", "path,age\n" + "".join(f"{name},30\n" for name in names))
    noise = np.random.default_rng(0)
    for name in names:
        write_image(table.parent / name, noise.integers(0, 256, (150, 150, 3), dtype=np.uint8))
    source = pack_of(tmp_path / "pack", FaceTable(str(table)), size=512, quality=101, megabytes=1)
    sizes = [path.stat().st_size for path in (tmp_path / "pack").glob("*.parquet")]
    assert len(sizes) == 4
    assert max(sizes) <= 10**6
    assert [cell.split("/")[1] for cell in index_of(source).faces["key"]] == names


def test_workers_of_a_loader_read_what_one_process_reads(folder):
    train = read(folder).part("train").reset_index(drop=True)
    datasets = list(train["dataset"].unique())
    data = FaceDataset(train, datasets, contract=Contract(image_size=32), transform=TrainTransform(Augmentation()))

    def batches(workers):
        sampler = BalancedSampler(np.ones(len(data)), epoch_size=len(data), sizes={0: 32}, seed=5)
        return list(DataLoader(data, 8, sampler=sampler, collate_fn=data.collate, num_workers=workers))

    for one, two in zip(batches(0), batches(2), strict=True):
        assert torch.equal(one.image, two.image)
        assert torch.equal(one.labels["emotion_votes"], two.labels["emotion_votes"])


def test_a_process_that_has_not_listed_the_pack_reads_its_images(folder):
    path = read(folder).faces["path"].iloc[0]
    before = read_image(path)
    _held.clear()
    assert (read_image(path) == before).all()


class TestWriting:
    def test_processes_write_what_one_writes(self, sources, folder, tmp_path, monkeypatch):
        monkeypatch.setattr(processes, "PARALLEL_FROM", 2)
        write_pack(index_of(*sources), tmp_path / "pack", PackSettings(size=64), workers=2)
        assert {p.name: p.read_bytes() for p in (tmp_path / "pack").iterdir()} == {
            p.name: p.read_bytes() for p in folder.iterdir()
        }

    @pytest.mark.parametrize(
        ("settings", "named"),
        [({"size": 31}, "pack_size 31"), ({"quality": 0}, "pack_quality 0"), ({"megabytes": 0}, "pack_mb 0")],
    )
    def test_settings_beyond_their_range_are_refused(self, settings, named):
        with pytest.raises(ConfigError, match=f"--{named} is outside"):
            PackSettings(**settings)

    def test_a_folder_of_something_else_is_not_overwritten(self, sources, tmp_path):
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "mine.jpg").write_bytes(b"mine")
        with pytest.raises(ConfigError, match="photos exists and is no pack"):
            pack_of(tmp_path / "photos", *sources)
        assert (tmp_path / "photos" / "mine.jpg").read_bytes() == b"mine"

    def test_a_pack_is_replaced_by_a_new_one(self, small, sources):
        index = index_of(pack_of(small, *sources, size=64))
        assert len(index.faces) > 2
        assert [p.name for p in small.parent.iterdir() if p.name.startswith(".")] == []

    def test_a_kill_in_the_middle_leaves_no_pack_and_the_next_writer_clears_up(self, sources, tmp_path, monkeypatch):
        index, once = index_of(*sources), pack.pack_face
        if (child := os.fork()) == 0:
            left = iter(range(20))
            monkeypatch.setattr(pack, "pack_face", lambda task: once(task) if next(left) < 19 else die())
            write_pack(index, tmp_path / "out" / "pack", PackSettings(), workers=1)
        os.waitpid(child, 0)
        assert [path.name.startswith(".pack-aside-") for path in (tmp_path / "out").iterdir()] == [True]
        write_pack(index, tmp_path / "out" / "pack", PackSettings(), workers=1)
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["pack"]

    def test_a_file_that_vanished_is_named_and_leaves_nothing(self, tmp_path):
        table = write_table(tmp_path / "own", "path,age\na.png,30\nb.png,40\n", ["a.png", "b.png"])
        index = index_of(FaceTable(str(table)))
        (table.parent / "b.png").unlink()
        with pytest.raises(BrokenImageError, match=r"b\.png: no such file"):
            write_pack(index, tmp_path / "out" / "pack", PackSettings(), workers=1)
        assert list((tmp_path / "out").iterdir()) == []


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class TestBadPacks:
    def refused(self, folder, match):
        with pytest.raises(DataError, match=match):
            read(folder)

    def test_a_folder_without_a_pack_is_told_how_to_write_one(self, tmp_path):
        self.refused(tmp_path, r"is no pack: it has no pack\.json.*--pack FOLDER")

    @pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"faces": 2}', '{"format": [' * 3, "[" * 100_000])
    def test_a_damaged_description_is_told(self, small, text):
        (small / NAME).write_text(text)
        self.refused(small, r"pack\.json is damaged")

    def test_another_version_is_told(self, small):
        change_about(small, lambda about: about.update(format=7))
        self.refused(small, r"a pack of format 7, and this version reads 2; write it anew")

    @pytest.mark.parametrize(
        "change",
        [
            lambda about: about.pop("files"),
            lambda about: about.update(files=[]),
            lambda about: about["files"][0].update(name="../faces-000.parquet"),
            lambda about: about["files"][0].pop("sha256"),
            lambda about: about.update(datasets="own"),
            lambda about: about["datasets"][0].update(name="a/b"),
            lambda about: about["datasets"][0].update(skipped={"why": "many"}),
        ],
    )
    def test_a_description_that_cannot_be_is_told(self, small, change):
        change_about(small, change)
        self.refused(small, r"pack\.json is damaged \(its .* cannot be\)")

    @pytest.mark.parametrize(
        "change", [lambda about: about.update(faces=3), lambda about: about["datasets"][0].update(name="other")]
    )
    def test_a_description_of_other_faces_is_told(self, small, change):
        change_about(small, change)
        self.refused(small, "do not hold the faces that")

    def test_a_missing_file_is_told(self, small):
        (small / "faces-000.parquet").unlink()
        self.refused(small, r"faces-000\.parquet: no such file")

    def test_a_cut_file_is_refused_by_name_and_size(self, small):
        path = small / "faces-000.parquet"
        path.write_bytes(path.read_bytes()[:100])
        self.refused(small, r"faces-000\.parquet: 100 bytes, not [\d,]+ as it was written")

    def test_an_altered_file_is_refused_by_its_sum(self, small):
        data = bytearray((small / "faces-000.parquet").read_bytes())
        data[200] ^= 1
        (small / "faces-000.parquet").write_bytes(data)
        self.refused(small, r"faces-000\.parquet is not as it was written \(another SHA-256\)")

    def test_a_file_that_is_no_parquet_is_refused(self, small):
        (small / "faces-000.parquet").write_bytes(b"PAR1 not")
        fitting = {"bytes": 8, "sha256": hashlib.sha256(b"PAR1 not").hexdigest()}
        change_about(small, lambda about: about["files"][0].update(fitting))
        self.refused(small, r"faces-000\.parquet: not readable as Parquet")

    @pytest.mark.parametrize("image", [None, b""])
    def test_a_row_without_image_is_named(self, small, image):
        def change(table):
            images = pa.array([table["image"][0].as_py(), image], pa.binary())
            return table.set_column(table.column_names.index("image"), "image", images)

        change_table(small, change)
        self.refused(small, r"row 1 \(own/b\.png\) has no image")

    @pytest.mark.parametrize("column", ["image", "gender", "digest", "key"])
    def test_a_missing_column_is_told(self, small, column):
        change_table(small, lambda table: table.drop([column]))
        self.refused(small, rf"no rows of faces \(.*{column}")

    @pytest.mark.parametrize(
        ("column", "values"),
        [
            ("gender", pa.array([0, 7], pa.int8())),
            ("emotion", pa.array([-1, 0], pa.int8())),
            ("age", pa.array([3.0, 1e9], pa.float32())),
            ("official", pa.array(["", "elsewhere"])),
            ("crop_side", pa.array([-4.0, 4.0], pa.float32())),
            ("digest", pa.array([b"short", bytes(16)])),
            ("key", pa.array(["same", "same"])),
        ],
    )
    def test_values_that_cannot_be_are_told(self, small, column, values):
        change_table(small, lambda table: table.set_column(table.column_names.index(column), column, values))
        self.refused(small, f"the {column} of face [01] cannot be")

    @pytest.mark.parametrize(
        "votes",
        [(1, 0.5, 0, 0, 0, 0), (1.5, -0.5, 0, 0, 0, 0), (0,) * 6, (1, 0, 0, 0, 0, None), (None, 1, 0, 0, 0, 0)],
    )
    def test_votes_that_are_no_shares_are_told(self, small, votes):
        def change(table):
            for name, value in zip(EMOTION.vote_columns, votes, strict=True):
                column = pa.array([None, value], pa.float32())
                table = table.set_column(table.column_names.index(name), name, column)
            return table

        change_table(small, change)
        self.refused(small, "the votes on emotion of face 1 cannot be")

    @pytest.mark.parametrize("ages", [(30, 20), (None, 20), (30, None)])
    def test_a_range_of_ages_that_is_none_is_told(self, small, ages):
        def change(table):
            for name, value in zip(("age_low", "age_high"), ages, strict=True):
                column = pa.array([None, value], pa.float32())
                table = table.set_column(table.column_names.index(name), name, column)
            return table

        change_table(small, change)
        self.refused(small, "the age_high of face 1 cannot be")

    def test_an_image_that_is_none_is_broken_like_a_file(self, small):
        def change(table):
            return table.set_column(table.column_names.index("image"), "image", pa.array([b"no", b"image"]))

        change_table(small, change)
        path = read(small).faces["path"].iloc[0]
        with pytest.raises(BrokenImageError, match=r"faces-000\.parquet#0: cannot be decoded"):
            read_image(path)

    @pytest.mark.parametrize("path", ["gone.parquet#0", "faces-000.parquet#2", "faces-000.parquet#999999999"])
    def test_a_path_to_no_image_is_broken(self, small, path):
        with pytest.raises(BrokenImageError, match=path):
            read_image(small / path)

    def test_random_damage_with_sums_that_fit_is_read_or_refused(self, small):
        path, random = small / "faces-000.parquet", np.random.default_rng(0)
        good = path.read_bytes()
        for _ in range(60):
            data = np.frombuffer(good, np.uint8).copy()
            # Near the end stands what tells how to read the rest.
            at = (1 - random.uniform(size=random.integers(1, 9)) ** 2) * (len(data) - 1)
            data[at.astype(int)] = random.integers(256, size=len(at))
            path.write_bytes(data)
            sums = {"sha256": hashlib.sha256(data.tobytes()).hexdigest()}
            change_about(small, lambda about, sums=sums: about["files"][0].update(sums))
            with contextlib.suppress(DataError, ConfigError):
                for image in read(small).faces["path"]:
                    read_image(image)

    def test_two_packs_of_the_same_faces_are_refused(self, small, tmp_path):
        again = pack_of(tmp_path / "again", PackedFaces(str(small)))
        with pytest.raises(
            ConfigError, match=r"two sources have one name, own: PackedFaces.*pack.*again.*leave one out"
        ):
            index_of(PackedFaces(str(small)), again)

    def test_a_pack_beside_its_files_is_refused(self, sources, folder):
        with pytest.raises(ConfigError, match=r"two sources have one name, fer2013: FER2013.* and PackedFaces"):
            index_of(sources[0], PackedFaces(str(folder)))

    def test_of_several_data_sets_no_single_listing_is_made(self, folder):
        with pytest.raises(DataError, match="holds 4 data sets: fer2013, utkface"):
            PackedFaces(str(folder)).load()


def test_the_description_tells_terms_sums_and_settings(folder):
    about = json.loads((folder / NAME).read_text())
    assert about["settings"] == {"size": 64, "quality": 90, "megabytes": 50}
    assert [d["terms"] for d in about["datasets"]] == read(folder).terms
    assert about["fingerprint"] == read(folder).fingerprint()
