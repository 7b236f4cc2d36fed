"""When to stop, played through with the pool's chains: no decoding.

    python -m benchmarks.search.stopping FOLDER [--publish]

A policy takes some chains, and then some more as long as nothing is settled. It is held against as many
chains for every question as cost the same tokens.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.documents import put
from et_agent.evaluation.equal_cost import Chains, some_chains
from et_agent.evaluation.metrics import auroc
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunStore
from et_agent.uncertainty.estimators import ESTIMATORS

ORDERS = 40
THEIRS = "chains' "
RESULTS = Path(__file__).parents[1] / "results" / "search-stopping.json"


def play(
    record: QuestionRecord, order: np.ndarray, first: int, step: int, most: int, share: float
) -> QuestionRecord:
    size = first
    while True:
        now = some_chains(record, np.sort(order[:size]))
        if size >= most or now.leaves.shares.max(initial=0.0) >= share:
            return now
        size = min(most, size + step)


POLICIES = (
    (3, 1, 16, 0.99),
    (4, 4, 16, 0.99),
    (4, 4, 16, 0.75),
    (4, 4, 20, 0.75),
    (4, 2, 16, 0.6),
    (4, 4, 16, 0.5),
    (6, 2, 16, 0.66),
    (8, 8, 24, 0.75),
)
"""Chains at first, more a step, most, and the share of the leading answer that stops."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--publish", action="store_true", help="write results and document")
    options = parser.parse_args()
    with RunStore(options.folder / "runs.sqlite") as store:
        pool: Sequence[QuestionRecord] = store.records(store.run("search-pool"))
    chains = Chains(pool)
    counts = np.ones((1, len(pool)))
    share = ESTIMATORS["top-share"]
    each = np.mean([one.leaves.tokens.mean() for one in pool])
    rows = []
    for first, step, most, least in POLICIES:
        rng = np.random.default_rng(0)
        everything = [
            play(one, rng.permutation(chains.count), first, step, most, least)
            for _ in range(ORDERS)
            for one in pool
        ]
        tokens = float(np.mean([one.tokens_decoded for one in everything]))
        k = np.array([tokens / each])
        right = np.array([one.correct for one in everything])
        scores = np.array([share.confidence(one.leaves, {}) for one in everything])
        rows.append(
            {
                "first": first,
                "step": step,
                "most": most,
                "share": least,
                "tokens": tokens,
                "chains": float(k[0]),
                "accuracy": float(right.mean()),
                "any right": float(np.mean([one.leaf_right.any() for one in everything])),
                "AUROC": float(auroc(right, scores, np.ones((1, right.size)))[0]),
                "chains' accuracy": float(chains.accuracy(k, counts)[0]),
                "chains' any right": float(chains.pass_any(k, counts)[0]),
                "chains' AUROC": float(chains.auroc(k, share, counts)[0]),
            }
        )
    lines = [
        "| at first | more | most | until a share of | chains' tokens | accuracy | any right | AUROC |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        gaps = " | ".join(
            f"{row[name]:.3f} ({row[name] - row[THEIRS + name]:+.3f})"
            for name in ("accuracy", "any right", "AUROC")
        )
        lines.append(
            f"| {row['first']} | {row['step']} | {row['most']} | {row['share']} | "
            f"{row['chains']:.1f} | {gaps} |"
        )
    print("\n".join(lines))
    if options.publish:
        RESULTS.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        put("docs/experiments.md", "stopping", lines)


if __name__ == "__main__":
    main()
