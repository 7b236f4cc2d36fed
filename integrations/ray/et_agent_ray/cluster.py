"""A Ray cluster: joined, and asked which of its nodes hold a model."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from et_agent.errors import ClusterError
from et_agent_ray.hosting import Hosting

__all__ = ["Node", "joined", "nobody", "nodes", "on_node", "only_on_holders", "problems"]


@dataclass(frozen=True, slots=True)
class Node:
    """A node that is alive.

    Attributes:
        id: Its number, hexadecimal.
        address: Its address, for messages.
        cpus: CPUs that Ray may give away there.
    """

    id: str
    address: str
    cpus: float


@contextlib.contextmanager
def joined(address: str | None = None) -> Iterator[None]:
    """Be a driver of a cluster: of the one that this process has joined already, or of another.

    Args:
        address: Of the cluster; None for that of `RAY_ADDRESS`, or else a cluster of this machine
            alone, which ends with the block.

    Raises:
        ClusterError: There is no cluster.
    """
    if ray.is_initialized():
        yield
        return
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        where = address or "this machine"
        raise ClusterError(
            f"there is no Ray cluster at {where}: {error}. Start one with `ray start --head`, or name "
            "its address, HOST:6379"
        ) from error
    try:
        yield
    finally:
        ray.shutdown()


def nodes() -> dict[str, Node]:
    """Nodes that are alive, by id."""
    return {
        one["NodeID"]: Node(
            one["NodeID"], one["NodeManagerAddress"], one["Resources"].get("CPU", 0)
        )
        for one in ray.nodes()
        if one["Alive"]
    }


def on_node(node: Node) -> dict[str, Any]:
    """Options of a task or an actor that is to run on a node and nowhere else."""
    return {"scheduling_strategy": NodeAffinitySchedulingStrategy(node.id, soft=False)}


def problems(hosting: Hosting, asked: Mapping[str, Node]) -> dict[str, str | None]:
    """Why nodes do not hold a model, by id; None for those that do.

    Nothing is loaded or downloaded. A node that does not reply in time does not hold it.
    """
    if hosting.file is None:
        return dict.fromkeys(asked)
    probe = ray.remote(num_cpus=0, max_retries=0)(_problem)
    replies = {probe.options(**on_node(node)).remote(hosting.file): node for node in asked.values()}
    done, _ = ray.wait(list(replies), num_returns=len(replies), timeout=hosting.start_seconds)
    found: dict[str, str | None] = {node.id: "it did not reply" for node in asked.values()}
    for reply in done:
        try:
            found[replies[reply].id] = ray.get(reply)
        except ray.exceptions.RayError as error:
            found[replies[reply].id] = str(error).strip().partition("\n")[0]
    return found


def only_on_holders(hosting: Hosting, cpus: int) -> dict[str, Any]:
    """Options of actors that are to run on nodes that hold a model, those that join later included.

    Raises:
        ClusterError: No node holds it and has the CPUs.
    """
    alive = nodes()
    able = {key: node for key, node in alive.items() if node.cpus >= cpus}
    lacking = {key: why for key, why in problems(hosting, able).items() if why is not None}
    if len(lacking) == len(able):
        few = {key: f"it has {node.cpus:g} CPUs" for key, node in alive.items()}
        raise nobody(hosting, alive, few | lacking)
    selector = {"ray.io/node-id": f"!in({','.join(sorted(lacking))})"}
    return {"label_selector": selector} if lacking else {}


def nobody(hosting: Hosting, alive: Mapping[str, Node], why: Mapping[str, str]) -> ClusterError:
    """What to say where no node can run a model, with the reasons by node."""
    reasons = "; ".join(f"{node.address}: {why.get(key, 'lost')}" for key, node in alive.items())
    return ClusterError(
        f"no node of the cluster holds {hosting.name} and has CPUs for it "
        f"({reasons or 'there is none'}). Put the model there with `et-agent models pull`, or on a "
        "folder that all nodes share; what is finished is kept"
    )


def _problem(model: str) -> str | None:
    """Why this machine does not hold a model."""
    from et_agent.errors import EtAgentError
    from et_agent.weights.catalog import locate

    try:
        locate(model, download=False)
    except EtAgentError as error:
        return str(error)
    return None
