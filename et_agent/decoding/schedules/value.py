"""What a fork is worth, against one more chain for the same tokens."""

from typing import Final

__all__ = ["value_per_token"]

_FEW: Final = 8
"""Tokens added to those to recompute: when few are left, a step costs more than its tokens."""


def value_per_token(
    *,
    spread: float,
    mass: float,
    position: int,
    end: int,
    says: bool,
    chains: float,
    mean_end: float,
) -> float:
    """How much a fork reduces the squared error of p(a|x) per token, relative to one more chain.

    Let w be the weight of the paths through the position, p the probability of the token there,
    a the answer behind it and b the answer of the new branch. The fork replaces w a with
    w (p a + (1 - p) b). With mu_a and mu_b the answer distributions of the two sides, the
    expected squared error falls from w^2 (1 - |p mu_a + (1 - p) mu_b|^2) to
    w^2 (p^2 (1 - |mu_a|^2) + (1 - p)^2 (1 - |mu_b|^2)), that is, by 2 w^2 p (1 - p) P(a != b).
    An exchangeable fork, which draws from all tokens and gets half the weight, reduces it by
    w^2 (1 - p) P(a != b) / 2. One more chain after n reduces it by P(a != a') / (n (n + 1)),
    where a and a' are the answers of two chains; n is the effective number of leaves.

    The ratio P(a != b) / P(a != a') was measured on forks at random positions
    (docs/experiments.md). At tokens that bear on the answer it is about 1 everywhere. At other
    tokens it falls from 1 at the beginning of the path to 0 at its end.

    Args:
        spread: 2 p (1 - p), or (1 - p) / 2 for an exchangeable fork.
        mass: w.
        position: Where the fork is.
        end: Length of the path, tokens.
        says: Whether the token bears on the answer.
        chains: n.
        mean_end: Tokens of one more chain.
    """
    changes = 1.0 if says else 1.0 - position / end
    of_a_chain = 1.0 / (chains * (chains + 1.0)) / mean_end
    return mass * mass * spread * changes / (end - position + _FEW) / of_a_chain
