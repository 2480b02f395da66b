import pytest
import torch
from torch.nn import functional as F

from smart_retail.errors import ConfigError
from smart_retail.training.losses import TaskWeights, masked_mean, task_losses
from tests.helpers.batches import face_batch, mask, relabelled, tiny_network

EQUAL = {"gender": 1.0, "age": 1.0, "emotion": 1.0}


def gradients(network, batch):
    network.zero_grad()
    losses = task_losses(network, network.raw(batch.image), batch.labels, 0.1)
    sum(losses.values()).backward()
    return [p.grad.clone() for p in network.parameters()], losses


def test_the_mean_is_over_the_labels_that_exist():
    assert masked_mean(torch.tensor([1.0, 100.0, 3.0, 100.0]), mask("x.x.")) == 2


def test_the_mean_of_nothing_is_zero_and_has_a_gradient():
    losses = torch.tensor([1.0, 2.0], requires_grad=True)
    mean = masked_mean(losses, mask(".."))
    mean.backward()
    assert mean == 0
    assert losses.grad.tolist() == [0, 0]


def test_each_loss_is_that_of_its_labelled_faces_alone():
    network = tiny_network().eval()
    batch = face_batch("xx..", ".xx.", "...x")
    raw = network.raw(batch.image)
    losses = task_losses(network, raw, batch.labels, 0.1)
    assert losses["gender"].item() == pytest.approx(
        F.cross_entropy(raw.heads["gender"][:2], batch.labels["gender"][:2], label_smoothing=0.1).item()
    )
    assert losses["emotion"].item() == pytest.approx(
        F.cross_entropy(raw.heads["emotion"][3:], batch.labels["emotion"][3:], label_smoothing=0.1).item()
    )
    assert losses["age"].item() == pytest.approx(
        network.heads["age"].exact_loss(raw.heads["age"][1:3], batch.labels["age"][1:3]).mean().item()
    )


@pytest.mark.parametrize("empty", ["gender", "age", "emotion"])
def test_an_empty_task_costs_nothing_and_every_parameter_has_a_finite_gradient(empty):
    network = tiny_network()
    batch = face_batch(**{empty: "...."})
    found, losses = gradients(network, batch)
    assert losses[empty] == 0
    assert len(found) == len(list(network.parameters()))
    assert all(torch.isfinite(g).all() for g in found)
    head = network.heads[empty]
    assert head.weight.grad.abs().max() == 0


def test_a_batch_without_any_label_gives_zero_gradients():
    found, losses = gradients(tiny_network(), face_batch("....", "....", "...."))
    assert sum(losses.values()) == 0
    assert all((g == 0).all() for g in found)


def test_age_labels_are_not_smoothed():
    network = tiny_network().eval()
    batch = face_batch()
    raw = network.raw(batch.image)
    a, b = task_losses(network, raw, batch.labels, 0.0), task_losses(network, raw, batch.labels, 0.3)
    assert a["age"] == b["age"]
    assert a["gender"] != b["gender"]


@pytest.mark.parametrize("age", ["distribution", "regression"])
def test_a_batch_of_ranges_alone_trains_age(age):
    network = tiny_network(age=age)
    batch = relabelled(
        face_batch(age="...."), age_range=torch.tensor([[0.0, 2.0], [3.0, 9.0], [60.0, 69.0], [90.0, 99.0]])
    )
    found, losses = gradients(network, batch)
    assert losses["age"] > 0
    assert all(torch.isfinite(g).all() for g in found)
    assert network.heads["age"].weight.grad.abs().max() > 0


def test_exact_ages_and_ranges_of_a_batch_are_one_mean():
    network = tiny_network().eval()
    ranges = torch.tensor([[-1.0, -1.0], [-1.0, -1.0], [20.0, 29.0], [-1.0, -1.0]])
    batch = relabelled(face_batch(age="x..."), age_range=ranges)
    raw = network.raw(batch.image)
    exact = network.heads["age"].exact_loss(raw.heads["age"][:1], batch.labels["age"][:1]).item()
    within = network.heads["age"].range_loss(raw.heads["age"][2:3], ranges[2:3]).item()
    assert task_losses(network, raw, batch.labels, 0.0)["age"].item() == pytest.approx((exact + within) / 2, rel=1e-5)


def test_faces_without_a_range_have_finite_gradients():
    found, losses = gradients(tiny_network(), face_batch(age="...."))
    assert losses["age"] == 0
    assert all(torch.isfinite(g).all() for g in found)


def test_votes_train_by_the_cross_entropy_with_their_shares():
    network = tiny_network().eval()
    votes = torch.tensor([[0.5, 0.5, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]], dtype=torch.float32)
    batch = relabelled(face_batch("..", "..", "xx"), emotion_votes=votes)
    raw = network.raw(batch.image)
    likely = raw.heads["emotion"].log_softmax(1)
    expected = (-(likely[0, :2].sum() / 2) - likely[1, batch.labels["emotion"][1]]) / 2
    assert task_losses(network, raw, batch.labels, 0.0)["emotion"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_votes_for_one_class_alone_are_its_label():
    network = tiny_network().eval()
    batch = face_batch()
    voted = relabelled(batch, emotion_votes=F.one_hot(batch.labels["emotion"], 6).float())
    raw = network.raw(batch.image)
    a, b = (task_losses(network, raw, labels.labels, 0.1)["emotion"].item() for labels in (batch, voted))
    assert a == pytest.approx(b, rel=1e-6)


def test_a_face_without_a_majority_trains_on_its_votes():
    network = tiny_network()
    votes = torch.full((4, 6), 1 / 6)
    found, losses = gradients(network, relabelled(face_batch(emotion="...."), emotion_votes=votes))
    assert losses["emotion"] > 0
    assert network.heads["emotion"].weight.grad.abs().max() > 0
    assert all(torch.isfinite(g).all() for g in found)


class TestTaskWeights:
    losses = {"gender": torch.tensor(1.0), "age": torch.tensor(2.0), "emotion": torch.tensor(4.0)}  # noqa: RUF012

    def test_fixed_weights_make_a_weighted_sum(self):
        weights = TaskWeights(EQUAL, {"gender": 1.0, "age": 0.5, "emotion": 0.25}, learnt=False)
        assert weights(self.losses) == 3
        assert list(weights.parameters()) == []

    def test_the_order_in_the_config_does_not_matter(self):
        a = TaskWeights(EQUAL, {"emotion": 0.25, "gender": 1.0, "age": 0.5}, learnt=False)
        assert a(self.losses) == 3

    def test_fixed_weights_are_no_part_of_a_checkpoint(self):
        assert TaskWeights(EQUAL, EQUAL, learnt=False).state_dict() == {}

    def test_learnt_weights_start_where_told(self):
        weights = TaskWeights(EQUAL, {"gender": 1.0, "age": 0.5, "emotion": 2.0}, learnt=True)
        assert weights.current().tolist() == pytest.approx([1, 0.5, 2])

    def test_learnt_weights_find_the_inverse_of_twice_the_loss(self):
        """The minimum of ``exp(-s) L + s / 2`` is at ``exp(-s) = 1 / (2 L)``."""
        weights = TaskWeights(EQUAL, EQUAL, learnt=True)
        optimizer = torch.optim.Adam(weights.parameters(), lr=0.05)
        for _ in range(400):
            optimizer.zero_grad()
            weights(self.losses).backward()
            optimizer.step()
        assert weights.current().tolist() == pytest.approx([1 / 2, 1 / 4, 1 / 8], rel=0.02)

    @pytest.mark.parametrize(
        ("values", "learnt"),
        [
            (EQUAL | {"race": 1.0}, False),
            (EQUAL | {"age": -1.0}, False),
            (dict.fromkeys(EQUAL, 0.0), False),
        ],
    )
    def test_weights_that_cannot_work_are_refused(self, values, learnt):
        with pytest.raises(ConfigError, match="task_weights"):
            TaskWeights(EQUAL, values, learnt=learnt)

    def test_a_fixed_weight_of_zero_switches_a_task_off(self):
        assert TaskWeights(EQUAL, EQUAL | {"emotion": 0.0}, learnt=False)(self.losses) == 3

    def test_a_learnt_weight_of_zero_stays_out(self):
        weights = TaskWeights(EQUAL, EQUAL | {"emotion": 0.0}, learnt=True)
        weights(self.losses).backward()
        assert weights.current()[2] == 0
        assert weights.log_variance.grad[2] == 0

    def test_a_learnt_weight_stands_still_without_labels(self):
        weights = TaskWeights(EQUAL, EQUAL, learnt=True)
        weights(self.losses | {"age": torch.tensor(0.0)}).backward()
        assert weights.log_variance.grad[1] == 0
