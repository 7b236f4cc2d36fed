"""Loaded models, shared by all chat models that name the same file with the same settings."""

import threading
from dataclasses import dataclass, field

from et_agent import load_model
from et_agent.models.base import LanguageModel

__all__ = ["EngineKey", "close_engines", "engine_of"]


@dataclass(frozen=True)
class EngineKey:
    """What makes two loaded models the same; arguments of `load_model`."""

    model: str
    context: int
    threads: int | None
    max_sequences: int


@dataclass
class _Slot:
    lock: threading.Lock = field(default_factory=threading.Lock)
    engine: LanguageModel | None = None


_SLOTS: dict[EngineKey, _Slot] = {}
_LOCK = threading.Lock()


def engine_of(key: EngineKey) -> LanguageModel:
    """The loaded model, loaded once; other models can be loaded meanwhile.

    Raises:
        ModelError: As `load_model`; a later call tries again.
    """
    with _LOCK:
        slot = _SLOTS.setdefault(key, _Slot())
    with slot.lock:
        if slot.engine is None:
            slot.engine = load_model(
                key.model,
                context=key.context,
                threads=key.threads,
                max_sequences=key.max_sequences,
            )
        return slot.engine


def close_engines() -> None:
    """Free all models that were loaded by name; they are loaded again when they are next used."""
    with _LOCK:
        slots = list(_SLOTS.values())
        _SLOTS.clear()
    for slot in slots:
        with slot.lock:
            if slot.engine is not None:
                slot.engine.close()
