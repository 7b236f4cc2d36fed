"""`--engine ray`: the cluster that commands decode on instead of this process."""

import contextlib
import sys
import threading
from collections.abc import Iterator
from enum import StrEnum
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from et_agent.errors import SettingsError
from et_agent.extras import integration_hint

if TYPE_CHECKING:
    from et_agent_ray import Hosting, RayEngine

__all__ = ["Engine", "EngineName", "RayAddress", "check_engine", "hosting_of", "ray_engine"]

_PANEL = "Many machines"


class EngineName(StrEnum):
    """Where questions are decoded."""

    LOCAL = "local"
    RAY = "ray"


Engine = Annotated[
    EngineName,
    typer.Option(
        help="Where to decode: in this process, or on the nodes of a Ray cluster.",
        rich_help_panel=_PANEL,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="The Ray cluster.",
        show_default="RAY_ADDRESS, or this machine alone",
        rich_help_panel=_PANEL,
    ),
]


def check_engine(engine: EngineName, address: str | None) -> None:
    """Refuse an engine that is not installed, and the address of a cluster that is not asked for.

    Raises:
        SettingsError: It is one of these.
    """
    if engine is EngineName.LOCAL:
        if address is not None:
            raise SettingsError("--ray-address is for --engine ray: add it, or leave it out")
    elif find_spec("et_agent_ray") is None or find_spec("ray") is None:
        raise SettingsError(
            f"`--engine ray` is a package of its own: install it with {integration_hint('ray')}"
        )


def hosting_of(spec: str, *, threads: int | None, load: dict[str, Any]) -> "Hosting":
    """How the nodes hold a model: an actor on each, with all CPUs unless `threads` says otherwise."""
    from et_agent_ray import Hosting

    return Hosting(model=spec, load=load, cpus=threads)


@contextlib.contextmanager
def ray_engine(
    spec: str, *, address: str | None, threads: int | None, load: dict[str, Any]
) -> Iterator["RayEngine"]:
    """A cluster whose nodes load a model; standard output stays this thread's meanwhile.

    Args:
        spec: The model.
        address: Of the cluster.
        threads: CPUs of each actor.
        load: Further arguments of `load_model`.

    Raises:
        ClusterError: There is no cluster, or no node of it holds the model.
    """
    from et_agent_ray import RayEngine

    hosting = hosting_of(spec, threads=threads, load=load)
    with (
        contextlib.redirect_stdout(_OfThisThread(sys.stdout, sys.stderr)),
        RayEngine(hosting, address=address) as engine,
    ):
        yield engine


class _OfThisThread:
    """Standard output for the thread that made it; what Ray's threads print goes to standard error."""

    def __init__(self, own: TextIO, others: TextIO) -> None:
        self._own, self._others = own, others
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        mine = threading.get_ident() == self._thread
        return (self._own if mine else self._others).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)
