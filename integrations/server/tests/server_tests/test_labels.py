"""`/v1/labels`: calibrators learn from corrections, also of replies from before a restart."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from et_agent_server.remembering import Labelled, Remembered, default_file

from et_agent import AskResult, ScriptedModel, ask
from et_agent.calibration import Example

from .conftest import Serve
from .support import MESSAGES, Served

TEXTS = {"So \\boxed{4}": 0.7, "So \\boxed{5}": 0.3}


def label(server: Served, number: str, right: bool = True) -> Any:
    return server.client.post("/v1/labels", json={"id": number, "right": right})


def stored() -> list[tuple[Any, ...]]:
    with sqlite3.connect(default_file()) as connection:
        rows = connection.execute("SELECT * FROM replies").fetchall()
    connection.close()
    return rows


def test_a_label_moves_the_confidence(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({"So \\boxed{4}": 0.6, "So \\boxed{5}": 0.4}))
    first = server.chat(seed=0, et_agent={"instruct": True}).json()
    found = {}
    for seed in range(6):
        number = server.chat(seed=seed, et_agent={"instruct": True}).json()["id"]
        found = server.client.post("/v1/labels", json={"id": number, "right": False}).json()
        assert found["learnt"]
    assert found["labels"] == 6
    again = server.client.post("/v1/labels", json={"id": number, "right": False}).json()
    assert not again["learnt"]
    last = server.chat(seed=0, et_agent={"instruct": True}).json()["et_agent"]
    assert last["calibration"]["source"] == "own"
    assert last["confidence"] < first["et_agent"]["confidence"]
    other = server.client.post("/v1/labels", json={"id": number, "right": True})
    assert other.status_code == 400
    assert other.json()["error"]["param"] == "right"


def test_a_streamed_reply_can_be_labelled(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({"So \\boxed{4}": 0.7, "So \\boxed{5}": 0.3}))
    number = server.events()[-1]["id"]
    assert server.client.post("/v1/labels", json={"id": number, "right": True}).json()["learnt"]


def test_only_the_last_replies_are_remembered(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts({"So \\boxed{4}": 0.7, "x": 0.3}), most_labels=2)
    numbers = [server.chat().json()["id"] for _ in range(3)]
    codes = [
        server.client.post("/v1/labels", json={"id": number, "right": True}).status_code
        for number in numbers
    ]
    assert codes == [404, 200, 200]


def test_a_reply_from_before_a_restart_can_be_labelled(serve: Serve) -> None:
    before = serve(ScriptedModel.from_texts(TEXTS))
    plain, gated = before.chat(seed=1), before.chat(model="scripted:gated", seed=2)
    streamed = before.events(seed=3)[-1]["id"]
    before.stop()
    after = serve(ScriptedModel.from_texts(TEXTS))
    for number in (plain.json()["id"], gated.json()["id"], streamed):
        assert label(after, number).json()["learnt"]
        assert not label(after, number).json()["learnt"]


def test_another_server_finds_it_too(serve: Serve) -> None:
    one, other = serve(ScriptedModel.from_texts(TEXTS)), serve(ScriptedModel.from_texts(TEXTS))
    assert label(other, one.chat().json()["id"]).status_code == 200
    assert label(one, other.chat().json()["id"]).status_code == 200


def test_no_text_is_written_down(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS))
    system = {"role": "system", "content": "Be a careful clerk."}
    number = server.chat(messages=[system, *MESSAGES]).json()["id"]
    written = str(stored())
    assert number in written
    for text in ("careful", "legs", "boxed"):
        assert text not in written
    assert label(server, number).status_code == 200  # this process knows the prompt


def test_a_prompt_that_was_not_kept_is_told(serve: Serve) -> None:
    system = [{"role": "system", "content": "Be a careful clerk."}, *MESSAGES]
    before = serve(ScriptedModel.from_texts(TEXTS))
    number = before.chat(messages=system).json()["id"]
    later = serve(ScriptedModel.from_texts(TEXTS))
    refused = label(later, number)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "id"
    assert "--log-texts" in refused.json()["error"]["message"]
    assert label(before, number).status_code == 200
    # The calibrator that has learnt carries the prompt.
    other = before.chat(messages=system).json()["id"]
    assert label(later, other).status_code == 200


def test_texts_are_kept_where_the_log_may_have_them(serve: Serve) -> None:
    system = [{"role": "system", "content": "Be a careful clerk."}, *MESSAGES]
    before = serve(ScriptedModel.from_texts(TEXTS), log_texts=True)
    number = before.chat(messages=system).json()["id"]
    assert "careful" in str(stored())
    later = serve(ScriptedModel.from_texts(TEXTS), log_texts=True)
    assert label(later, number).status_code == 200
    assert later.state.remembered.find(number).question == MESSAGES[0]["content"]


def test_the_file_is_bounded_and_private(serve: Serve) -> None:
    server = serve(ScriptedModel.from_texts(TEXTS), most_labels=3)
    numbers = [server.chat().json()["id"] for _ in range(8)]
    assert [row[1] for row in stored()] == numbers[-3:]
    if os.name == "posix":
        assert default_file().stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("broken", ["folder", "garbage", "damaged"])
def test_a_file_that_cannot_be_used_costs_no_reply(
    serve: Serve, broken: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = default_file()
    file.parent.mkdir(parents=True)
    if broken == "folder":
        file.mkdir()
    elif broken == "garbage":
        file.write_bytes(b"no database" * 1000)
    server = serve(ScriptedModel.from_texts(TEXTS))
    if broken == "damaged":
        server.chat()
        with sqlite3.connect(file) as connection:
            connection.execute("DROP TABLE replies")
        connection.close()
    number = server.chat().json()["id"]
    assert label(server, number).json()["learnt"]
    assert label(server, "chatcmpl-none").status_code == 404


def test_a_killed_process_loses_nothing() -> None:
    """What was remembered is found by another process, though the first one ended at once."""
    program = """
import os, sys
from types import SimpleNamespace
from et_agent import ScriptedModel, ask
from et_agent_server.remembering import Remembered
with ScriptedModel.from_texts({"\\\\boxed{4}": 1.0}) as model:
    result = ask(model, "How many?", seed=int(sys.argv[1]))
kept = Remembered(1000)
for number in range(20):
    call = SimpleNamespace(id=f"{sys.argv[1]}-{number}")
    kept.keep(SimpleNamespace(call=call, result=result, decision=None))
os._exit(9)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", program, str(one)], env=environment)
        for one in range(2)
    ]
    assert [one.wait(60) for one in running] == [9, 9]
    kept = Remembered(1000)
    for process in range(2):
        for number in range(20):
            assert kept.find(f"{process}-{number}") is not None
    kept.close()


def test_an_empty_prompt_needs_no_text_to_be_known() -> None:
    with ScriptedModel.from_texts(TEXTS) as model:
        result: AskResult = ask(model, "How many?", system_prompt="")
    example = Example.of(result)
    hidden = Labelled(example, None, "4", "How many?").without_texts()
    assert not hidden.example.hides_texts
    assert hidden.example == example
    assert (hidden.answer, hidden.question) == (None, None)


def test_nothing_is_made_before_there_is_something_to_keep(tmp_path: Path) -> None:
    kept = Remembered(10, path=tmp_path / "none" / "replies.sqlite")
    assert kept.find("x") is None
    kept.close()
    assert not (tmp_path / "none").exists()
