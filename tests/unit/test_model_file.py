from types import SimpleNamespace

import pytest
import torch

from smart_retail.callbacks.model_file import ModelFile, write_model_file
from smart_retail.data.soft_targets import write_soft_targets
from smart_retail.errors import CheckpointError


def test_only_the_networks_averaged_weights_are_written(tmp_path):
    checkpoint = {
        "state_dict": {"net.a": torch.ones(2), "weights.b": torch.ones(1)},
        "current_model_state": {"net.a": torch.zeros(2)},
        "optimizer_states": [{"large": torch.ones(100)}],
        "hyper_parameters": {"backbone": "x"},
        "contract": {"image_size": 3},
        "made_by": {"git": "abc"},
    }
    torch.save(checkpoint, tmp_path / "best.ckpt")
    write_model_file(tmp_path / "best.ckpt", tmp_path / "model.pth")
    model = torch.load(tmp_path / "model.pth", weights_only=True)
    assert model["model_state_dict"].keys() == {"a"}
    assert model["model_state_dict"]["a"].tolist() == [1, 1]
    assert set(model) == {"model_state_dict", "hyper_parameters", "contract", "made_by"}


def test_a_missing_checkpoint_is_named_and_nothing_is_written(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.ckpt"):
        write_model_file(tmp_path / "gone.ckpt", tmp_path / "model.pth")
    assert list(tmp_path.iterdir()) == []


def test_the_terms_of_the_weights_that_a_training_began_with_stay_with_it_when_it_goes_on():
    trainer, checkpoint = SimpleNamespace(log_dir=None), {}
    began, goes_on = ModelFile({}), ModelFile({})
    began.on_fit_start(trainer, SimpleNamespace(hparams={"init_weights": "mobileone_s2"}))
    began.on_save_checkpoint(trainer, None, checkpoint)
    assert any(line.startswith("UTKFace: non-commercial") for line in checkpoint["made_by"]["data_terms"])
    goes_on.on_load_checkpoint(trainer, None, checkpoint)
    goes_on.on_fit_start(trainer, SimpleNamespace(hparams={"init_weights": None}))
    assert goes_on.made_by["data_terms"] == began.made_by["data_terms"]


@pytest.mark.parametrize("teachers", [["mobileone_s2"], {"gender": "mobileone_s2", "age": ["mobileone_s2"]}])
def test_a_teachers_terms_hold_for_what_it_taught(teachers):
    file = ModelFile({})
    file.on_fit_start(SimpleNamespace(log_dir=None), SimpleNamespace(hparams={"teachers": teachers}))
    terms = file.made_by["data_terms"]
    assert sum(line.startswith("UTKFace: non-commercial") for line in terms) == 1


def test_stored_targets_bring_the_terms_of_their_teachers(tmp_path):
    write_soft_targets(tmp_path / "soft.npz", ["a"], {}, [], {"terms": ["UTKFace: research only"]})
    file, trainer = ModelFile({}), SimpleNamespace(log_dir=None)
    trainer.datamodule = SimpleNamespace(soft_targets=str(tmp_path / "soft.npz"))
    file.on_fit_start(trainer, SimpleNamespace(hparams={}))
    assert file.made_by["data_terms"] == ["UTKFace: research only"]
