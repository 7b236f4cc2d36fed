"""The limits of a decision, and asking within them."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, Unpack

from et_agent.asking import submit
from et_agent.asking.options import DEFAULTS, AskKeywords, AskOptions
from et_agent.asking.pending import PendingAnswer, ProgressCallback
from et_agent.decoding.continued import ContinuedRun
from et_agent.decoding.request import Request
from et_agent.engines.sampled import AnyModel
from et_agent.gate.decision import Cost
from et_agent.gate.policy import GatePolicy
from et_agent.results import AskResult

__all__ = ["Limits", "Spending", "ask_within"]

T = TypeVar("T")


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


class Spending:
    """What several runs, one after another, take together of the limits of a decision.

    Time counts from when it was made, that of other questions before a run included. The scheduler
    stops a run in time, and makes shorter batches before that; whoever waits for a server does it.

    Attributes:
        tokens: Tokens that runs which have ended generated.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._began = time.perf_counter()
        self.tokens = 0
        self.reached = False

    @property
    def seconds(self) -> float:
        """Wall time so far."""
        return time.perf_counter() - self._began

    @property
    def deadline(self) -> float | None:
        """`time.perf_counter()` at which the time is up; None for never."""
        return None if self._limits.seconds is None else self._began + self._limits.seconds

    def watch(self, request: Request) -> None:
        """Stop a run at the limit of tokens; called after each of its steps."""
        if self._limits.reached(self.tokens + _generated(request), 0.0):
            request.cancel()

    def wait(self, request: Request | PendingAnswer, result: Callable[[float | None], T]) -> T:
        """Wait for what is made of a run, and stop that in time."""
        most = self._limits.seconds
        try:
            return result(None if most is None else max(0.0, most - self.seconds))
        except TimeoutError:
            request.cancel()
            return result(None)
        except BaseException:
            request.cancel()
            raise

    def count(self, request: Request) -> None:
        """Count what a run took, once it has ended."""
        self.tokens += _generated(request)
        self.reached |= request.run.cancelled


def _generated(request: Request) -> int:
    run = request.run
    return run.tokens_generated if isinstance(run, ContinuedRun) else run.tree.tokens_decoded


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
    spending = Spending(limits)
    pending = submit(model, question, options, on_progress=on_progress, **changes)
    note = pending.request.on_step
    for request in pending.requests:
        request.deadline = spending.deadline

    def watch(request: Request) -> None:
        spending.watch(request)
        if note is not None:
            note(request)

    pending.request.on_step = watch
    return spending.wait(pending, pending.result)
