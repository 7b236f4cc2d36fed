import math

import pytest
from hypothesis import given

from et_agent.errors import InputError
from et_agent.uncertainty import answer_distribution, check_leaves

from .strategies import SomeLeaves, leaves_and_order, some_leaves


def test_a_distribution_worked_by_hand() -> None:
    leaves = check_leaves([0, 1, None, 0], [0.5, 0.2, 0.1, 0.2], [1, 2, 1, 1])
    first, second, none = answer_distribution(leaves, labels=["72", "24"])
    assert (first.answer, first.leaves) == ("72", 2)
    assert (second.answer, second.leaves) == ("24", 2)
    assert (none.answer, none.leaves) == (None, 1)
    assert [one.share for one in (first, second, none)] == pytest.approx([0.7, 0.2, 0.1])
    assert [one.share_by_count for one in (first, second, none)] == pytest.approx([0.4, 0.4, 0.2])


def test_none_may_lead_and_is_still_no_answer() -> None:
    first, second = answer_distribution(check_leaves([None, 0], [0.9, 0.1]))
    assert (first.answer, second.answer) == (None, "0")
    (alone,) = answer_distribution(check_leaves([None], [1.0]))
    assert alone.answer is None


def test_ties_go_to_more_leaves_then_to_the_smaller_class_and_none_is_last() -> None:
    leaves = check_leaves([None, 2, 1, 0, 0], [0.25, 0.25, 0.25, 0.125, 0.125])
    assert [one.answer for one in answer_distribution(leaves)] == ["0", "1", "2", None]


def test_of_equal_shares_the_likelier_tokens_come_first() -> None:
    leaves = check_leaves([0, 1, 2, None], [0.3, 0.3, 0.1, 0.3])
    found = answer_distribution(leaves, answer_logprobs=[-1.6, -0.4, -0.1])
    assert [one.answer for one in found] == ["1", "0", None, "2"]
    # What was not measured stands behind what was; what differs in noise alone is equal.
    leaves = check_leaves([0, 1, 2], [1 / 3] * 3)
    found = answer_distribution(leaves, answer_logprobs=[math.nan, -9.0, -9.0 + 1e-7])
    assert [one.answer for one in found] == ["1", "2", "0"]
    with pytest.raises(InputError, match="class 1 has no answer_logprobs; pass"):
        answer_distribution(check_leaves([0, 1], [0.5, 0.5]), answer_logprobs=[0.0])


def test_a_class_without_a_label_is_an_error() -> None:
    with pytest.raises(InputError, match="all 3 classes"):
        answer_distribution(check_leaves([2], [1.0]), labels=["72"])


@given(some_leaves())
def test_both_kinds_of_share_sum_to_one(leaves: SomeLeaves) -> None:
    shares = answer_distribution(leaves.checked)
    assert math.fsum(one.share for one in shares) == pytest.approx(1, abs=1e-12)
    assert math.fsum(one.share_by_count for one in shares) == pytest.approx(1, abs=1e-12)
    assert sum(one.leaves for one in shares) == sum(leaves.counts)
    assert all(0 <= one.share <= 1 + 1e-15 for one in shares)


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = pair
    assert answer_distribution(one.checked) == answer_distribution(other.checked)


def test_words_is_the_old_name_of_answer_logprobs() -> None:
    leaves = check_leaves([0, 1], [0.5, 0.5])
    with pytest.warns(DeprecationWarning, match="will be removed: use answer_logprobs"):
        old = answer_distribution(leaves, words=[-2.0, -1.0])
    assert old == answer_distribution(leaves, answer_logprobs=[-2.0, -1.0])
    assert [one.answer for one in old] == ["1", "0"]
