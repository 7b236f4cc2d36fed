r"""Stop sequences: texts that end a path and are cut off it.

A stop sequence ends a path wherever it appears first, inside `\boxed{}` too. The shown text ends before
it. The answer is read from the shown text, with one exception: where the cut goes through a box, the
stop sequence itself is read too, so that "}" as a stop sequence closes the box. A box that stays open
is not an answer, since the rest of it was never written. A stop sequence that ends paths within the
word that opens a box leaves no answer, or a wrong one from the text before: it is refused if the
prompt asks for a box.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from et_agent.answers.braces import boxes
from et_agent.answers.kinds import ANSWER_MARKER
from et_agent.decoding.marks import without_begun
from et_agent.errors import SettingsError

__all__ = ["Cut", "StopSequences"]


@dataclass(frozen=True, slots=True)
class Cut:
    """A text without its stop sequence.

    Attributes:
        shown: What stands before it.
        read: What the answer is read from; None when the cut leaves a box open.
        stopped: Whether there was a stop sequence.
    """

    shown: str
    read: str | None
    stopped: bool


class StopSequences:
    """Texts that end a path.

    Args:
        texts: The texts; none may be empty.

    Raises:
        SettingsError: One is empty or no text.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        if isinstance(texts, str):
            raise SettingsError(f"stop is the text {texts!r}: pass a list of stop sequences")
        for text in texts:
            if not isinstance(text, str) or not text:
                raise SettingsError(f"a stop sequence is {text!r}: use texts that are not empty")
        self.texts = tuple(dict.fromkeys(texts))
        self._bytes = [text.encode("utf-8", "surrogatepass") for text in self.texts]
        self.longest = max(map(len, self._bytes), default=0)
        """Bytes of the longest; 0 when there is none."""

    def __bool__(self) -> bool:
        return bool(self.texts)

    def within(self, tail: bytes) -> bool:
        """Whether bytes hold one."""
        return any(one in tail for one in self._bytes)

    def settled(self, text: str) -> str:
        """What of a text that goes on is before any of them, whatever follows."""
        return without_begun(self.cut(text).shown, self.texts)

    def within_marker(self) -> str | None:
        """One that ends paths before the answer where a box is opened, or holds the whole opening."""
        begun = tuple(ANSWER_MARKER[:size] for size in range(1, len(ANSWER_MARKER)))
        for text in self.texts:
            if text in ANSWER_MARKER or ANSWER_MARKER in text or text.endswith(begun):
                return text
        return None

    def cut(self, text: str) -> Cut:
        """The text up to the first of them."""
        found = [(text.find(stop), -len(stop), stop) for stop in self.texts if stop in text]
        if not found:
            return Cut(text, text, stopped=False)
        at, _, stop = min(found)
        shown, whole = text[:at], text[:at] + stop
        if not _inside_box(shown):
            return Cut(shown, shown, stopped=True)
        return Cut(shown, None if _inside_box(whole) else whole, stopped=True)


def _inside_box(text: str) -> bool:
    """Whether a text ends within a box or within the word that opens one."""
    word = text.rfind("\\")
    if word >= 0 and ANSWER_MARKER.startswith(text[word:]):
        return True
    return any(not box.closed and box.end == len(text) for box in boxes(text))
