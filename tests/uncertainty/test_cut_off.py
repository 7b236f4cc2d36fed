import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.errors import InputError
from et_agent.uncertainty import check_leaves, cut_off_share

from .strategies import SomeLeaves, some_leaves


def test_values_worked_by_hand() -> None:
    assert cut_off_share([True, False, True], check_leaves([0, 0, 1], [0.5, 0.25, 0.25])) == 0.75
    assert cut_off_share(np.array([False, False]), check_leaves([0, 1], [0.5, 0.5])) == 0
    assert cut_off_share([True], check_leaves([None], [1.0])) == 1


def test_only_truth_values_count() -> None:
    with pytest.raises(InputError, match="True or False"):
        cut_off_share([1, 0], check_leaves([0, 1], [0.5, 0.5]))  # type: ignore[list-item]
    with pytest.raises(InputError, match="for each leaf"):
        cut_off_share([True], check_leaves([0, 1], [0.5, 0.5]))


@given(some_leaves(), st.data())
def test_a_mask_and_its_complement_make_one(leaves: SomeLeaves, data: st.DataObject) -> None:
    size = len(leaves.index)
    mask = data.draw(st.lists(st.booleans(), min_size=size, max_size=size))
    share = cut_off_share(mask, leaves.checked)
    assert 0 <= share <= 1
    rest = cut_off_share([not cut for cut in mask], leaves.checked)
    assert share + rest == pytest.approx(1, abs=1e-12)
