import math

import numpy as np
import pytest
import scipy.stats

from et_agent.errors import SettingsError
from et_agent.evaluation.bootstrap import (
    Interval,
    Resamples,
    interval,
    pooled,
    resampled_means,
)


def test_the_first_row_is_the_sample_itself() -> None:
    drawn = Resamples(7, resamples=50, seed=1)
    assert drawn.counts.shape == (51, 7)
    assert drawn.counts[0].tolist() == [1.0] * 7
    assert (drawn.counts.sum(axis=1) == 7).all()
    assert np.array_equal(drawn.counts, Resamples(7, resamples=50, seed=1).counts)


def test_counts_are_shared_and_not_to_be_written() -> None:
    counts = Resamples(5, resamples=10).counts
    assert Resamples(5, resamples=10).counts is counts
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 2.0


def test_an_interval_covers_a_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for trial in range(200):
        values = (rng.random(80) < 0.7).astype(float)
        counts = Resamples(80, resamples=400, seed=trial).counts
        found = interval(counts @ values / 80, 80)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.7 <= found.high
    assert 0.88 <= covered / 200 <= 0.99


def test_what_is_undefined_has_no_limits() -> None:
    assert interval(np.array([math.nan, 0.5, 0.6]), 3) == Interval(None, None, None, 3)
    assert interval(np.array([0.5, 0.5, math.nan]), 3) == Interval(0.5, None, None, 3)


def test_a_difference_is_real_when_zero_lies_outside() -> None:
    assert Interval(0.1, 0.05, 0.2, 9).excludes_zero
    assert Interval(-0.1, -0.2, -0.05, 9).excludes_zero
    assert not Interval(0.1, -0.05, 0.2, 9).excludes_zero
    assert not Interval(0.1, None, None, 9).excludes_zero


def test_pooling_takes_every_set_alike() -> None:
    one, other = Resamples(5, seed=0).counts, Resamples(50, seed=1).counts
    found = pooled([one @ np.ones(5), 3.0 * (other @ np.ones(50)) / 10], 55)
    assert found == Interval(10.0, 10.0, 10.0, 55)


def test_a_basic_interval_takes_off_what_resampling_adds() -> None:
    found = interval(np.array([0.1, *np.linspace(0.1, 0.2, 101)]), 10, basic=True)
    assert found.low == pytest.approx(0.0025)
    assert found.high == pytest.approx(0.0975)
    assert interval(np.array([0.01, *np.linspace(0.0, 0.5, 101)]), 10, basic=True).low == 0.0


def test_groups_are_drawn_as_a_whole() -> None:
    groups = ["b", "a", "b", "c", "a", "b"]
    counts = Resamples.of_groups(groups, resamples=50).counts
    assert counts.shape == (51, 6)
    assert counts[0].tolist() == [1.0] * 6
    for name in "abc":
        drawn = counts[:, [at for at, one in enumerate(groups) if one == name]]
        assert (drawn == drawn[:, :1]).all()
    assert len(set(counts.sum(axis=1))) > 1, "groups differ in size"
    alone = Resamples.of_groups(range(6), resamples=50).counts
    assert (alone == Resamples(6, resamples=50).counts).all()
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 2.0


def test_an_interval_of_groups_covers_where_questions_of_a_group_are_alike() -> None:
    generator = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5)
    counts = Resamples.of_groups(groups.tolist(), resamples=400).counts
    plain = Resamples(groups.size, resamples=400).counts
    covered = {"groups": 0, "questions": 0}
    for _ in range(200):
        values = generator.normal(size=40)[groups]
        for name, drawn in (("groups", counts), ("questions", plain)):
            found = interval(resampled_means(values, drawn), groups.size)
            assert found.low is not None
            assert found.high is not None
            covered[name] += found.low <= 0.0 <= found.high
    assert covered["groups"] > 0.88 * 200
    assert covered["questions"] < 0.8 * 200


def test_nothing_to_resample() -> None:
    with pytest.raises(SettingsError):
        Resamples(0)


def test_an_exact_interval_rests_on_groups_that_were_drawn_together() -> None:
    counts = Resamples.of_groups([at // 4 for at in range(40)], resamples=50).counts
    values = resampled_means(np.zeros(40), counts)
    found = interval(values, 40, proportion=True, groups=10)
    assert found.high == interval(values, 10, proportion=True).high
    assert found.questions == 40
    some = resampled_means(np.arange(40) % 3 == 0, counts)
    assert interval(some, 40, proportion=True, groups=10) == interval(some, 40)


def test_a_proportion_at_a_bound_has_its_exact_interval() -> None:
    counts = Resamples(59, resamples=50).counts
    none = interval(counts @ np.zeros(59) / 59, 59, proportion=True)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(scipy.stats.beta.ppf(0.975, 1, 59))
    every = interval(counts @ np.ones(59) / 59, 59, proportion=True, level=0.9)
    assert (every.value, every.high) == (1.0, 1.0)
    assert every.low == pytest.approx(scipy.stats.beta.ppf(0.05, 59, 1))
    some = np.eye(59)[0]
    drawn = counts @ some / 59
    assert interval(drawn, 59, proportion=True) == interval(drawn, 59)
    same = interval(np.zeros(51), 59)
    assert (same.low, same.high) == (0.0, 0.0), "a difference of 0 stays what it is"
