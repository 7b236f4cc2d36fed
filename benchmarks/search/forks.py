"""What a fork is worth: how often it changes the answer, by where it was made.

    python -m benchmarks.search.forks FOLDER [--runs r4-random]

Positions of `r4-random` were drawn at random, so its forks tell about all positions alike.
"""

import argparse
import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from et_agent.answers import mentions
from et_agent.engines.loading import load_model
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
    recomputed: int
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
            recomputed=int(leaves.tokens[child]) - start,
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


def table(
    forks: Sequence[ForkSeen], values: Sequence[float], edges: Sequence[float]
) -> list[dict[str, float]]:
    """Forks by the bin that their value falls into."""
    rows = []
    for low, high in itertools.pairwise(edges):
        chosen = [one for one, v in zip(forks, values, strict=True) if low <= v < high]
        if not chosen:
            continue
        recomputed = sum(one.recomputed for one in chosen)
        spread = np.exp([one.log_prob for one in chosen])
        gains = 2 * spread * (1 - spread) * [one.changed for one in chosen]
        rows.append(
            {
                "from": low,
                "to": high,
                "forks": len(chosen),
                "changed": float(np.mean([one.changed for one in chosen])),
                "redone": recomputed / len(chosen),
                "2p(1-p) where changed, by 1000 tokens": 1000 * float(gains.sum()) / recomputed,
            }
        )
    return rows


PLACES = (0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.01)
ENTROPIES = (0, 0.02, 0.1, 0.3, 0.6, 0.9, 1.2, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", default="r4-random")
    parser.add_argument("--model", default="qwen2.5-coder-0.5b", help="for the texts of tokens")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    forks = [one for name in options.runs.split(",") for one in read(options.folder, name)]
    with load_model(options.model) as model:
        pieces = [model.token_bytes(one.token).decode("utf-8", "ignore") for one in forks]
    digits = mentions(pieces, None)
    kinds = {
        "with a digit": [one for one, digit in zip(forks, digits, strict=True) if digit],
        "other": [one for one, digit in zip(forks, digits, strict=True) if not digit],
    }
    found: dict[str, object] = {"runs": options.runs}
    for kind, chosen in kinds.items():
        found[f"{kind}, by place on the path"] = table(chosen, [f.place for f in chosen], PLACES)
        found[f"{kind}, by entropy"] = table(chosen, [f.entropy for f in chosen], ENTROPIES)
    text = json.dumps(found, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
