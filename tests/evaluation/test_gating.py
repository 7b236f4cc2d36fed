import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest

from et_agent.calibration import Calibrator, features_of
from et_agent.calibration.prior import Prior
from et_agent.decoding import EntropyTree
from et_agent.errors import DataError
from et_agent.evaluation.gating import (
    best_map,
    cascade,
    guarantee,
    judged_run,
    outcome,
    run_confidences,
)
from et_agent.evaluation.running import evaluate
from et_agent.evaluation.store import RunStore
from tests.evaluation.conftest import half_knowing_model, record, sums, table

CONFIDENCE = np.array([0.9, 0.8, 0.6, 0.3])
RIGHT = np.array([True, True, False, False])


def test_an_outcome_by_hand() -> None:
    found = outcome(CONFIDENCE, RIGHT, 0.6)
    assert (found.coverage, found.questions) == (0.75, 4)
    assert found.error == pytest.approx(1 / 3)
    nothing = outcome(CONFIDENCE, RIGHT, 0.95)
    assert (nothing.coverage, nothing.error) == (0.0, None)


def test_confidences_without_a_calibrator_are_shares() -> None:
    records = [record("a", table([0, 0, 1, -1]), [True, False]), record("b", table([-1, -1]), [])]
    assert run_confidences(records, None).tolist() == [0.5, 0.0]


def test_confidences_of_a_calibrator_are_its_own_or_the_lower_ends() -> None:
    records = [record("a", table([0, 0, 1, -1]), [True, False]), record("b", table([-1, -1]), [])]
    general = Calibrator.general()
    one = general.confidence(features_of(records[0].leaves), "number")
    found = run_confidences(records, general)
    assert found.tolist() == pytest.approx([one.value, 0.0])
    cautious = run_confidences(records, general, cautious=True)
    assert cautious.tolist() == pytest.approx([one.interval[0], 0.0])


def test_a_run_is_judged_by_the_best_map_that_applies(tmp_path: Path) -> None:
    data = Prior.shipped().groups[0].data
    with half_knowing_model() as model, RunStore(tmp_path / "runs.sqlite") as store:
        runs, _ = evaluate(model, sums(6), {"tree": EntropyTree(leaves=4)}, store, data=data)
        records = store.records(runs[0])
    held = best_map(runs[0], records)
    assert held.source == "general"
    judged = judged_run(runs[0], records, held)
    assert (judged.by, judged.cautious) == ("lower end of the confidence of the general map", True)
    assert judged.fitted_on_it  # the general map has seen questions of that name
    bold = judged_run(runs[0], records, held, cautious=False)
    assert (bold.confidence > judged.confidence).all()
    assert bold.right.tolist() == [record.correct for record in records]
    share = judged_run(runs[0], records, None)
    assert (share.by, share.fitted_on_it) == ("share, not calibrated", False)


def test_halves_of_a_calibrated_confidence() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.beta(1.5, 0.7, 600)
    right = rng.random(600) < confidence
    found = guarantee(confidence, right, 0.2, splits=50)
    assert found.certified > 0.9
    assert found.error is not None
    assert found.error < 0.2
    assert 0.2 < found.coverage < 1
    assert found.missed <= 0.1
    never_wrong = guarantee(np.full(200, 0.9), np.ones(200, dtype=np.bool_), 0.2, splits=5)
    assert (never_wrong.certified, never_wrong.coverage) == (1, 1)
    assert (never_wrong.broken, never_wrong.error) == (0, 0)
    assert never_wrong.threshold is not None
    assert never_wrong.threshold.basis.startswith("rests on 200 labelled questions, 0 wrong")


def test_what_a_promise_misses_is_counted_over_all_questions() -> None:
    """Of 40 equal confidences 10 are wrong: a sample with 3 of them or fewer certifies an error of
    0.2, and each such sample misses it."""
    confidence, right = np.full(40, 0.9), np.arange(40) >= 10
    found = guarantee(confidence, right, 0.2, splits=2000)
    share = sum(math.comb(40, k) * 0.25**k * 0.75 ** (40 - k) for k in range(4))
    assert found.missed == pytest.approx(share, abs=0.01)
    assert found.missed > 0


def test_an_overconfident_one_is_caught_by_its_labels() -> None:
    """The labelled half sees the errors, so that overconfidence costs coverage, not the promise."""
    rng = np.random.default_rng(1)
    confidence = np.full(400, 0.97)
    found = guarantee(confidence, rng.random(400) < 0.5, 0.2, splits=20)
    assert (found.certified, found.coverage, found.broken, found.error) == (0, 0, 0, None)
    assert found.threshold is None


def test_too_few_questions_to_halve() -> None:
    with pytest.raises(DataError, match="3 questions"):
        guarantee(CONFIDENCE[:3], RIGHT[:3], 0.2)


def test_a_cascade_by_hand() -> None:
    """Two of three questions are passed on; tokens: 5 of the prompt and 10 per leaf."""
    right, wrong = [True, False], [False, True]
    leaves = table([0, 0])
    small = {
        name: record(name, leaves, one)
        for name, one in (("a", right), ("b", wrong), ("c", wrong), ("only small", wrong))
    }
    large = {name: record(name, leaves, one) for name, one in (("a", wrong), ("b", right))}
    large["c"] = dataclasses.replace(record("c", leaves, wrong), tokens_decoded=95)
    confidence = {"a": 0.9, "b": 0.4, "c": 0.5, "only small": 0.1}
    found = cascade(small, large, confidence, threshold=0.6, size_ratio=0.25)
    one = leaves.tokens_decoded + 5
    assert found.questions == 3
    assert found.escalated == pytest.approx(2 / 3)
    assert (found.accuracy, found.small, found.large) == pytest.approx((2 / 3, 1 / 3, 1 / 3))
    assert found.lead.value == pytest.approx(1 / 3)
    assert found.cost == pytest.approx((0.25 * 3 * one + one + 100) / (2 * one + 100))
    with pytest.raises(DataError, match="share no question"):
        cascade(small, {"z": large["a"]}, confidence, threshold=0.6, size_ratio=0.25)


def test_a_cascade_before_part_of_the_large_model() -> None:
    """The reference is right where the part that is asked is wrong, and lacks a question."""
    right, wrong = [True, False], [False, True]
    leaves = table([0, 0])
    names = ("a", "b", "c", "d")
    small = {name: record(name, leaves, right if name == "a" else wrong) for name in names}
    part = {name: record(name, leaves, right if name == "b" else wrong) for name in names}
    whole = {name: record(name, leaves, right, tokens_decoded=95) for name in ("a", "b", "c")}
    found = cascade(
        small,
        part,
        dict.fromkeys(names, 0.5) | {"a": 0.9},
        threshold=0.6,
        size_ratio=0.25,
        reference=whole,
    )
    one = leaves.tokens_decoded + 5
    assert found.questions == 3
    assert found.escalated == pytest.approx(2 / 3)
    assert (found.accuracy, found.small, found.large) == pytest.approx((2 / 3, 1 / 3, 1.0))
    assert found.lead.value == pytest.approx(-1 / 3)
    assert found.lead.low is not None
    assert found.lead.low < -1 / 3
    assert found.cost == pytest.approx((0.25 * 3 * one + 2 * one) / 300)
