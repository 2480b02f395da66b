import pytest
import torch

from smart_retail.contract import Contract
from smart_retail.errors import ConfigError
from smart_retail.models.network import FaceNet
from tests.helpers.batches import FaceOutputs, tiny_network


@pytest.mark.parametrize("backbone", ["mobileone_s0", "resnet10t", "tf_efficientnet_lite0", "mobilenetv3_small_050"])
@pytest.mark.parametrize("age", ["distribution", "regression"])
def test_any_backbone_gives_the_three_outputs(backbone, age):
    outputs = tiny_network(backbone, age=age).eval()(torch.randn(2, 3, 32, 32))
    assert isinstance(outputs, FaceOutputs)
    gender_logits, age_pred, emotion_logits = outputs
    assert (gender_logits.shape, age_pred.shape, emotion_logits.shape) == ((2, 2), (2, 1), (2, 6))


def test_mobileone_s2_is_the_default():
    assert sum(p.numel() for p in FaceNet().backbone.parameters()) == 5_835_648


def test_dropout_is_on_in_training_and_off_in_evaluation():
    network = tiny_network(dropout=0.5).eval()
    features = torch.ones(1, 1000)
    assert torch.equal(network.dropout(features), features)
    zeros = (network.train().dropout(features) == 0).float().mean()
    assert zeros == pytest.approx(0.5, abs=0.1)


def test_decoding_the_raw_outputs_is_the_forward_pass():
    network = tiny_network().eval()
    images = torch.randn(2, 3, 32, 32)
    for a, b in zip(network(images), network.decode(network.raw(images)), strict=True):
        assert torch.equal(a, b)


def test_raw_outputs_carry_the_features():
    network = tiny_network()
    assert network.raw(torch.randn(2, 3, 32, 32)).features.shape == (2, network.feature_width)


def test_a_network_knows_its_contract():
    assert tiny_network().contract == Contract()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"backbone": "mobileon_s2"}, r"no backbone 'mobileon_s2'; near it: mobileone_s2"),
        ({"backbone": "qqq"}, r"see timm\.list_models"),
        ({"dropout": 1.0}, "dropout 1.0 is outside 0 to 1"),
        ({"age": "classes"}, "age_head 'classes' is none of distribution, regression"),
        ({"age_sigma": -1.0}, "age_sigma -1.0 must not be negative"),
    ],
)
def test_a_setting_that_cannot_work_is_a_config_error(settings, message):
    with pytest.raises(ConfigError, match=message):
        FaceNet(**{"backbone": "resnet10t"} | settings)


def test_a_vision_transformer_takes_images_of_another_size():
    network = FaceNet("vit_tiny_patch16_224", image_size=64).eval()
    assert network(torch.zeros(1, 3, 64, 64)).gender.shape == (1, 2)
