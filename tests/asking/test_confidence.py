"""A question is answered whatever lies among the calibrators, and its result says what is no use."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from et_agent import AskResult, EntropyTree, Greedy, MultiChain, ScriptedModel, ask
from et_agent.asking.options import Calibration
from et_agent.calibration import Fingerprint
from et_agent.calibration.calibrator import Calibrator, CalibratorFile
from et_agent.calibration.finding import calibrators_folder, save_calibrator
from et_agent.calibration.maps import Isotonic
from et_agent.templates.messages import Message

QUESTION = "How many legs has a cat?"
CHAINS = MultiChain(leaves=8)
CALL = {"id": "1", "function": {"name": "look_up", "arguments": {}}}
REPLY: Message = {"role": "tool", "content": "Cats have 4 legs.", "tool_call_id": "1"}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ET_AGENT_CACHE", str(tmp_path))


def asked(calibrator: Calibration = "auto") -> AskResult:
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.8, "So \\boxed{5}": 0.2}) as model:
        return ask(model, QUESTION, decoder=CHAINS, kind="number", calibrator=calibrator)


def own_for(result: AskResult, confidence: float = 0.7) -> Path:
    """A calibrator of the user's own that is always as sure."""
    document = CalibratorFile(
        created="2026-01-01",
        fingerprint=Fingerprint.of_result(result.model_dump(mode="json")),
        data=(),
        method="isotonic",
        losses={},
        held_out={},
        mapping=Isotonic(feature="share", knots=(0.0,), values=(confidence,)),
    )
    return save_calibrator(Calibrator.from_json(document.model_dump_json()))


@pytest.mark.posix
@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.symlink_to(path),
        lambda path: os.mkfifo(path),
        Path.mkdir,
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_bytes(b"\xff"),
    ],
    ids=["link loop", "pipe", "folder", "deep", "no UTF-8"],
)
def test_a_file_that_is_no_calibrator_is_noted_and_changes_no_confidence(
    damage: Callable[[Path], object],
) -> None:
    own_for(asked())
    damage(calibrators_folder() / "0.json")
    result = asked()
    assert (result.confidence, result.calibrated) == (0.7, True)
    (note,) = result.notes
    assert note.startswith(f"a calibrator is left out: {calibrators_folder() / '0.json'} ")
    assert AskResult.model_validate_json(result.model_dump_json()).notes == (note,)
    assert asked(calibrator=None).notes == (), "none was looked for"


def test_the_calibrator_that_would_hold_is_itself_damaged() -> None:
    own = own_for(asked())
    own.write_bytes(own.read_bytes()[:-20])
    result = asked()
    assert result.calibration is not None
    assert (result.answer, result.calibration.source) == ("4", "general")
    assert f"{own} is not JSON" in " ".join(result.notes)


def test_a_confidence_says_what_it_rests_on_and_what_it_could_reach() -> None:
    general = asked().calibration
    assert general is not None
    assert (general.source, general.labels) == ("general", 0)
    assert general.notes == ("no calibrator for this model",)
    reached = Calibrator.general().largest(8, "number")
    assert (general.largest, general.largest_low) == reached
    own_for(asked())
    own = asked().calibration
    assert own is not None
    assert (own.source, own.notes, own.largest) == ("own", (), 0.7)
    assert own.largest_low == own.low


def test_the_general_map_is_nobodys_own_until_a_label_moves_it() -> None:
    general = Calibrator.general()
    before = asked(general).calibration
    assert before is not None
    assert (before.source, before.labels) == ("general", 0)
    after = asked(general.update(asked(), right=True))
    assert after.calibration is not None
    assert (after.calibration.source, after.calibrated) == ("own", True)


def test_a_calibrator_that_is_not_fitted_costs_no_answer() -> None:
    result = asked(Calibrator())
    assert result.calibration is not None
    assert result.calibration.source == "general"
    assert "not fitted" in result.calibration.notes[0]


def test_a_result_says_whether_stop_sequences_were_given() -> None:
    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}) as model:
        plain, stopped = (
            ask(model, QUESTION, decoder=CHAINS, chat="plain", stop=stop) for stop in ([], ["Q:"])
        )
    assert (plain.stops, stopped.stops) == (False, True)
    found = [Fingerprint.of_result(one.model_dump(mode="json")) for one in (plain, stopped)]
    assert found[0].problems(found[1]) == ["stop sequences"]


@pytest.mark.parametrize(
    ("before", "source"),
    [
        ([], "own"),
        ([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}], "own"),
        ([{"role": "user", "content": "Hi"}, {"role": "system", "content": "Lie."}], "general"),
        ([{"role": "assistant", "content": "", "tool_calls": [CALL]}, REPLY], "general"),
    ],
    ids=["nothing", "a turn", "a later system message", "a tool"],
)
def test_a_calibrator_holds_after_turns_that_were_measured(
    before: list[Message], source: str
) -> None:
    own_for(asked())
    question: list[Message] = [*before, {"role": "user", "content": QUESTION}]
    with ScriptedModel.from_texts({"So \\boxed{4}": 0.8, "So \\boxed{5}": 0.2}) as model:
        result = ask(model, question, decoder=CHAINS, kind="number")
    assert result.calibration is not None
    assert result.calibration.source == source
    assert result.informed == (source == "general")
    assert Fingerprint.of_result(result.model_dump(mode="json")).informed == result.informed


HISTORY: list[Message] = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": QUESTION},
]
AGE = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "add", "description": "Adds.", "parameters": AGE},
}


@pytest.mark.parametrize(
    ("question", "options"),
    [
        (QUESTION, {}),
        (HISTORY, {}),
        (QUESTION, {"system_prompt": "You are a pirate."}),
        (QUESTION, {"system_prompt": ""}),
        (QUESTION, {"stop": ["Question:"]}),
        (QUESTION, {"tools": [TOOL]}),
        (QUESTION, {"schema": AGE}),
        (QUESTION, {"kind": "text"}),
        (QUESTION, {"decoder": EntropyTree(temperature=0.3)}),
        (QUESTION, {"decoder": EntropyTree(leaves=2)}),
        (QUESTION, {"decoder": EntropyTree(leaves=24)}),
        (QUESTION, {"decoder": EntropyTree(schedule="stratified", leaves=4)}),
        (QUESTION, {"decoder": EntropyTree(leaves=4, batch=2, stop_above=0.6)}),
        (QUESTION, {"decoder": MultiChain(leaves=3)}),
        (QUESTION, {"decoder": Greedy()}),
        ("Wie viel sind 15 % von 240?", {}),
    ],
)
def test_every_answer_has_a_confidence_that_says_what_it_rests_on(
    question: Any, options: dict[str, Any]
) -> None:
    texts = {'{"age": 4}': 1.0} if "schema" in options else {"So \\boxed{4}": 1.0}
    with ScriptedModel.from_texts(texts) as model:
        result = ask(model, question, **options)
    assert result.answer is not None
    assert result.confidence is not None
    assert result.calibration is not None
    assert (result.calibrated, result.calibration.source) == (False, "general")
    low, high = result.calibration.interval
    assert 0 < low <= result.confidence <= high < 1
    assert result.calibration.notes, "why it is not better"
    assert AskResult.model_validate_json(result.model_dump_json()) == result
