"""Chains of models that give whole replies: a run of samples, and a question on its way to a server."""

import math
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

from et_agent.decoding.base import DecoderSettings, Run, RunInputs
from et_agent.decoding.request import Request, StepCallback, harmless
from et_agent.decoding.sampling import TokenStatistics
from et_agent.decoding.stopping import ToCome
from et_agent.decoding.tree import Branch, Finish, ForkKind
from et_agent.engines.sampled import Sample, SampledModel, SampleRequest, SampleUsage, Token
from et_agent.waiting import model_thread

__all__ = ["ChainDecoder", "SampledRequest", "SampledRun", "prepare_samples"]

_TOP = 20
"""Likeliest tokens that DeepConf's confidence is a mean of."""


@runtime_checkable
class ChainDecoder(Protocol):
    """A decoder whose leaves are whole replies, so that models that give only these can serve it."""

    def start_sampling(self, inputs: RunInputs) -> "SampledRun":
        """Begin with one question."""
        ...


class SampledRun(Run):
    """A run of whole replies.

    Its tree is that of independent chains. They are put into it in the order of their numbers,
    whichever comes first.

    Args:
        settings: The decoder's settings.
        inputs: As for every run; no prompt of tokens is known.
        sizes: How many chains there are after each batch.
        stop_risk: Risk at which it stops early; None never does.
        sampling_temperature: That of the samples; 0 for the likeliest tokens.
    """

    def __init__(
        self,
        settings: DecoderSettings,
        inputs: RunInputs,
        sizes: Sequence[int],
        *,
        stop_risk: float | None = None,
        sampling_temperature: float | None = None,
    ) -> None:
        super().__init__(settings, inputs)
        self._sizes, self._stop_risk = list(sizes), stop_risk
        self.sampling_temperature = (
            settings.temperature if sampling_temperature is None else sampling_temperature
        )
        self._early: dict[int, Sample] = {}
        self._taken = 0

    def wanted(self) -> range:
        """Numbers of the chains to sample next, when the last ones have come; none at the end."""
        if self.finished:
            return range(0)
        left = [size for size in self._sizes if size > self._taken]
        to_come = ToCome(self._sizes[-1] - self._taken)
        if left and self._taken and self._is_decided(self._stop_risk, to_come):
            self.stopped = "decided"
            left = []
        if not left:
            self._running.clear()
            return range(0)
        return range(self._taken, left[0])

    def take(self, number: int, sample: Sample) -> None:
        """Take the sample of a chain."""
        self._early[number] = sample
        while self._taken in self._early:
            self._add(self._early.pop(self._taken))

    def cancel(self) -> None:
        """Stop: samples that have come are kept."""
        for number in sorted(self._early):
            self._add(self._early.pop(number))
        self.cancelled |= not self.finished
        first = self.tree.branches[0]
        if first.finish is None:
            first.finish = Finish.CANCELLED
        self._running.clear()

    def _add(self, sample: Sample) -> None:
        branch = self._next_branch()
        self._taken += 1
        for one in sample.tokens:
            branch.tokens.append(one.token)
            branch.log_probs.append(one.log_prob)
            # At the decoding temperature it would take the other logits.
            branch.probabilities.append(
                math.exp(one.log_prob) if self.temperature == 1.0 else math.nan
            )
            branch.statistics.append(_statistics(one))
        branch.finish = Finish.STOP if sample.finish == "stop" else Finish.LENGTH

    def _next_branch(self) -> Branch:
        tree = self.tree
        if self._taken == 0:
            return tree.branches[0]
        if self._taken == 1:
            (made,) = tree.fork(0, 0, ForkKind.INDEPENDENT, math.nan, 0.5, [0.5])
        else:
            (made,) = tree.widen(0, 0, 1)
        return made


def _statistics(token: Token) -> TokenStatistics:
    """What the listed alternatives tell. What takes the whole vocabulary is not known."""
    top = token.top
    return TokenStatistics(
        entropy=math.nan,
        varentropy=math.nan,
        certainty=math.nan,
        confidence=-math.fsum(top[:_TOP]) / _TOP if len(top) >= _TOP else math.nan,
        lead=math.exp(top[0]) - math.exp(top[1]) if len(top) > 1 else math.nan,
    )


@dataclass(eq=False, kw_only=True)
class SampledRequest(Request):
    """A question on its way to a model that gives samples.

    Its steps are the server's replies. It is ended in the thread that ends it: the model's, or that
    of who cancels it.

    Attributes:
        asked: What the server is asked.
    """

    asked: SampleRequest
    _usage: SampleUsage = field(default_factory=SampleUsage)
    _sampling: "Future[SampleUsage] | None" = None
    _over: bool = False
    _lock: "threading.RLock" = field(default_factory=threading.RLock)

    @property
    def served(self) -> SampledModel:
        """The model."""
        assert isinstance(self.model, SampledModel)
        return self.model

    @property
    def sampled_run(self) -> SampledRun:
        """The run."""
        assert isinstance(self.run, SampledRun)
        return self.run

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the prompt, as the server counts them; 0 where it does not say."""
        return self._usage.prompt_tokens or 0

    @property
    def tokens_decoded(self) -> int:
        """Generated tokens, as the server counts them, else pieces of replies."""
        came, told = super().tokens_decoded, self._usage.completion_tokens
        # Of a cancelled run it is not known what the server has generated. Some servers count one
        # reply of n.
        return came if told is None or self.run.cancelled else max(came, told)

    @property
    def reasoning_tokens(self) -> int | None:
        """Generated tokens of thoughts, as the server counts them."""
        return self._usage.reasoning_tokens

    def begin(self) -> None:
        """Ask the server.

        Raises:
            ModelClosedError: The model was closed.
        """
        self.started = time.perf_counter()
        self._go_on()

    def cancel(self) -> None:
        """Stop at once and close the connections; samples that have come are kept."""
        super().cancel()
        with self._lock:
            sampling = self._sampling
        if sampling is not None:
            sampling.cancel()

    def _go_on(self) -> None:
        with self._lock:
            if self.cancelled:
                self.sampled_run.cancel()
            chains = self.sampled_run.wanted()
            if chains and not self._over:
                self._sampling = self.served.sample(self.asked, chains, self._take)
        if chains and self._sampling is not None:
            self._sampling.add_done_callback(self._ended)
        else:
            self._stop(None)

    def _take(self, number: int, sample: Sample) -> None:
        with self._lock:
            if not self._over and not self.cancelled:
                self.sampled_run.take(number, sample)
                if self.on_step is not None:
                    with model_thread():
                        self._step()

    def _step(self) -> None:
        assert self.on_step is not None
        try:
            self.on_step(self)
        except BaseException as error:  # sys.exit() would end the thread that serves all questions
            raise harmless(error) from error

    def _ended(self, sampling: "Future[SampleUsage]") -> None:
        try:
            usage = sampling.result()
            with self._lock:
                self._usage = _sum(self._usage, usage) if self.steps else usage
                self.steps += usage.requests
                self.cached = self._usage.cached_tokens or 0
            self._go_on()
        except CancelledError:
            self._stop(None)
        except BaseException as error:
            # Not only Exception: who waits must hear of whatever stopped it.
            self._stop(error)

    def _stop(self, error: BaseException | None) -> None:
        with self._lock:
            if self._over:
                return
            self._over = True
            self.sampled_run.cancel()
        # Without the lock: who waits is called back.
        self.end(error)

    def end(self, error: BaseException | None = None) -> None:
        """Tell those who wait."""
        self.cost = self.seconds
        super().end(error)


def _sum(one: SampleUsage, other: SampleUsage) -> SampleUsage:
    def both(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a + b

    return replace(
        one,
        requests=one.requests + other.requests,
        completion_tokens=both(one.completion_tokens, other.completion_tokens),
        reasoning_tokens=both(one.reasoning_tokens, other.reasoning_tokens),
    )


def prepare_samples(
    model: SampledModel,
    asked: SampleRequest,
    decoder: ChainDecoder,
    inputs: RunInputs,
    *,
    on_step: StepCallback | None = None,
) -> SampledRequest:
    """Start the run of a question, but ask nothing yet.

    Args:
        model: The model.
        asked: What the server is asked; the run says at which temperature.
        decoder: The decoder.
        inputs: What it must know.
        on_step: Called in the model's thread after each sample.
    """
    run = decoder.start_sampling(inputs)
    asked = replace(asked, temperature=run.sampling_temperature)
    return SampledRequest(model, [], run, on_step, asked=asked)
