import pytest

from et_agent.errors import SettingsError
from et_agent.evaluation.items import sample
from tests.evaluation.conftest import sums


def test_a_sample_is_the_beginning_of_a_larger_one_whatever_the_order() -> None:
    items = sums(30)
    ten = sample(items, 10, seed=3)
    assert ten == sample(items[::-1], 20, seed=3)[:10]
    assert ten != sample(items, 10, seed=4)
    assert sorted(one.id for one in sample(items, None)) == sorted(one.id for one in items)


@pytest.mark.parametrize("count", [0, -1, 31])
def test_samples_that_cannot_be(count: int) -> None:
    with pytest.raises(SettingsError, match="choose 1 to 30"):
        sample(sums(30), count)
