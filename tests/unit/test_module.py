from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch.utils.data import DataLoader

from smart_retail.callbacks.ema import EMA
from smart_retail.contract import Contract
from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.tasks import TASKS
from smart_retail.training.distillation import Distillation
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import FaceOutputs, face_batch


def module(**settings):
    torch.manual_seed(0)
    return FaceAttributeModule(**{"backbone": "resnet10t", "image_size": 32, "dropout": 0.0} | settings)


def test_the_forward_pass_is_the_networks():
    ours = module().eval()
    images = torch.randn(2, 3, 32, 32)
    outputs = ours(images)
    assert isinstance(outputs, FaceOutputs)
    assert torch.equal(outputs.age, ours.net(images).age)


def test_task_weights_left_out_are_1():
    assert module(task_weights={"age": 0.5}).weights.current().tolist() == [1, 0.5, 1]


def test_the_loss_is_the_weighted_sum_of_the_tasks():
    loss, losses, _ = module(task_weights={"gender": 2.0, "age": 0.5, "emotion": 0.0}).step(face_batch(), "train")
    assert loss.item() == pytest.approx((2 * losses["gender"] + 0.5 * losses["age"]).item())


@pytest.mark.parametrize("settings", [{}, {"learn_task_weights": True}, {"age_head": "regression"}])
def test_a_few_steps_lower_the_loss_of_a_batch(settings):
    ours, batch = module(**settings), face_batch("xx.x", "x.xx", ".xxx")
    optimizer = torch.optim.Adam(ours.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss, _, _ = ours.step(batch, "train")
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


def test_both_memory_layouts_give_the_same_loss():
    losses = [module(channels_last=layout).step(face_batch(), "train")[0].item() for layout in (True, False)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_checkpoint_tells_how_its_network_is_fed():
    checkpoint = {}
    module(image_size=48).on_save_checkpoint(checkpoint)
    assert Contract.from_dict(checkpoint["contract"]).image_size == 48


def test_settings_of_distillation_are_plain_in_a_checkpoint_and_read_from_there():
    ours = module(distillation=Distillation(features=0.5))
    assert ours.hparams["distillation"]["features"] == 0.5
    assert module(distillation=ours.hparams["distillation"]).distillation == ours.distillation
    assert module(distillation=None).distillation == Distillation()


def test_the_weights_of_another_network_are_refused():
    other = module(age_head="regression")
    with pytest.raises(CheckpointError, match=r"net\.heads\.age\.(weight|bias) is"):
        module().on_load_checkpoint({"state_dict": other.state_dict()})


def test_hyper_parameters_are_plain():
    for value in module().hparams.values():
        assert value is None or isinstance(value, str | bool | int | float | dict)


def test_metrics_are_no_part_of_a_checkpoint():
    assert not any(name.startswith("metrics") for name in module().state_dict())


def test_a_compiled_network_learns_the_same_under_the_same_names(monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))  # the other takes minutes on a CPU
    ours, plain = (module(compile=on, channels_last=False) for on in (True, False))
    losses = [one.step(face_batch(), "train")[0] for one in (ours, plain)]
    assert losses[0].item() == pytest.approx(losses[1].item(), rel=1e-5)
    losses[0].backward()
    assert ours.net.backbone.conv1[0].weight.grad.abs().max() > 0
    assert ours.state_dict().keys() == plain.state_dict().keys()
    assert "compiled" in vars(ours) and "compiled" not in vars(plain)


def test_compiling_what_crashes_is_refused():
    with pytest.raises(ConfigError, match=r"model\.compile with model\.channels_last crashes on a CPU"):
        module(compile=True).step(face_batch(), "train")


def test_a_frozen_backbone_stays_to_the_bit_and_the_heads_learn(tmp_path):
    torch.save(module().net.state_dict(), tmp_path / "start.pth")
    ours = module(freeze_backbone=True, init_weights=str(tmp_path / "start.pth"), learning_rate=0.1)
    before = {name: value.clone() for name, value in ours.state_dict().items()}
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, default_root_dir=tmp_path, max_steps=4, callbacks=[EMA()],
        enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(ours, DataLoader([face_batch(seed=i) for i in range(4)], batch_size=None))
    after = ours.state_dict()
    backbone = [name for name in after if name.startswith("net.backbone.")]
    assert all(torch.equal(before[name], after[name]) for name in backbone)
    assert not any(
        torch.equal(before[f"net.heads.{t.name}.weight"], after[f"net.heads.{t.name}.weight"]) for t in TASKS
    )


def test_a_run_with_a_frozen_backbone_goes_on_without_the_weights_that_it_began_with(tmp_path):
    torch.save(module().net.state_dict(), tmp_path / "start.pth")
    data = DataLoader([face_batch()], batch_size=None)
    settings = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_epochs=1, **settings)
    trainer.fit(module(freeze_backbone=True, init_weights=str(tmp_path / "start.pth")), data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    resumed = pl.Trainer(max_epochs=2, **settings)
    resumed.fit(module(freeze_backbone=True), data, ckpt_path=tmp_path / "last.ckpt", weights_only=True)
    assert resumed.global_step == 2


def test_a_frozen_backbone_that_nothing_has_trained_is_refused():
    trainer = pl.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    with pytest.raises(ConfigError, match=r"features of a random backbone: set model\.init_weights"):
        trainer.fit(module(freeze_backbone=True), DataLoader([face_batch()], batch_size=None))


@pytest.mark.parametrize("settings", [{"backbone": "nonsense"}, {"task_weights": {"race": 1.0}}])
def test_settings_that_cannot_work_are_refused(settings):
    with pytest.raises(ConfigError):
        module(**settings)


def test_a_network_is_measured_in_float32_as_it_is_exported():
    ours, batch = module().eval(), face_batch()
    expected = ours(batch.image).age
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(ours.validation_step(batch, 0)["age"], expected)
        assert not torch.equal(ours(batch.image).age, expected)


def test_a_checkpoint_of_before_there_was_a_choice_of_crops_is_loaded_as_it_was_fed(tmp_path):
    ours = module()
    trainer = pl.Trainer(logger=False, enable_checkpointing=False, enable_progress_bar=False, max_epochs=0)
    trainer.strategy.connect(ours)
    trainer.save_checkpoint(tmp_path / "old.ckpt")
    content = torch.load(tmp_path / "old.ckpt", weights_only=True)
    del content["hyper_parameters"]["crop"], content["contract"]["crop"]
    torch.save(content, tmp_path / "old.ckpt")
    assert FaceAttributeModule.load_from_checkpoint(tmp_path / "old.ckpt").contract.crop == "eyes"
