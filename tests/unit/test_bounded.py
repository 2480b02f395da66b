import pytest
import torch
from torch import nn

from smart_retail.errors import ConfigError
from smart_retail.models.bounded import bound_activations
from smart_retail.models.fake_quantise import fake_quantise
from smart_retail.models.network import FaceNet
from tests.helpers.batches import settle, tiny_network


def rarely_active(network: FaceNet) -> None:
    """Make one channel of every identity branch almost dead, as training leaves some."""
    for module in network.backbone.modules():
        if isinstance(getattr(module, "identity", None), nn.BatchNorm2d):
            module.identity.running_var[0] = 0.1


def test_a_rare_face_does_not_blow_the_network_up():
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    largest = {}
    for limit in (None, 32.0):
        torch.manual_seed(0)
        network = tiny_network("mobileone_s0", activation_limit=limit).eval()
        rarely_active(network)
        with torch.no_grad():
            largest[limit] = float(network.raw(images).features.abs().max())
    assert largest[None] > 1e5
    assert largest[32.0] <= 32


def test_below_the_limit_nothing_changes():
    images = torch.randn(16, 3, 32, 32)
    plain = settle(tiny_network("mobileone_s0", activation_limit=None), images)
    bounded = settle(tiny_network("mobileone_s0"), images)
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(plain(images), bounded(images), strict=True))


def test_a_network_with_true_skips_has_no_limit():
    assert bound_activations(tiny_network("resnet10t").backbone) == 0


def test_a_network_that_is_trained_to_round_has_its_ranges_instead():
    fused = fake_quantise(tiny_network("mobileone_s0"))
    assert not any(isinstance(m, nn.Hardtanh) for m in fused.modules())


def test_a_limit_within_the_usual_is_refused():
    with pytest.raises(ConfigError, match="activation_limit 4"):
        tiny_network("mobileone_s0", activation_limit=4.0)
