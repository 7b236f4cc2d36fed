"""A long answer with doubtful claims: what of it is given."""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

from collections.abc import Collection, Sequence
from typing import Final

from et_agent.results import ClaimReport

__all__ = ["MARK", "kept_text", "marked_text"]

MARK: Final = " [doubtful]"
"""What follows a sentence with a doubtful claim, before its closing mark."""
_CLOSING: Final = ".!?。！？…"


def marked_text(answer: str, claims: Sequence[ClaimReport], doubtful: Collection[int]) -> str:
    """The answer with a mark in every sentence that makes a doubtful claim.

    Args:
        answer: The answer.
        claims: Its claims.
        doubtful: Numbers of those that are doubtful.
    """
    ends = {claims[one].span[1] for one in doubtful}
    for end in sorted(ends, reverse=True):
        closing = end - len(answer[:end]) + len(answer[:end].rstrip(_CLOSING))
        answer = f"{answer[:closing]}{MARK}{answer[closing:]}"
    return answer


def kept_text(answer: str, claims: Sequence[ClaimReport], doubtful: Collection[int]) -> str | None:
    """The sentences of the answer that make no doubtful claim, and nothing that was not checked.

    Args:
        answer: The answer.
        claims: Its claims.
        doubtful: Numbers of those that are doubtful.

    Returns:
        None if there is no such sentence.
    """
    held = {claims[one].span for one in doubtful}
    kept = [span for span in dict.fromkeys(one.span for one in claims) if span not in held]
    text, before = "", 0
    for start, end in kept:
        link = "\n" if "\n" in answer[before:start] else " "
        text += (link if text else "") + answer[start:end]
        before = end
    return text or None
