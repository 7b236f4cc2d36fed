"""Share of leaves that the token limit cut off. An uncertainty."""

import math
from collections.abc import Sequence

import numpy as np

from et_agent.arguments import checks_arguments
from et_agent.arrays import Bools
from et_agent.errors import InputError
from et_agent.uncertainty.leaves import Leaves

__all__ = ["cut_off_share"]


@checks_arguments
def cut_off_share(cut_off: Sequence[bool] | Bools, leaves: Leaves) -> float:
    """Return the path weight of the leaves that ended at the token limit, in [0, 1].

    Args:
        cut_off: for each leaf whether the limit ended it, `[leaves]`.
        leaves: the leaves.

    Raises:
        InputError: if the lengths differ, or `cut_off` holds anything but truth values.
    """
    mask = np.asarray(cut_off)
    if mask.shape != leaves.weights.shape or mask.dtype != np.bool_:
        raise InputError("cut_off must hold True or False for each leaf")
    return min(1.0, math.fsum(leaves.weights[mask].tolist()) / math.fsum(leaves.weights.tolist()))
