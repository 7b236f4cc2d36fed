"""A grammar as a constraint: masks over the whole vocabulary by llguidance's parser.

Syntax: https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md
"""

import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import numpy as np
from llguidance import LLMatcher, LLTokenizer, TokenizerWrapper
from numpy.typing import NDArray

from et_agent.arguments import checks_arguments
from et_agent.engines.base import Tokenizer
from et_agent.errors import DecodeError, SettingsError
from et_agent.made_once import MadeOnce
from et_agent.validation import text_fault

__all__ = ["GrammarConstraint", "literal"]

# Else llguidance allows but one spelling of what must come, and path weights would be others.
_EVERY_SPELLING: Final = '%llguidance {"no_forcing": true}\n'
_STATES: Final = 256
"""Parser states kept; others are made again from the path's tokens."""
_MARK: Final = b"\xff"
"""First byte of tokens that are not text; it does not occur in UTF-8."""


class GrammarConstraint:
    """A grammar over a model's tokens; see `Constraint`.

    When a text is complete, the tokens that end a generation are allowed, all of them.

    Args:
        model: The model's tokenizer.
        rules: The grammar in llguidance's variant of Lark, with a rule `start`.

    Raises:
        SettingsError: The grammar is not valid, too large, or allows no text of the model's tokens.
        ModelClosedError: The model was closed.
    """

    @checks_arguments
    def __init__(self, model: Tokenizer, rules: str) -> None:
        if (fault := text_fault(rules)) is not None:
            raise SettingsError(f"the grammar {fault}")
        self._stop = np.array(sorted(model.info.stop_tokens), dtype=np.int64)
        self._size = model.info.vocabulary
        grammar = LLMatcher.grammar_from_lark(_EVERY_SPELLING + rules)
        start = LLMatcher(_VOCABULARIES.of(model), grammar, log_level=0)
        if start.is_error():
            raise SettingsError(f"the grammar is not valid: {_brief(start)}")
        start.compute_bitmask()
        if start.is_error():
            raise SettingsError(
                f"the grammar allows no text of the model's tokens ({_brief(start)}): "
                "use one whose rules come to an end"
            )
        self._states: OrderedDict[tuple[int, ...], LLMatcher] = OrderedDict({(): start})

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_]:
        """Which tokens may come after a path, bool [V]; see `Constraint.allowed`.

        Raises:
            DecodeError: The path itself is not allowed, or llguidance gave up on the grammar.
        """
        state = self._state(tuple(tokens))
        bits = np.frombuffer(state.compute_bitmask(), dtype=np.uint8)
        if state.is_error():
            raise DecodeError(f"the grammar is too complex: use a simpler one ({_brief(state)})")
        mask = np.unpackbits(bits, bitorder="little", count=self._size).view(np.bool_)
        mask[self._stop] = state.is_accepting()
        return mask

    def _state(self, path: tuple[int, ...]) -> LLMatcher:
        """The parser after a path, from that after the longest beginning that is still known."""
        known = len(path)
        while path[:known] not in self._states:
            known -= 1
        self._states.move_to_end(path[:known])
        if known == len(path):
            return self._states[path]
        state = self._states[path[:known]].deep_copy()
        taken = known + state.try_consume_tokens(list(path[known:]))
        if taken < len(path):
            raise DecodeError(f"token {path[taken]} of a path is not what the grammar allows there")
        self._states[path] = state
        if len(self._states) > _STATES:
            del self._states[next(key for key in self._states if key)]
        return state


@checks_arguments
def literal(text: str) -> str:
    """A text as a literal of the grammar."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _brief(matcher: LLMatcher) -> str:
    """The first line of llguidance's complaint."""
    return matcher.get_error().partition("\n")[0]


class _Vocabulary:
    """A model's tokens, as llguidance reads them off a tokenizer.

    Attributes:
        tokens: Bytes of each token; behind a mark for those that stand for no text.
        special_token_ids: The latter.
    """

    bos_token_id = None

    def __init__(self, model: Tokenizer) -> None:
        stop = model.info.stop_tokens
        texts = [model.token_bytes(token) for token in range(model.info.vocabulary)]
        self.special_token_ids = [
            token
            for token, text in enumerate(texts)
            if not text or token in stop or text.startswith(_MARK)
        ]
        for token in self.special_token_ids:
            texts[token] = _MARK + b"<%d>" % token
        self.tokens = texts
        self.eos_token_id = min(stop, default=len(texts) - 1)

    def __call__(self, _text: bytes) -> list[int]:
        """Nothing: only forced texts are tokenised, and none is forced."""
        return []


def _vocabulary_of(model: Tokenizer) -> LLTokenizer:
    vocabulary = _Vocabulary(model)
    return LLTokenizer(
        TokenizerWrapper(vocabulary),
        n_vocab=model.info.vocabulary,
        eos_token=sorted(model.info.stop_tokens) or [vocabulary.eos_token_id],
        slices=LLTokenizer.json_slices(),
    )


_VOCABULARIES: Final = MadeOnce(_vocabulary_of)
"""Vocabularies of models as tries; to make one takes most of a second."""
