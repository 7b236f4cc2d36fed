"""Old spellings of public names, which work for a while and say what to use instead."""

import sys
import warnings
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["old_names", "warn_of_old_name", "with_new_key"]


def warn_of_old_name(old: str, new: str, *, stacklevel: int = 3) -> None:
    """Tell whoever calls the caller that a name has changed."""
    frame = sys._getframe(stacklevel - 1)
    while frame.f_globals.get("__name__") == "et_agent.arguments" and frame.f_back:  # a decorator
        stacklevel, frame = stacklevel + 1, frame.f_back
    warnings.warn(
        f"{old} is deprecated and will be removed: use {new}",
        DeprecationWarning,
        stacklevel=stacklevel,
    )


def old_names(module: str, names: Mapping[str, str]) -> Callable[[str], Any]:
    """A module's `__getattr__` that gives what has been renamed, with a DeprecationWarning.

    Args:
        module: `__name__` of the module, which has the new names.
        names: From old names to new ones.
    """

    def find(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn_of_old_name(f"{module}.{name}", names[name])
        return getattr(sys.modules[module], names[name])

    return find


def with_new_key(data: Any, old: str, new: str) -> Any:
    """The data of a record that was perhaps written when a field had its old name."""
    if isinstance(data, Mapping) and old in data and new not in data:
        return {new if key == old else key: value for key, value in data.items()}
    return data
