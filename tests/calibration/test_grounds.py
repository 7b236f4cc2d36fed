"""Features of an answer out of passages: bounded, finite, and more of each speaks for the answer."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration.features import FEATURES
from et_agent.calibration.grounds import PASSAGE_FEATURES, Grounds, least_likely, log_odds
from et_agent.calibration.prior import EXPECTED_OF_PASSAGES

chances = st.floats(0, 1)


def test_what_they_are() -> None:
    asked = (-0.5, -3.0, -0.25, -1.0, -4.0)
    found = Grounds(beside=0.5, chosen=(0.9, 0.6), stated=0.8, asked=asked).features()
    chosen = (math.log(9) + math.log(1.5)) / 2
    assert found == pytest.approx(
        {"beside": 0.5, "chosen": chosen, "stated": math.log(4), "asked": -4.0}
    )


def test_all_are_known_to_maps() -> None:
    assert set(Grounds(beside=0.5).features()) == set(PASSAGE_FEATURES)
    assert set(PASSAGE_FEATURES) < set(EXPECTED_OF_PASSAGES) < set(FEATURES)
    assert all(FEATURES[name].value is None for name in PASSAGE_FEATURES)


def test_what_was_not_read_is_nan() -> None:
    found = Grounds(beside=0.0).features()
    unread = {name for name, value in found.items() if math.isnan(value)}
    assert unread == {"chosen", "stated", "asked"}


@given(chances, chances, chances)
def test_they_are_bounded_and_more_doubt_is_never_more(
    first: float, less: float, more: float
) -> None:
    less, more = sorted((less, more))
    some, other = (
        Grounds(beside=0.5, chosen=(first, second)).features()["chosen"] for second in (less, more)
    )
    assert -10 < some <= other < 10


@given(st.lists(st.floats(-math.inf, 0), min_size=1), st.floats(-math.inf, 0))
def test_a_less_likely_word_is_never_more(log_probs: list[float], another: float) -> None:
    found = least_likely(log_probs)
    assert -math.inf < least_likely([*log_probs, another]) <= found <= 0


@pytest.mark.parametrize("probability", [None, math.nan])
def test_no_probability_has_no_odds(probability: float | None) -> None:
    assert math.isnan(log_odds(probability))


def test_odds_of_certainty_are_finite() -> None:
    assert log_odds(1.0) == pytest.approx(-log_odds(0.0))
    assert log_odds(1.0) < 10
