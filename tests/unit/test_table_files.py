"""The files of a table: found, counted where they are not, and named the same wherever they lie."""

import shutil
import unicodedata

import pytest

from smart_retail.data.index import SplitSettings, build_index
from smart_retail.data.left_out import left_out, why_empty
from smart_retail.data.sources.table import FaceTable
from smart_retail.errors import DataError
from tests.helpers.trees import write_table

NAMES = [f"faces/{number}.jpg" for number in range(12)]
ROWS = [f"{name},{20 + number}" for number, name in enumerate(NAMES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    write_table(folder, table(ROWS), NAMES)
    return folder


def table(rows):
    return "\n".join(["path,age", *rows, ""])


def built(file, max_broken=0.01, **settings):
    shares = SplitSettings(val_share=0.3, test_share=0.3)
    return build_index([FaceTable(str(file), **settings)], shares, max_broken=max_broken, workers=1)


@pytest.fixture(scope="module")
def told(folder):
    index = built(folder / "faces.csv")
    return index.fingerprint(), index.faces["split"].tolist()


@pytest.mark.parametrize("form", ["moved", "absolute", "absolute elsewhere", "backslashes", "dots", "root"])
def test_neither_where_data_lie_nor_how_paths_are_written_changes_split_and_fingerprint(folder, told, tmp_path, form):
    settings = {}
    file = folder / "other.csv"
    if form == "moved":
        shutil.copytree(folder, tmp_path / "deep")
        file = tmp_path / "deep" / "faces.csv"
    elif form == "absolute":
        file.write_text(table(f"{folder}/{row}" for row in ROWS))
    elif form == "absolute elsewhere":
        shutil.copytree(folder / "faces", tmp_path / "x" / "faces")
        file = write_table(tmp_path / "tables", table(f"{tmp_path}/x/{row}" for row in ROWS))
        settings["root"] = str(tmp_path / "x")
    elif form == "backslashes":
        file.write_text(table(row.replace("/", "\\") for row in ROWS))
    elif form == "dots":
        file.write_text(table(f"./faces/../{row}" for row in ROWS))
    else:
        file = write_table(tmp_path, table(ROWS))
        settings["root"] = str(folder)
    index = built(file, **settings)
    assert (index.fingerprint(), index.faces["split"].tolist()) == told


def test_absolute_paths_outside_the_root_are_named_from_the_folder_that_holds_them_all(folder, tmp_path):
    file = write_table(tmp_path, table(f"{folder}/{row}" for row in ROWS))
    assert FaceTable(str(file)).load().faces["key"].iloc[0] == "own/0.jpg"


def test_a_name_with_accents_is_found_in_either_way_to_write_it(folder, tmp_path):
    composed = "J\u00fcrgen.jpg"
    shutil.copy(folder / NAMES[0], tmp_path / unicodedata.normalize("NFD", composed))
    listing = FaceTable(str(write_table(tmp_path, table([f"{composed},3"])))).load()
    assert listing.faces["key"].tolist() == [f"own/{composed}"]


def test_missing_files_count_as_broken_ones_and_are_told_with_a_path(folder):
    (folder / "lost.csv").write_text(table([*ROWS, "faces/gone.jpg,5"]))
    with pytest.raises(DataError, match=r"1 of 13 images are unreadable or not there.*max_broken.*faces/gone\.jpg"):
        built(folder / "lost.csv")
    lines = left_out(built(folder / "lost.csv", max_broken=0.1))
    assert lines[0] == "own: 1 file not found"
    assert "faces/gone.jpg: no such file" in lines[1]


def test_a_file_of_another_case_or_ending_is_pointed_at(folder):
    (folder / "lost.csv").write_text(table(row.replace(".jpg", ".JPG") for row in ROWS))
    with pytest.raises(DataError, match=r"none of its 12 files is there.*0\.JPG \(there is 0\.jpg\)"):
        built(folder / "lost.csv")


def test_addresses_in_the_web_are_to_be_downloaded(folder):
    (folder / "web.csv").write_text(table(["https://example.org/a.jpg,3"]))
    with pytest.raises(DataError, match="Addresses are not read: download the files"):
        built(folder / "web.csv")


def test_a_table_of_training_faces_alone_is_told_how_to_get_a_test(folder):
    rows = [f"{row},train" for row in ROWS]
    (folder / "train.csv").write_text("\n".join(["path,age,split", *rows, ""]))
    index = built(folder / "train.csv")
    assert "columns: {split: null}" in why_empty(index, "test")
    assert "no face is left for `test`" in left_out(index)[-1]
    assert not built(folder / "train.csv", columns={"split": None}).part("test").empty
