"""How much of one text another has."""

import pytest

from et_agent.answers.overlap import overlap, share_held, stems


def test_beginnings_of_words_and_whole_numbers() -> None:
    assert stems("The interpolation of 1,390,368 km") == {"inter", "1390368"}
    assert stems("interpolate it", least=4) == {"inter"}
    assert "1390368" not in stems("1390369")


def test_scripts_without_spaces_have_pairs() -> None:
    assert stems("巴黎是") == {"巴黎", "黎是"}
    assert share_held(stems("巴黎是首都"), stems("法国的首都是巴黎")) == pytest.approx(2 / 4)


def test_overlap_and_share() -> None:
    one, other = stems("red green blue"), stems("green blue yellow white")
    assert overlap(one, other) == pytest.approx(4 / 7)
    assert share_held(one, other) == pytest.approx(2 / 3)
    assert overlap(frozenset(), frozenset()) == share_held(frozenset(), other) == 1.0
    assert overlap(one, frozenset()) == share_held(one, frozenset()) == 0.0
