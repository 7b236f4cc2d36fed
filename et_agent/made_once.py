"""What is made once per object and kept as long as that lives."""

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["MadeOnce"]

Owner = TypeVar("Owner")
Made = TypeVar("Made")


class MadeOnce(Generic[Owner, Made]):
    """A table of what was made, by weak references to what it was made for; safe in any thread.

    Args:
        make: Makes it. What it returns must not refer to the owner, or that would live for ever.
    """

    def __init__(self, make: Callable[[Owner], Made]) -> None:
        self._make = make
        self._made: weakref.WeakKeyDictionary[Owner, Made] = weakref.WeakKeyDictionary()
        self._renew_lock()
        if hasattr(os, "register_at_fork"):  # another thread may have held it while this one forked
            os.register_at_fork(after_in_child=self._renew_lock)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def of(self, owner: Owner) -> Made:
        """Give what belongs to an object, made now if it was not made before."""
        with self._lock:
            made = self._made.get(owner)
            if made is None:
                made = self._made[owner] = self._make(owner)
            return made
