"""The former home of `et_agent.engines`, `et_agent.weights` and `et_agent.templates`.

What was imported from here is still found for this version, with a DeprecationWarning.
"""

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any, Final

from et_agent.renaming import warn_of_old_name

__all__: list[str] = []

_HOMES: Final[Mapping[str, tuple[str, ...]]] = {
    "base": (
        "et_agent.engines.base",
        "et_agent.templates.messages",
        "et_agent.decoding.constraint",
    ),
    "catalog": ("et_agent.weights.catalog",),
    "gguf": ("et_agent.weights.gguf",),
    "llama_cpp": ("et_agent.engines.llama_cpp.model",),
    "loading": ("et_agent.engines.loading",),
    "progress": ("et_agent.weights.progress",),
    "scripted": ("et_agent.engines.scripted",),
}
_RENAMED: Final = {"Room": "Capacity", "Progress": "TransferProgress"}


class _Former(ModuleType):
    """A module whose names have moved."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        now = _RENAMED.get(name, name)
        for home in _HOMES[self.__name__.rpartition(".")[2]]:
            found = importlib.import_module(home)
            if now in found.__all__:
                warn_of_old_name(f"{self.__name__}.{name}", f"{home}.{now}")
                return getattr(found, now)
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


sys.modules |= {f"{__name__}.{name}": _Former(f"{__name__}.{name}") for name in _HOMES}
