"""Loads scikit-learn and scipy when fitting needs them: they take longer than all the rest."""

import importlib
from types import ModuleType

__all__ = ["scipy_module", "sklearn_module"]


def sklearn_module(name: str) -> ModuleType:
    """A module of scikit-learn."""
    return importlib.import_module(f"sklearn.{name}")


def scipy_module(name: str) -> ModuleType:
    """A module of scipy, which comes with scikit-learn."""
    return importlib.import_module(f"scipy.{name}")
