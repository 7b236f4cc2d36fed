"""Several processes on every file that et-agent changes: nothing is lost, or the second is refused."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from et_agent import AskResult
from et_agent.calibration import Calibrator
from et_agent.cli.chat_files import find_chat
from et_agent.config import read_config, set_value, unset_value
from et_agent.engines.llama_cpp.trial import _keep_verdict, _read_verdicts
from et_agent.engines.llama_cpp.tuning import Tuning, find_tuning, keep_tuning
from et_agent.engines.prefix_file import PrefixFileError, read_prefixes
from et_agent.engines.prefix_store import PrefixStore
from et_agent.errors import StoreError
from et_agent.evaluation.archive import ArchivedRun, RunArchive
from et_agent.gate import Decision, DecisionLog
from et_agent.storage import alone_with
from et_agent.weights.files import recorded_sha256, remember_sha256
from tests.engines.test_prefix_file import FITS, written
from tests.evaluation.conftest import record, table
from tests.faults.test_bytes import conversation

pytestmark = [pytest.mark.posix, pytest.mark.fault("two processes on one file")]
PROCESSES = 4
EACH = 8


def at_once(work: Callable[[int], object], processes: int = PROCESSES) -> Sequence[str]:
    """Do something in several processes that begin together; what each returned or raised."""
    start_read, start = os.pipe()
    pipes, children = [], []
    for number in range(processes):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                os.close(start)
                os.read(start_read, 1)
                said = str(work(number))
            except BaseException as error:
                said = f"{type(error).__name__}: {error}"
            os.write(write, said.encode())
            os._exit(0)
        os.close(write)
        pipes.append(read)
        children.append(child)
    os.close(start)
    os.close(start_read)
    told = []
    for read in pipes:
        with os.fdopen(read, encoding="utf-8") as pipe:
            told.append(pipe.read())
    for child in children:
        os.waitpid(child, 0)
    return told


def test_decisions_labels_and_claims(tmp_path: Path, decision: Decision, result: AskResult) -> None:
    path = tmp_path / "log.sqlite"

    def work(number: int) -> None:
        with DecisionLog(path) as log:
            for at in range(EACH):
                trace = f"{number}-{at}"
                log.record(decision.model_copy(update={"trace_id": trace}), result)
                log.label(trace, at % 2 == 0)
                log.claim("same")
                log.report()

    assert at_once(work) == ["None"] * PROCESSES
    with DecisionLog(path) as log:
        assert len(log.entries(1000)) == log.report().labelled == PROCESSES * EACH
        assert not log.damaged()
        assert log._read("SELECT late FROM claims") == [(PROCESSES * EACH - 1,)]


def test_settings() -> None:
    names = ("threads", "prefix_memory", "model")

    def work(number: int) -> None:
        for at in range(1, 20):
            set_value(names[number], str(at))
        if names[number] == "model":
            unset_value("model")

    assert at_once(work, 3) == ["None"] * 3
    assert read_config().model_dump(exclude_none=True) == {"threads": 19, "prefix_memory": 19}


def test_a_calibrator_that_is_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "one.json"

    def work(number: int) -> None:
        for _ in range(10):
            Calibrator.general(10 ** (number + 6)).save(path)
            Calibrator.load(path)

    assert at_once(work) == ["None"] * PROCESSES
    assert [one.name for one in tmp_path.glob("*one.json*")] == ["one.json"]


def test_runs_of_an_archive(tmp_path: Path) -> None:
    path = tmp_path / "runs.xz"

    def work(number: int) -> None:
        for at in range(3):
            one = ArchivedRun("a", {"seed": at}, [record("x/0", table([0]), [True])], 1)
            RunArchive(path).put({f"{number}-{at}": one})

    assert at_once(work) == ["None"] * PROCESSES
    assert len(RunArchive(path)) == 3 * PROCESSES


def test_kept_prompts_are_those_of_one_process(tmp_path: Path) -> None:
    path = tmp_path / "prefixes"

    def work(number: int) -> None:
        del number
        for _ in range(10):
            written(path)
            try:
                read_prefixes(path, PrefixStore(1 << 20), FITS)
            except PrefixFileError as error:
                raise AssertionError("a part of a file was read") from error

    assert at_once(work) == ["None"] * PROCESSES
    assert read_prefixes(path, PrefixStore(1 << 20), FITS)


def test_records_of_checksums(tmp_path: Path) -> None:
    files = [tmp_path / str(number) for number in range(PROCESSES)]
    for file in files:
        file.write_text("x")

    def work(number: int) -> None:
        for _ in range(10):
            remember_sha256(files[number], str(number) * 64)
            assert recorded_sha256(files[number]) == str(number) * 64

    assert at_once(work) == ["None"] * PROCESSES
    assert [recorded_sha256(file) for file in files] == [one * 64 for one in "0123"]


def test_what_was_measured() -> None:
    def work(number: int) -> None:
        for at in range(EACH):
            keep_tuning(f"{number}-{at}", "library", Tuning(1, 8))
            _keep_verdict(f"{number}-{at}", True)

    assert at_once(work) == ["None"] * PROCESSES
    names = {f"{number}-{at}" for number in range(PROCESSES) for at in range(EACH)}
    assert _read_verdicts() == dict.fromkeys(names, True)
    assert {find_tuning(name, "library") for name in names} == {Tuning(1, 8)}


def test_a_conversation_belongs_to_one_process(result: AskResult) -> None:
    chat = conversation(result)

    def work(_: int) -> str:
        with find_chat(chat.name).alone():
            return "mine"

    with chat.alone():
        (told,) = at_once(work, 1)
        assert told.startswith("StoreError: another process is changing")
        with pytest.raises(StoreError, match="another process"), chat.alone():
            pass
    assert at_once(work, 1) == ["mine"]


def test_who_is_killed_holds_nothing(tmp_path: Path) -> None:
    path, held = tmp_path / "file", tmp_path / "held"
    child = os.fork()
    if child == 0:
        with alone_with(path, StoreError):
            held.touch()
            time.sleep(60)
        os._exit(0)
    while not held.exists():
        time.sleep(0.01)
    with pytest.raises(StoreError, match="another process"), alone_with(path, StoreError):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    with alone_with(path, StoreError):
        pass
