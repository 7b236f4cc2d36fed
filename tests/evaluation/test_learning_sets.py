import json
from pathlib import Path

import pytest

from et_agent.answers import AnswerKind
from et_agent.errors import DataError, SettingsError
from et_agent.evaluation.datasets import locating
from et_agent.evaluation.learning_sets import (
    LearningSet,
    chosen_kinds,
    interleaved,
    own_sets,
    public_sets,
)
from tests.evaluation.conftest import sums

KINDS = (AnswerKind.NUMBER, AnswerKind.CHOICE, AnswerKind.TEXT)


def offline(url: str) -> bytes:
    raise OSError("no network")


def mixed(path: Path) -> str:
    rows = [
        {"question": "1+1?", "answer": 2, "kind": "number"},
        {"question": "Which?", "choices": ["x", "y"], "answer": "y", "kind": "choice"},
        {"question": "2+2?", "answer": 4, "kind": "number"},
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def test_kinds_by_name() -> None:
    assert chosen_kinds("text, number,text") == (AnswerKind.TEXT, AnswerKind.NUMBER)
    for given in ("mood", "number,auto"):
        with pytest.raises(
            SettingsError, match=r"there is no answer kind .* choose from number, m"
        ):
            chosen_kinds(given)
    with pytest.raises(SettingsError, match="no answer kind is given"):
        chosen_kinds(" , ")


def test_without_files_and_network_the_samples_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating, "_download", offline)
    told: list[str] = []
    sets = public_sets(KINDS, tell=told.append)
    assert [(one.data, one.kind) for one in sets] == [
        ("svamp-sample", AnswerKind.NUMBER),
        ("choice-sample", AnswerKind.CHOICE),
        ("text-sample", AnswerKind.TEXT),
    ]
    assert [len(one.items) for one in sets] == [30, 30, 30]
    assert len(told) == 7
    assert told[0].startswith("gsm8k:train is left out: gsm8k/train.jsonl of gsm8k is not in the")
    assert told[2] == "the questions of svamp-sample are used"
    again = public_sets(KINDS, tell=told.append)
    assert [one.items for one in again] == [one.items for one in sets]
    assert public_sets(KINDS, seed=1, tell=told.append)[0].items != sets[0].items


def test_a_set_that_is_at_hand_is_enough(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating, "_download", offline)
    monkeypatch.setenv("ET_AGENT_DATA", str(tmp_path))
    (tmp_path / "svamp").mkdir()
    row = {"Body": "Dan had 3", "Question": "How many?", "Answer": 3.0, "Type": "Addition"}
    rows = [{"ID": f"chal-{number}", **row} for number in range(310)]
    (tmp_path / "svamp/SVAMP.json").write_text(json.dumps(rows))
    told: list[str] = []
    (one,) = public_sets([AnswerKind.NUMBER], tell=told.append)
    assert (one.data, len(one.items), len(told)) == ("svamp:train", 10, 1)


def test_there_are_no_public_questions_of_some_kinds() -> None:
    with pytest.raises(SettingsError, match=r"of the kind math: .* with --data"):
        public_sets([AnswerKind.MATH], tell=print)


def test_questions_of_ones_own(tmp_path: Path) -> None:
    file = mixed(tmp_path / "mine.jsonl")
    number, choice = own_sets([file, file])
    assert (number.data, number.kind, len(number.items)) == (file, AnswerKind.NUMBER, 2)
    assert (choice.kind, len(choice.items)) == (AnswerKind.CHOICE, 1)
    assert own_sets([file], {AnswerKind.CHOICE}) == [choice]
    with pytest.raises(SettingsError, match="no question is of the kind text: leave this kind out"):
        own_sets([file], {AnswerKind.TEXT})
    with pytest.raises(DataError, match="there is no file"):
        own_sets([str(tmp_path / "absent.jsonl")])


def test_sets_take_turns() -> None:
    items = sums(5)
    one, other = (
        LearningSet(name, AnswerKind.NUMBER, tuple(some))
        for name, some in (("one", items[:3]), ("other", items[3:]))
    )
    turns = [(data.data, item.id) for data, item in interleaved([one, other])]
    assert [name for name, _ in turns] == ["one", "other", "one", "other", "one"]
    assert [item for _, item in turns] == ["sums/0", "sums/3", "sums/1", "sums/4", "sums/2"]
    assert list(interleaved([])) == []
