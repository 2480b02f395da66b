from pathlib import Path

import pytest

from smart_retail.data.face_crops import read_index
from smart_retail.errors import DataError
from smart_retail.tasks import TASKS
from tests.helpers.trees import write_fer2013


def test_the_share_of_broken_files_is_that_of_the_training(tmp_path: Path) -> None:
    sources = [{"class_path": "FER2013", "init_args": {"root": str(write_fer2013(tmp_path, 3, broken=1))}}]
    index = read_index({"data": {"sources": sources, "max_broken": 0.1}}, TASKS)
    assert len(index.broken) == 1
    for strict in ({}, {"max_broken": 0.0}):
        with pytest.raises(DataError, match=r"data\.max_broken"):
            read_index({"data": {"sources": sources} | strict}, TASKS)
