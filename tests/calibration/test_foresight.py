"""What more leaves may change: an exact urn, bounds that hold, and what must rise or fall."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.arrays import Doubles
from et_agent.calibration.foresight import Correction, Foresight, Standing
from et_agent.calibration.urn import beta_binomial
from et_agent.errors import CalibrationError
from tests.evaluation.conftest import table

PLAIN = Foresight(discount=0.2, concentration=0.5, noise=0.0, fork=0.5)
NOISY = PLAIN.model_copy(update={"noise": 2.0})


def by_share(shares: Doubles, leaves: float) -> Doubles:
    """A map that knows nothing but the share."""
    inside = np.clip(shares, 1e-9, 1 - 1e-9)
    return np.asarray(np.log(inside) - np.log1p(-inside))


def votes() -> st.SearchStrategy[tuple[int, ...]]:
    counts = st.lists(st.integers(1, 6), min_size=1, max_size=4)
    return counts.map(lambda found: tuple(sorted(found, reverse=True)))


def standing(counts: tuple[int, ...], to_come: int, none: int = 0, forks: int = 0) -> Standing:
    return Standing(tuple(map(float, counts)), float(sum(counts) + none), to_come, forks)


@given(st.integers(0, 30), st.floats(0, 20), st.floats(0.01, 20))
def test_an_urn_gives_a_distribution_with_its_mean(size: int, chosen: float, others: float) -> None:
    found = beta_binomial(size, chosen, others)
    assert found.shape == (size + 1,)
    assert found.min() >= 0
    assert found.sum() == pytest.approx(1.0)
    assert found @ np.arange(size + 1) == pytest.approx(size * chosen / (chosen + others))


def test_the_chances_are_those_of_drawing_every_leaf_by_itself() -> None:
    """All ways in which the urn of Pitman and Yor can give three more leaves."""
    d, c, start = PLAIN.discount, PLAIN.concentration, (2, 1)
    changed = 0.0
    for way in itertools.product(range(2 + 3), repeat=3):
        counts, chance = list(start), 1.0
        for answer in way:
            total = sum(counts) + c
            if answer < len(counts):
                chance *= (counts[answer] - d) / total
                counts[answer] += 1
            elif answer == len(counts):
                chance *= (c + d * len(counts)) / total
                counts.append(1)
            else:
                chance = 0.0
                break
        best = max(counts[1:])
        changed += chance * (1.0 if best > counts[0] else 0.5 if best == counts[0] else 0.0)
    # Several new answers count as one, which can only add to the chance.
    found = PLAIN.answer_raw(standing(start, 3))
    assert changed <= found + 1e-12
    assert found == pytest.approx(changed, abs=0.06)


@given(votes(), st.integers(0, 12), st.integers(0, 3), st.integers(0, 4), st.booleans(), st.data())
def test_what_is_foreseen_is_a_probability(
    counts: tuple[int, ...], to_come: int, none: int, forks: int, reached: bool, data: st.DataObject
) -> None:
    threshold = data.draw(st.floats(0, 1))
    where = standing(counts, to_come, none, forks)
    for model in (PLAIN, NOISY):
        assert 0.0 <= model.answer_changes(where) <= 1.0
        assert 0.0 <= model.action_raw(where, by_share, threshold, reached=reached) <= 1.0 + 1e-12
        now = data.draw(st.floats(0, 1))
        assert 0.0 <= model.action_changes(where, by_share, threshold, now) <= 1.0


@given(votes(), st.integers(0, 3), st.booleans(), st.floats(0, 1))
def test_nothing_changes_if_nothing_is_to_come(
    counts: tuple[int, ...], none: int, reached: bool, threshold: float
) -> None:
    where = standing(counts, 0, none)
    assert where.settled
    assert NOISY.answer_changes(where) == 0.0
    now = threshold if reached else threshold / 2
    assert NOISY.action_changes(where, by_share, threshold, now) == 0.0


@given(votes(), st.integers(1, 12), st.integers(0, 3))
def test_a_settled_answer_is_one_that_no_leaves_can_change(
    counts: tuple[int, ...], to_come: int, none: int
) -> None:
    where = standing(counts, to_come, none)
    first, second, *_ = (*counts, 0)
    assert where.settled == (second + to_come < first)
    assert (NOISY.answer_changes(where) == 0.0) == where.settled


@given(st.integers(2, 9), st.integers(1, 8), st.integers(1, 7))
def test_more_votes_for_the_leading_answer_change_less(
    leaves: int, to_come: int, threshold: int
) -> None:
    """By the margin: among as many leaves, the leading answer gains what the second one loses."""
    least = (leaves + 1) // 2
    splits = [(first, leaves - first) for first in range(least, leaves + 1)]
    where = [standing(tuple(one for one in split if one), to_come) for split in splits]
    answers = [PLAIN.answer_changes(one) for one in where]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(answers))
    line = threshold / 8
    lost = [NOISY.action_raw(one, by_share, line, reached=True) for one in where]
    assert all(a >= b - 1e-12 for a, b in itertools.pairwise(lost))


@given(votes(), st.integers(1, 8), st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_a_threshold_farther_away_is_crossed_less_often(
    counts: tuple[int, ...], to_come: int, threshold: float, farther: float
) -> None:
    where = standing(counts, to_come)
    near, far = (
        NOISY.action_raw(where, by_share, one, reached=False)
        for one in (threshold, threshold + farther)
    )
    assert far <= near + 1e-12
    near, far = (
        NOISY.action_raw(where, by_share, one, reached=True)
        for one in (threshold, threshold - min(farther, threshold))
    )
    assert far <= near + 1e-12


def test_forks_may_take_weight_from_the_leading_answer() -> None:
    assert standing((5,), 4).settled
    assert not standing((5,), 4, forks=1).settled
    assert standing((7,), 0, forks=3).settled
    assert standing((7,), 0, none=1, forks=1).largest_share == pytest.approx(1.0)
    assert standing((4, 4), 0).largest_share == pytest.approx(0.5)
    assert standing((2, 2), 4).largest_share == pytest.approx(6 / 8)


def test_weights_are_votes() -> None:
    leaves = table([0, 1, 0, -1], [0.25, 0.25, 0.25, 0.25])
    found = Standing.of(leaves, 3, 2)
    assert found == Standing((2.0, 1.0), 4.0, 3, 2, 1.0)
    uneven = Standing.of(table([0, 1], [0.9, 0.1]), 1)
    assert uneven.leaves == pytest.approx(1 / 0.82)
    assert sum(uneven.votes) == pytest.approx(uneven.leaves)


def test_without_an_answer_so_far_all_is_open() -> None:
    none = Standing((), 3.0, 2)
    assert PLAIN.answer_changes(none) > 0.999
    assert not none.settled


def test_a_correction_rises_with_what_votes_foresee_and_falls_with_the_margin() -> None:
    one = Correction(intercept=1.0, slope=0.5, margin=-2.0, done=-1.0)
    assert 0.0 < one.of(0.0) < one.of(0.1) < one.of(0.2) < one.of(1.0) < 1.0
    assert one.of(0.1, 2.0) < one.of(0.1, 1.0)
    assert Correction().of(0.3) == pytest.approx(0.3)


def test_it_is_kept_as_json(tmp_path: Path) -> None:
    path = NOISY.save(tmp_path / "foresight.json")
    assert Foresight.load(path) == NOISY
    path.write_text('{"schema_version": 99}')
    with pytest.raises(CalibrationError, match="fit it again"):
        Foresight.load(path)
    path.write_text("[")
    with pytest.raises(CalibrationError, match="cannot be read"):
        Foresight.load(path)
    path.write_text('{"schema_version": 1, "discount": 2}')
    with pytest.raises(CalibrationError, match="damaged"):
        Foresight.load(path)


def test_the_package_contains_one() -> None:
    found = Foresight.shipped()
    assert sum(found.questions.values()) > 500
