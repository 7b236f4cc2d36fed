"""Which model the actors of a cluster hold, and with what of each node."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from et_agent.engines.opening import open_model
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError
from et_agent.weights.addresses import is_address

__all__ = ["Hosting"]


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """How a model is held on the nodes of a cluster.

    Attributes:
        model: As for `et_agent.load_model`, the address of a server, or a function that opens a model.
            Its file must be on the nodes already; a node without it is left out.
        load: Arguments of `load_model`; `threads` are the CPUs of an actor if they are not given.
        actors_per_node: Actors on each node that has the model, each with a model of its own.
        cpus: CPUs of an actor; None for all of its node, divided by `actors_per_node`.
        batch: Questions that are handed to an actor at once. It has two such batches, which share
            the model's batches; a lost node costs at most these.
        start_seconds: How long nodes may take to say whether they hold the model, and actors until
            the first one has loaded it.

    Raises:
        SettingsError: A number is out of range.
    """

    model: str | Callable[[], AnyModel]
    load: Mapping[str, Any] = field(default_factory=dict)
    actors_per_node: int = 1
    cpus: int | None = None
    batch: int = 16
    start_seconds: float = 600.0

    def __post_init__(self) -> None:
        for name in ("actors_per_node", "cpus", "batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise SettingsError(f"{name} is {value}: use 1 or more")

    @property
    def name(self) -> str:
        """The model for messages."""
        return self.model if isinstance(self.model, str) else self.model.__qualname__

    def cpus_of(self, available: float) -> int:
        """CPUs of an actor on a node with so many; 0 if they are too few."""
        if self.cpus is not None:
            return self.cpus if self.cpus <= available else 0
        return int(available) // self.actors_per_node

    @property
    def file(self) -> str | None:
        """What names the model's file; None for a server and for a function."""
        return self.model if isinstance(self.model, str) and not is_address(self.model) else None

    def open(self, threads: int) -> AnyModel:
        """Load the model on this machine.

        Raises:
            EtAgentError: As for `et_agent.engines.opening.open_model`.
        """
        if not isinstance(self.model, str):
            return self.model()
        if is_address(self.model):
            return open_model(self.model, **self.load)
        return open_model(self.model, **{"threads": threads, **self.load})
