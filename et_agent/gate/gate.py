"""The gate: takes the result of a tree and returns a decision."""

import logging
import threading
import time
import uuid
from collections.abc import Callable
from typing import Final, Unpack, assert_never

from et_agent.answers import AnswerKind
from et_agent.arguments import checks_arguments
from et_agent.asking.options import DEFAULTS, AskKeywords, AskOptions
from et_agent.asking.pending import ProgressCallback
from et_agent.engines.sampled import AnyModel
from et_agent.errors import EtAgentError, PolicyError
from et_agent.gate.budget import Counts
from et_agent.gate.clarification import Clarification, Clarifier, question_after
from et_agent.gate.decision import Action, Cost, Decision
from et_agent.gate.escalation import Target, call_target
from et_agent.gate.judging import Verdict, judged
from et_agent.gate.limits import Limits, ask_within
from et_agent.gate.log import DecisionLog
from et_agent.gate.policy import GatePolicy
from et_agent.results import AskResult, ClaimReport

__all__ = ["Gate", "ResultCallback"]

ResultCallback = Callable[[AskResult], object]
"""Takes the result of the tree that a decision is about."""

_MOST_ALTERNATIVES: Final = 5
_log = logging.getLogger("et_agent.gate")


class Gate:
    """Answers, escalates, abstains or asks back, depending on the confidence of a tree.

    `decide` judges a result and does nothing else. `resolve` also carries the decision out. `ask`
    decodes the question first. `reply` continues after the user was asked back. All of them may be
    called from any thread.

    Args:
        policy: What to do at which confidence.
        escalate: The target that questions are escalated to. None abstains instead.
        clarifier: Finds out whether a question is unclear. None never asks back.
        log: Where decisions are stored. None stores none.

    Raises:
        PolicyError: The policy asks back and there is no clarifier.
    """

    @checks_arguments(any_text=True)
    def __init__(
        self,
        policy: GatePolicy,
        *,
        escalate: Target | None = None,
        clarifier: Clarifier | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        if policy.asks_back and clarifier is None:
            raise PolicyError(
                "the policy asks users back (clarify), but the gate has no clarifier to find "
                "readings: pass clarifier=Clarifier(model), or set clarify=False"
            )
        self.policy = policy
        self.escalate = escalate
        self.clarifier = clarifier
        self.log = log
        self._lock = threading.Lock()
        self._counts = Counts()

    @property
    def escalations(self) -> int:
        """Questions escalated so far. In a dry run, those that would have been."""
        return self._counts.escalations

    @checks_arguments(any_text=True)
    def decide(
        self,
        result: AskResult,
        *,
        topic: str | None = None,
        clarification: Clarification | None = None,
        asked: int = 0,
        spent: Cost | None = None,
        policy: GatePolicy | None = None,
        hand_over: bool = False,
    ) -> Decision:
        """Judge a result, without calling, decoding, counting or logging anything.

        Args:
            result: A result of `et_agent.ask`.
            topic: Topic or tool whose policy applies.
            clarification: The readings of the question and their answers, if they were examined.
            asked: How often the user has been asked back already.
            spent: What the decision had cost before this tree.
            policy: Replaces the gate's own policy.
            hand_over: Whether the caller escalates itself, so that the gate needs no target.

        Raises:
            PolicyError: The policy has no such topic.
        """
        whole = self.policy if policy is None else policy
        policy = whole.for_topic(topic)
        verdict = judged(result, policy)
        cost = _cost(result, spent)
        if clarification is not None:
            cost = cost.plus(Cost(tokens=clarification.tokens, seconds=clarification.seconds))
        no_escalation = ""
        if self.escalate is None and not hand_over:
            no_escalation = "."
        elif verdict.confidence is not None and verdict.confidence < policy.escalate_from:
            no_escalation = f", and nothing below {policy.escalate_from:.0%} is escalated."
        elif _would_steer(result, policy) and not hand_over:
            no_escalation = ", so no target is given that text."
        elif Limits.of(policy, cost).spent:
            no_escalation = ", and the decision has used up its limits."
        elif not self._counts.of(whole, topic).allows(policy):
            no_escalation = ", and the escalation budget is used up."
        action, reason = _judge(verdict, policy, clarification, no_escalation)
        would = None
        if policy.observe and action is not Action.ANSWER:
            would, action = action, Action.ANSWER
        asks = clarification is not None and Action.CLARIFY in (action, would)
        return Decision(
            action=action,
            answer=_given(result, verdict, policy) if action is Action.ANSWER else None,
            confidence=verdict.confidence,
            calibrated=verdict.calibrated,
            calibration=verdict.calibration,
            compared=verdict.compared,
            threshold=policy.answer_at,
            reason=reason,
            doubtful_fields=verdict.doubtful_fields,
            claims=result.claims,
            doubtful_claims=verdict.doubtful_claims,
            alternatives=result.distribution[:_MOST_ALTERNATIVES],
            notes=result.notes,
            question=result.question,
            passages=result.passages,
            declined=result.declined,
            topic=topic,
            clarifying_question=clarification.question if clarification and asks else None,
            readings=clarification.options if clarification and asks else (),
            asked=asked + (action is Action.CLARIFY),
            would=would,
            cost=cost,
            trace_id=uuid.uuid4().hex,
        )

    @checks_arguments(any_text=True)
    def resolve(
        self,
        result: AskResult,
        *,
        topic: str | None = None,
        asked: int = 0,
        spent: Cost | None = None,
        policy: GatePolicy | None = None,
        hand_over: bool = False,
    ) -> Decision:
        """Judge a result and carry the decision out.

        Args:
            result: A result of `et_agent.ask`.
            topic: Topic or tool whose policy applies.
            asked: How often the user has been asked back about it already.
            spent: What the decision had cost before this tree.
            policy: Replaces the gate's own policy; its budgets are counted with the gate's.
            hand_over: Whether the caller escalates itself. The decision is then returned as
                `escalate`, counted and logged.

        Raises:
            PolicyError: The policy has no such topic.
            StoreError: The decision cannot be logged.
            EtAgentError: The readings of the question could not be decoded.
        """
        whole = self.policy if policy is None else policy
        policy = whole.for_topic(topic)
        clarification = self._examined(result, policy, asked, spent)
        with self._lock:
            decision = self.decide(
                result,
                topic=topic,
                clarification=clarification,
                asked=asked,
                spent=spent,
                policy=whole,
                hand_over=hand_over,
            )
            count = self._counts.of(whole, topic)
            count.decisions += 1
            # Reserved before the call, so that parallel questions keep to the budget.
            count.escalations += Action.ESCALATE in (decision.action, decision.would)
        match decision.action:
            case Action.ESCALATE if not hand_over:
                try:
                    decision = self._escalated(decision, result, policy)
                except BaseException:
                    # Interrupted, by a person or by LangGraph: the same question comes again.
                    with self._lock:
                        count.decisions -= 1
                        count.escalations -= 1
                    raise
            case Action.ANSWER | Action.ABSTAIN | Action.CLARIFY | Action.ESCALATE:
                pass
            case _:
                assert_never(decision.action)
        if self.log is not None:
            self.log.record(decision, result)
        return decision

    def _examined(
        self, result: AskResult, policy: GatePolicy, asked: int, spent: Cost | None
    ) -> Clarification | None:
        """The readings of a doubtful question whose answers differ, where the policy allows."""
        if self.clarifier is None or not policy.clarify or asked >= policy.clarify_rounds:
            return None
        # A tree whose paths agree has no fork that a reading could explain: the cheap first test.
        if not result.complete or result.predictive_entropy < policy.clarify_from:
            return None
        if judged(result, policy).answers:
            return None
        # Other sentences are no sign of another reading.
        if result.kind == "long":
            return None
        # What was said before, or a passage, may have made a question clear that is none by itself.
        left = Limits.of(policy, _cost(result, spent))
        if left.spent or not result.single or result.passages:
            return None
        # The readings of a question that JSON or a tool call answers are answered in words.
        in_words = result.kind in tuple(AnswerKind)
        try:
            return self.clarifier.examine(
                result.question,
                readings=policy.readings,
                kind=result.kind if in_words else AnswerKind.AUTO,
                system_prompt=result.instruction if in_words else None,
                max_tokens=left.tokens,
                max_seconds=left.seconds,
            )
        except EtAgentError as error:
            if not policy.observe:
                raise
            _log.warning("a dry run could not look for readings: %s", error)
            return None

    def _escalated(self, decision: Decision, result: AskResult, policy: GatePolicy) -> Decision:
        assert self.escalate is not None
        limits = Limits.of(policy, decision.cost)
        found = call_target(
            self.escalate, result.question, policy, limits, passages=result.passages
        )
        cost = decision.cost.plus(found.cost)
        if found.declined:  # a finding: the doubtful answer is not given for it
            return decision.model_copy(
                update={
                    "action": Action.ABSTAIN,
                    "answer": None,
                    "reason": f"{decision.reason} The target found that the passages do not say.",
                    "declined": True,
                    "escalated": True,
                    "cost": cost,
                }
            )
        if found.answer is None:
            doubtful = judged(result, policy).text
            answers = policy.fallback == "answer" and doubtful is not None
            then = "the doubtful answer is given" if answers else "no answer is given"
            return decision.model_copy(
                update={
                    "action": Action.ANSWER if answers else Action.ABSTAIN,
                    "answer": doubtful if answers else None,
                    "reason": f"{decision.reason} But {found.failure}; {then}.",
                    "cost": cost,
                }
            )
        if found.result is None:
            verdict = Verdict(True, "its answer has no confidence", text=found.answer)
            shares, notes = decision.alternatives, tuple[str, ...]()
            claims = tuple[ClaimReport, ...]()
        else:
            verdict = judged(found.result, policy.of_target())
            shares, notes = found.result.distribution, found.result.notes
            claims = found.result.claims
        return decision.model_copy(
            update={
                "action": Action.ANSWER if verdict.answers else Action.ABSTAIN,
                "answer": verdict.text if verdict.answers else None,
                "confidence": verdict.confidence,
                "calibrated": verdict.calibrated,
                "calibration": verdict.calibration,
                "compared": verdict.compared,
                "reason": f"{decision.reason} The target answered, "
                f"{'and' if verdict.answers else 'but'} {verdict.why}.",
                "doubtful_fields": verdict.doubtful_fields,
                "claims": claims,
                "doubtful_claims": verdict.doubtful_claims,
                "declined": False,
                "alternatives": shares[:_MOST_ALTERNATIVES],
                "notes": notes,
                "escalated": True,
                "cost": cost,
            }
        )

    def ask(
        self,
        model: AnyModel,
        question: str,
        options: AskOptions = DEFAULTS,
        *,
        topic: str | None = None,
        asked: int = 0,
        spent: Cost | None = None,
        on_progress: ProgressCallback | None = None,
        on_result: ResultCallback | None = None,
        **changes: Unpack[AskKeywords],
    ) -> Decision:
        """Decode a question within the policy's limits, judge it and carry the decision out.

        Args:
            model: A loaded model.
            question: The question.
            options: How it is answered.
            topic: Topic or tool whose policy applies.
            asked: How often the user has been asked back about it already.
            spent: What the decision has cost already.
            on_progress: As for `et_agent.submit`.
            on_result: Called with the result before it is judged; what it raises ends the call.
            changes: Fields of `AskOptions` by name, such as `decoder` or `kind`; `decides` is the
                policy, by which a decoder with `stop_risk` stops.

        Raises:
            EtAgentError: As for `submit` and `resolve`.
        """
        policy = self.policy.for_topic(topic)
        limits = Limits.of(policy, spent)
        options = options.changed(**changes).changed(decides=policy)
        began = time.perf_counter()
        result = ask_within(model, question, limits, options, on_progress=on_progress)
        waited = Cost(seconds=max(0.0, time.perf_counter() - began - result.usage.seconds))
        if on_result is not None:
            on_result(result)
        spent = waited if spent is None else spent.plus(waited)
        return self.resolve(result, topic=topic, asked=asked, spent=spent)

    def reply(
        self,
        model: AnyModel,
        decision: Decision,
        reply: str,
        options: AskOptions = DEFAULTS,
        *,
        on_progress: ProgressCallback | None = None,
        on_result: ResultCallback | None = None,
        **changes: Unpack[AskKeywords],
    ) -> Decision:
        """Continue with the user's reply to a question back.

        Args:
            model: A loaded model.
            decision: The decision that asked back.
            reply: The user's reply: the number of a reading, or free text.
            options: How the question is answered.
            on_progress: As for `et_agent.submit`.
            on_result: Called with the result before it is judged; what it raises ends the call.
            changes: Fields of `AskOptions` by name, such as `decoder` or `kind`.

        Raises:
            PolicyError: The decision did not ask back.
            EtAgentError: As for `ask`.
        """
        question = question_after(decision, reply)
        return self.ask(
            model,
            question,
            options.changed(**changes),
            topic=decision.topic,
            asked=decision.asked,
            spent=decision.cost,
            on_progress=on_progress,
            on_result=on_result,
        )


def _given(result: AskResult, verdict: Verdict, policy: GatePolicy) -> str | None:
    """The answer to give: in a dry run the whole."""
    return result.answer if policy.observe else verdict.text


def _would_steer(result: AskResult, policy: GatePolicy) -> bool:
    """Whether a target would get texts that speak to whoever reads them."""
    return bool(result.steering) and policy.steering == "refuse"


def _cost(result: AskResult, spent: Cost | None) -> Cost:
    tree = Cost(tokens=result.usage.tokens_decoded, seconds=result.usage.seconds)
    return tree if spent is None else spent.plus(tree)


def _judge(
    verdict: Verdict,
    policy: GatePolicy,
    clarification: Clarification | None,
    no_escalation: str,
) -> tuple[Action, str]:
    """What to do and why.

    `no_escalation` says why nothing is escalated; it is empty where that may be done.
    """
    why = verdict.why[:1].upper() + verdict.why[1:]
    if verdict.answers:
        return Action.ANSWER, f"{why}."
    if clarification is not None and _is_unclear(clarification, policy):
        count = len(clarification.options)
        return (
            Action.CLARIFY,
            f"{why}, and {count} readings of the question lead to different answers.",
        )
    if no_escalation:
        return Action.ABSTAIN, f"{why}{no_escalation}"
    return Action.ESCALATE, f"{why}, so the question is escalated."


def _is_unclear(clarification: Clarification, policy: GatePolicy) -> bool:
    return (
        clarification.complete
        and clarification.question is not None
        and clarification.aleatoric >= policy.clarify_at
    )
