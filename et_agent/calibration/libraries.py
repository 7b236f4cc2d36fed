"""What fitting needs and using a fitted calibrator does not."""

import importlib
from types import ModuleType

from et_agent.errors import CalibrationError
from et_agent.extras import install_hint

__all__ = ["scipy_module", "sklearn_module"]


def sklearn_module(name: str) -> ModuleType:
    """A module of scikit-learn.

    Raises:
        CalibrationError: It is not installed.
    """
    return _module(f"sklearn.{name}")


def scipy_module(name: str) -> ModuleType:
    """A module of scipy, which comes with scikit-learn.

    Raises:
        CalibrationError: It is not installed.
    """
    return _module(f"scipy.{name}")


def _module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise CalibrationError(f"fitting needs scikit-learn: {install_hint('eval')}") from error
