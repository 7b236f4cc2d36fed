"""Numbers with their nouns in messages."""

from collections.abc import Sized

__all__ = ["counted", "noun"]


def noun(count: float, what: str, several: str = "") -> str:
    """A noun as it stands behind a number: "run" or "runs".

    Args:
        count: The number.
        what: The noun.
        several: Its plural, where that is not the noun with an s.
    """
    return what if count == 1 else several or f"{what}s"


def counted(count: int | Sized, what: str, several: str = "") -> str:
    """A number with its noun: "1 run", "2,000 runs".

    Args:
        count: The number, or what is counted.
        what: The noun.
        several: Its plural, where that is not the noun with an s.
    """
    # So told, since the whole numbers of numpy are no `int`.
    number = len(count) if isinstance(count, Sized) else count
    return f"{number:,} {noun(number, what, several)}"
