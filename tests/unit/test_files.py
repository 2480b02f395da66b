import os
import signal
from pathlib import Path

import pytest

from smart_retail.files import cache_folder, locked, near_files, write_aside


def test_the_cache_lies_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "deep" / "cache"))
    assert cache_folder() == tmp_path / "deep" / "cache"
    assert cache_folder().is_dir()


def test_without_a_place_to_write_the_cache_is_temporary_and_told_of_once(tmp_path, monkeypatch, caplog):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = cache_folder()
    assert (folder.parent, cache_folder()) == (tmp_path, folder)
    assert caplog.text.count("set SMART_RETAIL_CACHE to a folder that can be written to") == 1


def test_where_nothing_is_locked_files_are_written_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr("smart_retail.files.fcntl", None)
    with locked(tmp_path / "log") as log, write_aside(tmp_path / "file.txt") as aside:
        log.write(b"begins")
        aside.write_text("whole")
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"log": "begins", "file.txt": "whole"}


def test_a_written_file_appears_whole(tmp_path):
    path = tmp_path / "new" / "file.txt"
    with write_aside(path) as aside:
        aside.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_failure_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"), write_aside(path) as aside:
        aside.write_text("ha")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.txt"]  # noqa: PTH208


def test_a_written_file_has_the_usual_permissions(tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    with write_aside(tmp_path / "aside") as aside:
        aside.touch()
    assert (tmp_path / "aside").stat().st_mode == plain.stat().st_mode


def test_what_a_killed_writer_left_is_removed_and_what_another_holds_is_not(tmp_path):
    path = tmp_path / "file.txt"
    other = write_aside(path)
    other.__enter__()  # at work
    if (child := os.fork()) == 0:
        with write_aside(path) as aside:
            aside.write_text("half")
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list(tmp_path.iterdir())) == 2
    with write_aside(path) as aside:
        aside.write_text("whole")
    assert sorted(p.name.startswith(".file-aside-") for p in tmp_path.iterdir()) == [False, True]
    assert path.read_text() == "whole"


def test_a_full_disk_is_told_with_the_name_of_the_file(tmp_path):
    with pytest.raises(OSError, match=r"No space left on device: .*file\.txt"), write_aside(tmp_path / "file.txt"):
        Path("/dev/full").write_text("anything")


def test_near_files_are_of_the_same_folder_and_ending(tmp_path, monkeypatch):
    for name in ("own.yaml", "faces.csv", "faces.txt", "bundle.yaml"):
        (tmp_path / name).touch()
    assert near_files(tmp_path / "owm.yaml") == [str(tmp_path / "own.yaml")]
    monkeypatch.chdir(tmp_path)
    assert near_files(Path("facs.csv")) == ["faces.csv"]
    assert near_files(tmp_path / "xyzzy.csv") == near_files(Path("nowhere/faces.csv")) == []
