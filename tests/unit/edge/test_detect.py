"""``smart-retail detect``: what it writes, and that FaceTable reads it from wherever it lies."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from smart_retail.cli import main
from smart_retail.data.crops import LANDMARKS
from smart_retail.data.sources.table import FaceTable
from smart_retail.edge.detect_command import SCORE, add_landmarks
from smart_retail.edge.detector import Detection, Landmarks
from smart_retail.errors import ConfigError, DataError
from smart_retail.evaluation.command import add_options
from smart_retail.training.data_cli import parse_data
from tests.helpers.pictures import truncate, write_image

RED = np.array([255, 0, 0])


def photo(path: Path, *faces: tuple[int, int]) -> Path:
    """Write a grey photo, 100 px wide and 80 high, with a red square of 8 px around the centre of each face."""
    image = np.full((80, 100, 3), 90, np.uint8)
    for x, y in faces:
        image[y - 4 : y + 4, x - 4 : x + 4] = RED
    return write_image(path, image)


class RedSquares:
    """Finds the red squares of a photo: eyes at their upper corners, a mouth at the middle of the lower side."""

    def detect(self, image: np.ndarray) -> list[Detection]:
        red = (np.abs(image.astype(int) - RED) < 60).all(axis=2)
        ys, xs = np.nonzero(red)
        found = []
        while len(xs):
            near = (np.abs(xs - xs[0]) < 9) & (np.abs(ys - ys[0]) < 9)
            left, right, top, bottom = xs[near].min(), xs[near].max(), ys[near].min(), ys[near].max()
            points = Landmarks((left, top), (right, top), ((left + right) / 2, bottom))
            found.append(Detection((left, top, right, bottom), 0.9, points))
            xs, ys = xs[~near], ys[~near]
        return found


def table(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "photos.csv").write_text(text)
    return folder / "photos.csv"


def centres(output: Path) -> list[tuple[float, float]]:
    faces = FaceTable(str(output)).load().faces
    return [(round(x), round(y)) for x, y in zip(faces["crop_x"], faces["crop_y"], strict=True)]


def test_the_table_of_faces_reads_what_it_writes(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (30, 40))
    source = table(tmp_path, "file,age,gender,note\na.png,20-29,female,007\n")
    add_landmarks(source, tmp_path / "faces.csv", tmp_path, RedSquares())
    written = pd.read_csv(tmp_path / "faces.csv", dtype=str)
    assert list(written.columns) == ["file", "age", "gender", "note", *LANDMARKS, SCORE]
    assert written.loc[0, ["age", "note"]].tolist() == ["20-29", "007"]
    face = FaceTable(str(tmp_path / "faces.csv")).load().faces.iloc[0]
    assert face[list(LANDMARKS)].tolist() == [26, 36, 33, 36, 29.5, 43]
    assert face[["age_low", "age_high", "gender"]].tolist() == [20, 29, 1]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_keep_the_spelling_that_they_have(tmp_path: Path, ending: str) -> None:
    photo(tmp_path / "a.png", (30, 40))
    source = table(tmp_path, "File, Age,Shop No,MOUTH_X\na.png,30,007,1\n")
    output = tmp_path / f"faces.{ending}"
    add_landmarks(source, output, tmp_path, RedSquares())
    written = pd.read_parquet(output) if ending == "parquet" else pd.read_csv(output)
    others = [name for name in LANDMARKS if name != "mouth_x"]
    assert list(written.columns) == ["File", "Age", "Shop No", "MOUTH_X", *others, SCORE]
    assert not written.attrs
    assert FaceTable(str(output)).load().faces["mouth_x"].tolist() == [29.5]


def test_the_commands_that_it_prints_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "configs").symlink_to(Path(__file__).parents[3] / "configs")
    monkeypatch.chdir(tmp_path)
    rows = [f"{number}.png,{20 + number},train\n" for number in range(3)]
    for number in range(3):
        photo(tmp_path / f"{number}.png", (20 + 20 * number, 40))
    source = table(tmp_path, "path,age,split\n" + "".join(rows))
    add_landmarks(source, Path("with faces.csv"), tmp_path, RedSquares())
    data, evaluate = (shlex.split(line) for line in capsys.readouterr().out.splitlines() if line.startswith("  "))
    assert main(data[1:]) == 0
    assert Path("sheet.png").is_file()
    assert evaluate[:3] == ["smart-retail", "evaluate", "BUNDLE"]
    (faces,) = parse_data(evaluate[2:], "evaluate", "", add_options).data().sources
    assert isinstance(faces, FaceTable)
    assert (faces.table, faces.split) == ("with faces.csv", "test")


def test_of_several_faces_the_one_in_the_middle_is_taken(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (10, 10), (60, 45), (90, 70))
    add_landmarks(table(tmp_path, "path,age\na.png,3\n"), tmp_path / "faces.csv", tmp_path, RedSquares())
    assert centres(tmp_path / "faces.csv") == [(60, 44)]


def test_a_row_with_a_box_has_the_face_inside_it_or_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    photo(tmp_path / "a.png", (10, 10), (60, 45))
    rows = "a.png,3,0,0,25,25\na.png,4,70,50,99,79\na.png,5,,,,\n"
    source = table(tmp_path, f"path,age,left,top,right,bottom\n{rows}")
    add_landmarks(source, tmp_path / "faces.csv", tmp_path, RedSquares())
    assert centres(tmp_path / "faces.csv") == [(10, 9), (60, 44)]
    assert "1 without a face" in capsys.readouterr().err


def test_photos_without_a_face_and_broken_files_are_left_out_counted_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo(tmp_path / "a.png", (30, 40))
    truncate(photo(tmp_path / "cut.png", (30, 40)))
    for number in range(7):
        photo(tmp_path / f"empty{number}.png")
    rows = "".join(f"empty{number}.png,1\n" for number in range(7))
    source = table(tmp_path, f"path,age\na.png,3\ncut.png,4\ngone.png,5\n{rows}")
    add_landmarks(source, tmp_path / "faces.csv", tmp_path, RedSquares())
    said = capsys.readouterr()
    assert "1 of 10 photos with a face" in said.out
    assert "7 without a face" in said.err
    assert "2 unreadable" in said.err
    assert all(name in said.err for name in ("cut.png", "gone.png", "empty4.png"))
    assert "empty5.png" not in said.err
    assert len(pd.read_csv(tmp_path / "faces.csv")) == 1


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("root", [None, "photos"])
def test_paths_are_found_from_where_the_output_lies(tmp_path: Path, root: str | None, ending: str) -> None:
    photo(tmp_path / (root or "tables") / "more" / "a.png", (30, 40))
    source = table(tmp_path / "tables", "path,age\nmore/a.png,3\n")
    output = tmp_path / "results" / "today" / f"faces.{ending}"
    add_landmarks(source, output, tmp_path / root if root else source.parent, RedSquares())
    assert centres(output) == [(30, 39)]
    assert not Path(FaceTable(str(output)).load().faces["key"].iloc[0]).is_absolute()


def test_beside_its_table_the_output_keeps_the_paths(tmp_path: Path) -> None:
    photo(tmp_path / "more" / "a.png", (30, 40))
    source = table(tmp_path, "path,age\nmore/a.png,3\n")
    add_landmarks(source, tmp_path / "faces.csv", tmp_path, RedSquares())
    assert pd.read_csv(tmp_path / "faces.csv")["path"].tolist() == ["more/a.png"]


def test_absolute_paths_stay(tmp_path: Path) -> None:
    path = photo(tmp_path / "a.png", (30, 40))
    source = table(tmp_path / "tables", f"path,age\n{path},3\n")
    add_landmarks(source, tmp_path / "faces.csv", source.parent, RedSquares())
    assert pd.read_csv(tmp_path / "faces.csv")["path"].tolist() == [str(path)]


def test_parquet_is_read_too(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (30, 40))
    pd.DataFrame({"path": ["a.png"], "age": [3.0]}).to_parquet(tmp_path / "photos.parquet")
    add_landmarks(tmp_path / "photos.parquet", tmp_path / "faces.csv", tmp_path, RedSquares())
    assert centres(tmp_path / "faces.csv") == [(30, 39)]


def test_without_any_face_nothing_is_written(tmp_path: Path) -> None:
    photo(tmp_path / "a.png")
    with pytest.raises(DataError, match="none of its 1 photos gave a face"):
        add_landmarks(table(tmp_path, "path,age\na.png,3\n"), tmp_path / "faces.csv", tmp_path, RedSquares())
    assert not (tmp_path / "faces.csv").exists()


@pytest.mark.parametrize(("name", "message"), [("photos.csv", "is the table itself"), ("faces.xlsx", "must end in")])
def test_an_output_that_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        add_landmarks(table(tmp_path, "path,age\na.png,3\n"), tmp_path / name, tmp_path, RedSquares())


def test_a_box_of_words_stops_with_its_row(tmp_path: Path) -> None:
    photo(tmp_path / "a.png", (30, 40))
    source = table(tmp_path, "path,age,left,top,right,bottom\na.png,3,here,1,2,3\n")
    with pytest.raises(DataError, match=r"left, top, right, bottom must be numbers.*row 2"):
        add_landmarks(source, tmp_path / "faces.csv", tmp_path, RedSquares())


def test_the_command_names_a_detector_that_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = table(tmp_path, "path,age\na.png,3\n")
    assert main(["detect", str(source), "--detector", "yunet.onnx", "--output", str(tmp_path / "faces.csv")]) == 2
    assert "yunet.onnx: no such file" in capsys.readouterr().err


def test_the_command_needs_no_torch() -> None:
    code = "import sys, smart_retail.edge.detect_command; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.real
def test_yunet_finds_every_face_of_the_fairface_photos(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = Path(os.environ["SMART_RETAIL_DATA"])
    source, detector = data / "fairface" / "labels.csv", data / "yunet" / "face_detection_yunet_2023mar.onnx"
    if not source.is_file() or not detector.is_file():
        pytest.skip("no fairface/labels.csv or yunet/face_detection_yunet_2023mar.onnx among the real data")
    output = tmp_path / "faces.csv"
    assert main(["detect", str(source), "--detector", str(detector), "--output", str(output)]) == 0
    assert "274 of 274 photos with a face" in capsys.readouterr().out
    faces = FaceTable(str(output)).load().faces
    assert len(faces) == 274
    assert faces["age_low"].notna().all()
    assert faces[list(LANDMARKS)].notna().all(axis=None)
