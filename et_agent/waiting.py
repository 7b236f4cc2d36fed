"""Waits that would never end, refused: in a model's own thread, and in a process made by a fork.

A fork copies memory and no threads. What a thread does for its model is done by nobody in the child, so
a child that waits for it waits for ever.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from typing import Final, TypeVar

from et_agent.errors import EtAgentError, InputError, ModelClosedError
from et_agent.validation import wait_seconds

__all__ = ["Birthplace", "in_model_thread", "model_thread", "outcome"]

T = TypeVar("T")

_here: Final = threading.local()


class Birthplace:
    """The process in which something with threads, locks or an open file was made.

    Args:
        what: What was made, for the message.
        fix: What to do in the child.
        error: What is raised there.
    """

    def __init__(self, what: str, fix: str, error: type[EtAgentError] = ModelClosedError) -> None:
        self._said = (
            f"{what} before this process was forked, and a fork takes no threads along: {fix}"
        )
        self._error = error
        self._process = os.getpid()

    @property
    def left(self) -> bool:
        """Whether this is another process."""
        return os.getpid() != self._process

    def require(self) -> None:
        """Refuse to go on in another process; to be called before any lock is taken.

        Raises:
            EtAgentError: The error that was named.
        """
        if self.left:
            raise self._error(self._said)


@contextlib.contextmanager
def model_thread() -> Iterator[None]:
    """Mark this thread as a model's own: what it waits for could only come from itself."""
    before = in_model_thread()
    _here.serves = True
    try:
        yield
    finally:
        _here.serves = before


def in_model_thread() -> bool:
    """Whether this is a model's own thread, at work for it."""
    return getattr(_here, "serves", False)


def outcome(future: "Future[T]", timeout: float | None = None) -> T:
    """What a future brings.

    Args:
        future: What is waited for.
        timeout: Seconds; None for any time.

    Raises:
        InputError: It is not there yet, and this is a model's own thread; or the timeout is no number.
        TimeoutError: It took longer.
    """
    if in_model_thread() and not future.done():
        raise InputError(
            "a callback in a model's thread cannot wait for an answer, since this thread has to decode "
            "it: use submit there and wait elsewhere, or ask from another thread"
        )
    return future.result(wait_seconds(timeout))
