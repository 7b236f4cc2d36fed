"""What runs on the nodes: a model, and the questions of a batch put to it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from et_agent.answers import AnswerKind
from et_agent.asking import submit
from et_agent.asking.options import AskOptions
from et_agent.asking.pending import PendingAnswer
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.thresholds import Thresholds
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError, ModelClosedError
from et_agent.evaluation.packing import PackedQuestion
from et_agent.evaluation.planning import Plan, plan_runs
from et_agent.evaluation.records import QuestionRecord
from et_agent.evaluation.store import RunInfo
from et_agent.evaluation.tasks import Skipped, Task, decoded
from et_agent.results import AskResult
from et_agent_ray.hosting import Hosting

__all__ = ["Answered", "ModelActor", "answers"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a question; one of the two is None.

    Attributes:
        result: Its result as JSON, without the tree unless that was wanted.
        error: Why there is none.
    """

    result: str | None = None
    error: str | None = None

    def unpacked(self) -> AskResult | None:
        """The result, if there is one."""
        return None if self.result is None else AskResult.model_validate_json(self.result)


def answers(
    model: AnyModel, questions: Sequence[str], options: AskOptions, *, tree: bool
) -> list[Answered]:
    """Answer questions in shared batches; one that fails does not touch the others.

    Args:
        model: A loaded model.
        questions: Their texts.
        options: How they are answered.
        tree: Whether results carry the tree.

    Raises:
        ModelClosedError: The model was closed.
    """
    exclude = None if tree else {"tree"}
    pending: list[PendingAnswer | EtAgentError] = []
    for text in questions:
        try:
            pending.append(submit(model, text, options))
        except ModelClosedError:
            raise
        except EtAgentError as error:
            pending.append(error)
    found = []
    for one in pending:
        try:
            if isinstance(one, EtAgentError):
                raise one
            found.append(Answered(one.result().model_dump_json(exclude=exclude)))
        except ModelClosedError:
            raise
        except EtAgentError as error:
            found.append(Answered(error=str(error)))
    return found


class ModelActor:
    """A model in a process of its own.

    Args:
        hosting: Which model.
        threads: CPU threads.
    """

    def __init__(self, hosting: Hosting, threads: int) -> None:
        self._hosting, self._threads = hosting, threads

    @cached_property
    def _model(self) -> AnyModel:
        return self._hosting.open(self._threads)

    def ready(self) -> str:
        """Load the model, before anything else is called, and return its fingerprint.

        Raises:
            EtAgentError: It cannot be loaded.
        """
        return self._model.info.fingerprint

    def plan(
        self,
        decoders: Mapping[str, DecoderSettings],
        data: str,
        thresholds: Thresholds | None,
        kinds: Collection[AnswerKind],
        prompt: Mapping[str, Any],
    ) -> Plan:
        """See `plan_runs`."""
        return plan_runs(
            self._model, decoders, data=data, thresholds=thresholds, kinds=kinds, **prompt
        )

    def decode(
        self, tasks: Sequence[Task], options: AskOptions
    ) -> tuple[list[tuple[int, PackedQuestion]], list[Skipped]]:
        """Decode questions of runs.

        Returns:
            Finished questions, each behind the number of its run, and those that could not be asked.

        Raises:
            ModelClosedError: The model was closed.
        """
        kept = _Packing()
        ended = list(decoded(self._model, kept, tasks, options))
        return kept.packed, [one for one in ended if isinstance(one, Skipped)]

    def answer(
        self, questions: Sequence[tuple[int, str]], options: AskOptions, tree: bool
    ) -> list[Answered]:
        """See `answers`; questions have numbers, which are of no matter here."""
        return answers(self._model, [text for _, text in questions], options, tree=tree)


class _Packing:
    """Keeps finished questions packed, in the place of a store."""

    def __init__(self) -> None:
        self.packed: list[tuple[int, PackedQuestion]] = []

    def add(
        self,
        run: RunInfo,
        record: QuestionRecord,
        texts: Sequence[str],
        traces: Mapping[str, NDArray[Any]],
    ) -> None:
        self.packed.append((run.id, PackedQuestion.of(record, texts, traces)))
