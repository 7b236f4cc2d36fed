"""A cluster of several nodes, each a raylet with processes of its own, on this machine."""

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

_STORE = 80 << 20
_TRIES = 6


def _slow_clock() -> float:
    return time.monotonic() / 2


def _started(start: Callable[[], Any]) -> Any:
    """What starts a node, tried again: its raylet gives up if an agent takes 15 seconds to start."""
    for _ in range(_TRIES - 1):
        with contextlib.suppress(Exception):
            return start()
    return start()


class Machines:
    """A cluster to which nodes are added, and whose nodes can be killed."""

    def __init__(self) -> None:
        from ray.cluster_utils import Cluster

        # A node that was killed is found dead within ten seconds.
        health = {"health_check_period_ms": 1000, "health_check_failure_threshold": 10}
        head = {
            "num_cpus": 0,
            "object_store_memory": _STORE,
            "_system_config": health,
            # What watches a cluster takes longer to start than the cluster.
            "include_dashboard": False,
            "include_log_monitor": False,
            "no_monitor": True,
        }
        self._cluster = _started(lambda: Cluster(initialize_head=True, head_node_args=head))
        self.address: str = self._cluster.address
        self._nodes: list[Any] = []

    def have(self, count: int) -> None:
        """Bring the number of nodes, of one CPU each, to this."""
        for node in self._nodes[count:]:
            self._cluster.remove_node(node)
        del self._nodes[count:]
        while len(self._nodes) < count:
            self._nodes.append(
                _started(lambda: self._cluster.add_node(num_cpus=1, object_store_memory=_STORE))
            )
        self._cluster.wait_for_nodes(timeout=120)

    def kill(self) -> None:
        """Kill a node with all its processes at once."""
        self._cluster.remove_node(self._nodes.pop(), allow_graceful=False)

    def alive(self) -> bool:
        """Whether there is a node besides the head, which has no CPU."""
        return bool(self._nodes)

    def close(self) -> None:
        self._cluster.shutdown()


@pytest.fixture(scope="session")
def machines() -> Iterator[Machines]:
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patched:
        # For the nodes' processes, which know nothing of pytest's settings.
        patched.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        patched.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        patched.setenv("RAY_agent_register_timeout_ms", "300000")
        # Ray has processes of nodes wait for all others of the machine.
        patched.setenv("RAY_worker_niceness", "0")
        # Ray gives a node 30 seconds to start, which a loaded machine exceeds.
        slowly = SimpleNamespace(time=time.time, sleep=time.sleep, monotonic=_slow_clock)
        patched.setattr("ray._private.node.time", slowly)
        with contextlib.closing(Machines()) as made:
            ray.init(address=made.address, log_to_driver=False, logging_level="error")
            yield made
            ray.shutdown()
