"""Actors with a model on every node that has it, and batches handed to them until each is done once."""

import contextlib
import time
from collections import Counter, deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Self, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from et_agent.errors import ClusterError, EtAgentError
from et_agent_ray.actors import ModelActor
from et_agent_ray.cluster import Node, nobody, nodes, on_node, problems
from et_agent_ray.hosting import Hosting

__all__ = ["Pool"]

T = TypeVar("T")

_IN_FLIGHT: Final = 2
"""Batches of an actor: while one ends, the other fills the model's batches."""
_POLL_SECONDS: Final = 1.0
_DEATHS_OF_A_BATCH: Final = 2
"""Actors that may die over a batch before its questions are handed out one by one."""
_DEATHS_OF_A_QUESTION: Final = 5
"""Actors that may die over a question, those over its batch included, before it is given up."""
_DEATHS_ON_A_NODE: Final = 3
"""Actors that may die one after the other on a node, none with a batch done, before it is left out."""


@dataclass(eq=False, slots=True)
class _Job(Generic[T]):
    """A batch that is not done; `deaths` counts the actors that it has outlived."""

    batch: Sequence[T]
    deaths: int = 0
    copies: int = 0

    @property
    def is_suspect(self) -> bool:
        """Whether it may be what kills: then it is decoded alone, so that nothing dies with it."""
        return self.deaths >= _DEATHS_OF_A_BATCH


@dataclass(eq=False, slots=True)
class _Member:
    """An actor. `starting` is set until its model is loaded."""

    node: Node
    handle: Any
    starting: Any
    jobs: dict[Any, _Job[Any]] = field(default_factory=dict)


class Pool:
    """Actors with a model, as many as the nodes that have it allow.

    Nodes that join are taken in, nodes that are lost give their batches back. Use it in a `with` block,
    which ends all actors.

    Args:
        hosting: Which model, and how.

    Raises:
        ClusterError: No node of the cluster holds the model and has the CPUs.
    """

    def __init__(self, hosting: Hosting) -> None:
        self._hosting = hosting
        self._members: list[_Member] = []
        self._refused: dict[str, str] = {}
        self._known: set[str] = set()
        self._deaths: Counter[str] = Counter()
        self._fingerprint: str | None = None
        self._looked = 0.0
        self._waits_since = time.monotonic()

    def __enter__(self) -> Self:
        try:
            self._staff()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all actors; safe to call twice."""
        for member in list(self._members):
            self._dismiss(member)

    def call(self, method: str, *arguments: Any) -> Any:
        """What a method of one of the actors returns; another one is asked if that is lost.

        Raises:
            ClusterError: As for `map`.
            EtAgentError: The method raised it.
        """
        with contextlib.closing(self.map(method, iter([arguments]), spread=True)) as ended:
            for _, found in ended:
                if found is not None:
                    return found[0]
        raise ClusterError(f"the actors died over {method}: see Ray's log of the nodes")

    def map(
        self, method: str, batches: Iterator[Sequence[T] | None], *shared: Any, spread: bool = False
    ) -> Generator[tuple[Sequence[T], Any], None, None]:
        """Hand batches to actors and tell of each as soon as it is done.

        Batches of lost actors are handed out again. At the end, actors without work repeat what others
        are late with, and what is done first counts.

        Args:
            method: A method of `ModelActor`, called with (batch, *shared).
            batches: Taken when there is room for one; None says that there is more, but not now.
            shared: The same for all calls.
            spread: Call the method with the items of a batch as arguments; its result is a list of one.

        Yields:
            Each batch once, in the order in which they are done, and what the method returned; None for
            a question over which several processes died.

        Raises:
            ClusterError: No node is left that holds the model, or models differ.
            EtAgentError: The method raised it.
        """
        common = [ray.put(one) for one in shared]
        waiting: deque[_Job[T]] = deque()
        open_jobs: dict[_Job[T], None] = {}
        more = True

        def next_job(member: _Member) -> _Job[T] | None:
            nonlocal more
            if any(job.is_suspect for job in member.jobs.values()):
                return None
            if waiting and not (waiting[0].is_suspect and member.jobs):
                return waiting.popleft()
            if more:
                try:
                    batch = next(batches)
                except StopIteration:
                    more = False
                else:
                    return None if batch is None else _Job(batch)
            if more or waiting or spread or member.jobs:
                return None
            return next((job for job in open_jobs if job.copies == 1 and not job.is_suspect), None)

        try:
            while more or open_jobs or waiting:
                self._staff()
                for member in self._free():
                    while len(member.jobs) < _IN_FLIGHT and (job := next_job(member)) is not None:
                        call = getattr(member.handle, method)
                        arguments = job.batch if spread else (job.batch, *common)
                        member.jobs[call.remote(*arguments)] = job
                        job.copies += 1
                        open_jobs[job] = None
                for member, job, found in self._done():
                    if isinstance(found, _Lost):
                        job.copies -= 1
                        job.deaths += 1
                        if job.copies or job not in open_jobs:
                            continue
                        del open_jobs[job]
                        if len(job.batch) > 1 and job.is_suspect and not spread:
                            waiting.extend(_Job([one], job.deaths) for one in job.batch)
                        elif job.deaths >= _DEATHS_OF_A_QUESTION:
                            yield job.batch, None
                        else:
                            waiting.append(job)
                    elif job in open_jobs:
                        del open_jobs[job]
                        self._deaths[member.node.id] = 0
                        yield job.batch, [found] if spread else found
        finally:
            for member in list(self._members):
                if member.jobs:
                    self._dismiss(member)

    def _free(self) -> list[_Member]:
        """Actors that can take a batch, those with the fewest first."""
        free = [m for m in self._members if m.starting is None and len(m.jobs) < _IN_FLIGHT]
        return sorted(free, key=lambda member: len(member.jobs))

    def _done(self) -> Iterator[tuple[_Member, _Job[Any], Any]]:
        """Calls that have ended since, with what they returned or `_Lost`."""
        at = {member.starting: member for member in self._members if member.starting is not None}
        at |= {call: member for member in self._members for call in member.jobs}
        if not at:
            time.sleep(_POLL_SECONDS)
            return
        ray.wait(list(at), num_returns=1, timeout=_POLL_SECONDS)
        ended, _ = ray.wait(list(at), num_returns=len(at), timeout=0)
        for call in ended:
            member = at[call]
            if member not in self._members:
                continue
            try:
                found = ray.get(call)
            except RayTaskError as error:
                if call is member.starting:
                    yield from self._lost(member, error)
                    continue
                if isinstance(error.cause, EtAgentError):
                    raise error.cause from None
                raise
            except RayError as error:
                yield from self._lost(member, error)
                continue
            if call is member.starting:
                member.starting = None
                self._check(member, found)
            else:
                yield member, member.jobs.pop(call), found

    def _lost(
        self, member: _Member, error: RayError
    ) -> Iterator[tuple[_Member, _Job[Any], "_Lost"]]:
        """Take leave of an actor that died, with all that it had."""
        jobs = list(member.jobs.values())
        self._dismiss(member)
        self._deaths[member.node.id] += 1
        if isinstance(refusal := getattr(error, "cause", None), EtAgentError):
            self._refused[member.node.id] = str(refusal)
        elif self._deaths[member.node.id] > _DEATHS_ON_A_NODE:
            self._refused[member.node.id] = "its actors die: see Ray's log there"
        self._looked = 0.0
        for job in jobs:
            yield member, job, _Lost()

    def _check(self, member: _Member, fingerprint: str) -> None:
        """Refuse to mix two models of one name."""
        if self._fingerprint not in (None, fingerprint):
            raise ClusterError(
                f"the nodes hold different models under the name {self._hosting.name}: that of "
                f"{member.node.address} has the fingerprint {fingerprint[:12]}, another one has "
                f"{str(self._fingerprint)[:12]}. Copy the same file to all of them"
            )
        self._fingerprint = fingerprint

    def _dismiss(self, member: _Member) -> None:
        with contextlib.suppress(RayError, ValueError):
            ray.kill(member.handle)
        self._members.remove(member)

    def _staff(self) -> None:
        """Look at the nodes now and then, and start the actors that are missing.

        Raises:
            ClusterError: There is nobody to work.
        """
        now = time.monotonic()
        if any(member.starting is None for member in self._members):
            self._waits_since = now
        elif now - self._waits_since > self._hosting.start_seconds:
            raise ClusterError(
                f"no actor has loaded {self._hosting.name} within {self._hosting.start_seconds:.0f} s: "
                "are the CPUs of the nodes taken (`ray status`)?"
            )
        if now - self._looked < _POLL_SECONDS:
            return
        alive = nodes()
        self._ask({key: node for key, node in alive.items() if key not in self._known})
        for node in alive.values():
            cpus = self._hosting.cpus_of(node.cpus)
            present = sum(member.node.id == node.id for member in self._members)
            if node.id not in self._refused:
                for _ in range(self._hosting.actors_per_node - present):
                    self._start(node, cpus)
        if not self._members:
            raise nobody(self._hosting, alive, self._refused)
        self._looked = time.monotonic()

    def _ask(self, unknown: dict[str, Node]) -> None:
        """Find out which new nodes can work."""
        self._known |= set(unknown)
        able = {}
        for key, node in unknown.items():
            if self._hosting.cpus_of(node.cpus):
                able[key] = node
            else:
                self._refused[key] = f"it has {node.cpus:g} CPUs"
        if able:
            found = problems(self._hosting, able)
            self._refused |= {key: why for key, why in found.items() if why is not None}

    def _start(self, node: Node, cpus: int) -> None:
        made = ray.remote(num_cpus=cpus, max_restarts=0, max_task_retries=0)(ModelActor)
        options = {"max_concurrency": _IN_FLIGHT, **on_node(node)}
        handle = made.options(**options).remote(self._hosting, cpus)
        self._members.append(_Member(node, handle, handle.ready.remote()))


class _Lost:
    """The actor died before it was done."""
