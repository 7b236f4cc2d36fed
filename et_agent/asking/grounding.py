"""What an answer owes to the passages it was given: read beside its tree, nothing is decoded.

When the tree of a question with passages has ended, the model is asked about the leading answer of
those that do not decline. How likely are the answer's own tokens with the passages and without them?
How likely is it, with them, that they do not say it? And do they say that this is the answer, as the
model sees it?
"""

from collections.abc import Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Final

from et_agent.answers import Extracted
from et_agent.answers.containing import contains, words_beside
from et_agent.answers.declining import DECLINED, NOT_THERE
from et_agent.answers.kinds import ANSWER_MARKER, instruction
from et_agent.asking.prompting import PreparedPrompt
from et_agent.asking.reading import PathReader, TreeReading
from et_agent.calibration.grounds import Grounds
from et_agent.decoding.base import RunInputs
from et_agent.decoding.continued import common_length
from et_agent.decoding.probe import Probe
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.thinking import thought_ending
from et_agent.decoding.tree import Tree
from et_agent.engines.base import LanguageModel
from et_agent.errors import EtAgentError
from et_agent.templates.messages import Message
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import answer_tokens, leaf_table
from et_agent.uncertainty.self_evaluation import YES_NO, first_word_shares, word_probe
from et_agent.uncertainty.text_scores import TextScoring

__all__ = ["Grounding", "GroundingReader", "grounds_of"]

SUPPORTED: Final = (
    "Proposed answer: {answer}\n\nDo the passages say that this is the answer to the question? Reply "
    "with one word, Yes or No."
)
CHOSEN: Final = (
    "Which reply to the question is right, by what the passages say?\nA) {first}\nB) {second}\nReply "
    "with one letter, A or B."
)
_ABSENT: Final = "The passages do not say it."
_LONGEST: Final = 24
"""Tokens of an answer that are scored at most, from its first on."""


@dataclass(frozen=True, slots=True)
class Grounding:
    """What was read of the leading answer of a tree with passages.

    Attributes:
        key: Key of the answer.
        answer: The answer, as its leaves have it.
        with_passages: Log-probability of each of its tokens, the end of the box included, in a box that
            begins the reply, nats.
        without: The same where the question is asked without the passages.
        absent: The same as `with_passages` of what says that the passages do not say it.
        supported: P(yes) against no, asked whether the passages say that it is the answer.
        chosen: P(its letter), asked to choose between it and that the passages do not say it, with the
            answer first and with it second.
        tokens: Tokens that were read.
        seconds: Share of the time of the batches that read them, seconds.
    """

    key: Hashable
    answer: str
    with_passages: tuple[float, ...]
    without: tuple[float, ...]
    absent: tuple[float, ...]
    supported: float
    chosen: tuple[float, float]
    tokens: int
    seconds: float


class GroundingReader:
    """Reads them when a tree has ended.

    Args:
        model: The model.
        prompt: The question, with passages.
        reader: Reads the leaves.
    """

    def __init__(self, model: LanguageModel, prompt: PreparedPrompt, reader: PathReader) -> None:
        self._model, self._prompt, self._reader = model, prompt, reader
        self._future: Future[Grounding | None] = Future()
        self._requests: list[Request] = []
        self._left = 0

    @property
    def future(self) -> "Future[Grounding | None]":
        """What was read; None where there is nothing to ask about, or it could not be asked."""
        return self._future

    def cancel(self) -> None:
        """Read no more."""
        for request in self._requests:
            request.cancel()

    def begin(self, tree_request: Request) -> None:
        """Queue the readings; called in the model's thread when the tree has ended."""
        try:
            if tree_request.cancelled:
                self._future.set_result(None)
                return
            answer = self._leading(tree_request.result().tree)
            if answer is None:
                self._future.set_result(None)
                return
            self._ask(answer)
        except EtAgentError:
            self._future.set_result(None)  # the tree can do without, and nothing must be lost to it
        except BaseException as error:
            self._future.set_exception(error)

    def _leading(self, tree: Tree) -> Extracted | None:
        """The heaviest answer that does not decline, of equals as results have it.

        Answers with equal keys count as one; no more is compared, for this is the model's thread.
        """
        kind, reader = self._prompt.reading_kind, self._reader
        answers = [reader.read_path(tree.path(branch.id), kind) for branch in tree.branches]
        given = [one for one in answers if one is not None]
        numbers: dict[Hashable, int] = {}
        classes = [
            None if one is None else numbers.setdefault(one.key, len(numbers)) for one in answers
        ]
        leaves = leaf_table(tree, classes, answers, self._model.token_bytes)
        shares = leaves.shares.copy()
        if DECLINED in numbers:
            shares[numbers[DECLINED]] = -1.0
        best = leaves.leading(shares)
        if best is None or shares[best] < 0:
            return None
        return next(one for one in given if numbers[one.key] == best)

    def _ask(self, leading: Extracted) -> None:
        answer = leading.value
        model, prompt = self._model, self._prompt
        messages = prompt.conversation.messages
        alone = prompt.conversation.shown_as(prompt.conversation.question).messages
        tokens, span = self._boxed(answer)
        absent, absent_span = self._boxed(NOT_THERE)
        begun = [*prompt.prompt, *thought_ending(model, prompt.prompt)]
        scored = TextScoring.of(begun, [tokens, absent])
        system: Message = {"role": "system", "content": instruction(prompt.reading_kind)}
        closed = [system, *(one for one in alone if one["role"] != "system")]
        unscored = TextScoring.of(prompt.answering(model, closed), [tokens])
        asked = self._questions(messages, answer)
        requests = [
            self._prepared(scored.prompt, scored.probe),
            self._prepared(unscored.prompt, unscored.probe),
            *asked,
        ]
        self._requests = requests
        self._left = len(requests)

        def ended(_: Request) -> None:
            self._left -= 1  # all of them end in the model's thread
            if self._left:
                return
            try:
                with_passages, given_up = scored.log_probs(requests[0].result())
                (without,) = unscored.log_probs(requests[1].result())
                supported = float(first_word_shares(requests[2].result())[0])
                first, second = first_word_shares(requests[3].result()).tolist()
                found = Grounding(
                    leading.key,
                    answer,
                    tuple(with_passages[span].tolist()),
                    tuple(without[span].tolist()),
                    tuple(given_up[absent_span].tolist()),
                    supported,
                    (first, 1.0 - second),
                    sum(len(one.prompt) + one.run.given_tokens - one.cached for one in requests),
                    sum(one.cost for one in requests),
                )
                self._future.set_result(found)
            except EtAgentError:
                self._future.set_result(None)
            except BaseException as error:
                self._future.set_exception(error)

        for request in requests:
            request.add_done_callback(ended)
        scheduler_of(model).queue(*requests)

    def _questions(self, messages: Sequence[Message], answer: str) -> list[Request]:
        *earlier, last = messages
        texts = [
            SUPPORTED.format(answer=answer),
            CHOSEN.format(first=answer, second=_ABSENT),
            CHOSEN.format(first=_ABSENT, second=answer),
        ]
        prompts = [
            self._prompt.answering(
                self._model, [*earlier, {**last, "content": f"{last['content']}\n\n{text}"}]
            )
            for text in texts
        ]
        supported = self._prepared(prompts[0], word_probe(self._model, YES_NO))
        common = common_length(prompts[1:])
        chosen = word_probe(self._model, ("A", "B"), [one[common:] for one in prompts[1:]])
        return [supported, self._prepared(prompts[1][:common], chosen)]

    def _prepared(self, prompt: Sequence[int], probe: Probe) -> Request:
        inputs = RunInputs(prompt_length=len(prompt), stop_tokens=self._model.info.stop_tokens)
        return scheduler_of(self._model).prepare(prompt, probe, inputs)

    def _boxed(self, answer: str) -> tuple[list[int], slice]:
        """Tokens of a box with an answer, and which of them are the answer and its end."""
        tokens = self._model.tokenize(f"{ANSWER_MARKER}{answer}}}")
        pieces = [self._model.token_bytes(token) for token in tokens]
        wanted = Extracted(answer, answer, ("text", answer), "boxed")
        span = answer_tokens(pieces, wanted)
        start = 0 if span is None else span.start
        return tokens[: start + _LONGEST], slice(start, start + _LONGEST)


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
    declined = 0.0 if reading.declined is None else float(leaves.shares[reading.declined])
    known = Grounds(
        contained=contains(text, answer),
        beside=words_beside(text, answer, prompt.conversation.question),
        declined=declined,
        leaves=int(leaves.count.sum()),
    )
    members = zip(reading.answers, reading.classes.index_of_leaf, strict=True)
    keys = {answer.key for answer, one in members if answer is not None and one == leaves.top}
    if grounding is None or grounding.key not in keys:
        return known
    return replace(
        known,
        with_passages=grounding.with_passages,
        without=grounding.without,
        absent=grounding.absent,
        supported=grounding.supported,
        chosen=grounding.chosen,
    )
