import shutil
from collections import Counter

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from smart_retail.callbacks.figures import add_graph
from smart_retail.contract import Contract
from tests.helpers.runs import FIGURES, NO_FIGURES, run, write_config

PICTURES = {"val/gender_confusion", "val/emotion_confusion", "val/age_scatter"}


def events(folder):
    board = EventAccumulator(str(folder / "lightning_logs/tiny/version_0"), size_guidance={"images": 0, "scalars": 0})
    return board.Reload()


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """What a run of three epochs with figures every second one wrote."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = write_config(folder, trainer={"max_epochs": 3}, figures=FIGURES | {"every_n_epochs": 2})
        assert run("fit", "--config", config) == 0
    return events(folder)


def test_the_inputs_are_shown_once_and_the_validation_every_second_epoch_and_last(board):
    shown = {tag: [image.step for image in board.Images(tag)] for tag in board.Tags()["images"]}
    steps = {tag: len(s) for tag, s in shown.items()}
    assert steps == {"train/inputs": 1} | dict.fromkeys(PICTURES, 2)
    assert shown["train/inputs"] == [0]


def test_the_graph_is_there(board):
    assert board.Tags()["graph"]
    assert any("backbone" in node.name for node in board.Graph().node)


def test_each_curve_is_there_once(board):
    tags = board.Tags()["scalars"]
    assert {"train/step_loss_age", "train/learning_rate", "train/images_per_second", "val/score"} <= set(tags)
    assert not [tag for tag in tags if tag.startswith("lr-") or "hp" in tag]
    values = Counter(tuple((e.step, e.value) for e in board.Scalars(tag)) for tag in tags)
    # Few validation faces: two metrics may agree. No longer curve has a duplicate.
    assert max(count for curve, count in values.items() if len(curve) > 3) == 1


def test_hparams_know_settings_results_and_the_end(board):
    content = board.summary_metadata
    assert {"_hparams_/experiment", "_hparams_/session_start_info", "_hparams_/session_end_info"} <= content.keys()
    start = content["_hparams_/session_start_info"].plugin_data.content
    assert b"model.backbone" in start
    assert b"data.augmentation.strength" in start
    assert b"val/score" in content["_hparams_/experiment"].plugin_data.content


@pytest.mark.parametrize("setting", [{"fast_dev_run": True}, {"logger": False}])
def test_without_a_logger_nothing_is_drawn(tmp_path, monkeypatch, setting):
    monkeypatch.chdir(tmp_path)
    shutil.rmtree(tmp_path / "lightning_logs", ignore_errors=True)
    assert run("fit", "--config", write_config(tmp_path, trainer=setting, figures=FIGURES)) == 0
    assert not list(tmp_path.rglob("events.out*"))


def test_pictures_can_be_turned_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = write_config(tmp_path, trainer={"max_epochs": 1}, figures=NO_FIGURES)
    assert run("fit", "--config", config) == 0
    assert not events(tmp_path).Tags()["images"]
    assert not events(tmp_path).Tags()["graph"]


def test_a_negative_interval_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run("fit", "--config", write_config(tmp_path, figures={"every_n_epochs": -1})) != 0
    assert "every_n_epochs" in capsys.readouterr().err


def test_a_network_that_cannot_be_traced_is_no_error():
    class Untraceable(torch.nn.Module):
        def forward(self, images):
            raise ValueError("not today")

    class Board:
        def add_graph(self, network, images, **settings):
            torch.jit.trace(network, images)

    add_graph(Board(), Untraceable(), Contract(image_size=32))
