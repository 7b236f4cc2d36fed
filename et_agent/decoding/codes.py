"""The order in which codes of arithmetic sampling come where they do not come all at once."""

__all__ = ["farthest_first"]


def farthest_first(size: int) -> list[int]:
    """The numbers below `size` in bit-reversed order: each comes far from those before it.

    The beginning of a van der Corput sequence; first ones that are a power of two in number are
    evenly spread where `size` is one too.
    """
    bits = max(1, (size - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [number for number in turned if number < size]
