"""Passing a question on: to a function, another model, or a LangChain runnable."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from et_agent.decoding.base import DecoderSettings
from et_agent.errors import EscalationError
from et_agent.gate.decision import Cost
from et_agent.gate.policy import GatePolicy
from et_agent.models.base import LanguageModel
from et_agent.results import AskResult

__all__ = ["Escalated", "ModelTarget", "Target", "call_target"]


@runtime_checkable
class Runnable(Protocol):
    """What a LangChain runnable offers."""

    def invoke(self, input: Any, /) -> Any:
        """Answer."""
        ...


Target = Callable[[str], Any] | Runnable
"""A question to an answer: a text, a message with a `content`, or an `AskResult`."""


class ModelTarget:
    """Another model of et-agent as a target; its answer is gated in its turn.

    Args:
        model: A loaded model.
        decoder: As for `et_agent.ask`.
        options: Further arguments of `et_agent.submit`.
    """

    def __init__(
        self, model: LanguageModel, *, decoder: DecoderSettings | None = None, **options: Any
    ) -> None:
        self.model, self.decoder, self.options = model, decoder, options

    def __call__(self, question: str, *, timeout: float | None = None) -> AskResult:
        """Answer; decoding is stopped when the time is over.

        Raises:
            EscalationError: It took longer than `timeout` seconds.
            EtAgentError: Decoding failed.
        """
        from et_agent.asking import submit

        pending = submit(self.model, question, decoder=self.decoder, **self.options)
        try:
            return pending.result(timeout)
        except TimeoutError as error:
            raise EscalationError(f"the model took longer than {timeout:g} s") from error
        finally:
            pending.cancel()


@dataclass(frozen=True, slots=True)
class Escalated:
    """What an escalation brought.

    Attributes:
        answer: The target's answer as text.
        result: The whole result, where the target is a model of et-agent.
        cost: Tokens, seconds and calls.
    """

    answer: str
    result: AskResult | None
    cost: Cost


def call_target(target: Target, question: str, policy: GatePolicy) -> Escalated:
    """Call a target with the policy's time limit, retries and backoff.

    A call that hangs goes on in a thread of its own, which ends with the process; what it brings is
    thrown away.

    Raises:
        EscalationError: Every call failed, took too long, or gave no answer; chained to the last
            cause.
    """
    began = time.perf_counter()
    failure: Exception | None = None
    for attempt in range(policy.retries + 1):
        if attempt:
            time.sleep(policy.backoff * 2 ** (attempt - 1))
        try:
            answer, result = _read(_call(target, question, policy.timeout))
        except Exception as error:
            failure = error
            continue
        spent = Cost(
            tokens=0 if result is None else result.usage.tokens_decoded,
            seconds=time.perf_counter() - began,
            escalations=attempt + 1,
        )
        return Escalated(answer, result, spent)
    calls = policy.retries + 1
    raise EscalationError(
        f"the escalation target failed {calls} time{'s' if calls > 1 else ''}, at last with "
        f"{type(failure).__name__}: {failure}"
    ) from failure


def _call(target: Target, question: str, timeout: float | None) -> Any:
    if isinstance(target, ModelTarget):
        return target(question, timeout=timeout)
    body: Callable[[str], Any]
    if isinstance(target, Runnable):
        body = target.invoke
    elif callable(target):
        body = target
    else:
        raise EscalationError(f"{type(target).__name__} is no target: it cannot be called")
    if timeout is None:
        return body(question)
    ended: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()

    def work() -> None:
        try:
            ended.put((True, body(question)))
        except BaseException as error:  # handed to the caller's thread
            ended.put((False, error))

    threading.Thread(target=work, name="et-agent-escalation", daemon=True).start()
    try:
        good, value = ended.get(timeout=timeout)
    except queue.Empty:
        raise EscalationError(f"the target took longer than {timeout:g} s") from None
    if not good:
        raise value
    return value


def _read(value: Any) -> tuple[str, AskResult | None]:
    result = value if isinstance(value, AskResult) else None
    found = value.answer if result is not None else getattr(value, "content", value)
    if not isinstance(found, str) or not found.strip():
        raise EscalationError("the target gave no answer")
    return found, result
