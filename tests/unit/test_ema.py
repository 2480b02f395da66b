import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from smart_retail.callbacks.ema import EMA, average
from smart_retail.errors import ConfigError


def averages(decay, steps):
    """Average a weight that is 0 at first and 1 from then on; return its value after each step."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    averaged = AveragedModel(model)
    values = []
    average(averaged, model, decay)
    nn.init.ones_(model.weight)
    for _ in range(steps):
        average(averaged, model, decay)
        values.append(averaged.module.weight.item())
    return values


def test_the_average_follows_the_decay():
    first, second = averages(0.05, 2)
    assert first == pytest.approx(0.95)
    assert second == pytest.approx(1 - 0.05**2)


def test_at_the_start_it_averages_over_few_steps():
    assert averages(0.9999, 1)[0] == pytest.approx(1 - 2 / 11)


def test_in_a_long_run_the_decay_is_what_was_asked_for():
    values = averages(0.9, 200)
    left = [1 - v for v in values]
    assert left[150] / left[149] == pytest.approx(0.9, abs=0.02) or left[150] < 1e-6


def test_decay_0_turns_averaging_off():
    assert averages(0.0, 3) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_refused(decay):
    with pytest.raises(ConfigError, match=r"ema\.decay"):
        EMA(decay)


def test_averaging_of_single_precision_is_exact_enough():
    assert torch.tensor(averages(0.998, 500)).diff().min() >= 0
