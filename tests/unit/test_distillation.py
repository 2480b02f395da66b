import pytest
import torch
from torch.nn import functional as F

from smart_retail.contract import Contract
from smart_retail.data.soft_targets import taught_tasks
from smart_retail.errors import ConfigError
from smart_retail.models.heads import ClassHead
from smart_retail.tasks import EMOTION, GENDER, TASKS
from smart_retail.training.distillation import (
    Distillation,
    FeatureMatching,
    Teachers,
    by_task,
    fed_as,
    soft_losses,
)
from smart_retail.training.module import FaceAttributeModule
from tests.helpers.batches import face_batch, tiny_network


def soft(count=4, seed=3):
    generator = torch.Generator().manual_seed(seed)
    return {task.name: torch.randn(count, task.width, generator=generator).softmax(1) for task in TASKS}


def test_the_divergence_is_zero_where_student_and_teacher_agree():
    logits = torch.randn(5, 6)
    for temperature in (1.0, 2.0, 5.0):
        assert ClassHead(EMOTION, 4).soft_loss(logits, logits.softmax(1), temperature).abs().max() < 1e-4


def test_at_temperature_one_it_is_the_plain_divergence():
    logits, target = torch.randn(5, 6), torch.randn(5, 6).softmax(1)
    plain = (target * (target.log() - F.log_softmax(logits, 1))).sum(1)
    torch.testing.assert_close(ClassHead(EMOTION, 4).soft_loss(logits, target, 1.0), plain)


def test_the_temperature_softens_both_sides():
    student, teacher = torch.tensor([[2.0, 0.0]]), torch.tensor([[0.0, 4.0]])
    p, q = (teacher / 2).softmax(1), (student / 2).softmax(1)
    expected = 4 * (p * (p / q).log()).sum(1)
    torch.testing.assert_close(ClassHead(GENDER, 4).soft_loss(student, teacher.softmax(1), 2.0), expected)


def test_stored_zeros_do_no_harm():
    loss = ClassHead(EMOTION, 4).soft_loss(torch.randn(1, 6), torch.tensor([[1.0, 0, 0, 0, 0, 0]]), 4.0)
    assert loss.isfinite().all()


@pytest.mark.parametrize("age", ["distribution", "regression"])
def test_unlabelled_faces_teach_with_all_and_not_with_labelled(age):
    network, batch = tiny_network(age=age), face_batch("....", "....", "....")
    for which in ("all", "labelled"):
        losses = soft_losses(network, network.raw(batch.image), batch.labels, soft(), Distillation(faces=which))
        for task, loss in losses.items():
            network.zero_grad()
            loss.backward(retain_graph=True)
            moved = network.heads[task].weight.grad.abs().sum()
            assert (moved > 0) == (which == "all")


def test_the_soft_loss_of_ages_is_least_where_they_agree():
    head, target = tiny_network().heads["age"], soft()["age"]
    assert head.soft_loss(target.log(), target).abs().max() < 1e-3
    assert (head.soft_loss(torch.randn(4, 101), target) > 0.1).all()


def test_a_regression_follows_the_mean_of_the_distribution():
    head = tiny_network(age="regression").heads["age"]
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


@pytest.mark.parametrize(
    "settings",
    [{"share": 2.0}, {"temperature": 0.0}, {"faces": "some"}, {"features": -1.0}, {"feature_distance": "far"}],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Distillation(**settings)


def test_a_face_without_targets_teaches_nothing():
    network, batch = tiny_network(), face_batch()
    half = {task: said * torch.tensor([[1.0], [1.0], [0.0], [0.0]]) for task, said in soft().items()}
    losses = soft_losses(network, network.raw(batch.image), batch.labels, half, Distillation())
    first = soft_losses(
        network, network.raw(batch.image[:2]), face_batch("xx", "xx", "xx").labels, soft(2), Distillation()
    )
    assert taught_tasks(half) == ["gender", "age", "emotion"]
    assert set(losses) == set(first) and all(value.isfinite() for value in losses.values())
    half |= {"gender": torch.zeros(4, 2)}
    assert taught_tasks(half) == ["age", "emotion"]
    assert soft_losses(network, network.raw(batch.image), batch.labels, half, Distillation())["gender"] == 0


@pytest.mark.parametrize("distance", ["cosine", "l2"])
def test_features_are_matched_through_a_projection_to_each_teachers_width(distance):
    matching = FeatureMatching(4, [3, 5], distance)
    features = torch.randn(6, 4, requires_grad=True)
    theirs = [projection(features.detach()) for projection in matching.projections]
    assert matching(features, theirs).abs() < 1e-6
    loss = matching(features, [torch.randn(6, 3), torch.randn(6, 5)])
    loss.backward()
    assert loss > 0 and features.grad.abs().sum() > 0


def saved(path, backbone, seed, size=32):
    """Write an untrained teacher as a run would."""
    module = FaceAttributeModule(backbone=backbone, image_size=size, identity_start=False)
    module.net.load_state_dict(tiny_network(backbone, seed=seed, image_size=size).state_dict())
    content = {"hyper_parameters": dict(module.hparams), "contract": module.contract.to_dict()}
    torch.save(content | {"model_state_dict": module.net.state_dict()}, path)
    return str(path)


def test_each_task_may_have_its_own_teachers_of_any_backbone_and_size(tmp_path):
    a = saved(tmp_path / "a.pth", "resnet10t", 1)
    b = saved(tmp_path / "b.pth", "mobilenetv3_small_050", 2)
    c = saved(tmp_path / "c.pth", "vit_tiny_patch16_224", 3, size=64)
    images, contract = torch.randn(2, 3, 32, 32), Contract(image_size=32)
    alone = {path: Teachers([path])(images, contract).soft for path in (a, b, c)}
    teachers = Teachers({"gender": a, "age": [b, c]})
    said = teachers(images, contract)
    assert teachers.tasks == taught_tasks(said.soft) == ["gender", "age"]
    torch.testing.assert_close(said.soft["gender"], alone[a]["gender"])
    torch.testing.assert_close(said.soft["age"], (alone[b]["age"] + alone[c]["age"]) / 2)
    assert said.soft["emotion"].shape == (2, 6)
    assert len(said.features) == 3
    assert teachers.fingerprint() != Teachers([a, b, c]).fingerprint()


@pytest.mark.parametrize(("teachers", "words"), [({"height": "a.pth"}, "height"), ({"age": []}, "no teacher")])
def test_teachers_of_no_task_are_refused(teachers, words):
    with pytest.raises(ConfigError, match=words):
        by_task(teachers, TASKS)
