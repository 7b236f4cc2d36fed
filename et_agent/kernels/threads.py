"""How many threads there are, and how long those that wait for each other spin before they sleep.

Threads of GNU OpenMP spin for milliseconds. Beside any other busy process a spinning thread takes the
core that the one it waits for needs, and a step then lasts whole time slices
(`benchmarks/results/waiting.json`). GOMP_SPINCOUNT, read once when the library is loaded, makes them
sleep sooner; whoever has set it, or OMP_WAIT_POLICY, is left alone.
"""

import os
from typing import Final

__all__ = ["cores", "let_threads_sleep"]

_SPINS: Final = "3000"


def let_threads_sleep() -> None:
    """Set how long they spin; before the first library with OpenMP is loaded."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)


def cores() -> int:
    """CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
