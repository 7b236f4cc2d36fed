"""Asking questions: `ask`, `submit`, and the pilot run of a model."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Unpack, cast, overload

from et_agent.answers import AnswerKind
from et_agent.arguments import checks_arguments
from et_agent.asking.conversation import check_text, is_conversation
from et_agent.asking.options import (
    DEFAULTS,
    AskKeywords,
    AskOptions,
    PilotKeywords,
    check_model,
    checked_options,
)
from et_agent.asking.pending import PendingAnswer, Progress, ProgressCallback, start
from et_agent.asking.prompting import PreparedPrompt, Question
from et_agent.asking.streaming import AnswerStream
from et_agent.decoding.pilot import PilotProgress, measure_thresholds
from et_agent.decoding.thresholds import Thresholds
from et_agent.engines.opening import needing_logits
from et_agent.engines.sampled import AnyModel
from et_agent.errors import QuestionError, SettingsError
from et_agent.results import AskResult
from et_agent.templates.messages import Message
from et_agent.validation import type_of

__all__ = [
    "PendingAnswer",
    "Progress",
    "ProgressCallback",
    "Questions",
    "ask",
    "run_pilot",
    "start",
    "stream",
    "submit",
    "submit_all",
]

# Not `Sequence[Question]`, which a single text is too.
Questions = list[str] | tuple[str, ...] | Sequence[Sequence[Message]]
"""Several questions or conversations."""


def submit(
    model: AnyModel,
    question: Question,
    options: AskOptions = DEFAULTS,
    *,
    on_progress: ProgressCallback | None = None,
    **changes: Unpack[AskKeywords],
) -> PendingAnswer:
    """Start answering a question and return at once; questions of one model share batches.

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is to be answered.
        options: How it is answered.
        on_progress: Called about ten times per second, in the model's thread.
        changes: Fields of `AskOptions` by name: `submit(model, question, seed=1)`.

    Raises:
        QuestionError: The question is empty, not a text, or too long for the context; the
            conversation has no user message, or a tool's message that answers no call.
        CalibratorMismatchError: The calibrator that was passed does not apply.
        SettingsError: A setting is out of range, a stop sequence cuts off every answer, a schema or
            tool is not valid or cannot be enforced while decoding, or a pilot is needed and missing.
        UnsupportedModelError: The model has no chat template, or one that knows no tools.
        ModelClosedError: The model was closed.
    """
    asked = checked_options(options).changed(**changes)
    check_model(model)
    pending = PendingAnswer(model, question, asked, on_progress=on_progress)
    start(pending)
    return pending


def stream(
    model: AnyModel,
    question: Question,
    options: AskOptions = DEFAULTS,
    *,
    timeout: float | None = None,
    on_progress: ProgressCallback | None = None,
    **changes: Unpack[AskKeywords],
) -> AnswerStream:
    r"""Answer a question and show the text of its leading path while it is decoded.

        for event in stream(model, "How many legs have 3 cats and 2 birds?"):
            if isinstance(event, TextDelta):
                print(event.text, end="", flush=True)
            elif not event.agrees:
                print(f"\nInstead: {event.answer}")

    Args:
        model: A loaded model.
        question: The question, or a conversation whose last user message is to be answered.
        options: How it is answered.
        timeout: Seconds in which the last event has to come; None for no limit.
        on_progress: As for `submit`.
        changes: Fields of `AskOptions` by name.

    Returns:
        An iterator, and an asynchronous one, over `TextDelta`s and one `StreamEnd`.

    Raises:
        EtAgentError: As for `submit`.
    """
    asked = checked_options(options).changed(**changes)
    check_model(model)
    pending = PendingAnswer(model, question, asked, on_progress=on_progress)
    return AnswerStream(pending, timeout=timeout)


def submit_all(
    model: AnyModel,
    questions: Sequence[Question],
    options: AskOptions = DEFAULTS,
    *,
    names: Sequence[str] | None = None,
    on_progress: Callable[[int, Progress], None] | None = None,
    **changes: Unpack[AskKeywords],
) -> list[PendingAnswer]:
    """Start answering questions and return at once; all are checked before one is decoded.

    Args:
        model: A loaded model.
        questions: The questions or conversations.
        options: How they are answered.
        names: What errors call them; "question 1", "question 2" and so on if None.
        on_progress: Told a question's index and its progress, about ten times per second each, in the
            model's thread.
        changes: Fields of `AskOptions` by name.

    Returns:
        What is pending, in the order of the questions.

    Raises:
        SettingsError: There are not as many names as questions, or the model is none.
        EtAgentError: As for `submit`; a `QuestionError` names the question, of several.
    """
    options = checked_options(options).changed(**changes)
    check_model(model)
    if isinstance(questions, str | bytes):
        raise QuestionError("the questions are one text: pass a list of them, or use submit")
    given: object = questions
    if not isinstance(given, Iterable) or isinstance(given, Mapping):
        raise QuestionError(
            f"the questions are {type_of(given)}: pass a list of texts or conversations"
        )
    questions = list(questions)
    if names is not None and not isinstance(names, Sequence):
        raise SettingsError(f"names is {type_of(names)}: pass a list of texts")
    if names is not None and len(names) != len(questions):
        raise SettingsError(f"there are {len(questions)} questions and {len(names)} names for them")
    pending = []
    for index, question in enumerate(questions):
        told = None if on_progress is None else _told(on_progress, index)
        try:
            pending.append(PendingAnswer(model, question, options, on_progress=told))
        except QuestionError as error:
            if len(questions) < 2:
                raise
            name = f"question {index + 1}" if names is None else names[index]
            raise QuestionError(f"{name}: {error}") from error
    start(*pending)
    return pending


def _told(on_progress: Callable[[int, Progress], None], index: int) -> ProgressCallback:
    return lambda progress: on_progress(index, progress)


@overload
def ask(
    model: AnyModel,
    question: Question,
    options: AskOptions = DEFAULTS,
    **changes: Unpack[AskKeywords],
) -> AskResult: ...


@overload
def ask(
    model: AnyModel,
    question: Questions,
    options: AskOptions = DEFAULTS,
    **changes: Unpack[AskKeywords],
) -> list[AskResult]: ...


def ask(
    model: AnyModel,
    question: Question | Questions,
    options: AskOptions = DEFAULTS,
    **changes: Unpack[AskKeywords],
) -> AskResult | list[AskResult]:
    """Answer a question, or several in shared batches.

    Args:
        model: A loaded model.
        question: A question or a conversation, or a list of them.
        options: How it is answered.
        changes: Fields of `AskOptions` by name: `ask(model, question, decoder=Greedy())`.

    Returns:
        One result, or a list in the order of the questions.

    Raises:
        EtAgentError: As for `submit_all`; nothing is decoded when one question is refused.
    """
    several = isinstance(question, Sequence) and not isinstance(question, str | bytes)
    alone = not several or is_conversation(question)
    questions = cast("Sequence[Question]", [question] if alone else question)
    pending = submit_all(model, questions, options, **changes)
    try:
        results = [waiting.result() for waiting in pending]
    except BaseException:
        for waiting in pending:
            waiting.cancel()
        raise
    return results[0] if alone else results


@checks_arguments
def run_pilot(
    model: AnyModel,
    questions: Sequence[str],
    *,
    chains: int = 4,
    temperature: float = 0.7,
    max_tokens: int = 320,
    source: str = "",
    kind: AnswerKind | str = AnswerKind.AUTO,
    on_progress: PilotProgress | None = None,
    **prompt: Unpack[PilotKeywords],
) -> Thresholds:
    """Measure a model's thresholds on questions other than those it will answer.

    Args:
        model: A loaded model.
        questions: 20 to 50 questions like those you expect.
        chains: Independent chains per question.
        temperature: Sampling temperature.
        max_tokens: Longest chain in tokens.
        source: Where the questions come from, for the record.
        kind: Answer kind, which gives the instruction.
        on_progress: Called with (questions done, questions, tokens) after each question.
        prompt: `seed`, `system_prompt` and `chat`, as in `AskOptions`.

    Raises:
        UnsupportedModelError: The model gives no logits.
        EtAgentError: As for `submit`.
    """
    options = AskOptions(kind=kind, **prompt)
    check_model(model)
    measured = needing_logits(model, "a pilot")
    prompts = []
    for number, question in enumerate(questions, 1):
        check_text(question, f"question {number} of the pilot")
        prompts.append(PreparedPrompt.of(model, question, options).prompt)
    return measure_thresholds(
        measured,
        prompts,
        chains=chains,
        temperature=temperature,
        max_tokens=max_tokens,
        seed=options.seed,
        source=source,
        on_progress=on_progress,
    )
