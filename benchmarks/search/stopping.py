"""When to stop, played through with the pool's chains: no decoding.

    python -m benchmarks.search.stopping FOLDER

A policy takes some chains, and then some more as long as nothing is settled. It is held against as many
chains for every question as cost the same tokens.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from et_agent.evaluation.bootstrap import Resamples
from et_agent.evaluation.equal_cost import Chains, some_chains
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunStore
from et_agent.uncertainty.estimators import ESTIMATORS

ORDERS = 40


def play(
    record: QuestionRecord, order: np.ndarray, first: int, step: int, most: int, share: float
) -> QuestionRecord:
    size = first
    while True:
        now = some_chains(record, np.sort(order[:size]))
        if size >= most or now.leaves.shares.max(initial=0.0) >= share:
            return now
        size = min(most, size + step)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    with RunStore(options.folder / "runs.sqlite") as store:
        pool: Sequence[QuestionRecord] = store.records(store.run("search-pool"))
    chains = Chains(pool)
    counts = Resamples(len(pool), resamples=200).counts
    share = ESTIMATORS["top-share"]
    print("first step most share | tokens = chains | accuracy, any right, AUROC; minus chains'")
    for first, step, most, least in (
        (3, 1, 16, 0.99),
        (4, 4, 16, 0.99),
        (4, 4, 16, 0.75),
        (4, 4, 20, 0.75),
        (4, 2, 16, 0.6),
        (4, 4, 16, 0.5),
        (6, 2, 16, 0.66),
        (8, 8, 24, 0.75),
    ):
        rng = np.random.default_rng(0)
        runs = [
            [play(one, rng.permutation(chains.count), first, step, most, least) for one in pool]
            for _ in range(ORDERS)
        ]
        tokens = np.mean([[one.tokens_decoded for one in run] for run in runs])
        everything = [one for run in runs for one in run]
        k = np.full(len(counts), tokens / np.mean([one.leaves.tokens.mean() for one in pool]))
        right = np.array([one.correct for one in everything])
        scores = np.array([share.confidence(one.leaves, {}) for one in everything])
        rank = float(auroc(right, scores, np.ones((1, right.size)))[0])
        found = float(np.mean([one.leaf_right.any() for one in everything]))
        theirs = [
            chains.accuracy(k, counts)[0],
            chains.pass_any(k, counts)[0],
            chains.auroc(k, share, counts)[0],
        ]
        ours = [float(right.mean()), found, rank]
        gaps = ", ".join(f"{a:.3f} ({a - b:+.3f})" for a, b in zip(ours, theirs, strict=True))
        print(f"{first:5} {step:4} {most:4} {least:5.2f} | {tokens:6.0f} = {k[0]:4.1f} | {gaps}")


if __name__ == "__main__":
    main()
