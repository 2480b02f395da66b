"""The lines of a training: what they say, in what room, and what stands at the end."""

import shlex
from pathlib import Path

import pytest
import torch

from smart_retail.callbacks.doubts import constant, ends
from smart_retail.callbacks.epoch_table import MARK, cell, columns_of, figure_of, fitting, line
from smart_retail.tasks import AGE, EMOTION, GENDER, TASKS, Task
from smart_retail.training.outcome import go_on_command

VALUES = {"val/gender_acc": 0.5, "val/age_mae": 4.25, "val/emotion_acc": 1.0, "val/utkface/age_mae": 3.0}


def test_a_column_for_each_task_that_was_measured():
    titles = [title for title, *_ in columns_of({"val/age_mae": 4.0}, TASKS)]
    assert titles == ["epoch", "steps", "train loss", "val loss", "age", "score", "time"]


def test_before_a_validation_every_task_has_its_column():
    assert {"gender", "age", "emotion"} <= {title for title, *_ in columns_of({}, TASKS, validated=False)}


def test_ages_that_are_ranges_alone_have_the_share_inside():
    assert figure_of({"val/age_inside": 0.4}, AGE) == ("age in range", "val/age_inside", "%")
    assert figure_of(VALUES, AGE, "val/utkface/") == ("age", "val/utkface/age_mae", "y")
    assert figure_of({}, AGE) is None


def test_figures_have_their_units():
    said = [cell(value, form) for value, form in ((0.705, "%"), (4.25, "y"), (1.2345, ".3f"), (65.9, "s"), (None, "%"))]
    assert said == ["70.5%", "4.2 y", "1.234", "1:05", ""]


@pytest.mark.parametrize("width", [60, 80, 100])
def test_a_line_fits_the_terminal_whatever_the_tasks(width):
    many = [*TASKS, *(Task(f"attribute_of_{n}", classes=("a", "b")) for n in range(9))]
    values = {f"val/{task.metric}": 0.5 for task in many}
    columns = fitting(columns_of(values, many), width)
    assert len(line([title for title, *_ in columns], columns) + MARK) <= width
    assert columns[0][0] == "epoch" and columns[-1][0] in ("score", "time")


def test_a_hundred_columns_hold_all_of_the_default_tasks_and_eighty_all_but_the_clock():
    columns = columns_of(VALUES, TASKS)
    assert fitting(columns, 100) == columns
    assert fitting(columns, 80) == columns[:-1]


def test_the_command_that_goes_on_is_the_one_before_with_another_checkpoint():
    words = ["--config", "my faces.yaml", "--ckpt_path=best", "--model.task_weights", "{age: 0}", "--ckpt_path", "x"]
    command = shlex.split(go_on_command(words, Path("lightning logs/last.ckpt")))
    assert command[:2] == ["smart-retail", "fit"]
    assert command[2:] == [*words[:2], *words[3:5], "--ckpt_path", "lightning logs/last.ckpt"]


def judged(answers, labels, task):
    logits = torch.eye(task.width)[answers] if task.is_classes else torch.tensor(answers)[:, None]
    return constant(ends(logits, torch.tensor(labels), task)[None], [task])


def test_one_class_for_all_faces_is_found():
    assert judged([1, 1, 1], [0, 1, -1], GENDER) == {"gender": "female"}
    assert judged([3, 3, 3], [0, 1, 2], EMOTION) == {"emotion": "neutral"}
    assert judged([1, 0, 1], [0, 1, 1], GENDER) == {}


def test_one_age_for_all_faces_is_found_though_its_digits_differ():
    assert judged([31.2, 31.4, 31.9], [20.0, 30.0, 60.0], AGE) == {"age": "32 years"}
    assert judged([31.2, 34.0, 31.9], [20.0, 30.0, 60.0], AGE) == {}


def test_faces_that_all_have_one_label_may_all_get_it():
    assert judged([1, 1, 0], [1, 1, -1], GENDER) == {}
    assert judged([1, 1, 1], [-1, -1, -1], GENDER) == {}
