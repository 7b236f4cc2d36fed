"""Text that knows which characters a template wrote: as `str`, and each character keeps its origin."""

import random
from collections.abc import Callable, Sequence

import pytest

from et_agent.templates.own_text import OwnText, joined, own

ALPHABET = "ab<>: \n"


@pytest.mark.parametrize("limit", [-1, 0, 1, 2])
@pytest.mark.parametrize("method", [str.split, str.rsplit])
def test_stretches_between_separators_keep_their_origin(
    limit: int, method: Callable[[str, str, int], Sequence[str]]
) -> None:
    draw = random.Random(0)

    def some(most: int) -> str:
        return "".join(draw.choice(ALPHABET) for _ in range(draw.randint(1, most)))

    for _ in range(500):
        pieces = [own(some(4)), some(4), own(some(4))]
        text, separator = joined(pieces), some(2)
        plain = "".join(map(str.__str__, pieces))
        parts = getattr(text, method.__name__)(separator, limit)
        assert list(parts) == list(method(plain, separator, limit))
        # With the separators between them they are the text again, character by character.
        whole = separator.join(parts)
        at = 0
        for part in parts:
            assert isinstance(part, OwnText)
            assert part.mask == text.mask[at : at + len(part)]
            at += len(part) + len(separator)
        assert whole == plain
