"""Interpreters that et-agent cannot work in, refused by name when it is imported."""

import importlib
import sys
from typing import Final

__all__ = ["check_interpreter"]

# The second is its name before Python 3.13.
_MODULES: Final = ("_interpreters", "_xxsubinterpreters")


def check_interpreter() -> None:
    """Refuse subinterpreters, and Python without a global lock.

    Raises:
        ImportError: This is one of them.
    """
    if _is_subinterpreter():
        raise ImportError(
            "et-agent does not work in a subinterpreter, since NumPy and pydantic do not: import it in "
            "the main one (mod_wsgi: WSGIApplicationGroup %{GLOBAL}), or in a process of its own"
        )
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ImportError(
            "et-agent is not tested without Python's global lock: start Python with PYTHON_GIL=1, or "
            "use a build that has it"
        )


def _is_subinterpreter() -> bool:
    for name in _MODULES:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        return bool(module.get_current() != module.get_main())
    return False
