"""ESS, the number of independent chains that a weighted tree is worth (Kish 1965). A precision."""

import math

from et_agent.uncertainty.leaves import Numbers, check_counts, check_weights

__all__ = ["effective_sample_size"]


def effective_sample_size(weights: Numbers, counts: Numbers | None = None) -> float:
    """Return ESS = (sum W)^2 / sum W^2, in [1, sum of counts].

    A leaf of weight w and multiplicity m counts as m samples of weight w/m each. Equal weights give
    the number of leaves. Dependence between leaves of one prefix is not in it.

    Args:
        weights: path weights `[leaves]`, which sum to 1.
        counts: multiplicity of each leaf `[leaves]`; all 1 if not given.

    Raises:
        InputError: if weights or counts are unsound (see `leaves.check_leaves`).
    """
    checked = check_weights(weights, leaves=len(weights))
    multiplicity = check_counts(counts, leaves=len(weights))
    total = math.fsum(checked.tolist())
    squares = math.fsum((checked**2 / multiplicity).tolist())
    # Both bounds hold exactly in real arithmetic; rounding must not break them.
    return min(max(total**2 / squares, 1.0), float(multiplicity.sum()))
