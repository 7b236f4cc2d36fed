"""llama.cpp's grammar as a constraint: exact masks over the whole vocabulary, in a few milliseconds.

Asking llama.cpp about every one of 150,000 tokens takes 30 to 75 ms a path and step, as long as the
decode itself. Two things are known without asking. A token whose first character is not allowed is
not allowed. And where a run of n characters is allowed that only "any character of a string" can take,
every token of up to n such characters is. What is left, some thousand tokens, is asked about.
"""

import ctypes
import weakref
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from et_agent.engines.gbnf import Characters, Gbnf
from et_agent.engines.llama_cpp.binding import llama_cpp
from et_agent.errors import DecodeError, SettingsError

__all__ = ["LlamaConstraint", "TokenTexts"]

_TOKEN: Final = np.dtype([("id", "<i4"), ("logit", "<f4"), ("p", "<f4")])
_STATES: Final = 256
"""Grammar states kept; others are made again from the path's tokens."""
_SPACE: Final = ord(" ")
_RUN: Final = 24
"""Characters of the longest tokens that are not asked about one by one."""
_NO_STRING_CHARACTER: Final = frozenset({'"', "\\", *map(chr, range(32)), "\x7f"})

Mask = NDArray[np.bool_]
Ids = NDArray[np.int64]


class TokenTexts:
    """The texts of a vocabulary as llama.cpp's grammar sees them, sorted for quick masks.

    Args:
        texts: Bytes of each token, control tokens' names included.
        usable: bool [V], tokens that stand for text.
        stop_tokens: Tokens that end a generation.
    """

    def __init__(self, texts: Sequence[bytes], usable: Mask, stop_tokens: frozenset[int]) -> None:
        self.size = len(texts)
        self.stop = np.array(sorted(stop_tokens), dtype=np.int64)
        first = np.array([text[0] if text else -1 for text in texts], dtype=np.int16)
        first[~usable] = -1
        first[self.stop] = -1
        self.plain = np.zeros(self.size, dtype=np.bool_)
        self.single: dict[str, int] = {}
        for token in np.flatnonzero(first >= 0).tolist():
            text = _decoded(texts[token])
            if text is None:
                continue
            self.plain[token] = len(text) <= _RUN and _NO_STRING_CHARACTER.isdisjoint(text)
            if len(text) == 1:
                self.single.setdefault(text, token)
        self.texts = texts
        self.buffer = np.zeros(self.size, dtype=_TOKEN)
        """llama.cpp's candidates; all constraints are used in the model's owner thread."""
        self.by_first = [np.flatnonzero(first == byte) for byte in range(256)]
        spaced = self.by_first[_SPACE]
        second = np.array(
            [texts[token][1] if len(texts[token]) > 1 else -1 for token in spaced.tolist()]
        )
        self.after_space = [spaced[second == byte] for byte in range(256)]
        """Tokens of a space and more by their second byte: in most vocabularies half of all."""
        self.usable = np.flatnonzero(first >= 0)


def _decoded(text: bytes) -> str | None:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _ends_inside_character(text: bytes) -> bool:
    """Whether the last character's bytes are not complete."""
    for back, byte in enumerate(reversed(text[-4:]), 1):
        if byte < 0x80:
            return False
        if byte >= 0xC0:
            return back < (2 if byte < 0xE0 else 3 if byte < 0xF0 else 4)
    return False


class LlamaConstraint:
    """A grammar over a llama.cpp vocabulary; see `Constraint`. Made by `LlamaCppModel.constraint`.

    Args:
        vocab: llama.cpp's vocabulary.
        gbnf: The grammar's text.
        texts: The vocabulary's texts.
        require_open: Raises when the model was closed: its vocabulary is gone then.

    Raises:
        SettingsError: The grammar is not valid.
    """

    def __init__(
        self, vocab: Any, gbnf: str, texts: TokenTexts, require_open: Callable[[], None]
    ) -> None:
        grammar = Gbnf.parse(gbnf)
        root = llama_cpp.llama_sampler_init_grammar(vocab, gbnf.encode("utf-8"), b"root")
        if not root:
            raise SettingsError(
                "llama.cpp does not take the grammar (its own words are on stderr): simplify it"
            )
        self._texts, self._require_open = texts, require_open
        self._states: OrderedDict[tuple[int, ...], Any] = OrderedDict({(): root})
        self._finalizer = weakref.finalize(self, _free, self._states)
        self._probe, self._names_others = _probe(grammar, texts)
        singles = [texts.single.get(chr(byte), -1) for byte in range(128)]
        self._ascii_tokens = np.array([one for one in singles if one >= 0], dtype=np.int64)
        self._ascii_bytes = np.array([b for b in range(128) if singles[b] >= 0], dtype=np.int64)
        self._without_token = [byte for byte in range(128) if singles[byte] < 0]

    def allowed(self, tokens: Sequence[int]) -> Mask:
        """Which tokens may come after a path, bool [V]; see `Constraint.allowed`.

        Raises:
            DecodeError: The path itself is not allowed.
            ModelClosedError: The model was closed.
        """
        self._require_open()
        state = self._state(tuple(tokens))
        mask = np.zeros(self._texts.size, dtype=np.bool_)
        tail = b"".join(self._texts.texts[token] for token in tokens[-4:])
        asked = self._texts.usable
        if self._probe is not None and not _ends_inside_character(tail):
            asked = self._worth_asking(state, mask, self._probe)
        asked = np.concatenate((asked, self._texts.stop))
        mask[asked[self._ask(state, asked)]] = True
        return mask

    def _worth_asking(self, state: Any, mask: Mask, probe: int) -> Ids:
        """Tokens that may or may not be allowed; those that surely are get set in `mask`."""
        texts = self._texts
        firsts, strings = self._first_bytes(state, probe)
        groups = [texts.by_first[byte] for byte in firsts]
        if _SPACE in firsts and not strings and " " in texts.single:
            space = texts.single[" "]
            behind = llama_cpp.llama_sampler_clone(state)
            try:
                llama_cpp.llama_sampler_accept(behind, space)
                seconds, _ = self._first_bytes(behind, probe)
            finally:
                llama_cpp.llama_sampler_free(behind)
            groups[firsts.index(_SPACE)] = np.concatenate(
                ([space], *(texts.after_space[byte] for byte in seconds))
            )
        asked = np.concatenate(groups) if groups else np.empty(0, dtype=np.int64)
        if strings and self._takes_run(state, probe):
            sure = texts.plain[asked]
            mask[asked[sure]] = True
            return asked[~sure]
        return asked

    def _first_bytes(self, state: Any, probe: int) -> tuple[list[int], bool]:
        """Bytes that the next token may begin with, and whether the probe may come."""
        accepted = self._ask(state, np.append(self._ascii_tokens, probe))
        firsts = [*self._ascii_bytes[accepted[:-1]].tolist(), *self._without_token]
        strings = bool(accepted[-1])
        if strings or self._names_others:
            firsts += range(128, 256)
        return firsts, strings

    def _takes_run(self, state: Any, probe: int) -> bool:
        """Whether as many characters as the longest plain token has are allowed, of any sort."""
        state = llama_cpp.llama_sampler_clone(state)
        try:
            one = np.array([probe])
            for _ in range(_RUN):
                if not self._ask(state, one)[0]:
                    return False
                llama_cpp.llama_sampler_accept(state, probe)
            return True
        finally:
            llama_cpp.llama_sampler_free(state)

    def _ask(self, state: Any, tokens: Ids) -> Mask:
        """Which of some tokens llama.cpp's grammar allows next."""
        count = tokens.size
        candidates = self._texts.buffer[:count]
        candidates["id"] = tokens
        candidates["logit"] = 0.0
        array = llama_cpp.llama_token_data_array(
            data=ctypes.cast(candidates.ctypes.data, ctypes.POINTER(llama_cpp.llama_token_data)),
            size=count,
            selected=-1,
            sorted=False,
        )
        llama_cpp.llama_sampler_apply(state, ctypes.byref(array))
        allowed: Mask = candidates["logit"] == 0.0
        return allowed

    def _state(self, path: tuple[int, ...]) -> Any:
        """The grammar after a path, from that after the longest beginning that is still known."""
        known = len(path)
        while path[:known] not in self._states:
            known -= 1
        self._states.move_to_end(path[:known])
        if known == len(path):
            return self._states[path]
        state = llama_cpp.llama_sampler_clone(self._states[path[:known]])
        for token in path[known:]:
            # llama.cpp ends the process when it must accept what its grammar forbids.
            if not self._ask(state, np.array([token], dtype=np.int64))[0]:
                llama_cpp.llama_sampler_free(state)
                raise DecodeError(f"token {token} of a path is not what the grammar allows there")
            llama_cpp.llama_sampler_accept(state, token)
        self._states[path] = state
        if len(self._states) > _STATES:
            oldest = next(key for key in self._states if key and key != path)
            llama_cpp.llama_sampler_free(self._states.pop(oldest))
        return state


def _free(states: OrderedDict[tuple[int, ...], Any]) -> None:
    while states:
        llama_cpp.llama_sampler_free(states.popitem()[1])


def _probe(grammar: Gbnf, texts: TokenTexts) -> tuple[int | None, bool]:
    """A token of one character that the grammar takes only where it takes all characters of a string.

    None when there is no such token: then every token has to be asked about. With it, whether the
    grammar takes other characters beyond ASCII where it does not take this one.
    """
    sets = {
        element
        for sequences in grammar.rules.values()
        for sequence in sequences
        for element in sequence
        if isinstance(element, Characters)
    }
    for character, token in texts.single.items():
        if character <= "\x7f":
            continue
        if all(_takes_strings(one) for one in sets if one.match(character)):
            others = (one for one in sets if not one.match(character))
            beyond = any(
                one.negated or any(high > "\x7f" for _, high in one.ranges) for one in others
            )
            return token, beyond
    return None, True


def _takes_strings(characters: Characters) -> bool:
    """Whether a set holds every character of a string that is written as itself."""
    return characters.negated and all(
        high <= "\x7f" and set(map(chr, range(ord(low), ord(high) + 1))) <= _NO_STRING_CHARACTER
        for low, high in characters.ranges
    )
