import pandas as pd
import pytest

from smart_retail.data.duplicates import cluster, scan_faces
from smart_retail.data.sources.table import FaceTable
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import Task
from tests.helpers.pictures import write_face
from tests.helpers.trees import write_table


def listed(folder, text, pictures=("a.jpg", "b.jpg")):
    return FaceTable(str(write_table(folder, text, pictures))).load()


def test_names_and_numbers_of_classes_mean_the_same(tmp_path):
    faces = listed(tmp_path, "path,gender,emotion\na.jpg,Female,happy\nb.jpg,1,2\n").faces
    assert faces["gender"].tolist() == [1, 1]
    assert faces["emotion"].tolist() == [2, 2]


def test_an_empty_cell_is_a_missing_label(tmp_path):
    faces = listed(tmp_path, "path,gender,age\na.jpg,male,\nb.jpg,,31\n").faces
    assert faces["gender"].tolist() == [0, pd.NA]
    assert faces["age"].isna().tolist() == [True, False]


def test_a_label_column_may_be_absent(tmp_path):
    faces = listed(tmp_path, "path,age\na.jpg,3\nb.jpg,4.5\n").faces
    assert faces["emotion"].isna().all()
    assert faces["age"].tolist() == [3, 4.5]


def test_an_age_may_be_a_range(tmp_path):
    faces = listed(tmp_path, 'path,age\na.jpg,20-29\nb.jpg,"(4, 6)"\n').faces
    assert faces[["age_low", "age_high"]].to_numpy().tolist() == [[20, 29], [4, 6]]
    assert faces["age"].isna().all()


def test_exact_ages_and_ranges_stand_in_one_column(tmp_path):
    faces = listed(tmp_path, "path,age\na.jpg,70+\nb.jpg,31.5\n").faces
    assert faces[["age_low", "age_high"]].iloc[0].tolist() == [70, 100]
    assert faces["age"].iloc[1] == 31.5
    assert pd.isna(faces["age_low"].iloc[1])


def test_a_range_may_stand_in_two_columns(tmp_path):
    faces = listed(tmp_path, "path,age,age_low,age_high\na.jpg,,20,29\nb.jpg,25,20,29\n").faces
    assert faces[["age_low", "age_high"]].iloc[0].tolist() == [20, 29]
    assert faces["age"].iloc[1] == 25
    assert pd.isna(faces["age_low"].iloc[1])


def test_an_end_that_is_not_given_is_open(tmp_path):
    faces = listed(tmp_path, "path,age_low,age_high\na.jpg,60,\nb.jpg,,12\n").faces
    assert faces[["age_low", "age_high"]].to_numpy().tolist() == [[60, 100], [0, 12]]


@pytest.mark.parametrize("ends", ["29,20", "20.5,29", "-4,3", "1,400", "x,3", "1,inf"])
def test_two_columns_that_are_no_range_stop_with_their_row(tmp_path, ends):
    with pytest.raises(DataError, match=r"age_low, age_high is .*\(row 2\)"):
        listed(tmp_path, f"path,age_low,age_high\na.jpg,{ends}\n")


@pytest.mark.parametrize("column", ["file", "image", "filename", "File Name", "IMG_PATH", "image_file", "photo"])
def test_the_column_of_paths_may_have_another_name(tmp_path, column):
    assert len(listed(tmp_path, f"{column},age\na.jpg,3\n").faces) == 1


def test_a_column_called_path_is_taken_whatever_else_is_there(tmp_path):
    faces = listed(tmp_path, "path,file,image,age\na.jpg,x,y,3\n").faces
    assert faces["key"].tolist() == ["own/a.jpg"]


def test_rows_without_a_label_or_a_file_are_skipped_and_counted(tmp_path):
    listing = listed(tmp_path, "path,age\na.jpg,3\nb.jpg,\nc.jpg,4\n")
    assert listing.skipped == {"no label at all": 1, "file not found": 1}
    assert listing.notes == ["the first face without a label: row 3, b.jpg"]
    assert [path.rpartition("/")[2] for path in listing.missing] == ["c.jpg"]


def test_landmarks_become_the_contracts_square(tmp_path):
    names = "left_eye_x,left_eye_y,right_eye_x,right_eye_y,mouth_x,mouth_y"
    faces = listed(tmp_path, f"path,age,{names}\na.jpg,3,83,40,117,40,100,80\n").faces
    assert faces.loc[0, ["crop_x", "crop_y", "crop_side"]].tolist() == pytest.approx([100, 58, 100])


def test_a_profile_whose_eyes_nearly_meet_is_a_face_like_any_other(tmp_path):
    names = "left_eye_x,left_eye_y,right_eye_x,right_eye_y,mouth_x,mouth_y"
    rows = "a.jpg,3,20,20,20.2,20,20,56\nb.jpg,4,30,20,30.2,20,30,56\na.jpg,5,15,20,49,20,32,56\n"
    listing = listed(tmp_path, f"path,age,{names}\n{rows}")
    faces = listing.faces
    assert faces["age"].tolist() == [3, 5, 4]
    assert faces["crop_side"].tolist() == pytest.approx([36 / 0.34 / 1.08, 100, 36 / 0.34 / 1.08], rel=1e-4)
    scans = scan_faces(faces, 1)
    assert scans["error"].tolist() == [""] * 3
    assert len(set(cluster(scans)[1])) == 3


@pytest.mark.parametrize(
    ("points", "message"), [("9,9,9,9,9,40", "have both eyes at one place"), ("9,9,9.1,9,9,9", "do not make")]
)
def test_landmarks_that_are_no_face_stop_with_their_row(tmp_path, points, message):
    names = "left_eye_x,left_eye_y,right_eye_x,right_eye_y,mouth_x,mouth_y"
    with pytest.raises(DataError, match=f"{message}.*row 2"):
        listed(tmp_path, f"path,age,{names}\na.jpg,3,{points}\n")


def test_a_box_becomes_a_square(tmp_path):
    faces = listed(tmp_path, "path,age,left,top,right,bottom\na.jpg,3,10,20,30,60\n").faces
    assert faces.loc[0, ["crop_x", "crop_y", "crop_side"]].tolist() == [20, 40, 40]


def test_faces_of_one_picture_have_keys_of_their_own_whatever_is_skipped(tmp_path):
    boxes = ["1,1,9,9", "20,1,29,9", "1,20,9,29"]

    def keys(ages):
        rows = "\n".join(f"a.jpg,{age},{box}" for age, box in zip(ages, boxes, strict=True))
        return listed(tmp_path, f"path,age,left,top,right,bottom\n{rows}\nb.jpg,5,,,,\n").faces["key"].tolist()

    assert keys([3, 30, 60]) == ["own/a.jpg", "own/a.jpg#2", "own/a.jpg#3", "own/b.jpg"]
    assert keys(["", 30, 60]) == ["own/a.jpg#2", "own/a.jpg#3", "own/b.jpg"]


def test_without_a_place_the_whole_image_is_the_face(tmp_path):
    faces = listed(tmp_path, "path,age,left,top,right,bottom\na.jpg,3,,,,\n").faces
    assert faces["crop_side"].isna().all()


def test_a_split_column_is_the_official_split(tmp_path):
    faces = listed(tmp_path, "path,age,split\na.jpg,3,test\nb.jpg,4,\n").faces
    assert faces["official"].tolist() == ["test", ""]


def test_parquet_reads_like_csv(tmp_path):
    table = write_table(tmp_path, "path,age\na.jpg,3\n", ["a.jpg"])
    pd.read_csv(table).to_parquet(tmp_path / "faces.parquet")
    assert FaceTable(str(tmp_path / "faces.parquet")).load().faces.equals(FaceTable(str(table)).load().faces)


def test_relative_paths_start_at_the_root_if_one_is_given(tmp_path):
    write_table(tmp_path / "pictures", "", ["a.jpg"])
    table = write_table(tmp_path / "tables", "path,age\na.jpg,3\n")
    assert len(FaceTable(str(table), root=str(tmp_path / "pictures")).load().faces) == 1


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.jpg,wman,3,happy,train", r"gender is none of male, female: 'wman' \(row 2; near it: woman\)"),
        ("a.jpg,2,3,happy,train", r"gender has numbers that are none of 0 to 1; .*'2' \(row 2\)"),
        ("a.jpg,male,young,happy,train", r"age is not a number of years.*'young' \(row 2\)"),
        ("a.jpg,male,-3,happy,train", r"age is outside 0 to 130 years: '-3' \(row 2\)"),
        ("a.jpg,male,300,happy,train", "age is outside 0 to 130 years: '300'"),
        ("a.jpg,male,30-20,happy,train", "age is no range: the youngest must stand first: '30-20'"),
        ("a.jpg,male,200-300,happy,train", "age is outside 0 to 130 years: '200-300'"),
        ("a.jpg,male,3,hapy,train", r"emotion is none of angry.*'hapy' \(row 2; near it: happy\)"),
        ("a.jpg,male,3,happy,holdout", "split is none of train, val, test: 'holdout'"),
    ],
)
def test_a_wrong_value_stops_with_its_row(tmp_path, row, message):
    with pytest.raises(DataError, match=message):
        listed(tmp_path, f"path,gender,age,emotion,split\n{row}\n")


@pytest.mark.parametrize("box", ["10,10,10,10", "30,10,20,60", "10,60,30,20", "left,1,2,3", "1,2,inf,3", "1,2,,4"])
def test_a_box_that_is_no_box_stops_with_its_row(tmp_path, box):
    with pytest.raises(DataError, match=r"left, top, right, bottom (must|are|do).*\(row 2\)"):
        listed(tmp_path, f"path,age,left,top,right,bottom\na.jpg,3,{box}\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("where,age\na.jpg,3\n", "no column `path`.*it has where"),
        ("file,image,age\na.jpg,a.jpg,3\n", "file and image could each be"),
        ("path,height\na.jpg,3\n", "none of the label columns"),
        ("", "not r"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        listed(tmp_path, text)


def test_neither_case_nor_spaces_in_the_header_matter(tmp_path):
    faces = listed(tmp_path, "Path , AGE, Gender\na.jpg, 3, Female\n").faces
    assert (faces["age"].tolist(), faces["gender"].tolist()) == ([3], [1])


def test_two_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="more than one column is called age"):
        listed(tmp_path, "path,age,Age\na.jpg,3,4\n")


def test_a_table_without_any_of_its_files_tells_where_they_were_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"faces\.csv: none of its 2 files .*nowhere/a\.jpg.*`root`"):
        FaceTable(str(write_table(tmp_path, "path,age\na.jpg,3\nb.jpg,4\n")), root=str(tmp_path / "nowhere")).load()


def test_a_parquet_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "faces.parquet").write_text("path,age")
    with pytest.raises(DataError, match=r"not readable as \.parquet"):
        FaceTable(str(tmp_path / "faces.parquet")).load()


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv: no such file"):
        FaceTable(str(tmp_path / "gone.csv")).load()
    with pytest.raises(DataError, match=r"gone\.csv: no such file in .*evaluate --config FILE, export --data FILE"):
        FaceTable("gone.csv").load()


def test_a_name_must_fit_into_metric_names():
    with pytest.raises(ConfigError, match="letters, digits and underscores"):
        FaceTable("faces.csv", name="my faces/2")


@pytest.mark.parametrize("name", ["overall", "class"])
def test_a_name_that_means_something_else_is_refused(name):
    with pytest.raises(ConfigError, match=f"'{name}' is taken"):
        FaceTable("faces.csv", name=name)


def test_a_table_can_be_for_measuring_alone(tmp_path):
    for name in ("a.png", "b.png"):
        write_face(tmp_path / name, 1, 40)
    (tmp_path / "faces.csv").write_text("path,age,split\na.png,20-29,\nb.png,30,train\n")
    faces = FaceTable(str(tmp_path / "faces.csv"), split="test").load().faces
    assert faces["official"].tolist() == ["test", "train"]


def test_a_split_that_is_none_is_refused():
    with pytest.raises(ConfigError, match="split 'all' of data set own is none of train, val, test"):
        FaceTable("faces.csv", split="all")


def test_votes_are_labels_and_the_majority_is_the_class_where_none_is_named(tmp_path):
    write_face(tmp_path / "a.png", 0, 40)
    rows = "a.png,3,1\na.png,1,1\n"
    (tmp_path / "faces.csv").write_text(f"path,glasses_votes_none,glasses_votes_glasses\n{rows}")
    glasses = Task("glasses", classes=("none", "glasses"))
    faces = FaceTable(str(tmp_path / "faces.csv")).load([glasses]).faces
    assert faces["glasses"].tolist()[0] == 0 and pd.isna(faces["glasses"].tolist()[1])
    assert faces[list(glasses.vote_columns)].to_numpy().tolist() == [[0.75, 0.25], [0.5, 0.5]]
