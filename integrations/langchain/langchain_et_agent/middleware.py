"""A gate in LangChain's agents: what becomes of a response, by its confidence."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from langchain.agents.middleware import (
    AgentMiddleware,
    AgentState,
    ExtendedModelResponse,
    ModelRequest,
    ModelResponse,
    hook_config,
)
from langchain.agents.structured_output import StructuredOutputError
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime
from langgraph.types import Command

from et_agent.errors import SettingsError
from et_agent.gate import Action, Clarifier, Decision, DecisionLog, Gate, GatePolicy, Target
from et_agent.gate.judging import judged
from et_agent.renaming import warn_of_old_name
from et_agent.results import AskResult
from et_agent.validation import type_of
from langchain_et_agent._unseen import unseen
from langchain_et_agent.chat_models import ChatEntropyTree
from langchain_et_agent.claims import Claims, ProcessClaims, claimed
from langchain_et_agent.metadata import METADATA_KEY, result_of
from langchain_et_agent.offered_calls import asks_which, offered, spelled
from langchain_et_agent.passing_on import (
    Handler,
    InLoop,
    PassedOn,
    in_context,
    in_own_thread,
    last_message,
    target_of,
)
from langchain_et_agent.pauses import Pause, ask_approval, ask_choice, ask_meaning, stop
from langchain_et_agent.repeats import held_back, why_not_again
from langchain_et_agent.responses import (
    Unstructured,
    argument_schemas,
    calls_tools,
    identified,
    in_place_of,
    lacks_structure,
    only,
    refused,
    tool_names,
)
from langchain_et_agent.reviews import asks_person
from langchain_et_agent.state import (
    GateState,
    Resumed,
    decided,
    decisions_in,
    dumped,
    resumed,
    times_asked,
)

__all__ = ["DECISION_EVENT", "ConfidenceGateMiddleware", "GateState"]

DECISION_EVENT = "et_agent_decision"
"""Name of the custom event that each decision sends; its data are the decision."""

_CLAIMS: Final = ProcessClaims()
Abstention = str | Callable[[Decision], str]
Unsure = Literal["abstain", "approve", "ask"]
WithoutConfidence = Literal["pass", "refuse"]


@dataclass(frozen=True, slots=True)
class _Judged:
    response: ModelResponse[Any]
    decision: Decision | None
    pause: Pause | None


class ConfidenceGateMiddleware(AgentMiddleware[AgentState[Any], Any, Any]):
    """Lets a response pass, replaces it with a stronger model's, abstains or asks back.

    A response is judged in the model's node, as soon as the model has given it. The outcome is
    stored, so nothing is decoded or called again when an interrupted run is resumed. The next node
    asks the user once, with the clarifying question, and the reply goes back to the model. There is
    one exception: an escalation target that interrupts stops the model's node. When the run is
    resumed, that node runs again and asks the model again.

    Args:
        policy: What to do at which confidence. The keys of `topics` are names of tools. A message
            with several calls has to satisfy the policy of each of them. A tool with a topic runs but
            once with the same arguments until the user says more; a call that repeats one is in doubt
            whatever its confidence, and so is any call that a person decided about in this run.
            Escalation budgets apply per run; a run may include interrupts.
        escalate: The target that answers instead. A chat model, or a name for `init_chat_model`,
            gets the whole request with its tools. Any other runnable, or a function, gets the
            question. None abstains instead.
        clarifier: Finds out whether a question is unclear. None never asks back.
        unsure_tool_calls: What to do with a tool call below its threshold if it is not escalated.
            "abstain" replaces it with a message that says so. "approve" asks a person, with the same
            interrupt as `HumanInTheLoopMiddleware`, to approve, edit, reject or answer it; the
            decision is an escalation, and its `reviews` say what became of each call. "ask" lets the
            user choose among the calls that the paths made, as often as `clarify_rounds` allows, and
            runs the chosen one. Such a call never runs unasked.
        without_confidence: What to do with a response that has no et-agent result: "pass" lets it
            through, "refuse" treats it as a response without confidence.
        abstention: What the agent says if it abstains: a text, or a function of the decision.
        log: Where decisions are stored. None stores none.
        foreign: The old name of `without_confidence`.

    Raises:
        SettingsError: A setting has an unknown value.
        PolicyError: The policy asks back and there is no clarifier.
    """

    state_schema = GateState

    def __init__(
        self,
        policy: GatePolicy,
        *,
        escalate: str | BaseChatModel | Target | None = None,
        clarifier: Clarifier | None = None,
        unsure_tool_calls: Unsure = "abstain",
        without_confidence: WithoutConfidence = "pass",
        abstention: Abstention | None = None,
        log: DecisionLog | None = None,
        foreign: WithoutConfidence | None = None,
    ) -> None:
        super().__init__()
        if foreign is not None:
            warn_of_old_name("ConfidenceGateMiddleware(foreign=…)", "without_confidence")
            without_confidence = foreign
        if not isinstance(policy, GatePolicy):
            raise SettingsError(
                f"policy is {type_of(policy)}: pass a GatePolicy, such as GatePolicy(answer_at=0.8)"
            )
        _check("unsure_tool_calls", unsure_tool_calls, get_args(Unsure))
        _check("without_confidence", without_confidence, get_args(WithoutConfidence))
        self._gate = Gate(policy, clarifier=clarifier)
        self.policy = policy
        self.escalate = target_of(escalate)
        self.clarifier = clarifier
        self.unsure_tool_calls = unsure_tool_calls
        self.without_confidence = without_confidence
        self.abstention = _default_abstention if abstention is None else abstention
        self.log = log
        self._claims: Claims = _CLAIMS if log is None else log

    @property
    def foreign(self) -> WithoutConfidence:
        """The old name of `without_confidence`."""
        warn_of_old_name("ConfidenceGateMiddleware.foreign", "without_confidence")
        return self.without_confidence

    def before_agent(
        self,
        state: AgentState[Any],  # noqa: ARG002
        runtime: Runtime[Any],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Start a run with no decisions."""
        return {"et_agent_decisions": [], "et_agent_pause": None}

    async def abefore_agent(self, state: AgentState[Any], runtime: Runtime[Any]) -> dict[str, Any]:
        """Start a run with no decisions."""
        return self.before_agent(state, runtime)

    def wrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], ModelResponse[Any]],
    ) -> ExtendedModelResponse[Any]:
        """Judge the response and carry the decision out, except for asking.

        Raises:
            InputError: The result in the response cannot be read.
            StoreError: The decision cannot be logged.
            EtAgentError: Decoding the readings of the question failed.
            StructuredOutputError: The gate lets a response pass that is not in the response format.
        """
        response: ModelResponse[Any]

        def asked(request: ModelRequest[Any]) -> ModelResponse[Any]:
            return handler(self._unseen(request))

        try:
            response = asked(request)
        except StructuredOutputError as error:
            response = Unstructured(error)
        found = self._judged(request, response, in_context(asked))
        if found.decision is not None:
            dispatch_custom_event(DECISION_EVENT, dumped(found.decision))
        return _extended(request, found)

    async def awrap_model_call(
        self,
        request: ModelRequest[Any],
        handler: Callable[[ModelRequest[Any]], Awaitable[ModelResponse[Any]]],
    ) -> ExtendedModelResponse[Any]:
        """As `wrap_model_call`. Cancelling the agent stops its escalation."""
        response: ModelResponse[Any]

        def asked(request: ModelRequest[Any]) -> Awaitable[ModelResponse[Any]]:
            return handler(self._unseen(request))

        try:
            response = await asked(request)
        except StructuredOutputError as error:
            response = Unstructured(error)
        again = InLoop(asked, asyncio.get_running_loop())
        try:
            found = await in_own_thread(lambda: self._judged(request, response, again))
        except asyncio.CancelledError:
            again.cancel()
            raise
        if found.decision is not None:
            await adispatch_custom_event(DECISION_EVENT, dumped(found.decision))
        return _extended(request, found)

    @hook_config(can_jump_to=["model", "end"])
    def after_model(
        self,
        state: AgentState[Any],
        runtime: Runtime[Any],  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """Ask the user if that was decided, and continue with the reply.

        Raises:
            AlreadyDecidedError: Another reply, at the same time or before, has decided about the calls.
            StoreError: What a person decided cannot be logged.
        """
        found = resumed(state)
        if found is None:
            return None
        with self._claimed(found):
            if found.decision is not None:
                self._log_review(found.decision)
                dispatch_custom_event(DECISION_EVENT, dumped(found.decision))
        return found.update

    @hook_config(can_jump_to=["model", "end"])
    async def aafter_model(
        self,
        state: AgentState[Any],
        runtime: Runtime[Any],  # noqa: ARG002
    ) -> dict[str, Any] | None:
        """As `after_model`."""
        found = resumed(state)
        if found is None:
            return None
        # Not in another thread: a run that is cancelled in between would keep the claim.
        with self._claimed(found):
            if found.decision is not None:
                await asyncio.to_thread(self._log_review, found.decision)
                await adispatch_custom_event(DECISION_EVENT, dumped(found.decision))
        return found.update

    def _claimed(self, found: Resumed) -> AbstractContextManager[None]:
        """What a person decided is carried out once, however often the thread is resumed."""
        return nullcontext() if found.request is None else claimed(self._claims, found.request)

    def _log_review(self, decision: Decision) -> None:
        if self.log is not None:
            self.log.record(decision)

    def _unseen(self, request: ModelRequest[Any]) -> ModelRequest[Any]:
        """The request to a model whose response is judged, and not seen before."""
        judges = self.without_confidence == "refuse" or isinstance(request.model, ChatEntropyTree)
        return unseen(request) if judges else request

    def _judged(
        self, request: ModelRequest[Any], response: ModelResponse[Any], again: Handler
    ) -> _Judged:
        message = last_message(response)
        if message is None:
            return _Judged(response, None, None)
        result = result_of(message)
        made = decisions_in(request.state)
        topic = self._topic(message, result)
        if result is not None:
            decision, response = self._resolve(request, response, result, topic, made, again)
        elif self.without_confidence == "refuse":
            decision = refused(request, self.policy.for_topic(topic), topic, times_asked(made))
        else:
            return _Judged(response, None, None)
        decision = self._once(request, response, decision, made)
        options = self._options(request, response, decision)
        if options:
            decision = asks_which(decision, options)
        elif self._wants_approval(request, response, decision):
            decision = asks_person(decision)
        elif lacks_structure(request, response, decision):
            reason = f"{decision.reason} There is no structured response: the answer is a text."
            decision = decision.model_copy(update={"reason": reason})
        if self.log is not None:
            self.log.record(decision, result)
        return self._carried_out(request, response, decision, options)

    def _once(
        self,
        request: ModelRequest[Any],
        response: ModelResponse[Any],
        decision: Decision,
        made: Sequence[Decision],
    ) -> Decision:
        """The decision, unless it lets a call run again that must not."""
        message = last_message(response)
        if decision.action is not Action.ANSWER or message is None:
            return decision
        why = why_not_again(message, request.state["messages"], made, self.policy.topics)
        observing = self.policy.for_topic(decision.topic).observe
        return decision if why is None else held_back(decision, why, observing=observing)

    def _options(
        self, request: ModelRequest[Any], response: ModelResponse[Any], decision: Decision
    ) -> list[AIMessage]:
        """Tool calls that the user is asked to choose from; none where nobody is asked."""
        message = last_message(response)
        rounds = self.policy.for_topic(decision.topic).clarify_rounds
        asks = self.unsure_tool_calls == "ask" and decision.action is Action.ABSTAIN
        if not asks or message is None or decision.asked >= rounds:
            return []
        if not calls_tools(request, message):
            return []
        return offered(identified(message), decision, tool_names(request))

    def _wants_approval(
        self, request: ModelRequest[Any], response: ModelResponse[Any], decision: Decision
    ) -> bool:
        """Whether a person is asked to approve the tool calls."""
        message = last_message(response)
        asks = self.unsure_tool_calls == "approve" and decision.action is Action.ABSTAIN
        return asks and message is not None and calls_tools(request, message)

    def _resolve(
        self,
        request: ModelRequest[Any],
        response: ModelResponse[Any],
        result: AskResult,
        topic: str | None,
        made: Sequence[Decision],
        again: Handler,
    ) -> tuple[Decision, ModelResponse[Any]]:
        target = self.escalate
        if isinstance(target, BaseChatModel):
            target = PassedOn(target, request, again)
        policy = self._budgeted(topic, made)
        if isinstance(self.escalate, ChatEntropyTree):
            # As for a `ModelTarget`: it cannot hang, and asked again it would say the same.
            policy = policy.changed(timeout=None, retries=0)
        gate = Gate(policy, escalate=target, clarifier=self.clarifier)
        decision = gate.resolve(result, topic=topic, asked=times_asked(made))
        if not decision.escalated:
            return decision, response
        if not isinstance(target, PassedOn) or target.response is None:
            message = last_message(response)
            assert message is not None
            answer = in_place_of(message, decision.answer or "", metadata={})
            return decision, response if decision.answer is None else only(answer)
        return self._judged_again(decision, target.response, topic), target.response

    def _judged_again(
        self, decision: Decision, response: ModelResponse[Any], topic: str | None
    ) -> Decision:
        """A stronger model that calls other tools is held to their threshold."""
        message = last_message(response)
        assert message is not None
        result = result_of(message)
        other = self._topic(message, result)
        if other == topic:
            return decision
        if result is None:
            if self.without_confidence != "refuse":
                return decision
            reason = f"{decision.reason} But it calls {other}, and there is no confidence for that."
            refused = {"action": Action.ABSTAIN, "answer": None, "reason": reason, "topic": other}
            return decision.model_copy(update=refused)
        kept = {
            "escalated": True,
            "cost": decision.cost,
            "question": decision.question,
            "asked": decision.asked,
        }
        return self._gate.decide(result, topic=other).model_copy(update=kept)

    def _topic(self, message: AIMessage, result: AskResult | None) -> str | None:
        """The tool that is held to the most; None for a message without calls."""
        topics = self.policy.topics
        held = [call["name"] if call["name"] in topics else None for call in message.tool_calls]

        def refused_and_threshold(name: str | None) -> tuple[bool, float]:
            policy = self.policy.for_topic(name)
            return result is not None and not judged(result, policy).answers, policy.answer_at

        return max(held, key=refused_and_threshold, default=None)

    def _budgeted(self, topic: str | None, made: Sequence[Decision]) -> GatePolicy:
        """The policy of a topic, with what is left of the run's budgets."""
        policy = self.policy.for_topic(topic)
        used = sum(one.cost.escalations > 0 for one in made)
        left = None if policy.escalations is None else max(0, policy.escalations - used)
        share = policy.escalation_share
        # Of a run's few decisions one may always be passed on, unless the share is 0.
        if share is not None and (not share or used + 1 > max(1.0, share * (len(made) + 1))):
            left = 0
        topics: dict[str, dict[str, Any]] = {} if topic is None else {topic: {}}
        return policy.model_copy(
            update={"escalations": left, "escalation_share": None, "topics": topics}
        )

    def _carried_out(
        self,
        request: ModelRequest[Any],
        response: ModelResponse[Any],
        decision: Decision,
        options: Sequence[AIMessage],
    ) -> _Judged:
        message = last_message(response)
        assert message is not None
        if decision.action is Action.ANSWER:
            # With a response format the agent would ask the model again, and again.
            ends = lacks_structure(request, response, decision)
            return _Judged(response, decision, stop() if ends else None)
        pause = stop()
        if decision.action is Action.CLARIFY:
            assert decision.clarifying_question is not None
            text, pause = decision.clarifying_question, ask_meaning(decision)
            if options:
                message, pause = options[0], ask_choice(options, decision)
        elif decision.action is Action.ESCALATE:
            message = identified(message)
            text = f"May I run {spelled(message)}? {decision.reason}"
            pause = ask_approval(message, decision, argument_schemas(request))
        elif isinstance(self.abstention, str):
            text = self.abstention
        else:
            text = self.abstention(decision)
        metadata = message.response_metadata
        kept = {METADATA_KEY: metadata[METADATA_KEY]} if METADATA_KEY in metadata else {}
        return _Judged(only(in_place_of(message, text, metadata=kept)), decision, pause)


def _check(name: str, value: str, known: Sequence[str]) -> None:
    if value not in known:
        raise SettingsError(f"{name} is {value!r}: use {' or '.join(map(repr, known))}")


def _default_abstention(decision: Decision) -> str:
    return f"I am not sure enough to answer. {decision.reason}"


def _extended(request: ModelRequest[Any], found: _Judged) -> ExtendedModelResponse[Any]:
    if isinstance(found.response, Unstructured):
        raise found.response.error
    update = decided(request.state, found.decision, found.pause)
    return ExtendedModelResponse(found.response, Command(update=update))
