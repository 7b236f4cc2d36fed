"""ET-PE, the predictive entropy of Entropy-Tree (arXiv 2601.15296). An uncertainty.

ET-PE = -sum_a p(a|x) log p(a|x), in nats, over the answers of the leaves, "none" being one of them.
"""

import math
from collections.abc import Iterable

from et_agent.arguments import checks_arguments
from et_agent.uncertainty.leaves import Leaves

__all__ = [
    "maximum_entropy",
    "normalised_predictive_entropy",
    "normalised_predictive_entropy_by_count",
    "predictive_entropy",
    "predictive_entropy_by_count",
]


@checks_arguments
def predictive_entropy(leaves: Leaves) -> float:
    """Return ET-PE by path weight, nats, in [0, log(number of leaves)]."""
    return _entropy(leaves.shares.values())


@checks_arguments
def predictive_entropy_by_count(leaves: Leaves) -> float:
    """Return the same entropy with every leaf counted alike, by multiplicity, nats.

    Over independent chains it is discrete semantic entropy (Farquhar et al. 2024); over a tree it
    over-weighs uncertain prefixes.
    """
    return _entropy(leaves.count_shares.values())


@checks_arguments
def maximum_entropy(leaves: Leaves) -> float:
    """Return the entropy of leaves that all differ: log of the number of leaves, nats.

    A leaf of multiplicity m counts as m leaves, so that trees of equally many samples share one
    maximum however their samples coincide.
    """
    return math.log(max(1.0, float(leaves.counts.sum())))


@checks_arguments
def normalised_predictive_entropy(leaves: Leaves) -> float:
    """Return ET-PE by path weight over `maximum_entropy`, in [0, 1]; 0 for a single leaf."""
    return _normalised(predictive_entropy(leaves), leaves)


@checks_arguments
def normalised_predictive_entropy_by_count(leaves: Leaves) -> float:
    """Return `predictive_entropy_by_count` over `maximum_entropy`, in [0, 1]; 0 for one leaf."""
    return _normalised(predictive_entropy_by_count(leaves), leaves)


def _entropy(shares: Iterable[float]) -> float:
    # max() turns -0.0 and the last bit of rounding into 0.
    return max(0.0, -math.fsum(share * math.log(share) for share in shares if share > 0))


def _normalised(entropy: float, leaves: Leaves) -> float:
    maximum = maximum_entropy(leaves)
    return 0.0 if maximum == 0 else min(1.0, entropy / maximum)
