"""Escalates a question to a function, another model, or a LangChain runnable."""

import asyncio
import contextvars
import inspect
import queue
import sys
import threading
import time
import unicodedata
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, Unpack, runtime_checkable

from et_agent.answers.declining import declines
from et_agent.arguments import checks_arguments
from et_agent.asking.options import DEFAULTS, AskKeywords, AskOptions
from et_agent.asking.passages import instructed_question
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EscalationError, InputError
from et_agent.gate.decision import Cost
from et_agent.gate.limits import Limits, ask_within
from et_agent.gate.policy import GatePolicy
from et_agent.results import AskResult
from et_agent.validation import LONGEST, text_fault
from et_agent.wording import counted

__all__ = ["Escalated", "ModelTarget", "Target", "call_target", "is_interrupt"]

_BLANK_LETTERS: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Fillers and the empty braille pattern: letters and symbols to Unicode, nothing to the eye."""


@runtime_checkable
class Runnable(Protocol):
    """What a LangChain runnable offers."""

    def invoke(self, input: Any, /) -> Any:
        """Answer."""
        ...


@runtime_checkable
class _AsyncRunnable(Protocol):
    def ainvoke(self, input: Any, /) -> Awaitable[Any]: ...


Target = Callable[[str], Any] | Runnable
"""Takes a question and returns an answer: a text, a message with a `content`, or an `AskResult`.

It may be asynchronous. Its coroutine is then run in an event loop of its own."""


class ModelTarget:
    """Another et-agent model as a target. Its answer passes through the gate too.

    It cannot hang, so a policy's `timeout` does not apply to it. The limits of the whole decision do.

    Args:
        model: A loaded model, or a function that loads one on first use.
        options: How it answers.
        changes: Fields of `AskOptions` by name, such as `decoder`.

    Raises:
        SettingsError: See `AskOptions`.
    """

    @checks_arguments
    def __init__(
        self,
        model: AnyModel | Callable[[], AnyModel],
        options: AskOptions = DEFAULTS,
        **changes: Unpack[AskKeywords],
    ) -> None:
        self.options = options.changed(**changes)
        self._given = model
        self._loaded: AnyModel | None = None
        self._lock = threading.Lock()

    @property
    def model(self) -> AnyModel:
        """The model. It is loaded now if it was not loaded before."""
        if isinstance(self._given, AnyModel):
            return self._given
        with self._lock:
            if self._loaded is None:
                self._loaded = self._given()
            return self._loaded

    def close(self) -> None:
        """Free a model that this target loaded. The next call loads it again."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.close()
            self._loaded = None

    def __call__(
        self, question: str, limits: Limits | None = None, passages: Sequence[str] = ()
    ) -> AskResult:
        """Answer within the limits. If decoding is stopped at a limit, the result is incomplete.

        Args:
            question: The question.
            limits: Tokens and seconds.
            passages: What to answer from; without any, what the options say.

        Raises:
            EtAgentError: Decoding failed.
        """
        options = self.options.changed(context=tuple(passages)) if passages else self.options
        return ask_within(self.model, question, limits or Limits(), options)


@dataclass(frozen=True, slots=True)
class Escalated:
    """What an escalation brought.

    Attributes:
        answer: The target's answer as text; None when it failed.
        result: The whole result, where the target is a model of et-agent.
        cost: Tokens, seconds and calls.
        failure: Why there is no answer, chained to the last cause; None when there is one.
        declined: Whether the target found that the passages do not hold the answer.
    """

    answer: str | None
    result: AskResult | None
    cost: Cost
    failure: EscalationError | None = None
    declined: bool = False


class _DeclinedError(EscalationError):
    """The target found that the passages do not hold the answer: a finding, not a failure."""

    def __init__(self) -> None:
        super().__init__("the target found that the passages do not say")


def call_target(
    target: Target,
    question: str,
    policy: GatePolicy,
    limits: Limits | None = None,
    *,
    passages: Sequence[str] = (),
) -> Escalated:
    """Call a target with the policy's time limit, retries and backoff.

    A call that hangs goes on in a thread of its own, which ends with the process; what it brings is
    thrown away. A coroutine is cancelled instead. Nothing is called once the limits are spent.

    Args:
        target: The target.
        question: What to ask it.
        policy: Time limit of a call, retries, backoff. A local model is asked once, and so is
            whoever finds the question at fault (`InputError`).
        limits: What the whole decision may still spend.
        passages: What it is to be answered from. A `ModelTarget` gets them as its context, others in
            the text, before the question.

    Raises:
        GraphBubbleUp: LangGraph stops here, for example to ask a person.
    """
    limits = limits or Limits()
    began = time.perf_counter()
    calls, tokens = 0, 0
    failure: BaseException = EscalationError("the decision has used up its limits")
    # The same question, model and seed give the same tree: asking again would change nothing.
    retries = 0 if isinstance(target, ModelTarget) else policy.retries
    for attempt in range(retries + 1):
        if attempt:
            wait = min(policy.backoff * 2 ** (attempt - 1), LONGEST)
            left = _remaining(limits, tokens, time.perf_counter() - began + wait)
            if left.spent:
                break
            time.sleep(wait)
        left = _remaining(limits, tokens, time.perf_counter() - began)
        if left.spent:
            break
        calls += 1
        try:
            value = _call(target, question, passages, policy.timeout, left)
            if isinstance(value, AskResult):
                tokens += value.usage.tokens_decoded
            answer, result = _read(value, passages)
        except BaseException as error:  # a target may call sys.exit(), and a task be cancelled
            if is_interrupt(error):
                raise
            failure = error
            if isinstance(error, InputError | _DeclinedError):  # to ask again would change nothing
                break
            continue
        seconds = time.perf_counter() - began
        return Escalated(answer, result, Cost(tokens=tokens, seconds=seconds, escalations=calls))
    spent = Cost(tokens=tokens, seconds=time.perf_counter() - began, escalations=calls)
    if isinstance(failure, _DeclinedError):
        return Escalated(None, None, spent, failure, declined=True)
    return Escalated(None, None, spent, _failed(calls, failure))


def _remaining(limits: Limits, tokens: int, seconds: float) -> Limits:
    return Limits(
        None if limits.tokens is None else limits.tokens - tokens,
        None if limits.seconds is None else limits.seconds - seconds,
    )


def _failed(calls: int, failure: BaseException) -> EscalationError:
    if not calls:
        return EscalationError(f"the escalation target was not called: {failure}")
    # Only our own words: what others raise may hold the question, addresses or keys, and reasons are
    # shown and logged. The cause has it all.
    said = f": {failure}" if isinstance(failure, EscalationError) else ""
    found = EscalationError(
        f"the escalation target failed {counted(calls, 'time')}, at last with "
        f"{type(failure).__name__}{said}"
    )
    found.__cause__ = failure
    return found


def _call(
    target: Target, question: str, passages: Sequence[str], timeout: float | None, left: Limits
) -> Any:
    if isinstance(target, ModelTarget):
        return target(question, left, passages)
    question = instructed_question(passages, question)
    if left.seconds is not None:
        timeout = left.seconds if timeout is None else min(timeout, left.seconds)
    if timeout is None and not _in_event_loop():
        return _run_target(target, question, None)
    ended: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            ended.put((True, _run_target(target, question, timeout)))
        except BaseException as error:  # handed to the caller's thread
            ended.put((False, error))

    # With the caller's context, or a runnable would lose its callbacks and its trace.
    context = contextvars.copy_context()
    threading.Thread(
        target=context.run, args=(work,), name="et-agent-escalation", daemon=True
    ).start()
    try:
        good, value = ended.get(timeout=timeout)
    except queue.Empty:
        raise _timed_out(timeout) from None
    if not good:
        raise value
    return value


def _run_target(target: Target, question: str, timeout: float | None) -> Any:
    """What a target brings; a coroutine is run to its end in this thread."""
    if isinstance(target, Runnable):
        value = _invoked(target, question)
    elif callable(target):
        value = target(question)
    else:
        raise EscalationError(
            f"{type(target).__name__} cannot be called: pass a function, a ModelTarget or a runnable"
        )
    return asyncio.run(_awaited(value, timeout)) if inspect.isawaitable(value) else value


def _invoked(target: Runnable, question: str) -> Any:
    # `invoke` comes first: clients that a runnable keeps for `ainvoke` may belong to another loop.
    try:
        return target.invoke(question)
    except (TypeError, NotImplementedError) as error:
        # In words of their own all of LangChain's and LangGraph's say so that have only `ainvoke`.
        if "sync" not in str(error) or not isinstance(target, _AsyncRunnable):
            raise
    return target.ainvoke(question)


async def _awaited(answer: Awaitable[Any], timeout: float | None) -> Any:
    try:
        async with asyncio.timeout(timeout) as limit:
            return await answer
    except TimeoutError:
        if not limit.expired():
            raise
        raise _timed_out(timeout) from None


def _timed_out(timeout: float | None) -> EscalationError:
    return EscalationError(f"the target took longer than {timeout:.3g} s")


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _read(value: Any, passages: Sequence[str]) -> tuple[str, AskResult | None]:
    result = value if isinstance(value, AskResult) else None
    if result is None:
        found = _text(getattr(value, "content", value))
    elif not result.complete:
        raise EscalationError("the target was stopped at a limit before it had an answer")
    elif result.declined:
        raise _DeclinedError
    elif result.answer is None:
        raise EscalationError("no path of the target gave an answer")
    else:
        found = result.answer
    if not _can_be_seen(found):
        raise EscalationError("the target gave no answer")
    if (fault := text_fault(found)) is not None:
        raise EscalationError(f"the target's answer {fault}")
    if passages and declines(found):
        raise _DeclinedError
    return found, result


def _text(content: object) -> str:
    """The text of a message's content, which may be a list of blocks; empty for anything else."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = []
    for block in content:
        if isinstance(block, dict) and block.get("type") == "text":
            block = block.get("text")
        if isinstance(block, str):
            texts.append(block)
    return "".join(texts)


def _can_be_seen(text: str) -> bool:
    """Whether a text has a letter, number, symbol or punctuation, and not blanks and marks alone."""
    return any(unicodedata.category(one)[0] in "LNPS" and one not in _BLANK_LETTERS for one in text)


def is_interrupt(error: BaseException) -> bool:
    """Whether somebody stops here: a person, by Ctrl-C, or LangGraph, for example to ask a person."""
    if isinstance(error, KeyboardInterrupt):
        return True
    graph = sys.modules.get("langgraph.errors")
    return graph is not None and isinstance(error, graph.GraphBubbleUp)
