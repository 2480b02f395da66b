"""A training step on a GPU waits for no number, or the GPU would stand still while Python goes on."""

import lightning.pytorch as pl
import pytest
import torch
from torch._subclasses.fake_tensor import DynamicOutputShapeException
from torch.utils.data import DataLoader

from smart_retail.callbacks.ema import EMA
from smart_retail.callbacks.finite import Finite
from smart_retail.callbacks.last_checkpoint import LastCheckpoint
from smart_retail.callbacks.throughput import Throughput
from smart_retail.contract import Contract
from smart_retail.data.datamodule import normalise
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import face_batch
from tests.helpers.fake_gpu import GPU, FakeGPU, fake_gpu

STEPS = 3


class Enough(Exception):  # noqa: N818 - no error
    """The steps to look at have been made."""


class Watch(pl.Callback):
    """Forgets what the first step waited for, in which much is made for all others."""

    def __init__(self, waits):
        self.waits, self.found = waits, []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_step == 1:
            self.waits.found.clear()
        elif trainer.global_step == STEPS:
            assert pl_module.device == GPU
            self.found = [*self.waits.found]
            raise Enough


class Batches(pl.LightningDataModule):
    """The loader's bytes, normalised on the device as ``FaceDataModule`` does it."""

    def train_dataloader(self):
        batch = face_batch("xx..", ".xx.", "...x")
        return DataLoader([batch._replace(image=batch.image.byte())] * 9, batch_size=None)

    def on_after_batch_transfer(self, batch, dataloader_idx):
        return batch._replace(image=normalise(batch.image, Contract(image_size=32)))


def waited(*more, **settings):
    """Train a few steps on the fake GPU; return what they would have waited for."""
    with fake_gpu() as waits:
        plain = {"backbone": "test_resnet", "image_size": 32, "channels_last": False}
        module = FaceAttributeModule(**plain | settings)
        watch = Watch(waits)
        trainer = pl.Trainer(
            strategy=FakeGPU(),
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            log_every_n_steps=1000,
            gradient_clip_val=5.0,
            max_epochs=1,
            callbacks=[EMA(), LastCheckpoint(), Throughput(), Finite(), *more, watch],
        )
        with pytest.raises(Enough):
            trainer.fit(module, datamodule=Batches())
        return watch.found


def test_a_step_waits_for_nothing():
    assert waited(learn_task_weights=True, mixup=0.2) == []


def test_a_step_with_teachers_of_another_contract_waits_for_nothing(tmp_path):
    teacher = FaceAttributeModule("test_resnet", image_size=48)
    contract = Contract(image_size=48, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)).to_dict()
    content = {"hyper_parameters": dict(teacher.hparams), "contract": contract}
    torch.save(content | {"model_state_dict": teacher.net.state_dict()}, tmp_path / "a.pth")
    assert waited(teachers=[str(tmp_path / "a.pth")]) == []


class Asks(pl.Callback):
    """Does in each step what must not be done."""

    def __init__(self, ask):
        self.ask = ask

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.ask(batch)


def test_what_waits_is_found():
    def ask(batch):
        torch.tensor(1.0, device=GPU)
        batch.labels["age"].cpu()
        float(batch.labels["age"][0])

    assert waited(Asks(ask)) == ["_to_copy", "_to_copy", "_local_scalar_dense"] * (STEPS - 1)


def test_a_choice_of_faces_waits():
    with pytest.raises(DynamicOutputShapeException):
        waited(Asks(lambda batch: batch.labels["age"][batch.labels["age"] >= 0]))
