"""Equality of mathematical expressions, decided in a process of its own with hard limits.

What a model writes may be `9^{9^{9^{9}}}`. math-verify's own time limits use `signal.alarm` and so
work in the main thread only; here they are off, and a subprocess is killed at the limit instead,
whichever thread asked.
"""

import logging
import os
import sys
import threading
import weakref
from collections import OrderedDict
from pathlib import Path
from typing import Self

from et_agent.answers.braces import nesting_depth
from et_agent.arguments import checks_arguments
from et_agent.errors import SettingsError
from et_agent.limited_process import LimitedProcess, ProcessFailedError
from et_agent.validation import shown

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

    @checks_arguments
    def __init__(
        self, *, seconds: float = 2.0, startup_seconds: float = 60.0, memory_mib: int = 512
    ) -> None:
        for name, limit in (
            ("seconds", seconds),
            ("startup_seconds", startup_seconds),
            ("memory_mib", memory_mib),
        ):
            if not 0 < limit < sys.float_info.max:
                raise SettingsError(f"{name} must be a positive finite number, not {shown(limit)}")
        self._seconds = seconds
        self._lock = threading.Lock()
        # By path: "-m" would import the package. A fixed hash seed makes sympy's verdicts repeatable.
        self._process = LimitedProcess(
            [str(_SCRIPT), str(memory_mib)],
            startup_seconds=startup_seconds,
            most_reply=_MAX_REPLY_BYTES,
            environment={"PYTHONHASHSEED": "0"},
        )
        self._failed_starts = 0
        self._verdicts: OrderedDict[tuple[str, ...], bool | None] = OrderedDict()
        _workers.add(self)

    @checks_arguments
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
            self._process.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Process id of the running subprocess, None if there is none."""
        return self._process.pid

    def _verdict_on(self, expressions: tuple[str, ...]) -> bool | None:
        if expressions in self._verdicts:
            return self._verdicts[expressions]
        if not all(map(_is_modest, expressions)) or not self._started():
            return None
        verdict = self._ask(expressions)
        self._verdicts[expressions] = verdict
        if len(self._verdicts) > _CACHE_SIZE:
            self._verdicts.popitem(last=False)
        return verdict

    def _ask(self, expressions: tuple[str, ...]) -> bool | None:
        request = {"seconds": self._seconds, "expressions": expressions}
        try:
            verdict: bool | None = self._process.ask(request, self._seconds)["verdict"]
        except ProcessFailedError as error:
            _logger.debug("the math worker gave no verdict and was stopped: %r", error)
            return None
        return verdict

    def _started(self) -> bool:
        if self._failed_starts >= _MAX_FAILED_STARTS:
            return False
        try:
            self._process.start()
        except ProcessFailedError as error:
            self._failed_starts += 1
            _logger.warning("the math worker did not start, comparing strings instead: %r", error)
            return False
        self._failed_starts = 0
        return True

    def _forget_after_fork(self) -> None:
        self._lock = threading.Lock()  # another thread of the parent may have held it


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


def _after_fork_in_child() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    for worker in list(_workers):
        worker._forget_after_fork()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)
