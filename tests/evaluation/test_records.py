import json
import math

import numpy as np
import pytest

from et_agent.errors import DataError
from et_agent.evaluation.records import QuestionRecord
from et_agent.uncertainty.leaf_table import FORKS
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


def test_some_of_the_leaves() -> None:
    leaves = table([0, 1, 2, 0], count=[1, 2, 2, 2])
    one = record("q/1", leaves, [False, True, False], seconds=2.0)
    part = one.part(np.array([1, 2, 3]), np.full(3, 1 / 3))
    assert part.leaves.answer.tolist() == [0, 1, 2]
    assert (part.answers, part.right) == (("1", "2", "0"), (True, False, False))
    assert part.correct  # a tie, broken by the leaves that are left
    assert (part.tokens_decoded, part.tokens_as_chains) == (30, 60)
    assert part.seconds == pytest.approx(2.0 * 30 / 40)
    assert (part.item, part.prompt_tokens) == (one.item, one.prompt_tokens)


def test_fewer_leaves_are_the_same_for_one_question_and_differ_between_questions() -> None:
    coded = FORKS.index("stratified")
    leaves = table([0, 1, 2, 3], fork=[-1, coded, coded, coded], start=[0, 0, 0, 0])
    records = [record(f"q/{at}", leaves, [True] * 4, extras={"p-true": 1.0}) for at in range(30)]
    first = [one.capped(1) for one in records]
    assert [one.answers for one in first] == [one.capped(1).answers for one in records]
    assert {one.answers for one in first} == {("0",), ("1",), ("2",), ("3",)}
    assert all(one.extras == {} for one in first)


def test_fewer_leaves_without_answers() -> None:
    one = record("q/1", table([-1, -1]), []).capped(1)
    assert (one.answers, one.right, one.correct) == ((), (), False)


@pytest.mark.parametrize("label", ["False", 2, None])
def test_a_stored_label_that_is_none_is_refused(label: object) -> None:
    one = record("x/1", table([0]), [False]).as_json()
    with pytest.raises(DataError, match="cannot be read: a label is"):
        QuestionRecord.from_json({**one, "right": [label]}, {})
