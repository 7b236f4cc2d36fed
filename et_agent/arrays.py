"""Arrays by what they hold."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bools", "Doubles", "Floats", "Ints"]

Bools = NDArray[np.bool_]
Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]
"""Single precision, as engines give logits."""
Ints = NDArray[np.int64]
