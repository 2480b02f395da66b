import numpy as np
import pytest

from smart_retail.data.sampler import BalancedSampler, face_weights
from smart_retail.errors import ConfigError


def make(weights, *, epoch=0, start=0, **settings):
    weights = np.asarray(weights, float)
    sampler = BalancedSampler(weights, **{"epoch_size": len(weights), "sizes": {0: 32}, "seed": 0} | settings)
    sampler.resume(epoch, start)
    return sampler


@pytest.mark.parametrize("count", [1, 2, 7, 1000, 4097])
def test_with_equal_weights_every_face_comes_once(count):
    assert sorted(draw.row for draw in make(np.ones(count))) == list(range(count))


@pytest.mark.parametrize("seed", range(5))
def test_a_weighted_face_comes_as_often_as_it_should_rounded_up_or_down(seed):
    weights = np.random.default_rng(seed).uniform(0.1, 10, 200)
    expected = 1000 * weights / weights.sum()
    counts = np.bincount([d.row for d in make(weights, epoch_size=1000, seed=seed)], minlength=200)
    assert (counts >= np.floor(expected)).all()
    assert (counts <= np.ceil(expected)).all()


def test_over_many_epochs_the_mean_is_the_expected_count():
    weights = np.array([1.0, 2.5, 0.3, 4.2])
    counts = sum(np.bincount([d.row for d in make(weights, epoch=e)], minlength=4) for e in range(600))
    assert counts / 600 == pytest.approx(4 * weights / weights.sum(), abs=0.07)


def test_epochs_differ_in_order_and_augmentation():
    first, second = list(make(np.ones(100), epoch=0)), list(make(np.ones(100), epoch=1))
    assert [d.row for d in first] != [d.row for d in second]
    assert not {d.seed for d in first} & {d.seed for d in second}


def test_seeds_differ_between_faces_and_between_two_draws_of_one_face():
    draws = list(make([1.0, 1.0], epoch_size=100))
    assert len({d.seed for d in draws}) == 100


def test_the_same_seed_and_epoch_give_the_same_draws():
    assert list(make(np.ones(50), epoch=3)) == list(make(np.ones(50), epoch=3))


def test_another_seed_gives_another_order():
    assert list(make(np.ones(50), seed=1)) != list(make(np.ones(50), seed=2))


@pytest.mark.parametrize("start", [0, 1, 30, 49, 50])
def test_resuming_goes_on_with_the_same_stream(start):
    assert list(make(np.ones(50), epoch=2, start=start)) == list(make(np.ones(50), epoch=2))[start:]


def test_only_the_resumed_epoch_is_shortened():
    sampler = make(np.ones(50), epoch=2, start=30)
    list(sampler)
    sampler.set_epoch(3)
    assert list(sampler) == list(make(np.ones(50), epoch=3))


def test_the_length_is_that_of_a_whole_epoch():
    assert len(make(np.ones(50), start=30)) == 50


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_out_the_stream_of_one(ranks):
    alone = list(make(np.ones(60)))
    parts = [list(make(np.ones(60), rank=r, world_size=ranks)) for r in range(ranks)]
    assert [draw for turn in zip(*parts, strict=True) for draw in turn] == alone


def test_ranks_are_equally_long_though_the_epoch_does_not_divide():
    parts = [list(make(np.ones(61), rank=r, world_size=2)) for r in range(2)]
    assert [len(part) for part in parts] == [30, 30]
    assert not {d.row for d in parts[0]} & {d.row for d in parts[1]}


def test_an_epoch_may_be_shorter_or_longer_than_the_data():
    assert len(list(make(np.ones(10), epoch_size=4))) == 4
    assert np.bincount([d.row for d in make(np.ones(10), epoch_size=30)]).tolist() == [3] * 10


@pytest.mark.parametrize(("epoch", "size"), [(0, 48), (4, 48), (5, 64), (8, 64), (9, 96), (50, 96)])
def test_the_size_follows_the_epoch(epoch, size):
    sampler = make(np.ones(3), sizes={9: 96, 0: 48, 5: 64}, epoch=epoch)
    assert {draw.size for draw in sampler} == {size}


def test_sizes_must_begin_at_epoch_0():
    with pytest.raises(ConfigError, match="from epoch 0"):
        make(np.ones(3), sizes={2: 48})


class TestWeights:
    datasets = np.array([0] * 6 + [1] * 2)
    ages = np.array([np.nan] * 6 + [20.0, 70.0])

    def share(self, weights):
        return weights[self.datasets == 1].sum() / weights.sum()

    def test_without_balance_all_faces_weigh_the_same(self):
        assert face_weights(self.datasets, self.ages, balance=0, age_balance=0).tolist() == [1] * 8

    def test_full_balance_shows_data_sets_equally_often(self):
        assert self.share(face_weights(self.datasets, self.ages, balance=1, age_balance=0)) == pytest.approx(0.5)

    def test_half_balance_lies_between(self):
        assert 0.25 < self.share(face_weights(self.datasets, self.ages, balance=0.5, age_balance=0)) < 0.5

    def test_age_balance_shows_age_groups_equally_often(self):
        ages = np.array([21.0, 22, 23, 24, 20, 21, 66, 67])
        weights = face_weights(np.zeros(8, int), ages, balance=0, age_balance=1)
        assert weights[:6].sum() == pytest.approx(weights[6:].sum())

    def test_age_balance_leaves_the_share_of_the_data_sets(self):
        ages = np.array([21.0, 22, 23, 24, 20, 66, 20, 70])
        assert self.share(face_weights(self.datasets, ages, balance=0, age_balance=1)) == pytest.approx(0.25)

    def test_a_rare_age_weighs_at_most_ten_times_the_median(self):
        ages = np.append(np.full(1000, 30.0), 90.0)
        weights = face_weights(np.zeros(1001, int), ages, balance=0, age_balance=1)
        assert weights[-1] / np.median(weights) == pytest.approx(10)

    def test_unknown_ages_get_a_finite_weight(self):
        weights = face_weights(np.zeros(3, int), np.array([np.nan, 3, 4]), balance=1, age_balance=1)
        assert (weights > 0).all()
