"""A run that the clock ends leaves what a finished one leaves."""

import csv
from pathlib import Path

import pytest

from tests.helpers.clocks import set_clock
from tests.helpers.runs import checkpoint, load, run, write_config

RUN = Path("lightning_logs/tiny/version_0")


def config(folder, data=None, **trainer):
    """Write one whose epochs have five steps of four seconds."""
    clock = {"class_path": "tests.helpers.clocks.Clock", "init_args": {"seconds": 4}}
    return write_config(
        folder,
        model={"schedule_by": "time"},
        data=data or {},
        trainer={"max_epochs": None, "max_time": "00:00:00:28", "callbacks": [clock]} | trainer,
    )


def scores():
    with (RUN / "metrics.csv").open() as file:
        return [(int(row["step"]), float(row["val/score"])) for row in csv.DictReader(file) if row["val/score"]]


@pytest.mark.parametrize("every", [1, 5])
def test_the_last_validation_the_best_checkpoint_and_the_model_come_after_the_last_step(tmp_path, monkeypatch, every):
    monkeypatch.chdir(tmp_path)
    set_clock(monkeypatch)
    assert run("fit", "--config", config(tmp_path, check_val_every_n_epoch=every)) == 0
    assert load(checkpoint())["global_step"] == 7  # in the middle of the second epoch
    assert [step for step, _ in scores()] == ([4, 6] if every == 1 else [6])
    assert load(checkpoint("best"))["global_step"] in (5, 7)
    assert (RUN / "model.pth").is_file()


def test_a_run_that_ends_before_the_final_size_says_why_it_has_no_best_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    set_clock(monkeypatch)
    data = {"progressive": {0: 32, 2: 48}, "image_size": 48}
    with pytest.warns(UserWarning, match=r"no best\.ckpt: .*image_size 48, .* from epoch 2\. Go on"):
        assert run("fit", "--config", config(tmp_path, data=data)) == 0
    assert not checkpoint("best").exists()
    assert checkpoint().exists()


def test_a_run_whose_time_is_over_ends_at_once_when_it_is_resumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    set_clock(monkeypatch)
    assert run("fit", "--config", config(tmp_path)) == 0
    before = load(checkpoint("best"))["global_step"]
    assert run("fit", "--config", config(tmp_path), "--ckpt_path", "last") == 0
    assert load(checkpoint())["global_step"] == 7
    assert load(checkpoint("best"))["global_step"] == before
