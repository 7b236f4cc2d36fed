"""Which width of a batch and how many threads decode most tokens per second: measured and kept."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np

from et_agent.arrays import Ints
from et_agent.engines.base import DEFAULT_WIDTH, Batch
from et_agent.engines.llama_cpp.model import LlamaCppModel
from et_agent.engines.llama_cpp.trial import cpu_digest
from et_agent.errors import StoreError
from et_agent.kept import change_kept, read_kept
from et_agent.kernels.threads import cores
from et_agent.storage import cache_dir

__all__ = ["WIDTHS", "Rate", "Tuning", "find_tuning", "keep_tuning", "tune"]

WIDTHS: Final = (1, 4, 8, 12, 16, 24, 32, 48)
_DEPTH: Final = 160
"""Positions before the measured ones: half-way through a usual question."""
_STEPS: Final = 4
_CLOSE: Final = 0.97
"""A narrower batch with so much of the best rate is better: a step ends sooner."""


@dataclass(frozen=True, slots=True)
class Rate:
    """What one setting gives.

    Attributes:
        threads: CPU threads.
        width: Rows in a batch.
        tokens_per_second: Rows decoded per second, the fastest of some steps.
    """

    threads: int
    width: int
    tokens_per_second: float


@dataclass(frozen=True, slots=True)
class Tuning:
    """The settings that fit a model on a machine.

    Attributes:
        threads: CPU threads.
        width: Rows in a batch.
    """

    threads: int
    width: int

    @classmethod
    def of(cls, rates: Sequence[Rate]) -> "Tuning":
        """The narrowest batch, and the fewest threads, that come close to the best rate."""
        least = _CLOSE * max(rate.tokens_per_second for rate in rates)
        close = [rate for rate in rates if rate.tokens_per_second >= least]
        best = min(close, key=lambda rate: (rate.width, rate.threads))
        return cls(best.threads, best.width)


def tune(
    model: LlamaCppModel,
    *,
    widths: Sequence[int] = WIDTHS,
    on_rate: Callable[[Rate], None] = lambda _: None,
) -> list[Rate]:
    """Measure widths and threads on a loaded model that nobody asks: some seconds.

    Args:
        model: The model; its cache is emptied.
        widths: Rows of the batches.
        on_rate: Told of each rate.
    """
    rates = []
    for threads in sorted({max(1, cores() // 2), cores()}):
        for rate in model.submit(lambda: _measure(model, threads, widths)).result():  # noqa: B023
            rates.append(rate)
            on_rate(rate)
    return rates


def _measure(model: LlamaCppModel, threads: int, widths: Sequence[int]) -> list[Rate]:
    info = model.info
    most = min(model.configure(_DEPTH + _STEPS).sequences, info.max_outputs)
    model.use_threads(threads)
    try:
        _decode(model, np.arange(1, _DEPTH), [0] * (_DEPTH - 1), range(_DEPTH - 1))
        found = []
        for width in [one for one in widths if one < most]:
            seconds = min(_steps(model, width))
            found.append(Rate(threads, width, width / seconds))
        return found
    finally:
        model.use_threads(info.threads)
        model.configure(1)


def _steps(model: LlamaCppModel, width: int) -> Iterator[float]:
    """Seconds of steps that extend so many forks of sequence 0."""
    rows = list(range(1, width + 1))
    for row in rows:
        model.fork(0, row, _DEPTH - 1)
    for step in range(_STEPS):
        began = time.perf_counter()
        _decode(model, np.arange(10, 10 + width), rows, [_DEPTH - 1 + step] * width)
        yield time.perf_counter() - began
    for row in rows:
        model.release(row)


def _decode(
    model: LlamaCppModel, tokens: Ints, sequences: Sequence[int], positions: Sequence[int]
) -> None:
    for at in range(0, tokens.size, model.info.max_batch):
        part = slice(at, at + model.info.max_batch)
        count = tokens[part].size
        outputs = np.zeros(count, dtype=np.bool_)
        outputs[-min(count, len(set(sequences))) :] = True
        model.decode(
            Batch(
                (tokens[part] % model.info.vocabulary).astype(np.int32),
                np.array(positions[part], dtype=np.int32),
                np.array(sequences[part], dtype=np.int32),
                outputs,
            )
        )


def _file() -> Path:
    return cache_dir() / "tuning.json"


def _key(fingerprint: str, library: str) -> str:
    return "/".join((fingerprint, library, cpu_digest(), str(cores())))


def find_tuning(fingerprint: str, library: str) -> Tuning:
    """What was measured for a model with this library and CPU; the defaults where nothing was."""
    default = Tuning(cores(), DEFAULT_WIDTH)
    kept = read_kept(_file()).get(_key(fingerprint, library))
    try:
        found = default if kept is None else Tuning(**kept)
    except TypeError:
        return default
    # The type itself: what a damaged file holds may be a text, a fraction or `true`.
    whole = type(found.threads) is int and type(found.width) is int
    sound = whole and 1 <= found.threads <= cores() and 1 <= found.width <= 256
    return found if sound else default


def keep_tuning(fingerprint: str, library: str, tuning: Tuning) -> None:
    """Have `load_model` use it from now on.

    Raises:
        StoreError: The cache folder cannot be written.
    """
    path, key = _file(), _key(fingerprint, library)
    try:
        change_kept(path, lambda known: {**known, key: asdict(tuning)})
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. Free some space, or mend its "
            "permissions"
        ) from error
