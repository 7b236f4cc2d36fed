"""The text that is most like all others."""

import numpy as np
import pytest

from et_agent.uncertainty.medoid import medoid


def test_it_shares_most_words_with_the_others() -> None:
    texts = ["red green blue", "red green white", "black pink brown"]
    assert medoid(texts, np.full(3, 1 / 3)) == 0
    assert medoid(texts, np.array([0.1, 0.6, 0.3])) == 1
    assert medoid(texts, np.array([0.1, 0.1, 0.8])) == 2


def test_copies_count_by_their_weight_alone() -> None:
    # Two near copies of together less weight than another text do not win by being two.
    texts = ["red green blue white", "red green blue black", "pink brown grey orange"]
    assert medoid(texts, np.array([0.2, 0.2, 0.6])) == 2


@pytest.mark.parametrize("texts", [["one"], ["same words", "same words"], ["", ""]])
def test_of_equals_the_first(texts: list[str]) -> None:
    assert medoid(texts, np.full(len(texts), 1 / len(texts))) == 0
