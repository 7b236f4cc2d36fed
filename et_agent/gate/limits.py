"""The limits of a decision, and asking within them."""

import time
from dataclasses import dataclass
from typing import Unpack

from et_agent.asking import submit
from et_agent.asking.options import DEFAULTS, AskKeywords, AskOptions
from et_agent.asking.pending import ProgressCallback
from et_agent.decoding.request import Request
from et_agent.engines.sampled import AnyModel
from et_agent.gate.decision import Cost
from et_agent.gate.policy import GatePolicy
from et_agent.results import AskResult

__all__ = ["Limits", "ask_within"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Tokens and seconds that are left; None for no limit."""

    tokens: int | None = None
    seconds: float | None = None

    @classmethod
    def of(cls, policy: GatePolicy, spent: Cost | None = None) -> "Limits":
        """What a policy still allows after what was spent."""
        cost = Cost() if spent is None else spent
        tokens, seconds = policy.max_tokens, policy.max_seconds
        return cls(
            None if tokens is None else tokens - cost.tokens,
            None if seconds is None else seconds - cost.seconds,
        )

    def reached(self, tokens: int, seconds: float) -> bool:
        """Whether this many tokens or seconds use up what is left."""
        return (self.tokens is not None and tokens >= self.tokens) or (
            self.seconds is not None and seconds >= self.seconds
        )

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        return self.reached(0, 0.0)


def ask_within(
    model: AnyModel,
    question: str,
    limits: Limits,
    options: AskOptions = DEFAULTS,
    *,
    on_progress: ProgressCallback | None = None,
    **changes: Unpack[AskKeywords],
) -> AskResult:
    """Ask, and stop the tree when a limit is reached. The result is then incomplete.

    Time counts from now, that of other questions before it included.

    Args:
        model: A loaded model.
        question: The question.
        limits: Tokens and seconds.
        options: How the question is answered.
        on_progress: As for `submit`.
        changes: Fields of `AskOptions` by name.

    Raises:
        EtAgentError: As for `submit` and `PendingAnswer.result`.
    """
    began = time.perf_counter()
    pending = submit(model, question, options, on_progress=on_progress, **changes)
    note = pending.request.on_step
    if limits.seconds is not None:
        for request in pending.requests:
            request.deadline = began + limits.seconds

    def watch(request: Request) -> None:
        if limits.reached(request.run.tree.tokens_decoded, time.perf_counter() - began):
            pending.cancel()
        if note is not None:
            note(request)

    pending.request.on_step = watch
    try:
        if limits.seconds is None:
            return pending.result()
        try:
            return pending.result(max(0.0, limits.seconds + began - time.perf_counter()))
        except TimeoutError:
            pending.cancel()
            return pending.result()
    except BaseException:
        pending.cancel()
        raise
