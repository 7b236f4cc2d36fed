import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from et_agent.calibration import FEATURES, Example, features_of, learn
from et_agent.calibration.calibrator_file import LEARNT
from et_agent.calibration.finding import save_calibrator
from et_agent.errors import CalibrationError, DataError
from et_agent.evaluation.calibrating import (
    Labelled,
    calibrate,
    labelled_file,
    labelled_run,
)
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
    assert found.unanswered == 1


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
    with pytest.raises(CalibrationError, match="sums: none of 1 question has an answer"):
        labelled_run(CONFIG, [record("q/0", coded([-1] * 4), [])])


@pytest.mark.parametrize("single", [True, False])
def test_labels_given_while_working_count_in_a_fit_that_replaces_theirs(single: bool) -> None:
    sets = [labelled_run(CONFIG, [record("q/0", coded([0, 1, 1, 1]), [True, False])])]
    leaves = coded([0, 0, 0, 1])
    for number in range(3):
        label = Example(
            fingerprint=sets[0].fingerprint.model_copy(update={"single": single}),
            features=features_of(leaves),
            kind="number",
            identity=str(number),
        )
        learnt = learn(label, number > 0)
    found = calibrate(sets, method="pooled", keep_learnt=True)
    assert [(one.name, one.questions, one.right) for one in found.data] == [
        ("sums", 1, 0),
        (LEARNT, 3, 2),
    ]
    assert found.learnt_ == learnt.calibrator.learnt_
    assert found.fingerprint is not None
    assert learnt.calibrator.fingerprint is not None
    assert found.fingerprint.is_as(learnt.calibrator.fingerprint), "it covers what theirs did"
    assert save_calibrator(found) == learnt.path
    assert not learn(label, True).is_new, "it still counts once"
    alone = calibrate(sets, method="pooled")
    assert (alone.labels, alone.learnt_) == (1, ())


RESULT: dict[str, Any] = {
    "question": "How many legs has a cat?",
    "answer": "4",
    "instruction": "Think.",
    "single": True,
    "kind": "number",
    "chat": "model",
    "share": 0.5,
    "features": dict.fromkeys(FEATURES, 0.5),
    "model": {"fingerprint": "ab" * 32},
    "decoder": {"name": "MultiChain", "leaves": 8},
    "right": True,
}


def read(folder: Path, *changes: Mapping[str, Any]) -> Labelled:
    path = folder / "labels.jsonl"
    lines = [json.dumps({**RESULT, **one}, ensure_ascii=False) for one in changes]
    path.write_text("\n".join(lines), "utf-8")
    return labelled_file(path)


def test_a_result_that_is_not_whole_is_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.jsonl"
    cut = {name: value for name, value in RESULT.items() if name not in ("kind", "chat")}
    path.write_text(json.dumps(cut), "utf-8")
    with pytest.raises(DataError, match=r"line 1: the result lacks kind, chat: add only"):
        labelled_file(path)


@pytest.mark.parametrize(("label", "right"), [(True, 1), (1, 1), (1.0, 1), (False, 0), (0, 0)])
def test_labels_of_a_file(tmp_path: Path, label: object, right: int) -> None:
    assert read(tmp_path, {"right": label}).right.tolist() == [right]


@pytest.mark.parametrize("label", ["False", "true", 2, -1, 0.5, None, math.nan, [True], {}])
def test_what_is_no_label_is_refused_with_its_line(tmp_path: Path, label: object) -> None:
    with pytest.raises(DataError, match=r'line 2, "right": a label is .*: labels are'):
        read(tmp_path, {}, {"right": label})


@pytest.mark.parametrize("labels", [(True, False), (0, 1)])
def test_labels_that_contradict_each_other_name_the_question(
    tmp_path: Path, labels: tuple[object, object]
) -> None:
    first, second = ({"right": label, "seed": seed} for seed, label in enumerate(labels))
    said = r"the answer '4' to the question 'How many legs has a cat\?' is labelled (\w+) in line 1"
    with pytest.raises(DataError, match=said) as caught:
        read(tmp_path, first, {"question": "Another?", "right": False}, second)
    assert "in line 3: correct one of them" in str(caught.value)


def test_another_answer_or_another_conversation_may_have_another_label(tmp_path: Path) -> None:
    found = read(tmp_path, {}, {"answer": "5", "right": False}, {"seed": 2})
    assert found.right.tolist() == [1, 0, 1]
    found = read(tmp_path, {"single": False}, {"single": False, "right": False})
    assert found.right.tolist() == [1, 0]


def test_results_without_an_answer_are_counted(tmp_path: Path) -> None:
    found = read(tmp_path, {}, {"features": {}, "answer": None, "right": False})
    assert (found.data.questions, found.unanswered) == (1, 1)
    with pytest.raises(CalibrationError, match="no result with an answer"):
        read(tmp_path, {"features": {}})


def test_lines_without_a_label_are_counted_if_others_have_one(tmp_path: Path) -> None:
    read(tmp_path, {})
    path = tmp_path / "labels.jsonl"
    bare = json.dumps({name: one for name, one in RESULT.items() if name != "right"})
    path.write_text(f"{path.read_text()}\n{bare}\n")
    found = labelled_file(path)
    assert (found.data.questions, found.unlabelled, found.unanswered) == (1, 1, 0)
    path.write_text(bare)
    with pytest.raises(DataError, match=r"labels\.jsonl has no label: use `et-agent label "):
        labelled_file(path)


def test_line_separators_within_a_text_end_no_line(tmp_path: Path) -> None:
    found = read(tmp_path, {"question": "One\u2028line\x85or two?"}, {"right": True})
    assert found.data.questions == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"decoder": "x"},
        {"decoder": {"leaves": math.inf}},
        {"decoder": None},
        {"model": None},
        {"share": None},
        {"share": "much"},
        {"features": {"share": "high"}},
        {"kind": "mood"},
        {"instruction": 3},
    ],
)
def test_damaged_results_are_told_with_their_line(
    tmp_path: Path, changes: Mapping[str, Any]
) -> None:
    with pytest.raises(DataError, match="line 2: "):
        read(tmp_path, {}, changes)


@pytest.mark.parametrize("line", ["{", "[" * 100_000, "[]", "{}"])
def test_lines_that_are_no_labelled_results(tmp_path: Path, line: str) -> None:
    path = tmp_path / "labels.jsonl"
    path.write_text(f"\ufeff{json.dumps(RESULT)}\n{line}\n", "utf-8")
    with pytest.raises(DataError, match="line 2"):
        labelled_file(path)
