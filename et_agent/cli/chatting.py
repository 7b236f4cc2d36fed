"""A conversation with a model: its turns, and what is said about them."""

from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from typing import Final

from et_agent.answers import AnswerKind
from et_agent.answers.guess import guess_kind
from et_agent.asking import submit
from et_agent.asking.options import AskOptions
from et_agent.asking.pending import ProgressCallback
from et_agent.cli.chat_files import Chat, Turn, new_chat
from et_agent.decoding import EntropyTree
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import CalibrationError, QuestionError
from et_agent.results import AskResult
from et_agent.wording import counted

__all__ = ["Conversing"]

_LONG_LEAVES: Final = 8
"""Leaves of a reply that is judged claim by claim, which takes several times as many tokens."""


class Conversing:
    """A conversation that goes on.

    Args:
        chat: What was said before.
        options: How each question is answered. Of kind "auto", a question of no other kind is answered
            at length and judged claim by claim, where the model gives logits.
        opened: Opens a model by its name.
        saves: Whether each turn is kept in the conversation's file.
    """

    def __init__(
        self,
        chat: Chat,
        options: AskOptions,
        opened: Callable[[str], AbstractContextManager[AnyModel]],
        *,
        saves: bool,
    ) -> None:
        self.chat = chat
        self._options, self._opened, self.saves = options, opened, saves
        self._held, self._alone = ExitStack(), ExitStack()
        self._model: AnyModel | None = None

    def __enter__(self) -> "Conversing":
        with ExitStack() as entering:
            entering.callback(self._alone.close)
            if self.chat.turns:
                self._begin(self.chat)
            self.use(self.chat.model)
            entering.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()
        self._alone.close()

    def _begin(self, chat: Chat) -> None:
        """Go on with a conversation that no other process goes on with."""
        self._alone.close()
        if self.saves:
            self._alone.enter_context(chat.alone())
        self.chat = chat

    def use(self, model: str) -> None:
        """Go on with another model; the one before stays if this one cannot be opened.

        Raises:
            EtAgentError: It cannot be opened.
        """
        with ExitStack() as opening:
            loaded = opening.enter_context(self._opened(model))
            self._held.close()
            self._model, self._held = loaded, opening.pop_all()
        self.chat = self.chat.model_copy(update={"model": model})

    def ask(
        self,
        question: str,
        *,
        on_progress: ProgressCallback | None = None,
        on_cancel: Callable[[Callable[[], None]], None] = lambda _: None,
    ) -> AskResult:
        """Answer a question; a reply that was stopped is no turn of the conversation.

        Args:
            question: What the user says.
            on_progress: Told how far it is.
            on_cancel: Given what stops it.

        Raises:
            EtAgentError: It cannot be answered, or not be kept.
        """
        assert self._model is not None
        options = self._options_for(question, self._model)
        pending = submit(self._model, self.chat.asked(question), options, on_progress=on_progress)
        on_cancel(pending.cancel)
        try:
            result = pending.result()
        except BaseException:
            pending.cancel()
            raise
        if result.complete:
            begins = not self.chat.turns
            chat = new_chat(self.chat.model, self.chat.system, question) if begins else self.chat
            turn = Turn(question=question, reply=_reply(result), result=result)
            # It goes on where it cannot be kept, too.
            self.chat = chat.model_copy(update={"turns": (*chat.turns, turn)})
            if begins:
                self._begin(self.chat)
            self._keep(self.chat)
        return result

    def _options_for(self, question: str, model: AnyModel) -> AskOptions:
        options = self._options.changed(system_prompt=self.chat.system)
        plain = AnswerKind(options.kind) is AnswerKind.AUTO and isinstance(model, LanguageModel)
        if plain and guess_kind(question).kind is AnswerKind.TEXT:
            options = options.changed(kind=AnswerKind.LONG)
        if AnswerKind(options.kind) is AnswerKind.LONG and options.decoder is None:
            options = options.changed(decoder=EntropyTree(leaves=_LONG_LEAVES))
        return options

    def label(self, right: bool) -> str:
        """Let the last answer move the user's own calibrator; gives what came of it.

        Raises:
            QuestionError: There is no answer that can be right as a whole.
            CalibrationError: It cannot be learnt.
        """
        from et_agent.calibration import learn

        turn = self._last()
        if turn.result.kind == "long":
            raise QuestionError(
                "/right and /wrong are for short answers. This reply is several sentences, of which "
                "some may be right and others wrong. `et-agent chat --kind text` gives short answers"
            )
        if not turn.result.features:
            raise CalibrationError("the last reply gave no answer that could be right or wrong")
        learnt = learn(turn.result, right)
        self._keep(self.chat.with_last(turn.model_copy(update={"right": right})))
        count = learnt.calibrator.labels
        told = "learnt" if learnt.is_new else "known before"
        return f"{told}; {counted(count, 'label')} of yours for these settings"

    def undo(self) -> str:
        """Take the last turn back; gives its question."""
        turn = self._last()
        self._keep(self.chat.model_copy(update={"turns": self.chat.turns[:-1]}))
        return turn.question

    def restart(self) -> None:
        """Begin another conversation."""
        self._alone.close()
        self.chat = new_chat(self.chat.model, self.chat.system)

    def last_result(self) -> AskResult:
        """The result of the last turn.

        Raises:
            QuestionError: Nothing was asked yet.
        """
        return self._last().result

    def _last(self) -> Turn:
        if self.chat.last is None:
            raise QuestionError("nothing was asked yet: ask something first")
        return self.chat.last

    def _keep(self, chat: Chat) -> None:
        self.chat = chat
        if self.saves:
            chat.save()


def _reply(result: AskResult) -> str:
    """What the model is shown as its reply: in the words of its heaviest path with the answer."""
    leaves = () if result.tree is None else result.tree.leaves
    said = next((one.text for one in leaves if one.answer == result.answer and one.text), None)
    return (said or result.answer or "I do not know.").strip()
