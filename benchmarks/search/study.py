"""Tables of the search, out of its store.

    python -m benchmarks.search.study FOLDER [--out benchmarks/results/search.json]

Trees are compared with independent chains at equal tokens: k chains cost k mean chains, and between two
whole k the chains' figure is interpolated. Chains' figures are expectations over all subsets of the
pool: pass@k exactly, AUROC over random subsets.

`worth` is how many independent chains a tree's distribution is worth: the expected squared error of k
chains is G / k with G = 1 - sum p^2, so a tree of squared error E is worth G / E of them. The truth is
the part of the pool from which trees do not grow, and its own error is taken off.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from et_agent.evaluation.bootstrap import Resamples
from et_agent.evaluation.metrics import auroc, pass_at_k
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunStore
from et_agent.evaluation.summaries import scores_of
from et_agent.uncertainty.estimators import ESTIMATORS

ROOTS: Final = 8
"""Chains of the pool from which trees may grow; the others are the truth."""
SUBSETS: Final = 24
KS: Final = tuple(range(1, 21))
MINUS: Final = " minus chains'"
Doubles = NDArray[np.float64]


def shares(record: QuestionRecord, leaves: slice = slice(None)) -> dict[str, float]:
    """Share of each answer among some leaves; "" is no answer."""
    found: dict[str, float] = {}
    weights = record.leaves.weight[leaves]
    for index, weight in zip(record.leaves.answer[leaves].tolist(), weights.tolist(), strict=True):
        label = "" if index < 0 else record.answers[index]
        found[label] = found.get(label, 0.0) + weight / float(weights.sum())
    return found


def squared(one: dict[str, float], other: dict[str, float]) -> float:
    return sum((one.get(a, 0.0) - other.get(a, 0.0)) ** 2 for a in set(one) | set(other))


class Chains:
    """What independent chains reach, question by question."""

    def __init__(self, pool: Sequence[QuestionRecord]) -> None:
        self.pool = pool
        self.tokens = float(np.mean([one.leaves.tokens.mean() for one in pool]))
        self.truth = [shares(one, slice(ROOTS, None)) for one in pool]
        n = len(pool[0].leaves) - ROOTS
        # Unbiased 1 - sum p^2: two different chains of the truth disagree.
        self.spread = np.array(
            [(1 - sum(p * p for p in one.values())) * n / (n - 1) for one in self.truth]
        )
        self.truth_error = self.spread / n
        self.right_at = np.array([[_pass(one, k) for k in KS] for one in pool])
        rng = np.random.default_rng(0)
        self._drawn = {k: [_subset(pool, k, rng) for _ in range(SUBSETS)] for k in KS}

    def between(self, tokens: float) -> tuple[int, int, float]:
        """The two numbers of chains that cost about this much, and the weight of the larger."""
        k = min(max(tokens / self.tokens, KS[0]), KS[-1])
        low = min(int(k), KS[-1] - 1)
        return low, low + 1, k - low

    def pass_any(self, tokens: float) -> Doubles:
        low, high, part = self.between(tokens)
        found: Doubles = self.right_at[:, low - 1] * (1 - part) + self.right_at[:, high - 1] * part
        return found

    def auroc(self, tokens: float, estimator: str, counts: NDArray[Any]) -> Doubles:
        low, high, part = self.between(tokens)
        return self._auroc(low, estimator, counts) * (1 - part) + part * self._auroc(
            high, estimator, counts
        )

    def _auroc(self, k: int, estimator: str, counts: NDArray[Any]) -> Doubles:
        found = [auroc(right, scores[estimator], counts) for right, scores in self._drawn[k]]
        means: Doubles = np.nanmean(found, axis=0)
        return means

    def accuracy(self, tokens: float) -> float:
        low, high, part = self.between(tokens)
        means = [np.mean([right.mean() for right, _ in self._drawn[k]]) for k in (low, high)]
        return float(means[0] * (1 - part) + means[1] * part)


def _pass(record: QuestionRecord, k: int) -> float:
    value = pass_at_k(len(record.leaves), int(record.leaf_right.sum()), k)
    assert value is not None
    return value


_COMPARED: Final = (
    "top-share",
    "et-pe",
    "et-pe-count",
    "answer-mass",
    "cot-margin",
    "deepconf-tail",
)


def _subset(
    pool: Sequence[QuestionRecord], k: int, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], dict[str, Doubles]]:
    chosen = [record_of_chains(one, rng.permutation(len(one.leaves))[:k]) for one in pool]
    right = np.array([one.correct for one in chosen])
    return right, {name: scores_of(chosen, ESTIMATORS[name]) for name in _COMPARED}


def record_of_chains(record: QuestionRecord, chosen: NDArray[np.int64]) -> QuestionRecord:
    """The record of some of the chains."""
    from dataclasses import fields, replace

    columns = {one.name: getattr(record.leaves, one.name)[chosen] for one in fields(record.leaves)}
    columns["weight"] = np.full(chosen.size, 1 / chosen.size)
    # Classes that nobody has left keep their number: shares of 0 change nothing.
    return replace(record, leaves=type(record.leaves)(**columns))


def row(records: Sequence[QuestionRecord], chains: Chains) -> dict[str, Any]:
    """The figures of one setting."""
    tokens = float(np.mean([one.tokens_decoded for one in records]))
    drawn = Resamples(len(records), resamples=1000, seed=0)
    counts = np.vstack([np.ones((1, len(records)), dtype=drawn.counts.dtype), drawn.counts])
    right = np.array([one.correct for one in records])
    any_right = np.array([float(one.leaf_right.any()) for one in records])
    errors = np.array(
        [squared(shares(one), truth) for one, truth in zip(records, chains.truth, strict=True)]
    )
    errors = errors - chains.truth_error
    worth = (counts @ chains.spread) / (counts @ errors)
    gain = counts @ (any_right - chains.pass_any(tokens)) / counts.sum(axis=1)
    found: dict[str, Any] = {
        "questions": len(records),
        "tokens": tokens,
        "chains at equal tokens": tokens / chains.tokens,
        "leaves": float(np.mean([one.leaves.count.sum() for one in records])),
        "worth in chains": _three(worth),
        "worth a chain's tokens": _three(worth / (tokens / chains.tokens)),
        "accuracy": float(right.mean()),
        "chains' accuracy": chains.accuracy(tokens),
        "any right": float(any_right.mean()),
        "any right minus chains'": _three(gain),
    }
    for estimator in _COMPARED:
        ours = auroc(right, scores_of(records, ESTIMATORS[estimator]), counts)
        theirs = chains.auroc(tokens, estimator, counts)
        found[f"AUROC {estimator}"] = float(ours[0])
        found[f"AUROC {estimator}{MINUS}"] = _three(ours - theirs)
    return found


def _auroc_cell(found: dict[str, Any], name: str) -> str:
    return f"{name} {found['AUROC ' + name]:.3f} ({found['AUROC ' + name + MINUS][0]:+.3f})"


def _three(values: Doubles) -> list[float]:
    """Value and 95 % interval; the first is the sample itself, the others resamples."""
    low, high = np.nanpercentile(values[1:], [2.5, 97.5])
    return [float(values[0]), float(low), float(high)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with RunStore(options.folder / "runs.sqlite") as store:
        runs = {run.name.removeprefix("search-"): store.records(run) for run in store.runs()}
    pool = {one.item: one for one in runs.pop("pool")}
    rows: dict[str, Any] = {}
    for name, records in runs.items():
        common = [one for one in records if one.item in pool]
        if not common:
            continue
        found = row(common, Chains([pool[one.item] for one in common]))
        rows[name] = found
        worth, gain = found["worth a chain's tokens"], found["any right minus chains'"]
        better = found["accuracy"] - found["chains' accuracy"]
        print(
            f"{name:<18}{found['questions']:>4} q {found['tokens']:>6.0f} tok = "
            f"{found['chains at equal tokens']:>4.1f} chains, leaves {found['leaves']:>4.1f}, worth "
            f"{found['worth in chains'][0]:>5.1f} ({worth[0]:.2f} [{worth[1]:.2f}, {worth[2]:.2f}] a "
            f"token), any {found['any right']:.3f} ({gain[0]:+.3f} [{gain[1]:+.3f}, {gain[2]:+.3f}]), "
            f"acc {found['accuracy']:.3f} ({better:+.3f}), AUROC "
            + ", ".join(_auroc_cell(found, name) for name in ("top-share", "et-pe", "et-pe-count"))
        )
    if options.out is not None:
        options.out.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
