"""What people call columns and values: known, told, or refused all at once."""

import pandas as pd
import pytest

from smart_retail.data.sources.table import FaceTable
from smart_retail.errors import ConfigError, DataError
from smart_retail.tasks import EMOTIONS, TASKS, Task
from tests.helpers.trees import write_table

NAMES = ["a.jpg", "b.jpg", "c.jpg"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_table(folder, "", NAMES)
    return folder


def listed(folder, text, tasks=TASKS, **settings):
    (folder / "faces.csv").write_text(text)
    return FaceTable(str(folder / "faces.csv"), **settings).load(tasks)


def column(folder, name, *cells, **settings):
    rows = "".join(f'{path},"{cell}",5\n' for path, cell in zip(NAMES, cells, strict=False))
    return listed(folder, f"path,{name},{'age' if name != 'age' else 'race'}\n{rows}", **settings)


@pytest.mark.parametrize(
    "cells", [("M", "F", "u"), ("man", "Woman", "unknown"), ("boy", "girl", "?"), ("males", " females ", "N/A")]
)
@pytest.mark.parametrize("name", ["gender", "sex", "Sex"])
def test_genders_in_other_words(folder, name, cells):
    assert column(folder, name, *cells).faces["gender"].tolist() == [0, 1, pd.NA]


def test_a_column_of_one_gender_holds_yes_and_no(folder):
    assert column(folder, "Male", "1", "-1", "").faces["gender"].tolist() == [0, 1, pd.NA]
    assert column(folder, "is_female", "True", "no", "0").faces["gender"].tolist() == [1, 0, 0]


def test_columns_of_both_genders_must_not_contradict_each_other(folder):
    text = "path,male,female\na.jpg,1,0\nb.jpg,,1\nc.jpg,1,1\n"
    with pytest.raises(DataError, match=r"male, female contradict each other: '1, 1' \(row 4\)"):
        listed(folder, text)
    assert listed(folder, text.replace("1,1", "0,")).faces["gender"].tolist() == [0, 1, 1]


def test_a_row_that_names_no_class_of_a_column_each_is_counted(folder):
    found = listed(folder, "path,age,male,female\na.jpg,1,1,0\nb.jpg,2,0,1\nc.jpg,3,0,0\n")
    assert found.faces["gender"].tolist() == [0, 1, pd.NA]
    assert found.skipped == {"gender 'neither' is none of ours": 1}
    found = listed(folder, "path,age,emotion_votes_happy,emotion_votes_sad\na.jpg,1,1,0\nb.jpg,2,,\nc.jpg,3,0,0\n")
    assert found.faces["emotion"].tolist() == [EMOTIONS.index("happy"), pd.NA, pd.NA]
    assert found.skipped == {"no vote for any emotion of ours": 1}


@pytest.mark.parametrize("name", ["age_group", "Age Class", "age_label"])
def test_numbers_of_groups_are_not_taken_for_years(folder, name):
    text = f"path,{name}\na.jpg,0\nb.jpg,3\n"
    with pytest.raises(DataError, match=r"may be groups or years.*'0' \(row 2\), '3' \(row 3\)"):
        listed(folder, text)
    assert listed(folder, text, columns={name: "age"}).faces["age"].tolist() == [0, 3]
    told = listed(folder, text, values={"age": {0: "0-2", 3: "20-29"}}).faces
    assert told["age_high"].tolist() == [2, 29]
    assert listed(folder, text.replace(",0", ",20-29").replace(",3", ",70+")).faces["age_low"].tolist() == [20, 70]


def test_ages_that_are_shares_are_told(folder):
    assert any("no age is more than a year" in note for note in column(folder, "age", "0.23", "0.4").notes)
    assert not any("year" in note for note in column(folder, "age", "0.5", "4").notes)


def test_a_column_for_each_class_is_near_to_votes(folder):
    (note,) = listed(folder, "path,age,happy,anger\na.jpg,3,1,0\n").notes
    assert note.endswith("happy (near it: emotion_votes_happy), anger (near it: emotion_votes_angry)")


def test_numbers_of_classes_are_told_and_foreign_ones_are_refused(folder):
    assert any("read as 0 male, 1 female" in note for note in column(folder, "gender", "0", "1").notes)
    with pytest.raises(DataError, match=r"values: \{gender: \{1: its class.*'1' \(row 2\), '2' \(row 3\)"):
        column(folder, "gender", "1", "2")
    with pytest.raises(DataError, match=r"none of 0 to 5.*'0' .*'6' "):
        column(folder, "emotion", "0", "6")


def test_emotions_in_other_words_and_those_that_are_none_of_ours(folder):
    listing = column(folder, "expression", "Happiness", "disgust", "anger")
    assert [None if pd.isna(e) else EMOTIONS[e] for e in listing.faces["emotion"]] == ["happy", None, "angry"]
    assert listing.skipped == {"emotion 'disgust' is none of ours": 1}


@pytest.mark.parametrize("cell", ["", "-1", "?", "unknown", "NA", "nan", "None"])
def test_an_age_that_is_not_known_is_no_label(folder, cell):
    assert column(folder, "age", "30", cell).skipped == {"no label at all": 1}


def test_a_column_of_ages_with_decimal_commas(folder):
    assert listed(folder, "path;age\na.jpg;4,5\nb.jpg;31,0\n").faces["age"].tolist() == [4.5, 31]
    with pytest.raises(DataError, match=r"may be 4\.5 years or 4 to 5"):
        listed(folder, "path;age\na.jpg;4,5\nb.jpg;31\n")


@pytest.mark.parametrize(
    ("word", "split"),
    [("Training", "train"), ("valid", "val"), ("dev", "val"), ("PrivateTest", "test"), ("TEST", "test"), ("?", "")],
)
@pytest.mark.parametrize("name", ["split", "Usage", "partition"])
def test_splits_in_other_words(folder, name, word, split):
    assert column(folder, name, word).faces["official"].tolist() == [split]


def test_paths_are_text(folder):
    for name in ("001", "NA", "1.0"):
        (folder / name).write_bytes((folder / "a.jpg").read_bytes())
    faces = listed(folder, "path,gender\n001,male\nNA,female\n1.0,female\n").faces
    assert faces["key"].tolist() == ["own/001", "own/1.0", "own/NA"]


def test_a_config_names_columns_and_values(folder):
    text = "Datei,Geschlecht,Laune,Jahre\na.jpg,weiblich,7,30\nb.jpg,divers,3,31\nc.jpg,M,-,32\n"
    listing = listed(
        folder,
        text,
        columns={"Datei": "path", "geschlecht": "gender", "Laune": "emotion", "age": "Jahre"},
        values={"gender": {"weiblich": "female", "divers": None}, "Laune": {7: "neutral", 3: "sad"}},
    )
    faces = listing.faces
    assert faces["gender"].tolist() == [1, pd.NA, 0]
    assert [EMOTIONS[e] for e in faces["emotion"].dropna()] == ["neutral", "sad"]
    assert faces["age"].tolist() == [30, 31, 32]
    assert not listing.notes


def test_a_config_turns_numbers_of_a_class_round(folder):
    faces = column(folder, "gender", "0", "1", values={"gender": {0: "female", 1: "male"}}).faces
    assert faces["gender"].tolist() == [1, 0]


def test_a_config_gives_dates_back_their_meaning(folder):
    faces = column(folder, "age", "09-Mar", values={"age": {"09-Mar": "3-9"}}).faces
    assert faces[["age_low", "age_high"]].to_numpy().tolist() == [[3, 9]]


def test_yes_and_no_of_yaml_are_words_of_a_table(folder):
    glasses = [Task("glasses", classes=("none", "glasses"))]
    told = {"glasses": {True: "glasses", False: "none"}}
    assert column(folder, "glasses", "yes", "No", "true", tasks=glasses, values=told).faces["glasses"].tolist() == [
        1,
        0,
        1,
    ]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"columns": {"gendr": "gender"}}, "has no column gendr; near it: gender"),
        ({"columns": {"gender": "sexx"}}, "is to be sexx, which is no column of ours"),
        ({"columns": {"gender": "race", "age": "race"}}, "gender and age are both to be race; name one"),
        ({"values": {"mood": {1: "happy"}}}, "has no column mood"),
        ({"values": {"gender": {"W": "femal"}}}, "W is 'femal', which is none of male, female"),
        ({"values": {"gender": "female"}}, "values of gender, 'female': no mapping, as {cell: what it means}"),
        ({"values": ["female"]}, "values .* of data set own is no mapping: {column: {cell"),
        ({"columns": ["gender"]}, "columns .* of data set own is no mapping: {theirs: ours}"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(folder, settings, message):
    with pytest.raises(ConfigError, match=message):
        column(folder, "gender", "male", **settings)


def test_a_column_can_be_left_out(folder):
    assert column(folder, "split", "train", columns={"split": None}).faces["official"].tolist() == [""]


def test_a_column_of_years_is_that_of_ages(folder):
    listing = listed(folder, "file,sex,years\na.jpg,m,34\n")
    assert listing.faces["age"].tolist() == [34]
    assert listing.notes == ["read file as path; sex as gender; years as age"]


def test_columns_that_are_not_used_are_named_with_what_they_are_near_to(folder):
    notes = listed(folder, "path,age,gendre,Shop No\na.jpg,3,male,7\n").notes
    assert notes == ["columns that are not used: gendre (near it: gender), Shop No"]


def test_a_table_without_labels_names_what_is_nearly_one(folder):
    with pytest.raises(DataError, match=r"none of the label columns.*gendre \(near it: gender\).*`columns:"):
        listed(folder, "path,gendre\na.jpg,male\n")


def test_a_table_without_paths_names_what_is_nearly_one(folder):
    with pytest.raises(DataError, match=r"no column `path`.*flie \(near it: path\)"):
        listed(folder, "flie,age\na.jpg,3\n")


def test_all_that_is_wrong_stands_in_one_message(folder):
    text = "path,gender,age,split,left,top\na.jpg,Q,09-Mar,train,1,2\nb.jpg,Q,19-Oct,hold,,\ngone.jpg,xx,x,train,,\n"
    with pytest.raises(DataError) as error:
        listed(folder, text)
    said = str(error.value)
    for part in (
        "left, top are a part of a face's place, and right, bottom is missing",
        "gender is none of male, female: 'Q' (2 rows, the first is row 2), 'xx' (row 4)",
        "'09-Mar' (row 2), '19-Oct' (row 3)",
        "'x' (row 4)",
        "'hold' (row 3)",
        "1 of its 3 files are not there",
        "`values:",
    ):
        assert part in said


def test_of_many_bad_values_the_first_are_told_and_the_rest_counted(tmp_path):
    table = write_table(tmp_path, "path,age\n" + "".join(f"a.jpg,x{number}\n" for number in range(1000)), ["a.jpg"])
    with pytest.raises(DataError, match=r"1,000 cells.*\n.*'x11' \(row 13\) and 988 other values"):
        FaceTable(str(table)).load()
