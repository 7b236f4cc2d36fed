"""The map of claims."""

import math
from pathlib import Path

import numpy as np
import pytest

from et_agent.calibration.claims import (
    CLAIM_FEATURES,
    ClaimEvidence,
    ClaimMap,
    design_effect,
)
from et_agent.errors import CalibrationError


def evidence(**changes: float) -> ClaimEvidence:
    known = {"support": 0.5, "contradicted": 0.2, "told_true": 0.5, "words": 0.5, "log_prob": -0.5}
    return ClaimEvidence(**{**known, **changes}, parameters=500_000_000)


def fitted(count: int = 60) -> ClaimMap:
    right = np.arange(count) % 2
    rows = [
        evidence(support=0.3 + 0.4 * one + at / 1000, told_true=0.4 + 0.2 * one).features()
        for at, one in enumerate(right.tolist())
    ]
    return ClaimMap.fit(rows, right.astype(np.float64))


def one(mapping: ClaimMap, **changes: float) -> float:
    ((value, (low, high)),) = mapping.confidences([evidence(**changes).features()])
    assert 0 < low <= value <= high < 1
    return value


def test_features_are_those_that_are_named() -> None:
    assert set(evidence().features()) == set(CLAIM_FEATURES)
    assert evidence().features()["support"] == pytest.approx(0.0)
    assert evidence(support=1.0, contradicted=0.0).features()["unopposed"] == pytest.approx(
        9.21, abs=0.01
    )


@pytest.mark.parametrize(
    ("name", "less", "more"),
    [("support", 0.4, 0.6), ("contradicted", 0.3, 0.1), ("told_true", 0.45, 0.55)],
)
def test_more_evidence_is_more_confidence(name: str, less: float, more: float) -> None:
    mapping = ClaimMap.shipped()
    assert one(mapping, **{name: less}) <= one(mapping, **{name: more})


def test_it_learns_from_labels() -> None:
    mapping = fitted()
    assert one(mapping, support=0.7, told_true=0.6) > 0.8
    assert one(mapping, support=0.3, told_true=0.4) < 0.2
    assert mapping.labels == 60


def test_few_labels_leave_it_uncertain() -> None:
    row = evidence(support=0.7, told_true=0.6).features()
    widths = []
    for count in (6, 60):
        ((_, (low, high)),) = fitted(count).confidences([row])
        widths.append(high - low)
    assert widths[0] > widths[1]


def test_what_was_not_measured_counts_as_average() -> None:
    mapping = fitted()
    unknown = evidence(support=math.nan, told_true=math.nan)
    ((value, _),) = mapping.confidences([unknown.features()])
    assert 0.2 < value < 0.8


def test_the_mean_is_that_of_the_claims() -> None:
    mapping = fitted()
    rows = [evidence(support=share).features() for share in (0.3, 0.5, 0.7)]
    value, (low, high) = mapping.mean(rows)
    assert value == pytest.approx(np.mean([found for found, _ in mapping.confidences(rows)]))
    assert low < value < high
    assert mapping.confidences([]) == []


def test_it_is_kept_in_a_file(tmp_path: Path) -> None:
    mapping = fitted()
    assert ClaimMap.load(mapping.save(tmp_path / "claims.json")) == mapping
    (tmp_path / "other.json").write_text('{"schema_version": 1, "features": ["nothing"]}')
    with pytest.raises(CalibrationError, match="damaged"):
        ClaimMap.load(tmp_path / "other.json")


def test_claims_of_one_reply_tell_less_than_as_many_of_others() -> None:
    rng = np.random.default_rng(0)
    replies = np.repeat(np.arange(60), 5)
    alike = (np.repeat(rng.random(60), 5) < 0.5).astype(np.float64)
    alone = (rng.random(300) < 0.5).astype(np.float64)
    half = np.full(300, 0.5)
    assert design_effect(alike, half, replies.tolist()) == pytest.approx(5.0, abs=0.1)
    assert design_effect(alone, half, replies.tolist()) == pytest.approx(1.0, abs=0.4)
    assert design_effect(alike, half, list(range(300))) == 1.0


def test_intervals_are_as_wide_as_those_of_so_many_replies() -> None:
    rng = np.random.default_rng(1)
    replies = np.repeat(np.arange(40), 6).tolist()
    right = np.repeat(rng.random(40) < 0.5, 6).astype(np.float64)
    rows = [evidence(support=support).features() for support in rng.uniform(0.2, 0.8, 240)]
    asked = [evidence().features()]
    (low, high), (least, most) = (
        ClaimMap.fit(rows, right, replies=given).confidences(asked)[0][1]
        for given in (None, replies)
    )
    assert most - least == pytest.approx(math.sqrt(6) * (high - low), rel=0.25)
