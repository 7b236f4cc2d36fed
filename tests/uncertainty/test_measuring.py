import math

import numpy as np
import pytest

from et_agent.answers import Extracted
from et_agent.uncertainty.measuring import answer_tokens, rauq
from et_agent.uncertainty.similarity import mean_rouge_l, rouge_l


def says(raw: str, value: str | None = None) -> Extracted:
    return Extracted(raw=raw, value=raw if value is None else value, key=raw, found_by="boxed")


def test_the_tokens_of_an_answer() -> None:
    pieces = [b"It is ", b"\\box", b"ed{", b"1", b"2", b"}", b""]
    assert answer_tokens(pieces, says("12")) == slice(3, 5)
    assert answer_tokens(pieces, says("It")) == slice(0, 1)
    assert answer_tokens(pieces, says("13")) is None
    assert answer_tokens(pieces, None) is None
    assert answer_tokens([b"12 or ", b"12"], says("12")) == slice(1, 2)
    euro = "€".encode()
    assert answer_tokens([b"a", euro[:1], euro[1:], b"b"], says("€")) == slice(1, 3)


def test_the_box_comes_before_later_words() -> None:
    pieces = [b"{", b"5", b"}", b" of", b" the", b" 15", b" cats"]
    assert answer_tokens(pieces, says("5")) == slice(1, 2)


def test_of_a_line_only_the_value() -> None:
    pieces = [b"The answer is", b" 72", b" clips", b" in all"]
    assert answer_tokens(pieces, says(" 72 clips in all", "72")) == slice(1, 2)
    assert answer_tokens(pieces, says(" 72 clips in all", "seventy-two")) == slice(1, 4)


def test_the_value_is_a_word_of_its_own() -> None:
    assert answer_tokens([b"{", b"B", b")", b" B", b"onn", b"}"], says("B) Bonn", "B")) == slice(
        1, 2
    )
    distance = [b"{", b"5", b" km", b" in ", b"15", b" h", b"}"]
    assert answer_tokens(distance, says("5 km in 15 h", "5")) == slice(1, 2)
    assert answer_tokens([b"{", b"1.5", b" or ", b"1", b"}"], says("1.5 or 1", "1")) == slice(3, 4)
    line = [b"So ", b"8", b" of the ", b"18", b" plus ", b"8"]
    prose = Extracted(raw="8 of the 18 plus 8", value="8", key=8, found_by="last line")
    assert answer_tokens(line, prose) == slice(5, 6)


def test_rauq_by_hand() -> None:
    """Two layers of two heads; in each the head that looks back most is taken."""
    log_probs = np.log([0.5, 0.8, 0.4, 1.0])
    near = np.zeros((4, 2, 2, 2))
    near[:, 0, 0, 0] = 0.9
    near[:, 0, 1, 0] = 0.1
    near[:, 1, 0, 0] = 0.2
    near[:, 1, 1, 0] = 0.6
    near[0] = np.nan  # the query before the first token belongs to the prompt
    found = []
    for attention in (0.9, 0.6):
        first = 0.5
        second = 0.5 * 0.8 + 0.5 * attention * first
        third = 0.5 * 0.4 + 0.5 * attention * second
        found.append(-(math.log(first) + math.log(second) + math.log(third)) / 3)
    assert rauq(log_probs, near) == pytest.approx(max(found))
    assert math.isnan(rauq(log_probs[:1], near[:1]))


def test_rouge_l_by_hand() -> None:
    assert rouge_l([1, 2, 3, 4], [1, 3, 4, 5]) == pytest.approx(2 * 3 / 8)
    assert rouge_l([], []) == 1.0
    assert rouge_l([1], []) == 0.0
    assert rouge_l([7, 7, 7], [7, 7]) == pytest.approx(2 * 2 / 5)


def test_rouge_l_against_dynamic_programming() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        one = rng.integers(0, 4, rng.integers(1, 30)).tolist()
        other = rng.integers(0, 4, rng.integers(1, 30)).tolist()
        row = [0] * (len(other) + 1)
        for token in one:
            before = row[:]
            for at, right in enumerate(other):
                row[at + 1] = before[at] + 1 if token == right else max(before[at + 1], row[at])
        assert rouge_l(one, other) == pytest.approx(2 * row[-1] / (len(one) + len(other)))


def test_codes_count_as_equal_paths() -> None:
    assert mean_rouge_l([[1, 2]], [1]) is None
    assert mean_rouge_l([[1, 2]], [3]) == 1.0
    assert mean_rouge_l([[1, 2], [3, 4]], [2, 1]) == pytest.approx(1 / 3)
