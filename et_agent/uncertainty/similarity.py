"""ROUGE-L between token sequences (Lin 2004)."""

from collections.abc import Sequence

__all__ = ["mean_rouge_l", "rouge_l"]


def rouge_l(one: Sequence[int], other: Sequence[int]) -> float:
    """F1 of the longest common subsequence, in [0, 1]; 1 for two empty sequences."""
    if not one and not other:
        return 1.0
    return 2.0 * _common(one, other) / (len(one) + len(other))


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyrö 2004)."""
    places: dict[int, int] = {}
    for position, token in enumerate(one):
        places[token] = places.get(token, 0) | 1 << position
    everything = (1 << len(one)) - 1
    row = everything
    for token in other:
        matches = row & places.get(token, 0)
        row = ((row + matches) | (row - matches)) & everything
    return len(one) - row.bit_count()


def mean_rouge_l(paths: Sequence[Sequence[int]], counts: Sequence[int]) -> float | None:
    """Mean ROUGE-L over all pairs of paths; a path of several codes is as many equal paths.

    Returns:
        None when there are fewer than two paths.
    """
    total, pairs = 0.0, 0
    for index, path in enumerate(paths):
        same = counts[index] * (counts[index] - 1) // 2
        total, pairs = total + same, pairs + same
        for before in range(index):
            times = counts[index] * counts[before]
            total += times * rouge_l(paths[before], path)
            pairs += times
    return total / pairs if pairs else None
