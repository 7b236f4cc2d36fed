"""What a fork is worth: how often it changes the answer, by where it was made.

    python -m benchmarks.search.forks FOLDER [--runs r4-random]

Positions of `r4-random` were drawn at random, so its forks tell about all positions alike.
"""

import argparse
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunStore
from et_agent.uncertainty.leaf_table import FORKS


@dataclass(frozen=True)
class ForkSeen:
    """One fork: what was known when it was made, and what came of it."""

    item: str
    entropy: float
    varentropy: float
    lead: float
    log_prob: float
    token: int
    side: int
    side_log_prob: float
    place: float
    """Position, as a share of the parent's path."""
    redo: int
    """Tokens that the child decoded."""
    parent_tokens: int
    changed: bool
    parent_right: bool
    child_right: bool


def forks_of(record: QuestionRecord, traces: dict[str, NDArray[Any]]) -> Iterator[ForkSeen]:
    """The forks back into finished chains, children of children left out."""
    leaves, right = record.leaves, record.leaf_right
    offsets = np.concatenate([[0], np.cumsum(traces["length"])])
    roots = {
        at
        for at in range(len(leaves))
        if leaves.fork[at] < 0 or FORKS[leaves.fork[at]] in ("independent", "stratified")
    }
    for child in range(len(leaves)):
        parent, start = int(leaves.parent[child]), int(leaves.start[child])
        if child in roots or parent not in roots or start < int(leaves.start[parent]):
            continue
        at = int(offsets[parent]) + start - int(leaves.start[parent])
        first = int(offsets[child])
        yield ForkSeen(
            item=record.item,
            entropy=float(traces["entropies"][at]),
            varentropy=float(traces["varentropies"][at]),
            lead=float(traces["leads"][at]),
            log_prob=float(traces["log_probs"][at]),
            token=int(traces["tokens"][at]),
            side=int(traces["tokens"][first]),
            side_log_prob=float(traces["log_probs"][first]),
            place=start / int(leaves.tokens[parent]),
            redo=int(leaves.tokens[child]) - start,
            parent_tokens=int(leaves.tokens[parent]),
            changed=bool(leaves.answer[child] != leaves.answer[parent]),
            parent_right=bool(right[parent]),
            child_right=bool(right[child]),
        )


def read(folder: Path, name: str) -> list[ForkSeen]:
    with RunStore(folder / "runs.sqlite") as store:
        run = store.run(f"search-{name}")
        return [
            fork
            for record in store.records(run)
            for fork in forks_of(record, store.traces(run, record.item))
        ]


def table(forks: Sequence[ForkSeen], values: NDArray[np.float64], edges: Sequence[float]) -> None:
    for low, high in itertools.pairwise(edges):
        chosen = [one for one, v in zip(forks, values, strict=True) if low <= v < high]
        if not chosen:
            continue
        wrong = [one for one in chosen if not one.parent_right]
        mended = sum(one.child_right for one in wrong)
        redo = sum(one.redo for one in wrong)
        print(
            f"  {low:6.2f} to {high:6.2f}: {len(chosen):4} forks, changed "
            f"{np.mean([one.changed for one in chosen]):.2f}, redone "
            f"{np.mean([one.redo for one in chosen]):4.0f} tokens, mended "
            f"{mended / max(1, len(wrong)):.3f} of the wrong = "
            f"{1000 * mended / max(1, redo):.2f} a thousand tokens"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", default="r4-random")
    options = parser.parse_args()
    for name in options.runs.split(","):
        forks = read(options.folder, name)
        print(f"{name}: {len(forks)} forks of roots")
        print(" by place on the path")
        table(forks, np.array([one.place for one in forks]), (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.01))
        print(" by entropy")
        entropies = np.array([one.entropy for one in forks])
        table(forks, entropies, (0, 0.02, 0.1, 0.3, 0.6, 0.9, 1.2, 20))
        print(" by varentropy")
        table(forks, np.array([one.varentropy for one in forks]), (0, 0.1, 0.5, 1, 2, 4, 100))


if __name__ == "__main__":
    main()
