"""The defects of the three real data sets, as they are known; needs $SMART_RETAIL_DATA."""

import pytest

from smart_retail.data.index import SplitSettings, build_index
from smart_retail.data.sources.all_age_faces import AllAgeFaces
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.data.splits import contradictions

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def index():
    return build_index([FER2013(), UTKFace(), AllAgeFaces()], SplitSettings())


def part(index, name):
    return index.faces[index.faces["dataset"] == name]


def exact(faces):
    """Groups, files in them, and groups with labels that disagree by task."""
    twins = faces[faces.groupby("exact")["key"].transform("size") > 1]
    wrong = contradictions(twins, "exact")
    return (
        twins["exact"].nunique(),
        len(twins),
        {task: twins.loc[wrong[task], "exact"].nunique() for task in ("gender", "age", "emotion")},
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


def test_fer2013_has_its_known_duplicates(index):
    # 1,272 groups of 2,803 files with disgust and the flat images, which are left out here.
    groups, files, wrong = exact(part(index, "fer2013"))
    assert groups == pytest.approx(1272, abs=60)
    assert files == pytest.approx(2803, abs=130)
    assert wrong["emotion"] <= 47


def test_fer2013_leaks(index):
    faces = part(index, "fer2013")
    training = faces.loc[faces["official"] == "train", "exact"]
    leaks = (faces["official"].isin(["val", "test"]) & faces["exact"].isin(training)).sum()
    assert leaks == pytest.approx(280, abs=10)


def test_fer2013_has_13_flat_images(index):
    assert index.skipped["fer2013"]["flat (black) image"] == pytest.approx(13, abs=1)


def test_no_cluster_is_on_two_sides(index):
    used = index.faces[index.faces["split"] != ""]
    assert (used.groupby("cluster")["split"].nunique() == 1).all()


def test_no_file_is_broken(index):
    assert index.broken == []
