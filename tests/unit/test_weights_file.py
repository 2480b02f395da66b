import json

import pytest
import torch
from safetensors.torch import save_file

from smart_retail import load_model
from smart_retail.contract import Contract
from smart_retail.errors import CheckpointError
from smart_retail.export.weights_command import write_weights
from smart_retail.models.checkpoint import read_checkpoint
from smart_retail.models.fake_quantise import fake_quantise
from smart_retail.models.load import network_from, read_model
from smart_retail.models.weights_file import PROVENANCE
from tests.helpers.runs import run
from tests.unit.test_load import SETTINGS


@pytest.fixture
def content():
    torch.manual_seed(0)
    return {
        "model_state_dict": network_from(SETTINGS).state_dict(),
        "hyper_parameters": SETTINGS | {"init_weights": "/somewhere/else.pth", "pretrained": True},
        "contract": Contract(image_size=48).to_dict(),
        "made_by": {"git": "abc", "versions": {"torch": "2"}, "config": "data: {soft_targets: /home/someone/soft.npz}"},
    }


@pytest.fixture
def path(tmp_path, content):
    write_weights(content, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_the_network_comes_back_in_half_the_size(path, content, tmp_path):
    torch.save(content, tmp_path / "model.pth")
    assert path.stat().st_size < 0.55 * (tmp_path / "model.pth").stat().st_size
    images = torch.randn(4, 3, 48, 48)
    whole, halves = load_model(tmp_path / "model.pth"), load_model(path)
    assert halves.contract == Contract(image_size=48)
    for a, b in zip(whole(images), halves(images), strict=True):
        torch.testing.assert_close(a, b, rtol=5e-3, atol=5e-3)


def test_it_tells_what_made_it_and_no_place_on_another_machine(path, content):
    story = read_checkpoint(path)
    assert story["made_by"]["git"] == content["made_by"]["git"]
    assert "soft.npz" in story["made_by"]["config"]
    assert "someone" not in story["made_by"]["config"]
    assert story["hyper_parameters"]["init_weights"] is None
    assert b"somewhere" not in path.read_bytes()


def test_small_variances_keep_their_digits(tmp_path, content):
    name = next(n for n in content["model_state_dict"] if n.endswith("running_var"))
    content["model_state_dict"][name].fill_(1.2345e-7)
    write_weights(content, tmp_path / "small.safetensors")
    assert torch.equal(
        read_model(tmp_path / "small.safetensors")["model_state_dict"][name][:1], torch.tensor([1.2345e-7])
    )


def test_a_network_starts_from_it(path):
    assert network_from(SETTINGS | {"init_weights": str(path)}).misfits == []


def test_a_truncated_file_and_damaged_settings_are_named(path):
    torch_file = path.read_bytes()
    path.write_bytes(torch_file[: len(torch_file) // 2])
    with pytest.raises(CheckpointError, match=r"net.safetensors is damaged"):
        load_model(path)
    save_file({"a": torch.zeros(1)}, path, metadata={PROVENANCE: "{"})
    with pytest.raises(CheckpointError, match="settings are damaged"):
        load_model(path)
    save_file({"a": torch.zeros(1)}, path, metadata={PROVENANCE: json.dumps({"contract": 3, "hyper_parameters": 4})})
    with pytest.raises(CheckpointError):
        load_model(path)
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="no model of smart_retail"):
        load_model(path)


def test_a_network_that_rounds_is_not_packed(tmp_path, content, capsys):
    content["model_state_dict"] = fake_quantise(network_from(SETTINGS), bits=7).state_dict()
    torch.save(content | {"qat": {"weight_bits": 7}}, tmp_path / "model.pth")
    assert run("weights", "--checkpoint", tmp_path / "model.pth", "--output", tmp_path / "net.safetensors") == 2
    assert "smart-retail export --checkpoint" in capsys.readouterr().err
    assert not (tmp_path / "net.safetensors").exists()


def test_the_command_packs_a_model_file(tmp_path, content, capsys):
    torch.save(content, tmp_path / "model.pth")
    assert run("weights", "--checkpoint", tmp_path / "model.pth", "--output", tmp_path / "out" / "net.safetensors") == 0
    assert "MB" in capsys.readouterr().out
    load_model(tmp_path / "out" / "net.safetensors")
    assert run("weights", "--checkpoint", tmp_path / "model.pth", "--output", tmp_path / "net.bin") == 2
    assert "must end in .safetensors" in capsys.readouterr().err
    assert run("weights", "--checkpoint", tmp_path / "missing.pth", "--output", tmp_path / "net.safetensors") == 2
