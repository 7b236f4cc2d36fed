"""Loaded models, shared by all chat models and runnables that name the same file in the same way."""

import threading
from dataclasses import asdict, dataclass, fields
from typing import Final

from et_agent.engines.sampled import AnyModel
from et_agent.runnables.loading import SharedModel, shared_model

__all__ = ["EngineKey", "close_engines", "engine_of"]


@dataclass(frozen=True)
class EngineKey:
    """What makes two loaded models the same; arguments of `load_model` with its defaults."""

    model: str
    context: int = 8192
    threads: int | None = None
    max_sequences: int = 64
    dequantize: bool = False
    stream_memory: int | None = None
    """Bytes; None for the default of `load_model`, whose module would load llama.cpp."""
    prefix_memory: int | None = None
    """The same."""
    prefix_file: str | None = None
    gpu_layers: int = -1
    split_mode: str = "layer"
    main_gpu: int = 0

    @property
    def options(self) -> dict[str, int | bool | str | None]:
        """What differs from the defaults, so that whoever names only the model shares it too."""
        given = asdict(self)
        return {
            one.name: given[one.name]
            for one in fields(self)
            if one.name != "model" and given[one.name] != one.default
        }


# Held until `close_engines`: a chat model is often made anew for every call.
_HELD: Final[dict[EngineKey, SharedModel]] = {}
_LOCK: Final = threading.Lock()


def engine_of(key: EngineKey) -> AnyModel:
    """The loaded model, loaded once; other models can be loaded meanwhile.

    Raises:
        ModelError: As `load_model`; a later call tries again.
    """
    with _LOCK:
        if key not in _HELD:
            _HELD[key] = shared_model(key.model, key.options)
        held = _HELD[key]
    return held.get()


def close_engines() -> None:
    """Free all models that were loaded by name. They are loaded again on their next use."""
    with _LOCK:
        held = list(_HELD.values())
        _HELD.clear()
    for one in held:
        one.close()
