"""Asking: a question goes in, an answer with its distribution comes out."""

import contextlib
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast, overload

from et_agent.answers import AnswerKind, mentions
from et_agent.calibration import Calibrator, Confidence, Fingerprint, Part, features_of
from et_agent.calibration.finding import find_calibrator, finds_one_that_reads_attention
from et_agent.calling import CallForm, JsonForm
from et_agent.conversation import check_text, is_conversation
from et_agent.decoding.base import Decoder, DecoderSettings, RunInputs
from et_agent.decoding.naming import described
from et_agent.decoding.pilot import PilotProgress, measure_thresholds
from et_agent.decoding.request import Request
from et_agent.decoding.scheduler import scheduler_of
from et_agent.decoding.schedules import EntropyTree
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.engines.base import LanguageModel
from et_agent.errors import CalibrationError, CalibratorMismatchError, SettingsError
from et_agent.notes import doubts, run_notes
from et_agent.prompting import Asked, Chat, Question
from et_agent.renaming import warn_of_old_name
from et_agent.reporting import (
    LeafReader,
    Reading,
    Statistics,
    path_text,
    statistics_of,
    tree_report,
)
from et_agent.results import (
    AnswerForm,
    AskResult,
    ConfidencePart,
    Leaf,
    ModelId,
    ToolCall,
    TreeReport,
    Usage,
)
from et_agent.templates.messages import Message, Tool
from et_agent.uncertainty.leaf_table import LeafTable
from et_agent.uncertainty.leaves import SHARE_DIGITS
from et_agent.uncertainty.measuring import leaf_table

__all__ = [
    "Calibration",
    "Chat",
    "PendingAnswer",
    "Progress",
    "ask",
    "check_text",
    "run_pilot",
    "submit",
]

Calibration = Calibrator | Literal["auto"] | None
"""A calibrator, "auto" for one that holds for model, decoder and prompt if there is any, or None."""

_FORMS: Final = {"json": "a schema was given", "tool_call": "the answer calls a tool"}


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a question is.

    Attributes:
        tokens: Tokens generated so far.
        leaves_done: Finished leaves, counted with their codes.
        leaves: Leaves known so far, counted with their codes.
        leading: (answer, share of the weight so far) of finished leaves, heaviest first.
        seconds: Wall time so far.
    """

    tokens: int
    leaves_done: int
    leaves: int
    leading: tuple[tuple[str, float], ...]
    seconds: float


ProgressCallback = Callable[[Progress], None]


class PendingAnswer:
    """A question being decoded. Made by `submit`.

    The constructor checks and prepares; `scheduler.queue(pending.request)` sets it going.
    """

    def __init__(
        self,
        model: LanguageModel,
        question: Question,
        *,
        decoder: DecoderSettings | None,
        kind: AnswerKind | str,
        seed: int,
        system_prompt: str | None,
        chat: Chat,
        thresholds: Thresholds | None,
        on_progress: ProgressCallback | None,
        calibrator: Calibration = "auto",
        tools: Sequence[Tool] = (),
        tool_choice: str = "auto",
        schema: Mapping[str, Any] | None = None,
        stop: Sequence[str] = (),
        attention: bool = False,
    ) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise SettingsError(f"seed is {seed!r}: use a whole number of 0 or more")
        asked = self._asked = Asked.of(
            model,
            question,
            kind=kind,
            system_prompt=system_prompt,
            chat=chat,
            tools=tools,
            tool_choice=tool_choice,
            schema=schema,
            stop=stop,
        )
        if thresholds is None and model.info.fingerprint:
            thresholds = find_thresholds(model.info.fingerprint)
        if decoder is None:
            decoder = EntropyTree()
        self.question = asked.conversation.question
        self._model, self._decoder, self._seed = model, decoder, seed
        self._reader = LeafReader(self.question, asked.kind, stops=asked.stops, form=asked.form)
        # Of a conversation, a structured reply or paths that a text ends nothing was calibrated.
        plain = asked.conversation.single and asked.form is None and not stop
        self._calibrator = calibrator if plain else None
        if isinstance(calibrator, Calibrator):
            self._check_calibrator(calibrator)
        elif calibrator not in ("auto", None):
            raise SettingsError(
                f"calibrator is {calibrator!r}: pass a Calibrator (Calibrator.load reads a file), "
                "'auto' or None"
            )
        self._on_progress = on_progress
        self._last_progress = 0.0
        self._labels: dict[Hashable, str] = {}
        self._stop = model.info.stop_tokens
        inputs = RunInputs(
            prompt_length=len(asked.prompt),
            stop_tokens=self._stop,
            seed=seed,
            thresholds=thresholds,
            read_leaf=self._read_leaf,
            read_tokens=self._read_tokens,
            ends=self._ends if asked.stops or asked.form else None,
            attention=attention or self._calibrator_reads_attention(),
        )
        if not isinstance(decoder, Decoder):  # a settings object of the caller's own
            raise SettingsError(f"{type(decoder).__name__} is no decoder: it has no start()")
        self.request: Request = scheduler_of(model).prepare(
            asked.prompt,
            decoder,
            inputs,
            on_step=self._note_step if on_progress else None,
            constraint=asked.constraint,
        )

    @property
    def ticket(self) -> Request:
        """The old name of `request`."""
        warn_of_old_name("PendingAnswer.ticket", "request")
        return self.request

    def _check_calibrator(self, calibrator: Calibrator) -> None:
        """Refuse one that holds for something else.

        Raises:
            CalibratorMismatchError: It does.
        """
        if not self._asked.conversation.single or self._asked.form is not None:
            raise CalibratorMismatchError(
                "calibrators hold for single questions answered in words, not for conversations, "
                "tools or schemas: pass calibrator=None"
            )
        calibrator.check(self._fingerprint(self._asked.reading_kind))

    def _calibrator_reads_attention(self) -> bool:
        """Whether the confidence may need attention; which kind is read is not known beforehand."""
        with contextlib.suppress(CalibrationError):  # the result will say so
            if isinstance(self._calibrator, Calibrator):
                return self._calibrator.reads_attention
            if self._calibrator == "auto":
                kinds = [self._asked.kind]
                if self._asked.kind is AnswerKind.AUTO:
                    kinds = [kind for kind in AnswerKind if kind is not AnswerKind.AUTO]
                return finds_one_that_reads_attention(map(self._fingerprint, kinds))
        return False

    def _fingerprint(self, kind: AnswerKind) -> Fingerprint:
        """What a calibrator has to hold for."""
        return Fingerprint.of(
            model=self._model.info.fingerprint,
            decoder=self._settings(),
            instructions={kind.value: self._asked.instruction},
            chat=self._asked.chat,
        )

    def _settings(self) -> dict[str, str | int | float | bool | None]:
        return described(self._decoder)

    def _ends(self, tokens: Sequence[int]) -> bool:
        return self._asked.ends(self._model, tokens)

    def _read_leaf(self, tokens: Sequence[int]) -> Hashable | None:
        finished = bool(tokens) and (tokens[-1] in self._stop or self._ends(tokens))
        text = path_text(self._model, tokens)
        found = self._reader.read(text, self._asked.reading_kind, finished=finished)
        if found is None:
            return None
        self._labels.setdefault(found.key, found.value)
        return found.key

    def _read_tokens(self, tokens: Sequence[int]) -> list[bool]:
        """Which tokens of a finished path say something of its answer: digits, or a word of it."""
        key = self._read_leaf(tokens)
        pieces = [self._model.token_bytes(token).decode("utf-8", "ignore") for token in tokens]
        return mentions(pieces, None if key is None else self._labels[key])

    def _note_step(self, request: Request) -> None:
        now = time.perf_counter()
        if now - self._last_progress < 0.1 and not request.run.finished:
            return
        self._last_progress = now
        run = request.run
        shares: dict[str, float] = {}
        ended = [branch for branch in run.tree.branches if branch.finish is not None]
        for branch in ended:
            label = self.leaf_answer(branch.id)
            if label is not None:
                shares[label] = shares.get(label, 0.0) + run.tree.weight(branch.id)
        assert self._on_progress is not None
        self._on_progress(
            Progress(
                tokens=run.tree.tokens_decoded,
                leaves_done=sum(branch.codes for branch in ended),
                leaves=run.tree.leaf_count(),
                leading=tuple(
                    sorted(shares.items(), key=lambda one: -round(one[1], SHARE_DIGITS))[:5]
                ),
                seconds=request.seconds,
            )
        )

    def leaf_answer(self, branch: int) -> str | None:
        """What a branch that ended answers; for callbacks in the model's thread."""
        key = self.request.run.leaf_key(branch)
        return None if key is None else self._labels[key]

    @property
    def done(self) -> bool:
        """Whether decoding has ended."""
        return self.request.done

    def add_done_callback(self, callback: Callable[["PendingAnswer"], None]) -> None:
        """Call back when decoding has ended, in the model's thread or, if it has, at once."""
        self.request.add_done_callback(lambda _: callback(self))

    def cancel(self) -> None:
        """Stop decoding within one step; `result` then tells what is known so far."""
        self.request.cancel()

    def content(self, leaf: Leaf) -> str:
        """What one of the leaves says in words: its text without tool calls, cut off ones included."""
        form = self._asked.form
        return form.before(leaf.text) if isinstance(form, CallForm) else leaf.text

    def reading(self) -> Reading:
        """What the leaves of the finished tree say.

        Raises:
            EtAgentError: Decoding failed.
        """
        return self._reader.read_tree(self._model, self.request.result().tree)

    def leaves(self, reading: Reading) -> LeafTable:
        """Statistics of the finished tree's leaves, what estimators and calibrators start from.

        Args:
            reading: What the leaves say.

        Raises:
            EtAgentError: Decoding failed.
        """
        tree = self.request.result().tree
        classes = reading.classes.index_of_leaf
        return leaf_table(tree, classes, reading.answers, self._model.token_bytes)

    def _features(self, leaves: LeafTable) -> dict[str, float | None]:
        """The tree's features; none when no leaf gave an answer or the run was cut short."""
        if leaves.top is None or self.request.run.cancelled:
            return {}
        return features_of(leaves)

    def _confidence(
        self, features: Mapping[str, float | None], kind: AnswerKind
    ) -> tuple[Confidence | None, list[str]]:
        """P(correct) of the answer, and what the user should know about it."""
        calibrator = self._calibrator
        if calibrator is None or not features:
            return None, []
        asked = self._fingerprint(kind)
        try:
            if calibrator == "auto":
                calibrator = find_calibrator(asked)
                if calibrator is None:
                    return None, []
            else:
                calibrator.check(asked)
            return calibrator.confidence(features, kind.value), []
        except CalibrationError as error:
            # A decoded tree must not be lost to a calibrator that does not fit it.
            return None, [f"no confidence: {error}"]

    def result(self, timeout: float | None = None) -> AskResult:
        """Wait for the answer.

        Raises:
            TimeoutError: It took longer than `timeout` seconds; ask again later.
            EtAgentError: Decoding failed.
        """
        run = self.request.result(timeout)
        tree = run.tree
        reading = self.reading()
        leaves = self.leaves(reading)
        numbers = statistics_of(leaves, reading.classes)
        report = tree_report(self._model, tree, reading)
        kind, calls = self._kind_of_answer(reading, numbers, report)
        features = self._features(leaves)
        confidence, refusals = self._confidence(features, reading.kind.kind)
        seconds = self.request.seconds
        info = self._model.info
        return AskResult(
            question=self.question,
            answer=numbers.answer,
            tool_calls=calls,
            confidence=None if confidence is None else confidence.value,
            calibrated=confidence is not None,
            confidence_parts=() if confidence is None else tuple(map(_part, confidence.parts)),
            features=features,
            share=max(
                (one.share for one in numbers.distribution if one.answer is not None), default=0
            ),
            distribution=numbers.distribution,
            predictive_entropy=numbers.predictive_entropy,
            predictive_entropy_normalised=numbers.predictive_entropy_normalised,
            predictive_entropy_by_count=numbers.predictive_entropy_by_count,
            ess=numbers.ess,
            margin=numbers.margin,
            cut_off_share=numbers.cut_off_share,
            kind=kind,
            kind_reason=_FORMS.get(kind, reading.kind.reason),
            complete=not run.cancelled,
            notes=(
                *run_notes(self.request, self._decoder),
                *doubts(numbers, run.max_tokens, complete=not run.cancelled),
                *refusals,
            ),
            usage=Usage(
                prompt_tokens=len(self.request.prompt),
                tokens_decoded=tree.tokens_decoded,
                tokens_as_chains=tree.tokens_as_chains,
                tokens_recomputed=self.request.recomputed,
                leaves=tree.leaf_count(),
                steps=self.request.steps,
                seconds=seconds,
                tokens_per_second=tree.tokens_decoded / seconds if seconds else 0.0,
            ),
            model=ModelId(name=info.name, fingerprint=info.fingerprint),
            decoder=self._settings(),
            instruction=self._asked.instruction,
            single=self._asked.conversation.single,
            chat=self._asked.chat,
            seed=self._seed,
            tree=report,
        )

    def _kind_of_answer(
        self, reading: Reading, numbers: Statistics, report: TreeReport
    ) -> tuple[AnswerForm, tuple[ToolCall, ...]]:
        """What the answer is, and the tools that it calls."""
        form = self._asked.form
        if isinstance(form, JsonForm):
            return "json", ()
        if form is not None:
            calls = next(
                (leaf.tool_calls for leaf in report.leaves if leaf.answer == numbers.answer), ()
            )
            if calls or not form.free:
                return "tool_call", calls
        assert reading.kind.kind is not AnswerKind.AUTO
        return cast(AnswerForm, reading.kind.kind.value), ()


def _part(part: Part) -> ConfidencePart:
    return ConfidencePart(
        feature=part.feature, meaning=part.meaning, value=part.value, log_odds=part.log_odds
    )


def submit(
    model: LanguageModel,
    question: Question,
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    thresholds: Thresholds | None = None,
    on_progress: ProgressCallback | None = None,
    calibrator: Calibration = "auto",
    tools: Sequence[Tool] = (),
    tool_choice: str = "auto",
    schema: Mapping[str, Any] | None = None,
    stop: Sequence[str] = (),
    attention: bool = False,
) -> PendingAnswer:
    r"""Start answering a question and return at once; questions of one model share batches.

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is to be answered.
        decoder: `EntropyTree()` if None, or `MultiChain`, or `Greedy`.
        kind: What an answer is: "number", "math", "choice", "text" or "auto".
        seed: At least 0; the same seed, model and machine give the same tree.
        system_prompt: Replaces the default instruction; "" for none. By default that of the kind,
            with a schema the schema, and none for a conversation with a system message of its own or
            with tools. It stands behind the conversation's own system message.
        chat: "model" for the model's own chat template, "plain" for a plain prompt.
        thresholds: Pilot thresholds; found by the model's fingerprint if None.
        on_progress: Called about ten times a second, in the model's thread.
        calibrator: Gives the confidence; "auto" finds the one that holds for model, decoder and
            prompt, if there is any. Calibrators hold for single questions answered in words.
        tools: Tools that the model may call, in OpenAI's form. Equal calls with equal arguments are
            one answer.
        tool_choice: "auto" lets the model call a tool or answer in words, "any" makes it call one,
            "none" hides them, a tool's name makes it call that. Calls fit the tool's schema: the tree
            forks among valid continuations only. One call a reply.
        schema: A JSON schema that the reply has to fit; equal JSON is one answer.
        stop: Texts that end a path in words and are cut off it. One that ends a path within
            `\boxed{}` closes the box if it can ("}"); else the path gives no answer. One that ends
            paths at `\boxed{` already is refused where the prompt asks for a box.
        attention: Read attention, which slows decoding down, for the tree's `received` and
            `prompt_attention` and for the features that need it. It is read all the same where the
            decoder's forks or the calibrator depend on it.

    Raises:
        QuestionError: The question is empty, not a text, or too long for the context; the
            conversation has no user message, or a tool's message that answers no call.
        CalibratorMismatchError: The calibrator that was passed holds for something else.
        SettingsError: A setting is out of range, a stop sequence cuts off every answer, a schema or
            tool is none or nothing that llama.cpp's grammar can express, or a pilot is needed and
            missing.
        UnsupportedModelError: The model has no chat template, or one that knows no tools.
        ModelClosedError: The model was closed.
    """
    pending = PendingAnswer(
        model,
        question,
        decoder=decoder,
        kind=kind,
        seed=seed,
        system_prompt=system_prompt,
        chat=chat,
        thresholds=thresholds,
        on_progress=on_progress,
        calibrator=calibrator,
        tools=tools,
        tool_choice=tool_choice,
        schema=schema,
        stop=stop,
        attention=attention,
    )
    scheduler_of(model).queue(pending.request)
    return pending


def run_pilot(
    model: LanguageModel,
    questions: Sequence[str],
    *,
    chains: int = 4,
    temperature: float = 0.7,
    max_tokens: int = 320,
    seed: int = 0,
    source: str = "",
    kind: AnswerKind | str = AnswerKind.AUTO,
    system_prompt: str | None = None,
    chat: Chat = "model",
    on_progress: PilotProgress | None = None,
) -> Thresholds:
    """Measure a model's thresholds on questions apart from those it is to answer.

    Args:
        model: A loaded model.
        questions: 20 to 50 questions like those to come.
        chains: Independent chains a question.
        temperature: Sampling temperature.
        max_tokens: Longest chain.
        seed: At least 0.
        source: Where the questions are from.
        kind: Answer kind, which gives the instruction.
        system_prompt: Replaces the kind's default instruction.
        chat: "model" or "plain", as for `submit`.
        on_progress: Told (questions done, questions, tokens) after each question.

    Raises:
        EtAgentError: As for `submit`.
    """
    prompts = []
    for number, question in enumerate(questions, 1):
        check_text(question, f"question {number} of the pilot")
        asked = Asked.of(model, question, kind=kind, system_prompt=system_prompt, chat=chat)
        prompts.append(asked.prompt)
    return measure_thresholds(
        model,
        prompts,
        chains=chains,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=seed,
        source=source,
        on_progress=on_progress,
    )


@overload
def ask(
    model: LanguageModel,
    question: Question,
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    calibrator: Calibration = "auto",
    tools: Sequence[Tool] = (),
    tool_choice: str = "auto",
    schema: Mapping[str, Any] | None = None,
    stop: Sequence[str] = (),
    attention: bool = False,
) -> AskResult: ...


@overload
def ask(
    model: LanguageModel,
    question: list[str] | tuple[str, ...] | Sequence[Sequence[Message]],
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    calibrator: Calibration = "auto",
    tools: Sequence[Tool] = (),
    tool_choice: str = "auto",
    schema: Mapping[str, Any] | None = None,
    stop: Sequence[str] = (),
    attention: bool = False,
) -> list[AskResult]: ...


def ask(
    model: LanguageModel,
    question: Question | list[str] | tuple[str, ...] | Sequence[Sequence[Message]],
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    calibrator: Calibration = "auto",
    tools: Sequence[Tool] = (),
    tool_choice: str = "auto",
    schema: Mapping[str, Any] | None = None,
    stop: Sequence[str] = (),
    attention: bool = False,
) -> AskResult | list[AskResult]:
    """Answer a question, or several in shared batches.

    Args:
        model: A loaded model.
        question: A question or a conversation, or a list of them.
        decoder: `EntropyTree()` if None, or `MultiChain`, or `Greedy`.
        kind: What an answer is: "number", "math", "choice", "text" or "auto".
        seed: At least 0; the same seed, model and machine give the same trees.
        system_prompt: As for `submit`.
        chat: "model" for the model's own chat template, "plain" for a plain prompt.
        calibrator: As for `submit`.
        tools: As for `submit`.
        tool_choice: As for `submit`.
        schema: As for `submit`.
        stop: As for `submit`.
        attention: As for `submit`.

    Returns:
        One result, or a list in the order of the questions.

    Raises:
        EtAgentError: As for `submit`; nothing is decoded when one question is refused.
    """
    alone = isinstance(question, str) or is_conversation(question)
    questions = cast("list[Question]", [question] if alone else list(question))
    pending = [
        PendingAnswer(
            model,
            one,
            decoder=decoder,
            kind=kind,
            seed=seed,
            system_prompt=system_prompt,
            chat=chat,
            thresholds=None,
            on_progress=None,
            calibrator=calibrator,
            tools=tools,
            tool_choice=tool_choice,
            schema=schema,
            stop=stop,
            attention=attention,
        )
        for one in questions
    ]
    scheduler_of(model).queue(*(waiting.request for waiting in pending))
    try:
        results = [waiting.result() for waiting in pending]
    except BaseException:
        for waiting in pending:
            waiting.cancel()
        raise
    return results[0] if alone else results
