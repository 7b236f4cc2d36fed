"""et-agent on many machines: questions spread over a Ray cluster, each kept once.

    from et_agent_ray import EntropyTreePredictor, Hosting, RayEngine

Each of them is loaded on first use, since every process of a cluster imports this package.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from et_agent_ray.engine import RayEngine
    from et_agent_ray.hosting import Hosting
    from et_agent_ray.predictor import EntropyTreePredictor, predict

__all__ = ["EntropyTreePredictor", "Hosting", "RayEngine", "predict"]

_HOMES = {
    "EntropyTreePredictor": "predictor",
    "Hosting": "hosting",
    "RayEngine": "engine",
    "predict": "predictor",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'et_agent_ray' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"et_agent_ray.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
