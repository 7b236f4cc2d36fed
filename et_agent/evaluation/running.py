"""Decodes the questions of a data set and keeps each as soon as it is finished."""

import contextlib
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Unpack

from et_agent.answers import AnswerKind, instruction
from et_agent.answers.joining import JOINED_KINDS
from et_agent.answers.kinds import DIRECT_INSTRUCTION
from et_agent.arguments import checks_arguments
from et_agent.asking.options import AskOptions, PromptKeywords
from et_agent.asking.thinking import Thinking
from et_agent.decoding import EntropyTree
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.direct import Direct
from et_agent.decoding.naming import described
from et_agent.decoding.thresholds import Thresholds, find_thresholds
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import DataError, SettingsError
from et_agent.evaluation.datasets.own import OWN_ENDINGS
from et_agent.evaluation.grading import gold_answers
from et_agent.evaluation.items import Item
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.evaluation.tasks import Kept, Skipped, Task, decoded, question_seed, record_of

__all__ = [
    "EvaluationProgress",
    "Skipped",
    "begin_run",
    "check_same",
    "evaluate",
    "question_seed",
    "record_of",
]

_PUBLIC_KINDS: Final = (
    AnswerKind.NUMBER,
    AnswerKind.MATH,
    AnswerKind.CHOICE,
    AnswerKind.TEXT,
)
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
    for item in items:
        gold_answers(item)
    thresholds = _thresholds(model, thresholds)
    reads = isinstance(model, LanguageModel)
    options = AskOptions(thresholds=thresholds, calibrator=None, attention=reads, **prompt)
    evaluation = _Evaluation(model, store, options, on_progress)
    if len({(type(one).__name__, one.model_dump_json()) for one in decoders.values()}) < len(
        decoders
    ):
        raise SettingsError(f"two of {', '.join(decoders)} are the same settings: name one of them")
    kinds = {item.kind for item in items}
    runs = {
        name: begin_run(
            store, model, decoder, name, data=data, thresholds=thresholds, kinds=kinds, **prompt
        )
        for name, decoder in decoders.items()
    }
    for run in runs.values():
        store.discard_damaged(run)
    skipped = evaluation.work([(runs[name], decoders[name]) for name in decoders], items)
    return [store.again(run) for run in runs.values()], skipped


def begin_run(
    store: RunStore,
    model: AnyModel,
    decoder: DecoderSettings,
    name: str,
    *,
    data: str,
    thresholds: Thresholds | None = None,
    kinds: Collection[AnswerKind] = (),
    **prompt: Unpack[PromptKeywords],
) -> RunInfo:
    """The run that `evaluate` would go on with, or a new one; see there for the arguments.

    `kinds` are those of the questions.
    """
    found, options = _thresholds(model, thresholds), AskOptions(**prompt)
    config = {
        "data": data,
        "model": {"name": model.info.name, "fingerprint": model.info.fingerprint},
        "seed": options.seed,
        "system_prompt": options.system_prompt,
        "chat": options.chat,
        # Chains know no thresholds: a new pilot must not make another run of them.
        "thresholds": found.model_dump(mode="json")
        if found is not None and isinstance(decoder, EntropyTree)
        else None,
        "instructions": _instructions(decoder, kinds) if options.system_prompt is None else None,
        "attention_layers": list(model.info.attention_layers),
        "decoder": described(decoder),
        # Of other kinds nothing is joined, and their runs are those of earlier versions.
        **({"same": "tests"} if JOINED_KINDS.intersection(kinds) else {}),
    }
    config |= _thinking(model, options, decoder)
    # A file of the user's own goes by its name.
    known = Path(data).stem if Path(data).suffix.lower() in OWN_ENDINGS else data
    label = f"{known}-{model.info.name}-{name}".replace(":", "-").replace("/", "-")
    return store.begin(label, config, parameters=model.info.parameters)


def _thinking(model: AnyModel, options: AskOptions, decoder: DecoderSettings) -> dict[str, Any]:
    """What the template is told and how long thoughts may be; nothing for models without thoughts."""
    found = Thinking.of(model, options)
    limit = None if isinstance(decoder, Direct) else found.limit
    told = {"template_options": dict(found.template) or None, "max_thinking_tokens": limit}
    return {name: value for name, value in told.items() if value is not None}


def _instructions(decoder: DecoderSettings, kinds: Collection[AnswerKind]) -> dict[str, str]:
    """The default system prompt of each kind that the decoder answers.

    The kinds of the public data sets are always there, so that a run of theirs is the same one whatever
    other kinds there are.
    """
    if isinstance(decoder, Direct):
        return {AnswerKind.CHOICE.value: DIRECT_INSTRUCTION}
    named = [kind for kind in AnswerKind if kind in _PUBLIC_KINDS or kind in kinds]
    return {kind.value: instruction(kind) for kind in named}


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


def _thresholds(model: AnyModel, given: Thresholds | None) -> Thresholds | None:
    if given is None and model.info.fingerprint:
        return find_thresholds(model.info.fingerprint)
    return given


class _Evaluation:
    def __init__(
        self,
        model: AnyModel,
        store: RunStore,
        options: AskOptions,
        on_progress: Callable[[EvaluationProgress], None] | None,
    ) -> None:
        self._model, self._store = model, store
        self._options, self._on_progress = options, on_progress
        self._started = time.perf_counter()
        self._tokens = 0
        self._done = 0
        self._done_before = 0
        self._total = 0
        self._right: dict[int, list[bool]] = {}

    def work(
        self, runs: Sequence[tuple[RunInfo, DecoderSettings]], items: Sequence[Item]
    ) -> list[Skipped]:
        wanted = {item.id: item for item in items}
        finished: dict[int, set[str]] = {}
        with contextlib.ExitStack() as stack:
            for run, _ in runs:
                stack.enter_context(self._store.working_on(run))
                # One that failed at once leaves nothing behind.
                stack.callback(self._store.forget_empty, run)
                self._store.want(run, len(items))
            for run, _ in runs:
                known = [r for r in self._store.records(run) if r.item in wanted]
                for record in known:
                    check_same(record, wanted[record.item], run)
                finished[run.id] = {record.item for record in known}
                self._right[run.id] = [record.correct for record in known]
                self._done += len(known)
            self._done_before, self._total = self._done, len(items) * len(runs)
            if self._done < self._total:
                self._report_progress(runs[0][0])
            tasks = [
                Task(run, decoder, item)
                for start in range(0, len(items), _CHUNK)
                for run, decoder in runs
                for item in items[start : start + _CHUNK]
                if item.id not in finished[run.id]
            ]
            skipped: dict[str, Skipped] = {}
            ending = stack.enter_context(
                contextlib.closing(decoded(self._model, self._store, tasks, self._options))
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
        self._right[kept.task.run.id].append(kept.record.correct)
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
                accuracy=sum(right) / len(right) if right else None,
                seconds_left=elapsed / fresh * (self._total - self._done) if fresh else None,
            )
        )
