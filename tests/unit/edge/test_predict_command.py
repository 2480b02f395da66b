"""What ``predict`` writes: the same names in CSV and JSON, and a word where a photo is taken for a face."""

import csv
import io
import json

import numpy as np
import pytest

from smart_retail.cli import main
from smart_retail.data.crops import Square
from smart_retail.edge import predict_command
from smart_retail.edge.answers import Answer, columns, write_csv, write_json, write_table
from smart_retail.edge.detector import Detection, Landmarks
from smart_retail.edge.prediction import PLACE, Attribute, Face, Prediction
from smart_retail.tasks import TASKS, Task
from tests.helpers.pictures import write_image

ATTRIBUTES = {
    "gender": Attribute("female", {"male": 0.0, "female": 1.0}),
    "age": Attribute(30.0, interval=(25.0, 35.0)),
    "emotion": Attribute("happy", {"happy": 0.55, "sad": 0.45}),
}
GLASSES = Task("glasses", classes=("none", "glasses"))
LANDMARKS = Landmarks((20, 40), (40, 40), (30, 60))
FOUND = Face(1, Detection((10, 20, 50, 80), 0.875, LANDMARKS), Square(30, 48, 55, 5), Prediction(ATTRIBUTES))


@pytest.mark.parametrize("result", [FOUND, Prediction(ATTRIBUTES)])
def test_csv_and_json_have_the_same_names_and_values(result):
    table, lines = io.StringIO(), io.StringIO()
    answers = [Answer("a.jpg", result)]
    assert (write_csv([], answers, TASKS, table), write_json([], answers, TASKS, lines)) == (1, 1)
    row, told = next(csv.DictReader(table.getvalue().splitlines())), json.loads(lines.getvalue())
    assert set(told) - set(row) == {"gender_probabilities", "emotion_probabilities"}
    assert told.pop("guesses") == row.pop("guesses").split() == ["emotion"]
    assert {name: value for name, value in row.items() if value} == {
        name: str(value) for name, value in told.items() if name in row
    }
    places = [row[name] for name in PLACE]
    if result is FOUND:
        assert (row["face"], row["detector_score"]) == ("1", "0.875")
        assert list(map(float, places)) == [10, 20, 50, 80, 20, 40, 40, 40, 30, 60, 30, 48, 55, 5]
    else:
        assert set(places) == {""}


def test_every_format_has_the_tasks_of_the_bundle_alone():
    tasks = (TASKS[1], GLASSES)
    attributes = {"age": ATTRIBUTES["age"], "glasses": Attribute("none", {"none": 0.75, "glasses": 0.25})}
    answers = [Answer("a.jpg", Prediction(attributes))]
    out = {name: io.StringIO() for name in ("csv", "json", "table")}
    for write, name in ((write_csv, "csv"), (write_json, "json"), (write_table, "table")):
        assert write(["a.jpg"], answers, tasks, out[name]) == 1
    assert columns(tasks)[-7:] == ["age", "age_from", "age_to", "glasses", "glasses_probability", "guesses", "error"]
    assert out["csv"].getvalue().splitlines()[1].endswith(",30.0,25.0,35.0,none,0.75,,")
    assert json.loads(out["json"].getvalue()) == {
        "file": "a.jpg",
        "age": 30.0,
        "age_from": 25.0,
        "age_to": 35.0,
        "glasses": "none",
        "glasses_probability": 0.75,
        "guesses": [],
        "glasses_probabilities": {"none": 0.75, "glasses": 0.25},
    }
    assert [line.split() for line in out["table"].getvalue().splitlines()] == [
        ["file", "age", "interval", "glasses"],
        ["a.jpg", "30", "25", "to", "35", "none", "0.75"],
    ]


def test_the_table_marks_a_guess():
    out = io.StringIO()
    write_table(["a.jpg"], [Answer("a.jpg", FOUND)], TASKS, out)
    assert out.getvalue().splitlines()[1].split() == [
        "a.jpg",
        "female",
        "1.00",
        "30",
        "25",
        "to",
        "35",
        "happy",
        "0.55",
        "?",
    ]


def noise(path, width, height):
    return write_image(path, np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8))


@pytest.mark.parametrize(
    ("width", "height", "told"),
    [(1600, 1200, True), (640, 480, True), (400, 700, True), (1100, 1100, True), (200, 200, False), (480, 600, False)],
)
def test_a_photo_without_a_detector_is_pointed_out(bundle, tmp_path, capsys, width, height, told):
    photo, crop = noise(tmp_path / "photo.png", width, height), noise(tmp_path / "crop.png", 64, 64)
    assert main(["predict", str(photo), str(crop), "--bundle", str(bundle)]) == 0
    error = capsys.readouterr().err
    assert (f"photo.png ({width} x {height} px) looks like no face crop" in error) is told
    assert ("--detector yunet finds the faces" in error) is told
    assert "crop.png" not in error


@pytest.mark.parametrize("way", ["csv", "json", "table"])
def test_only_what_is_asked_for_is_told(bundle, tmp_path, capsys, way):
    crop = str(noise(tmp_path / "crop.png", 64, 64))
    words = ["predict", crop, "--bundle", str(bundle), "--format", way]
    assert main([*words, "--tasks", "age", "--draw", str(tmp_path / "drawn")]) == 0
    told = capsys.readouterr().out
    assert "age" in told and "gender" not in told and "emotion" not in told
    assert main([*words, "--tasks", "age", "hat"]) == 2
    assert "--tasks hat: this network knows gender, age, emotion" in capsys.readouterr().err


def test_faces_that_are_found_are_drawn_and_numbered(bundle, tmp_path, capsys, monkeypatch):
    class Halves:
        def detect(self, image):
            return [Detection((0, 0, 200, 200), 0.9), Detection((200, 0, 400, 200), 0.8)]

    monkeypatch.setattr(predict_command, "open_detector", lambda *_, **__: Halves())
    photo = noise(tmp_path / "photo.png", 400, 200)
    words = ["--bundle", str(bundle), "--format", "csv", "--draw", str(tmp_path / "drawn")]
    assert main(["predict", str(photo), "--detector", "halves", *words]) == 0
    out = capsys.readouterr()
    rows = [(row["face"], row["left"], row["detector_score"]) for row in csv.DictReader(io.StringIO(out.out))]
    assert rows == [("0", "0.0", "0.9"), ("1", "200.0", "0.8")]
    assert "face crop" not in out.err
    assert [p.name for p in (tmp_path / "drawn").iterdir()] == ["photo.png"]
