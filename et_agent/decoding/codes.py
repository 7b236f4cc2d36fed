"""The order in which codes of arithmetic sampling come where they do not come all at once."""

__all__ = ["farthest_first"]


def farthest_first(size: int) -> list[int]:
    """The numbers below `size`, each far from those before it on a circle of them.

    Places of the van der Corput sequence, whose numbers turn their binary digits round; the first
    ones that are a power of two in number are evenly spread where `size` is one too.
    """
    bits = max(1, (size - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    found = dict.fromkeys(number * size // 2**bits for number in turned)
    return list(found)
