"""How far a model can be trusted, learnt from questions with known answers in a given time."""

import contextlib
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self, Unpack

from et_agent.answers import AnswerKind
from et_agent.arguments import checks_arguments
from et_agent.asking.options import AskOptions, PromptKeywords
from et_agent.calibration import Calibrator, Fingerprint
from et_agent.calibration.rows import MIN_QUESTIONS
from et_agent.decoding import EntropyTree
from et_agent.decoding.base import DecoderSettings
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError
from et_agent.evaluation.bootstrap import Interval
from et_agent.evaluation.calibrating import Labelled, calibrate, labelled_run
from et_agent.evaluation.grading import gold_answers
from et_agent.evaluation.learning_sets import LearningSet, interleaved
from et_agent.evaluation.planning import begin_run
from et_agent.evaluation.prequential import Prequential
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.running import check_same
from et_agent.evaluation.store import RunInfo, RunStore
from et_agent.evaluation.tasks import Skipped, Task, decoded

__all__ = ["LearningProgress", "ModelLearning", "Standing"]

_POOLED: Final = "pooled"
"""The method whose map `learn` can go on with."""
_SMALLER: Final = (3, 4, 8)
"""Leaves at which each tree is taken once more, so that what is learnt holds for smaller trees too."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one answer kind.

    Attributes:
        kind: The kind.
        done: Questions, those of earlier calls included.
        answered: Those of them with an answer.
        right: Those of them whose answer was right.
        ece: Expected calibration error of confidences given before each label; None for too few.
    """

    kind: AnswerKind
    done: int
    answered: int
    right: int
    ece: Interval | None


@dataclass(frozen=True, slots=True)
class LearningProgress:
    """How far the learning is.

    Attributes:
        standings: What is known of each kind.
        tokens_per_second: Of this call.
        seconds_left: Until the time is up.
    """

    standings: tuple[Standing, ...]
    tokens_per_second: float
    seconds_left: float


class ModelLearning:
    """Decodes questions with known answers and learns a calibrator for each kind of answer.

    Every question is kept in a store of runs, one run for each data set, so that a later call with the
    same settings goes on. `work` decodes until enough is known of each kind or the time is up.
    `calibrator` gives what was learnt. Use it in a `with` block, or `close` it: runs that have no
    question by then are forgotten.

    Args:
        model: A loaded model.
        sets: The questions.
        store: Where runs are kept.
        decoder: What decodes them; `EntropyTree()` if None.
        seconds: Time that this call may take.
        interval: Largest width of the 95 % interval of the ECE at which a kind is known well enough; it
            also needs 50 answers.
        name: The decoder's name in the names of runs.
        prompt: As for `evaluate`.

    Attributes:
        runs: The run of each data set.
        tracks: Confidences of each kind, given before each label.
        skipped: Questions that could not be asked.
        ended: Why `work` has ended: enough is known of every kind, the time is up, or all questions are
            used. None before.

    Raises:
        DataError: An accepted answer cannot be read.
        SettingsError: There are no questions, or a setting is out of range.
    """

    @checks_arguments
    def __init__(
        self,
        model: AnyModel,
        sets: Sequence[LearningSet],
        store: RunStore,
        *,
        decoder: DecoderSettings | None = None,
        seconds: float,
        interval: float = 0.05,
        name: str = "entropy-tree",
        **prompt: Unpack[PromptKeywords],
    ) -> None:
        if not sets:
            raise SettingsError("there are no questions to learn from: name a data set")
        if not seconds > 0:
            raise SettingsError(f"the time is {seconds:g} seconds: allow more than 0")
        if not 0 < interval <= 1:
            raise SettingsError(f"the interval is {interval:g}: use more than 0 and 1 at most")
        for one in sets:
            for item in one.items:
                gold_answers(item)
        self._model, self._sets, self._store = model, sets, store
        self._decoder = EntropyTree() if decoder is None else decoder
        self._seconds, self._interval = seconds, interval
        self._options = AskOptions(calibrator=None, **prompt)
        self.runs: dict[str, RunInfo] = {}
        try:
            kinds = {one.kind for one in sets}
            for data in dict.fromkeys(one.data for one in sets):
                self.runs[data] = begin_run(
                    store, model, self._decoder, name, data=data, kinds=kinds, **prompt
                )
            self.tracks: Mapping[AnswerKind, Prequential] = {
                kind: Prequential(self._beginning(kind))
                for kind in dict.fromkeys(one.kind for one in sets)
            }
        except BaseException:
            self.close()
            raise
        self.skipped: list[Skipped] = []
        self.ended: Literal["known", "time", "questions"] | None = None
        self._learnt: set[tuple[int, str]] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget runs that have no question; safe to call twice."""
        for run in self.runs.values():
            self._store.forget_empty(run)

    def _beginning(self, kind: AnswerKind) -> Calibrator:
        run = next(self.runs[one.data] for one in self._sets if one.kind is kind)
        fingerprint = Fingerprint.of_run(run.config, [kind.value])
        return Calibrator.general(self._model.info.parameters, fingerprint=fingerprint)

    def work(self) -> Generator[LearningProgress, None, None]:
        """Go on with what is stored; tells how far it is at the beginning and after each question.

        Close the iterator when you leave it early. What is finished by then is kept.

        Raises:
            StoreError: The store cannot be used, or another process works on one of the runs.
            DataError: A question changed since a run that is to be gone on with.
            ModelClosedError: The model was closed.
        """
        started, tokens = time.monotonic(), 0
        until = started + self._seconds
        with contextlib.ExitStack() as stack:
            for run in self.runs.values():
                stack.enter_context(self._store.working_on(run))
            stack.callback(self._take_up)  # for what is kept on the way out
            waiting = self._take_up()
            yield self._progress(0.0, until)
            tasks = self._in_turn(waiting)
            kept = decoded(self._model, self._store, tasks, self._options, until=until)
            for one in stack.enter_context(contextlib.closing(kept)):
                if isinstance(one, Skipped):
                    self.skipped.append(one)
                    continue
                self._learn(one.task, one.record)
                tokens += one.record.tokens_decoded
                yield self._progress(tokens / (time.monotonic() - started), until)
                if all(map(self.is_known, self.tracks)):
                    break
            if all(map(self.is_known, self.tracks)):
                self.ended = "known"
            else:
                self.ended = "time" if time.monotonic() >= until else "questions"

    def is_known(self, kind: AnswerKind) -> bool:
        """Whether enough is known of a kind: 50 answers at least, and a narrow interval of the ECE."""
        track = self.tracks[kind]
        width = None if (found := track.ece()) is None else found.width
        return track.answered >= MIN_QUESTIONS and width is not None and width <= self._interval

    def _take_up(self) -> dict[AnswerKind, Iterator[Task]]:
        """Learn from what is stored and new; gives the questions of each kind that are not stored."""
        stored = {data: self._stored(data) for data in self.runs}
        waiting: dict[AnswerKind, list[Task]] = {kind: [] for kind in self.tracks}
        for kind, tasks in waiting.items():
            for one, item in interleaved(some for some in self._sets if some.kind is kind):
                task = Task(self.runs[one.data], self._decoder, item)
                if (record := stored[one.data].get(item.id)) is None:
                    tasks.append(task)
                else:
                    check_same(record, item, task.run)
                    self._learn(task, record)
        return {kind: iter(tasks) for kind, tasks in waiting.items()}

    def _learn(self, task: Task, record: QuestionRecord) -> None:
        if (key := (task.run.id, task.item.id)) not in self._learnt:
            self._learnt.add(key)
            self.tracks[task.item.kind].add(record)

    def _stored(self, data: str) -> dict[str, QuestionRecord]:
        return {record.item: record for record in self._store.records(self.runs[data])}

    def _in_turn(self, waiting: dict[AnswerKind, Iterator[Task]]) -> Iterator[Task]:
        """A question of each kind in turn; none of a kind that is known by then."""
        while waiting:
            for kind in tuple(waiting):
                task = None if self.is_known(kind) else next(waiting[kind], None)
                if task is None:
                    del waiting[kind]
                else:
                    yield task

    def _progress(self, tokens_per_second: float, until: float) -> LearningProgress:
        return LearningProgress(
            tuple(
                Standing(kind, one.done, one.answered, int(one.right.sum()), one.ece())
                for kind, one in self.tracks.items()
            ),
            tokens_per_second,
            max(0.0, until - time.monotonic()),
        )

    def calibrator(self, kind: AnswerKind) -> Calibrator | None:
        """The general map after all labels of a kind that are stored; None if no answer has one.

        It holds for trees of three leaves up to those that were decoded (`labelled_run`).
        Labels that the user's own calibrator for the same has learnt (`learn`) count too. Its figures
        are those of `tracks`.
        """
        labelled = [one for data in self.runs if (one := self._labelled(data, kind)) is not None]
        if not labelled:
            return None
        found = calibrate(labelled, method=_POOLED, keep_learnt=True)
        track = self.tracks[kind]
        found.metrics_, found.reliability_ = track.metrics(), track.reliability()
        return found

    def _labelled(self, data: str, kind: AnswerKind) -> Labelled | None:
        run, stored = self.runs[data], self._stored(data)
        wanted = [
            stored[item.id]
            for one in self._sets
            if (one.data, one.kind) == (data, kind)
            for item in one.items
            if item.id in stored
        ]
        if all(record.leaves.top is None for record in wanted):
            return None
        leaves = getattr(self._decoder, "leaves", 1)
        return labelled_run(
            run.config,
            wanted,
            caps=[cap for cap in _SMALLER if cap < leaves],
            library=run.library,
            parameters=self._model.info.parameters,
        )
