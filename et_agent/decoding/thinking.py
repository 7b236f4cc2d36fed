"""Thoughts and answers as tokens: which part a path is in, and grammars that begin after a thought."""

import bisect
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from et_agent.decoding.constraint import Constraint
from et_agent.decoding.marks import without_begun
from et_agent.engines.base import LanguageModel
from et_agent.errors import DecodeError, UnsupportedModelError
from et_agent.templates.messages import Message
from et_agent.templates.reasoning import ReasoningFormat
from et_agent.templates.thoughts import PromptState, Spans, stand_in

__all__ = [
    "PartReader",
    "Parts",
    "ThinkingConstraint",
    "Thoughts",
    "thought_ending",
    "unthinking_tokens",
]

_TAIL: Final = 64
"""Tokens at the end of a prompt in which it opens or closes a thought."""


@dataclass(frozen=True, slots=True)
class Parts(Spans):
    """A path's thoughts and what it says besides; `text` has stand-ins for control tokens of marks.

    Attributes:
        start: Tokens before the answer, or before the answer's part after the last thought; the whole
            path within a thought, and where it is not decided.
        thought_at: Where the last thought's text begins, tokens; None without any.
    """

    start: int
    thought_at: int | None

    @classmethod
    def without_thoughts(cls, text: bytes) -> "Parts":
        """Those of a path of a model that has no thoughts."""
        whole = ((0, len(text)),)
        return cls(text, (), whole, open=False, decided=True, start=0, thought_at=None)


class PartReader(Protocol):
    """Tells the thoughts and the answer of a path apart."""

    def parts(self, tokens: Sequence[int]) -> Parts:
        """The thoughts and the answer of a path's generated tokens."""
        ...

    def settled(self, parts: Parts) -> Parts:
        """Those of a path that goes on, without what its next tokens may make a mark."""
        ...

    def reached(self, parts: Parts) -> bool:
        """Whether the last thought of a path reached its limit."""
        ...


class Thoughts:
    """Tells thoughts and answers apart in the paths of one prompt.

    Args:
        model: The model that generates them.
        form: How it writes thoughts.
        prompt: The prompt's tokens.
        limit: Tokens after which a thought is closed by force.
    """

    def __init__(
        self,
        model: LanguageModel,
        form: ReasoningFormat,
        prompt: Sequence[int],
        *,
        limit: int = 0,
    ) -> None:
        self.form, self.limit, self._model = form, limit, model
        self.opening = model.template_tokens(form.opening)
        self.closing = model.template_tokens(f"{form.before_closing}{form.closing}")
        """What closes a thought by force."""
        self.header = model.template_tokens(f"{form.after_closing}{form.answer}")
        """What the template then writes before the answer."""
        self._pieces = _Pieces(model)
        self._marks = form.marks(self._mark)
        self.state: PromptState = self._marks.state(self._tail(prompt))
        """How the prompt leaves the thought."""

    def _mark(self, text: str) -> bytes:
        """A mark as paths have it; its control tokens get stand-ins from here on."""
        tokens = self._model.template_tokens(text) if text else []
        for token in tokens:
            self._pieces[token] = self._model.token_bytes(token) or stand_in(token)
        return b"".join(self._pieces[token] for token in tokens)

    def _tail(self, prompt: Sequence[int]) -> bytes:
        return b"".join(self._pieces[token] for token in prompt[-_TAIL:]).rstrip()

    def header_after(self, prompt: Sequence[int]) -> list[int]:
        """Tokens that an answer without a thought begins with after a prompt; [] for none."""
        header = self.form.answer
        if not header or self._tail(prompt).endswith(self._marks.header):
            return []
        return self._model.template_tokens(header.removeprefix(self.form.turn))

    @property
    def longest(self) -> int:
        """Tokens that a thought and what is around it may have."""
        # A character that the limit cuts through is ended first.
        return self.limit + 3 + len(self.opening) + len(self.closing) + len(self.header)

    def parts(self, tokens: Sequence[int]) -> Parts:
        """The thoughts and the answer of a path's generated tokens."""
        spans, at, starts = self._spans(tokens)
        thoughts, within = spans.thoughts, spans.open or not spans.decided
        return Parts(
            spans.text,
            thoughts,
            spans.answers,
            open=spans.open,
            decided=spans.decided,
            start=len(tokens) if within else _tokens_before(starts, at),
            thought_at=_tokens_before(starts, thoughts[-1][0]) if thoughts else None,
        )

    def _spans(self, tokens: Sequence[int]) -> tuple[Spans, int, list[int]]:
        """Thoughts and answer as bytes, the byte after the last mark, and where tokens begin."""
        pieces = [self._pieces[token] for token in tokens]
        spans, at = self._marks.spans(b"".join(pieces), self.state)
        return spans, at, [0, *itertools.accumulate(map(len, pieces))]

    def settled(self, parts: Parts) -> Parts:
        """Those of a path that goes on, without what its next tokens may make a mark."""
        if not parts.decided:
            return replace(parts, answers=())
        marks, spans = self._marks, parts.thoughts if parts.open else parts.answers
        if not spans:
            return parts
        *earlier, (at, end) = spans
        text = parts.text[at:end]
        if parts.open:
            kept = without_begun(text, [marks.closing])
            return replace(parts, thoughts=(*earlier, (at, at + len(kept))))
        header = marks.header, marks.header.removeprefix(marks.turn)
        if any(one.startswith(text.lstrip()) for one in header if one):
            return replace(parts, answers=tuple(earlier))
        kept = without_begun(text, [marks.opening, marks.ends])
        return replace(parts, answers=(*earlier, (at, at + len(kept))))

    def reached(self, parts: Parts) -> bool:
        """Whether the last thought of a path reached its limit."""
        return parts.thought_at is not None and parts.start - parts.thought_at > self.limit

    def answer_start(self, tokens: Sequence[int]) -> int | None:
        """Tokens before the answer, its header included; None as long as that has not begun."""
        spans, at, starts = self._spans(tokens)
        if spans.open or not spans.decided:
            return None
        begins = self._marks.answer_at(spans.text, at)
        return None if begins is None else _tokens_before(starts, begins)


class _Pieces(dict[int, bytes]):
    """The bytes of tokens, looked up once."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, token: int) -> bytes:
        self[token] = self._model.token_bytes(token)
        return self[token]


def _tokens_before(starts: Sequence[int], byte: int) -> int:
    """Tokens that start before a byte; the last of `starts` is the end of all."""
    return min(bisect.bisect_left(starts, byte), len(starts) - 1)


class ThinkingConstraint:
    """Leaves thoughts free up to their limit, then ends them as the template does; a grammar follows.

    A path does not end within a thought: the tokens that end a generation are ruled out there.

    Args:
        model: The model.
        thoughts: Tells which part a path is in, and the limit.
        prompt: The prompt's tokens.
        after: The grammar of the answer; None for a free one.

    Raises:
        UnsupportedModelError: The template's end of a thought does not end it.
    """

    def __init__(
        self,
        model: LanguageModel,
        thoughts: Thoughts,
        prompt: Sequence[int],
        after: Constraint | None = None,
    ) -> None:
        self._thoughts, self._after = thoughts, after
        self._header = thoughts.header_after(prompt)
        self._size = model.info.vocabulary
        self._model = model
        stops = model.info.stop_tokens - set(thoughts.closing)
        self._within = np.ones(self._size, dtype=np.bool_)
        self._within[list(stops)] = False
        opened = [] if thoughts.state == "open" else thoughts.opening
        if thoughts.parts([*opened, *thoughts.closing]).open:
            raise UnsupportedModelError(
                f"the model's tokens for {thoughts.form.closing!r} do not end a thought: its "
                "chat template is of another model, so use the one that belongs to it"
            )

    def allowed(self, tokens: Sequence[int]) -> NDArray[np.bool_] | None:
        """Which tokens may come next; None if all may. See `Constraint.allowed`."""
        parts = self._thoughts.parts(tokens)
        forced = self._forced(tokens, parts)
        if forced is not None:
            return self._only(forced)
        if parts.open:
            return self._within
        if self._after is None:
            return None
        if self._is_free:
            return self._after.allowed(tokens[parts.start :] if parts.decided else tokens)
        if parts.thought_at is None:
            return self._before_any(tokens)
        begun, header = tokens[parts.start :], self._thoughts.header
        if len(begun) < len(header):
            return self._only(header[len(begun)])
        return self._after.allowed(begun[len(header) :])

    @cached_property
    def _is_free(self) -> bool:
        """Whether an answer may begin with anything, and binds itself to a grammar later."""
        return self._after is not None and self._after.allowed(()) is None

    def _only(self, *tokens: int) -> NDArray[np.bool_]:
        mask = np.zeros(self._size, dtype=np.bool_)
        mask[list(tokens)] = True
        return mask

    def _forced(self, tokens: Sequence[int], parts: Parts) -> int | None:
        """The token that closes a thought that reached its limit, or that follows what closed it."""
        thoughts = self._thoughts
        if parts.thought_at is None:
            return None
        at = parts.thought_at + thoughts.limit
        inside = len(tokens) if parts.open else parts.start
        if inside < at or (not parts.open and inside == at):
            return None
        at += self._to_whole_character(tokens[parts.thought_at :], thoughts.limit)
        ending = [*thoughts.closing, *thoughts.header]
        done = len(tokens) - at
        return ending[done] if 0 <= done < len(ending) else None

    def _to_whole_character(self, thought: Sequence[int], limit: int) -> int:
        """Tokens after the limit up to which a character lasts that it would cut through, at most 3."""
        if not limit:
            return 0
        for more in range(3):
            text = b"".join(map(self._model.token_bytes, thought[: limit + more]))[-4:]
            begins = max((at for at in range(len(text)) if text[at] & 0xC0 != 0x80), default=0)
            if len(text) - begins >= _length_of_character(text[begins:]):
                return more
        return 3

    def _before_any(self, tokens: Sequence[int]) -> NDArray[np.bool_] | None:
        """Before a path has a thought: what begins one, or the answer."""
        assert self._after is not None
        count, header = len(tokens), self._header
        opening = self._thoughts.opening if self._thoughts.state == "free" else []
        going = [one[count] for one in (opening, header) if _goes_on(tokens, one)]
        if going and header:
            return self._only(*going)
        try:
            allowed = self._after.allowed(tokens[len(header) :])
        except DecodeError:  # what a thought begins with is none of the grammar's
            if not going:
                raise
            return self._only(*going)
        return allowed if allowed is None or not going else allowed | self._only(*going)


def _goes_on(tokens: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether tokens are a beginning of others."""
    return len(tokens) < len(wanted) and list(wanted[: len(tokens)]) == list(tokens)


def _length_of_character(text: bytes) -> int:
    """Bytes that a character has by its first one, in UTF-8; 0 for none."""
    first = text[0] if text else 0
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


def unthinking_tokens(
    model: LanguageModel, messages: Sequence[Message], options: Mapping[str, Any] | None = None
) -> list[int]:
    """Tokens of a chat prompt after which the model answers at once, its thought empty.

    Args:
        model: The model.
        messages: The conversation.
        options: Options that the chat template gets.

    Raises:
        UnsupportedModelError: The model has no chat template.
    """
    prompt = model.chat_tokens(messages, (), options) if options else model.chat_tokens(messages)
    return [*prompt, *thought_ending(model, prompt)]


def thought_ending(model: LanguageModel, prompt: Sequence[int]) -> list[int]:
    """What a prompt lacks so that the answer follows: an empty thought or its end; [] for nothing."""
    form = model.reasoning_format()
    if form is None:
        return []
    thoughts = Thoughts(model, form, prompt)
    ending = model.template_tokens(form.closing_text)
    match thoughts.state:
        case "open":
            return ending
        case "free" if form.thinks:
            return [*model.template_tokens(f"{form.opening}{form.after_opening}"), *ending]
        case _:
            return []
