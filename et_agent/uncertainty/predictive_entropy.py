"""ET-PE, the predictive entropy of Entropy-Tree (arXiv 2601.15296). An uncertainty.

ET-PE = -sum_a p(a|x) log p(a|x), in nats, over the answers of the leaves, "none" being one of them.
"""

import math
from collections.abc import Iterable

from et_agent.uncertainty.leaves import (
    Index,
    Numbers,
    check_counts,
    check_index,
    check_leaves,
    share_of_class,
)

__all__ = [
    "maximum_entropy",
    "normalised_predictive_entropy",
    "normalised_predictive_entropy_by_count",
    "predictive_entropy",
    "predictive_entropy_by_count",
]


def predictive_entropy(index: Index, weights: Numbers) -> float:
    """Return ET-PE by path weight, nats, in [0, log(number of leaves)].

    Args:
        index: answer class of each leaf, `[leaves]`, None for none.
        weights: path weights `[leaves]`, which sum to 1.

    Raises:
        InputError: if the leaves are unsound (see `leaves.check_leaves`).
    """
    leaves = check_leaves(index, weights)
    return _entropy(leaves.share_of_class(leaves.weights).values())


def predictive_entropy_by_count(index: Index, counts: Numbers | None = None) -> float:
    """Return the same entropy with every leaf counted alike, by multiplicity, nats.

    Over independent chains it is discrete semantic entropy (Farquhar et al. 2024); over a tree it
    over-weighs uncertain prefixes.

    Raises:
        InputError: if the leaves are unsound (see `leaves.check_leaves`).
    """
    classes = check_index(index)
    return _entropy(share_of_class(classes, check_counts(counts, leaves=len(classes))).values())


def maximum_entropy(counts: Numbers) -> float:
    """Return the entropy of leaves that all differ: log of the number of leaves, nats.

    A leaf of multiplicity m counts as m leaves, so that trees of equally many samples share one
    maximum however their samples coincide.

    Raises:
        InputError: if a count is not a whole number of at least 1.
    """
    return math.log(max(1.0, float(check_counts(counts, leaves=len(counts)).sum())))


def normalised_predictive_entropy(
    index: Index, weights: Numbers, counts: Numbers | None = None
) -> float:
    """Return ET-PE by path weight over `maximum_entropy`, in [0, 1]; 0 for a single leaf.

    Raises:
        InputError: if the leaves are unsound (see `leaves.check_leaves`).
    """
    leaves = check_leaves(index, weights, counts)
    return _normalised(predictive_entropy(index, weights), leaves.counts.tolist())


def normalised_predictive_entropy_by_count(index: Index, counts: Numbers | None = None) -> float:
    """Return `predictive_entropy_by_count` over `maximum_entropy`, in [0, 1]; 0 for one leaf.

    Raises:
        InputError: if the leaves are unsound (see `leaves.check_leaves`).
    """
    entropy = predictive_entropy_by_count(index, counts)
    return _normalised(entropy, [1] * len(index) if counts is None else counts)


def _entropy(shares: Iterable[float]) -> float:
    # max() turns -0.0 and the last bit of rounding into 0.
    return max(0.0, -math.fsum(share * math.log(share) for share in shares if share > 0))


def _normalised(entropy: float, counts: Numbers) -> float:
    maximum = maximum_entropy(counts)
    return 0.0 if maximum == 0 else min(1.0, entropy / maximum)
