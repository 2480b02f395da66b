import shutil

import pandas as pd
import pytest

from smart_retail.contract import Contract
from smart_retail.data.sources.all_age_faces import AllAgeFaces, read_landmarks
from smart_retail.data.sources.base import COLUMNS, find_root, make_listing
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.errors import DataError
from smart_retail.labels import EMOTIONS
from tests.helpers.pictures import write_face
from tests.helpers.trees import (
    MALFORMED_UTKFACE,
    ODD_UTKFACE,
    face_points,
    write_all_age_faces,
    write_fer2013,
    write_points,
    write_utkface,
)


@pytest.fixture(scope="module")
def fer2013(tmp_path_factory):
    return FER2013(str(write_fer2013(tmp_path_factory.mktemp("fer2013"), broken=1))).load()


@pytest.fixture(scope="module")
def utkface(tmp_path_factory):
    return UTKFace(str(write_utkface(tmp_path_factory.mktemp("utkface")))).load()


@pytest.fixture(scope="module")
def all_age_root(tmp_path_factory):
    return write_all_age_faces(tmp_path_factory.mktemp("all_age"))


@pytest.fixture(scope="module")
def all_age_faces(all_age_root):
    return AllAgeFaces(str(all_age_root)).load()


class TestFER2013:
    def test_the_official_split_comes_from_the_file_names(self, fer2013):
        counts = fer2013.faces["official"].value_counts()
        assert counts.to_dict() == {"train": 6 * 3 + 1, "val": 6 * 3 + 1, "test": 6 * 3}

    def test_the_folder_is_the_emotion(self, fer2013):
        for path, emotion in zip(fer2013.faces["path"], fer2013.faces["emotion"], strict=True):
            assert f"/{EMOTIONS[emotion]}/" in path

    def test_disgust_is_dropped_and_counted(self, fer2013):
        assert fer2013.skipped["disgust is not a class"] == 2
        assert not fer2013.faces["path"].str.contains("disgust").any()

    def test_a_flat_image_is_dropped_and_counted(self, fer2013):
        assert fer2013.skipped["flat (black) image"] == 1
        assert not fer2013.faces["path"].str.contains("Training_990").any()

    def test_a_truncated_file_is_left_for_the_scan(self, fer2013):
        assert fer2013.faces["path"].str.contains("Training_700").sum() == 1

    def test_gender_and_age_are_missing_not_made_up(self, fer2013):
        assert fer2013.faces["gender"].isna().all()
        assert fer2013.faces["age"].isna().all()

    def test_a_copy_without_private_test_is_fine(self, tmp_path):
        listing = FER2013(str(write_fer2013(tmp_path, 1, private=False))).load()
        assert set(listing.faces["official"]) == {"train", "val"}

    def test_the_case_of_file_names_does_not_matter(self, tmp_path):
        root = write_fer2013(tmp_path, 1)
        for path in [*root.glob("*/*/*.jpg")]:
            path.rename(path.with_name(path.name.lower()))
        assert set(FER2013(str(root)).load().faces["official"]) == {"train", "val", "test"}

    def test_other_files_and_folders_are_counted(self, tmp_path):
        root = write_fer2013(tmp_path, 1)
        write_face(root / "train" / "happy" / "holiday.jpg", 1)
        write_face(root / "train" / "bored" / "Training_1.jpg", 1)
        assert FER2013(str(root)).load().skipped["unknown class or file name"] == 2

    def test_another_folder_is_no_fer2013(self, tmp_path):
        with pytest.raises(DataError, match="is not FER2013"):
            FER2013(str(write_utkface(tmp_path, 2))).load()

    def test_a_folder_without_faces_says_so(self, tmp_path):
        (tmp_path / "train" / "happy").mkdir(parents=True)
        with pytest.raises(DataError, match="no usable face"):
            FER2013(str(tmp_path)).load()


class TestUTKFace:
    def test_each_face_is_listed_once_though_it_lies_there_four_times(self, utkface):
        assert len(utkface.faces) == 8 + 1 + len(ODD_UTKFACE)
        assert not utkface.faces["path"].str.contains("crop").any()

    def test_names_without_a_field_are_skipped_and_counted(self, utkface):
        assert utkface.skipped == {"malformed file name": len(MALFORMED_UTKFACE)}

    @pytest.mark.parametrize("name", ODD_UTKFACE)
    def test_odd_but_readable_names_are_kept(self, utkface, name):
        row = utkface.faces[utkface.faces["path"].str.endswith(f"/{name}")].iloc[0]
        assert row["age"] == float(name.split("_")[0])
        assert row["gender"] == int(name.split("_")[1])

    @pytest.mark.parametrize("name", ["44_1_4_20170116235150272.pg", "20_0_0_20170116235150272.jpeg"])
    def test_other_endings_are_kept(self, tmp_path, name):
        write_face(tmp_path / "UTKFace" / name, 1)
        assert len(UTKFace(str(tmp_path)).load().faces) == 1

    def test_0_is_male_and_1_female(self, utkface):
        row = utkface.faces[utkface.faces["path"].str.contains("/28_1_2_")].iloc[0]
        assert (row["gender"], row["race"]) == (1, "Asian")

    def test_emotion_is_missing(self, utkface):
        assert utkface.faces["emotion"].isna().all()

    def test_ages_beyond_100_are_clipped_and_counted(self, tmp_path):
        write_face(tmp_path / "UTKFace" / "116_0_0_20170116235150272.jpg.chip.jpg", 1)
        listing = UTKFace(str(tmp_path)).load()
        assert listing.faces["age"].tolist() == [100]
        assert listing.skipped["age clipped to 0..100"] == 1

    def test_the_folder_of_faces_itself_is_a_root_too(self, tmp_path):
        write_utkface(tmp_path, 2)
        assert len(UTKFace(str(tmp_path / "UTKFace")).load().faces) == 3 + len(ODD_UTKFACE)

    def test_another_folder_is_no_utkface(self, tmp_path):
        with pytest.raises(DataError, match="is not UTKFace"):
            UTKFace(str(write_fer2013(tmp_path, 1))).load()


class TestAllAgeFaces:
    def test_low_serial_numbers_are_female(self, all_age_faces):
        gender = dict(zip(all_age_faces.faces["key"], all_age_faces.faces["gender"], strict=True))
        assert {k.split("/")[1][:5]: g for k, g in gender.items()} == {
            **{f"{i:05d}": 1 for i in range(4)},
            **{f"{7381 + i:05d}": 0 for i in range(4, 8)},
        }

    def test_the_last_female_serial_number_is_7380(self, tmp_path):
        base = tmp_path / "All-Age-Faces Dataset"
        for name in ("07380A40", "07381A41"):
            write_face(base / "original images" / f"{name}.jpg", 1, 64)
            write_points(base / "key points" / f"{name}.txt", face_points((54, 46), (74, 46), (64, 64)))
        assert AllAgeFaces(str(tmp_path)).load().faces["gender"].tolist() == [1, 0]

    def test_our_code_is_the_opposite_of_the_authors(self, all_age_root, all_age_faces):
        lists = "".join(p.read_text() for p in (all_age_root / "All-Age-Faces Dataset" / "image sets").iterdir())
        theirs = dict(line.split() for line in lists.splitlines())
        for key, gender in zip(all_age_faces.faces["key"], all_age_faces.faces["gender"], strict=True):
            assert gender == 1 - int(theirs[key.split("/")[1]])

    def test_the_age_is_in_the_name(self, all_age_faces):
        assert all_age_faces.faces["age"].tolist() == [10 + 5 * i % 70 for i in range(8)]

    def test_landmarks_become_the_contracts_square(self, all_age_faces):
        # Eyes at (54, 46) and (74, 46), mouth at (64, 64).
        row = all_age_faces.faces.iloc[0]
        assert row["crop_x"] == pytest.approx(64, abs=1e-4)
        assert row["crop_y"] == pytest.approx(0.55 * 46 + 0.45 * 64, abs=1e-4)
        assert row["crop_side"] == pytest.approx(20 / Contract().eye_distance, abs=1e-3)

    def test_missing_and_malformed_landmarks_are_skipped_and_counted(self, all_age_faces):
        assert all_age_faces.skipped["landmarks missing or malformed"] == 3

    def test_files_with_other_names_are_counted(self, all_age_faces):
        assert all_age_faces.skipped["malformed file name"] == 1

    def test_there_is_no_official_split_unless_asked_for(self, all_age_faces):
        assert set(all_age_faces.faces["official"]) == {""}

    def test_the_authors_halves_are_an_official_split_when_asked_for(self, all_age_root):
        faces = AllAgeFaces(str(all_age_root), authors_halves=True).load().faces
        assert faces["official"].value_counts().to_dict() == {"train": 4, "val": 4}

    def test_halves_without_their_lists_are_an_error_with_a_way_out(self, tmp_path):
        root = write_all_age_faces(tmp_path, 2)
        shutil.rmtree(root / "All-Age-Faces Dataset" / "image sets")
        with pytest.raises(DataError, match="set authors_halves to false"):
            AllAgeFaces(str(root), authors_halves=True).load()

    def test_another_folder_is_no_all_age_faces(self, tmp_path):
        with pytest.raises(DataError, match="is not All-Age-Faces"):
            AllAgeFaces(str(write_fer2013(tmp_path, 1))).load()

    def test_landmarks_that_are_not_finite_are_malformed(self, tmp_path):
        points = face_points((10, 10), (20, 10), (15, 20))
        points[0, 0] = float("nan")
        assert read_landmarks(write_points(tmp_path / "points.txt", points)) is None

    def test_eyes_in_one_place_are_malformed(self, tmp_path):
        points = face_points((10, 10), (10.2, 10), (15, 20))
        assert read_landmarks(write_points(tmp_path / "points.txt", points)) is None


class TestListings:
    def test_every_source_yields_the_same_columns(self, fer2013, utkface, all_age_faces):
        for listing in (fer2013, utkface, all_age_faces):
            assert list(listing.faces.columns) == list(COLUMNS)
            assert listing.faces["key"].is_unique

    def test_a_key_does_not_tell_where_the_data_lies(self, tmp_path):
        a, b = (FER2013(str(write_fer2013(tmp_path / name, 1))).load().faces["key"] for name in ("a", "b"))
        assert a.tolist() == b.tolist()

    def test_every_source_names_its_terms(self, fer2013, utkface, all_age_faces):
        assert all(listing.terms for listing in (fer2013, utkface, all_age_faces))

    def test_no_row_is_an_error_that_tells_what_was_left_out(self):
        with pytest.raises(DataError, match="3 odd"):
            make_listing("x", [], pd.Series({"odd": 3}), "")  # type: ignore[arg-type]


class TestRoots:
    def test_a_missing_root_is_named(self, tmp_path):
        with pytest.raises(DataError, match=r"nowhere is not a folder; set the source's `root`"):
            find_root(str(tmp_path / "nowhere"), "owner/name/versions/1", "name")

    def test_a_home_folder_is_expanded(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path))
        (tmp_path / "faces").mkdir()
        assert find_root("~/faces", "owner/name/versions/1", "name") == tmp_path / "faces"

    def test_the_shared_folder_is_looked_at_next(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SMART_RETAIL_DATA", str(tmp_path))
        (tmp_path / "name").mkdir()
        assert find_root(None, "owner/name/versions/1", "name") == tmp_path / "name"

    def test_a_failed_download_tells_the_way_out(self, monkeypatch):
        def fail(handle):
            raise ConnectionError("no network")

        monkeypatch.setattr("kagglehub.dataset_download", fail)
        with pytest.raises(DataError, match=r"cannot download owner/name.*SMART_RETAIL_DATA"):
            find_root(None, "owner/name/versions/1", "name")
