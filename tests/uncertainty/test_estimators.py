"""Hand-worked values of the estimators; their signs are tested with the summaries."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from et_agent.calibration.features import features_of
from et_agent.errors import SettingsError
from et_agent.uncertainty.estimators import ESTIMATORS, find_estimator
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import windows
from tests.evaluation.conftest import table

LEAVES = table(
    [0, 0, 1, -1],
    [0.4, 0.2, 0.3, 0.1],
    log_prob=[-2.0, -4.0, -3.0, -8.0],
    tokens=[10, 20, 10, 20],
    answer_log_prob=[math.log(0.9), math.log(0.5), math.log(0.8), math.nan],
    answer_margin=[0.9, 0.3, 0.5, math.nan],
    certainty=[12.0, 9.0, 10.0, 5.0],
    finish=[0, 0, 0, 1],
)


def score(name: str, leaves: LeafTable = LEAVES, extras: Mapping[str, Any] | None = None) -> float:
    value = ESTIMATORS[name].score(leaves, extras or {})
    assert value is not None
    return value


def entropy(*shares: float) -> float:
    return -sum(p * math.log(p) for p in shares)


def test_votes() -> None:
    assert score("top-share") == pytest.approx(0.6)
    assert score("top-share-count") == pytest.approx(0.5)
    assert score("margin") == pytest.approx(0.3)
    assert score("et-pe") == pytest.approx(entropy(0.6, 0.3, 0.1))
    assert score("et-pe-count") == pytest.approx(entropy(0.5, 0.25, 0.25))


def test_the_count_vote_has_its_own_winner() -> None:
    leaves = table([0, 1, 1], [0.6, 0.2, 0.2])
    assert score("top-share", leaves) == pytest.approx(0.6)
    assert score("top-share-count", leaves) == pytest.approx(2 / 3)


def test_sequence_entropies() -> None:
    assert score("pe") == pytest.approx(0.4 * 2 + 0.2 * 4 + 0.3 * 3 + 0.1 * 8)
    assert score("ln-pe") == pytest.approx(0.4 * 0.2 + 0.2 * 0.2 + 0.3 * 0.3 + 0.1 * 0.4)


def test_semantic_entropy() -> None:
    masses = np.exp([-0.2, -0.2, -0.3, -0.4])
    shares = np.array([masses[0] + masses[1], masses[2], masses[3]]) / masses.sum()
    assert score("semantic-entropy") == pytest.approx(entropy(*shares))
    merged = {"semantic-classes": [0, 0]}
    joined = np.array([masses[:3].sum(), masses[3]]) / masses.sum()
    assert score("semantic-entropy-entailed", extras=merged) == pytest.approx(entropy(*joined))


def test_means_over_the_leaves_of_the_heaviest_answer() -> None:
    assert score("cot-margin") == pytest.approx((0.4 * 0.9 + 0.2 * 0.3) / 0.6)
    assert score("self-certainty") == pytest.approx((0.4 * 12 + 0.2 * 9) / 0.6)


def test_the_mass_of_the_answer() -> None:
    assert score("answer-mass") == pytest.approx(0.4 * 0.9 + 0.2 * 0.5)
    blind = table([0, 0], answer_log_prob=[math.nan, math.nan])
    assert ESTIMATORS["answer-mass"].score(blind, {}) is None


def test_what_did_not_end() -> None:
    assert score("cut-off") == pytest.approx(0.1)


def test_windows_of_token_confidence() -> None:
    """DeepConf: windows of 64 tokens; here the last 36 of 100 tokens are worse."""
    found = windows(np.array([20.0] * 64 + [10.0] * 36))
    assert found["tail_confidence"] == pytest.approx((28 * 20 + 36 * 10) / 64)
    assert found["lowest_confidence"] == pytest.approx((28 * 20 + 36 * 10) / 64)
    # 37 windows; the lowest tenth are the last four.
    lowest = [((28 + k) * 20 + (36 - k) * 10) / 64 for k in range(4)]
    assert found["bottom_confidence"] == pytest.approx(np.mean(lowest))
    short = windows(np.array([3.0, 5.0]))
    assert set(short.values()) == {4.0}
    assert all(math.isnan(value) for value in windows(np.array([])).values())


def test_what_was_not_measured_is_never_certain() -> None:
    unknown = LEAVES.about(0, log_prob=np.full(4, math.nan), answer_log_prob=np.full(4, math.nan))
    for name in ("pe", "ln-pe", "perplexity", "best-path", "semantic-entropy", "answer-mass"):
        assert ESTIMATORS[name].confidence(unknown, {}) is None, name
    found = features_of(unknown)
    for name in ("log_prob", "answer_logprob", "mass", "token_probability"):
        assert found[name] is None, name


def test_every_estimator_names_its_source() -> None:
    for one in ESTIMATORS.values():
        assert one.source
        assert find_estimator(one.name) is one
    with pytest.raises(SettingsError, match="there is no estimator 'luck'"):
        find_estimator("luck")
