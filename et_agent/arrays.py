"""Arrays by what they hold."""

import numpy as np
from numpy.typing import NDArray

from et_agent.errors import InputError

__all__ = ["Bools", "Bytes", "Doubles", "Floats", "Ints", "doubles"]

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
"""Single precision, as engines give logits."""
Ints = NDArray[np.int64]


def doubles(values: object, what: str, error: type[InputError] = InputError) -> Doubles:
    """Numbers as float64, copied.

    Args:
        values: Numbers in any shape.
        what: What they are, for the message.
        error: What is raised.

    Raises:
        InputError: The error that was named: they are no numbers, or lists of several lengths.
    """
    try:
        found = np.array(values)
        if found.dtype.kind not in "biuf" and found.size:
            raise TypeError("pass numbers")
        return found.astype(np.float64)
    except (TypeError, ValueError, OverflowError, RecursionError) as fault:
        raise error(f"{what} cannot be read as numbers: {fault}") from fault
