"""The limits of a decision, and asking within them."""

from dataclasses import dataclass
from typing import Unpack

from et_agent.asking import submit
from et_agent.asking.options import DEFAULTS, AskKeywords, AskOptions
from et_agent.asking.pending import PendingAnswer, ProgressCallback
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
    pending = submit(model, question, options, on_progress=on_progress, **changes)
    note = pending.request.on_step

    def watch(request: Request) -> None:
        if limits.reached(request.run.tree.tokens_decoded, request.seconds):
            pending.cancel()
        if note is not None:
            note(request)

    pending.request.on_step = watch
    try:
        return _result(pending, limits.seconds)
    except BaseException:
        pending.cancel()
        raise


def _result(pending: PendingAnswer, seconds: float | None) -> AskResult:
    """Wait for the result. Nothing may happen for long where a server answers, so the time is kept."""
    left = seconds
    while True:
        try:
            return pending.result(None if left is None else max(0.0, left))
        except TimeoutError:
            assert seconds is not None
            left = seconds - pending.request.seconds
            if left <= 0:
                pending.cancel()
                return pending.result()
