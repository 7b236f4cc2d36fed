"""A constraint that holds from a marker on: text is free until the model begins a tool call."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from et_agent.models.base import Constraint, LanguageModel

__all__ = ["AfterMarker"]


class AfterMarker:
    """Lets a path say anything until it has written a marker, from which on a grammar holds.

    Args:
        model: The model whose tokens they are.
        marker: The text, not empty.
        after: What holds behind it.
    """

    def __init__(self, model: LanguageModel, marker: str, after: Constraint) -> None:
        self._model, self._marker, self._after = model, marker.encode("utf-8"), after
        self._overshooting: dict[int, bytes] | None = None

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_] | None:
        """Which tokens may come next; None while all may. See `Constraint.allowed`."""
        text = b""
        for count, token in enumerate(tokens, 1):
            text = text[1 - len(self._marker) :] if len(self._marker) > 1 else b""
            text += self._model.token_bytes(token)
            if text.endswith(self._marker):
                return self._after.allowed(tokens[count:])
        return self._without_overshooting(text)

    def _without_overshooting(self, text: bytes) -> NDArray[np.bool_] | None:
        """All tokens but those that would end the marker and say more: the grammar is of tokens.

        The marker alone ends in a token of its own, so what is ruled out can be said in two.
        """
        marker = self._marker
        if not any(text.endswith(marker[:size]) for size in range(1, len(marker))):
            return None
        mask = np.ones(self._model.info.vocabulary, dtype=np.bool_)
        for token, piece in self._longer_pieces().items():
            end = (text + piece).find(marker)
            if end >= 0 and end + len(marker) < len(text) + len(piece):
                mask[token] = False
        return mask

    def _longer_pieces(self) -> dict[int, bytes]:
        """Tokens in which the marker's last byte stands before the end."""
        if self._overshooting is None:
            pieces = (
                (token, self._model.token_bytes(token))
                for token in range(self._model.info.vocabulary)
            )
            self._overshooting = {
                token: piece for token, piece in pieces if self._marker[-1] in piece[:-1]
            }
        return self._overshooting
