"""The gate: a tree's result goes in, a decision comes out."""

import threading
import time
import uuid
from typing import Any, Final, assert_never

from et_agent.asking import Progress, submit
from et_agent.errors import EscalationError
from et_agent.gate.decision import Action, Cost, Decision
from et_agent.gate.escalation import Escalated, Target, call_target
from et_agent.gate.log import DecisionLog
from et_agent.gate.policy import GatePolicy
from et_agent.models.base import LanguageModel
from et_agent.results import AskResult

__all__ = ["Gate"]

_MOST_ALTERNATIVES: Final = 5


class Gate:
    """Answers, escalates, abstains or asks back, by the confidence of a tree.

    Args:
        policy: What to do at which confidence.
        escalate: Where questions are passed on to; None abstains instead.
        log: Where decisions are kept; None keeps none.

    `decide` judges a result and does nothing else; `resolve` carries the decision out; `ask` decodes
    the question before that. All may be called from any thread.
    """

    def __init__(
        self,
        policy: GatePolicy,
        *,
        escalate: Target | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        self.policy = policy
        self.escalate = escalate
        self.log = log
        self._lock = threading.Lock()
        self._decisions = 0
        self._escalations = 0

    @property
    def escalations(self) -> int:
        """Questions that were passed on so far."""
        return self._escalations

    def decide(self, result: AskResult, *, topic: str | None = None) -> Decision:
        """Judge a result; nothing is called, decoded, counted or logged.

        Args:
            result: A result of `et_agent.ask`.
            topic: Topic or tool whose policy holds.

        Raises:
            PolicyError: The policy has no such topic.
        """
        policy = self.policy.for_topic(topic)
        confidence, doubt = _confidence(result, policy)
        action, reason = self._judge(confidence, doubt, result, policy)
        would = None
        if policy.observe and action is not Action.ANSWER:
            would, action = action, Action.ANSWER
        return Decision(
            action=action,
            answer=result.answer if action is Action.ANSWER else None,
            confidence=confidence,
            threshold=policy.answer_at,
            reason=reason,
            alternatives=result.distribution[:_MOST_ALTERNATIVES],
            question=result.question,
            topic=topic,
            would=would,
            cost=Cost(tokens=result.usage.tokens_decoded, seconds=result.usage.seconds),
            trace_id=uuid.uuid4().hex,
        )

    def _judge(
        self, confidence: float | None, doubt: str, result: AskResult, policy: GatePolicy
    ) -> tuple[Action, str]:
        if confidence is not None and confidence >= policy.answer_at and result.answer is not None:
            return (
                Action.ANSWER,
                f"The confidence of {confidence:.0%} reaches the threshold of "
                f"{policy.answer_at:.0%}.",
            )
        why = doubt or (
            f"the confidence of {confidence:.0%} is below the threshold of {policy.answer_at:.0%}"
        )
        hopeless = confidence is not None and confidence < policy.escalate_from
        if self.escalate is None:
            return Action.ABSTAIN, f"{_sentence(why)}."
        if hopeless:
            return (
                Action.ABSTAIN,
                f"{_sentence(why)}, and below {policy.escalate_from:.0%} nothing is escalated.",
            )
        if not self._may_escalate(policy):
            return Action.ABSTAIN, f"{_sentence(why)}, and the budget of escalations is spent."
        return Action.ESCALATE, f"{_sentence(why)}, so the question is passed on."

    def _may_escalate(self, policy: GatePolicy) -> bool:
        if policy.escalations is not None and self._escalations >= policy.escalations:
            return False
        if policy.escalation_share is None:
            return True
        # This decision counts too.
        return self._escalations + 1 <= policy.escalation_share * (self._decisions + 1)

    def resolve(self, result: AskResult, *, topic: str | None = None) -> Decision:
        """Judge a result and carry the decision out.

        Args:
            result: A result of `et_agent.ask`.
            topic: Topic or tool whose policy holds.

        Raises:
            PolicyError: The policy has no such topic.
            StoreError: The decision cannot be logged.
        """
        policy = self.policy.for_topic(topic)
        with self._lock:
            decision = self.decide(result, topic=topic)
            self._decisions += 1
            # Reserved before the call, so that parallel questions keep to the budget.
            self._escalations += decision.action is Action.ESCALATE
        match decision.action:
            case Action.ESCALATE:
                decision = self._escalated(decision, result, policy)
            case Action.ANSWER | Action.ABSTAIN | Action.CLARIFY:
                pass
            case _:
                assert_never(decision.action)
        if self.log is not None:
            self.log.record(decision)
        return decision

    def _escalated(self, decision: Decision, result: AskResult, policy: GatePolicy) -> Decision:
        assert self.escalate is not None
        began = time.perf_counter()
        try:
            found = call_target(self.escalate, result.question, policy)
        except EscalationError as error:
            spent = Cost(seconds=time.perf_counter() - began, escalations=policy.retries + 1)
            return self._fallen_back(decision, result, policy, error, spent)
        action, reason = _judge_escalated(found, policy)
        judged = decision.confidence if found.result is None else found.result.confidence
        shares = decision.alternatives if found.result is None else found.result.distribution
        return decision.model_copy(
            update={
                "action": action,
                "answer": found.answer if action is Action.ANSWER else None,
                "confidence": judged,
                "reason": f"{decision.reason} {reason}",
                "alternatives": shares[:_MOST_ALTERNATIVES],
                "escalated": True,
                "cost": decision.cost.plus(found.cost),
            }
        )

    @staticmethod
    def _fallen_back(
        decision: Decision,
        result: AskResult,
        policy: GatePolicy,
        error: EscalationError,
        spent: Cost,
    ) -> Decision:
        answers = policy.fallback == "answer" and result.answer is not None
        then = "the doubtful answer is given" if answers else "no answer is given"
        return decision.model_copy(
            update={
                "action": Action.ANSWER if answers else Action.ABSTAIN,
                "answer": result.answer if answers else None,
                "reason": f"{decision.reason} But {error}; {then}.",
                "cost": decision.cost.plus(spent),
            }
        )

    def ask(
        self,
        model: LanguageModel,
        question: str,
        *,
        topic: str | None = None,
        **options: Any,
    ) -> Decision:
        """Decode a question within the policy's limits, judge it and carry the decision out.

        Args:
            model: A loaded model.
            question: The question.
            topic: Topic or tool whose policy holds.
            options: Further arguments of `et_agent.submit`, such as `decoder` or `kind`.

        Raises:
            EtAgentError: As for `submit` and `resolve`.
        """
        policy = self.policy.for_topic(topic)
        begun = threading.Event()

        def watch(progress: Progress) -> None:
            too_many = policy.max_tokens is not None and progress.tokens >= policy.max_tokens
            too_long = policy.max_seconds is not None and progress.seconds >= policy.max_seconds
            if too_many or too_long:
                begun.wait()
                pending.cancel()

        pending = submit(model, question, on_progress=watch, **options)
        begun.set()
        try:
            result = pending.result()
        except BaseException:
            pending.cancel()
            raise
        return self.resolve(result, topic=topic)


def _confidence(result: AskResult, policy: GatePolicy) -> tuple[float | None, str]:
    """What is held against the threshold, and why it is nothing if it is nothing."""
    if result.answer is None:
        return 0.0, "no path gave an answer"
    if not result.complete:
        return None, "decoding was stopped before the answer was settled"
    if result.confidence is not None:
        return result.confidence, ""
    if policy.uncalibrated == "share":
        return result.share, ""
    return None, "no calibrator holds for this model and these settings"


def _judge_escalated(found: Escalated, policy: GatePolicy) -> tuple[Action, str]:
    if found.result is None or found.result.confidence is None:
        return Action.ANSWER, "The target answered; its answer has no confidence of its own."
    confidence = found.result.confidence
    if confidence >= policy.answer_at:
        return Action.ANSWER, f"The target answered with a confidence of {confidence:.0%}."
    return (
        Action.ABSTAIN,
        f"The target's confidence of {confidence:.0%} is below the threshold too.",
    )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
