"""A Python process of our own for what may hang or take all memory; it is killed at its limit.

It reads one JSON object per line, `{"id": 1, …}`, and answers `{"id": 1, …}`. It says `{"id": 0}` when
it is ready. A time limit holds in any thread, which signals would not.
"""

import atexit
import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["LimitedProcess", "ProcessFailedError"]

_CHUNK = 1 << 16
_processes: "weakref.WeakSet[LimitedProcess]" = weakref.WeakSet()


class ProcessFailedError(Exception):
    """The process did not start or not reply as agreed, in time; it was killed."""


class LimitedProcess:
    """Such a process: started at the first request, and again after it was killed; for one thread.

    It ends with `close()` or the interpreter. A fork leaves it to the parent; the child starts its own.

    Args:
        arguments: Arguments of the interpreter.
        startup_seconds: Time limit of starting it.
        most_reply: Most bytes of a reply.
        environment: Variables beside those of this process.
    """

    def __init__(
        self,
        arguments: Sequence[str],
        *,
        startup_seconds: float,
        most_reply: int,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._arguments, self._environment = list(arguments), dict(environment or {})
        self._startup_seconds, self._most_reply = startup_seconds, most_reply
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: _Replies | None = None
        self._buffer = bytearray()
        self._request_id = 0
        _processes.add(self)

    @property
    def pid(self) -> int | None:
        """Its process id; None if it does not run."""
        process = self._process
        return None if process is None else process.pid

    def start(self) -> None:
        """Start it if it does not run.

        Raises:
            ProcessFailedError: It did not start.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.close()
        with self._killed_if_it_fails():
            if not sys.executable:
                raise ProcessFailedError("there is no Python interpreter to start")
            self._process = self._spawn()
            self._replies = _Replies(self._process)
            self._read(0, self._startup_seconds)

    def ask(self, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """Its reply to a request.

        Args:
            request: Plain JSON types.
            seconds: How long it may take.

        Raises:
            ProcessFailedError: It did not start, or did not reply in time.
        """
        self.start()
        process = self._process
        assert process is not None
        assert process.stdin is not None
        self._request_id += 1
        # An interrupt between question and answer would leave them out of step.
        with self._killed_if_it_fails():
            line = json.dumps({"id": self._request_id, **request}).encode() + b"\n"
            left = memoryview(line)
            while left:  # it is idle, so it reads
                left = left[process.stdin.write(left) or 0 :]
            return self._read(self._request_id, seconds)

    def close(self) -> None:
        """End it, if it runs; the next request starts another one."""
        process, self._process = self._process, None
        replies, self._replies = self._replies, None
        self._buffer.clear()
        if process is None:
            return
        process.kill()
        process.wait()
        if replies is not None:
            replies.end()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    @contextlib.contextmanager
    def _killed_if_it_fails(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            self.close()
            raise ProcessFailedError(str(error)) from error
        except BaseException:
            self.close()
            raise

    def _spawn(self) -> subprocess.Popen[bytes]:
        # With -P, or the folder of a script would come first on sys.path. The parent's path is handed
        # on, as multiprocessing does.
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        return subprocess.Popen(
            [sys.executable, "-P", *self._arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=os.environ | {"PYTHONPATH": path} | self._environment,
            start_new_session=True,
        )

    def _read(self, request_id: int, seconds: float) -> dict[str, Any]:
        assert self._replies is not None
        deadline = time.monotonic() + seconds
        while not self._buffer.endswith(b"\n"):
            received = self._replies.take(deadline - time.monotonic())
            if received is None:
                raise ProcessFailedError(f"no reply within {seconds:g} s")
            self._buffer += received
            if not received or len(self._buffer) > self._most_reply:
                raise ProcessFailedError("it ended or sent too much")
        reply: dict[str, Any] = json.loads(self._buffer)
        self._buffer.clear()
        if reply["id"] != request_id:
            raise ProcessFailedError("reply to another request")
        return reply

    def _forget_after_fork(self) -> None:
        process, self._process = self._process, None
        self._replies = None
        self._buffer.clear()
        if process is not None:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
            # Not our child: without this, Popen's finaliser would warn of a running process.
            process.returncode = 0


class _Replies:
    """What a process writes, read in a thread: not every system can wait for a pipe and a clock."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        self._chunks: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=self._read, args=(process.stdout.fileno(),), name="et-agent-replies", daemon=True
        )
        self._thread.start()

    def _read(self, pipe: int) -> None:
        received = b"?"
        while received:
            try:
                received = os.read(pipe, _CHUNK)
            except OSError:
                received = b""
            self._chunks.put(received)

    def take(self, seconds: float) -> bytes | None:
        """The next bytes; empty once the process has ended, None if there are none in time."""
        try:
            return self._chunks.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None

    def end(self) -> None:
        """Wait for the thread of a process that has ended: it must not read a closed pipe."""
        self._thread.join()


def _close_all() -> None:
    for process in list(_processes):
        process.close()


def _after_fork_in_child() -> None:
    for process in list(_processes):
        process._forget_after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
