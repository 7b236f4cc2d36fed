"""Questions of runs on their way through a model, in shared batches; each is kept when it ends."""

import contextlib
import hashlib
import queue
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from et_agent.asking import submit
from et_agent.asking.options import AskOptions
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError, ModelClosedError, QuestionError, StoreError
from et_agent.evaluation.grading import is_right
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo
from et_agent.uncertainty.estimators.lexical_similarity import NAME as SIMILARITY
from et_agent.uncertainty.measuring import traces
from et_agent.uncertainty.similarity import mean_rouge_l

__all__ = ["Keeps", "Kept", "Skipped", "Task", "decoded", "question_seed", "record_of"]

_AT_ONCE: Final = 32
"""Questions in the scheduler's hands: the first fill its batches, those behind fill what they leave."""


class Keeps(Protocol):
    """What takes finished questions, such as a `RunStore`."""

    def add(
        self,
        run: RunInfo,
        record: QuestionRecord,
        texts: Sequence[str],
        traces: Mapping[str, NDArray[Any]],
    ) -> None:
        """Keep a finished question; see `RunStore.add`."""


@dataclass(frozen=True, eq=False, slots=True)
class Task:
    """A question that a run lacks.

    Attributes:
        run: The run.
        decoder: What decodes it.
        item: The question.
    """

    run: RunInfo
    decoder: DecoderSettings
    item: Item


@dataclass(frozen=True, eq=False, slots=True)
class Kept:
    """A question that is finished and kept.

    Attributes:
        task: What was to be done.
        record: What is kept of it, besides texts and arrays.
    """

    task: Task
    record: QuestionRecord


@dataclass(frozen=True, slots=True)
class Skipped:
    """A question that could not be asked.

    Attributes:
        item: Its id.
        reason: Why.
    """

    item: str
    reason: str


def question_seed(seed: int, item: Item) -> int:
    """The seed of a question: its own, the same for every decoder."""
    digest = hashlib.sha256(f"{seed}/{item.id}".encode()).digest()
    return int.from_bytes(digest[:6])


def decoded(
    model: AnyModel,
    store: Keeps,
    tasks: Iterable[Task],
    options: AskOptions,
    *,
    until: float | None = None,
) -> Generator[Kept | Skipped, None, None]:
    """Decode questions and tell of each as soon as it is kept.

    When it is closed or an exception ends it, what is finished by then is kept and the rest stopped.
    Close it, so that this happens at once.

    Args:
        model: A loaded model.
        store: What keeps them.
        tasks: The questions; the next one is taken when there is room for it.
        options: How they are asked; `seed` gives each question one of its own.
        until: When to stop, by `time.monotonic`; None to go on to the end.

    Raises:
        StoreError: A question cannot be kept.
        ModelClosedError: The model was closed.
    """
    work = _Work(model, store, options, until)
    waiting = iter(tasks)
    while failed := (yield from work.decode(waiting)):
        for task in failed:  # once more, alone: those beside it may have brought it down
            again = yield from work.decode(iter([task]))
            yield from (Skipped(task.item.id, str(error)) for error in again.values())


class _Work:
    def __init__(
        self, model: AnyModel, store: Keeps, options: AskOptions, until: float | None
    ) -> None:
        self._model, self._store = model, store
        self._options, self._until = options, until
        most = model.info.max_pending if isinstance(model, LanguageModel) else None
        self._at_once = min(_AT_ONCE, most or _AT_ONCE)

    def decode(
        self, waiting: Iterator[Task]
    ) -> Generator[Kept | Skipped, None, dict[Task, EtAgentError]]:
        """Decode questions in shared batches, in this order, to the end or until some failed."""
        ended: queue.SimpleQueue[PendingAnswer] = queue.SimpleQueue()
        pending: dict[PendingAnswer, Task] = {}
        failed: dict[Task, EtAgentError] = {}
        try:
            while True:
                while not failed and len(pending) < self._at_once and not self._is_late():
                    if (task := next(waiting, None)) is None:
                        break
                    try:
                        one = self._submit(task)
                    except QuestionError as error:
                        yield Skipped(task.item.id, str(error))
                        continue
                    pending[one] = task
                    one.add_done_callback(ended.put)
                if not pending:
                    return failed
                try:
                    one = ended.get(timeout=self._seconds_left())
                except queue.Empty:
                    return {}
                task = pending[one]
                try:
                    kept = self._kept(task, one)
                except (StoreError, ModelClosedError):
                    raise
                except EtAgentError as error:
                    failed[task] = error
                    continue
                finally:
                    del pending[one]
                yield kept
        finally:
            self._keep_ended(pending)

    def _is_late(self) -> bool:
        return self._until is not None and time.monotonic() >= self._until

    def _seconds_left(self) -> float | None:
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def _submit(self, task: Task) -> PendingAnswer:
        return submit(
            self._model,
            task.item.question,
            self._options,
            decoder=task.decoder,
            kind=task.item.kind,
            seed=question_seed(self._options.seed, task.item),
        )

    def _kept(self, task: Task, pending: PendingAnswer) -> Kept:
        record, texts, arrays = record_of(task.item, pending)
        self._store.add(task.run, record, texts, arrays)
        return Kept(task, record)

    def _keep_ended(self, pending: Mapping[PendingAnswer, Task]) -> None:
        """On the way out: keep what is finished already, stop the rest."""
        ended = [one for one in pending if one.done]
        for one in pending:
            one.cancel()
        for one in ended:
            with contextlib.suppress(EtAgentError):
                self._kept(pending[one], one)


def record_of(
    item: Item, pending: PendingAnswer
) -> tuple[QuestionRecord, list[str], dict[str, Any]]:
    """What is kept of a finished question: its record, the leaf texts, arrays along tokens."""
    request = pending.request
    tree = request.result().tree
    reading = pending.reading()
    leaves = pending.leaves(reading)
    paths = [tree.path(branch.id) for branch in tree.branches]
    similarity = mean_rouge_l(paths, [branch.codes for branch in tree.branches])
    record = QuestionRecord(
        item=item.id,
        question=item.fingerprint,
        kind=item.kind.value,
        subject=item.subject,
        answers=reading.classes.labels,
        right=tuple(is_right(answer, item) for answer in reading.classes.labels),
        leaves=leaves,
        prompt_tokens=len(request.prompt) + request.run.given_tokens,
        tokens_decoded=tree.tokens_decoded,
        tokens_as_chains=tree.tokens_as_chains,
        seconds=request.cost,
        extras={} if similarity is None else {SIMILARITY: similarity},
        answerable=pending.answerable(),
    )
    return record, reading.texts, traces(tree)
