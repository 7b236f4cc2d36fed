"""What a store knows of a run, and with what runs of this process are made."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from et_agent.kernels import attach, library_line

__all__ = ["RunInfo", "versions"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A run: one decoder on one sample of one data set with one model.

    Attributes:
        id: Its number in the store.
        name: Its name, unique in the store.
        config: Everything that decides what is decoded.
        created: When it was begun, ISO 8601, UTC.
        questions: Questions that are finished.
        made_with: Versions of packages, the kernels and the model's number of parameters, with which it
            was begun.
        wanted: Questions that the last call asked for; 0 where that is not known.
    """

    id: int
    name: str
    config: Mapping[str, Any]
    created: str
    questions: int
    made_with: Mapping[str, str] = field(default_factory=dict)
    wanted: int = 0

    @property
    def library(self) -> str:
        """What decoded, as `ModelId.library` has it; empty where that is not known."""
        version, kernels = map(self.made_with.get, ("llama-cpp-python", "kernels"))
        return library_line(version, kernels) if version and kernels else ""

    @property
    def parameters(self) -> int:
        """Parameters of the model; 0 where that is not known."""
        return int(self.made_with.get("parameters", "0"))


def versions() -> dict[str, str]:
    """What a run is begun with here; to be read by people, other versions may go on with it."""
    found = {}
    for name in ("et-agent", "llama-cpp-python", "numpy"):
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    found["kernels"] = attach().name
    return found
