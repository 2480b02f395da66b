import re
from pathlib import Path

import pytest

from tests.helpers.runs import TINY, checkpoint, load, run, write_config
from tests.helpers.trees import write_fer2013, write_utkface

ROOT = Path(__file__).parents[2]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    return tmp_path


@pytest.fixture
def files(here):
    """A config of files in which each task has labels."""
    fer, utk = write_fer2013(here / "fer", 4, broken=1), write_utkface(here / "utk", 40)
    sources = [
        {"class_path": "FER2013", "init_args": {"root": str(fer), "labels": "mixed"}},
        {"class_path": "UTKFace", "init_args": {"root": str(utk)}},
    ]
    trainer = TINY["trainer"] | {"max_epochs": 1}
    return write_config(here, data={"sources": sources, "max_broken": 0.1}, trainer=trainer)


def packed_config():
    """The config for packs as it comes, after the one of the files."""
    return ROOT / "configs" / "data" / "packed.yaml"


def fingerprint(text):
    return re.search(r"fingerprint of the data: (\w+)", text)[1]


@pytest.mark.slow
def test_a_pack_trains_and_is_judged_in_place_of_its_files(here, files, capsys):
    assert run("data", "--config", files, "--pack", "packed", "--pack_size", "64") == 0
    said = capsys.readouterr().out
    assert re.search(r"pack: packed, 1\d\d faces, [\d.]+ MB, written in [\d,]+ s \([\d,]+ images a second\)", said)
    for folder in (here / "fer", here / "utk"):
        folder.rename(folder.with_suffix(".gone"))
    assert run("data", "--config", files, "--config", packed_config(), "--sheet", "sheet.png") == 0
    assert fingerprint(capsys.readouterr().out) == fingerprint(said)
    assert run("fit", "--config", files, "--config", packed_config()) == 0
    assert load(checkpoint("best"))["made_by"]["data_fingerprint"] == fingerprint(said)
    # A config with other places, as of a network that was trained on the files, gives way to the pack's.
    judge = (
        "evaluate",
        checkpoint("best"),
        "--output",
        "report",
        "--robustness",
        "2",
        "--kinds",
        "grey",
        "--thumbnails",
    )
    assert run(*judge, "--config", files, "--config", packed_config()) == 0
    assert fingerprint(said) in Path("report/report.md").read_text()
    to = ("--output", "bundle", "--precision", "fp32")
    assert run("export", "--checkpoint", checkpoint("best"), *to, "--data", packed_config()) == 0


def test_a_taken_folder_is_refused_before_anything_is_read(here, files, capsys):
    assert run("data", "--config", files, "--pack", "fer") == 2
    error = capsys.readouterr()
    assert "fer exists and is no pack; name another folder" in error.err
    assert "reading" not in error.err
    assert not error.out


@pytest.mark.parametrize("setting", ["pack_size", "pack_quality", "pack_mb"])
def test_settings_that_cannot_be_are_refused(here, files, setting, capsys):
    assert run("data", "--config", files, "--pack", "packed", f"--{setting}", "0") == 2
    assert f"--{setting} 0 is outside" in capsys.readouterr().err


def test_a_cut_pack_is_one_line(here, files, capsys):
    assert run("data", "--config", files, "--pack", "packed") == 0
    path = here / "packed" / "faces-000.parquet"
    path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    assert run("fit", "--config", files, "--config", packed_config()) == 2
    error = capsys.readouterr().err.strip()
    assert "faces-000.parquet: 1,000 bytes, not" in error
    assert "Traceback" not in error
