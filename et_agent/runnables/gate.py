"""The gate as a runnable, from the result of a tree to a decision or the output of a branch."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from langchain_core.callbacks.manager import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import coerce_to_runnable
from langchain_core.runnables.config import patch_config, run_in_executor
from langchain_core.runnables.utils import ConfigurableFieldSpec, get_unique_config_specs
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from et_agent.errors import EscalationError, InputError, SettingsError
from et_agent.gate import Action, Decision, Gate, GatePolicy
from et_agent.gate.escalation import is_interrupt
from et_agent.results import AskResult
from et_agent.runnables.base import SettingsRunnable
from et_agent.runnables.driving import closed_after
from et_agent.validation import type_of

__all__ = ["GateRunnable"]


def _gate(value: object) -> object:
    """A gate from a policy, or from a policy's fields as serialised runnables have them."""
    if isinstance(value, Mapping):
        value = GatePolicy(**{str(name): one for name, one in value.items()})
    return Gate(value) if isinstance(value, GatePolicy) else value


def _branch(value: Any) -> Runnable[Any, Any] | None:
    try:
        return None if value is None else coerce_to_runnable(value)
    except TypeError as error:  # pydantic explains a ValueError only
        raise ValueError(f"{type_of(value)} cannot be a branch: pass a runnable") from error


DecisionBranch = Annotated[Runnable[Any, Any] | None, BeforeValidator(_branch)]


class GateRunnable(SettingsRunnable[AskResult, Any]):
    """Decides what to do with the result of a tree: answer, escalate, abstain or ask back.

        question = RunnableLambda(lambda decision: decision.question)
        gate = GateRunnable(
            gate=GatePolicy(answer_at=0.8),
            answer=lambda decision: decision.answer,
            escalate=question | stronger_chat_model | StrOutputParser(),
            abstain=lambda decision: f"I do not know. {decision.reason}",
        )
        (prompt | tree | gate).invoke({"question": "…"})

    If there is a branch for the decision, it gets the `Decision` (with its `question`,
    `alternatives`, `reason` and so on), and its output is the output. Otherwise the output is the
    `Decision`. Callables and dicts become runnables, as elsewhere in LangChain. The run of a branch is
    a child of this run, and what it streams is streamed.

    If there is an `escalate` branch, it escalates, and the gate's own target is not called. The
    policy's budget still counts the question, and the log stores the decision as `escalate`. An
    exception of the branch is raised as an `EscalationError`. The policy's `retries`, `timeout` and
    `fallback` only apply to targets; use `with_retry()` and `with_fallbacks(…)` for a branch. Without
    the branch, the gate calls its target (`Gate(policy, escalate=…)`) and falls back as the policy
    says. The decision is then `answer` or `abstain` and goes to that branch. With neither branch nor
    target, the gate abstains instead of escalating.

    The tree is decoded before the gate runs. The policy's `max_tokens` and `max_seconds` include what
    the tree took, and limit what follows, except in branches.

    A gate is shared, not copied: all calls count towards one budget, whatever `configurable_fields`
    change. It can be pickled and serialised if it was made from a policy. The count then starts anew.

    Raises, when called:
        InputError: The input is not an `AskResult`.
        PolicyError: The policy has no such topic.
        EscalationError: The `escalate` branch raised an exception, which is chained.
        StoreError: The decision cannot be logged.
        EtAgentError: The readings of an unclear question could not be decoded.
    """

    gate: Annotated[Gate, BeforeValidator(_gate), WithJsonSchema({"type": "object"})]
    """A `Gate`, or a `GatePolicy` from which one is made."""
    answer: DecisionBranch = None
    """Gets the decision if the answer is given."""
    escalate: DecisionBranch = None
    """Gets the decision if the question is to be escalated."""
    abstain: DecisionBranch = None
    """Gets the decision if no answer is given."""
    clarify: DecisionBranch = None
    """Gets the decision if the user is to be asked back."""
    topic: str | None = None
    """Topic or tool whose policy applies."""
    asked: int = Field(default=0, ge=0)
    """How often the user has been asked back about this question already. Set it per call."""
    target_error: float | None = Field(default=None, gt=0, lt=1)
    """Largest share of wrong answers among those given. It replaces the policy's `answer_at` with
    1 - `target_error`. Calibrated confidences keep to it on average; of those from the general map,
    the lower end of the interval is compared. For a guarantee, use a threshold from `RiskControl`
    (`GatePolicy.from_threshold`)."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    @model_validator(mode="after")
    def _check(self) -> "GateRunnable":
        self._policy()
        return self

    def _policy(self) -> GatePolicy:
        """The gate's policy, `target_error` included."""
        policy = self.gate.policy
        if self.target_error is None:
            return policy
        return policy.changed(answer_at=1.0 - self.target_error)

    @property
    def InputType(self) -> type[AskResult]:  # noqa: N802
        """The result type of a tree."""
        return AskResult

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """A decision, or whatever the branches return."""
        return Any if self._branches() else Decision

    @property
    def config_specs(self) -> list[ConfigurableFieldSpec]:
        """What can be configured in the branches."""
        return get_unique_config_specs(
            spec for branch in self._branches().values() for spec in branch.config_specs
        )

    def _branches(self) -> dict[Action, Runnable[Any, Any]]:
        found = {action: getattr(self, action.value) for action in Action}
        return {action: branch for action, branch in found.items() if branch is not None}

    def invoke(self, input: AskResult, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Decide, and let the decision's branch go on; `kwargs` are fields for this call."""

        def run(
            value: AskResult, run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> Any:
            way = self._way(value, kwargs)
            if way.branch is None:
                return way.decision
            with way.failures():
                return way.branch.invoke(way.decision, way.config(config, run_manager))

        return self._call_with_config(run, input, config)

    async def ainvoke(
        self, input: AskResult, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """`invoke` without blocking the event loop: the gate decides in an executor."""

        async def run(
            value: AskResult, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> Any:
            way = await run_in_executor(None, self._way, value, kwargs)
            if way.branch is None:
                return way.decision
            with way.failures():
                return await way.branch.ainvoke(way.decision, way.config(config, run_manager))

        return await self._acall_with_config(run, input, config)

    def stream(
        self, input: AskResult, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """Decide, and yield the decision or what its branch streams."""

        def chunks(
            inputs: Iterator[AskResult],
            run_manager: CallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> Iterator[Any]:
            way = self._way(next(inputs), kwargs)
            if way.branch is None:
                yield way.decision
                return
            with way.failures():
                yield from way.branch.stream(way.decision, way.config(config, run_manager))

        yield from self._transform_stream_with_config(iter([input]), chunks, config)

    async def astream(
        self, input: AskResult, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        """`stream` without blocking the event loop."""

        async def chunks(
            inputs: AsyncIterator[AskResult],
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> AsyncIterator[Any]:
            way = await run_in_executor(None, self._way, await anext(inputs), kwargs)
            if way.branch is None:
                yield way.decision
                return
            branch = way.branch.astream(way.decision, way.config(config, run_manager))
            with way.failures():
                async with closed_after(branch) as stream:
                    async for chunk in stream:
                        yield chunk

        async def one() -> AsyncIterator[AskResult]:
            yield input

        run = self._atransform_stream_with_config(one(), chunks, config)
        async with closed_after(run) as stream:
            async for chunk in stream:
                yield chunk

    def _way(self, value: object, changes: Mapping[str, Any]) -> "_Way":
        """Where a result goes."""
        gate = self.changed(changes)
        branches = gate._branches()
        decision = gate.gate.resolve(
            _result(value),
            policy=gate._policy(),
            topic=gate.topic,
            asked=gate.asked,
            hand_over=Action.ESCALATE in branches,
        )
        return _Way(decision, branches.get(decision.action))

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The gate's policy, where the gate is nothing but that."""
        return {"gate": self.gate.policy.model_dump(mode="json")} if _is_plain(self.gate) else {}

    def _picklable(self) -> dict[str, Any]:
        if not _is_plain(self.gate):
            raise SettingsError(
                "a gate with a target, a clarifier or a log of its own cannot be pickled: make the "
                "runnable from a policy (GateRunnable(gate=GatePolicy(…))), with an escalate branch "
                "for the target"
            )
        return {**super()._picklable(), "gate": self.gate.policy}


@dataclass(frozen=True, slots=True)
class _Way:
    """A decision and the branch that goes on with it."""

    decision: Decision
    branch: Runnable[Any, Any] | None

    def config(
        self,
        config: RunnableConfig,
        run_manager: CallbackManagerForChainRun | AsyncCallbackManagerForChainRun,
    ) -> RunnableConfig:
        """The branch's config: a child run with a tag that says which branch it is."""
        tag = f"branch:{self.decision.action.value}"
        return patch_config(config, callbacks=run_manager.get_child(tag))

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Turn what an escalation raises into an `EscalationError`."""
        try:
            yield
        except Exception as error:
            if self.decision.action is not Action.ESCALATE or is_interrupt(error):
                raise
            raise EscalationError(
                f"the escalate branch failed with {type(error).__name__}: {error}"
            ) from error


def _result(value: object) -> AskResult:
    if isinstance(value, AskResult):
        return value
    raise InputError(
        f"a gate takes the AskResult of a tree, not {type_of(value)}: put it right after "
        "an EntropyTreeRunnable"
    )


def _is_plain(gate: Gate) -> bool:
    """Whether a gate is a policy and nothing else that belongs to this process."""
    return all(getattr(gate, name, None) is None for name in ("escalate", "clarifier", "log"))
