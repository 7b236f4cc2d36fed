import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from et_agent.answers import MathWorker
from et_agent.errors import SettingsError

SECONDS = 0.4


@pytest.fixture(scope="module")
def brisk() -> Iterator[MathWorker]:
    with MathWorker(seconds=SECONDS) as worker:
        yield worker


def in_thread(call: Callable[[], bool | None]) -> bool | None:
    """Run `call` where signal.alarm would not work."""
    verdicts: list[bool | None] = []
    thread = threading.Thread(target=lambda: verdicts.append(call()))
    thread.start()
    thread.join()
    return verdicts[0]


@pytest.mark.parametrize(
    "hostile",
    [
        r"9^{9^{9^{9}}} + x",
        r"\frac{100000000!}{99999999!}",
        r"10^{10^{9}} + x",
        "{" * 10_000 + "}" * 10_000,
        "x" * 401,
        "x\ny",
    ],
)
def test_a_hostile_expression_is_undecided_in_bounded_time(brisk: MathWorker, hostile: str) -> None:
    brisk.equal("x+1", "1+x")
    started = time.monotonic()
    assert in_thread(lambda: brisk.equal(hostile, "100000000")) is not True
    # Reading and comparing at the limit, and the restart that follows.
    assert time.monotonic() - started < 2 * SECONDS + 30


@pytest.mark.fault("child killed or out of memory")
def test_the_worker_lives_on_after_a_kill() -> None:
    with MathWorker(seconds=2.0) as worker:
        assert worker.equal("100000000!", "99999999!") is None
        assert in_thread(lambda: worker.equal("2x+3", "3+2x")) is True
        assert worker.equal("2x+3", "3+3x") is False


@pytest.mark.fault("child killed or out of memory")
def test_memory_is_limited() -> None:
    with MathWorker(seconds=20, memory_mib=256) as worker:
        assert worker.equal(r"2^{10^{10}} + x", "x") is not True


def test_equal_strings_and_cached_pairs_start_nothing() -> None:
    with MathWorker() as worker:
        assert worker.equal("x", "x") is True
        assert worker.pid is None
        assert worker.equal("2x", "x+x") is True
        worker.close()
        assert worker.equal("x+x", "2x") is True
        assert worker.pid is None


def test_many_threads_share_one_process(worker: MathWorker) -> None:
    verdicts: list[bool | None] = []

    def ask(number: int) -> None:
        verdicts.append(worker.equal(f"{number}x+1", f"1+{number}x"))

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 8


@pytest.mark.posix
def test_closing_leaves_no_process_behind() -> None:
    worker = MathWorker()
    worker.equal("x+2", "2+x")
    pid = worker.pid
    assert pid is not None
    worker.close()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.fault("child killed or out of memory")
@pytest.mark.posix
def test_the_process_that_was_killed_from_outside_is_replaced() -> None:
    with MathWorker() as worker:
        worker.equal("x+3", "3+x")
        assert worker.pid is not None
        os.kill(worker.pid, 9)
        assert worker.equal("x+4", "4+x") in (True, None)
        assert worker.equal("x+5", "5+x") is True


@pytest.mark.fault("fork")
@pytest.mark.posix
def test_a_forked_child_starts_its_own(worker: MathWorker) -> None:
    worker.equal("x+6", "6+x")
    before = worker.pid
    child = os.fork()
    if child == 0:
        fresh = worker.pid is None and worker.equal("x+7", "7+x") is True
        worker.close()
        os._exit(0 if fresh else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert worker.pid == before
    assert worker.equal("x+8", "8+x") is True


@pytest.mark.posix
def test_no_worker_outlives_the_interpreter() -> None:
    script = (
        "from et_agent.answers import MathWorker\n"
        "worker = MathWorker()\n"
        "worker.equal('x+1', '1+x')\n"
        "print(worker.pid)\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(done.stdout), 0)


def test_a_worker_that_cannot_start_is_given_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("sys.executable", "/nowhere/python")
    with MathWorker() as worker:
        assert [worker.equal("y", f"y+{number}") for number in range(4)] == [None] * 4
    assert len(caplog.records) == 3


@pytest.mark.parametrize("name", ["seconds", "startup_seconds", "memory_mib"])
@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf")])
def test_limits_must_be_positive(name: str, limit: float) -> None:
    with pytest.raises(SettingsError, match=name):
        MathWorker(**{name: limit})  # type: ignore[arg-type]
