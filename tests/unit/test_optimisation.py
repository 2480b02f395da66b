import pytest
import torch
from torch import nn

from smart_retail.errors import ConfigError
from smart_retail.training.optimisation import Schedule, make_optimizer


def network():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))


def test_norms_and_biases_do_not_decay():
    model = network()
    decay = {
        id(parameter): group["weight_decay"]
        for group in make_optimizer(model, "adamw", 1e-3, 0.05).param_groups
        for parameter in group["params"]
    }
    for parameter in model.parameters():
        assert decay[id(parameter)] == (0.05 if parameter.ndim > 1 else 0)


@pytest.mark.parametrize("name", ["adam", "AdamW", "sgd", "lamb"])
def test_any_optimiser_of_timms_takes_a_step(name):
    model = network()
    before = [p.clone() for p in model.parameters()]
    optimizer = make_optimizer(model, name, 1e-2, 0.01)
    model(torch.randn(2, 3, 6, 4).repeat(1, 1, 1, 2)[..., :6]).square().sum().backward()
    optimizer.step()
    assert any((a != b).any() for a, b in zip(before, model.parameters(), strict=True))


def test_an_unknown_optimiser_is_a_config_error():
    with pytest.raises(ConfigError, match="optimizer 'adamm' is unknown"):
        make_optimizer(network(), "adamm", 1e-3, 0)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_rate_rises_to_one_in_the_warm_up(schedule):
    factor = Schedule(schedule, warmup=0.1, final=0.01).factor(100)
    assert [factor(step) for step in range(10)] == pytest.approx([(i + 1) / 10 for i in range(10)])


@pytest.mark.parametrize(("schedule", "middle"), [("cosine", 0.505), ("linear", 0.505), ("constant", 1.0)])
def test_the_rate_is_half_way_down_in_the_middle(schedule, middle):
    assert Schedule(schedule, warmup=0.2, final=0.01).factor(1000)(600) == pytest.approx(middle, abs=0.001)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_rate_falls_to_its_end_and_stays_there(schedule):
    factor = Schedule(schedule, warmup=0.05, final=0.01).factor(100)
    rates = [factor(step) for step in range(5, 130)]
    assert rates == sorted(rates, reverse=True)
    assert factor(100) == factor(1000) == pytest.approx(0.01)


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert Schedule("cosine", warmup=0.0, final=0.01).factor(100)(0) == pytest.approx(1)


def test_a_run_of_a_single_step_learns():
    assert Schedule("cosine", warmup=0.05, final=0.01).factor(1)(0) > 0.5


@pytest.mark.parametrize(("schedule", "warmup"), [("cosin", 0.1), ("cosine", 1.0), ("linear", -0.1)])
def test_settings_that_cannot_work_are_refused(schedule, warmup):
    with pytest.raises(ConfigError):
        Schedule(schedule, warmup=warmup)
