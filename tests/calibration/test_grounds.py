"""Features of an answer out of passages: bounded, finite, and more of each speaks for the answer."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration.features import FEATURES
from et_agent.calibration.grounds import FROM_PASSAGES, Grounds, log_odds
from et_agent.calibration.prior import FROM_PASSAGES as EXPECTED

GROUNDS = Grounds(
    contained=True,
    beside=0.5,
    declined=0.25,
    leaves=8,
    with_passages=(-0.1, -0.3),
    without=(-2.1, -4.3),
    absent=(-3.0, -0.5),
    supported=0.8,
    chosen=(0.9, 0.6),
)
chances = st.floats(0, 1)
logs = st.lists(st.floats(-200, 0), min_size=1, max_size=4).map(tuple)


def test_what_they_are() -> None:
    found = GROUNDS.features()
    assert found == pytest.approx(
        {
            "contained": 1.0,
            "beside": 0.5,
            "undeclined": math.log(6.5 / 2.5),
            "gain": 3.0,
            "over_absence": 3.1,
            "supported": math.log(4),
            "chosen": (math.log(9) + math.log(1.5)) / 2,
        }
    )


def test_all_are_known_to_maps() -> None:
    assert set(GROUNDS.features()) == set(FROM_PASSAGES)
    assert set(FROM_PASSAGES) <= set(FEATURES)
    assert set(EXPECTED) <= set(FEATURES)
    assert all(FEATURES[name].value is None for name in FROM_PASSAGES)


def test_what_was_not_read_is_nan() -> None:
    found = Grounds(contained=False, beside=0.0, declined=0.0, leaves=8).features()
    assert {name for name, value in found.items() if math.isnan(value)} == {
        "gain",
        "over_absence",
        "supported",
        "chosen",
    }


@given(chances, logs, logs, logs, chances, chances, chances, st.integers(1, 64))
def test_they_are_finite_and_bounded(
    declined: float,
    with_passages: tuple[float, ...],
    without: tuple[float, ...],
    absent: tuple[float, ...],
    supported: float,
    first: float,
    second: float,
    leaves: int,
) -> None:
    found = Grounds(
        contained=True,
        beside=0.5,
        declined=declined,
        leaves=leaves,
        with_passages=with_passages,
        without=without,
        absent=absent,
        supported=supported,
        chosen=(first, second),
    ).features()
    assert all(abs(value) <= 20 for value in found.values())


@given(chances, chances)
def test_more_doubt_is_never_more(less: float, more: float) -> None:
    less, more = sorted((less, more))
    some, other = (replace(GROUNDS, declined=one).features() for one in (less, more))
    assert other["undeclined"] <= some["undeclined"]
    some, other = (replace(GROUNDS, supported=one).features() for one in (less, more))
    assert some["supported"] <= other["supported"]


@pytest.mark.parametrize("probability", [None, math.nan])
def test_no_probability_has_no_odds(probability: float | None) -> None:
    assert math.isnan(log_odds(probability))


def test_odds_of_certainty_are_finite() -> None:
    assert log_odds(1.0) == pytest.approx(-log_odds(0.0))
    assert log_odds(1.0) < 10
