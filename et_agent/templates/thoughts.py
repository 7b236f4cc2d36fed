"""Thoughts and answers in what a model writes, told apart by the marks around them.

A mark may be a control token, which stands for no text. So all is looked for in bytes: those of a text,
or those of a path's tokens, in which each control token of a mark has a stand-in.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["Marks", "PromptState", "Spans", "in_code", "stand_in"]

PromptState = Literal["open", "closed", "free"]
"""How a prompt ends: inside a thought, after an empty one, or where the model may think or not."""

_STAND_IN: Final = re.compile(rb"\xff\d+\xff")
_SPACES: Final = b" \t\r\n"


def stand_in(token: int) -> bytes:
    """What stands for a control token; no text has these bytes."""
    return b"\xff%d\xff" % token


@dataclass(frozen=True, slots=True)
class Spans:
    """Thoughts, and what is said besides.

    Attributes:
        text: The bytes, with stand-ins for control tokens of marks.
        thoughts, answers: First byte of each part and the one after its last.
        open: Whether the last thought has not ended.
        decided: Whether it is in a thought or an answer; False as long as it may still begin a thought.
    """

    text: bytes
    thoughts: tuple[tuple[int, int], ...]
    answers: tuple[tuple[int, int], ...]
    open: bool
    decided: bool

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
        """Where the answer begins in the text, bytes; None where a thought stands in it."""
        if len(self.answers) > 1:
            return None
        begins = self.answers[0][0] if self.answers else len(self.text)
        return len(_STAND_IN.sub(b"", self.text[:begins]))


class Marks:
    """What stands around thoughts and answers: the parts of a `ReasoningFormat`, as bytes."""

    def __init__(
        self, opening: bytes, closing: bytes, header: bytes, turn: bytes, ends: bytes
    ) -> None:
        self.opening, self.closing = opening, closing
        self.header, self.turn, self.ends = header, turn, ends
        self._opening, self._closing = (re.compile(re.escape(one)) for one in (opening, closing))
        rest = re.escape(header.removeprefix(turn))
        self._header = re.compile(rb"\s*(?:%s)?%s" % (re.escape(turn), rest) if header else b"")

    def state(self, prompt: bytes) -> PromptState:
        """How the end of a prompt leaves the thought."""
        tail = prompt.rstrip()
        if tail.endswith(self.opening):
            return "open"
        if self.header and tail.endswith(self.header):
            return "closed"
        # What ends a thought may end other messages too, where thoughts are messages.
        closed = self._closing.pattern
        if self.turn:
            closed = rb"%s\s*%s\s*%s" % (self._opening.pattern, closed, re.escape(self.turn))
        return "closed" if re.search(closed + rb"\Z", tail) else "free"

    def spans(self, text: bytes, state: PromptState) -> tuple[Spans, int]:
        """The thoughts and the answer of what follows a prompt, and the byte after the last mark.

        Args:
            text: What follows it.
            state: How the prompt ends.
        """
        thoughts: list[tuple[int, int]] = []
        said: list[tuple[int, int]] = []
        inside, at = state == "open", 0
        while True:
            found = self._closing.search(text, at) if inside else self._next_opening(text, at)
            end = len(text) if found is None else found.start()
            (thoughts if inside else said).append((at, end))
            if found is None:
                break
            inside, at = not inside, found.end()
        answers = tuple(self._answers(text, said, spaced=not thoughts))
        may_open = state != "closed" and self.opening.startswith(text.strip())
        decided = inside or bool(thoughts) or not may_open
        return Spans(text, tuple(thoughts), answers, inside, decided), at

    def answer_at(self, text: bytes, at: int) -> int | None:
        """Where an answer begins that follows a byte: there, or behind its header.

        None as long as the header may still be written.
        """
        if (found := self._header.match(text, at)) is not None:
            return found.end()
        begun = text[at:].lstrip()
        headers = self.header, self.header.removeprefix(self.turn)
        return None if any(one.startswith(begun) for one in headers) else at

    def _next_opening(self, text: bytes, at: int) -> re.Match[bytes] | None:
        """The next mark that begins a thought, from a byte of what is said on; one in code is text."""
        found = self._opening.finditer(text, at)
        if _STAND_IN.search(self.opening):
            return next(found, None)  # a control token is not quoted
        return next((one for one in found if not in_code(text[at : one.start()])), None)

    def _answers(
        self, text: bytes, said: Sequence[tuple[int, int]], *, spaced: bool
    ) -> Iterator[tuple[int, int]]:
        """What of the text outside of thoughts is said; `spaced` keeps spaces before it."""
        first = True
        for at, end in said:
            header = self._header.match(text, at, end)
            begins = at if header is None else header.end()
            ends = text.find(self.ends, begins, end) if self.ends else -1
            ends = end if ends < 0 else ends
            if not spaced:
                if not text[begins:ends].strip():
                    continue
                if first:
                    begins = ends - len(text[begins:ends].lstrip(_SPACES))
            first = False
            yield begins, ends


def _plain(text: bytes) -> str:
    return _STAND_IN.sub(b"", text).decode("utf-8", "replace")


def in_code(said: bytes) -> bool:
    """Whether a text ends within a block of code or between backticks."""
    rest = said.rpartition(b"\n")[2].replace(b"```", b"")
    return said.count(b"```") % 2 == 1 or rest.count(b"`") % 2 == 1
