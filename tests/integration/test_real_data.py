"""The defects of the three real data sets, as they are known; needs $SMART_RETAIL_DATA."""

import hashlib

import pandas as pd
import pytest

from smart_retail.data.images import read_image
from smart_retail.data.index import SplitSettings, build_index
from smart_retail.data.sources.all_age_faces import AllAgeFaces
from smart_retail.data.sources.base import find_root
from smart_retail.data.sources.fer2013 import FER2013, HANDLE
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.data.splits import contradictions
from smart_retail.tasks import TASKS

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def index():
    return build_index([FER2013(), UTKFace(), AllAgeFaces()], SplitSettings())


def part(index, name):
    return index.faces[index.faces["dataset"] == name]


def exact(faces):
    """Groups, files in them, and groups with labels that disagree by task."""
    duplicates = faces[faces.groupby("exact")["key"].transform("size") > 1]
    wrong = contradictions(duplicates, TASKS, "exact")
    return (
        duplicates["exact"].nunique(),
        len(duplicates),
        {task: duplicates.loc[wrong[task], "exact"].nunique() for task in ("gender", "age", "emotion")},
    )


def test_utkface_has_its_known_duplicates(index):
    groups, files, wrong = exact(part(index, "utkface"))
    assert (groups, files) == (301, 613)
    assert (wrong["age"], wrong["gender"]) == (170, 32)


def test_utkface_has_three_malformed_names(index):
    assert index.skipped["utkface"]["malformed file name"] == 3


def test_all_age_faces_has_its_known_duplicates(index):
    groups, files, wrong = exact(part(index, "all_age_faces"))
    assert (groups, files, wrong["age"]) == (158, 324, 135)


@pytest.fixture(scope="module")
def whole_fer2013():
    """Every file with its pixels' digest: the known counts include disgust and the flat images."""
    root = find_root(None, HANDLE, "fer2013")
    files = pd.DataFrame({"path": sorted(map(str, root.glob("*/*/*.jpg")))})
    files["digest"] = [hashlib.blake2b(read_image(path).tobytes()).digest() for path in files["path"]]
    files["training"] = files["path"].str.contains("/Training_")
    files["emotion"] = files["path"].str.split("/").str[-2]
    return files


def test_fer2013_has_its_known_duplicates(whole_fer2013):
    groups = whole_fer2013.groupby("digest")
    duplicates = whole_fer2013[groups["path"].transform("size") > 1].groupby("digest")
    assert (duplicates.ngroups, duplicates["path"].size().sum(), (duplicates["emotion"].nunique() > 1).sum()) == (
        1272,
        2803,
        47,
    )


def test_fer2013_leaks(whole_fer2013):
    training = whole_fer2013.loc[whole_fer2013["training"], "digest"]
    assert (~whole_fer2013["training"] & whole_fer2013["digest"].isin(training)).sum() == 280


def test_of_fer2013s_six_classes_the_listing_knows_duplicates_and_leaks(index):
    faces = part(index, "fer2013")
    training = faces.loc[faces["official"] == "train", "exact"]
    leaks = (faces["official"].isin(["val", "test"]) & faces["exact"].isin(training)).sum()
    assert (exact(faces)[1], leaks) == (2665, 264)


def test_fer2013_has_13_flat_images(index):
    assert index.skipped["fer2013"]["flat (black) image"] == pytest.approx(13, abs=1)


def test_no_cluster_is_on_two_sides(index):
    used = index.faces[index.faces["split"] != ""]
    assert (used.groupby("cluster")["split"].nunique() == 1).all()


def test_no_file_is_broken(index):
    assert index.broken == []
