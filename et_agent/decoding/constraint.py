"""Constraints on paths, and one that applies from a trigger on: text is free until a tool call."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from et_agent.engines.base import LanguageModel
from et_agent.errors import DecodeError

__all__ = ["AfterTrigger", "Constraint", "Trigger"]


class Constraint(Protocol):
    """Tells which tokens may follow a path: a grammar over a model's tokens. Owner thread only."""

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_] | None:
        """Return the tokens that may come next.

        Args:
            tokens: Generated tokens of a path, each of which was allowed at its position.

        Returns:
            bool [V], read-only; None if every token may come next.

        Raises:
            DecodeError: The path itself is not allowed.
        """
        ...


@dataclass(frozen=True)
class Trigger:
    """A text that binds a path to a grammar.

    Attributes:
        pattern: The text; what follows it belongs to the grammar.
        after: The grammar.
    """

    pattern: re.Pattern[bytes]
    after: Constraint


class AfterTrigger:
    """Lets a path say anything until a trigger appears, from which on that trigger's grammar holds.

    A token may end a trigger and say more. If the grammar allows that more, it holds from there on; if
    not, the path stays free, since no later token could mend it.

    Args:
        model: The model whose tokens they are.
        triggers: The triggers; the one that ends first counts.
    """

    def __init__(self, model: LanguageModel, triggers: Sequence[Trigger]) -> None:
        self._model, self._triggers = model, triggers

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_] | None:
        """Which tokens may come next; None while all may. See `Constraint.allowed`."""
        pieces = [self._model.token_bytes(token) for token in tokens]
        text = b"".join(pieces)
        found = [
            (match.end(), trigger.after)
            for trigger in self._triggers
            if (match := trigger.pattern.search(text)) is not None
        ]
        if not found:
            return None
        end, after = min(found, key=lambda one: one[0])
        length = count = 0
        while length < end:
            length += len(pieces[count])
            count += 1
        more = text[end:length].decode("utf-8", "replace")
        bound = [*(self._model.tokenize(more) if more else ()), *tokens[count:]]
        try:
            return after.allowed(bound)
        except DecodeError:
            if more:
                return None
            raise
