"""Equality of mathematical expressions, decided in a process of its own with hard limits.

What a model writes may be `9^{9^{9^{9}}}`. math-verify's own time limits use `signal.alarm` and so
work in the main thread only; here they are off, and a subprocess is killed at the limit instead,
whichever thread asked.
"""

import atexit
import contextlib
import json
import logging
import math
import os
import queue
import subprocess
import sys
import threading
import time
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Self

from et_agent.answers.braces import nesting_depth
from et_agent.errors import SettingsError

__all__ = ["MAX_EXPRESSION_CHARACTERS", "MathWorker", "shared_worker"]

MAX_EXPRESSION_CHARACTERS = 400
"""Longer expressions are refused before the worker sees them."""

_MAX_NESTING = 24
_MAX_REPLY_BYTES = 4096
_MAX_FAILED_STARTS = 3
_CACHE_SIZE = 8192
_SCRIPT = Path(__file__).with_name("_math_worker.py")

_logger = logging.getLogger(__name__)
_workers: "weakref.WeakSet[MathWorker]" = weakref.WeakSet()


class MathWorker:
    """Asks a subprocess whether two expressions are equal; thread-safe, restarted when killed.

    The process starts at the first question that needs it, which takes about a second, and ends
    with `close()`, a `with` block or the interpreter. A fork leaves the parent's process to the
    parent; the child starts its own.

    Args:
        seconds: time limit of one step: reading one expression or comparing two.
        startup_seconds: time limit of starting the process.
        memory_mib: limit of its address space, MiB, where the system can limit it.

    Raises:
        SettingsError: if a limit is not a positive finite number.
    """

    def __init__(
        self, *, seconds: float = 2.0, startup_seconds: float = 60.0, memory_mib: int = 512
    ) -> None:
        for name, limit in (
            ("seconds", seconds),
            ("startup_seconds", startup_seconds),
            ("memory_mib", memory_mib),
        ):
            if not (math.isfinite(limit) and limit > 0):
                raise SettingsError(f"{name} must be a positive number, not {limit!r}")
        self._seconds = seconds
        self._startup_seconds = startup_seconds
        self._memory_mib = memory_mib
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._replies: _Replies | None = None
        self._buffer = b""
        self._request_id = 0
        self._failed_starts = 0
        self._verdicts: OrderedDict[tuple[str, ...], bool | None] = OrderedDict()
        _workers.add(self)

    def equal(self, left: str, right: str) -> bool | None:
        """Return whether two LaTeX expressions are equal; None if that cannot be decided in time.

        Symmetric. Undecided are expressions that are too long, too deep, no mathematics, or that
        need more time or memory than allowed. Verdicts are cached, None among them.
        """
        if left == right:
            return True
        pair = (left, right) if left <= right else (right, left)
        with self._lock:
            if pair in self._verdicts:
                self._verdicts.move_to_end(pair)
                return self._verdicts[pair]
            # Each alone first: an expression that hangs is found out once, not once per pair.
            readable = all(self._verdict_on((expression,)) for expression in pair)
            return self._verdict_on(pair) if readable else None

    def close(self) -> None:
        """End the process, if there is one. The worker may be used again and then starts anew."""
        with self._lock:
            self._stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the running subprocess, None if there is none."""
        process = self._process
        return None if process is None else process.pid

    def _verdict_on(self, expressions: tuple[str, ...]) -> bool | None:
        if expressions in self._verdicts:
            return self._verdicts[expressions]
        if not all(map(_is_modest, expressions)):
            return None
        process = self._started()
        if process is None:
            return None
        verdict = self._ask(process, expressions)
        self._verdicts[expressions] = verdict
        if len(self._verdicts) > _CACHE_SIZE:
            self._verdicts.popitem(last=False)
        return verdict

    def _ask(self, process: subprocess.Popen[bytes], expressions: tuple[str, ...]) -> bool | None:
        assert process.stdin is not None
        self._request_id += 1
        request = {"id": self._request_id, "seconds": self._seconds, "expressions": expressions}
        try:
            # Shorter than a pipe's buffer, and the worker is idle: this cannot block.
            process.stdin.write(json.dumps(request).encode() + b"\n")
            verdict = self._read_verdict(self._request_id, self._seconds)
        except (OSError, ValueError, _WorkerFailedError) as error:
            _logger.debug("the math worker gave no verdict and was stopped: %r", error)
            self._stop()
            return None
        except BaseException:
            # An interrupt between question and answer would leave them out of step.
            self._stop()
            raise
        return verdict

    def _started(self) -> subprocess.Popen[bytes] | None:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        if self._failed_starts >= _MAX_FAILED_STARTS or not sys.executable:
            return None
        try:
            self._process = self._spawn()
            self._replies = _Replies(self._process)
            self._read_verdict(0, self._startup_seconds)
        except (OSError, ValueError, _WorkerFailedError) as error:
            self._failed_starts += 1
            _logger.warning("the math worker did not start, comparing strings instead: %r", error)
            self._stop()
        except BaseException:
            self._stop()
            raise
        else:
            self._failed_starts = 0
        return self._process

    def _spawn(self) -> subprocess.Popen[bytes]:
        # By path with -P: "-m" would import the whole package, and its folder would come first on
        # sys.path. The parent's path is handed on, as multiprocessing does; a fixed hash seed makes
        # sympy's verdicts repeatable.
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path),
            "PYTHONHASHSEED": "0",
        }
        return subprocess.Popen(
            [sys.executable, "-P", str(_SCRIPT), str(self._memory_mib)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )

    def _read_verdict(self, request_id: int, seconds: float) -> bool | None:
        assert self._replies is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._buffer:
            received = self._replies.take(deadline - time.monotonic())
            if received is None:
                raise _WorkerFailedError(f"no reply within {seconds:g} s")
            self._buffer += received
            if not received or len(self._buffer) > _MAX_REPLY_BYTES:
                raise _WorkerFailedError("it ended or sent too much")
        line, _, self._buffer = self._buffer.partition(b"\n")
        reply = json.loads(line)
        if reply["id"] != request_id:
            raise _WorkerFailedError("reply to another request")
        verdict: bool | None = reply["verdict"]
        return verdict

    def _stop(self) -> None:
        process, self._process, self._buffer = self._process, None, b""
        replies, self._replies = self._replies, None
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

    def _forget_after_fork(self) -> None:
        # The process is the parent's, as is the lock, which another thread may have held.
        process, self._process, self._buffer = self._process, None, b""
        self._replies = None
        self._lock = threading.Lock()
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
            target=self._read, args=(process.stdout.fileno(),), name="et-agent-math", daemon=True
        )
        self._thread.start()

    def _read(self, pipe: int) -> None:
        received = b"?"
        while received:
            try:
                received = os.read(pipe, _MAX_REPLY_BYTES)
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


class _WorkerFailedError(Exception):
    """The worker did not reply as agreed, so it must be killed."""


def _is_modest(expression: str) -> bool:
    short = 0 < len(expression) <= MAX_EXPRESSION_CHARACTERS
    return short and expression.isprintable() and nesting_depth(expression) <= _MAX_NESTING


_shared_lock = threading.Lock()
_shared: MathWorker | None = None


def shared_worker() -> MathWorker:
    """Return the worker of this process with default limits; made once, started when needed."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = MathWorker()
        return _shared


def _close_all() -> None:
    for worker in list(_workers):
        worker.close()


def _after_fork_in_child() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    for worker in list(_workers):
        worker._forget_after_fork()


atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
