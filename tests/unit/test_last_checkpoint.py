import io
import signal
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from smart_retail.callbacks.checkpoint_file import CheckpointFile
from smart_retail.callbacks.last_checkpoint import LastCheckpoint
from smart_retail.errors import ConfigError


class Toy(pl.LightningModule):
    """Four steps an epoch on a line."""

    def __init__(self, during=None):
        super().__init__()
        self.line, self.during = nn.Linear(1, 1), during

    def training_step(self, batch, batch_idx):
        if self.during:
            self.during(self.trainer)
        return self.line(batch).square().mean()

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)

    def train_dataloader(self):
        return torch.utils.data.DataLoader(torch.ones(4, 1))

    val_dataloader = train_dataloader


class Saves(LastCheckpoint):
    """Remembers at which steps it saved."""

    def __init__(self, minutes=5.0):
        super().__init__(minutes)
        self.steps = []

    def save(self, trainer):
        super().save(trainer)
        self.steps.append(trainer.global_step)


def fit(folder, callback, *, during=None, **settings):
    trainer = pl.Trainer(
        accelerator="cpu",
        default_root_dir=folder,
        logger=pl.loggers.CSVLogger(str(folder)),
        callbacks=[callback],
        plugins=[CheckpointFile()],
        enable_progress_bar=False,
        enable_model_summary=False,
        **{"max_epochs": 2} | settings,
    )
    trainer.fit(Toy(during))
    return trainer


def test_it_saves_before_and_after_each_validation(tmp_path):
    saves = Saves()
    trainer = fit(tmp_path, saves)
    assert saves.steps == [4, 4, 8, 8]
    assert torch.load(saves.path(trainer), weights_only=True)["global_step"] == 8


def test_it_saves_as_often_as_told(tmp_path):
    saves = Saves(minutes=1e-9)
    fit(tmp_path, saves, max_epochs=1)
    assert saves.steps == [1, 2, 3, 4, 4]


def test_it_saves_where_max_steps_ends_the_run(tmp_path):
    saves = Saves()
    fit(tmp_path, saves, max_steps=3)
    assert saves.steps == [3]


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="no second file system to put temporary files on")
def test_the_file_before_stays_whole_until_the_new_one_is(tmp_path, monkeypatch):
    """Temporary files often lie on another file system, from which no file can be renamed, only copied."""
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    saves = Saves()
    old = []

    def open_first(trainer):
        if trainer.global_step == 5:
            old.append(saves.path(trainer).open("rb"))

    trainer = fit(tmp_path, saves, during=open_first)
    with old[0]:
        assert torch.load(io.BytesIO(old[0].read()), weights_only=True)["global_step"] == 4
    assert torch.load(saves.path(trainer), weights_only=True)["global_step"] == 8
    assert [p.name for p in saves.path(trainer).parent.iterdir() if p.name.startswith(".")] == []


def test_it_does_not_save_in_a_trial_run(tmp_path):
    fit(tmp_path, Saves(), fast_dev_run=True)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_it_gives_ctrl_c_back(tmp_path):
    before = signal.getsignal(signal.SIGINT)
    during = []
    fit(tmp_path, Saves(), during=lambda trainer: during.append(signal.getsignal(signal.SIGINT)))
    assert during[0] != before
    assert signal.getsignal(signal.SIGINT) == before


def test_a_second_ctrl_c_stops_at_once(tmp_path):
    saves = Saves()

    def twice(trainer):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(SystemExit):
        fit(tmp_path, saves, during=twice)
    assert saves.steps == []


def test_it_remembers_the_random_numbers():
    saves, fresh = LastCheckpoint(), LastCheckpoint()
    torch.manual_seed(3)
    fresh.load_state_dict(saves.state_dict())
    expected = torch.rand(3)
    torch.manual_seed(4)
    torch.set_rng_state(fresh.random_states[0]["cpu"])
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("minutes", [0, -1])
def test_no_time_between_saves_is_refused(minutes):
    with pytest.raises(ConfigError, match=r"last\.minutes"):
        LastCheckpoint(minutes)
