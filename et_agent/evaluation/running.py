"""Decodes the questions of a data set and keeps each as soon as it is finished."""

import contextlib
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Unpack

from et_agent.arguments import checks_arguments
from et_agent.asking.options import AskOptions, PromptKeywords
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.thresholds import Thresholds
from et_agent.engines.sampled import AnyModel
from et_agent.errors import DataError, SettingsError
from et_agent.evaluation.engines import EvaluationEngine, LocalEngine
from et_agent.evaluation.grading import gold_answers
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.evaluation.tasks import Kept, Skipped, Task, question_seed, record_of

__all__ = [
    "EvaluationProgress",
    "Skipped",
    "check_same",
    "evaluate",
    "evaluate_on",
    "question_seed",
    "record_of",
]

_CHUNK: Final = 16
"""Questions of one decoder before the next one has its turn, so that partial runs are paired."""


@dataclass(frozen=True, slots=True)
class EvaluationProgress:
    """How far an evaluation is.

    Attributes:
        run: Name of the run that just got a question; at the beginning, of the first one.
        done, total: Questions of all runs, those of earlier calls included.
        tokens_per_second: Of this call.
        accuracy: Of that run, all its questions included; None before the first.
        seconds_left: Estimate; None before the first question.
    """

    run: str
    done: int
    total: int
    tokens_per_second: float
    accuracy: float | None
    seconds_left: float | None


@checks_arguments
def evaluate(
    model: AnyModel,
    items: Sequence[Item],
    decoders: Mapping[str, DecoderSettings],
    store: RunStore,
    *,
    data: str,
    thresholds: Thresholds | None = None,
    on_progress: Callable[[EvaluationProgress], None] | None = None,
    **prompt: Unpack[PromptKeywords],
) -> tuple[list[RunInfo], list[Skipped]]:
    """Decode every question with every decoder; what is finished already is left alone.

    Args:
        model: A loaded model.
        items: The questions; give a run more of them later to extend it.
        decoders: Settings by name.
        store: Where runs are kept.
        data: Name of the data set and split, for the configuration.
        thresholds: Pilot thresholds; found by the model's fingerprint if None.
        on_progress: Called at the beginning and after every question.
        prompt: `seed`, from which each question gets one of its own, `system_prompt`, which replaces
            the default instruction of each answer kind, `chat`, and what there is to say about thoughts
            (`thinking`, `template_options`, `max_thinking_tokens`), as in `AskOptions`.

    Returns:
        The runs, in the order of `decoders`, and the questions that could not be asked or whose
        decoding failed; the next call tries these again.

    Raises:
        StoreError: The store cannot be used, or another process works on one of the runs.
        DataError: An item's accepted answers cannot be read, or a question changed since a run that
            is to be gone on with.
        SettingsError: Two decoders are the same.
        ModelClosedError: The model was closed; what was finished before is kept.
    """
    return evaluate_on(
        LocalEngine(model),
        items,
        decoders,
        store,
        data=data,
        thresholds=thresholds,
        on_progress=on_progress,
        **prompt,
    )


def evaluate_on(
    engine: EvaluationEngine,
    items: Sequence[Item],
    decoders: Mapping[str, DecoderSettings],
    store: RunStore,
    *,
    data: str,
    thresholds: Thresholds | None = None,
    on_progress: Callable[[EvaluationProgress], None] | None = None,
    **prompt: Unpack[PromptKeywords],
) -> tuple[list[RunInfo], list[Skipped]]:
    """Decode where an engine does; see `evaluate` for the rest."""
    for item in items:
        gold_answers(item)
    if len({(type(one).__name__, one.model_dump_json()) for one in decoders.values()}) < len(
        decoders
    ):
        raise SettingsError(f"two of {', '.join(decoders)} are the same settings: name one of them")
    kinds = {item.kind for item in items}
    plan = engine.plan(decoders, data=data, thresholds=thresholds, kinds=kinds, **prompt)
    runs: dict[str, RunInfo] = {}
    with contextlib.ExitStack() as stack:
        for name, one in plan.runs.items():
            runs[name] = store.begin(one.name, one.config, made_with=one.made_with)
            # One that failed at once leaves nothing behind.
            stack.callback(store.forget_empty, runs[name])
            store.discard_damaged(runs[name])
        evaluation = _Evaluation(engine, store, plan.options, on_progress)
        skipped = evaluation.work([(runs[name], decoders[name]) for name in decoders], items)
    return [store.again(run) for run in runs.values()], skipped


def check_same(record: QuestionRecord, item: Item, run: RunInfo) -> None:
    """Refuse a stored question whose text or accepted answers have changed since.

    Raises:
        DataError: They have.
    """
    if record.question != item.fingerprint:
        raise DataError(
            f"{item.id} is no longer the question that the run {run.name} has under this name: "
            "restore the data, or use another --store"
        )


class _Evaluation:
    def __init__(
        self,
        engine: EvaluationEngine,
        store: RunStore,
        options: AskOptions,
        on_progress: Callable[[EvaluationProgress], None] | None,
    ) -> None:
        self._engine, self._store = engine, store
        self._options, self._on_progress = options, on_progress
        self._started = time.perf_counter()
        self._tokens = 0
        self._done = 0
        self._done_before = 0
        self._total = 0
        self._right: dict[int, Counter[bool]] = {}

    def work(
        self, runs: Sequence[tuple[RunInfo, DecoderSettings]], items: Sequence[Item]
    ) -> list[Skipped]:
        wanted = {item.id: item for item in items}
        finished: dict[int, set[str]] = {}
        with contextlib.ExitStack() as stack:
            for run, _ in runs:
                stack.enter_context(self._store.working_on(run))
                self._store.want(run, len(items))
            for run, _ in runs:
                known: set[str] = set()
                right: Counter[bool] = Counter()
                finished[run.id], self._right[run.id] = known, right
                for record in self._store.each_record(run):
                    if record.item in wanted:
                        check_same(record, wanted[record.item], run)
                        known.add(record.item)
                        right[record.correct] += 1
                self._done += len(known)
            self._done_before, self._total = self._done, len(items) * len(runs)
            if self._done < self._total:
                self._report_progress(runs[0][0])
            tasks = (
                Task(run, decoder, item)
                for start in range(0, len(items), _CHUNK)
                for run, decoder in runs
                for item in items[start : start + _CHUNK]
                if item.id not in finished[run.id]
            )
            skipped: dict[str, Skipped] = {}
            ending = stack.enter_context(
                contextlib.closing(self._engine.decoded(self._store, tasks, self._options))
            )
            for one in ending:
                if isinstance(one, Skipped):
                    skipped[one.item] = one
                    self._total -= 1
                else:
                    self._note(one)
        return list(skipped.values())

    def _note(self, kept: Kept) -> None:
        self._done += 1
        self._tokens += kept.record.tokens_decoded
        self._right[kept.task.run.id][kept.record.correct] += 1
        self._report_progress(kept.task.run)

    def _report_progress(self, run: RunInfo) -> None:
        if self._on_progress is None:
            return
        elapsed = time.perf_counter() - self._started
        fresh = self._done - self._done_before
        right = self._right[run.id]
        self._on_progress(
            EvaluationProgress(
                run=run.name,
                done=self._done,
                total=self._total,
                tokens_per_second=self._tokens / elapsed,
                accuracy=right[True] / right.total() if right else None,
                seconds_left=elapsed / fresh * (self._total - self._done) if fresh else None,
            )
        )
