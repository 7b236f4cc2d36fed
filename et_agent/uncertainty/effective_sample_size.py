"""ESS, the number of independent chains that a weighted tree is worth (Kish 1965). A precision."""

import math

from et_agent.arguments import checks_arguments
from et_agent.uncertainty.leaves import Leaves

__all__ = ["effective_sample_size"]


@checks_arguments
def effective_sample_size(leaves: Leaves) -> float:
    """Return ESS = (sum W)^2 / sum W^2, in [1, sum of counts].

    A leaf of weight w and multiplicity m counts as m samples of weight w/m each. Equal weights give
    the number of leaves. Dependence between leaves of one prefix is not in it.
    """
    weights, counts = leaves.weights, leaves.counts
    total = math.fsum(weights.tolist())
    squares = math.fsum((weights**2 / counts).tolist())
    # Both bounds hold exactly in real arithmetic; rounding must not break them.
    return min(max(total**2 / squares, 1.0), float(counts.sum()))
