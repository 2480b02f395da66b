"""The check as it is made on a GPU, where a step is not waited for; ``test_faults.py`` has that on a CPU."""

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from smart_retail.callbacks.finite import Finite
from smart_retail.errors import DivergedError
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import face_batch

EVERY = 4


class NotWaiting(Finite):
    """Looks at every fourth step, as on a GPU."""

    def on_train_start(self, trainer, pl_module):
        super().on_train_start(trainer, pl_module)
        self.every = EVERY


class Poison(pl.Callback):
    """Puts into one step an image that is no number, and saves after another."""

    def __init__(self, step, save=None):
        self.step, self.save = step, save

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step + 1 == self.step:
            batch.image.fill_(torch.nan)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.save:
            trainer.save_checkpoint("saved.ckpt")


def fit(folder, poison, steps):
    module = FaceAttributeModule("test_resnet", image_size=32)
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=False,
        default_root_dir=folder,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        max_steps=steps,
        callbacks=[poison, NotWaiting()],
    )
    batches = [face_batch(seed=seed) for seed in range(steps)]
    trainer.fit(module, DataLoader(batches, batch_size=None))
    return module


def test_the_first_step_at_fault_is_named_a_few_steps_later(tmp_path):
    with pytest.raises(DivergedError, match=r"step 2: .* was no number") as caught:
        fit(tmp_path, Poison(2), 2 * EVERY)
    assert "--ckpt_path last and --trainer.log_every_n_steps 1" in str(caught.value)


def test_a_step_that_is_looked_at_stops_the_run_itself(tmp_path):
    with pytest.raises(DivergedError, match=rf"step {EVERY} \(epoch 0\): the loss is nan"):
        fit(tmp_path, Poison(EVERY), 2 * EVERY)


def test_no_checkpoint_is_written_before_the_last_steps_were_looked_at(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DivergedError, match="step 5"):
        fit(tmp_path, Poison(5, save=6), 2 * EVERY)
    assert not (tmp_path / "saved.ckpt").exists()


def test_a_run_whose_numbers_are_numbers_goes_on_and_saves(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fit(tmp_path, Poison(None, save=6), 2 * EVERY)
    assert (tmp_path / "saved.ckpt").exists()
