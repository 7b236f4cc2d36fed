import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.calibration import (
    Calibrator,
    Fingerprint,
    feature_columns,
    feature_row,
    features_of,
)
from et_agent.calibration.evidence import wilson, within_limits
from et_agent.calibration.finding import known_calibrators
from et_agent.calibration.prior import (
    EXPECTED,
    Group,
    PassagePrior,
    Prior,
    fit_prior,
    held_out,
)
from et_agent.errors import CalibrationError
from tests.evaluation.conftest import table

COLUMNS = feature_columns()


def group(level: float, parameters: int, seed: int, name: str = "set") -> Group:
    """Questions whose log-odds are share + level."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((150, len(COLUMNS)))
    share = rng.normal(0.0, 1.5, 150)
    rows[:, COLUMNS.index("share")] = share
    rows[:, COLUMNS.index("votes")] = 1.5
    rows[:, COLUMNS.index("mass")] = -1.5
    rows[:, COLUMNS.index("token_probability")] = 0.6
    right = (rng.random(150) < 1 / (1 + np.exp(-(share + level)))).astype(float)
    return Group(
        model=f"model-{parameters}",
        data=f"{name}-{seed}",
        variant="",
        parameters=parameters,
        rows=rows,
        right=right,
        weights=np.ones(150),
    )


def test_it_finds_the_common_level_its_spread_and_the_growth_with_size() -> None:
    sizes = [10**8, 10**9, 10**10]
    rng = np.random.default_rng(4)
    groups = [
        group(0.6 * np.log(size / 5e8) + rng.normal(0, 0.3), size, 10 * at + number)
        for at, size in enumerate(sizes)
        for number in range(6)
    ]
    prior = fit_prior(groups)
    assert prior.features == tuple(EXPECTED)
    assert prior.labels == 18 * 150
    assert prior.weights.mean[0] == pytest.approx(0.0, abs=0.35)
    assert prior.weights.mean[-1] == pytest.approx(0.6, abs=0.2)
    spread = np.sqrt(prior.weights.covariance[0][0])
    assert 0.2 < spread < 0.9
    small, large = prior.at(10**8), prior.at(10**10)
    assert large.mean[0] > small.mean[0] + 1.5
    unknown = prior.at(0)
    assert unknown.covariance[0][0] > prior.at(5 * 10**8).covariance[0][0]


def test_variants_of_one_set_count_as_one_group() -> None:
    lone = [group(1.5, 10**9, 1), group(-1.5, 10**9, 2)]
    crowd = [*lone, *(group(-1.5, 10**9, 2) for _ in range(6))]
    once, often = fit_prior(lone), fit_prior(crowd)
    assert often.weights.mean[0] == pytest.approx(once.weights.mean[0], abs=0.15)


def test_one_group_tells_nothing_of_others() -> None:
    with pytest.raises(CalibrationError, match="two groups"):
        fit_prior([group(0.0, 10**9, 1)])


@pytest.mark.parametrize("parameters", [-1, 10**400, float("nan"), True, "7", None])
def test_what_is_no_number_of_parameters_is_refused(parameters: Any) -> None:
    with pytest.raises(CalibrationError, match=r"parameters|number of weights"):
        Calibrator.general(parameters)


def test_saved_and_read_back(tmp_path: Path) -> None:
    prior = fit_prior([group(1.0, 10**9, 1), group(-1.0, 10**9, 2)])
    assert Prior.load(prior.save(tmp_path / "prior.json")) == prior
    for damage in ("[1]", "[" * 100_000, '{"schema_version": 2}', '{"schema_version": 1}', ""):
        (tmp_path / "prior.json").write_text(damage)
        with pytest.raises(CalibrationError):
            Prior.load(tmp_path / "prior.json")
    with pytest.raises(CalibrationError, match="cannot be read"):
        Prior.load(tmp_path / "absent.json")


def test_answers_out_of_passages_are_less_sure_before_labels_of_ones_own() -> None:
    asked = Fingerprint(
        model="", decoder={}, leaves=(8, 8), instructions={}, chat="model", passages=True
    )
    fitted = fit_prior([group(1.0, 10**9, 1), group(0.0, 10**9, 2)], PassagePrior)
    assert all(one.wary for one in (*fitted.limits, *PassagePrior.shipped().limits))
    assert not any(one.wary for one in Prior.shipped().limits)
    general = Calibrator.general(1_500_000_000, fingerprint=asked)
    value, low = general.largest(8, "text")
    assert low <= value < 0.85
    best = np.full((200, len(COLUMNS)), np.nan)
    for name, high in zip(
        PassagePrior.shipped().features, PassagePrior.shipped().high, strict=True
    ):
        best[:, COLUMNS.index(name)] = high
    best[:, COLUMNS.index("votes")] = np.log(9.0)
    right = np.arange(200) % 20 > 0
    own = Calibrator("pooled", fingerprint=asked, parameters=1_500_000_000).fit(best, right)
    assert max(value, 0.85) < own.predict_proba(best[:1])[0, 1] < 0.95


def sure(*parts: float) -> list[Group]:
    """Sources of a hundred questions each that look sure, by the part of them that is right."""
    rows = np.full((100, len(COLUMNS)), 0.0)
    for name, one in PassagePrior.expected.items():
        rows[:, COLUMNS.index(name)] = one.centre + 1.0
    rights = [(np.arange(100) < 100 * part).astype(float) for part in parts]
    return [
        Group("model", f"set-{at}", "", 10**9, rows, right, np.ones(100))
        for at, right in enumerate(rights)
    ]


def test_questions_of_sets_that_differ_in_level_are_worth_fewer() -> None:
    """The lower end is that of a set which was not fitted, not of more questions of the same ones."""
    alike, unlike = (
        fit_prior(groups, PassagePrior).limits[0]
        for groups in (sure(0.8, 0.8, 0.8, 0.8), sure(0.6, 0.7, 0.9, 1.0))
    )
    assert alike.questions == 400.0
    assert unlike.questions < alike.questions / 3
    assert unlike.most < alike.most


def test_the_models_of_a_set_are_one_source() -> None:
    """The same questions were asked, so that another model's answers are no other source."""
    apart = sure(0.6, 0.7, 0.9, 1.0)
    twice = [*apart, *(replace(one, model="another") for one in apart)]
    once, often = held_out(apart, PassagePrior), held_out(twice, PassagePrior)
    assert once is not None
    assert often is not None
    assert once.effect > 3.0
    assert often.effect == pytest.approx(2 * once.effect)


@pytest.mark.parametrize(
    "groups",
    [
        [replace(group(2.0, 10**9, 1), model=str(at)) for at in range(3)],
        [group(2.0, 10**9, 1), group(2.0, 10**9, 2)],
    ],
    ids=["one source, three models", "too little is left to fit"],
)
def test_where_no_source_can_be_held_out_nothing_is_known_of_others(groups: list[Group]) -> None:
    limits = fit_prior(groups, PassagePrior).limits
    assert [(one.questions, one.wary) for one in limits] == [(0.0, True)] * len(limits)
    assert within_limits(limits, np.array([0.3, 0.97])).tolist() == [0.3, 0.5]
    # Labels of one's own count from there on.
    own = [one.model_copy(update={"questions": 50.0, "right": 50.0}) for one in limits]
    assert within_limits(own, np.array([0.97]))[0] == pytest.approx(wilson(1.0, 50)[0])


SHIPPED = [one for _, one in known_calibrators()]


@given(st.integers(2, 32), st.data())
def test_no_shipped_map_is_surer_of_a_minority_or_less_sure_of_unanimity(
    leaves: int, data: st.DataObject
) -> None:
    answers = data.draw(st.lists(st.integers(0, 4), min_size=leaves, max_size=leaves))
    order = list(dict.fromkeys(answers))
    columns = {
        name: data.draw(
            st.lists(st.floats(low, high), min_size=leaves, max_size=leaves), label=name
        )
        for name, low, high in (("log_prob", -60.0, 0.0), ("answer_log_prob", -8.0, 0.0))
    }
    mixed = table([order.index(one) for one in answers], **columns)
    unanimous = table([0] * leaves, **columns)
    for calibrator in (Calibrator.general(), Calibrator.general(10**9), *SHIPPED):
        found, most = (
            calibrator.predict_proba(feature_row(features_of(one), "number")[None])[0, 1]
            for one in (mixed, unanimous)
        )
        assert found <= most + 1e-9
        if mixed.shares.max() < 0.5 - 1e-9:
            assert found <= 0.6


@given(st.floats(0.3, 0.97), st.integers(1, 4))
def test_a_letter_that_is_read_has_one_probability_and_counts_once(share: float, n: int) -> None:
    """Not again as that of its token; each order of four options is a path."""
    rest = (1.0 - share) / 3
    weight = [one / n for _ in range(n) for one in (share, rest, rest, rest)]
    letters, size, log_prob = [0, 1, 2, 3] * n, 4 * n, [math.log(one * n) for one in weight]
    fork = [-1] + [2] * (size - 1)
    read = table(letters, weight, tokens=[1] * size, fork=fork, log_prob=log_prob)
    found = features_of(read)
    assert found["mass"] is found["token_probability"] is None
    assert found["votes"] == pytest.approx(np.log1p(share * n))
    surer = features_of(table([0], tokens=[1]))
    assert surer["mass"] is not None, "one path tells nothing of how it was decoded"


def test_a_kind_that_was_not_fitted_is_between_those_that_were() -> None:
    general, features = Calibrator.general(10**9), features_of(table([0, 0, 0, 1]))
    text, json, number = (general.confidence(features, k).value for k in ("text", "json", "number"))
    assert text + 0.01 < json < number - 0.01
    assert general.confidence(features, "tool_call").value == json
