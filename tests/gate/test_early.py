import pytest

from et_agent import EntropyTree
from et_agent.gate import EARLY


def test_settings_that_stop_early() -> None:
    tree = EntropyTree(**EARLY)
    assert tree == EntropyTree(batch=4, stop_above=0.8, stop_below=0.34)
    with pytest.raises(KeyError, match="leaves"):
        EARLY["leaves"]


@pytest.mark.parametrize(
    ("former", "now"), [("wave", "batch"), ("settle", "stop_above"), ("give_up", "stop_below")]
)
def test_former_keys_work_and_warn_who_wrote_them(former: str, now: str) -> None:
    with pytest.warns(
        DeprecationWarning, match=f"{former} is deprecated and will be removed: use {now}"
    ) as told:
        assert EARLY[former] == EARLY[now]
    assert [one.filename for one in told] == [__file__]
    with pytest.warns(DeprecationWarning, match=f"{former} is deprecated .*use {now}"):
        assert EARLY.get(former) == EARLY[now]
    assert former in EARLY
    assert now in EARLY


def test_what_it_does_not_set() -> None:
    assert EARLY.get("leaves", 3) == 3
    assert "leaves" not in EARLY
    assert "least_worth" not in EARLY
