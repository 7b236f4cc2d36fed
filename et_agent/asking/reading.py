"""What the paths of a tree say: texts, answers, classes of equal answers."""

import codecs
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from et_agent.answers import (
    AnswerClasses,
    AnswerKind,
    Extracted,
    KindGuess,
    answer_classes,
    decide_kind,
    extract,
    mentions,
)
from et_agent.answers.fields import Body
from et_agent.answers.joining import Joined, join_classes
from et_agent.answers.stops import StopSequences
from et_agent.asking.calling import CallForm, ReplyForm
from et_agent.decoding.thinking import PartReader, Parts
from et_agent.decoding.tree import Finish, Tree
from et_agent.engines.sampled import AnyModel
from et_agent.results import ToolCall

__all__ = ["PathReader", "RunningReader", "TreeReading", "path_text", "token_texts"]


def path_text(model: AnyModel, tokens: Sequence[int]) -> str:
    """Text of generated tokens; bytes that do not form a character become U+FFFD."""
    return b"".join(map(model.token_bytes, tokens)).decode("utf-8", "replace")


def token_texts(model: AnyModel, tokens: Sequence[int]) -> tuple[str, ...]:
    """Text of each token, together that of `path_text`; a character goes to the token that ends it."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    last = len(tokens) - 1
    return tuple(
        decoder.decode(model.token_bytes(token), at == last) for at, token in enumerate(tokens)
    )


@dataclass(frozen=True, slots=True)
class TreeReading:
    """What the leaves of a tree say.

    Attributes:
        kind: The kind that was read, and why.
        texts: Text of every branch's path without its thoughts, up to a stop sequence.
        thoughts: Thoughts of each; None without any.
        thinking: Tokens of each up to the end of its last thought.
        closed: Whether the last thought of each was closed by force.
        undecided: Pairs of answers of which words do not tell whether they say the same, the heaviest
            first.
        offsets: Where each text begins in that of the whole path, bytes; None where a thought stands
            within it.
        answers: What each says; None for nothing.
        classes: Which say the same.
        calls: Tools that each calls.
        bodies: The JSON of each that answers in a form; None for words and for nothing.
    """

    kind: KindGuess
    texts: list[str]
    answers: list[Extracted | None]
    classes: AnswerClasses
    calls: list[tuple[ToolCall, ...]]
    bodies: list[Body | None]
    thoughts: list[str | None]
    thinking: list[int]
    closed: list[bool]
    offsets: list[int | None]

    undecided: tuple[tuple[str, str], ...] = ()

    @property
    def declined(self) -> int | None:
        """The class of answers that say that the passages do not hold the answer; None without."""
        classes = zip(self.answers, self.classes.index_of_leaf, strict=True)
        return next(
            (one for answer, one in classes if answer is not None and answer.declined), None
        )

    def declines(self, member: int | None) -> bool:
        """Whether the answers of a class, None for none, are those that decline."""
        return member is not None and member == self.declined


class PathReader:
    """Reads what paths say.

    Args:
        model: The model that generated them.
        question: The question as asked.
        kind: The answer kind.
        stops: What ends a path in words; nothing if None.
        form: The form that replies have, or may have; None for words only.
        thoughts: Tells thoughts and answers apart; None where the model has no thoughts. What is said
            in a thought is no answer, and a path whose thought has not ended gives none.
        begun: What the assistant has said already, which paths go on with.
        given: What else paths may quote: passages, results of tools, earlier messages of the user.
        declining: Whether a path may say that the passages do not hold the answer.
        joining: Whether answers that say the same in other words are one.
    """

    def __init__(
        self,
        model: AnyModel,
        question: str,
        kind: AnswerKind,
        stops: StopSequences | None = None,
        form: ReplyForm | None = None,
        thoughts: PartReader | None = None,
        *,
        begun: str = "",
        given: str = "",
        declining: bool = False,
        joining: bool = False,
    ) -> None:
        self._begun = begun
        self.joining = joining
        self._thoughts = thoughts
        self._model, self._question, self._kind, self._form = model, question, kind, form
        self._stops = StopSequences(()) if stops is None else stops
        self._end_tokens = model.info.stop_tokens
        self._given, self._declining = given, declining

    def ends(self, tokens: Sequence[int]) -> bool:
        """Whether a path has ended although its last token ends no generation.

        Structured replies end where their grammar leaves nothing but a space to say. Stop sequences
        are not looked for in them: a call that is cut off is of no use. Nothing ends a thought but its
        own end.
        """
        parts = None
        if self._thoughts is not None:
            parts = self._thoughts.parts(tokens)
            if parts.open or parts.start >= len(tokens):
                return False
        if self._form is not None:
            text = path_text(self._model, tokens) if parts is None else parts.answer
            if self._form.begins(text):
                return self._form.ends(text)
        said = tokens if parts is None else tokens[parts.start :]
        return bool(self._stops) and self._stops.within(self._tail(said))

    def _tail(self, tokens: Sequence[int]) -> bytes:
        """The last bytes of a path, in which a stop sequence may have ended with its last token."""
        text = self._model.token_bytes(tokens[-1])
        wanted = len(text) + self._stops.longest - 1
        for token in reversed(tokens[:-1]):
            if len(text) >= wanted:
                break
            text = self._model.token_bytes(token) + text
        return text

    def read_path(self, tokens: Sequence[int], kind: AnswerKind) -> Extracted | None:
        """What a path says that will not go on; None for nothing."""
        finished = bool(tokens) and (tokens[-1] in self._end_tokens or self.ends(tokens))
        parts = self._parts(tokens)
        return None if parts.open else self._read(parts.answer, kind, finished=finished)

    def _parts(self, tokens: Sequence[int]) -> Parts:
        """Thoughts and answer of a path."""
        if self._thoughts is not None:
            return self._thoughts.parts(tokens)
        text = b"".join(map(self._model.token_bytes, tokens))
        return Parts.without_thoughts(text)

    def said(self, tokens: Sequence[int], *, ended: bool) -> tuple[str, str]:
        """The thought of a path and what it says besides, without tool calls; empty for none.

        Of a path that goes on, only what its next tokens leave as it is.
        """
        parts = self._parts(tokens)
        if ended:
            text = "" if parts.open else self._shown(parts.answer)
            return parts.thought or "", self.content(text)
        if self._thoughts is not None:
            parts = self._thoughts.settled(parts)
        # Bytes that do not form a character yet.
        thought, text = ((one or "").rstrip("\ufffd") for one in (parts.thought, parts.answer))
        if parts.open:
            return thought, ""
        text = text if self._has_form(text) else self._stops.settled(text)
        return thought, self._form.settled(text) if isinstance(self._form, CallForm) else text

    def content(self, text: str) -> str:
        """A path's text without its tool calls, even if they were cut off."""
        return self._form.before(text) if isinstance(self._form, CallForm) else text

    def mentions(self, tokens: Sequence[int], answer: str | None) -> list[bool]:
        """Which tokens of a path say something of its answer: digits, or a word of it."""
        pieces = [self._model.token_bytes(token).decode("utf-8", "ignore") for token in tokens]
        return mentions(pieces, answer)

    def _read(self, text: str, kind: AnswerKind, *, finished: bool) -> Extracted | None:
        """What a path's text says; `finished` when the model ended it."""
        if self._form is not None and self._has_form(text):
            return self._form.read(text) if finished else None
        cut = self._stops.cut(text)
        if cut.read is None:
            return None
        return extract(
            self._begun + cut.read,
            kind,
            question=self._question,
            finished=finished or cut.stopped,
            declining=self._declining,
            given=self._given,
        )

    def _shown(self, text: str) -> str:
        """A path's text, up to a stop sequence."""
        return text if self._has_form(text) else self._stops.cut(text).shown

    def _has_form(self, text: str) -> bool:
        return self._form is not None and self._form.begins(text)

    def read_tree(
        self, tree: Tree, judged: Mapping[tuple[str, str], float] | None = None
    ) -> TreeReading:
        """Read every leaf; `auto` is decided from the question and from what the leaves say.

        Args:
            tree: The tree.
            judged: What a judge says of pairs of answers (`TreeReading.undecided`).
        """
        parts = [self._parts(tree.path(branch.id)) for branch in tree.branches]
        whole = ["" if one.open else one.answer for one in parts]
        texts = [self._shown(text) for text in whole]
        words = [not self._has_form(text) for text in whole]
        kind = self._decided(tree, texts, words)
        answers = [
            None if one.open else self._read(text, kind.kind, finished=branch.finish is Finish.STOP)
            for text, one, branch in zip(whole, parts, tree.branches, strict=True)
        ]
        calls = [self._form.calls(text) if self._form is not None else () for text in whole]
        bodies = [
            None if answer is None else self._body(text)
            for text, answer in zip(whole, answers, strict=True)
        ]
        joined = Joined(_classes(answers, words, kind.kind))
        if self.joining and all(words):
            joined = join_classes(
                joined.classes, tree.weights().tolist(), self._question, kind.kind, judged
            )
        return TreeReading(
            kind,
            texts,
            answers,
            joined.classes,
            calls,
            bodies,
            thoughts=[one.thought for one in parts],
            thinking=[0 if one.thought is None else one.start for one in parts],
            closed=[self._thoughts is not None and self._thoughts.reached(one) for one in parts],
            offsets=[one.offset for one in parts],
            undecided=joined.undecided,
        )

    def _body(self, text: str) -> Body | None:
        return self._form.body(text) if self._form is not None and self._has_form(text) else None

    def _decided(self, tree: Tree, texts: Sequence[str], words: Sequence[bool]) -> KindGuess:
        if self._kind is not AnswerKind.AUTO:
            return KindGuess(self._kind, "asked for")
        said = [leaf for leaf, in_words in enumerate(words) if in_words]
        weights = tree.weights()[said].tolist()
        return decide_kind(
            self._question, [texts[leaf] for leaf in said], weights, given=self._given
        )


class RunningReader:
    """Reads the paths of a tree while it grows, in the model's thread.

    Args:
        reader: Reads them.
        kind: The answer kind; not "auto", which is decided at the end.
    """

    def __init__(self, reader: PathReader, kind: AnswerKind) -> None:
        self._reader, self._kind = reader, kind
        self._labels: dict[Hashable, str] = {}

    def key(self, tokens: Sequence[int]) -> Hashable | None:
        """What a finished path answers, equal for equal answers; None for nothing."""
        found = self._reader.read_path(tokens, self._kind)
        if found is None:
            return None
        self._labels.setdefault(found.key, found.value)
        return found.key

    def label(self, key: Hashable | None) -> str | None:
        """The answer of a key, as the first path with it writes it."""
        return None if key is None else self._labels[key]

    def mentions(self, tokens: Sequence[int]) -> list[bool]:
        """Which tokens of a finished path say something of its answer."""
        return self._reader.mentions(tokens, self.label(self.key(tokens)))


def _classes(
    answers: Sequence[Extracted | None], words: Sequence[bool], kind: AnswerKind
) -> AnswerClasses:
    """Classes of answers in words, which are compared by their kind, and of those in a form."""
    if all(words):
        return answer_classes(answers, kind)
    parts = [
        answer_classes(
            [
                one if in_words == wanted else None
                for one, in_words in zip(answers, words, strict=True)
            ],
            kind if wanted else AnswerKind.TEXT,
        )
        for wanted in (True, False)
    ]
    first = len(parts[0].labels)
    index: list[int | None] = [
        one if one is not None else None if other is None else first + other
        for one, other in zip(parts[0].index_of_leaf, parts[1].index_of_leaf, strict=True)
    ]
    return AnswerClasses((*parts[0].labels, *parts[1].labels), tuple(index))
