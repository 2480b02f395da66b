import pytest
import torch

from smart_retail.models.heads import TYPICAL_AGE, YearsDistribution, YearsRegression
from smart_retail.tasks import AGE

AGES = torch.tensor([0.0, 0.4, 1.0, 26.0, 50.5, 99.0, 100.0])


class TestRegression:
    def test_it_starts_near_a_typical_age(self):
        torch.manual_seed(0)
        head = YearsRegression(AGE, 64)
        years = head.decode(head(torch.randn(100, 64)))
        assert years.mean().item() == pytest.approx(TYPICAL_AGE, abs=5)

    def test_the_loss_is_the_absolute_error_in_decades(self):
        head = YearsRegression(AGE, 4)
        assert head.exact_loss(torch.tensor([[3.0], [4.5]]), torch.tensor([35.0, 40.0])).tolist() == [0.5, 0.5]

    def test_an_answer_inside_a_range_costs_nothing_and_one_outside_its_distance(self):
        raw, ranges = torch.tensor([[2.5], [2.94], [1.45], [3.95]]), torch.tensor([[20.0, 29.0]] * 4)
        assert YearsRegression(AGE, 4).range_loss(raw, ranges).tolist() == pytest.approx([0, 0, 0.5, 1.0])

    def test_years_are_ten_times_the_output(self):
        assert YearsRegression(AGE, 4).decode(torch.tensor([[3.2]])).tolist() == [[32.0]]


class TestDistribution:
    @pytest.mark.parametrize("sigma", [0.0, 0.5, 2.0, 5.0])
    def test_a_target_is_a_distribution(self, sigma):
        target = YearsDistribution(AGE, 4, sigma).target(AGES)
        assert (target >= 0).all()
        assert target.sum(1) == pytest.approx(torch.ones(len(AGES)))

    @pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0, 3.0])
    def test_the_expectation_of_a_target_is_its_label(self, sigma):
        head, inside = YearsDistribution(AGE, 4, sigma), AGES[3:5]
        assert (head.target(inside) * head.bins).sum(1) == pytest.approx(inside, abs=1e-3)

    def test_without_width_the_expectation_is_the_label_at_the_edges_too(self):
        head = YearsDistribution(AGE, 4, 0.0)
        assert (head.target(AGES) * head.bins).sum(1) == pytest.approx(AGES, abs=1e-3)

    def test_a_sure_network_says_its_year(self):
        logits = torch.full((1, 101), -50.0)
        logits[0, 42] = 50
        assert YearsDistribution(AGE, 4).decode(logits).tolist() == [[42.0]]

    def test_half_of_the_distribution_lies_below_the_years_said(self):
        head = YearsDistribution(AGE, 4)
        logits = torch.full((2, 101), -50.0)
        logits[0, [20, 21, 70]] = torch.tensor([0.4, 0.2, 0.4]).log()  # a far tail pulls the mean to 40
        logits[1, 30:34] = 0.0
        assert head.decode(logits).squeeze(1).tolist() == pytest.approx([21.0, 31.5], abs=1e-4)
        assert head.expectation(logits).tolist() == pytest.approx([40.2, 31.5], abs=1e-3)

    def test_half_precision_is_as_exact(self):
        logits = (3 * torch.randn(50, 101)).bfloat16()
        head = YearsDistribution(AGE, 4)
        assert torch.equal(head.decode(logits), head.decode(logits.float()))

    def test_years_stay_inside_the_range(self):
        years = YearsDistribution(AGE, 4).decode(100 * torch.randn(50, 101))
        assert years.min() >= 0
        assert years.max() <= 100

    @pytest.mark.parametrize("sigma", [0.0, 2.0])
    @pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
    def test_loss_and_gradient_are_finite_at_the_edges(self, sigma, scale):
        head = YearsDistribution(AGE, 4, sigma)
        logits = (scale * torch.randn(len(AGES), 101)).requires_grad_()
        loss = head.exact_loss(logits, AGES)
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(logits.grad).all()

    def test_a_nearer_distribution_has_a_smaller_loss(self):
        head = YearsDistribution(AGE, 4)
        logits = head.target(torch.tensor([30.0, 33.0, 60.0])).clamp(min=1e-9).log()
        near, off, far = head.exact_loss(logits, torch.tensor([30.0, 30.0, 30.0]))
        assert near < off < far

    def test_gradient_descent_finds_the_label(self):
        head = YearsDistribution(AGE, 4)
        logits = torch.zeros(1, 101, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.3)
        for _ in range(150):
            optimizer.zero_grad()
            head.exact_loss(logits, torch.tensor([7.0])).sum().backward()
            optimizer.step()
        assert head.decode(logits).item() == pytest.approx(7, abs=0.3)

    def test_the_loss_of_a_range_is_minus_the_log_of_its_probability(self):
        torch.manual_seed(0)
        head, logits = YearsDistribution(AGE, 4), torch.randn(3, 101)
        ranges = torch.tensor([[20.0, 29.0], [0.0, 2.0], [70.0, 100.0]])
        shares = logits.softmax(1)
        expected = [-shares[0, 20:30].sum().log(), -shares[1, :3].sum().log(), -shares[2, 70:].sum().log()]
        assert head.range_loss(logits, ranges).tolist() == pytest.approx([e.item() for e in expected], rel=1e-5)

    def test_a_range_of_all_ages_costs_nothing(self):
        assert YearsDistribution(AGE, 4).range_loss(torch.randn(1, 101), torch.tensor([[0.0, 100.0]])).item() == 0

    @pytest.mark.parametrize("scale", [0.0, 1.0, 1e4])
    def test_loss_and_gradient_of_a_range_are_finite_however_sure_the_network_is(self, scale):
        logits = (scale * torch.randn(2, 101)).requires_grad_()
        loss = YearsDistribution(AGE, 4).range_loss(logits, torch.tensor([[20.0, 29.0], [100.0, 100.0]]))
        loss.sum().backward()
        assert torch.isfinite(loss).all()
        assert torch.isfinite(logits.grad).all()

    def test_a_row_without_a_range_has_a_finite_gradient(self):
        logits = torch.randn(2, 101, requires_grad=True)
        loss = YearsDistribution(AGE, 4).range_loss(logits, torch.tensor([[20.0, 29.0], [-1.0, -1.0]]))
        torch.where(torch.tensor([True, False]), loss, 0).sum().backward()
        assert torch.isfinite(logits.grad).all()
        assert logits.grad[0].abs().max() > 0
        assert logits.grad[1].abs().max() == 0

    def test_gradient_descent_finds_a_range(self):
        head = YearsDistribution(AGE, 4)
        logits = torch.zeros(1, 101, requires_grad=True)
        optimizer = torch.optim.Adam([logits], lr=0.3)
        for _ in range(50):
            optimizer.zero_grad()
            head.range_loss(logits, torch.tensor([[20.0, 29.0]])).sum().backward()
            optimizer.step()
        assert 20 <= head.decode(logits).item() <= 29

    def test_the_bins_are_no_weights(self):
        assert set(YearsDistribution(AGE, 4).state_dict()) == {"weight", "bias"}
