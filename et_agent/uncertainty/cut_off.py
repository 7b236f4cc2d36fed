"""Share of leaves that the token limit cut off. An uncertainty."""

import math
from collections.abc import Sequence

import numpy as np

from et_agent.arrays import Bools
from et_agent.errors import InputError
from et_agent.uncertainty.leaves import Numbers, check_weights

__all__ = ["cut_off_share"]


def cut_off_share(cut_off: Sequence[bool] | Bools, weights: Numbers) -> float:
    """Return the path weight of the leaves that ended at the token limit, in [0, 1].

    Args:
        cut_off: for each leaf whether the limit ended it, `[leaves]`.
        weights: path weights `[leaves]`, which sum to 1.

    Raises:
        InputError: if the lengths differ, `cut_off` holds anything but truth values, or the weights
            are unsound (see `leaves.check_leaves`).
    """
    mask = np.asarray(cut_off)
    checked = check_weights(weights, leaves=len(mask))
    if mask.dtype != np.bool_:
        raise InputError("cut_off must hold True or False for each leaf")
    return min(1.0, math.fsum(checked[mask].tolist()) / math.fsum(checked.tolist()))
