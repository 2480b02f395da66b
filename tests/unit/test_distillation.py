import pytest
import torch
from torch.nn import functional as F

from smart_retail.contract import Contract
from smart_retail.data.soft_labels import SoftLabels
from smart_retail.errors import ConfigError
from smart_retail.training.distillation import (
    Distillation,
    distillation_of,
    fed_as,
    soft_losses,
    softened_divergence,
)
from tests.helpers.batches import face_batch, tiny_network


def word(count=4, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return SoftLabels(*(torch.randn(count, n, generator=generator).softmax(1) for n in (2, 101, 6)))


def test_the_divergence_is_zero_where_student_and_teacher_agree():
    logits = torch.randn(5, 6)
    for temperature in (1.0, 2.0, 5.0):
        assert softened_divergence(logits, logits.softmax(1), temperature).abs().max() < 1e-4


def test_at_temperature_one_it_is_the_plain_divergence():
    logits, target = torch.randn(5, 6), torch.randn(5, 6).softmax(1)
    plain = (target * (target.log() - F.log_softmax(logits, 1))).sum(1)
    torch.testing.assert_close(softened_divergence(logits, target, 1.0), plain)


def test_the_temperature_softens_both_sides():
    student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    p, q = (teacher / 2).softmax(1), (student / 2).softmax(1)
    expected = 4 * (p * (p / q).log()).sum(1)
    torch.testing.assert_close(softened_divergence(student, teacher.softmax(1), 2.0), expected)


def test_stored_zeros_do_no_harm():
    loss = softened_divergence(torch.randn(1, 6), torch.tensor([[1.0, 0, 0, 0, 0, 0]]), 4.0)
    assert loss.isfinite().all()


@pytest.mark.parametrize("age", ["distribution", "regression"])
def test_unlabelled_faces_teach_with_all_and_not_with_labelled(age):
    network, batch = tiny_network(age=age), face_batch("....", "....", "....")
    for which in ("all", "labelled"):
        losses = soft_losses(network, network.raw(batch.image), batch, word(), Distillation(faces=which))
        for task, loss in losses.items():
            network.zero_grad()
            loss.backward(retain_graph=True)
            moved = getattr(network, task).weight.grad.abs().sum()
            assert (moved > 0) == (which == "all")


def test_the_soft_loss_of_ages_is_least_where_they_agree():
    head, target = tiny_network().age, word().age
    assert head.soft_loss(target.log(), target).abs().max() < 1e-3
    assert (head.soft_loss(torch.randn(4, 101), target) > 0.1).all()


def test_a_regression_follows_the_mean_of_the_distribution():
    head = tiny_network(age="regression").age
    target = torch.zeros(1, 101)
    target[0, 20] = target[0, 40] = 0.5
    torch.testing.assert_close(head.soft_loss(torch.tensor([[4.0]]), target), torch.tensor([1.0]))
    assert torch.allclose((head.probabilities(torch.tensor([[3.05]])) * torch.arange(101.0)).sum(), torch.tensor(30.5))


def test_images_are_fed_as_the_teacher_was_trained():
    ours = Contract(image_size=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    theirs = Contract(image_size=48)
    pixels = torch.rand(2, 3, 1, 1).expand(2, 3, 48, 48)
    shape = (1, 3, 1, 1)
    normalised = (pixels - torch.tensor(theirs.mean).view(shape)) / torch.tensor(theirs.std).view(shape)
    torch.testing.assert_close(fed_as(normalised, theirs, ours), (pixels[..., :32, :32] - 0.5) / 0.5)


@pytest.mark.parametrize("settings", [{"share": 2.0}, {"temperature": 0.0}, {"faces": "some"}, {"heat": 1}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        distillation_of(settings)
