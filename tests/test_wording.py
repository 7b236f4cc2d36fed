import numpy as np
import pytest

from et_agent.wording import counted, noun


@pytest.mark.parametrize(
    ("count", "told"),
    [
        (0, "0 runs"),
        (1, "1 run"),
        (2, "2 runs"),
        (2000, "2,000 runs"),
        ("ab", "2 runs"),
        (np.int64(1), "1 run"),
    ],
)
def test_a_number_and_its_noun_agree(count: int | str, told: str) -> None:
    assert counted(count, "run") == told


def test_a_plural_of_its_own() -> None:
    assert counted(["a"], "leaf", "leaves") == "1 leaf"
    assert counted(16, "leaf", "leaves") == "16 leaves"
    assert noun(1.0, "is", "are") == "is"
