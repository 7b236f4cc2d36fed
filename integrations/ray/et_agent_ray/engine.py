"""Runs and questions on a cluster: handed out by one process, which alone writes results."""

import contextlib
import itertools
from collections.abc import Collection, Generator, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Self, Unpack

from et_agent.answers import AnswerKind
from et_agent.asking.options import DEFAULTS, AskOptions, PromptKeywords
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.evaluation.planning import Plan
from et_agent.evaluation.store import RunStore
from et_agent.evaluation.tasks import Kept, Skipped, Task
from et_agent_ray.actors import Answered
from et_agent_ray.cluster import joined
from et_agent_ray.hosting import Hosting
from et_agent_ray.pool import Pool

__all__ = ["RayEngine"]

_AHEAD: Final = 10_000
"""Questions that may be answered before an earlier one is: results wait for their turn in memory."""
_DIED: Final = "several processes died over it: see Ray's log of the nodes"


class RayEngine:
    """Decodes on the nodes of a Ray cluster, an `EvaluationEngine`. Use it in a `with` block.

    Args:
        hosting: Which model, and how it is held on the nodes.
        address: Of the cluster; None for that of `RAY_ADDRESS`, or else this machine alone. A cluster
            that the process has joined already is taken.

    Raises:
        ClusterError: On entry: there is no cluster, or no node of it holds the model.
    """

    def __init__(self, hosting: Hosting, *, address: str | None = None) -> None:
        self._hosting, self._address = hosting, address
        self._stack = contextlib.ExitStack()
        self._pool: Pool | None = None

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            stack.enter_context(joined(self._address))
            self._pool = stack.enter_context(Pool(self._hosting))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool = None
        self._stack.close()

    def plan(
        self,
        decoders: Mapping[str, DecoderSettings],
        *,
        data: str,
        thresholds: Thresholds | None,
        kinds: Collection[AnswerKind],
        **prompt: Unpack[PromptKeywords],
    ) -> Plan:
        """Plan runs with a model of the cluster and the pilots of this machine; see `plan_runs`.

        Raises:
            ClusterError: No node is left that holds the model.
        """
        pool = self._entered()
        if thresholds is None and (fingerprint := pool.call("ready")):
            thresholds = find_thresholds(fingerprint)
        plan: Plan = pool.call("plan", decoders, data, thresholds, kinds, prompt)
        return plan

    def decoded(
        self, store: RunStore, tasks: Iterable[Task], options: AskOptions
    ) -> Generator[Kept | Skipped, None, None]:
        """Decode questions and keep each once, a batch in one transaction.

        Raises:
            ClusterError: No node is left that holds the model; what is finished is kept.
            StoreError: A question cannot be kept.
        """
        batches = _batched(tasks, self._hosting.batch)
        with contextlib.closing(self._entered().map("decode", batches, options)) as ended:
            for batch, found in ended:
                if found is None:
                    yield from (Skipped(task.item.id, _DIED) for task in batch)
                    continue
                packed, skipped = found
                for run in {task.run.id: task.run for task in batch}.values():
                    these = [one for number, one in packed if number == run.id]
                    added = set(store.add_packed(run, these))
                    wanted = {task.item.id: task for task in batch if task.run.id == run.id}
                    for one in these:
                        if one.item in added:
                            yield Kept(wanted[one.item], one.unpacked())
                yield from skipped

    def answered(
        self,
        questions: Iterable[str],
        options: AskOptions = DEFAULTS,
        *,
        tree: bool = False,
    ) -> Generator[Answered, None, None]:
        """Answer questions, in their order.

        Args:
            questions: Texts, taken as they are needed.
            options: How they are answered.
            tree: Whether results carry the tree.

        Raises:
            ClusterError: No node is left that holds the model.
        """
        done: dict[int, Answered] = {}
        next_one = 0
        numbered = enumerate(questions)

        def batches() -> Iterator[Sequence[tuple[int, str]] | None]:
            for batch in _batched(numbered, self._hosting.batch):
                while batch[0][0] - next_one >= _AHEAD:
                    yield None
                yield batch

        pool = self._entered()
        with contextlib.closing(pool.map("answer", batches(), options, tree)) as ended:
            for batch, found in ended:
                told = [Answered(error=_DIED)] * len(batch) if found is None else found
                done.update((number, one) for (number, _), one in zip(batch, told, strict=True))
                while next_one in done:
                    next_one += 1
                    yield done.pop(next_one - 1)

    def _entered(self) -> Pool:
        if self._pool is None:
            raise RuntimeError("a RayEngine works in a `with` block")
        return self._pool


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, size)):
        yield batch
