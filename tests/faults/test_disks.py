"""Disks that are full or read-only: an error that says so, and what was there stays."""

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from et_agent import AskResult, ScriptedModel
from et_agent.asking.options import AskOptions
from et_agent.cli.chat_files import chats_folder, new_chat
from et_agent.cli.chatting import Conversing
from et_agent.engines.prefix_file import read_prefixes
from et_agent.engines.prefix_store import PrefixStore
from et_agent.errors import EtAgentError, StoreError
from et_agent.evaluation.store import RunStore
from et_agent.gate import Decision, DecisionLog
from tests.engines.test_prefix_file import FITS, written
from tests.faults.conftest import CHAINS, QUESTION, TEXTS
from tests.faults.writers import EMPTY, WRITERS, contents

ROOT = Path(__file__).parents[2]


def fill(folder: Path) -> Path:
    """Leave no room; gives the file to remove."""
    file = folder / "filling"
    with file.open("wb", buffering=0) as written, contextlib.suppress(OSError):
        while True:
            written.write(bytes(4096))
    return file


@pytest.fixture
def on_disk(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small disk that has the user's folders too."""
    monkeypatch.setenv("ET_AGENT_CACHE", str(small_disk))
    monkeypatch.setenv("ET_AGENT_CONFIG", str(small_disk / "config.toml"))
    return small_disk


@pytest.mark.fault("disk full")
@pytest.mark.parametrize("name", [name for name in WRITERS if name not in EMPTY])
def test_a_full_disk_is_told_and_what_was_there_stays(
    name: str, on_disk: Path, result: AskResult, decision: Decision
) -> None:
    first, second = WRITERS[name](on_disk, result, decision)
    first()
    before = contents(on_disk)
    filling = fill(on_disk)
    with pytest.raises(EtAgentError, match=r"(?i)space|full|written|kept"):
        second()
    assert contents(on_disk) == before, "the old content stays, and no part of a new one"
    assert not [one for one in on_disk.rglob(".*.json.*") if one.suffix != ".lock"]
    filling.unlink()
    second()


@pytest.mark.fault("disk full")
def test_what_was_finished_is_there_after_a_full_disk(
    on_disk: Path, result: AskResult, decision: Decision
) -> None:
    for name in ("run store", "decision log"):
        first, second = WRITERS[name](on_disk, result, decision)
        first()
        filling = fill(on_disk)
        with pytest.raises(EtAgentError):
            second()
        filling.unlink()
    with RunStore(on_disk / "runs.sqlite") as store:
        assert "x/1" in store.finished(store.run("a"))
        assert not store.discard_damaged(store.run("a"))
    with DecisionLog(on_disk / "decisions.sqlite") as log:
        assert "1" in {one.trace_id for one in log.entries(100)}
        assert not log.damaged()


@pytest.mark.fault("disk full")
def test_kept_prompts_of_an_earlier_process_survive_a_full_disk(on_disk: Path) -> None:
    path = on_disk / "prefixes"
    written(path)
    before = path.read_bytes()
    fill(on_disk)
    with pytest.raises(OSError, match="No space"):  # the keeper logs it
        written(path)
    assert path.read_bytes() == before
    read_prefixes(path, PrefixStore(1 << 20), FITS)


@pytest.mark.fault("read-only home")
@pytest.mark.parametrize("name", WRITERS)
def test_a_read_only_folder_is_told(
    name: str, on_disk: Path, result: AskResult, decision: Decision
) -> None:
    first, second = WRITERS[name](on_disk, result, decision)
    first()
    subprocess.run(["mount", "-o", "remount,ro", str(on_disk)], check=True)
    with pytest.raises(EtAgentError, match=r"(?i)cannot be|read-?only"):
        second()


@pytest.mark.fault("read-only home")
@pytest.mark.model
def test_a_question_is_answered_in_a_read_only_home(
    small_disk: Path, small_model_path: Path
) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    hidden = ("ET_AGENT_", "XDG_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    environment |= {"HOME": str(small_disk), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "et_agent.cli.main", "ask", "--model", str(small_model_path)]
    command += ["--leaves", "1", "--max-tokens", "2", "--threads", "1", "--json", "2+2?"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.fault("no folder")
def test_a_conversation_that_cannot_be_kept_goes_on() -> None:
    chats_folder().parent.mkdir(parents=True, exist_ok=True)
    chats_folder().write_text("a file")
    options = AskOptions(decoder=CHAINS, kind="number")
    with (
        ScriptedModel.from_texts(TEXTS) as model,
        Conversing(
            new_chat("m", None), options, lambda _: contextlib.nullcontext(model), saves=True
        ) as talk,
    ):
        for count in (1, 2):
            with pytest.raises(StoreError, match=r"cannot be (written|kept)"):
                talk.ask(QUESTION)
            assert len(talk.chat.turns) == count
