"""Features of trees to come are those that such trees have."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration import feature_columns, feature_row, features_of
from et_agent.calibration.foreseen import foreseen_rows
from tests.evaluation.conftest import table

KNOWN = ("share", "votes", "mass", "support", "ess", "margin", "entropy", "unanswered")


def columns(rows: np.ndarray, name: str) -> list[float]:
    found: list[float] = rows[:, feature_columns().index(name)].tolist()
    return found


@given(st.lists(st.sampled_from([0, 0, 1, 2, -1]), min_size=1, max_size=8))
def test_the_tree_itself_is_one_of_them(answers: list[int]) -> None:
    answers = [0, *answers]
    names = {one: at for at, one in enumerate(dict.fromkeys(a for a in answers if a >= 0))}
    leaves = table([names.get(one, -1) for one in answers])
    features = features_of(leaves)
    share = float(leaves.shares.max())
    found = foreseen_rows(features, "number", np.array([share]), float(len(leaves)))
    row = feature_row(features, "number")
    for name in feature_columns():
        at = feature_columns().index(name)
        assert found[0, at] == pytest.approx(row[at], abs=1e-6, nan_ok=True), name


def test_twice_the_leaves_with_the_same_votes() -> None:
    few, many = table([0, 1, 0, 2]), table([0, 1, 0, 2] * 2)
    found = foreseen_rows(features_of(few), "text", np.array([0.5]), 8.0)
    row = feature_row(features_of(many), "text")
    for name in KNOWN:
        at = feature_columns().index(name)
        assert found[0, at] == pytest.approx(row[at], abs=1e-6), name


def test_a_larger_share_is_never_a_worse_tree() -> None:
    found = foreseen_rows(features_of(table([0, 0, 1])), "number", np.linspace(0, 1, 9), 8.0)
    for name in ("share", "votes", "mass", "margin"):
        values = columns(found, name)
        assert values == sorted(values)
    assert all(map(math.isfinite, columns(found, "mass")))
