"""Against scikit-learn, and against curves worked out answer by answer."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn

from et_agent.arrays import Doubles
from et_agent.errors import DataError
from et_agent.evaluation import metrics
from et_agent.evaluation.metrics import METRICS, Metric, value_of

Answers = tuple[list[bool], list[float]]


@st.composite
def answers(draw: st.DrawFn, *, both: bool = True) -> Answers:
    size = draw(st.integers(2, 25))
    right = draw(st.lists(st.booleans(), min_size=size, max_size=size))
    if both:
        right[0], right[1] = True, False
    # Few levels, so that there are ties.
    scores = draw(
        st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=size, max_size=size)
    )
    return right, scores


@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        (metrics.auroc, sklearn.roc_auc_score),
        (metrics.auprc, sklearn.average_precision_score),
        (metrics.brier, sklearn.brier_score_loss),
    ],
)
def test_equals_scikit_learn(metric: Metric, theirs: Callable[..., float]) -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        right = rng.random(40) < 0.6
        scores = np.round(np.clip(0.5 * right + rng.random(40) * 0.7, 0, 1), 1)
        assert value_of(metric, right, scores) == pytest.approx(float(theirs(right, scores)))


@given(answers())
def test_resampled_values_equal_those_of_the_repeated_questions(found: Answers) -> None:
    right, scores = np.array(found[0]), np.array(found[1])
    rng = np.random.default_rng(0)
    counts = rng.multinomial(right.size, np.full(right.size, 1 / right.size), size=5).astype(float)
    for name, metric in METRICS.items():
        if name == "ECE":  # its bins are those of the whole sample
            continue
        values = metric(right, scores, counts)
        for value, times in zip(values, counts.astype(int), strict=True):
            alone = value_of(metric, np.repeat(right, times), np.repeat(scores, times))
            assert (math.nan if alone is None else alone) == pytest.approx(
                float(value), nan_ok=True
            )


@pytest.mark.parametrize("resamples", [0, 1, 200])
def test_many_resamples_are_worked_on_in_parts(
    monkeypatch: pytest.MonkeyPatch, resamples: int
) -> None:
    rng = np.random.default_rng(3)
    right, scores = rng.random(50) < 0.5, np.round(rng.random(50), 1)
    counts = rng.multinomial(50, np.full(50, 1 / 50), size=resamples).astype(float)
    whole = metrics.all_metrics(right, scores, counts, probability=True)
    monkeypatch.setattr(metrics, "_CACHED", 50 * 7)
    parts = metrics.all_metrics(right, scores, counts, probability=True)
    assert set(parts) == set(METRICS)
    for name, values in whole.items():
        assert values.shape == (resamples,)
        np.testing.assert_array_equal(parts[name], values)
        np.testing.assert_array_equal(METRICS[name](right, scores, counts), values)


def _expected_aurc(right: list[bool], scores: list[float]) -> float:
    """Mean over all orders of ties."""
    places = sorted(range(len(right)), key=lambda at: -scores[at])
    groups = [list(g) for _, g in itertools.groupby(places, key=lambda at: scores[at])]
    areas = []
    for order in itertools.product(*(itertools.permutations(group) for group in groups)):
        wrong, risks = 0, []
        for number, at in enumerate(itertools.chain(*order), 1):
            wrong += not right[at]
            risks.append(wrong / number)
        areas.append(sum(risks) / len(risks))
    return sum(areas) / len(areas)


@given(answers().filter(lambda found: len(found[0]) <= 6))
def test_aurc_is_the_mean_over_all_orders_of_ties(found: Answers) -> None:
    assert value_of(metrics.aurc, *found) == pytest.approx(_expected_aurc(*found))
    coverage, risk = metrics.risk_coverage(*found)
    assert risk.mean() == pytest.approx(_expected_aurc(*found))
    assert coverage[-1] == 1.0


def test_prr_of_an_oracle_of_chance_and_of_its_opposite() -> None:
    right = [True] * 6 + [False] * 4
    oracle = [float(one) for one in right]
    oracle_ranked = [10.0 - at for at in range(10)]
    assert value_of(metrics.prr, right, oracle_ranked) == pytest.approx(1.0)
    assert value_of(metrics.prr, right, [0.5] * 10) == pytest.approx(0.0)
    worst = value_of(metrics.prr, right, [-one for one in oracle_ranked])
    assert worst is not None
    assert worst < -0.5
    assert value_of(metrics.prr, right, oracle) == pytest.approx(1.0)


def test_ece_by_hand() -> None:
    right = [True, False, True, True]
    assert value_of(metrics.ece, right, [0.5, 0.5, 1.0, 1.0]) == pytest.approx(0.0)
    assert value_of(metrics.ece, right, [1.0, 1.0, 1.0, 1.0]) == pytest.approx(0.25)
    assert value_of(metrics.ece, right, [0.9, 0.9, 0.6, 0.6]) == pytest.approx(0.4)


@pytest.mark.parametrize("right", [[True, True, True], [False, False, False]])
def test_what_is_undefined_says_so(right: list[bool]) -> None:
    for metric in (metrics.auroc, metrics.auprc, metrics.prr):
        assert value_of(metric, right, [0.1, 0.2, 0.3]) is None
    assert value_of(metrics.aurc, right, [0.1, 0.2, 0.3]) == (0.0 if right[0] else 1.0)
    assert value_of(metrics.auroc, [], []) is None


def test_confidences_that_cannot_be() -> None:
    with pytest.raises(DataError, match="NaN"):
        value_of(metrics.auroc, [True, False], [0.5, math.nan])
    with pytest.raises(DataError, match="2 answers but 1 confidences"):
        value_of(metrics.auroc, [True, False], [0.5])
    for metric in (metrics.ece, metrics.brier):
        with pytest.raises(DataError, match="calibrate"):
            value_of(metric, [True, False], [-1.0, 2.0])


@given(st.integers(1, 9), st.data())
def test_pass_at_k_equals_exact_enumeration(total: int, data: st.DataObject) -> None:
    right = data.draw(st.integers(0, total))
    k = data.draw(st.integers(1, total))
    hits = [any(at < right for at in chosen) for chosen in itertools.combinations(range(total), k)]
    assert metrics.pass_at_k(total, right, k) == pytest.approx(sum(hits) / len(hits))


def test_pass_at_k_beyond_its_samples() -> None:
    assert metrics.pass_at_k(4, 2, 5) is None
    for total, right, k in [(4, 5, 1), (4, -1, 1), (4, 1, 0)]:
        with pytest.raises(DataError, match="cannot be"):
            metrics.pass_at_k(total, right, k)


def test_nan_is_refused_and_nothing_is_undefined() -> None:
    counts = np.ones((2, 2))
    with pytest.raises(DataError, match="NaN"):
        metrics.auroc(np.array([True, False]), np.array([0.5, np.nan]), counts)
    nothing = metrics.auroc(np.array([], dtype=np.bool_), np.array([]), np.ones((2, 0)))
    assert np.isnan(nothing).all()
    assert nothing.shape == (2,)


@given(st.lists(st.sampled_from([0.0, 0.2, 0.2, 0.7, 1.0]), min_size=1, max_size=60))
def test_bins_hold_every_answer_once_and_keep_ties_together(scores: list[float]) -> None:
    confidence: Doubles = np.array(scores)
    bins = metrics.equal_mass_bins(confidence, 10)
    assert sorted(np.concatenate(bins).tolist()) == list(range(len(scores)))
    for low, high in itertools.pairwise(bins):
        assert confidence[low].max() < confidence[high].min()
