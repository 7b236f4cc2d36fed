from typing import Any

import numpy as np
import pytest

from et_agent.calibration import FEATURES
from et_agent.errors import CalibrationError
from et_agent.evaluation.calibrating import labelled_run
from et_agent.uncertainty.leaf_table import FORKS, LeafTable
from tests.evaluation.conftest import record, table

CONFIG: dict[str, Any] = {
    "data": "sums",
    "model": {"fingerprint": "ab" * 32},
    "decoder": {"name": "EntropyTree", "leaves": 8, "roots": 4},
    "system_prompt": None,
    "instructions": {"number": "Think."},
    "chat": "model",
}
SUPPORT = list(FEATURES).index("support")


def coded(answer: list[int]) -> LeafTable:
    """Four codes that part at once, then a fork of each."""
    kinds = [FORKS.index(kind) for kind in ("stratified", "distinct")]
    later = len(answer) - 4
    return table(
        answer,
        fork=[-1, *[kinds[0]] * 3, *[kinds[1]] * later],
        parent=[-1, 0, 0, 0, *range(later)],
        start=[0] * 4 + [5] * later,
    )


def test_a_question_counts_once_whatever_its_sizes() -> None:
    records = [
        record("q/0", coded([0, 0, 0, 0, 1, 1, 1, 1]), [True, False]),
        record("q/1", coded([-1, -1, -1, -1]), []),
        record("q/2", coded([0, 0, 0, 0]), [False]),
    ]
    found = labelled_run(CONFIG, records, caps=(2, 4))
    assert (found.data.name, found.data.questions, found.data.right) == ("sums", 2, 1)
    # The whole tree first; a tree of four leaves has no part of four.
    assert found.groups.tolist() == [0, 0, 0, 2, 2]
    assert np.exp(found.rows[:, SUPPORT]).tolist() == pytest.approx([4, 2, 4, 4, 2])
    assert found.share.tolist() == [0.5, 1.0, 1.0, 1.0, 1.0]
    assert found.right.tolist() == [1, 1, 1, 0, 0]
    assert found.fingerprint.leaves == (2, 8)


def test_a_part_without_an_answer_is_left_out() -> None:
    records = [record(f"q/{at}", coded([-1, -1, -1, 0]), [True]) for at in range(20)]
    found = labelled_run(CONFIG, records, caps=(1,))
    parts = [found.groups.tolist().count(at) for at in range(20)]
    assert set(parts) == {1, 2}
    answered = [one.capped(1).leaves.top is not None for one in records]
    assert parts == [1 + one for one in answered]


def test_without_sizes_the_run_is_what_it_is() -> None:
    found = labelled_run(CONFIG, [record("q/0", coded([0, 1, 1, 1]), [True, False])])
    assert found.groups.tolist() == [0]
    assert found.fingerprint.leaves == (8, 8)
    with pytest.raises(CalibrationError, match="no question has an answer"):
        labelled_run(CONFIG, [record("q/0", coded([-1] * 4), [])])
