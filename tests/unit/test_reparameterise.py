import pytest
import torch
from torch import nn

from smart_retail.errors import CheckpointError
from smart_retail.models.reparameterise import reparameterise
from tests.helpers.batches import settle, tiny_network


def trained(backbone="mobileone_s0"):
    """A network whose batch norms look as after a training: no two alike."""
    network = tiny_network(backbone)
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for parameter, low, high in ((module.weight, 0.2, 1.2), (module.bias, -0.3, 0.8)):
                parameter.data.uniform_(low, high, generator=generator)
    return settle(network, torch.randn(16, 3, 32, 32, generator=generator))


@pytest.mark.parametrize("backbone", ["mobileone_s0", "repvgg_a0", "resnet10t"])
def test_both_forms_agree(backbone):
    network = trained(backbone).eval()
    images = torch.randn(4, 3, 32, 32)
    fused = reparameterise(network, images)
    other = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        for a, b in zip(network(other), fused(other), strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-3)


def test_no_batch_norm_is_left_in_mobileone():
    fused = reparameterise(trained(), torch.randn(2, 3, 32, 32))
    assert not any(isinstance(m, nn.BatchNorm2d) for m in fused.modules())


def test_the_original_stays_trainable_and_as_it_was():
    network = trained().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    reparameterise(network, torch.randn(2, 3, 32, 32))
    assert network.training
    assert all(p.requires_grad for p in network.parameters())
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_the_fused_form_keeps_the_contract():
    network = trained()
    assert reparameterise(network, torch.randn(2, 3, 32, 32)).contract == network.contract


def test_unsound_statistics_are_refused():
    network = trained()
    next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d)).running_mean.fill_(float("nan"))
    with pytest.raises(CheckpointError, match="are the batch norm statistics"):
        reparameterise(network, torch.randn(2, 3, 32, 32))
