import os

import pytest

from smart_retail.data.cache import cache_folder, write_aside


def test_the_cache_lies_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("SMART_RETAIL_CACHE", str(tmp_path / "deep" / "cache"))
    assert cache_folder() == tmp_path / "deep" / "cache"
    assert cache_folder().is_dir()


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
