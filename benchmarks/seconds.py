"""Seconds per question of stored runs, modelled for one CPU, and trees beside chains of equal seconds.

Stored runs were decoded on several CPUs and many questions at a time, so that their own seconds say
little. A question asked alone takes so many steps as its longest path has tokens, times what
`benchmarks.critical_path` measured of that for its decoder. A step takes what `benchmarks.step_costs`
measured for the mean rows of a step. The prompt is left out, which both sides read once.
"""

import json
from collections.abc import Sequence
from functools import cache
from typing import Final

import numpy as np

from benchmarks import critical_path
from benchmarks.critical_path import ChainCosts
from benchmarks.step_costs import StepCurve
from et_agent.arrays import Doubles
from et_agent.errors import DataError
from et_agent.evaluation.bootstrap import Resamples, interval
from et_agent.evaluation.equal_cost import Chains
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.summaries import EqualCost, beside_chains
from et_agent.uncertainty.leaf_table import FORKS

_AS_MEASURED: Final = {"multi-chain": "chains", "entropy-tree": "rounds", "waves": "early"}
"""Decoders of the stored runs, as `benchmarks.critical_path` names them."""

_DISTINCT: Final = FORKS.index("distinct")
"""Kinds of fork from here on are made when the roots have ended."""


@cache
def steps_over_longest(decoder: str) -> float | None:
    """Steps of a question asked alone over the tokens of its longest path; None if not measured."""
    if decoder == "greedy":
        return 1.0
    rows = json.loads(critical_path.OUT.read_text("utf-8"))["rows"]
    name = _AS_MEASURED.get(decoder)
    return None if name is None else float(rows[name]["steps over longest path"])


def modelled(records: Sequence[QuestionRecord], model: str, decoder: str) -> Doubles | None:
    """Seconds of each question, float64 [questions]; None for decoders that were not measured."""
    ratio = steps_over_longest(decoder)
    if ratio is None:
        return None
    longest = np.array([float(one.leaves.tokens.max()) for one in records])
    tokens = np.array([float(one.tokens_decoded) for one in records])
    if decoder == "entropy-tree":
        # Where nothing was forked, nothing came after the roots.
        forked = np.array([(one.leaves.fork >= _DISTINCT).any() for one in records])
        longest *= np.where(forked, ratio, 1.0)
    else:
        longest *= ratio
    return StepCurve.measured(model).of(longest, tokens)


def at_equal_seconds(
    tree: Sequence[QuestionRecord],
    chains: Sequence[QuestionRecord],
    model: str,
    *,
    estimators: Sequence[str],
    seed: int,
) -> EqualCost:
    """The tree minus as many chains as take the same modelled seconds, on the questions of both.

    Raises:
        DataError: One chain takes longer, or all of them take less by more than 2 %.
    """
    by_item = {one.item: one for one in chains}
    ours = [one for one in tree if one.item in by_item]
    reference = Chains([by_item[one.item] for one in ours])
    counts = Resamples(len(ours), resamples=1000, seed=seed).counts
    means = counts / counts.sum(axis=1, keepdims=True)
    seconds = modelled(ours, model, "entropy-tree")
    assert seconds is not None  # `_AS_MEASURED` names it
    k = ChainCosts(reference.records, counts).equal(means @ seconds, StepCurve.measured(model).of)
    if not 1.0 < k[0] <= reference.count * 1.02:
        raise DataError(f"it takes as long as {k[0]:.1f} chains of {reference.count}")
    k = np.clip(k, 1.0, reference.count)
    differences = beside_chains(ours, reference, k, counts, estimators)
    return EqualCost("seconds", len(ours), interval(k, len(ours)), differences)
