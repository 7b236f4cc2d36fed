"""Numbers that contradict each other are an error, and never a confidence."""

import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from et_agent import AskResult, EntropyTree, MultiChain, ScriptedModel, ask
from et_agent.asking import reporting
from et_agent.calibration import Calibrator
from et_agent.calibration.confidence import Confidence
from et_agent.decoding.attention import AttentionSums
from et_agent.decoding.tree import ForkKind, Tree
from et_agent.engines.base import Batch, Step
from et_agent.errors import CalibrationError, DecodeError, EtAgentError

TEXTS = {"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}
QUESTION = "How many legs has a cat?"
TREE = EntropyTree(schedule="stratified", leaves=6, temperature=1)


@pytest.fixture(scope="module")
def sound() -> dict[str, Any]:
    with ScriptedModel.from_texts(TEXTS) as model:
        result = ask(model, QUESTION, decoder=TREE, kind="number", alternatives=2)
    assert result.answer is not None
    assert result.confidence is not None
    found: dict[str, Any] = json.loads(result.model_dump_json())
    assert AskResult.model_validate(found) == result
    return found


def changed(found: dict[str, Any], path: tuple[str | int, ...], value: object) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(found))
    *above, last = path
    at: Any = copy
    for step in above:
        at = at[step]
    at[last] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("share",), 0.99),
        (("share",), 1.5),
        (("confidence",), 1.01),
        (("confidence",), math.nan),
        (("complete",), False),
        (("answer",), None),
        (("answer",), "5000"),
        (("ess",), 99.0),
        (("ess",), 0.2),
        (("margin",), -0.1),
        (("cut_off_share",), 2.0),
        (("predictive_entropy",), -0.5),
        (("predictive_entropy_normalised",), 1.5),
        (("distribution", 0, "share"), 0.999),
        (("distribution", 0, "share_by_count"), 0.999),
        (("distribution", 0, "leaves"), 0),
        (("calibration", "interval"), [0.9, 0.1]),
        (("calibration", "largest"), 1.2),
        (("tree", "leaves", 0, "weight"), 0.01),
        (("tree", "leaves", 0, "weight"), -1.0),
        (("tree", "leaves", 0, "mean_log_prob"), 0.5),
        (("tree", "nodes", 1, "weight"), 0.9999),
        (("tree", "nodes", 1, "share"), 1.5),
        (("tree", "nodes", 1, "parent"), 1),
        (("tree", "nodes", 0, "entropies", 0), -1.0),
        (("tree", "nodes", 0, "log_probs", 0), 0.1),
        (("tree", "nodes", 0, "alternatives", 0, 0, "probability"), 1.5),
    ],
    ids=str,
)
def test_a_result_whose_numbers_contradict_each_other_is_refused(
    sound: dict[str, Any], path: tuple[str | int, ...], value: object
) -> None:
    with pytest.raises(ValidationError):
        AskResult.model_validate(changed(sound, path, value))


def test_answers_that_read_the_same_may_have_other_shares(sound: dict[str, Any]) -> None:
    read = changed(sound, ("distribution", 1, "answer"), sound["answer"])
    assert AskResult.model_validate(read).answer == sound["answer"]


def test_a_tree_that_weighs_too_much_gives_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Tree.weights
    monkeypatch.setattr(Tree, "weights", lambda self: whole(self) * 1.2)
    with ScriptedModel.from_texts(TEXTS) as model, pytest.raises(EtAgentError, match="sum to"):
        ask(model, QUESTION, decoder=TREE)


def test_a_contradiction_is_the_models_or_our_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporting, "effective_sample_size", lambda _: 1000.0)
    with ScriptedModel.from_texts(TEXTS) as model:
        with pytest.raises(DecodeError, match=r"contradict each other.*sample size"):
            ask(model, QUESTION, decoder=TREE)
        monkeypatch.undo()
        assert ask(model, QUESTION, decoder=TREE).answer == "4"


@pytest.mark.parametrize("values", [(0.5, 0.6, 0.9), (math.nan, 0.0, 1.0), (1.2, 0.0, 1.3)])
def test_what_is_no_probability_is_no_confidence(values: tuple[float, float, float]) -> None:
    value, low, high = values
    with pytest.raises(CalibrationError, match="no confidence"):
        Confidence(value, (), None, (low, high))


def test_a_map_that_gives_nonsense_costs_the_confidence_and_not_the_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Calibrator, "_bounded", lambda _self, _rows, found: found * math.nan)
    with ScriptedModel.from_texts(TEXTS) as model:
        result = ask(model, QUESTION, decoder=TREE, kind="number")
    assert (result.answer, result.confidence) == ("4", None)
    assert any("no confidence" in note for note in result.notes)


@pytest.mark.parametrize("shares", [(1.5, -0.5), (-0.25, 1.25), (0.5, 0.6), (math.nan, 0.5)])
def test_a_fork_takes_probabilities_alone(shares: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="share"):
        Tree(3).fork(0, 0, ForkKind.DISTINCT, 0.5, shares[0], [shares[1]])


def test_a_fork_without_children_keeps_all() -> None:
    tree = Tree(3)
    tree.fork(0, 0, ForkKind.DISTINCT, 0.5, 1.0, [])
    assert tree.weights().tolist() == [1.0]


def nonsense(kind: str) -> Callable[[Any], NDArray[np.float32]]:
    def script(path: Any) -> NDArray[np.float32]:
        row = np.full(len(path), 1 / len(path), dtype=np.float32)
        if kind == "NaN":
            row[0] = math.nan
        elif kind == "too much":
            row *= 2
        else:
            row[0], row[-1] = -0.5, row[-1] + row[0] + 0.5
        return row

    return script


@pytest.mark.parametrize("kind", ["NaN", "too much", "negative"])
def test_attention_that_is_no_share_is_an_error(kind: str) -> None:
    model = ScriptedModel.from_texts(TEXTS, attention=nonsense(kind))
    with model, pytest.raises(DecodeError, match="attention"):
        ask(model, QUESTION, decoder=TREE, attention=True)


def test_attention_is_checked_for_every_engine() -> None:
    sums = AttentionSums(2, Tree(2).branches)
    sums.note(0, np.array([0.25, 0.75], dtype=np.float32))
    with pytest.raises(DecodeError, match="attention"):
        sums.note(0, np.array([0.25, 0.25], dtype=np.float32))


@pytest.mark.parametrize("change", ["fewer rows", "fewer tokens"])
def test_logits_of_another_shape_are_an_error(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ScriptedModel.decode

    def decode(self: ScriptedModel, batch: Batch) -> Step:
        step = whole(self, batch)
        logits = step.logits[:-1] if change == "fewer rows" else step.logits[:, :-1].copy()
        return Step(logits, step.attention)

    monkeypatch.setattr(ScriptedModel, "decode", decode)
    with ScriptedModel.from_texts(TEXTS) as model, pytest.raises(DecodeError, match="logits"):
        ask(model, QUESTION, decoder=MultiChain(leaves=2))
