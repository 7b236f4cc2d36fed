import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.arrays import Doubles
from et_agent.calibration import feature_columns
from et_agent.calibration.pooled import Gaussian, Pooled, read_columns, rising, updated
from et_agent.errors import InputError

COLUMNS = feature_columns()


def pooled(spread: float = 1.0) -> Pooled:
    return Pooled(
        features=("share", "votes"),
        centres=(0.0, 1.5),
        low=(-4.0, 0.0),
        high=(4.0, 4.0),
        posterior=Gaussian.of(np.array([-0.5, 0.2, 0.1]), np.eye(3) * spread),
    )


def rows_of(share: Doubles, votes: Doubles) -> Doubles:
    rows = np.zeros((share.size, len(COLUMNS)))
    rows[:, COLUMNS.index("share")] = share
    rows[:, COLUMNS.index("votes")] = votes
    return rows


figure = st.floats(-50, 50)


@given(figure, figure, st.floats(0, 20), st.sampled_from(["share", "votes"]))
def test_more_never_lowers_it_and_nothing_extrapolates(
    share: float, votes: float, more: float, name: str
) -> None:
    found = pooled()
    row = rows_of(np.array([share]), np.array([votes]))
    higher = row.copy()
    higher[:, COLUMNS.index(name)] += more
    assert found.predict(higher) >= found.predict(row)
    assert (found.interval(higher) >= found.interval(row)).all()
    clipped = rows_of(np.clip([share], -4, 4), np.clip([votes], 0, 4))
    assert found.predict(clipped) == found.predict(row)


def test_the_mean_lies_within_the_interval_and_doubt_draws_it_to_a_half() -> None:
    rows = rows_of(np.linspace(-3, 3, 7), np.linspace(0, 3, 7))
    for spread in (0.01, 1.0, 9.0):
        found = pooled(spread)
        low, high = found.interval(rows).T
        assert ((low < found.predict(rows)) & (found.predict(rows) < high)).all()
    sure, unsure = pooled(0.01).predict(rows), pooled(9.0).predict(rows)
    assert (abs(unsure - 0.5) < abs(sure - 0.5)).all()


def test_what_was_not_measured_counts_as_average() -> None:
    found = pooled()
    rows = rows_of(np.array([1.0]), np.array([np.nan]))
    assert found.predict(rows) == found.predict(rows_of(np.array([1.0]), np.array([1.5])))
    only = found.only(["share"])
    assert only.features == ("share",)
    assert only.posterior.mean == found.posterior.mean[:2]


def test_labels_bring_the_weights_that_they_were_drawn_with() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(20_000, 2))
    truth = np.array([0.7, 1.2, 0.4])
    odds = truth[0] + inputs @ truth[1:]
    labels = (rng.random(odds.size) < 1 / (1 + np.exp(-odds))).astype(float)
    found = updated(Gaussian.of(np.zeros(3), np.eye(3)), inputs, labels)
    mean = np.array(found.mean)
    assert [mean[0], *rising(mean[1:])] == pytest.approx(truth.tolist(), abs=0.06)


def test_no_label_changes_nothing_and_the_order_hardly_matters() -> None:
    rng = np.random.default_rng(1)
    prior = Gaussian.of(np.array([0.3, -0.2, 0.5]), np.diag([1.0, 0.4, 0.4]))
    same = updated(prior, np.zeros((0, 2)), np.zeros(0))
    assert same.mean == pytest.approx(prior.mean)
    assert np.array(same.covariance) == pytest.approx(np.array(prior.covariance))
    inputs = rng.normal(size=(60, 2))
    labels = (rng.random(60) < 0.7).astype(float)
    whole = updated(prior, inputs, labels)
    stepwise = prior
    for row, label in zip(inputs, labels, strict=True):
        stepwise = updated(stepwise, row[None], np.array([label]))
    # Each step is a Gaussian again, so they agree only about.
    assert stepwise.mean == pytest.approx(whole.mean, abs=0.25)


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_labels_of_one_kind_never_make_it_certain(label: float) -> None:
    rows = rows_of(np.full(500, 2.0), np.full(500, 2.0))
    found = pooled().after(rows, np.full(500, label)).predict(rows[:1])[0]
    assert 0.0 < found < 1.0
    assert abs(found - label) < 0.05


@pytest.mark.parametrize("covariance", [((1.0, 0.0), (0.0, -1.0)), ((1.0,),), ((1.0, 0.0), (0.0,))])
def test_an_unsound_posterior_is_refused(covariance: tuple[tuple[float, ...], ...]) -> None:
    with pytest.raises(InputError):
        Gaussian(mean=(0.0, 0.0), covariance=covariance)


def test_a_logarithm_of_a_probability_counts_as_its_log_odds() -> None:
    probabilities = np.array([0.0, 0.2, 0.5, 0.9, 1.0 - 1e-12, 1.0])
    rows = np.full((7, len(COLUMNS)), np.nan)
    with np.errstate(divide="ignore"):
        rows[:6, COLUMNS.index("mass")] = np.log(probabilities)
    before = rows.copy()
    (found,) = read_columns(rows, ["mass"], ["mass"]).T
    assert found[1:4] == pytest.approx(np.log([0.25, 1.0, 9.0]))
    assert found[[0, 4, 5]] == pytest.approx([-7.0, 7.0, 7.0], abs=0.01)
    assert np.isnan(found[6])
    assert np.array_equal(rows, before, equal_nan=True), "the rows are the caller's"
    assert np.array_equal(
        read_columns(rows, ["mass"], []), rows[:, [COLUMNS.index("mass")]], equal_nan=True
    )
