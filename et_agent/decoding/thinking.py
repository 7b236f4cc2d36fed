"""Thoughts and answers as tokens: which part a path is in, and grammars that begin after a thought.

A mark of a thought may be a control token, which stands for no text. Paths are therefore read as bytes
in which each control token of a mark has a stand-in, and the marks are looked for in the same form.
"""

import bisect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
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
from et_agent.templates.reasoning import PromptState, ReasoningFormat

__all__ = [
    "PartReader",
    "Parts",
    "ThinkingConstraint",
    "Thoughts",
    "thought_ending",
    "unthinking_tokens",
]

_STAND_IN: Final = re.compile(rb"\xff\d+\xff")
_SPACES: Final = b" \t\r\n"
_TAIL: Final = 64
"""Tokens at the end of a prompt in which it opens or closes a thought."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A path's thoughts and what it says besides.

    Attributes:
        text: The path's bytes, with stand-ins for control tokens of marks.
        thoughts, answers: First byte of each part and the one after its last.
        open: Whether the last thought has not ended.
        decided: Whether it is in a thought or an answer; False as long as it may still begin a thought.
        start: Tokens before the answer, or before the answer's part after the last thought; the whole
            path within a thought, and where it is not decided.
        thought_at: Where the last thought's text begins, tokens; None without any.
    """

    text: bytes
    thoughts: tuple[tuple[int, int], ...]
    answers: tuple[tuple[int, int], ...]
    open: bool
    decided: bool
    start: int
    thought_at: int | None

    @classmethod
    def without_thoughts(cls, text: bytes) -> "Parts":
        """Those of a path of a model that has no thoughts."""
        whole = ((0, len(text)),)
        return cls(text, (), whole, open=False, decided=True, start=0, thought_at=None)

    @property
    def thought(self) -> str | None:
        """The thoughts, joined by an empty line; None without any."""
        found = [_plain(self.text[slice(*span)]).strip() for span in self.thoughts]
        return "\n\n".join(filter(None, found)) if found else None

    @property
    def answer(self) -> str:
        """What it says apart from thoughts."""
        return "".join(_plain(self.text[slice(*span)]) for span in self.answers)

    @property
    def offset(self) -> int | None:
        """Where the answer begins in the path's text, bytes; None where a thought stands in it."""
        if len(self.answers) > 1:
            return None
        begins = self.answers[0][0] if self.answers else len(self.text)
        return len(_STAND_IN.sub(b"", self.text[:begins]))


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
        opening, closing = self._mark(form.opening), self._mark(form.closing)
        header, turn, self._ends = map(self._mark, (form.answer, form.turn, form.answer_end))
        self._opening_bytes, self._closing_bytes = opening, closing
        self._header_bytes, self._turn = header, turn
        self._opening, self._closing = (re.compile(re.escape(one)) for one in (opening, closing))
        rest = re.escape(header.removeprefix(turn))
        self._header = re.compile(rb"\s*(?:%s)?%s" % (re.escape(turn), rest) if header else b"")
        self.state: PromptState = self._state(prompt)
        """How the prompt leaves the thought."""

    def _mark(self, text: str) -> bytes:
        """A mark as paths have it; its control tokens get stand-ins from here on."""
        tokens = self._model.template_tokens(text) if text else []
        for token in tokens:
            self._pieces[token] = self._model.token_bytes(token) or b"\xff%d\xff" % token
        return b"".join(self._pieces[token] for token in tokens)

    def _state(self, prompt: Sequence[int]) -> PromptState:
        tail = self._tail(prompt)
        if tail.endswith(self._opening_bytes):
            return "open"
        if self._header_bytes and tail.endswith(self._header_bytes):
            return "closed"
        # What ends a thought may end other messages too, where thoughts are messages.
        closed = self._closing.pattern
        if self._turn:
            closed = rb"%s\s*%s\s*%s" % (self._opening.pattern, closed, re.escape(self._turn))
        return "closed" if re.search(closed + rb"\Z", tail) else "free"

    def _tail(self, prompt: Sequence[int]) -> bytes:
        return b"".join(self._pieces[token] for token in prompt[-_TAIL:]).rstrip()

    def header_after(self, prompt: Sequence[int]) -> list[int]:
        """Tokens that an answer without a thought begins with after a prompt; [] for none."""
        header = self.form.answer
        if not header or self._tail(prompt).endswith(self._header_bytes):
            return []
        return self._model.template_tokens(header.removeprefix(self.form.turn))

    @property
    def longest(self) -> int:
        """Tokens that a thought and what is around it may have."""
        # A character that the limit cuts through is ended first.
        return self.limit + 3 + len(self.opening) + len(self.closing) + len(self.header)

    def parts(self, tokens: Sequence[int]) -> Parts:
        """The thoughts and the answer of a path's generated tokens."""
        pieces = [self._pieces[token] for token in tokens]
        text = b"".join(pieces)
        thoughts: list[tuple[int, int]] = []
        said: list[tuple[int, int]] = []
        inside, at = self.state == "open", 0
        while True:
            found = self._closing.search(text, at) if inside else self._next_opening(text, at)
            end = len(text) if found is None else found.start()
            (thoughts if inside else said).append((at, end))
            if found is None:
                break
            inside, at = not inside, found.end()
        decided = inside or bool(thoughts) or not self._may_open(text)
        starts = [0, *itertools.accumulate(map(len, pieces))]
        return Parts(
            text,
            tuple(thoughts),
            tuple(self._answers(text, said, spaced=not thoughts)),
            open=inside,
            decided=decided,
            start=_tokens_before(starts, at) if decided and not inside else len(tokens),
            thought_at=_tokens_before(starts, thoughts[-1][0]) if thoughts else None,
        )

    def _next_opening(self, text: bytes, at: int) -> re.Match[bytes] | None:
        """The next mark that begins a thought, from a byte of what is said on; one in code is text."""
        found = self._opening.finditer(text, at)
        if _STAND_IN.search(self._opening_bytes):
            return next(found, None)  # a control token is not quoted
        return next((one for one in found if not _in_code(text[at : one.start()])), None)

    def _answers(
        self, text: bytes, said: Sequence[tuple[int, int]], *, spaced: bool
    ) -> Iterator[tuple[int, int]]:
        """What of the text outside of thoughts is said; `spaced` keeps spaces before it."""
        first = True
        for at, end in said:
            header = self._header.match(text, at, end)
            begins = at if header is None else header.end()
            ends = text.find(self._ends, begins, end) if self._ends else -1
            ends = end if ends < 0 else ends
            if not spaced:
                if not text[begins:ends].strip():
                    continue
                if first:
                    begins = ends - len(text[begins:ends].lstrip(_SPACES))
            first = False
            yield begins, ends

    def _may_open(self, text: bytes) -> bool:
        """Whether a path that has no thought so far may be about to begin one."""
        begun = text.strip()
        return self.state != "closed" and self._opening_bytes.startswith(begun)

    def settled(self, parts: Parts) -> Parts:
        """Those of a path that goes on, without what its next tokens may make a mark."""
        if not parts.decided:
            return replace(parts, answers=())
        spans = parts.thoughts if parts.open else parts.answers
        if not spans:
            return parts
        *earlier, (at, end) = spans
        text = parts.text[at:end]
        if parts.open:
            kept = without_begun(text, [self._closing_bytes])
            return replace(parts, thoughts=(*earlier, (at, at + len(kept))))
        header = self._header_bytes, self._header_bytes.removeprefix(self._turn)
        if any(one.startswith(text.lstrip()) for one in header if one):
            return replace(parts, answers=tuple(earlier))
        kept = without_begun(text, [self._opening_bytes, self._ends])
        return replace(parts, answers=(*earlier, (at, at + len(kept))))

    def reached(self, parts: Parts) -> bool:
        """Whether the last thought of a path reached its limit."""
        return parts.thought_at is not None and parts.start - parts.thought_at > self.limit

    def answer_start(self, tokens: Sequence[int]) -> int | None:
        """Tokens of a path before its answer; None as long as that has not begun."""
        parts = self.parts(tokens)
        return parts.start if parts.decided and not parts.open else None


class _Pieces(dict[int, bytes]):
    """The bytes of tokens, looked up once."""

    def __init__(self, model: LanguageModel) -> None:
        super().__init__()
        self._model = model

    def __missing__(self, token: int) -> bytes:
        self[token] = self._model.token_bytes(token)
        return self[token]


def _plain(text: bytes) -> str:
    return _STAND_IN.sub(b"", text).decode("utf-8", "replace")


def _in_code(said: bytes) -> bool:
    """Whether a text ends within a block of code or between backticks."""
    rest = said.rpartition(b"\n")[2].replace(b"```", b"")
    return said.count(b"```") % 2 == 1 or rest.count(b"`") % 2 == 1


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
