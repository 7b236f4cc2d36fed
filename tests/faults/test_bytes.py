"""Flipped bytes in what is kept: found, named, and the sound part is there."""

import json
import logging
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from et_agent import AskResult, MultiChain, ScriptedModel, ask
from et_agent.calibration import Calibrator, Example, learn
from et_agent.calibration.finding import find_calibrator
from et_agent.cli.chat_files import Chat, Turn, chats_folder, find_chat, new_chat, saved_chats
from et_agent.decoding.thresholds import find_thresholds, save_thresholds
from et_agent.errors import CalibrationError, EtAgentError, SettingsError, StoreError
from et_agent.gate import Decision, DecisionLog
from tests.faults.writers import WRITERS

pytestmark = pytest.mark.fault("flipped bytes")


def flips(content: bytes, count: int, seed: int = 0) -> Iterator[bytes]:
    """The same with one byte changed, so many times."""
    draw = random.Random(seed)
    for _ in range(count):
        changed = bytearray(content)
        at = draw.randrange(len(changed))
        changed[at] ^= draw.randrange(1, 256)
        yield bytes(changed)


def traces(log: DecisionLog) -> dict[str, str]:
    """All that is read of a log, by decision."""
    right = {one.trace_id: one.right for one in log.labels()}
    log.report(), log.confidences()
    return {one.trace_id: f"{one} {right.get(one.trace_id)}" for one in log.entries(100)}


def test_a_decision_log_gives_what_was_stored_or_names_what_is_not(
    tmp_path: Path, decision: Decision, result: AskResult
) -> None:
    path = tmp_path / "log.sqlite"
    with DecisionLog(path, keep_texts=True) as log:
        for trace in "abcdef":
            changes = {"trace_id": trace * 32, "question": "why? " * 300}
            log.record(decision.model_copy(update=changes), result)
        log.label("c" * 32, True)
        stored = traces(log)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    whole, named = path.read_bytes(), 0
    for changed in flips(whole, 80):
        path.write_bytes(changed)
        try:
            with DecisionLog(path) as log:
                found, damaged = traces(log), log.damaged()
        except StoreError:
            continue  # SQLite cannot read it at all
        assert found.items() <= stored.items()
        assert len(found) + len(damaged) >= len(stored) - 1
        named += bool(damaged)
    assert named > 20


@pytest.mark.parametrize(
    "change",
    [
        "confidence = 0.99",
        "action = 'answer!'",
        "correct = 1 - correct",
        "example = 'x'",
        "reviews = '{'",
        "threshold = 0",
        "reason = CAST(x'ff' AS TEXT)",
        "trace = CAST(x'ff' AS TEXT)",
    ],
)
def test_a_changed_column_of_a_decision_is_found(
    change: str,
    tmp_path: Path,
    decision: Decision,
    result: AskResult,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "log.sqlite"
    with DecisionLog(path) as log:
        for trace in ("one", "two"):
            log.record(decision.model_copy(update={"trace_id": trace}), result)
            log.label(trace, False)
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE decisions SET {change} WHERE trace = 'one'")
        connection.close()
        assert [one.trace_id for one in log.entries(10)] == ["two"]
        assert [one.trace_id for one in log.labels()] == ["two"]
        with caplog.at_level(logging.WARNING, "et_agent.gate"):
            report = log.report()
        assert (report.decisions, report.labelled, report.damaged) == (1, 1, 1)
        name = "\\xff" if change.startswith("trace") else "one"
        assert f"damaged decisions are left out: {name}" in caplog.text
        with pytest.raises(StoreError, match="no decision"):
            log.label("one", True)
        log.record(decision.model_copy(update={"trace_id": "one"}), result)
        assert [one.trace_id for one in log.labels()] == ["two"], "no label of a damaged decision"
        log.label("two", True)
        assert {one.right for one in log.labels()} >= {True}


def test_a_calibrator_is_what_was_written_or_damaged(tmp_path: Path, result: AskResult) -> None:
    made = Calibrator.general(1, fingerprint=Example.of(result).fingerprint)
    path = made.save(tmp_path / "one.json")
    whole, expected, told = path.read_bytes(), made.document(), list[str]()
    assert Calibrator.load(path).document() == expected
    for changed in flips(whole, 150):
        path.write_bytes(changed)
        try:
            assert Calibrator.load(path).document() == expected
        except CalibrationError as error:
            told.append(str(error))
    assert told
    assert all("one.json" in one for one in told)
    unsealed = json.loads(whole)
    del unsealed["digest"]
    path.write_text(json.dumps(unsealed))
    assert Calibrator.load(path).document() == expected, "as earlier versions wrote it"


def test_labels_that_a_calibrator_learnt_are_those_that_were_given(result: AskResult) -> None:
    path = learn(result, True).path
    whole = path.read_bytes()
    changed = whole.replace(b'"right": true', b'"right": false')
    assert changed != whole
    path.write_bytes(changed)
    with ScriptedModel.from_texts({"So \\boxed{4}": 1.0}) as model:
        again = ask(model, "?", decoder=MultiChain(leaves=2), kind="number")
    assert any("damaged" in note for note in again.notes)
    held = find_calibrator(Example.of(result).fingerprint)
    assert held is None or held.source != "own"


def test_a_pilot_is_what_was_written_or_damaged(result: AskResult, decision: Decision) -> None:
    first, _ = WRITERS["pilot"](Path(), result, decision)
    path = first()
    assert isinstance(path, Path)
    whole, told = path.read_bytes(), list[str]()
    expected = find_thresholds(path.stem)
    assert expected is not None
    for changed in flips(whole, 100):
        path.write_bytes(changed)
        try:
            assert find_thresholds(path.stem) == expected
        except SettingsError as error:
            told.append(str(error))
    assert told
    assert all(path.name in one for one in told)
    assert save_thresholds(expected) == path


def conversation(result: AskResult) -> Chat:
    turns = tuple(Turn(question=f"{at}?", reply=f"{at}", result=result) for at in range(4))
    chat = new_chat("m", "Be brief.", "?").model_copy(update={"turns": turns})
    chat.save()
    return chat


def test_a_conversation_goes_on_from_its_sound_turns(
    result: AskResult, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = conversation(result)
    path = chats_folder() / f"{chat.name}.json"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"reply": "2"', b'"reply": "9"'))
    assert [one.name for one in saved_chats()] == [chat.name], "it is listed as it is found"
    assert capsys.readouterr().err == ""
    found = find_chat(chat.name)
    assert [turn.reply for turn in found.turns] == ["0", "1"]
    assert found.name == f"{chat.name}-2"
    assert f"{path.name} is damaged after 2 turns" in capsys.readouterr().err
    found.save()
    assert path.read_bytes() != whole, "the damaged file stays as it is"
    assert len(find_chat(found.name).turns) == 2


def test_a_conversation_is_what_was_said_or_its_beginning(
    result: AskResult, capsys: pytest.CaptureFixture[str]
) -> None:
    chat = conversation(result)
    path = chats_folder() / f"{chat.name}.json"
    expected = find_chat(str(path))
    kept, told = 0, list[str]()
    for changed in flips(path.read_bytes(), 100):
        path.write_bytes(changed)
        try:
            found = find_chat(str(path))
        except EtAgentError as error:
            told.append(str(error))
            continue
        assert found.turns == expected.turns[: len(found.turns)]
        kept += 0 < len(found.turns) < 4
    assert kept > 20
    assert all(path.name in one for one in told)
    capsys.readouterr()
