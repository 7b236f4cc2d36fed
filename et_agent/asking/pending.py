"""A question on its way: prepared, decoded, read, and made a result."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any

from et_agent.answers import AnswerKind
from et_agent.asking.answerability import answerability_request, p_answerable_of
from et_agent.asking.claim_reports import assessed_claims
from et_agent.asking.claims import CheckedReply, ClaimChecker, shown_leaf
from et_agent.asking.confidence import ConfidenceEstimator
from et_agent.asking.deciding import DecisionForecast
from et_agent.asking.fields import read_fields
from et_agent.asking.grounding import Grounding, GroundingReader, grounds_of
from et_agent.asking.meaning import NOT_JUDGED, Judgement, MeaningReader
from et_agent.asking.options import DEFAULTS, AskOptions, check_model, checked_options
from et_agent.asking.progress import Progress, ProgressCallback, ProgressTeller
from et_agent.asking.prompting import PreparedPrompt, Question
from et_agent.asking.reading import PathReader, RunningReader, TreeReading
from et_agent.asking.reporting import Decoded, form_of_answer, result_of, tree_report
from et_agent.asking.sampled import SampledThoughts
from et_agent.decoding.base import Decoder, DecoderSettings, RunInputs
from et_agent.decoding.request import Request, StepCallback
from et_agent.decoding.sampled import ChainDecoder, SampledRequest, prepare_samples
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.stopping import StoppingRule
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.decoding.tree import Tree
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel, SampledModel
from et_agent.errors import SettingsError
from et_agent.renaming import warn_of_old_name
from et_agent.results import AnswerForm, AskResult, Leaf, TreeReport
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.measuring import leaf_table
from et_agent.validation import type_of, wait_seconds
from et_agent.waiting import outcome

__all__ = [
    "PendingAnswer",
    "Progress",
    "ProgressCallback",
    "start",
]


class PendingAnswer:
    """A question that is being decoded. `submit` and `submit_all` create it.

    The constructor checks the question and prepares its request, but decodes nothing. `submit` then
    queues the request with the model's scheduler.

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is to be answered.
        options: How it is answered.
        on_progress: Called about ten times per second, in the model's thread.
        checks_claims: Whether the claims of a long answer are checked.

    Raises:
        EtAgentError: As for `submit`.
    """

    def __init__(
        self,
        model: AnyModel,
        question: Question,
        options: AskOptions = DEFAULTS,
        *,
        on_progress: ProgressCallback | None = None,
        checks_claims: bool = True,
    ) -> None:
        check_model(model)
        checked_options(options)
        if on_progress is not None and not callable(on_progress):
            raise SettingsError(f"on_progress is {type_of(on_progress)}: pass a function")
        prompt = self._prompt = PreparedPrompt.of(model, question, options)
        decoder = prompt.decoder
        self.question = prompt.conversation.question
        self._model = model
        self._estimator = ConfidenceEstimator(model, prompt, decoder, options)
        self._reader = PathReader(
            prompt.spoken,
            self.question,
            prompt.kind,
            prompt.stops,
            prompt.form,
            SampledThoughts(model) if isinstance(model, SampledModel) else prompt.thoughts,
            begun=prompt.begun,
            given=prompt.conversation.given,
            declining=bool(prompt.passages),
            joining=_joins(prompt),
        )
        self._meaning = self._read_meaning(model, prompt)
        self._running = RunningReader(self._reader, prompt.reading_kind)
        served = isinstance(model, SampledModel)
        inputs = RunInputs(
            prompt_length=len(prompt.prompt) or 1,
            stop_tokens=model.info.stop_tokens,
            seed=options.seed,
            thresholds=_thresholds(model, options),
            read_leaf=self._running.key,
            read_tokens=self._running.mentions,
            ends=self._reader.ends if prompt.stops or prompt.form else None,
            attention=not served and (options.attention or self._estimator.reads_attention()),
            lettered=prompt.lettered,
            stopping_rule=self._stopping_rule(decoder, options),
            thoughts=prompt.thoughts,
            alternatives=options.alternatives,
        )
        told = None if on_progress is None else ProgressTeller(on_progress, self.leaf_answer)
        self.request = _prepared(model, prompt, inputs, told)
        self.asked = answerability_request(model, prompt)
        """Whether the question can be answered at all; None where that is not asked."""
        if self._meaning is not None:
            self.request.add_done_callback(self._meaning.begin)
        self._grounds = self._read_grounds(model, prompt)
        self._claims = self._check_claims(model, prompt) if checks_claims else None
        self._calibrates = options.calibrator is not None
        self._decoded = Decoded(self.request, prompt, decoder, options.seed, self.asked)

    def _read_grounds(self, model: AnyModel, prompt: PreparedPrompt) -> GroundingReader | None:
        if not prompt.passages or prompt.chat == "plain" or not isinstance(model, LanguageModel):
            return None
        grounds = GroundingReader(model, prompt, self._reader)
        meaning = self._meaning

        def begin(tree: Request) -> None:
            if meaning is None:
                grounds.begin(tree)
            else:  # which answer leads is known when it is known which say the same
                meaning.future.add_done_callback(lambda said: grounds.begin(tree, _said(said)))

        self.request.add_done_callback(begin)
        return grounds

    def _read_meaning(self, model: AnyModel, prompt: PreparedPrompt) -> MeaningReader | None:
        """What asks which answers say the same; None where words alone decide."""
        if not _joins(prompt) or prompt.same == "tests" or prompt.chat == "plain":
            return None
        judge = None if isinstance(prompt.same, str) else prompt.same
        return MeaningReader(model, self.question, self._reader, judge)

    def _check_claims(self, model: AnyModel, prompt: PreparedPrompt) -> ClaimChecker | None:
        in_words = prompt.expected_form == AnswerKind.LONG
        if not in_words or prompt.chat == "plain" or isinstance(model, SampledModel):
            return None
        claims = ClaimChecker(model, prompt)
        self.request.add_done_callback(lambda request: claims.begin(request, self._reader))
        return claims

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
        leaves = leaf_table(tree, classes, reading.answers, self._prompt.spoken.token_bytes)
        shown = None
        if reading.kind.kind is AnswerKind.LONG:
            shown = shown_leaf(reading, leaves.weight)
        top = None if shown is None else classes[shown]
        return leaves if top is None else leaves.about(top)

    @property
    def prompt(self) -> PreparedPrompt:
        """The question as the model gets it."""
        return self._prompt

    @property
    def estimator(self) -> ConfidenceEstimator:
        """What gives its confidence."""
        return self._estimator

    @property
    def ticket(self) -> Request:
        """The old name of `request`."""
        warn_of_old_name("PendingAnswer.ticket", "request")
        return self.request

    def leaf_answer(self, branch: int) -> str | None:
        """What a branch that ended answers; for callbacks in the model's thread."""
        return self._running.label(self.request.run.leaf_key(branch))

    def growing_tree(self) -> TreeReport:
        """The tree as it is now; for callbacks in the model's thread.

        Leaves that have not ended are "cancelled" and without an answer.
        """
        tree = self.request.run.tree
        reading = self._reader.read_growing(tree, self.leaf_answer)
        return tree_report(self._model, tree, reading)

    @property
    def done(self) -> bool:
        """Whether decoding has ended."""
        read = all(reader.future.done() for reader in self._readers)
        return read and all(request.done for request in self.requests)

    @property
    def _readers(self) -> "list[MeaningReader | GroundingReader | ClaimChecker]":
        """What begins when the tree has ended."""
        readers = (self._meaning, self._grounds, self._claims)
        return [one for one in readers if one is not None]

    def add_done_callback(self, callback: Callable[["PendingAnswer"], None]) -> None:
        """Call `callback` in the model's thread when decoding ends, or now if it has ended."""
        # One after the other, so that it is called once.
        waiting: list[Request | Future[Any]] = [
            *self.requests,
            *(reader.future for reader in self._readers),
        ]

        def after(at: int) -> None:
            if at == len(waiting):
                callback(self)
            else:
                waiting[at].add_done_callback(lambda _: after(at + 1))

        after(0)

    @property
    def requests(self) -> tuple[Request, ...]:
        """What the scheduler has to do for it."""
        return (self.request,) if self.asked is None else (self.request, self.asked)

    def cancel(self) -> None:
        """Stop decoding within one step. `result` then returns what is known so far."""
        for request in self.requests:
            request.cancel()
        for reader in self._readers:
            reader.cancel()

    def content(self, leaf: Leaf) -> str:
        """Text of a leaf without its tool calls, even if they were cut off."""
        return self._reader.content(leaf.text)

    def said(self, tokens: Sequence[int], *, ended: bool) -> tuple[str, str]:
        """The thought and the text of a path, as far as they are certain if it has not ended."""
        return self._reader.said(tokens, ended=ended)

    def reading(self, timeout: float | None = None) -> TreeReading:
        """Return the answers of the leaves of the finished tree, those that say the same in one class.

        Args:
            timeout: Seconds to wait for what is said of answers that may say the same.

        Raises:
            TimeoutError: It took longer.
            EtAgentError: Decoding failed.
        """
        tree = self.request.result(timeout).tree
        return self._reader.read_tree(tree, self._judgement(tree, timeout).same)

    def _judgement(self, tree: Tree, timeout: float | None) -> Judgement:
        return NOT_JUDGED if self._meaning is None else self._meaning.judgement(tree, timeout)

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
        return None if self._grounds is None else outcome(self._grounds.future, timeout)

    def checked_claims(self, timeout: float | None = None) -> CheckedReply | None:
        """What was found of the claims of a long answer; None for another one, and without a check.

        Raises:
            TimeoutError: It took longer than `timeout` seconds.
        """
        return None if self._claims is None else outcome(self._claims.future, timeout)

    def result(self, timeout: float | None = None) -> AskResult:
        """Wait for the answer.

        Raises:
            TimeoutError: It took longer than `timeout` seconds. You may call `result` again.
            InputError: This is a model's own thread, as in `on_progress`, and decoding goes on.
            ModelClosedError: The question was asked before this process was forked.
            EtAgentError: Decoding failed.
        """
        timeout = wait_seconds(timeout)
        began = time.perf_counter()
        run = self.request.result(timeout)
        left = None if timeout is None else max(0.0, timeout + began - time.perf_counter())
        answerable = self.answerable(left)
        reading = self.reading(left)
        leaves = self.leaves(reading)
        fields = read_fields(run.tree, reading, leaves, self._prompt.spoken.token_bytes)
        form, _ = form_of_answer(self._prompt, reading, leaves.top)
        grounding = self.grounding(left)
        if form == "long" and leaves.top is not None and not reading.declines(leaves.top):
            checked = self.checked_claims(left)
            claims, assessment = assessed_claims(
                None if checked is None else checked.claims,
                calibrated=self._calibrates and not run.cancelled,
            )
            read = 0 if checked is None else checked.tokens
            return result_of(
                self._decoded, reading, leaves, fields, assessment, read, claims=claims
            )
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
        judgement = self._judgement(run.tree, left)
        return result_of(self._decoded, reading, leaves, fields, assessment, read, judgement)


def _joins(prompt: PreparedPrompt) -> bool:
    """Whether answers that say the same in other words are one. Long ones are read claim by claim."""
    in_words = prompt.form is None and prompt.reading_kind is not AnswerKind.LONG
    return in_words and prompt.same != "words"


def _said(future: "Future[Judgement]") -> Judgement:
    return NOT_JUDGED if future.exception() is not None else future.result()


def _prepared(
    model: AnyModel, prompt: PreparedPrompt, inputs: RunInputs, on_step: StepCallback | None
) -> Request:
    decoder = prompt.decoder
    if isinstance(model, LanguageModel):
        assert isinstance(decoder, Decoder)  # the options have seen to it
        return scheduler_of(model).prepare(
            prompt.prompt, decoder, inputs, on_step=on_step, constraint=prompt.constraint
        )
    assert isinstance(decoder, ChainDecoder)
    assert prompt.sampled is not None
    return prepare_samples(model, prompt.sampled, decoder, inputs, on_step=on_step)


def _thresholds(model: AnyModel, options: AskOptions) -> Thresholds | None:
    if options.thresholds is None and model.info.fingerprint:
        return find_thresholds(model.info.fingerprint)
    return options.thresholds


def start(*pending: PendingAnswer) -> None:
    """Let prepared questions of one model be decoded, from the same batch on, all or none.

    Raises:
        ModelClosedError: The model was closed.
    """
    requests = [request for one in pending for request in one.requests]
    sampled = [one for one in requests if isinstance(one, SampledRequest)]
    decoded = [one for one in requests if not isinstance(one, SampledRequest)]
    if decoded:
        assert isinstance(decoded[0].model, LanguageModel)
        scheduler_of(decoded[0].model).queue(*decoded)
    try:
        for one in sampled:
            one.begin()
    except BaseException:
        for one in sampled:
            one.cancel()
        raise
