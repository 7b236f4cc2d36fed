"""One reply decides about tool calls that wait, however many arrive at the same time.

LangGraph runs whatever resumes a thread: two replies that arrive together both start from the same
checkpoint, and without a claim an approved call would run twice. The first reply claims the request by
its trace id; any other is refused. A claim is never taken back once calls may have run, so that a call
runs at most once, even if the process ends in between.
"""

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Protocol

from et_agent.errors import AlreadyDecidedError

__all__ = ["Claims", "ProcessClaims", "claimed"]

_MOST: Final = 1 << 16
"""Claims that a process remembers; a reply that comes later than as many others is not expected."""


class Claims(Protocol):
    """Who decides about waiting calls: `DecisionLog` for all processes that share it."""

    def claim(self, trace_id: str) -> bool:
        """Claim a request; False if another reply has it."""
        ...

    def release(self, trace_id: str) -> None:
        """Give a claim back, of a request about which nothing has been done."""
        ...


class ProcessClaims:
    """Claims within one process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: OrderedDict[str, None] = OrderedDict()

    def claim(self, trace_id: str) -> bool:
        """Claim a request; False if another reply has it."""
        with self._lock:
            if trace_id in self._taken:
                return False
            self._taken[trace_id] = None
            if len(self._taken) > _MOST:
                self._taken.popitem(last=False)
            return True

    def release(self, trace_id: str) -> None:
        """Give a claim back."""
        with self._lock:
            self._taken.pop(trace_id, None)


@contextlib.contextmanager
def claimed(claims: Claims, trace_id: str) -> Iterator[None]:
    """Hold the claim of a request; it is given back if what follows fails.

    Raises:
        AlreadyDecidedError: Another reply has it.
        StoreError: It cannot be stored.
    """
    if not claims.claim(trace_id):
        raise AlreadyDecidedError(
            f"another reply has decided about request {trace_id!r}: nothing runs because of this one. "
            "Look at the thread's state for what was decided, and send a new message to go on"
        )
    try:
        yield
    except BaseException:
        claims.release(trace_id)
        raise
