"""The compiled analysis of a step's logits, which `decoding/sampling.py` does with numpy elsewhere."""

import ctypes
import functools
from collections.abc import Callable
from typing import Any, Final

from et_agent.arrays import Doubles, Floats
from et_agent.kernels.library import attach

__all__ = ["StepKernels", "step_kernels"]

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
        find.argtypes = (_POINTER, _COUNT, _POINTER, _POINTER, ctypes.c_double)
        self._find = find

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

    def finders(
        self, masses: Floats, blocks: Doubles, cumulative: Doubles
    ) -> list[Callable[[float], int]]:
        """Of each row, what finds the token whose interval holds a target in [0, total).

        Args:
            masses: float32 [B, V].
            blocks: float64 [B or more, blocks].
            cumulative: float64 [B or more, blocks].
        """
        rows, size = masses.shape
        starts = (masses.ctypes.data, blocks.ctypes.data, cumulative.ctypes.data)
        strides = (masses.strides[0], blocks.strides[0], cumulative.strides[0])
        found: list[Callable[[float], int]] = []
        for row in range(rows):
            at, of_blocks, of_sums = (
                start + row * stride for start, stride in zip(starts, strides, strict=True)
            )
            found.append(functools.partial(self._find, at, size, of_blocks, of_sums))
        return found


@functools.cache
def step_kernels() -> StepKernels | None:
    """The compiled analysis; None where the kernels are not in use."""
    kernels = attach()
    return StepKernels(kernels.library) if kernels.in_use else None
