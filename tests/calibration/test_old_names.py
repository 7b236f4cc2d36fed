"""Features and methods under the names of an earlier et-agent: stored ones are read silently."""

import copy
import json
from typing import Any

import numpy as np
import pytest

from et_agent import MultiChain, ScriptedModel, ask
from et_agent.calibration import Calibrator, feature_row, features_of
from et_agent.results import AskResult
from tests.calibration.conftest import COLUMNS, questions
from tests.evaluation.conftest import table

LEAVES = table([0, 0, 1], answer_log_prob=[-0.1, -0.2, -0.3])


def as_stored_before(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        text.replace('"answer_logprob"', '"words"').replace('"logistic-3"', '"brief"')
    )
    return found


@pytest.mark.parametrize("method", ["logistic-3", "venn-abers", "auto"])
def test_a_stored_calibrator_is_read(method: str) -> None:
    rows, labels, _ = questions(300)
    rows[:, COLUMNS.index("answer_logprob")] = np.random.default_rng(0).normal(-0.3, 0.1, 300)
    fitted = Calibrator(method).fit(rows, labels)
    text = fitted.document().model_dump_json()
    old = as_stored_before(text)
    assert "words" in json.dumps(old)
    assert json.loads(text) != old
    found = Calibrator.from_json(json.dumps(old))
    assert found.document() == fitted.document()
    assert found.predict_proba(rows).tolist() == fitted.predict_proba(rows).tolist()


def test_stored_features_are_read() -> None:
    features = dict(features_of(LEAVES))
    old = as_stored_before(json.dumps(features))
    assert "words" in old
    row, known = feature_row(old, "number"), feature_row(features, "number")
    np.testing.assert_array_equal(row, known)
    assert row[COLUMNS.index("answer_logprob")] == features["answer_logprob"]


def test_a_stored_result_is_read() -> None:
    with ScriptedModel.from_texts({"The answer is 4.": 1.0}) as model:
        result = ask(model, "What is 2 + 2?", decoder=MultiChain(leaves=2), kind="number")
    text = result.model_dump_json()
    assert AskResult.model_validate(as_stored_before(text)) == result
    assert result.features["answer_logprob"] is not None
    with pytest.warns(
        DeprecationWarning,
        match="the feature words is deprecated and will be removed: use answer_logprob",
    ):
        assert result.features["words"] == result.features["answer_logprob"]


def test_the_old_name_of_a_feature() -> None:
    found = features_of(LEAVES)
    with pytest.warns(
        DeprecationWarning,
        match="the feature words is deprecated and will be removed: use answer_logprob",
    ):
        assert found["words"] == found["answer_logprob"]
    with pytest.raises(KeyError, match="mood"):
        found["mood"]
    assert copy.deepcopy(found) == found
    rows, labels, _ = questions(100)
    with pytest.warns(
        DeprecationWarning,
        match="the feature words is deprecated and will be removed: use answer_logprob",
    ) as told:
        old = Calibrator("platt", features=["share", "words"])
    assert told[0].filename == __file__
    new = Calibrator("platt", features=["share", "answer_logprob"])
    assert old.fit(rows, labels).mapping_ == new.fit(rows, labels).mapping_


def test_the_old_name_of_a_method() -> None:
    rows, labels, _ = questions(100)
    with pytest.warns(
        DeprecationWarning,
        match="the method brief is deprecated and will be removed: use logistic-3",
    ) as told:
        old = Calibrator("brief")
    assert told[0].filename == __file__
    assert old.fit(rows, labels).mapping_ == Calibrator("logistic-3").fit(rows, labels).mapping_
