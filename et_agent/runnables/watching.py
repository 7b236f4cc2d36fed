"""From the model's thread to a consumer in another: what happens to a tree, step by step."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from et_agent.asking import start
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding.request import Request
from et_agent.decoding.tree import Share, Tree
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

__all__ = ["Send", "Update", "Watch", "begin"]

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


def begin(*watches: "Watch") -> None:
    """Let questions of one model be decoded, from the same batch on.

    Raises:
        ModelClosedError: The model was closed.
    """
    start(*(watch.pending for watch in watches))


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
        answer = self.pending.leaf_answer
        self._tell(
            Update(
                forks=tuple(map(ForkSeen.of, forks)),
                leaves=tuple(LeafSeen.of(branch, tree, answer(branch.id)) for branch in new),
                snapshot=self._snapshot(tree, request.seconds),
            )
        )

    def _snapshot(self, tree: Tree, seconds: float) -> TreeSnapshot:
        distribution = _distribution(tree.shares(self.pending.leaf_answer))
        leading = next((one for one in distribution if one.answer is not None), None)
        return TreeSnapshot(
            question=self.pending.question,
            answer=None if leading is None else leading.answer,
            share=0.0 if leading is None else min(1.0, leading.share),
            distribution=distribution,
            leaves_done=sum(one.leaves for one in distribution),
            leaves=tree.leaf_count(),
            tokens=tree.tokens_decoded,
            seconds=seconds,
        )


def _distribution(shares: Mapping[str | None, Share]) -> tuple[AnswerShare, ...]:
    """p(a|x) over the leaves that have ended; of equally heavy answers the first leads."""
    weight = sum(one.weight for one in shares.values())
    count = sum(one.leaves for one in shares.values())
    order = sorted(
        shares, key=lambda answer: (-round(shares[answer].weight, SHARE_DIGITS), answer is None)
    )
    return tuple(
        AnswerShare(
            answer=answer,
            share=shares[answer].weight / weight,
            share_by_count=shares[answer].leaves / count,
            leaves=shares[answer].leaves,
        )
        for answer in order
    )
