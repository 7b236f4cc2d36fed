"""The compiled analysis of a step's logits, which `decoding/sampling.py` does with numpy elsewhere."""

import ctypes
import functools
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from et_agent.arrays import Doubles, Floats
from et_agent.kernels.library import attach

__all__ = ["StepDraws", "StepKernels", "step_kernels"]

_POINTER: Final = ctypes.c_void_p
_COUNT: Final = ctypes.c_int64


class StepKernels:
    """The functions of `source/step.cpp`.

    Args:
        library: The loaded kernels.
    """

    def __init__(self, library: Any) -> None:
        self._analyse = library.et_step_analyse
        self._analyse.restype = _COUNT
        self._analyse.argtypes = (_POINTER, _COUNT, _COUNT, *[_POINTER] * 5, ctypes.c_int)
        find = library.et_step_find
        find.restype = _COUNT
        find.argtypes = (_POINTER, _COUNT, _POINTER, _POINTER, _COUNT, ctypes.c_double)
        without = library.et_step_find_without
        without.restype = _COUNT
        without.argtypes = (_POINTER, _COUNT, _POINTER, _COUNT, ctypes.c_double, _POINTER, _COUNT)
        self._find, self._find_without = find, without

    def analyse(
        self,
        logits: Floats,
        temperatures: Floats,
        statistics: Doubles,
        blocks: Doubles,
        cumulative: Doubles,
        scratch: Floats,
        threads: int,
    ) -> int:
        """Turn logits [B, V] into masses and fill the rest; see `sampling.StepDistributions`.

        Args:
            logits: float32 [B, V], contiguous, overwritten.
            temperatures: float32 [B].
            statistics: float64 [B, 6].
            blocks: float64 [B, blocks], sums of 128 masses.
            cumulative: float64 [B, blocks], running sums of them.
            scratch: float32 [B, 2 * blocks].
            threads: How many work at it.

        Returns:
            The first row that cannot be used, or -1.
        """
        rows, size = logits.shape
        arrays = (temperatures, statistics, blocks, cumulative, scratch)
        pointers = [array.ctypes.data for array in arrays]
        return int(self._analyse(logits.ctypes.data, rows, size, *pointers, threads))

    def draws(self, masses: Floats, blocks: Doubles, cumulative: Doubles) -> "StepDraws":
        """What draws from the rows of a step.

        Args:
            masses: float32 [B, V].
            blocks: float64 [B or more, blocks].
            cumulative: float64 [B or more, blocks].
        """
        held = masses.ctypes.data, masses.shape[1], blocks.ctypes.data
        return StepDraws(
            functools.partial(self._find, *held, cumulative.ctypes.data),
            functools.partial(self._find_without, *held),
        )


class StepDraws(NamedTuple):
    """Draws from the rows of a step, valid as long as its masses.

    Attributes:
        find: Of a row and a target in [0, total), the token whose interval holds the target.
        find_without: Of a row, a part of what is left in [0, 1), tokens that are left out and how many
            they are, the token found; -1 where none is left.
    """

    find: Callable[[int, float], int]
    find_without: Callable[[int, float, Any, int], int]

    def draw_excluding(self, row: int, u: float, tokens: Sequence[int]) -> int | None:
        """A row's token that `u` finds without `tokens`; None where none is left."""
        found = self.find_without(row, u, (_COUNT * len(tokens))(*tokens), len(tokens))
        return None if found < 0 else found


@functools.cache
def step_kernels() -> StepKernels | None:
    """The compiled analysis; None where the kernels are not in use."""
    kernels = attach()
    return StepKernels(kernels.library) if kernels.in_use else None
