"""Models that runnables name: loaded at the first question, and shared as long as one needs them.

`configurable_fields` makes a new runnable for every call with another setting, so a model cannot
belong to a runnable. Runnables hold a `SharedModel` instead, one for each model file and way of
loading it. The table below does not keep it alive: with the last runnable that names a model, the
model is freed.
"""

import json
import os
import threading
import weakref
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ConfigDict
from typing_extensions import TypedDict

from et_agent.engines.sampled import AnyModel

__all__ = ["LoadOptions", "SharedModel", "shared_model"]


class LoadOptions(TypedDict, total=False):
    """Arguments of `et_agent.load_model`; what is left out has its default there."""

    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]

    context: int
    threads: int | None
    attention: bool
    max_sequences: int
    best_width: int
    gpu_layers: int
    split_mode: str
    main_gpu: int
    dequantize: bool
    unpack: bool  # the old name of `dequantize`
    stream_memory: int
    prefix_memory: int
    prefix_file: str


class SharedModel:
    """A model by its name; `get` loads it at the first call, whoever comes first."""

    def __init__(self, spec: str, options: Mapping[str, Any]) -> None:
        self.spec, self.options = spec, dict(options)
        self._lock = threading.Lock()
        self._model: AnyModel | None = None

    def get(self) -> AnyModel:
        """The loaded model; others wait while it is loaded, and the next tries again if that fails.

        Raises:
            ModelError: See `et_agent.load_model`.
        """
        with self._lock:
            if self._model is None:
                # Imported here, so that naming a model loads no llama.cpp.
                from et_agent.engines.opening import open_model

                self._model = open_model(self.spec, **self.options)
            return self._model

    def close(self) -> None:
        """Free the model, whoever still uses it; the next `get` loads it again."""
        with self._lock:
            if self._model is not None:
                self._model.close()
            self._model = None

    def forget(self) -> None:
        """Leave the model to the process that loaded it; the next `get` loads another one."""
        self._lock = threading.Lock()
        self._model = None


_SHARED: Final["weakref.WeakValueDictionary[str, SharedModel]"] = weakref.WeakValueDictionary()
_SHARED_LOCK = threading.Lock()


def _after_fork_in_child() -> None:
    """Let named models be loaded anew: those of the parent have no threads here."""
    global _SHARED_LOCK
    _SHARED_LOCK = threading.Lock()
    for shared in list(_SHARED.values()):
        shared.forget()


if hasattr(os, "register_at_fork"):  # Windows has no fork
    os.register_at_fork(after_in_child=_after_fork_in_child)


def shared_model(spec: str, options: Mapping[str, Any]) -> SharedModel:
    """The model of this name and these options that others hold, or a new one."""
    key = json.dumps([spec, options], sort_keys=True)
    with _SHARED_LOCK:
        found = _SHARED.get(key)
        if found is None:
            found = _SHARED[key] = SharedModel(spec, options)
        return found
