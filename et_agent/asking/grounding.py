"""What an answer owes to the passages it was given: read beside its tree, nothing is decoded.

When the tree of a question with passages has ended, the model is asked to choose, by letter and in both
orders, between the leading answer of those that do not decline and that the passages do not say it.
Then it is shown the sentences that hold the answer, and asked whether they say it. At last it gets
them with the answer, and how likely the question is as the one that this answers is read.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final

from et_agent.answers import Extracted
from et_agent.answers.containing import sentences_with, words_beside
from et_agent.answers.declining import DECLINED
from et_agent.asking.meaning import NOT_JUDGED, Judgement
from et_agent.asking.prompting import PreparedPrompt
from et_agent.asking.reading import PathReader, TreeReading
from et_agent.calibration.grounds import Grounds
from et_agent.decoding.base import Run, RunInputs
from et_agent.decoding.forced import Forced
from et_agent.decoding.probe import Probe
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.tree import Tree
from et_agent.engines.base import LanguageModel
from et_agent.errors import EtAgentError
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import leaf_table
from et_agent.uncertainty.self_evaluation import first_word_shares, probe_of, word_probe
from et_agent.uncertainty.stating import asking_prompt, stating_prompt

__all__ = ["Grounding", "GroundingReader", "checks_of", "grounds_of"]

CHOSEN: Final = (
    "Which reply to the question is right, by what the passages say?\nA) {first}\nB) {second}\nReply "
    "with one letter, A or B."
)
_ABSENT: Final = "The passages do not say it."
_MOST_SENTENCES: Final = 2
"""Sentences that are shown, the first of those that hold the answer."""
_MOST_TOKENS: Final = 64
"""Tokens of a question that are read."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """What was read of the leading answer of a tree with passages.

    Attributes:
        key: Key of the answer.
        answer: The answer, as its leaves have it.
        chosen: P(its letter), asked to choose between it and that the passages do not say it, with the
            answer first and with it second.
        stated: P(yes), asked whether the sentences that hold it say that it is the answer; NaN if none
            holds it.
        asked: Log-probability of each of the question's first tokens, given those sentences and the
            answer, nats; () if none holds it.
        tokens: Tokens that were read.
    """

    key: Hashable
    answer: str
    chosen: tuple[float, float]
    stated: float = math.nan
    asked: tuple[float, ...] = ()
    tokens: int = 0

    def grounds(self, beside: float) -> Grounds:
        """What confidences are made of, with the share of the question's words beside the answer."""
        return Grounds(beside, self.chosen, self.stated, self.asked)


class GroundingReader:
    """Reads it when a tree has ended.

    Args:
        model: The model.
        prompt: The question, with passages.
        reader: Reads the leaves; None if `ask` is called in place of `begin`.
    """

    def __init__(
        self, model: LanguageModel, prompt: PreparedPrompt, reader: PathReader | None = None
    ) -> None:
        self._model, self._prompt, self._reader = model, prompt, reader
        self._future: Future[Grounding | None] = Future()
        self._request: Request | None = None
        self._cancelled = False
        self._tokens = 0

    @property
    def future(self) -> "Future[Grounding | None]":
        """What was read; None where there is nothing to ask about, or it could not be asked."""
        return self._future

    def cancel(self) -> None:
        """Read no more."""
        self._cancelled = True
        if self._request is not None:
            self._request.cancel()

    def begin(self, tree_request: Request, judgement: Judgement = NOT_JUDGED) -> None:
        """Queue the reading; called in the model's thread when the tree has ended.

        Args:
            tree_request: The tree.
            judgement: What was said of answers that may say the same.
        """
        try:
            if tree_request.cancelled:
                self._future.set_result(None)
                return
            answer = self._leading(tree_request.result().tree, judgement)
            if answer is None:
                self._future.set_result(None)
                return
            self.ask(answer)
        except EtAgentError:
            self._future.set_result(None)  # the tree can do without, and nothing must be lost to it
        except BaseException as error:
            self._future.set_exception(error)

    def _leading(self, tree: Tree, judgement: Judgement) -> Extracted | None:
        """The heaviest answer that does not decline, of equals as results have it.

        Unless answers that say the same are one, those with equal keys are, and no more is compared,
        for this is the model's thread.
        """
        reader = self._reader
        assert reader is not None
        if reader.joining:
            reading = reader.read_tree(tree, judgement.same)
            answers, classes = reading.answers, list(reading.classes.index_of_leaf)
            declined = reading.declined
        else:
            kind = self._prompt.reading_kind
            paths = [tree.path(branch.id) for branch in tree.branches]
            answers = [reader.read_path(path, kind) for path in paths]
            numbers: dict[Hashable, int] = {}
            classes = [
                None if one is None else numbers.setdefault(one.key, len(numbers))
                for one in answers
            ]
            declined = numbers.get(DECLINED)
        leaves = leaf_table(tree, classes, answers, self._model.token_bytes)
        shares = leaves.shares.copy()
        if declined is not None:
            shares[declined] = -1.0
        best = leaves.leading(shares)
        if best is None or shares[best] < 0:
            return None
        return answers[classes.index(best)]

    def ask(self, leading: Extracted) -> None:
        """Queue the reading for an answer.

        Raises:
            EtAgentError: The prompt does not fit the context, or the model was closed.
        """
        model, answer = self._model, leading.value
        prompts = [
            self._prompt.going_on_with(model, text)
            for text in (
                CHOSEN.format(first=answer, second=_ABSENT),
                CHOSEN.format(first=_ABSENT, second=answer),
            )
        ]
        self._queue(*probe_of(model, prompts, ("A", "B")), lambda run: self._check(leading, run))

    def _check(self, leading: Extracted, run: Run) -> None:
        """Queue the second reading."""
        first, second = first_word_shares(run).tolist()
        found = Grounding(leading.key, leading.value, (first, 1.0 - second))
        question = self._prompt.conversation.question
        checks = checks_of(self._model, self._prompt.passages, question, found.answer)
        if checks is None:
            self._end(found)
            return
        stating, asking = checks
        self._queue(*stating, lambda run: self._read_back(found, asking, run))

    def _read_back(self, found: Grounding, asking: tuple[list[int], Forced], run: Run) -> None:
        """Queue the third reading."""
        stated = replace(found, stated=float(first_word_shares(run)[0]))
        self._queue(
            *asking,
            lambda run: self._end(replace(stated, asked=tuple(run.tree.branches[0].log_probs))),
        )

    def _end(self, found: Grounding) -> None:
        self._future.set_result(replace(found, tokens=self._tokens))

    def _queue(
        self, prompt: list[int], decoder: Probe | Forced, ended: Callable[[Run], None]
    ) -> None:
        """Have tokens read; then `ended` gets the run."""
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=self._model.info.stop_tokens)
        request = scheduler_of(self._model).prepare(prompt, decoder, inputs)
        self._request = request

        def done(_: Request) -> None:
            try:
                run = request.result()
                if run.cancelled:  # a part of a reading tells nothing
                    self._future.set_result(None)
                    return
                self._tokens += len(request.prompt) + run.given_tokens - request.cached
                ended(run)
            except EtAgentError:
                self._future.set_result(None)
            except BaseException as error:
                self._future.set_exception(error)

        request.add_done_callback(done)
        scheduler_of(self._model).queue(request)
        if self._cancelled:  # meanwhile, so that the reading before got it
            request.cancel()


def checks_of(
    model: LanguageModel, passages: Sequence[str], question: str, answer: str
) -> tuple[tuple[list[int], Probe], tuple[list[int], Forced]] | None:
    """What is read of the sentences that hold an answer, a prompt with its decoder each.

    The first asks whether they say that it is the answer. The second tells how likely the question's
    first tokens are, given them and the answer.

    Args:
        model: The model.
        passages: The passages.
        question: The question.
        answer: The answer.

    Returns:
        None if no sentence holds the answer, or the question has no tokens.

    Raises:
        UnsupportedModelError: The model has no chat template.
    """
    sentences = [one for passage in passages for one in sentences_with(passage, answer)]
    text = " ".join(one.strip() for one in sentences[:_MOST_SENTENCES])
    tokens = model.tokenize(question)[:_MOST_TOKENS]
    if not text or not tokens:
        return None
    return (
        (stating_prompt(model, text, question, answer), word_probe(model)),
        (asking_prompt(model, text, answer), Forced(tokens=tuple(tokens))),
    )


def grounds_of(
    prompt: PreparedPrompt,
    reading: TreeReading,
    leaves: LeafTable,
    grounding: Grounding | None,
) -> Grounds | None:
    """What is known of the leading answer and the passages; None without either.

    Args:
        prompt: The question with its passages.
        reading: What the leaves say.
        leaves: Their statistics.
        grounding: What was read. Where it is of another answer, of equal weight, it does not count.
    """
    if not prompt.passages or leaves.top is None:
        return None
    answer, text = reading.classes.labels[leaves.top], "\n\n".join(prompt.passages)
    known = Grounds(beside=words_beside(text, answer, prompt.conversation.question))
    members = zip(reading.answers, reading.classes.index_of_leaf, strict=True)
    keys = {answer.key for answer, one in members if answer is not None and one == leaves.top}
    if grounding is None or grounding.key not in keys:
        return known
    return grounding.grounds(known.beside)
