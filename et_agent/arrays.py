"""Arrays by what they hold."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bools", "Bytes", "Doubles", "Floats", "Ints"]

Bools = NDArray[np.bool_]
Bytes = NDArray[np.uint8]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
"""Single precision, as engines give logits."""
Ints = NDArray[np.int64]
