import os
from pathlib import Path

import numpy as np
import pytest
import torch

from smart_retail.contract import Contract
from smart_retail.data.datamodule import normalise
from smart_retail.edge.predictor import Predictor
from smart_retail.edge.pretrained import find_bundle
from smart_retail.errors import CheckpointError
from smart_retail.models.checkpoint import check_weights, network_weights, read_checkpoint
from smart_retail.models.load import load_model, network_from
from tests.helpers.pictures import truncate

SETTINGS = {
    "backbone": "resnet10t",
    "pretrained": False,
    "dropout": 0.3,
    "age_head": "distribution",
    "age_sigma": 2.0,
    "identity_start": True,
}


class Attack:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.fixture
def content():
    torch.manual_seed(0)
    return {
        "model_state_dict": network_from(SETTINGS).state_dict(),
        "hyper_parameters": dict(SETTINGS),
        "contract": Contract(image_size=48).to_dict(),
    }


def saved(path, content):
    torch.save(content, path)
    return path


def test_a_loaded_network_gives_the_same_outputs(tmp_path, content):
    network = network_from(SETTINGS)
    network.load_state_dict(content["model_state_dict"])
    images = torch.randn(2, 3, 32, 32)
    loaded = load_model(saved(tmp_path / "model.pth", content))
    assert not loaded.training
    for a, b in zip(network.eval()(images), loaded(images), strict=True):
        assert torch.equal(a, b)


def test_the_contract_comes_with_the_network(tmp_path, content):
    assert load_model(saved(tmp_path / "model.pth", content)).contract == Contract(image_size=48)


def test_init_weights_are_read_under_the_name_that_the_first_versions_gave_them(tmp_path, content):
    content["hyper_parameters"]["weights"] = "start.pth"
    settings = read_checkpoint(saved(tmp_path / "model.pth", content))["hyper_parameters"]
    assert settings["init_weights"] == "start.pth" and "weights" not in settings


def test_a_training_checkpoint_loads_too(tmp_path, content):
    state = {f"net.{name}": value for name, value in content.pop("model_state_dict").items()}
    loaded = load_model(saved(tmp_path / "last.ckpt", content | {"state_dict": state | {"weights.s": torch.ones(1)}}))
    assert torch.equal(loaded.heads["gender"].weight, state["net.heads.gender.weight"])


def test_pretrained_weights_are_not_downloaded_to_be_overwritten(tmp_path, content, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    content["hyper_parameters"]["pretrained"] = True
    load_model(saved(tmp_path / "model.pth", content))


def test_code_in_a_pickle_is_refused_and_never_run(tmp_path, content):
    path = saved(tmp_path / "model.pth", content | {"extra": Attack(tmp_path / "owned")})
    with pytest.raises(CheckpointError, match=r"model\.pth is damaged or no checkpoint"):
        load_model(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("size", [0, 1, 100, 5000])
def test_a_truncated_file_is_refused(tmp_path, content, size):
    path = truncate(saved(tmp_path / "model.pth", content), size)
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_model(path)


def test_a_picture_is_no_checkpoint(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"\x89PNG not a model")
    with pytest.raises(CheckpointError, match="damaged or no checkpoint"):
        load_model(tmp_path / "model.pth")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"gone\.pth: no such checkpoint"):
        load_model(tmp_path / "gone.pth")


def test_a_story_that_is_no_mapping_is_refused(tmp_path, content):
    with pytest.raises(CheckpointError, match="made_by is a str, not a mapping"):
        load_model(saved(tmp_path / "model.pth", content | {"made_by": "somebody"}))


def test_a_file_of_something_else_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match="holds a list"):
        read_checkpoint(saved(tmp_path / "list.pth", [1, 2]))
    with pytest.raises(CheckpointError, match="no model of smart_retail: it has weights"):
        load_model(saved(tmp_path / "other.pth", {"weights": torch.ones(1)}))


def test_another_shape_is_named(tmp_path, content):
    content["model_state_dict"]["heads.gender.weight"] = torch.ones(3, 512)
    with pytest.raises(CheckpointError, match=r"gender\.weight is \(3, 512\), the network has \(2, 512\) \(1 such"):
        load_model(saved(tmp_path / "model.pth", content))


def test_settings_that_describe_no_network_are_refused(tmp_path, content):
    for change in ({"backbone": "nonsense"}, {"age_head": 3}, {"dropout": "much"}):
        path = saved(tmp_path / "model.pth", content | {"hyper_parameters": SETTINGS | change})
        with pytest.raises(CheckpointError, match="do not describe a network"):
            load_model(path)


def test_missing_settings_are_refused(tmp_path, content):
    del content["hyper_parameters"]["dropout"]
    with pytest.raises(CheckpointError, match="do not describe a network"):
        load_model(saved(tmp_path / "model.pth", content))


def test_missing_and_unknown_weights_are_named():
    a, b = {"x": torch.ones(1)}, {"x": torch.ones(1), "y": torch.ones(1)}
    with pytest.raises(CheckpointError, match="y is missing"):
        check_weights(a, b, "it")
    with pytest.raises(CheckpointError, match="y is unknown"):
        check_weights(b, a, "it")


def test_only_the_networks_part_of_a_state_is_taken():
    state = {"net.a": torch.ones(1), "weights.b": torch.ones(1), "net.net.c": torch.ones(1)}
    assert set(network_weights(state)) == {"a", "net.c"}


def test_a_runs_folder_is_its_best_network(tmp_path, content):
    (tmp_path / "checkpoints").mkdir()
    saved(tmp_path / "checkpoints/best.ckpt", content)
    assert load_model(tmp_path).contract == Contract(image_size=48)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_model(tmp_path / "checkpoints")


@pytest.mark.parametrize("named", [None, "mobileone_s2", find_bundle()])
def test_the_network_of_the_package_answers_as_its_bundle(named):
    network, bundle = load_model(named), Predictor.from_bundle(find_bundle(), precision="fp32")
    crops = np.random.default_rng(0).integers(256, size=(2, 112, 112, 3), dtype=np.uint8)
    with torch.no_grad():
        said = network(normalise(torch.from_numpy(crops.transpose(0, 3, 1, 2).copy()), network.contract))
    assert network.contract == bundle.contract
    assert said.age.numpy() == pytest.approx(bundle.outputs(crops)["age"], abs=1e-3)
