"""Margin between the two leading answers. A confidence."""

from et_agent.uncertainty.leaves import Index, Numbers, check_leaves

__all__ = ["margin"]


def margin(index: Index, weights: Numbers) -> float:
    """Return p(first answer) - p(second answer) by path weight, in [0, 1].

    "none" is no answer and so no rival, but its weight is taken from the answers' shares, which are
    not rescaled: leaves that never answer lower the margin. One answer alone has its share as
    margin, no answer at all gives 0.

    Args:
        index: answer class of each leaf, `[leaves]`, None for none.
        weights: path weights `[leaves]`, which sum to 1.

    Raises:
        InputError: if the leaves are unsound (see `leaves.check_leaves`).
    """
    leaves = check_leaves(index, weights)
    by_class = leaves.share_of_class(leaves.weights)
    answers = sorted(
        (share for member, share in by_class.items() if member is not None), reverse=True
    )
    first, second = [*answers, 0.0, 0.0][:2]
    return first - second
