import lightning.pytorch as pl
import pytest
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from smart_retail.callbacks.last_checkpoint import LastCheckpoint
from smart_retail.errors import ConfigError
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import face_batch
from tests.helpers.clocks import Clock, set_clock

MINUTE = "00:00:01:00"
PEAK, FINAL = 0.01, 0.1


class Rates(pl.Callback):
    """Remembers with which rate each step is made, by the second at which it began."""

    def __init__(self):
        self.by_second = {}

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        timer = trainer.callbacks[0]
        self.by_second[round(Clock.now - timer.seconds - self.start)] = trainer.optimizers[0].param_groups[0]["lr"]

    def on_train_start(self, trainer, pl_module):
        self.start = Clock.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    set_clock(monkeypatch)


def fit(folder, seconds, checkpoint=None, **settings):
    """Train for a minute in steps of so many seconds; return the rates by the second, and the trainer."""
    schedule = {"schedule": "linear", "schedule_by": "time", "warmup": 0.5, "final_factor": FINAL}
    module = FaceAttributeModule("test_resnet", image_size=32, learning_rate=PEAK, **schedule)
    rates = Rates()
    trainer = pl.Trainer(
        accelerator="cpu",
        logger=CSVLogger(str(folder)),
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock(seconds), rates, LastCheckpoint()],
        **{"max_time": MINUTE} | settings,
    )
    trainer.fit(module, DataLoader([face_batch(seed=i) for i in range(3)], batch_size=None), ckpt_path=checkpoint)
    return rates.by_second, trainer


@pytest.mark.parametrize("seconds", [3, 12])
def test_the_rate_follows_the_clock_on_a_fast_and_on_a_slow_machine(tmp_path, seconds):
    rates, trainer = fit(tmp_path, seconds)
    assert trainer.global_step == 60 / seconds
    assert rates[12] == pytest.approx(PEAK * 12 / 30, rel=0.01)  # the warm-up takes half of the time
    assert rates[48] == pytest.approx(PEAK * (1 - 0.9 * 18 / 30), rel=0.01)
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(PEAK * FINAL)


def test_a_resumed_run_goes_on_with_the_time_that_is_left(tmp_path):
    _, first = fit(tmp_path, 6, max_steps=4)
    last = next(callback for callback in first.callbacks if isinstance(callback, LastCheckpoint))
    Clock.now += 1000  # what lies between the runs does not count
    rates, trainer = fit(tmp_path, 6, last.path(first))
    assert trainer.global_step == 60 / 6
    assert rates[6] == pytest.approx(PEAK, rel=0.01)  # 24 seconds of before and 6 of now
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(PEAK * FINAL)


def test_epochs_may_end_the_run_before(tmp_path):
    _, trainer = fit(tmp_path, 3, max_epochs=2)
    assert trainer.global_step == 6


def test_without_a_time_there_is_no_such_schedule(tmp_path):
    with pytest.raises(ConfigError, match=r"needs trainer\.max_time"):
        fit(tmp_path, 3, max_time=None, max_epochs=1)


def test_another_clock_is_refused():
    with pytest.raises(ConfigError, match="schedule_by 'epochs' is none of steps, time"):
        FaceAttributeModule("test_resnet", image_size=32, schedule_by="epochs")
