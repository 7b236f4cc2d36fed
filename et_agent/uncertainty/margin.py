"""Margin between the two leading answers. A confidence."""

from et_agent.uncertainty.leaves import Leaves

__all__ = ["margin"]


def margin(leaves: Leaves) -> float:
    """Return p(first answer) - p(second answer) by path weight, in [0, 1].

    "none" is no answer and so no rival, but its weight is taken from the answers' shares, which are
    not rescaled: leaves that never answer lower the margin. One answer alone has its share as
    margin, no answer at all gives 0.
    """
    answers = sorted(
        (share for member, share in leaves.shares.items() if member is not None), reverse=True
    )
    first, second = [*answers, 0.0, 0.0][:2]
    return first - second
