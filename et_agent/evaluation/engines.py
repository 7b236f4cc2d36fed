"""Where the questions of runs are decoded: in this process, or elsewhere."""

from collections.abc import Collection, Generator, Iterable, Mapping
from typing import Protocol, Unpack

from et_agent.answers import AnswerKind
from et_agent.asking.options import AskOptions, PromptKeywords
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.thresholds import Thresholds
from et_agent.engines.sampled import AnyModel
from et_agent.evaluation.planning import Plan, plan_runs
from et_agent.evaluation.store import RunStore
from et_agent.evaluation.tasks import Kept, Skipped, Task, decoded

__all__ = ["EvaluationEngine", "LocalEngine"]


class EvaluationEngine(Protocol):
    """What `evaluate_on` needs of the place where questions are decoded."""

    def plan(
        self,
        decoders: Mapping[str, DecoderSettings],
        *,
        data: str,
        thresholds: Thresholds | None,
        kinds: Collection[AnswerKind],
        **prompt: Unpack[PromptKeywords],
    ) -> Plan:
        """Plan a run for each decoder, as `plan_runs` does with the model."""

    def decoded(
        self, store: RunStore, tasks: Iterable[Task], options: AskOptions
    ) -> Generator[Kept | Skipped, None, None]:
        """Decode questions and tell of each as soon as it is kept, as `tasks.decoded` does.

        Each of them is kept once or skipped. When the generator is closed or an exception ends it, what
        was told of is kept, and nothing goes on.
        """


class LocalEngine:
    """Decodes with a model of this process.

    Args:
        model: A loaded model, which the caller closes.
    """

    def __init__(self, model: AnyModel) -> None:
        self._model = model

    def plan(
        self,
        decoders: Mapping[str, DecoderSettings],
        *,
        data: str,
        thresholds: Thresholds | None,
        kinds: Collection[AnswerKind],
        **prompt: Unpack[PromptKeywords],
    ) -> Plan:
        """See `plan_runs`."""
        return plan_runs(
            self._model, decoders, data=data, thresholds=thresholds, kinds=kinds, **prompt
        )

    def decoded(
        self, store: RunStore, tasks: Iterable[Task], options: AskOptions
    ) -> Generator[Kept | Skipped, None, None]:
        """See `tasks.decoded`."""
        return decoded(self._model, store, tasks, options)
