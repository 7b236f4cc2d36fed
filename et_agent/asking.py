"""Asking: a question goes in, an answer with its distribution comes out."""

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args, overload

from et_agent.answers import AnswerKind, extract, guess_kind, instruction, mentions
from et_agent.calibration import Calibrator, Confidence, Fingerprint, Part, features_of
from et_agent.calibration.finding import find_calibrator
from et_agent.decoding.base import Decoder, DecoderSettings, RunRequest
from et_agent.decoding.entropy_tree import EntropyTree
from et_agent.decoding.pilot import PilotProgress, measure_thresholds
from et_agent.decoding.scheduler import Ticket, scheduler_of
from et_agent.decoding.schedules import RoundsRun
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.decoding.tree import Finish
from et_agent.errors import CalibrationError, QuestionError, SettingsError
from et_agent.models.base import LanguageModel, Message
from et_agent.reporting import (
    Reading,
    Statistics,
    path_text,
    read_tree,
    statistics_of,
    tree_report,
)
from et_agent.results import AskResult, ConfidencePart, ModelId, Usage
from et_agent.uncertainty.leaf_table import LeafTable
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

Chat = Literal["model", "plain"]
Calibration = Calibrator | Literal["auto"] | None
"""A calibrator, "auto" for one that holds for model, decoder and prompt if there is any, or None."""

PLAIN_STOP: Final = "\nQuestion:"
"""Where a base model, done with its answer, begins another question of its own."""
_STOP_TOKENS: Final = 16
_MUCH_CUT_OFF: Final = 0.2


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

    The constructor checks and prepares; `scheduler.queue(pending.ticket)` sets it going.
    """

    def __init__(
        self,
        model: LanguageModel,
        question: str,
        *,
        decoder: DecoderSettings | None,
        kind: AnswerKind | str,
        seed: int,
        system_prompt: str | None,
        chat: Chat,
        thresholds: Thresholds | None,
        on_progress: ProgressCallback | None,
        calibrator: Calibration = "auto",
    ) -> None:
        check_text(question)
        if system_prompt:
            check_text(system_prompt, "the system prompt")
        kind = _kind(kind)
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise SettingsError(f"seed is {seed!r}: use a whole number of 0 or more")
        if chat not in get_args(Chat):
            raise SettingsError(f"chat is {chat!r}: use 'model' or 'plain'")
        if thresholds is None and model.info.fingerprint:
            thresholds = find_thresholds(model.info.fingerprint)
        if decoder is None:
            decoder = EntropyTree()
        self.question = question
        self._model, self._decoder, self._seed, self._chat = model, decoder, seed, chat
        self._kind = kind
        self._stop_text = PLAIN_STOP if chat == "plain" else None
        self._reading_kind = guess_kind(question).kind if kind is AnswerKind.AUTO else kind
        self._instruction = (
            instruction(self._reading_kind) if system_prompt is None else system_prompt
        )
        self._calibrator = calibrator
        if isinstance(calibrator, Calibrator):
            calibrator.check(self._fingerprint(self._reading_kind))
        elif calibrator not in ("auto", None):
            raise SettingsError(
                f"calibrator is {calibrator!r}: pass a Calibrator (Calibrator.load reads a file), "
                "'auto' or None"
            )
        self._on_progress = on_progress
        self._last_progress = 0.0
        self._labels: dict[Hashable, str] = {}
        self._stop = model.info.stop_tokens
        prompt = _prompt(model, question, self._instruction, chat)
        request = RunRequest(
            prompt_length=len(prompt),
            stop_tokens=self._stop,
            seed=seed,
            thresholds=thresholds,
            read_leaf=self._read_leaf,
            read_tokens=self._read_tokens,
            ends=self._asks_on if self._stop_text else None,
        )
        if not isinstance(decoder, Decoder):  # a settings object of the caller's own
            raise SettingsError(f"{type(decoder).__name__} is no decoder: it has no start()")
        self.ticket: Ticket = scheduler_of(model).prepare(
            prompt, decoder, request, on_step=self._note_step if on_progress else None
        )

    def _fingerprint(self, kind: AnswerKind) -> Fingerprint:
        """What a calibrator has to hold for."""
        return Fingerprint.of(
            model=self._model.info.fingerprint,
            decoder=self._settings(),
            instructions={kind.value: self._instruction},
            chat=self._chat,
        )

    def _settings(self) -> dict[str, str | int | float | bool | None]:
        return {"name": type(self._decoder).__name__, **self._decoder.model_dump()}

    def _asks_on(self, tokens: Sequence[int]) -> bool:
        """Whether a path of a plain prompt has begun a question of its own."""
        return PLAIN_STOP in path_text(self._model, tokens[-_STOP_TOKENS:])

    def _read_leaf(self, tokens: Sequence[int]) -> Hashable | None:
        finished = bool(tokens) and tokens[-1] in self._stop
        text = path_text(self._model, tokens)
        if self._stop_text:
            text, stop, _ = text.partition(self._stop_text)
            finished = finished or bool(stop)
        found = extract(text, self._reading_kind, question=self.question, finished=finished)
        if found is None:
            return None
        self._labels.setdefault(found.key, found.value)
        return found.key

    def _read_tokens(self, tokens: Sequence[int]) -> list[bool]:
        """Which tokens of a finished path say something of its answer: digits, or a word of it."""
        key = self._read_leaf(tokens)
        pieces = [self._model.token_bytes(token).decode("utf-8", "ignore") for token in tokens]
        return mentions(pieces, None if key is None else self._labels[key])

    def _note_step(self, ticket: Ticket) -> None:
        now = time.perf_counter()
        if now - self._last_progress < 0.1 and not ticket.run.finished:
            return
        self._last_progress = now
        run = ticket.run
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
                leading=tuple(sorted(shares.items(), key=lambda item: -item[1])[:5]),
                seconds=ticket.seconds,
            )
        )

    def leaf_answer(self, branch: int) -> str | None:
        """What a branch that ended answers; for callbacks in the model's thread."""
        key = self.ticket.run.leaf_key(branch)
        return None if key is None else self._labels[key]

    @property
    def done(self) -> bool:
        """Whether decoding has ended."""
        return self.ticket.done

    def add_done_callback(self, callback: Callable[["PendingAnswer"], None]) -> None:
        """Call back when decoding has ended, in the model's thread or, if it has, at once."""
        self.ticket.add_done_callback(lambda _: callback(self))

    def cancel(self) -> None:
        """Stop decoding within one step; `result` then tells what is known so far."""
        self.ticket.cancel()

    def reading(self) -> Reading:
        """What the leaves of the finished tree say.

        Raises:
            EtAgentError: Decoding failed.
        """
        tree = self.ticket.result().tree
        return read_tree(self._model, tree, self.question, self._kind, stop=self._stop_text)

    def leaves(self, reading: Reading) -> LeafTable:
        """Statistics of the finished tree's leaves, what estimators and calibrators start from.

        Args:
            reading: What the leaves say.

        Raises:
            EtAgentError: Decoding failed.
        """
        tree = self.ticket.result().tree
        classes = reading.classes.index_of_leaf
        return leaf_table(tree, classes, reading.answers, self._model.token_bytes)

    def _features(self, reading: Reading) -> dict[str, float | None]:
        """The tree's features; none when no leaf gave an answer or the run was cut short."""
        answered = any(index is not None for index in reading.classes.index_of_leaf)
        if not answered or self.ticket.run.cancelled:
            return {}
        return features_of(self.leaves(reading))

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
        run = self.ticket.result(timeout)
        tree = run.tree
        reading = self.reading()
        numbers = statistics_of(tree, reading.classes)
        features = self._features(reading)
        confidence, doubts = self._confidence(features, reading.kind.kind)
        seconds = self.ticket.seconds
        info = self._model.info
        assert reading.kind.kind is not AnswerKind.AUTO
        return AskResult(
            question=self.question,
            answer=numbers.answer,
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
            kind=reading.kind.kind.value,
            kind_reason=reading.kind.reason,
            complete=not run.cancelled,
            notes=(*self._notes(), *_doubts(numbers, run.max_tokens), *doubts),
            usage=Usage(
                prompt_tokens=len(self.ticket.prompt),
                tokens_decoded=tree.tokens_decoded,
                tokens_as_chains=tree.tokens_as_chains,
                tokens_redone=self.ticket.redone,
                leaves=tree.leaf_count(),
                steps=self.ticket.steps,
                seconds=seconds,
                tokens_per_second=tree.tokens_decoded / seconds if seconds else 0.0,
            ),
            model=ModelId(name=info.name, fingerprint=info.fingerprint),
            decoder=self._settings(),
            instruction=self._instruction,
            chat=self._chat,
            seed=self._seed,
            tree=tree_report(self._model, tree, reading),
        )

    def _notes(self) -> list[str]:
        run, decoder, notes = self.ticket.run, self._decoder, []
        if run.cancelled:
            running = sum(b.codes for b in run.tree.branches if b.finish is Finish.CANCELLED)
            notes.append(
                f"interrupted: {running} leaves were not finished; those without an answer so far "
                "count as none"
            )
        cut = any(branch.finish is Finish.LENGTH for branch in run.tree.branches)
        if cut and run.max_tokens < decoder.max_tokens:
            info = self._model.info
            what = f"the context of {info.context}"
            if info.longest_path < info.context:
                what = f"this model's longest path of {info.longest_path} tokens"
            notes.append(
                f"{what} leaves room for {run.max_tokens} tokens after the prompt, so paths were cut "
                f"there instead of at {decoder.max_tokens}"
            )
        if self.ticket.redone:
            notes.append(
                f"the context of {self._model.info.context} was too small for the whole tree: "
                f"{self.ticket.redone} tokens were decoded again; a larger context is faster"
            )
        if isinstance(decoder, EntropyTree):
            notes += self._tree_notes(decoder)
        return notes

    def _tree_notes(self, decoder: EntropyTree) -> list[str]:
        notes = []
        leaves = self.ticket.run.tree.leaf_count()
        if leaves < decoder.leaves and not self.ticket.run.cancelled:
            why = "no other position meets the settings for a fork"
            if decoder.by_worth:
                why = "no other fork would be worth its tokens"
            if isinstance(self.ticket.run, RoundsRun) and self.ticket.run.settled:
                why = f"the leading answer had {decoder.settle:.0%} of the weight or more"
            notes.append(f"{leaves} of at most {decoder.leaves} leaves: {why}")
        if decoder.reads_attention and not self._model.info.attention_layers:
            notes.append("this model gives no attention: forks were chosen without it")
        if (
            decoder.tau is None
            and decoder.schedule in ("rounds", "breadth_first")
            and decoder.entropy_percentile is not None
            and self.ticket.run.request.thresholds is None
        ):
            notes.append(
                "no pilot for this model: tau is a percentile of this question's own tokens; "
                "`et-agent pilot` measures it beforehand"
            )
        return notes


def _part(part: Part) -> ConfidencePart:
    return ConfidencePart(
        feature=part.feature, meaning=part.meaning, value=part.value, log_odds=part.log_odds
    )


def _doubts(numbers: Statistics, max_tokens: int) -> list[str]:
    """What makes the numbers say less than they seem to."""
    notes = []
    if numbers.cut_off_share >= _MUCH_CUT_OFF:
        notes.append(
            f"paths with {numbers.cut_off_share:.0%} of the weight did not end within {max_tokens} "
            "tokens: allow more tokens"
        )
    if numbers.answer is None:
        notes.append("no leaf gave an answer: an entropy of 0 does not mean that the model is sure")
    elif sum(share.share for share in numbers.distribution if share.answer is None) > 0.5:
        notes.append("most of the weight gave no answer: the answer shown is that of a minority")
    return notes


def _prompt(model: LanguageModel, question: str, system: str, chat: Chat) -> list[int]:
    if chat == "plain":
        head = f"{system}\n\n" if system else ""
        return model.plain_tokens(f"{head}Question: {question}\nAnswer:")
    messages: list[Message] = [{"role": "user", "content": question}]
    if system:
        messages.insert(0, {"role": "system", "content": system})
    return model.chat_tokens(messages)


def check_text(text: object, what: str = "the question") -> str:
    """Refuse what cannot be a question.

    Raises:
        QuestionError: Not a string, empty, with NUL bytes or with bytes that are not UTF-8.
    """
    if not isinstance(text, str):
        raise QuestionError(f"{what} is a {type(text).__name__}, not a text")
    if not text.strip():
        raise QuestionError(f"{what} is empty: ask something")
    if "\0" in text:
        raise QuestionError(f"{what} holds a NUL byte: remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise QuestionError(
            f"{what} is not valid UTF-8 (character {error.start + 1}): convert it to UTF-8"
        ) from error
    return text


def _kind(kind: AnswerKind | str) -> AnswerKind:
    try:
        return AnswerKind(kind)
    except ValueError as error:
        kinds = ", ".join(AnswerKind)
        raise SettingsError(f"there is no answer kind {kind!r}: choose one of {kinds}") from error


def submit(
    model: LanguageModel,
    question: str,
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    thresholds: Thresholds | None = None,
    on_progress: ProgressCallback | None = None,
    calibrator: Calibration = "auto",
) -> PendingAnswer:
    """Start answering a question and return at once; questions of one model share batches.

    Args:
        model: A loaded model.
        question: The question.
        decoder: `EntropyTree()` if None, or `MultiChain`, or `Greedy`.
        kind: What an answer is: "number", "math", "choice", "text" or "auto".
        seed: At least 0; the same seed, model and machine give the same tree.
        system_prompt: Replaces the kind's default instruction; "" for none.
        chat: "model" for the model's own chat template, "plain" for a plain prompt.
        thresholds: Pilot thresholds; found by the model's fingerprint if None.
        on_progress: Called about ten times a second, in the model's thread.
        calibrator: Gives the confidence; "auto" finds the one that holds for model, decoder and
            prompt, if there is any.

    Raises:
        QuestionError: The question is empty, not a text, or too long for the context.
        CalibratorMismatchError: The calibrator that was passed holds for something else.
        SettingsError: A setting is out of range, or a pilot is needed and missing.
        UnsupportedModelError: The model has no chat template.
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
    )
    scheduler_of(model).queue(pending.ticket)
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
        wanted = _kind(kind)
        reading = guess_kind(question).kind if wanted is AnswerKind.AUTO else wanted
        system = instruction(reading) if system_prompt is None else system_prompt
        prompts.append(_prompt(model, question, system, chat))
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
    question: str,
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    calibrator: Calibration = "auto",
) -> AskResult: ...


@overload
def ask(
    model: LanguageModel,
    question: list[str] | tuple[str, ...],
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    calibrator: Calibration = "auto",
) -> list[AskResult]: ...


def ask(
    model: LanguageModel,
    question: str | list[str] | tuple[str, ...],
    *,
    decoder: DecoderSettings | None = None,
    kind: AnswerKind | str = AnswerKind.AUTO,
    seed: int = 0,
    system_prompt: str | None = None,
    chat: Chat = "model",
    calibrator: Calibration = "auto",
) -> AskResult | list[AskResult]:
    """Answer a question, or several in shared batches.

    Args:
        model: A loaded model.
        question: A question, or a list of them.
        decoder: `EntropyTree()` if None, or `MultiChain`, or `Greedy`.
        kind: What an answer is: "number", "math", "choice", "text" or "auto".
        seed: At least 0; the same seed, model and machine give the same trees.
        system_prompt: Replaces the kind's default instruction; "" for none.
        chat: "model" for the model's own chat template, "plain" for a plain prompt.
        calibrator: As for `submit`.

    Returns:
        One result, or a list in the order of the questions.

    Raises:
        EtAgentError: As for `submit`; nothing is decoded when one question is refused.
    """
    questions = [question] if isinstance(question, str) else list(question)
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
        )
        for one in questions
    ]
    scheduler_of(model).queue(*(waiting.ticket for waiting in pending))
    try:
        results = [waiting.result() for waiting in pending]
    except BaseException:
        for waiting in pending:
            waiting.cancel()
        raise
    return results[0] if isinstance(question, str) else results
