from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration import feature_columns, feature_row, features_of
from et_agent.calibration.evidence import (
    Domain,
    Limit,
    design_effect,
    domain_of,
    limits_of,
    wilson,
    within_limits,
    within_votes,
)
from et_agent.calibration.features import GUESS
from et_agent.errors import InputError
from tests.evaluation.conftest import table

COLUMNS = feature_columns()
probability = st.floats(0, 1)


@given(probability, st.floats(1, 1e6))
def test_wilsons_interval_holds_the_share_and_narrows(share: float, questions: float) -> None:
    low, high = wilson(share, questions)
    assert 0 <= low <= share + 1e-12
    assert share - 1e-12 <= high <= 1
    wider = wilson(share, questions / 2)
    assert high - low <= wider[1] - wider[0] + 1e-9


def test_wilsons_interval_as_published() -> None:
    """One-sided 95 % of 10 right in 10: 10 / (10 + 1.645^2) (Brown, Cai & DasGupta 2001)."""
    assert wilson(1.0, 10)[0] == pytest.approx(10 / (10 + 1.6449**2))


@given(
    st.lists(st.tuples(probability, st.booleans()), min_size=1, max_size=40),
    st.lists(probability, min_size=2, max_size=10),
    st.booleans(),
)
def test_limits_keep_the_order_and_never_raise(
    fitted: list[tuple[float, bool]], asked: list[float], wary: bool
) -> None:
    found = np.array([one for one, _ in fitted])
    right = np.array([float(one) for _, one in fitted])
    limits = limits_of(found, right, np.ones(found.size), wary=wary)
    before = np.sort(np.array(asked))
    after = within_limits(limits, before)
    assert (after <= before).all()
    assert (np.diff(after) >= 0).all()


def test_a_level_that_no_question_reached_is_not_passed() -> None:
    found = np.full(50, 0.55)
    limits = limits_of(found, np.repeat([1.0, 0.0], [30, 20]), np.ones(50))
    assert within_limits(limits, np.array([0.99]))[0] == pytest.approx(wilson(0.6, 50)[1])
    one_more = tuple(limit.with_one(0.99, right=True) for limit in limits)
    assert within_limits(one_more, np.array([0.99]))[0] == pytest.approx(0.99)
    bad = limits_of(np.full(200, 0.96), np.repeat([1.0, 0.0], [20, 180]), np.ones(200))
    assert within_limits(bad, np.array([0.97]))[0] == 0.5, "below which nothing is counted"
    assert Limit(above=0.9, questions=0, right=0).most == 0.0
    assert within_limits((), np.array([0.97]))[0] == 0.97


def test_wary_limits_allow_the_lower_end_and_more_after_more_questions() -> None:
    found, right = np.full(30, 0.85), np.repeat([1.0, 0.0], [27, 3])
    few = limits_of(found, right, np.ones(30), wary=True)
    sure = np.array([0.99])
    assert within_limits(few, sure)[0] == pytest.approx(wilson(0.9, 30)[0])
    assert within_limits(limits_of(found, right, np.ones(30)), sure)[0] > 0.9
    own = limits_of(np.full(300, 0.85), np.repeat([1.0, 0.0], [270, 30]), np.ones(300))
    more = tuple(map(Limit.plus, few, own))
    assert within_limits(more, sure)[0] == pytest.approx(wilson(0.9, 330)[0])
    bounded = float(within_limits(few, sure)[0])
    one_more = tuple(limit.with_one(bounded, right=True) for limit in few)
    assert within_limits(one_more, sure)[0] == pytest.approx(wilson(28 / 31, 31)[0])


def test_questions_of_one_source_that_go_wrong_together_count_as_fewer() -> None:
    """Two of four sources all right, two all wrong: four questions' worth, less one for the mean."""
    clusters, ones = np.repeat(np.arange(4), 10), np.ones(40)
    alike = np.repeat([1.0, 0.0], 20)
    assert design_effect(alike, ones, clusters) == pytest.approx(10 * 4 / 3)
    assert design_effect(alike, ones / 2, clusters) == pytest.approx(5 * 4 / 3)
    even = np.tile([1.0, 0.0], 20)
    assert design_effect(even, ones, clusters) == 1.0, "no better than independent ones"
    assert design_effect(alike, ones, np.zeros(40, np.int64)) == np.inf, (
        "one tells nothing of others"
    )
    assert design_effect(ones, ones, clusters) == design_effect(ones, 0 * ones, clusters) == 1.0


@given(st.integers(1, 24), st.data())
def test_votes_bound_it(leaves: int, data: st.DataObject) -> None:
    answers = data.draw(st.lists(st.integers(-1, 3), min_size=leaves, max_size=leaves))
    known = sorted({one for one in answers if one >= 0})
    if not known:
        return
    numbered = [known.index(one) if one >= 0 else -1 for one in answers]
    mixed = table(numbered)
    row = feature_row(features_of(mixed), "number")[None]
    unanimous = feature_row(features_of(table([0] * leaves)), "number")[None]
    sure = np.array([1.0])
    assert within_votes(row, sure) <= within_votes(unanimous, sure)
    if mixed.shares.max() < 0.5:
        assert within_votes(row, sure)[0] <= 0.6
    assert within_votes(unanimous, sure)[0] == pytest.approx(1 - 0.5 / (leaves + 1))


def test_the_likeliest_option_is_no_worse_than_a_guess() -> None:
    reading = {"share": 0.1, "votes": np.log1p(1.1), GUESS: 0.5}
    rows = np.array([feature_row({**reading, GUESS: guess}, "choice") for guess in (0.5, None)])
    assert within_votes(rows, np.array([0.2, 0.2])).tolist() == [0.5, 0.2]
    assert within_votes(rows, np.array([0.6, 0.6])).tolist() == [0.6, 0.6]


def test_trees_of_another_sort_are_outside() -> None:
    rng = np.random.default_rng(0)
    rows = np.zeros((200, len(COLUMNS)))
    rows[:, COLUMNS.index("length")] = rng.normal(5.0, 0.3, 200)
    rows[:, COLUMNS.index("token_probability")] = rng.normal(0.85, 0.05, 200)
    domain = domain_of(rows)
    assert domain is not None
    assert np.mean(domain.distance(rows) <= 1 / 1.5) == pytest.approx(0.99, abs=0.006)
    short = rows[:1].copy()
    short[:, COLUMNS.index("length")] = np.log(2.0)
    assert domain.distance(short)[0] > 2.0
    assert domain_of(rows[:40]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"features": ("zzz",), "mean": (0.0,), "precision": ((1.0,),)},
        {"features": (), "mean": (), "precision": ()},
        {"precision": ((1.0,),)},
        {"mean": (0.0,)},
    ],
)
def test_an_unsound_domain_is_refused(changes: dict[str, Any]) -> None:
    sound: dict[str, Any] = {
        "features": ("share", "votes"),
        "mean": (0.0, 0.0),
        "precision": ((1.0, 0.0), (0.0, 1.0)),
        "largest": 1.0,
    }
    Domain(**sound)
    with pytest.raises(InputError):
        Domain(**{**sound, **changes})
