import shutil

import cv2
import pytest

from smart_retail.data.index import SplitSettings, build_index
from smart_retail.data.sources.fer2013 import FER2013
from smart_retail.data.sources.synthetic import SyntheticFaces
from smart_retail.data.sources.table import FaceTable
from smart_retail.data.sources.utkface import UTKFace
from smart_retail.data.splits import CONTRADICTORY, LEAKED, REPEATED
from smart_retail.data.summary import print_summary
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import tasks_of
from tests.helpers.pictures import drawn_face, write_face, write_image
from tests.helpers.trees import write_fer2013, write_table, write_utkface

ALL_TRAINING = {"val_share": 0.0, "test_share": 0.0}


def build(*sources, max_broken=0.01, **settings):
    return build_index(sources, SplitSettings(**settings), max_broken=max_broken, workers=1)


@pytest.fixture(scope="module")
def fer_root(tmp_path_factory):
    return write_fer2013(tmp_path_factory.mktemp("fer2013"), 4, duplicates=2)


@pytest.fixture(scope="module")
def utk_root(tmp_path_factory):
    return write_utkface(tmp_path_factory.mktemp("utkface"), 12, contradictory=3)


def test_all_sources_are_in_one_table(fer_root, utk_root):
    index = build(FER2013(str(fer_root)), UTKFace(str(utk_root)))
    assert index.datasets == ["fer2013", "utkface"]
    assert index.faces["dataset"].nunique() == 2
    assert len(index.terms) == 2


def test_duplicates_of_test_faces_are_kept_out_of_training(fer_root):
    faces = build(FER2013(str(fer_root))).faces
    leaked = faces[faces["excluded"] == LEAKED]
    assert len(leaked) == 2
    assert set(leaked["official"]) == {"train"}


def test_duplicates_are_found_across_sources(fer_root, tmp_path):
    duplicate = next((fer_root / "test" / "happy").glob("PrivateTest_*"))
    table = write_table(tmp_path, "path,age\nduplicate.jpg,30\n")
    shutil.copy(duplicate, tmp_path / "duplicate.jpg")
    faces = build(FER2013(str(fer_root)), FaceTable(str(table)), **ALL_TRAINING).faces
    own = faces[faces["dataset"] == "own"].iloc[0]
    assert own["split"] == "test"
    assert (faces["exact"] == own["exact"]).sum() == 2


def test_duplicates_that_lie_in_two_sources_alone_are_told(tmp_path, capsys):
    picture = write_face(tmp_path / "face.png", 0, 64)
    sources = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(picture, tmp_path / name / "a.png")
        sources.append(FaceTable(str(write_table(tmp_path / name, "path,age\na.png,30\n")), name=name))
    print_summary(build(*sources, **ALL_TRAINING))
    assert "Groups of duplicates that reach over data sets: 1; none within one." in capsys.readouterr().out


def test_contradictory_faces_stay_unless_asked_to_go(utk_root):
    source = UTKFace(str(utk_root))
    assert set(build(source, **ALL_TRAINING).faces["excluded"]) == {""}
    dropped = build(source, **ALL_TRAINING, drop_contradictions=True).faces
    assert (dropped["excluded"] == CONTRADICTORY).sum() == 6
    assert (dropped.loc[dropped["excluded"] == CONTRADICTORY, "split"] == "").all()


def test_of_repeated_faces_one_stays_when_asked_for(tmp_path):
    table = write_table(tmp_path, "path,age,emotion\na.jpg,30,\nb.jpg,30,\nc.jpg,,happy\n", ["a.jpg"])
    for name in ("b.jpg", "c.jpg"):
        shutil.copy(tmp_path / "a.jpg", tmp_path / name)
    faces = build(FaceTable(str(table)), **ALL_TRAINING, drop_repeats=True).faces
    # c knows the emotion, which a does not: it teaches something else.
    assert faces["excluded"].tolist() == ["", REPEATED, ""]


def test_a_broken_file_is_left_out_counted_and_named(tmp_path):
    index = build(FER2013(str(write_fer2013(tmp_path, 3, broken=1))), max_broken=0.1)
    assert index.skipped["fer2013"]["unreadable image"] == 1
    assert [path.endswith("Training_700.jpg") for path, _ in index.broken] == [True]
    assert not index.faces["path"].str.contains("Training_700").any()


def test_too_many_broken_files_stop_with_an_example(tmp_path):
    with pytest.raises(DataError, match=r"3 of \d+ images are unreadable.*Training_70\d\.jpg"):
        build(FER2013(str(write_fer2013(tmp_path, 3, broken=3))), max_broken=0.01)


def test_every_usable_face_has_a_split(fer_root):
    faces = build(FER2013(str(fer_root))).faces
    assert ((faces["split"] != "") != (faces["excluded"] != "")).all()


def test_no_source_is_a_config_error():
    with pytest.raises(ConfigError, match=r"set data\.sources"):
        build()


def test_two_sources_of_one_name_are_a_config_error():
    with pytest.raises(ConfigError, match="two sources have one name"):
        build(SyntheticFaces(count=4), SyntheticFaces(count=4, seed=1))


def test_drawn_faces_are_no_duplicates_of_each_other():
    faces = build(SyntheticFaces(count=200)).faces
    assert faces["cluster"].nunique() > 195


class TestFingerprint:
    @pytest.fixture
    def table(self, tmp_path):
        return write_table(tmp_path, "path,age\na.jpg,30\nb.jpg,40\n", ["a.jpg", "b.jpg"])

    def fingerprint(self, table, **settings):
        return build(FaceTable(str(table)), **ALL_TRAINING | settings).fingerprint()

    def test_the_same_data_has_the_same_one_elsewhere(self, table, tmp_path_factory):
        moved = tmp_path_factory.mktemp("moved") / "deep"
        shutil.copytree(table.parent, moved)
        assert self.fingerprint(moved / "faces.csv") == self.fingerprint(table)

    def test_a_task_of_ones_own_changes_it_where_a_face_has_a_label(self, table):
        tasks = tasks_of({"glasses": {"classes": ["none", "glasses"]}})
        before = self.fingerprint(table)

        def with_glasses():
            return build_index([FaceTable(str(table))], SplitSettings(**ALL_TRAINING), tasks, workers=1).fingerprint()

        assert with_glasses() == before
        table.write_text("path,age,glasses\na.jpg,30,\nb.jpg,40,glasses\n")
        assert with_glasses() != before

    def test_a_label_changes_it(self, table):
        before = self.fingerprint(table)
        table.write_text("path,age\na.jpg,30\nb.jpg,41\n")
        assert self.fingerprint(table) != before

    def test_a_split_changes_it(self, table):
        assert self.fingerprint(table, val_share=0.9) != self.fingerprint(table)

    def test_a_pixel_changes_it(self, table):
        before = self.fingerprint(table)
        image = drawn_face(0, 64)
        image[:2] = cv2.bitwise_not(image[:2])
        write_image(table.parent / "a.jpg", image)
        assert self.fingerprint(table) != before
