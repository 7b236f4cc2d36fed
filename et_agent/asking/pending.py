"""A question on its way: prepared, decoded, read, and made a result."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from et_agent.asking.answerability import answerability_request, p_answerable_of
from et_agent.asking.calling import CallForm
from et_agent.asking.confidence import ConfidenceEstimator
from et_agent.asking.deciding import DecisionForecast
from et_agent.asking.fields import read_fields
from et_agent.asking.grounding import Grounding, GroundingReader, grounds_of
from et_agent.asking.options import DEFAULTS, AskOptions
from et_agent.asking.prompting import PreparedPrompt, Question
from et_agent.asking.reading import PathReader, RunningReader, TreeReading
from et_agent.asking.reporting import Decoded, form_of_answer, result_of
from et_agent.decoding.base import Decoder, DecoderSettings, RunInputs
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.stopping import StoppingRule
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.decoding.tree import Tree
from et_agent.engines.base import LanguageModel
from et_agent.renaming import warn_of_old_name
from et_agent.results import AnswerForm, AskResult, Leaf
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.leaves import SHARE_DIGITS
from et_agent.uncertainty.measuring import leaf_table

__all__ = ["PendingAnswer", "Progress", "ProgressCallback"]

_LEADING: Final = 5
_PAUSE: Final = 0.1
"""Seconds between two tellings of a question's progress at least."""


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of a question.

    Attributes:
        tokens: Tokens generated so far.
        leaves_done: Finished leaves; a leaf counts once per code that ended in it.
        leaves: Leaves known so far, counted in the same way.
        leading: (answer, share of the weight so far) over finished leaves, largest share first.
        seconds: Wall time so far.
    """

    tokens: int
    leaves_done: int
    leaves: int
    leading: tuple[tuple[str, float], ...]
    seconds: float


ProgressCallback = Callable[[Progress], None]


class PendingAnswer:
    """A question that is being decoded. `submit` and `submit_all` create it.

    The constructor checks the question and prepares its request, but decodes nothing. `submit` then
    queues the request with the model's scheduler.

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is to be answered.
        options: How it is answered.
        on_progress: Called about ten times per second, in the model's thread.

    Raises:
        EtAgentError: As for `submit`.
    """

    def __init__(
        self,
        model: LanguageModel,
        question: Question,
        options: AskOptions = DEFAULTS,
        *,
        on_progress: ProgressCallback | None = None,
    ) -> None:
        prompt = self._prompt = PreparedPrompt.of(model, question, options)
        decoder = prompt.decoder
        self.question = prompt.conversation.question
        self._model = model
        self._estimator = ConfidenceEstimator(model, prompt, decoder, options)
        self._reader = PathReader(
            model,
            self.question,
            prompt.kind,
            prompt.stops,
            prompt.form,
            prompt.thoughts,
            declining=bool(prompt.passages),
        )
        self._running = RunningReader(self._reader, prompt.reading_kind)
        inputs = RunInputs(
            prompt_length=len(prompt.prompt),
            stop_tokens=model.info.stop_tokens,
            seed=options.seed,
            thresholds=_thresholds(model, options),
            read_leaf=self._running.key,
            read_tokens=self._running.mentions,
            ends=self._reader.ends if prompt.stops or prompt.form else None,
            attention=options.attention or self._estimator.reads_attention(),
            lettered=prompt.lettered,
            stopping_rule=self._stopping_rule(decoder, options),
            thoughts=prompt.thoughts,
            alternatives=options.alternatives,
        )
        assert isinstance(decoder, Decoder)  # the options have seen to it
        self.request: Request = scheduler_of(model).prepare(
            prompt.prompt,
            decoder,
            inputs,
            on_step=None if on_progress is None else _ProgressTeller(on_progress, self.leaf_answer),
            constraint=prompt.constraint,
        )
        self.asked = answerability_request(model, prompt)
        """Whether the question can be answered at all; None where that is not asked."""
        self._grounds = self._read_grounds(model, prompt)
        self._decoded = Decoded(self.request, prompt, decoder, options.seed, self.asked)

    def _read_grounds(self, model: LanguageModel, prompt: PreparedPrompt) -> GroundingReader | None:
        if not prompt.passages or prompt.chat == "plain":
            return None
        grounds = GroundingReader(model, prompt, self._reader)
        self.request.add_done_callback(grounds.begin)
        return grounds

    def _stopping_rule(self, decoder: DecoderSettings, options: AskOptions) -> StoppingRule | None:
        if getattr(decoder, "stop_risk", None) is None:
            return None
        # What an answer owes to passages is read when its tree has ended, so that what is decided is
        # not known before; whether the answer changes is.
        decides = None if self._prompt.passages else options.decides
        return DecisionForecast(self._measured, self._estimator, decides, self._answerable_by_now)

    def _answerable_by_now(self) -> float | None:
        known = self.asked is not None and self.asked.done
        return self.answerable() if known else None

    def _measured(self, tree: Tree) -> tuple[LeafTable, AnswerForm]:
        reading = self._reader.read_tree(tree)
        leaves = self._leaves(tree, reading)
        form, _ = form_of_answer(self._prompt, reading, leaves.top)
        return leaves, form

    def _leaves(self, tree: Tree, reading: TreeReading) -> LeafTable:
        classes = reading.classes.index_of_leaf
        return leaf_table(tree, classes, reading.answers, self._model.token_bytes)

    @property
    def ticket(self) -> Request:
        """The old name of `request`."""
        warn_of_old_name("PendingAnswer.ticket", "request")
        return self.request

    def leaf_answer(self, branch: int) -> str | None:
        """What a branch that ended answers; for callbacks in the model's thread."""
        return self._running.label(self.request.run.leaf_key(branch))

    @property
    def done(self) -> bool:
        """Whether decoding has ended."""
        grounded = self._grounds is None or self._grounds.future.done()
        return grounded and all(request.done for request in self.requests)

    def add_done_callback(self, callback: Callable[["PendingAnswer"], None]) -> None:
        """Call `callback` in the model's thread when decoding ends, or now if it has ended."""
        tree, *beside = self.requests
        # One after the other, so that it is called once.
        last = beside[0] if beside else tree
        grounds = self._grounds

        def after(_: Request) -> None:
            if grounds is None:
                callback(self)
            else:
                grounds.future.add_done_callback(lambda _: callback(self))

        tree.add_done_callback(lambda _: last.add_done_callback(after))

    @property
    def requests(self) -> tuple[Request, ...]:
        """What the scheduler has to do for it."""
        return (self.request,) if self.asked is None else (self.request, self.asked)

    def cancel(self) -> None:
        """Stop decoding within one step. `result` then returns what is known so far."""
        for request in self.requests:
            request.cancel()
        if self._grounds is not None:
            self._grounds.cancel()

    def content(self, leaf: Leaf) -> str:
        """Text of a leaf without its tool calls, even if they were cut off."""
        form = self._prompt.form
        return form.before(leaf.text) if isinstance(form, CallForm) else leaf.text

    def reading(self) -> TreeReading:
        """Return the answers of the leaves of the finished tree.

        Raises:
            EtAgentError: Decoding failed.
        """
        return self._reader.read_tree(self.request.result().tree)

    def leaves(self, reading: TreeReading) -> LeafTable:
        """Return the leaf statistics of the finished tree, which estimators and calibrators use.

        Args:
            reading: The answers of the leaves.

        Raises:
            EtAgentError: Decoding failed.
        """
        return self._leaves(self.request.result().tree, reading)

    def answerable(self, timeout: float | None = None) -> float | None:
        """Probability that the question can be answered, as the model says; None if it was not asked.

        Raises:
            TimeoutError: It took longer than `timeout` seconds.
        """
        return p_answerable_of(self.asked, timeout)

    def grounding(self, timeout: float | None = None) -> Grounding | None:
        """What was read of the leading answer and the passages; None without passages.

        Raises:
            TimeoutError: It took longer than `timeout` seconds.
        """
        return None if self._grounds is None else self._grounds.future.result(timeout)

    def result(self, timeout: float | None = None) -> AskResult:
        """Wait for the answer.

        Raises:
            TimeoutError: It took longer than `timeout` seconds. You may call `result` again.
            EtAgentError: Decoding failed.
        """
        began = time.perf_counter()
        run = self.request.result(timeout)
        left = None if timeout is None else max(0.0, timeout + began - time.perf_counter())
        answerable = self.answerable(left)
        reading = self.reading()
        leaves = self.leaves(reading)
        fields = read_fields(run.tree, reading, leaves, self._model.token_bytes)
        form, _ = form_of_answer(self._prompt, reading, leaves.top)
        grounding = self.grounding(left)
        assessment = self._estimator.estimate(
            leaves,
            form,
            answerable=answerable,
            grounds=grounds_of(self._prompt, reading, leaves, grounding),
            declined=reading.declines(leaves.top),
            complete=not run.cancelled,
            fields=[field.leaves for field in fields.fields],
        )
        read = 0 if grounding is None else grounding.tokens
        return result_of(self._decoded, reading, leaves, fields, assessment, read)


def _thresholds(model: LanguageModel, options: AskOptions) -> Thresholds | None:
    if options.thresholds is None and model.info.fingerprint:
        return find_thresholds(model.info.fingerprint)
    return options.thresholds


class _ProgressTeller:
    """Tells of a question's progress, not more than ten times per second."""

    def __init__(self, on_progress: ProgressCallback, answer: Callable[[int], str | None]) -> None:
        self._on_progress, self._answer = on_progress, answer
        self._told = -math.inf

    def __call__(self, request: Request) -> None:
        now = time.perf_counter()
        if now - self._told < _PAUSE and not request.run.finished:
            return
        self._told = now
        tree = request.run.tree
        shares = tree.shares(self._answer)
        leading = [(answer, share.weight) for answer, share in shares.items() if answer is not None]
        leading.sort(key=lambda one: -round(one[1], SHARE_DIGITS))
        self._on_progress(
            Progress(
                tokens=tree.tokens_decoded,
                leaves_done=sum(share.leaves for share in shares.values()),
                leaves=tree.leaf_count(),
                leading=tuple(leading[:_LEADING]),
                seconds=request.seconds,
            )
        )
