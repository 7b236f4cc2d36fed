"""The texts of paths while they are decoded, from the model's thread to an event loop."""

import asyncio
import codecs
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from et_agent import PendingAnswer
from et_agent.asking.calling import CallForm
from et_agent.decoding.request import Request

__all__ = ["Follower", "PathText", "Piece"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What a step added to a choice.

    Attributes:
        choice: Number of the choice.
        text: Text that is certain to be in the reply.
        thought: The same of its thought.
    """

    choice: int
    text: str = ""
    thought: str = ""


class Follower:
    """Tells the texts of a question's independent chains as they come.

    Args:
        pending: The question; it has not begun.
        choices: How many chains there are.
    """

    def __init__(self, pending: PendingAnswer, choices: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[list[tuple[int, list[int]]] | None] = asyncio.Queue()
        self._seen = [0] * choices
        self.texts = [PathText(pending) for _ in range(choices)]
        pending.request.on_step = self._note
        pending.add_done_callback(lambda _: self._tell(None))

    def _note(self, request: Request) -> None:
        new = []
        for at, branch in enumerate(request.run.tree.branches[: len(self._seen)]):
            if len(branch.tokens) > self._seen[at]:
                new.append((at, branch.tokens[self._seen[at] :]))
                self._seen[at] = len(branch.tokens)
        if new:
            self._tell(new)

    def _tell(self, what: list[tuple[int, list[int]]] | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            self._loop.call_soon_threadsafe(self._queue.put_nowait, what)

    async def pieces(self) -> AsyncIterator[Piece]:
        """What each step adds, until decoding has ended."""
        while (new := await self._queue.get()) is not None:
            for choice, tokens in new:
                text, thought = self.texts[choice].feed(tokens)
                if text or thought:
                    yield Piece(choice, text, thought)


class PathText:
    """A path's text, as far as it is certain to be part of the reply.

    Held back is what may yet turn out to be a stop sequence, part of a character, or a tool call.

    Args:
        pending: The path's question.
    """

    def __init__(self, pending: PendingAnswer) -> None:
        prompt = pending.prompt
        self._model = prompt.spoken
        self._stops = prompt.stops
        self._thoughts = prompt.thoughts
        self._form = prompt.form if isinstance(prompt.form, CallForm) else None
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tokens: list[int] = []
        self._text = self._thought = ""
        self.sent = self.sent_thought = ""

    def feed(self, tokens: Sequence[int]) -> tuple[str, str]:
        """Take the next tokens; gives what is new of the text and of the thought."""
        self._read(tokens)
        thought = self._thought.removesuffix("\ufffd")[len(self.sent_thought) :]
        self.sent_thought += thought
        certain = self._certain()
        new = certain[len(self.sent) :]
        self.sent += new
        return new, thought

    def _read(self, tokens: Sequence[int]) -> None:
        if self._thoughts is None:
            self._text += "".join(
                self._decoder.decode(self._model.token_bytes(token)) for token in tokens
            )
            return
        self._tokens += tokens
        parts = self._thoughts.parts(self._tokens)
        if parts.decided:
            self._thought = parts.thought or ""
            self._text = "" if parts.open else parts.answer.removesuffix("\ufffd")

    def _certain(self) -> str:
        text = self._text
        if self._form is not None:
            return self._before_a_call(self._form, text)
        cut = self._stops.cut(text)
        if cut.stopped:
            return cut.shown
        return text[: len(text) - _begun(text, self._stops.texts)]

    def _before_a_call(self, form: CallForm, text: str) -> str:
        """Calls are told when they are complete."""
        if not form.free or not form.format.opening or text.lstrip()[:1] in ("", "{", "`"):
            return ""
        if form.begins(text):
            return form.before(text)
        cut = self._stops.cut(text)
        if cut.stopped:
            return cut.shown
        held = _begun(text, (*self._stops.texts, form.format.marker, *form.format.leads))
        certain = text[: len(text) - held].rstrip()
        lead = next((one for one in form.format.leads if certain.endswith(one)), "")
        return certain.removesuffix(lead).rstrip()


def _begun(text: str, wanted: Sequence[str]) -> int:
    """How many characters at the end of a text may begin one of the wanted ones."""
    longest = max(map(len, wanted), default=0)
    for size in range(min(len(text), longest), 0, -1):
        if any(one.startswith(text[-size:]) for one in wanted):
            return size
    return 0
