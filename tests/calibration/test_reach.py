"""No tree is surer than the one that its number of leaves allows at most."""

import functools
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from et_agent.answers import AnswerKind
from et_agent.calibration import Calibrator, DataUsed, feature_row, features_of
from et_agent.calibration.fitting import CANDIDATES
from et_agent.calibration.pooled import Pooled
from et_agent.errors import CalibrationError
from et_agent.uncertainty.leaf_table import LeafTable
from tests.calibration.test_finding import SHIPPED
from tests.evaluation.conftest import table

KINDS = [kind.value for kind in AnswerKind if kind is not AnswerKind.AUTO] + ["json", "tool_call"]

SEEN = ("share", "support", "votes", "entropy", "certainty", "answer_logprob", "mass")
"""Enough for coefficients of either sign, and few enough to be fitted quickly."""


def some_tree(rng: np.random.Generator, most: int = 16) -> LeafTable:
    """A tree of any shape whose first leaf gives an answer."""
    leaves = int(rng.integers(1, most + 1))
    answer = rng.integers(-1, rng.integers(1, 5), leaves)
    answer[0] = 0
    _, classes = np.unique(answer[answer >= 0], return_inverse=True)
    answer[answer >= 0] = classes
    weight = rng.dirichlet(np.full(leaves, rng.choice([0.05, 1.0, 50.0])))
    unsure = rng.choice([0.0, 1e-3, 0.3, 3.0], size=4)
    return table(
        answer.tolist(),
        weight.tolist(),
        count=rng.integers(1, 4, leaves).tolist(),
        finish=rng.integers(0, 2, leaves).tolist(),
        tokens=rng.integers(1, 400, leaves).tolist(),
        log_prob=(-unsure[0] * 100 * rng.random(leaves)).tolist(),
        tail_log_prob=(-unsure[1] * rng.random(leaves)).tolist(),
        answer_log_prob=(-unsure[2] * rng.random(leaves)).tolist(),
        certainty=(20 * rng.random(leaves)).tolist(),
        rauq=(unsure[3] * rng.random(leaves)).tolist(),
    )


@functools.cache
def fitted(method: str) -> Calibrator:
    rng = np.random.default_rng(0)
    trees = [some_tree(rng) for _ in range(150)]
    rows = [feature_row(features_of(tree), str(rng.choice(KINDS[:4]))) for tree in trees]
    right = rng.random(150) < np.clip([tree.shares.max() for tree in trees], 0.1, 0.9)
    data = (DataUsed(name="made up", questions=150, right=int(right.sum())),)
    return Calibrator(method, features=SEEN, data=data).fit(rows, right)


CALIBRATORS: dict[str, Callable[[], Calibrator]] = {
    **{method: functools.partial(fitted, method) for method in CANDIDATES},
    **{
        f"general {parameters}": functools.partial(Calibrator.general, parameters)
        for parameters in (0, 135_000_000, 70_000_000_000)
    },
    "general, widened": lambda: Calibrator.general(500_000_000).widened(2.0),
    **{path.stem: functools.partial(Calibrator.load, path) for path in SHIPPED},
}


@pytest.mark.parametrize("name", CALIBRATORS)
@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), kind=st.sampled_from(KINDS))
def test_no_tree_exceeds_the_largest(name: str, seed: int, kind: str) -> None:
    calibrator, tree = CALIBRATORS[name](), some_tree(np.random.default_rng(seed))
    leaves = int(tree.count.sum())
    found = calibrator.confidence(features_of(tree, answerable=1.0), kind)
    value, low = calibrator.largest(leaves, kind)
    assert found.value <= value + 1e-12
    assert found.interval[0] <= low + 1e-12
    assert low <= value < 1.0
    if isinstance(calibrator.mapping_, Pooled):
        assert value <= 1.0 - 0.5 / (leaves + 1) + 1e-12


@pytest.mark.parametrize("leaves", [1, 4, 16])
@pytest.mark.parametrize("parameters", [0, 7_000_000_000])
def test_unanimous_leaves_of_certain_tokens_reach_it_on_the_general_map(
    leaves: int, parameters: int
) -> None:
    nothing = [0.0] * leaves
    sure = table([0] * leaves, log_prob=nothing, answer_log_prob=nothing)
    general = Calibrator.general(parameters)
    found = general.confidence(features_of(sure, answerable=1.0), "number")
    assert general.largest(leaves, "number") == pytest.approx((found.value, found.interval[0]))


def test_more_leaves_reach_more() -> None:
    reached = [Calibrator.general().largest(leaves, "text") for leaves in (1, 2, 4, 8, 16, 64)]
    assert reached == sorted(reached)
    assert reached[0][0] <= 0.75 < reached[-1][0]


def test_it_needs_a_fitted_calibrator_and_a_known_kind() -> None:
    with pytest.raises(CalibrationError, match="not fitted"):
        Calibrator().largest(8, "number")
    with pytest.raises(CalibrationError, match="no answer kind 'poem'"):
        Calibrator.general().largest(8, "poem")
