import re

import cv2
import pandas as pd
import pytest

from smart_retail.data.sources.fer2013 import crowd_votes
from smart_retail.sheet import GAP_PX, HEAD_PX, TEXT_PX
from smart_retail.training.data_cli import read_data
from tests.helpers.pictures import write_face
from tests.helpers.runs import run, write_config
from tests.helpers.trees import write_fairface, write_fer2013, write_utkface


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


def sources(folder):
    fer = write_fer2013(folder / "fer", 3, duplicates=2, broken=1)
    utk = write_utkface(folder / "utk", 20, contradictory=3)
    return {
        "sources": [
            {"class_path": "FER2013", "init_args": {"root": str(fer)}},
            {"class_path": "UTKFace", "init_args": {"root": str(utk)}},
        ],
        "max_broken": 0.1,
    }


def rows(text, title):
    """Cells of the lines of one table: by the data set, and by the second column too where that tells more."""
    ends = [text.find(other, text.index(title) + 1) for other in ("Training labels", "Duplicates", "Left out", "Terms")]
    table = text[text.index(title) : min(end for end in ends if end > 0)]
    lines = [[cell.strip() for cell in line.strip("│┃ ").split("│")] for line in table.splitlines() if "│" in line]
    return {line[0] if title == "Faces" else tuple(line[:2]): line for line in lines}


def test_it_tells_what_is_there_and_what_was_left_out(here, capsys):
    assert run("data", "--config", write_config(here, data=sources(here))) == 0
    said = capsys.readouterr().out
    faces = rows(said, "Faces")
    assert faces["fer2013"][1:5] == ["56", "0", "0", "56"]
    assert faces["utkface"][1:5] == ["29", "29", "29", "0"]
    assert faces["all"][1] == "85"
    left_out = rows(said, "Left out")
    assert left_out["fer2013", "disgust is not a class"][2] == "2"
    assert left_out["fer2013", "unreadable image"][2] == "1"
    assert left_out["utkface", "malformed file name"][2] == "4"
    assert left_out["fer2013", "training face: duplicate in val or test"][2] == "2"


def test_it_counts_duplicates_contradictions_and_leaks(here, capsys):
    assert run("data", "--config", write_config(here, data=sources(here))) == 0
    duplicates = rows(capsys.readouterr().out, "Duplicates")
    # groups, files, gender, age, emotion, leaks
    assert duplicates["fer2013", "same pixels"][2:] == ["2", "4", "0", "0", "0", "2"]
    assert duplicates["utkface", "same pixels"][2:] == ["3", "6", "0", "3", "0", "0"]


def test_ranges_of_ages_count_as_labels_and_are_told_one_by_one(here, capsys):
    fairface = {"class_path": "FairFace", "init_args": {"root": str(write_fairface(here / "fairface", 18))}}
    assert run("data", "--config", write_config(here, data={"sources": [fairface], "max_broken": 0.1})) == 0
    said = capsys.readouterr().out
    assert rows(said, "Faces")["fairface"][1:5] == ["22", "22", "22", "0"]
    assert re.search(r"age range.*\b0-2 \d+%.*\b70-100 \d+%", said)


def test_it_tells_how_often_the_crowd_disagrees_with_the_data_set(here, capsys):
    fer = write_fer2013(here / "fer", 3)
    asked = [n for n, (ours, everyone, _) in crowd_votes().items() if n.startswith("Train") and 2 * ours[1] > everyone]
    for number, name in enumerate(asked[:4]):
        write_face(fer / "train" / ("fear" if number == 0 else "happy") / name, 60 + number, grey=True)
    sources = [{"class_path": "FER2013", "init_args": {"root": str(fer), "labels": "crowd"}}]
    assert run("data", "--config", write_config(here, data={"sources": sources})) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "of 59 faces most people name another emotion than the data set for 3; for 55 no emotion" in said


def test_its_tables_fit_a_terminal_of_80_columns(here, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert run("data", "--config", write_config(here, data=sources(here))) == 0
    said = capsys.readouterr().out
    assert "…" not in said
    assert list(rows(said, "Faces")) == ["data set", "fer2013", "utkface", "all"]


def test_it_names_broken_files_terms_and_the_fingerprint(here, capsys):
    assert run("data", "--config", write_config(here, data=sources(here))) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Training_700.jpg" in said
    assert "UTKFace: non-commercial research only" in said
    assert "fingerprint of the data:" in said


def test_a_contact_sheet_shows_each_data_set(here):
    config = write_config(here, data=sources(here))
    assert run("data", "--config", config, "--sheet", "sheet.png") == 0
    height, width = cv2.imread("sheet.png").shape[:2]
    assert width == 3 * 4 * 96 + 2 * GAP_PX
    rows, rest = divmod(height - 2 * HEAD_PX, 96 + TEXT_PX)
    assert rest == 0
    assert 4 < rows <= 16  # up to 24 faces of each data set


def test_weights_and_teachers_that_are_not_there_are_not_missed(here):
    model = {"pretrained": True, "init_weights": "nowhere.pth", "teachers": ["nowhere.pth"]}
    assert run("data", "--config", write_config(here, model=model)) == 0


def test_a_sheet_of_another_ending_is_refused(here, capsys):
    config = write_config(here)
    assert run("data", "--config", config, "--sheet", "sheet.doc") == 2
    assert "ends in .png or .jpg" in capsys.readouterr().err
    assert not (here / "sheet.doc").exists()


def test_a_list_names_every_face_and_first_what_is_wrong(here, capsys):
    config = write_config(here, data=sources(here))
    assert run("data", "--config", config, "--list", "faces.csv") == 0
    assert "list of faces: faces.csv" in capsys.readouterr().out
    table = pd.read_csv("faces.csv", keep_default_na=False)
    index = read_data(["--config", str(config)]).index
    assert sorted(table["path"]) == sorted([*map(str, index.faces["path"]), *(path for path, _ in index.broken)])
    assert "Training_700.jpg" in table.loc[0, "path"]
    wrong = table[1:7]  # three pairs of the same picture with two ages, side by side
    assert list(wrong["contradicts"]) == ["age"] * 6
    assert (wrong["age"].to_numpy()[::2] != wrong["age"].to_numpy()[1::2]).all()
    assert list(wrong["group"])[::2] == list(wrong["group"])[1::2]
    assert set(table["contradicts"][7:]) == {""}
    assert (table["left_out"][7:] != "").sum() == 2  # the leaks come next
    assert set(table.loc[table["dataset"] == "utkface", "gender"]) == {"male", "female"}


def test_a_list_of_another_ending_is_refused(here, capsys):
    assert run("data", "--config", write_config(here), "--list", "faces.txt") == 2
    assert "its name ends in .csv" in capsys.readouterr().err


def test_a_list_has_the_ends_of_known_ranges(here):
    source = {"class_path": "FairFace", "init_args": {"root": str(write_fairface(here / "fairface"))}}
    assert (
        run(
            "data", "--config", write_config(here, data={"sources": [source], "max_broken": 0.5}), "--list", "faces.csv"
        )
        == 0
    )
    table = pd.read_csv("faces.csv")
    table = table[table["dataset"].notna()]  # one file is missing
    assert table[["age_low", "age_high"]].notna().all(axis=None)
    assert table["age"].isna().all()
    assert (table["age_low"] <= table["age_high"]).all()
