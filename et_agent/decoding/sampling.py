"""Next-token distributions over the full vocabulary: entropy, draws, cumulative intervals.

One go over the logits of a step computes everything that is needed for all rows; afterwards the
logits buffer itself holds the unnormalised probabilities at the decoding temperature, so nothing of
vocabulary size is copied. Rows are worked on one after the other: a row of 150,000 float32 fits the
second-level cache of a core, twenty rows do not. The kernels do it where they are in use
(`kernels/step.py`), and numpy elsewhere.
"""

import math
from collections.abc import Iterator, Sequence
from types import EllipsisType
from typing import Final, NamedTuple, Self

import numpy as np

from et_agent.arrays import Doubles, Floats
from et_agent.errors import DecodeError
from et_agent.kernels.step import StepDraws, StepKernels, step_kernels

__all__ = ["Distribution", "StepDistributions", "TokenStatistics"]

_BLOCK: Final = 128
_ONES: Final = np.ones(_BLOCK, dtype=np.float32)
_RULED_OUT: Final = np.float32(-1e9)
_TOP: Final = 20  # tokens in DeepConf's token confidence


def _block_sums(values: Floats) -> Doubles:
    """Sums of consecutive blocks of 128 entries; BLAS is four times faster here than `sum`."""
    whole = values.size - values.size % _BLOCK
    sums = np.empty(-(-values.size // _BLOCK), dtype=np.float64)
    sums[: whole // _BLOCK] = values[:whole].reshape(-1, _BLOCK) @ _ONES
    if whole < values.size:
        sums[-1] = values[whole:].sum(dtype=np.float64)
    return sums


class TokenStatistics(NamedTuple):
    """What a next-token distribution tells about the model's certainty, all at temperature 1.

    Attributes:
        entropy: -sum p log p over the full vocabulary, nats.
        varentropy: Variance of -log p under p, nats squared.
        certainty: Self-certainty, KL(uniform || p) = -(1/V) sum log p - log V, nats; tokens that
            the model rules out are left out (arXiv 2502.18581).
        confidence: -mean log p of the 20 most likely tokens, nats (DeepConf, arXiv 2508.15260).
        lead: p1 - p2, the two most likely tokens' (CoT-decoding, arXiv 2402.10200).
    """

    entropy: float
    varentropy: float
    certainty: float
    confidence: float
    lead: float


def _largest(values: Floats) -> Floats:
    """The 20 largest values, rising; fewer where there are fewer."""
    count = min(_TOP, values.size)
    # A few hundred candidates instead of the vocabulary: the largest value is 0 here.
    for floor in (-6.0, -12.0, -24.0):
        candidates = values[values > floor]
        if candidates.size >= count:
            values = candidates
            break
    return np.sort(np.partition(values, values.size - count)[-count:])


def _analyse_row(
    logits: Floats, temperature: float, statistics: Doubles, blocks: Doubles, scratch: Floats
) -> None:
    """What `StepKernels.analyse` does, for one row and but for the running sums.

    Raises:
        DecodeError: A logit is NaN or +inf, or all are -inf; never read as "certain".
    """
    top = logits.max()
    if not np.isfinite(top):
        raise _unusable(top)
    np.subtract(logits, top, out=logits)
    likely, size = logits, logits.size
    if np.isneginf(logits.min()):  # tokens that the model rules out; 0 x -inf would be NaN
        np.maximum(logits, _RULED_OUT, out=logits)
        likely = logits[logits > _RULED_OUT]
        size, mean_logit = likely.size, float(likely.mean(dtype=np.float64))
    else:
        mean_logit = float(_block_sums(logits).sum()) / size
    largest = _largest(likely).astype(np.float64)
    np.exp(logits, out=scratch)
    total = float(_block_sums(scratch).sum())
    mean = float(scratch.dot(logits)) / total
    np.multiply(scratch, logits, out=scratch)
    square = float(scratch.dot(logits)) / total
    log_total = float(np.log(total))
    second = float(np.exp(largest[-2])) if largest.size > 1 else 0.0
    # max() clears the rounding of float32 sums: a certain token has entropy 0, not -1e-8.
    statistics[:] = (
        max(0.0, log_total - mean),
        max(0.0, square - mean * mean),
        max(0.0, log_total - mean_logit - float(np.log(size))),
        log_total - float(largest.mean()),
        (1.0 - second) / total,
        log_total,
    )
    if temperature != 1.0:
        np.multiply(logits, np.float32(1.0 / temperature), out=logits)
    np.exp(logits, out=logits)
    blocks[:] = _block_sums(logits)


def _unusable(value: float) -> DecodeError:
    return DecodeError(f"the model gave unusable logits (the largest is {value}): reload it")


class Distribution:
    """The distribution of one branch's next token. Valid until the model's next decode.

    Attributes:
        statistics: Certainty of the model's own distribution (temperature 1).
        temperature: Temperature of all draws and probabilities below; 1 or any positive number.
        total: Sum of the masses.
    """

    __slots__ = (
        "_blocks",
        "_compiled",
        "_cumulative",
        "_log_total",
        "_mass",
        "_row",
        "statistics",
        "temperature",
        "total",
    )

    def __init__(
        self,
        masses: Floats,
        temperature: float,
        statistics: Sequence[float],
        blocks: Doubles,
        cumulative: Doubles,
        compiled: StepDraws | None = None,
        row: int = 0,
    ) -> None:
        """Take what the analysis of a row gave; use `of` or `StepDistributions`."""
        *certainty, self._log_total = statistics
        self.statistics = TokenStatistics(*certainty)
        self.temperature = temperature
        self._mass = masses
        self._blocks = blocks
        self._cumulative = cumulative
        self._compiled, self._row = compiled, row
        self.total = float(cumulative[-1])

    @classmethod
    def of(cls, logits: Floats, temperature: float) -> Self:
        """Turn `logits` [V] (overwritten) into a distribution.

        Raises:
            DecodeError: A logit is NaN or +inf, or all are -inf.
        """
        statistics = np.empty(6)
        blocks = np.empty(-(-logits.size // _BLOCK))
        _analyse_row(logits, temperature, statistics, blocks, np.empty_like(logits))
        return cls(logits, temperature, statistics.tolist(), blocks, np.cumsum(blocks))

    def probability(self, token: int) -> float:
        """Probability of `token` at the decoding temperature."""
        # In this order NaN stays NaN, which no fork takes; the other way round it would be certain.
        return min(float(self._mass[token]) / self.total, 1.0)

    def log_probability(self, token: int) -> float:
        """Log-probability of `token` under the model itself (temperature 1), nats."""
        mass = float(self._mass[token])
        if mass <= 0.0:
            return -100.0 * self.temperature - self._log_total  # exp underflowed in float32
        return min(math.log(mass) * self.temperature - self._log_total, 0.0)

    def most_likely(self) -> int:
        """The token of largest probability."""
        return int(self._mass.argmax())

    def top(self, count: int, excluding: Sequence[int] = ()) -> list[int]:
        """The `count` most likely tokens in falling order, leaving out `excluding`.

        Fewer are returned when fewer have any probability.
        """
        mass = self._mass
        hidden = [(token, mass[token]) for token in excluding]
        for token in excluding:
            mass[token] = -1.0
        found: list[int] = []
        try:
            for _ in range(count):
                token = int(mass.argmax())
                if mass[token] <= 0.0:
                    break
                hidden.append((token, mass[token]))
                mass[token] = -1.0
                found.append(token)
        finally:
            for token, value in hidden:
                mass[token] = value
        return found

    def draw(self, u: float) -> int:
        """The token whose interval of the cumulative distribution (by token id) holds u in [0, 1)."""
        return self._find(u * self.total)

    def draw_excluding(self, u: float, tokens: Sequence[int]) -> int | None:
        """As `draw`, from the distribution without `tokens`; None when nothing is left."""
        if self._compiled is not None:
            return self._compiled.draw_excluding(self._row, u, tokens)
        mass = self._mass
        hidden = [(token, mass[token]) for token in tokens]
        blocks = self._blocks.copy()
        try:
            for token in tokens:
                mass[token] = 0.0
            for block in {token // _BLOCK for token in tokens}:
                part = mass[block * _BLOCK : (block + 1) * _BLOCK]
                blocks[block] = part.sum(dtype=np.float64)
            cumulative = np.cumsum(blocks)
            rest = float(cumulative[-1])
            if rest <= 0.0:
                return None
            return self._find_in(u * rest, blocks, cumulative)
        finally:
            for token, value in hidden:
                mass[token] = value

    def send(self, codes: Doubles) -> Iterator[tuple[int, Doubles]]:
        """Arithmetic sampling (arXiv 2210.15458): send codes through this distribution.

        Args:
            codes: Sorted numbers in [0, 1), float64 [n].

        Yields:
            (token, codes inside the token's interval, rescaled to [0, 1)), in token order.
        """
        position = 0
        # Rounding differs between finding a token and bounding it; a code so close to the edge goes
        # with the codes before it, or one token would come twice.
        slack = 1e-12 * self.total
        while position < codes.size:
            token = self._find(float(codes[position]) * self.total)
            low, high = self._interval(token)
            later = codes[position + 1 :] * self.total
            end = position + 1 + int(np.searchsorted(later, high + slack))
            inside = (codes[position:end] * self.total - low) / max(high - low, 1e-300)
            # Float32 sums leave a gap of 1e-7 at most between neighbours: stay inside [0, 1).
            yield token, np.clip(inside, 0.0, np.nextafter(1.0, 0.0))
            position = end

    def _find(self, target: float) -> int:
        if self._compiled is not None:
            return self._compiled.find(self._row, target)
        return self._find_in(target, self._blocks, self._cumulative)

    def _find_in(self, target: float, blocks: Doubles, cumulative: Doubles) -> int:
        block = int(np.searchsorted(cumulative, target, side="right"))
        block = min(block, blocks.size - 1)
        start = block * _BLOCK
        inner = np.cumsum(self._mass[start : start + _BLOCK], dtype=np.float64)
        # The block's sum comes from float32 BLAS, the inner one from float64: put both on one scale.
        before = float(cumulative[block] - blocks[block])
        scale = float(inner[-1]) / max(float(blocks[block]), 1e-300)
        # A target on the block's edge may lie a rounding error before it.
        within = max(0.0, target - before) * scale
        offset = int(np.searchsorted(inner, within, side="right"))
        if offset >= inner.size or (self._mass[start + offset] <= 0.0):
            return self._last_with_mass(start, inner)
        return start + offset

    def _last_with_mass(self, start: int, inner: Doubles) -> int:
        within = self._mass[start : start + inner.size]
        present = np.flatnonzero(within > 0.0)
        return start + int(present[-1]) if present.size else self.most_likely()

    def _interval(self, token: int) -> tuple[float, float]:
        block = token // _BLOCK
        start = block * _BLOCK
        inner = np.cumsum(self._mass[start : start + _BLOCK], dtype=np.float64)
        before = float(self._cumulative[block] - self._blocks[block])
        scale = float(self._blocks[block]) / max(float(inner[-1]), 1e-300)
        offset = token - start
        low = float(inner[offset - 1]) if offset else 0.0
        return before + low * scale, before + float(inner[offset]) * scale


class StepDistributions:
    """The distributions of all rows of one decode step, computed in place over its logits.

    Args:
        kernels: The compiled analysis; None for numpy. By default the kernels where they are in use.
        threads: Threads of the compiled analysis.
    """

    def __init__(
        self, kernels: StepKernels | EllipsisType | None = ..., *, threads: int = 1
    ) -> None:
        self._kernels = step_kernels() if kernels is ... else kernels
        self._threads = threads
        self._statistics = np.empty((0, 6))
        self._blocks = np.empty((0, 0))

    def _prepare(self, rows: int, size: int) -> None:
        """Have work buffers for so many rows; those of earlier steps as long as they do."""
        blocks = -(-size // _BLOCK)
        if self._blocks.shape[0] >= rows and self._blocks.shape[1] == blocks:
            return
        self._statistics = np.empty((rows, 6))
        self._blocks = np.empty((rows, blocks))
        self._cumulative = np.empty((rows, blocks))
        self._temperatures = np.empty(rows, dtype=np.float32)
        work = (1, size) if self._kernels is None else (rows, 2 * blocks)
        self._scratch = np.empty(work, dtype=np.float32)

    def analyse(self, logits: Floats, temperatures: Sequence[float]) -> list[Distribution]:
        """Distributions of the rows of `logits` [B, V], which is overwritten.

        Args:
            logits: float32 [B, V], writable and contiguous.
            temperatures: The decoding temperature of each row, length B.

        Raises:
            DecodeError: A logit is NaN or +inf, or all of a row are -inf.
        """
        rows, size = logits.shape
        self._prepare(rows, size)
        statistics, blocks, cumulative = self._statistics, self._blocks, self._cumulative
        if self._kernels is None:
            for row, temperature in enumerate(temperatures):
                scratch = self._scratch[0]
                _analyse_row(logits[row], temperature, statistics[row], blocks[row], scratch)
            np.cumsum(blocks[:rows], axis=1, out=cumulative[:rows])
        else:
            self._temperatures[:rows] = temperatures
            arrays = (self._temperatures, statistics, blocks, cumulative, self._scratch)
            unusable = self._kernels.analyse(logits, *arrays, self._threads)
            if unusable >= 0:
                raise _unusable(statistics[unusable, 0])
        found = statistics[:rows].tolist()
        kernels = self._kernels
        draws = None if kernels is None else kernels.draws(logits, blocks, cumulative)
        parts = zip(logits, temperatures, found, blocks, cumulative, strict=False)
        return [Distribution(*part, draws, row) for row, part in enumerate(parts)]
