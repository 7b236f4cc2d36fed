"""The samples are there without a network, and every question can be graded."""

import socket
from pathlib import Path

import pytest

from et_agent.answers import AnswerKind
from et_agent.evaluation.datasets import DATASETS, load_items
from et_agent.evaluation.grading import gold_answers, is_right

SAMPLES = {
    "svamp-sample": AnswerKind.NUMBER,
    "choice-sample": AnswerKind.CHOICE,
    "text-sample": AnswerKind.TEXT,
}


@pytest.mark.parametrize(("name", "kind"), SAMPLES.items())
def test_a_sample_is_read_and_graded(
    name: str, kind: AnswerKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    items = load_items(name)
    assert len(items) == len({item.question for item in items}) == 30
    for item in items:
        assert item.kind is kind
        assert gold_answers(item)
        assert is_right(item.golds[-1], item)


def test_choices_of_the_sample_are_spread_over_the_letters() -> None:
    letters = [item.golds[0] for item in load_items("choice-sample")]
    assert min(letters.count(letter) for letter in "ABCD") >= 5


@pytest.mark.parametrize("name", SAMPLES)
def test_a_sample_has_a_licence(name: str) -> None:
    _, _, file = DATASETS[name].licence.partition("see ")
    folder = Path(DATASETS[name].splits["test"][0].path).parent.parent
    assert name in (folder / file).read_text("utf-8")
