"""What a label is: whether an answer is right, told by true or false, or by 1 or 0."""

import numbers

import numpy as np
from numpy.typing import ArrayLike

from et_agent.arrays import Bools
from et_agent.errors import CalibrationError

__all__ = ["checked_label", "checked_labels"]


def checked_label(given: object) -> bool:
    """One label. A text is none, not even "False", and neither is NaN, None or another number.

    Raises:
        CalibrationError: It is not a label.
    """
    if isinstance(given, np.bool_ | numbers.Real) and given in (0, 1):
        return bool(given)
    raise CalibrationError(
        f"a label is {given!r:.40}: labels are true for a right answer and false for a wrong one, "
        "or 1 and 0"
    )


def checked_labels(given: ArrayLike) -> Bools:
    """Labels as an array of the same shape.

    Raises:
        CalibrationError: One of them is not a label.
    """
    try:
        found = np.asarray(given)
    except ValueError as error:
        raise CalibrationError("the labels are of several lengths: pass one per answer") from error
    if found.dtype.kind == "b":
        return found
    plain = [checked_label(one) for one in found.ravel().tolist()]
    return np.array(plain, np.bool_).reshape(found.shape)
