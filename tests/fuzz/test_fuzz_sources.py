"""File names, landmarks and tables that nobody checked."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smart_retail.data.duplicates import _read_cache
from smart_retail.data.sources.ages import parse_age
from smart_retail.data.sources.all_age_faces import NAME as ALL_AGE_NAME
from smart_retail.data.sources.all_age_faces import AllAgeFaces, read_halves, read_landmarks
from smart_retail.data.sources.base import COLUMNS, label_columns
from smart_retail.data.sources.fairface import FairFace
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.fer2013 import NAME as FER_NAME
from smart_retail.data.sources.folder import FaceFolder
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.utkface import NAME as UTK_NAME
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.errors import DataError
from smart_retail.tasks import AGE_MAX, EMOTIONS, TASKS
from tests.helpers.fuzz import damaged, fuzz, only_clear_errors, tree
from tests.helpers.pictures import write_face
from tests.helpers.trees import face_points, write_points

LETTERS = st.sampled_from("0123456789_A. jpgchiTraining٣²\n\t\x1b\\'\"%$é\u202e")
BYTES = st.binary(min_size=1, max_size=40)


def names(pattern: str) -> st.SearchStrategy[bytes]:
    """Return names that a source takes, nearly takes, and never heard of."""
    near = st.from_regex(pattern, fullmatch=True).flatmap(lambda name: damaged(os.fsencode(name)))
    close = st.from_regex(pattern, fullmatch=True).map(os.fsencode)
    odd = st.text(LETTERS, min_size=1, max_size=60).map(os.fsencode)
    whole = st.one_of(close, near, odd, BYTES)
    return whole.filter(lambda n: 0 < len(n) < 200 and not {0, 0x2F} & set(n) and n not in (b".", b".."))


def write_names(folder: Path, found: list[bytes]) -> None:
    folder.mkdir(parents=True)
    for name in found:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:  # noqa: PTH118, PTH123 - no Path of bytes
            file.write(b"x")


def check_listing(faces: pd.DataFrame) -> None:
    assert list(faces.columns) == [*COLUMNS, *label_columns(TASKS)]
    assert faces["age"].dropna().between(0, AGE_MAX).all()
    assert faces["gender"].dropna().isin([0, 1]).all()
    assert faces["emotion"].dropna().isin(range(len(EMOTIONS))).all()
    assert faces["key"].is_unique
    side = faces["crop_side"].dropna()
    assert np.isfinite(side).all() and (side > 0).all()


@fuzz(60)
@given(st.lists(names(UTK_NAME.pattern), min_size=1, max_size=8, unique=True))
@example([b"999_1_0_1.jpg", b"\xff_1_0_1.jpg", "٣_1_0_1.jpg".encode()])
def test_utkface_names(found):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        write_names(Path(folder) / "UTKFace", found)
        check_listing(UTKFace(folder).load().faces)


@fuzz(60)
@given(st.lists(names(FER_NAME.pattern), min_size=1, max_size=8, unique=True))
def test_fer2013_names(found):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        write_names(Path(folder) / "train" / "happy", found)
        check_listing(FER2013(folder).load().faces)


@fuzz(60)
@given(st.lists(names(ALL_AGE_NAME.pattern), min_size=1, max_size=6, unique=True), st.data())
def test_all_age_faces_names_and_landmarks(found, data):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        root = Path(folder)
        write_names(root / "original images", found)
        sound = write_points(root / "key points" / "good.txt", face_points((54, 46), (74, 46), (64, 64))).read_bytes()
        for path in (root / "original images").iterdir():
            landmarks = root / "key points" / f"{path.stem}.txt"
            landmarks.write_bytes(data.draw(st.one_of(st.just(sound), damaged(sound))))
        check_listing(AllAgeFaces(folder).load().faces)


POINTS = st.lists(st.one_of(st.floats(), st.integers(-(10**400), 10**400)), min_size=98, max_size=98)


@fuzz(100)
@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(str.encode), POINTS))
def test_landmark_files(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "points.txt"
        if isinstance(content, list):
            content = " ".join(map(str, content)).encode()
        path.write_bytes(content)
        points = read_landmarks(path)
        assert points is None or (points.shape == (49, 2) and np.isfinite(points).all())


@fuzz(60)
@given(st.one_of(st.binary(max_size=100), damaged(b"00001A10.jpg 0\n07382A20.jpg 1\n" * 4)))
def test_the_authors_lists(content):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        for split in ("train", "val"):
            (Path(folder) / f"{split}.txt").write_bytes(content)
        assert set(read_halves(Path(folder)).values()) <= {"train", "val"}


def test_a_pipe_for_a_landmark_file_is_malformed_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "points.txt")
    assert read_landmarks(tmp_path / "points.txt") is None


SOUND = b"path,gender,age,emotion,split,left,top,right,bottom\na.jpg,male,30,happy,train,1,2,30,40\nb.jpg,1,,3,,,,,\n"
CELLS = st.one_of(
    st.text(max_size=20),
    st.integers(-(10**30), 10**30).map(str),
    st.floats().map(str),
    st.sampled_from(
        ["a.jpg", "../../etc/passwd", "a\0.jpg", "a" * 5000, "/dev/zero", "", '"', "male", "2", "nan", "1e400"]
    ),
)


@st.composite
def csv(draw: st.DrawFn) -> bytes:
    columns = draw(
        st.lists(
            st.sampled_from(
                [
                    "path",
                    "gender",
                    "age",
                    "emotion",
                    "split",
                    "race",
                    "left",
                    "top",
                    "right",
                    "bottom",
                    "left_eye_x",
                    "Path ",
                    "x",
                ]
            ),
            min_size=1,
            max_size=8,
        )
    )
    rows = [columns, *draw(st.lists(st.lists(CELLS, max_size=9), max_size=4))]
    return "\n".join(",".join(row) for row in rows).encode("utf-8", "surrogatepass")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    for name in ("a.jpg", "b.jpg"):
        (folder / name).write_bytes(b"x")
    return folder


def load_table(folder: Path, content: bytes, ending: str) -> None:
    before = tree(folder)
    with tempfile.TemporaryDirectory() as other, only_clear_errors():
        table = Path(other) / f"faces{ending}"
        table.write_bytes(content)
        check_listing(FaceTable(str(table), root=str(folder)).load().faces)
    assert tree(folder) == before


@fuzz(150)
@given(content=st.one_of(csv(), damaged(SOUND), st.binary(max_size=200)))
def test_csv_tables(pictures, content):
    load_table(pictures, content, ".csv")


def parquet(columns: dict[str, list]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        try:
            pd.DataFrame(columns).to_parquet(path)
        except Exception:  # pyarrow cannot write such a mixture: nor will anyone else
            return b"PAR1"
        return path.read_bytes()


ODD = st.one_of(
    st.none(),
    st.text(max_size=5),
    st.integers(-(2**62), 2**62),
    st.floats(),
    st.booleans(),
    st.binary(max_size=4),
    st.lists(st.integers(0, 3), max_size=2),
    st.dictionaries(st.sampled_from("ab"), st.integers(0, 3), max_size=1),
    st.datetimes(),
)
COLUMN = st.one_of(st.lists(ODD, min_size=2, max_size=2), ODD.map(lambda value: [value, value]))
GOOD = {"path": ["a.jpg", "b.jpg"], "gender": ["male", None], "age": [30.0, None], "emotion": [None, "happy"]}


@fuzz(80)
@given(
    content=st.one_of(
        st.dictionaries(
            st.sampled_from(["path", "gender", "age", "emotion", "split", "race", "left", "top", "right", "bottom"]),
            COLUMN,
            max_size=6,
        ).map(lambda odd: parquet(GOOD | odd)),
        damaged(parquet(GOOD)),
    )
)
def test_parquet_tables(pictures, content):
    load_table(pictures, content, ".parquet")


@fuzz(40)
@given(st.data())
def test_a_damaged_hash_cache_is_made_anew(data):
    columns = {"path": ["a"], "size": [1], "mtime": [2], "crop_x": [0.0], "crop_y": [0.0], "crop_side": [0.0]}
    columns |= {"digest": [b"x"], "dhash": [b"y"], "ahash": [b"z"], "error": [""]}
    odd = data.draw(st.dictionaries(st.sampled_from(list(columns)), ODD.map(lambda value: [value]), max_size=3))
    content = data.draw(damaged(parquet(columns)) | st.just(parquet(columns | odd)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hashes.parquet"
        path.write_bytes(content)
        assert list(_read_cache(path).columns) == list(columns)


def test_a_folder_with_a_name_in_no_encoding_is_named(tmp_path):
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    write_names(folder / "UTKFace", [b"30_1_0_1.jpg"])
    with pytest.raises(DataError, match=r"udcff.*rename the folder"):
        UTKFace(str(folder)).load()


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for name in ("1.jpg", "2.jpg"):
        write_face(folder / name, 1)
    return folder


LISTED = (
    b"file,age,gender,race,service_test\ntrain/1.jpg,20-29,Male,White,True\ntrain/2.jpg,more than 70,Female,Black,\n"
)


@fuzz(80)
@given(st.one_of(damaged(LISTED), csv(), st.binary(max_size=200)))
@example(LISTED)
def test_fairface_lists(faces, content):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        root = Path(folder)
        for split in ("train", "val"):
            (root / split).symlink_to(faces)
        (root / "fairface_label_train.csv").write_bytes(content)
        (root / "fairface_label_val.csv").write_bytes(LISTED.replace(b"train", b"val"))
        check_listing(FairFace(folder).load().faces)


@fuzz(60)
@given(st.lists(names("happy|1|Anger|train"), min_size=1, max_size=6, unique=True), st.sampled_from(["emotion", "age"]))
def test_class_folders(found, task):
    with tempfile.TemporaryDirectory() as folder, only_clear_errors():
        for name in found:
            write_names(Path(os.fsdecode(os.path.join(os.fsencode(folder), name))), [b"a.jpg", b"b.txt"])  # noqa: PTH118
        check_listing(FaceFolder(folder, task).load().faces)


@fuzz(200)
@given(
    st.one_of(st.text(max_size=20), st.from_regex(r"[(<]?\d{0,4}[-+, ]{0,3}(to|and over)?\d{0,4}\)?", fullmatch=True))
)
def test_ages(text):
    try:
        age, low, high = parse_age(text)
    except ValueError:
        return
    assert (age is None) != (low is None)
    assert 0 <= (low if age is None else age) <= (high if age is None else age) <= 130
