"""The predictor and its command, given the worst of files: each is judged, or its name is in the message."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from smart_retail.cli import main
from smart_retail.edge.prediction import Prediction
from smart_retail.edge.predictor import Predictor
from tests.helpers.hostile_images import readable_images, write_hostile_images

Corpus = tuple[Path, list[Path], list[Path]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("hostile")
    return folder, *write_hostile_images(folder)


def test_the_predictor_judges_the_sound_and_returns_the_others_as_errors(bundle, corpus):
    predictor = Predictor.from_bundle(bundle, precision="fp32", batch_size=8)
    said = predictor.predict([*corpus[1], *corpus[2]])
    assert [isinstance(s, Prediction) for s in said] == [True] * len(corpus[1]) + [False] * len(corpus[2])
    for path, error in zip(corpus[2], said[len(corpus[1]) :], strict=True):
        assert path.name in str(error)


def test_predict_goes_through_a_folder_of_them(bundle, corpus, tmp_path, capsys):
    words = ["predict", "--bundle", str(bundle), str(corpus[0]), "--format", "csv", "--draw", str(tmp_path / "drawn")]
    assert main(words) == 0
    rows = {Path(r["file"]).name: r for r in csv.DictReader(io.StringIO(capsys.readouterr().out))}
    assert {name for name, row in rows.items() if row["gender"]} == {*readable_images()}
    assert all(name in row["error"] for name, row in rows.items() if not row["gender"])
    assert "a_folder.jpg" not in rows
    assert {p.suffix for p in (tmp_path / "drawn").iterdir()} == {".png"}


def test_predict_names_what_was_asked_for_and_is_no_file(bundle, corpus, capsys):
    for name in ("a_pipe.jpg", "a_loop.jpg", "leads_nowhere.jpg", "bomb.png"):
        assert main(["predict", "--bundle", str(bundle), str(corpus[0] / name)]) == 2
        said = capsys.readouterr()
        assert name in said.out
        assert said.err.endswith("error: none of 1 images gave a face\n")
