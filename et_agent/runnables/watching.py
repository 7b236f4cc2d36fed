"""From the model's thread to a consumer in another: what happens to a tree, step by step."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from et_agent.asking import PendingAnswer
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Branch
from et_agent.results import AnswerShare, AskResult
from et_agent.runnables.events import (
    FORK_EVENT,
    LEAF_EVENT,
    POSTERIOR_EVENT,
    ForkSeen,
    LeafSeen,
    TreeSnapshot,
)
from et_agent.uncertainty.leaves import SHARE_DIGITS

__all__ = ["Send", "Update", "Watch", "start"]

_LONGEST_SILENCE: Final = 0.2
"""Seconds after which a snapshot is sent although no path forked or ended."""


@dataclass(frozen=True, slots=True)
class Update:
    """What a step, or a few, brought.

    Attributes:
        forks: Forks since the last update.
        leaves: Paths that have ended since.
        snapshot: The tree now.
    """

    forks: tuple[ForkSeen, ...]
    leaves: tuple[LeafSeen, ...]
    snapshot: TreeSnapshot

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """(name, data) of the custom events that tell it; plain JSON types."""
        told = [(FORK_EVENT, fork.model_dump(mode="json")) for fork in self.forks]
        told += [(LEAF_EVENT, leaf.model_dump(mode="json")) for leaf in self.leaves]
        return [*told, (POSTERIOR_EVENT, self.snapshot.model_dump(mode="json"))]


Send = Callable[[Update | None], None]
"""Takes updates, and None once decoding has ended. It is called in the model's thread, so it must be
quick."""


def start(*watches: "Watch") -> None:
    """Let questions of one model be decoded, from the same batch on.

    Raises:
        ModelClosedError: The model was closed.
    """
    requests = [watch.pending.request for watch in watches]
    if requests:
        scheduler_of(requests[0].model).queue(*requests)


class Watch:
    """Follows a question that is not queued yet, and stops it when it is closed.

    Args:
        pending: The question; nobody else may follow its steps.
        send: Where updates go.
        follow: Whether updates are wanted; otherwise only the end is told.
        include_tree: Whether the result carries the tree.
    """

    def __init__(
        self, pending: PendingAnswer, send: Send, *, follow: bool, include_tree: bool
    ) -> None:
        self.pending = pending
        self._send = send
        self._include_tree = include_tree
        self._closed = False
        self._forks = 0
        self._ended: set[int] = set()
        self._told = 0.0
        if follow:
            pending.request.on_step = self._note
        pending.add_done_callback(lambda _: self._tell(None))

    def result(self) -> AskResult:
        """Wait for the result.

        Raises:
            EtAgentError: Decoding failed.
        """
        result = self.pending.result()
        return result if self._include_tree else result.model_copy(update={"tree": None})

    def close(self) -> None:
        """Send nothing any more, and stop decoding within one step if it goes on."""
        self._closed = True
        self.pending.cancel()

    def _tell(self, update: Update | None) -> None:
        if not self._closed:
            self._send(update)

    def _note(self, request: Request) -> None:
        if self._closed:
            return
        tree = request.run.tree
        forks = tree.forks[self._forks :]
        ended = [branch for branch in tree.branches if branch.finish is not None]
        new = [branch for branch in ended if branch.id not in self._ended]
        now = time.perf_counter()
        if not forks and not new and now - self._told < _LONGEST_SILENCE:
            return
        self._forks += len(forks)
        self._ended.update(branch.id for branch in new)
        self._told = now
        answers = {branch.id: self.pending.leaf_answer(branch.id) for branch in ended}
        self._tell(
            Update(
                forks=tuple(map(ForkSeen.of, forks)),
                leaves=tuple(LeafSeen.of(branch, tree, answers[branch.id]) for branch in new),
                snapshot=self._snapshot(request, ended, answers),
            )
        )

    def _snapshot(
        self, request: Request, ended: list[Branch], answers: dict[int, str | None]
    ) -> TreeSnapshot:
        tree = request.run.tree
        weights: dict[str | None, float] = {}
        leaves: dict[str | None, int] = {}
        for branch in ended:
            answer = answers[branch.id]
            weights[answer] = weights.get(answer, 0.0) + tree.weight(branch.id)
            leaves[answer] = leaves.get(answer, 0) + branch.codes
        weight, count = sum(weights.values()), sum(leaves.values())
        shares = [
            AnswerShare(
                answer=answer,
                share=part / weight,
                share_by_count=leaves[answer] / count,
                leaves=leaves[answer],
            )
            for answer, part in sorted(
                weights.items(), key=lambda one: (-round(one[1], SHARE_DIGITS), one[0] is None)
            )
        ]
        leading = next((one for one in shares if one.answer is not None), None)
        return TreeSnapshot(
            question=self.pending.question,
            answer=None if leading is None else leading.answer,
            share=0.0 if leading is None else min(1.0, leading.share),
            distribution=tuple(shares),
            leaves_done=count,
            leaves=tree.leaf_count(),
            tokens=tree.tokens_decoded,
            seconds=request.seconds,
        )
