"""llama-cpp-python, loaded with what must stand before its library is.

Threads of GNU OpenMP that wait for each other spin for milliseconds before they sleep. Beside any
other busy process a spinning thread takes the core that the one it waits for needs, and a step then
lasts whole time slices (`benchmarks/results/waiting.json`). GOMP_SPINCOUNT, read once when the library
is loaded, makes them sleep sooner; whoever has set it, or OMP_WAIT_POLICY, is left alone.
"""

import os
from typing import Final

__all__ = ["llama_cpp"]

_SPINS: Final = "3000"

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)

import llama_cpp  # noqa: E402
