import json
import math

import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.records import QuestionRecord
from tests.evaluation.conftest import record, table


def test_a_record_survives_json() -> None:
    leaves = table([0, 1, -1], [0.5, 0.25, 0.25], rauq=[1.0, math.nan, 0.123456789])
    one = record("x/1", leaves, [False, True], extras={"p-true": 0.25})
    text = json.dumps(one.as_json(), allow_nan=False)
    again = QuestionRecord.from_json(json.loads(text), {"p-true": 0.25})
    assert again.leaves.answer.tolist() == [0, 1, -1]
    assert again.leaves.weight.tolist() == [0.5, 0.25, 0.25]
    assert math.isnan(again.leaves.rauq[1])
    assert again.leaves.rauq[2] == pytest.approx(0.123456789, rel=1e-6)
    assert (again.answers, again.right, again.extras) == (one.answers, one.right, one.extras)
    assert again.as_json() == one.as_json()


def test_right_and_wrong() -> None:
    one = record("x/1", table([0, 1, -1], [0.3, 0.5, 0.2]), [False, True])
    assert one.correct
    assert one.leaf_right.tolist() == [False, True, False]
    assert not record("x/2", table([-1, -1]), []).correct
    assert record("x/2", table([-1, -1]), []).leaf_right.tolist() == [False, False]


@pytest.mark.parametrize("name", ["leaves", "right", "item"])
def test_a_record_without_a_field(name: str) -> None:
    values = record("x/1", table([0]), [True]).as_json()
    del values[name]
    with pytest.raises(DataError, match="cannot be read"):
        QuestionRecord.from_json(values, {})


def test_leaf_columns_that_do_not_fit() -> None:
    values = record("x/1", table([0, 1]), [True, False]).as_json()
    values["leaves"]["weight"] = [1.0]
    with pytest.raises(DataError, match="different lengths"):
        QuestionRecord.from_json(values, {})
    assert np.isclose(table([0, 1]).shares.sum(), 1.0)
