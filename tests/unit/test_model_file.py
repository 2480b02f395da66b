import pytest
import torch

from smart_retail.callbacks.model_file import write_model_file
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
