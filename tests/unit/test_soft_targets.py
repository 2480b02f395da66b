import numpy as np
import pytest
import torch

from smart_retail.data.soft_targets import read_soft_targets, terms_of_targets, write_soft_targets
from smart_retail.errors import DataError
from smart_retail.tasks import TASKS, Task

SWAPPED = Task("gender", classes=("female", "male"))
GLASSES = Task("glasses", classes=("none", "glasses"))


def targets(*tasks):
    return {task.name: torch.full((2, task.width), 1 / task.width) for task in tasks}


def test_a_task_without_targets_has_rows_of_zeros(tmp_path):
    write_soft_targets(tmp_path / "soft.npz", ["a", "b"], targets(*TASKS), TASKS, {})
    soft = read_soft_targets(tmp_path / "soft.npz", ["b", "a"], [*TASKS, GLASSES])
    assert soft["glasses"].tolist() == [[0, 0], [0, 0]]
    assert soft["gender"].tolist() == [[0.5, 0.5], [0.5, 0.5]]


def test_classes_in_another_order_are_refused(tmp_path):
    write_soft_targets(tmp_path / "soft.npz", ["a", "b"], targets(SWAPPED), [SWAPPED], {})
    assert read_soft_targets(tmp_path / "soft.npz", ["a"], [SWAPPED])["gender"].shape == (1, 2)
    with pytest.raises(DataError, match="gender has other classes"):
        read_soft_targets(tmp_path / "soft.npz", ["a"], TASKS)


def test_a_file_of_before_there_were_other_tasks_is_of_the_default_ones(tmp_path):
    arrays = {name: values.numpy() for name, values in targets(*TASKS).items()}
    np.savez(tmp_path / "soft.npz", keys=np.array(["a", "b"]), story=np.array("{}"), **arrays)
    assert read_soft_targets(tmp_path / "soft.npz", ["a"], TASKS)["age"].shape == (1, 101)
    with pytest.raises(DataError, match="gender has other classes"):
        read_soft_targets(tmp_path / "soft.npz", ["a"], [SWAPPED])


def test_a_file_tells_the_terms_of_what_its_teachers_learnt_from(tmp_path):
    write_soft_targets(tmp_path / "soft.npz", ["a", "b"], targets(*TASKS), TASKS, {"terms": ["UTKFace: research only"]})
    assert terms_of_targets(tmp_path / "soft.npz") == ["UTKFace: research only"]
    np.savez(tmp_path / "old.npz", provenance=np.array("{}"))
    assert terms_of_targets(tmp_path / "old.npz") == []
    np.savez(tmp_path / "odd.npz", provenance=np.array("{"))
    with pytest.raises(DataError, match=r"odd\.npz is damaged"):
        terms_of_targets(tmp_path / "odd.npz")
