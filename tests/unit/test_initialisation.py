import timm
import torch
from torch import nn

from smart_retail.models.initialisation import identity_init
from tests.helpers.batches import tiny_network


def blocks(backbone):
    return [m for m in backbone.modules() if isinstance(getattr(m, "identity", None), nn.BatchNorm2d)]


def test_every_block_with_an_identity_branch_is_counted():
    backbone = timm.create_model("mobileone_s0", num_classes=0)
    assert identity_init(backbone) == len(blocks(backbone)) > 20


def test_repvgg_fits_too():
    assert identity_init(timm.create_model("repvgg_a0", num_classes=0)) > 10


def test_a_backbone_with_true_skips_stays_as_it_is():
    backbone = timm.create_model("resnet10t", num_classes=0)
    before = {name: value.clone() for name, value in backbone.state_dict().items()}
    assert identity_init(backbone) == 0
    assert all(torch.equal(before[name], value) for name, value in backbone.state_dict().items())


def test_blocks_start_near_the_identity():
    """Fed with what leaves a ReLU, scaled to its own statistics as the batch norm sees it."""
    torch.manual_seed(0)
    usual = timm.create_model("mobileone_s0", num_classes=0)
    ours = timm.create_model("mobileone_s0", num_classes=0)
    identity_init(ours)

    def likeness(backbone):
        kept = []
        for block in blocks(backbone):
            images = torch.randn(8, block.identity.num_features, 6, 6).relu()
            with torch.no_grad():
                result = block.train()(images)
            kept.append(torch.corrcoef(torch.stack([images.flatten(), result.flatten()]))[0, 1])
        return torch.stack(kept).mean()

    assert likeness(ours) > 0.9
    assert likeness(ours) > likeness(usual) + 0.1


def test_with_it_a_small_change_of_the_input_stays_small():
    """At the usual start MobileOne is chaotic: noise grows block after block."""

    def growth(network):
        images = torch.randn(8, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        noise = 1e-3 * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            a, b = network.backbone.train()(images), network.backbone(images + noise)
        return ((a - b).norm() / (a - a.mean(0)).norm()).item()

    with_it, without = (growth(tiny_network("mobileone_s0", identity_start=start)) for start in (True, False))
    assert with_it < 0.02
    assert without > 5 * with_it


def test_a_network_can_do_without_it():
    block = blocks(tiny_network("mobileone_s0", identity_start=False).backbone)[0]
    assert block.identity.bias.abs().max() == 0
