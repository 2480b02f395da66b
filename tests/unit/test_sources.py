import os
import shutil

import numpy as np
import pandas as pd
import pytest

from smart_retail.contract import Contract
from smart_retail.data.crops import CROP, LANDMARKS
from smart_retail.data.sources.all_age_faces import AllAgeFaces, read_landmarks
from smart_retail.data.sources.base import COLUMNS, find_root, label_columns, labelled, make_listing
from smart_retail.data.sources.fairface import FairFace
from smart_retail.data.sources.fer2013 import FER2013, crowd_votes
from smart_retail.data.sources.folder import FaceFolder
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.data.splits import assign_splits
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import AGE, EMOTION, EMOTIONS, TASKS
from tests.helpers.pictures import write_face
from tests.helpers.trees import (
    MALFORMED_UTKFACE,
    ODD_UTKFACE,
    face_points,
    write_all_age_faces,
    write_class_folders,
    write_fairface,
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


VOTED = {
    "no face": lambda ours, everyone, no_face: 2 * no_face > everyone,
    "too few votes": lambda ours, everyone, no_face: ours.sum() < 5 and 2 * no_face <= everyone,
    "no majority": lambda ours, everyone, no_face: ours.sum() >= 5 and 2 * ours.max() <= everyone,
    "fear": lambda ours, everyone, no_face: 2 * ours[1] > everyone and ours[1] < ours.sum(),
}


@pytest.fixture(scope="module")
def voted(tmp_path_factory):
    """Four happy training faces by the names of pictures that people were asked about, and one unknown to them."""
    root = tmp_path_factory.mktemp("voted")
    names = {"nobody asked": "Training_0.jpg"}
    for what, found in VOTED.items():
        names[what] = next(n for n, votes in crowd_votes().items() if n.startswith("Training") and found(*votes))
    for number, name in enumerate(names.values()):
        write_face(root / "train" / "happy" / name, number, grey=True)
    return str(root), names


class TestFER2013Labels:
    happy, fear = EMOTIONS.index("happy"), EMOTIONS.index("fear")

    def listed(self, voted, **settings):
        root, names = voted
        listing = FER2013(root, **settings).load()
        what = {name: what for what, name in names.items()}
        rows = {what[key.rsplit("/")[-1]]: row for key, row in listing.faces.set_index("key").iterrows()}
        return rows, listing.skipped, {w: crowd_votes().get(name) for w, name in names.items()}

    def test_the_original_labels_are_the_folders_and_have_no_votes(self, voted):
        rows, skipped, _ = self.listed(voted)
        assert {row["emotion"] for row in rows.values()} == {self.happy}
        assert all(row[list(EMOTION.vote_columns)].isna().all() for row in rows.values())
        assert len(rows) == 5
        assert not skipped

    def test_the_crowds_labels_are_the_shares_of_the_votes_for_our_classes(self, voted):
        rows, _, votes = self.listed(voted, labels="crowd")
        ours = votes["fear"][0]
        assert rows["fear"][list(EMOTION.vote_columns)].tolist() == pytest.approx((ours / ours.sum()).tolist())
        assert rows["fear"]["emotion"] == self.fear

    def test_a_face_without_a_majority_has_votes_and_no_class(self, voted):
        rows, _, _ = self.listed(voted, labels="crowd")
        assert rows["no majority"][list(EMOTION.vote_columns)].sum() == pytest.approx(1)
        assert pd.isna(rows["no majority"]["emotion"])

    def test_mixed_labels_share_between_crowd_and_folder(self, voted):
        rows, _, votes = self.listed(voted, labels="mixed", crowd_share=0.7)
        ours = votes["fear"][0]
        expected = 0.7 * ours / ours.sum() + 0.3 * np.eye(6)[self.happy]
        assert rows["fear"][list(EMOTION.vote_columns)].tolist() == pytest.approx(expected.tolist())

    @pytest.mark.parametrize("labels", ["crowd", "mixed"])
    def test_what_most_people_call_no_face_is_dropped_and_counted(self, voted, labels):
        rows, skipped, _ = self.listed(voted, labels=labels)
        assert "no face" not in rows
        assert skipped == {"most people see no face": 1}

    @pytest.mark.parametrize("what", ["too few votes", "nobody asked"])
    def test_a_face_with_too_few_votes_trains_on_its_original_label(self, voted, what):
        rows, _, _ = self.listed(voted, labels="crowd")
        assert rows[what][list(EMOTION.vote_columns)].tolist() == np.eye(6)[self.happy].tolist()
        assert pd.isna(rows[what]["emotion"])

    @pytest.mark.parametrize("labels", ["original", "crowd", "mixed"])
    def test_both_labels_are_there_to_measure_against_whatever_is_trained_on(self, voted, labels):
        rows, _, _ = self.listed(voted, labels=labels)
        assert {row["emotion_original"] for row in rows.values()} == {self.happy}
        assert rows["fear"]["emotion_crowd"] == self.fear
        assert all(pd.isna(rows[what]["emotion_crowd"]) for what in ("no majority", "nobody asked"))

    def test_votes_count_as_labels(self, voted):
        faces = FER2013(voted[0], labels="crowd").load().faces
        assert labelled(faces, EMOTION).all()
        assert faces["emotion"].isna().any()

    @pytest.mark.parametrize("settings", [{"labels": "people"}, {"labels": "mixed", "crowd_share": 1.5}])
    def test_settings_that_cannot_be_are_refused(self, settings):
        with pytest.raises(ConfigError, match="FER2013"):
            FER2013(**settings)


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


@pytest.fixture(scope="module")
def fairface_root(tmp_path_factory):
    return write_fairface(tmp_path_factory.mktemp("fairface"))


@pytest.fixture(scope="module")
def fairface(fairface_root):
    return FairFace(str(fairface_root)).load()


class TestFairFace:
    def test_the_lists_are_the_official_split(self, fairface):
        assert fairface.faces["official"].value_counts().to_dict() == {"train": 9, "val": 4}

    def test_the_validation_part_becomes_the_test(self, fairface):
        faces = fairface.faces.assign(cluster=range(13))
        split = assign_splits(faces, val_share=0.2, test_share=0.2, seed=0, drop_leaks=True)["split"]
        assert set(split[faces["official"] == "val"]) == {"test"}
        assert "test" not in set(split[faces["official"] == "train"])

    def test_ages_are_ranges(self, fairface):
        row = fairface.faces.set_index("key")
        assert row.loc["fairface/train/1.jpg", ["age_low", "age_high"]].tolist() == [0, 2]
        assert row.loc["fairface/train/9.jpg", ["age_low", "age_high"]].tolist() == [70, 100]
        assert fairface.faces["age"].isna().all()
        assert labelled(fairface.faces, AGE).all()

    def test_gender_is_a_class_and_race_a_text(self, fairface):
        row = fairface.faces.set_index("key").loc["fairface/train/2.jpg"]
        assert (row["gender"], row["race"]) == (1, "East Asian")

    def test_files_that_are_missing_are_counted(self, fairface):
        assert fairface.skipped == {"file not found": 1}

    def test_a_file_that_is_listed_twice_counts_once(self, tmp_path):
        root = write_fairface(tmp_path, 2, 1)
        with (root / "fairface_label_val.csv").open("a") as file:
            file.write("train/1.jpg,20-29,Male,White,False\n")
        listing = FairFace(str(root)).load()
        assert listing.skipped["listed twice"] == 1
        assert listing.faces["official"].tolist() == ["train", "train", "val"]

    def test_the_close_crop_is_nearly_the_square_of_the_contract(self, fairface):
        x, y, side = fairface.faces.loc[0, list(CROP)]
        assert (x, y) == pytest.approx((112, 112), abs=4)
        assert side == pytest.approx(224, rel=0.04)

    @pytest.mark.parametrize("folder", ["", "fairface-img-margin125-trainval"])
    def test_of_the_wider_images_it_is_the_middle(self, tmp_path, folder):
        root = write_fairface(tmp_path, folder=folder, side=448)
        x, y, side = FairFace(str(root), padding=1.25).load().faces.loc[0, list(CROP)]
        assert (x, y) == pytest.approx((224, 224), abs=6)
        assert side == pytest.approx(0.44 * 448, rel=0.02)

    @pytest.mark.parametrize(("padding", "side"), [(0.25, 448), (1.25, 224)])
    def test_images_of_the_other_padding_are_refused(self, tmp_path, padding, side):
        root = write_fairface(tmp_path, side=side)
        with pytest.raises(DataError, match=rf"{side} px is not of padding {padding}.*set the source's `padding`"):
            FairFace(str(root), padding=padding).load()

    def test_landmarks_of_a_table_replace_the_usual_square(self, fairface_root, tmp_path):
        path = os.path.relpath(fairface_root / "train" / "3.jpg", tmp_path)
        (tmp_path / "faces.csv").write_text(f"file,age,{','.join(LANDMARKS)}\n{path},3-9,60,90,120,95,88,150\n")
        listing = FairFace(str(fairface_root), landmarks=[str(tmp_path / "faces.csv")]).load()
        row = listing.faces.set_index("key").loc["fairface/train/3.jpg"]
        assert row[list(LANDMARKS)].tolist() == [60, 90, 120, 95, 88, 150]
        assert listing.faces[list(LANDMARKS)].notna().all(axis=1).sum() == 1
        assert listing.faces["crop_side"].notna().all()
        assert listing.skipped["cut at dlib's place, no landmarks"] == 12

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (f"path,{','.join(LANDMARKS)}\n1.jpg,a,2,3,4,5,6\n", "left_eye_x.* must be numbers.*row 2"),
            ("path,age\n1.jpg,3\n", "no column left_eye_x.*`smart-retail detect` writes them"),
        ],
    )
    def test_a_table_without_landmarks_is_refused(self, fairface_root, tmp_path, text, message):
        (tmp_path / "faces.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            FairFace(str(fairface_root), landmarks=[str(tmp_path / "faces.csv")]).load()

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,age,gender\ntrain/1.jpg,0-2,Male\n", "no column race"),
            ("file,age,gender,race\ntrain/1.jpg,2-0,Male,White\n", "age is no range.*'2-0' .row 2"),
            ("file,age,gender,race\ntrain/1.jpg,0-2,child,White\n", "gender is none of male, female: 'child' .row 2"),
            ("file,age,gender,race\n1.jpg,0-2,Male,White\n", "none of its 1 files is there"),
        ],
    )
    def test_a_list_that_is_not_the_authors_is_refused(self, tmp_path, text, message):
        root = write_fairface(tmp_path)
        (root / "fairface_label_train.csv").write_text(text)
        with pytest.raises(DataError, match=message):
            FairFace(str(root)).load()

    def test_a_missing_list_or_folder_is_named(self, tmp_path):
        root = write_fairface(tmp_path)
        (root / "fairface_label_val.csv").unlink()
        with pytest.raises(DataError, match=r"fairface_label_val\.csv: no such file"):
            FairFace(str(root)).load()
        shutil.rmtree(root / "val")
        with pytest.raises(DataError, match="folders `train` and `val` are missing"):
            FairFace(str(root)).load()

    def test_without_a_folder_it_tells_where_to_get_it(self, monkeypatch):
        with pytest.raises(DataError, match=r"get it from https://github\.com/joojs/fairface"):
            FairFace().load()

    def test_another_padding_is_refused(self):
        with pytest.raises(ConfigError, match=r"padding 0\.5"):
            FairFace(padding=0.5)


class TestFaceFolder:
    def test_folders_called_as_our_classes_or_by_other_words_are_taken(self, tmp_path):
        root = write_class_folders(tmp_path, {"Happy": 1, "anger": 2, "Sadness": 1, "Disgust": 3, "contempt": 1})
        listing = FaceFolder(str(root), "emotion").load()
        assert sorted(EMOTIONS[e] for e in listing.faces["emotion"]) == ["angry", "angry", "happy", "sad"]
        assert listing.skipped == {"class Disgust is none of ours": 3, "class contempt is none of ours": 1}

    def test_folders_above_the_classes_are_the_official_split(self, tmp_path):
        for part in ("Train", "valid", "test"):
            write_class_folders(tmp_path / part, {"happy": 2})
        write_class_folders(tmp_path, {"rest": 3})
        listing = FaceFolder(str(tmp_path), "emotion").load()
        assert listing.faces["official"].value_counts().to_dict() == {"train": 2, "val": 2, "test": 2}
        assert listing.skipped == {"folder rest": 3}

    def test_numbers_are_classes_by_the_mapping_alone(self, tmp_path):
        root = write_class_folders(tmp_path / "train", {"1": 1, "3": 2, "4": 1}).parent
        listing = FaceFolder(str(root), "emotion", classes={1: "surprise", "4": "Happiness"}).load()
        assert [EMOTIONS[e] for e in listing.faces["emotion"]] == ["surprise", "happy"]
        assert listing.skipped == {"class 3 is none of ours": 2}

    def test_gender_and_age_are_tasks_too(self, tmp_path):
        gender = FaceFolder(str(write_class_folders(tmp_path / "g", {"man": 1, "Woman": 1})), "gender").load().faces
        assert sorted(gender["gender"]) == [0, 1]
        age = FaceFolder(str(write_class_folders(tmp_path / "a", {"007": 1, "20-29": 1})), "age").load().faces
        assert age["age"].tolist()[0] == 7
        assert age[["age_low", "age_high"]].iloc[1].tolist() == [20, 29]

    def test_files_that_are_no_images_are_counted(self, tmp_path):
        root = write_class_folders(tmp_path, {"happy": 1})
        (root / "happy" / "Thumbs.db").write_bytes(b"")
        assert FaceFolder(str(root), "emotion").load().skipped == {"no image file": 1}

    def test_files_that_lie_in_no_class_folder_are_counted(self, tmp_path):
        write_class_folders(tmp_path / "train", {"happy": 2, "sad": 1})
        (tmp_path / "train" / "happy" / "0.jpg").rename(tmp_path / "train" / "loose.jpg")
        (tmp_path / "labels.csv").write_text("")
        listing = FaceFolder(str(tmp_path), "emotion").load()
        assert listing.skipped == {"in no class folder": 2}
        assert len(listing.faces) == 2

    def test_files_in_folders_inside_a_class_folder_are_counted(self, tmp_path):
        root = write_class_folders(tmp_path, {"happy": 1})
        write_class_folders(root / "happy", {"more.jpg": 2})
        write_class_folders(root / "happy" / "more.jpg", {"deeper": 1})
        listing = FaceFolder(str(root), "emotion").load()
        assert listing.skipped == {"in a folder inside a class folder": 3}
        assert len(listing.faces) == 1

    def test_without_a_class_of_ours_it_lists_what_is_there(self, tmp_path):
        root = write_class_folders(tmp_path, {"0": 1, "1": 1})
        with pytest.raises(DataError, match=r"folders there: 0, 1; our classes: angry, fear.*`classes`"):
            FaceFolder(str(root), "emotion").load()

    def test_a_folder_of_the_mapping_that_is_not_there_is_named(self, tmp_path):
        root = write_class_folders(tmp_path, {"1": 1})
        with pytest.raises(DataError, match="no folder 2 of `classes`; folders there: 1"):
            FaceFolder(str(root), "emotion", classes={"1": "happy", "2": "sad"}).load()

    def test_a_missing_root_is_named(self, tmp_path):
        with pytest.raises(DataError, match="nowhere is not a folder"):
            FaceFolder(str(tmp_path / "nowhere"), "emotion").load()

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"task": "mood"}, "task 'mood'"),
            ({"classes": {"1": "disgust"}}, "1 is 'disgust', which is none of angry"),
            ({"name": "two words"}, "data set name"),
        ],
    )
    def test_settings_that_cannot_be_are_refused(self, settings, message):
        with pytest.raises(ConfigError, match=message):
            FaceFolder(**({"root": "x", "task": "emotion"} | settings)).load()


class TestListings:
    def test_every_source_yields_the_same_columns(self, fer2013, utkface, all_age_faces, fairface):
        for listing in (fer2013, utkface, all_age_faces, fairface):
            assert list(listing.faces.columns) == list(COLUMNS | label_columns(TASKS))
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
