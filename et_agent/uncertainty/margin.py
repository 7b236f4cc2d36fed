"""Margin between the two leading answers. A confidence."""

from et_agent.arguments import checks_arguments
from et_agent.uncertainty.leaves import Leaves

__all__ = ["margin"]


@checks_arguments
def margin(leaves: Leaves) -> float:
    """Return p(first answer) - p(second answer) by path weight, in [0, 1].

    "none" is not an answer, so it is never the second answer. Shares are not rescaled without it:
    leaves that never answer lower the margin. With a single answer the margin is its share, without
    any it is 0.
    """
    answers = sorted(
        (share for member, share in leaves.shares.items() if member is not None), reverse=True
    )
    first, second = [*answers, 0.0, 0.0][:2]
    return first - second
