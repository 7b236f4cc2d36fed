import math

import pytest
from hypothesis import given

from et_agent.errors import InputError
from et_agent.uncertainty import answer_distribution

from .strategies import SomeLeaves, leaves_and_order, some_leaves


def test_a_distribution_worked_by_hand() -> None:
    found = answer_distribution(
        [0, 1, None, 0], [0.5, 0.2, 0.1, 0.2], [1, 2, 1, 1], labels=["72", "24"]
    )
    first, second, none = found.shares
    assert (first.index, first.answer, first.leaves) == (0, "72", 2)
    assert (second.index, second.answer, second.leaves) == (1, "24", 2)
    assert (none.index, none.answer, none.leaves) == (None, None, 1)
    assert [share.share for share in found.shares] == pytest.approx([0.7, 0.2, 0.1])
    assert [share.count_share for share in found.shares] == pytest.approx([0.4, 0.4, 0.2])
    assert found.top is first
    assert found.top_answer is first
    assert found.none_share == pytest.approx(0.1)


def test_none_may_lead_and_is_still_no_answer() -> None:
    found = answer_distribution([None, 0], [0.9, 0.1])
    assert found.top.answer is None
    assert found.top_answer is not None
    assert found.top_answer.answer == "0"
    assert answer_distribution([None], [1.0]).top_answer is None
    assert answer_distribution([0], [1.0]).none_share == 0


def test_ties_go_to_more_leaves_then_to_the_smaller_class_and_none_is_last() -> None:
    found = answer_distribution([None, 2, 1, 0, 0], [0.25, 0.25, 0.25, 0.125, 0.125])
    assert [share.index for share in found.shares] == [0, 1, 2, None]


def test_of_equal_shares_the_likelier_tokens_come_first() -> None:
    index, weights = [0, 1, 2, None], [0.3, 0.3, 0.1, 0.3]
    found = answer_distribution(index, weights, answer_logprobs=[-1.6, -0.4, -0.1])
    assert [share.index for share in found.shares] == [1, 0, None, 2]
    # What was not measured stands behind what was; what differs in noise alone is equal.
    found = answer_distribution(
        [0, 1, 2], [1 / 3] * 3, answer_logprobs=[math.nan, -9.0, -9.0 + 1e-7]
    )
    assert [share.index for share in found.shares] == [1, 2, 0]
    with pytest.raises(
        InputError, match="class 1 has no answer_logprobs; pass answer_logprobs for all 2 classes"
    ):
        answer_distribution([0, 1], [0.5, 0.5], answer_logprobs=[0.0])


def test_a_class_without_a_label_is_an_error() -> None:
    with pytest.raises(InputError, match="all 3 classes"):
        answer_distribution([2], [1.0], labels=["72"])


@given(some_leaves())
def test_both_kinds_of_share_sum_to_one(leaves: SomeLeaves) -> None:
    shares = answer_distribution(leaves.index, leaves.weights, leaves.counts).shares
    assert math.fsum(share.share for share in shares) == pytest.approx(1, abs=1e-12)
    assert math.fsum(share.count_share for share in shares) == pytest.approx(1, abs=1e-12)
    assert sum(share.leaves for share in shares) == sum(leaves.counts)
    assert all(0 <= share.share <= 1 + 1e-15 for share in shares)


@given(leaves_and_order())
def test_the_order_of_leaves_does_not_matter(pair: tuple[SomeLeaves, SomeLeaves]) -> None:
    one, other = (
        answer_distribution(leaves.index, leaves.weights, leaves.counts) for leaves in pair
    )
    assert one == other


def test_words_is_the_old_name_of_answer_logprobs() -> None:
    with pytest.warns(DeprecationWarning, match="is now answer_logprobs"):
        old = answer_distribution([0, 1], [0.5, 0.5], words=[-2.0, -1.0])
    assert old == answer_distribution([0, 1], [0.5, 0.5], answer_logprobs=[-2.0, -1.0])
    assert [share.index for share in old.shares] == [1, 0]
