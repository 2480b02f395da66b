import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import smart_retail
from smart_retail.models.memory_layout import DecimatedConv2d, decimate_pointwise
from tests.helpers.batches import tiny_network

# In channels_last memory, and in a process of its own: without the decimation it dies of SIGSEGV.
TRAINING_STEP = """
import torch
from smart_retail.models.network import FaceNet
torch.set_num_threads(1)
network = FaceNet("mobileone_s0").to(memory_format=torch.channels_last)
images = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
outputs = network(images)
sum(o.sum() for o in outputs).backward()
assert all(torch.isfinite(p.grad).all() for p in network.parameters())
print("survived")
"""


def test_a_channels_last_training_step_survives():
    done = subprocess.run(
        [sys.executable, "-c", TRAINING_STEP],
        capture_output=True,
        text=True,
        cwd=Path(smart_retail.__file__).parent.parent,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "survived"), done.stderr


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 7)])
def test_the_decimated_convolution_is_the_strided_one(groups, size):
    torch.manual_seed(0)
    plain = nn.Conv2d(3, 6, 1, stride=2, groups=groups)
    decimated = nn.Conv2d(3, 6, 1, stride=2, groups=groups)
    decimated.load_state_dict(plain.state_dict())
    decimate_pointwise(decimated)
    assert isinstance(decimated, DecimatedConv2d)
    images = torch.randn(2, 3, *size)
    a, b = images.clone().requires_grad_(), images.clone().requires_grad_()
    assert torch.allclose(plain(a), decimated(b), atol=1e-6)
    plain(a).square().sum().backward()
    decimated(b).square().sum().backward()
    assert torch.allclose(a.grad, b.grad, atol=1e-5)
    assert torch.allclose(plain.weight.grad, decimated.weight.grad, atol=1e-4)


def test_mobileones_stem_decimates():
    assert any(isinstance(m, DecimatedConv2d) for m in tiny_network("mobileone_s0").backbone.modules())


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(64, 128, 1, stride=2),
        nn.Conv2d(3, 8, 3, stride=2),
        nn.Conv2d(3, 8, 1),
        nn.Conv2d(3, 8, 1, 2, padding=1),
    ],
)
def test_other_convolutions_stay(convolution):
    decimate_pointwise(convolution)
    assert type(convolution) is nn.Conv2d


def test_channels_last_gives_the_gradients_of_the_plain_layout():
    images = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gradients = []
    for layout in (torch.contiguous_format, torch.channels_last):
        network = tiny_network("mobileone_s0").to(memory_format=layout)
        outputs = network(images.contiguous(memory_format=layout))
        sum(o.square().mean() for o in outputs).backward()
        gradients.append(torch.cat([p.grad.flatten() for p in network.parameters()]))
    difference = (gradients[0] - gradients[1]).norm() / gradients[0].norm()
    assert difference < 1e-3


def test_the_names_of_the_weights_stay():
    import timm

    plain = timm.create_model("mobileone_s0", num_classes=0).state_dict().keys()
    assert tiny_network("mobileone_s0").backbone.state_dict().keys() == plain
