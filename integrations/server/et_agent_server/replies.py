"""From an answered call to OpenAI's messages: one place, so that streams and whole replies agree."""

import json
import math
import secrets
import time
from typing import Literal

from et_agent.asking.leaf_tokens import leaf_tokens
from et_agent.gate import Action, Decision
from et_agent.results import Leaf
from et_agent_server.answering import Answered
from et_agent_server.calls import Call
from et_agent_server.wire import (
    AgentReport,
    ChatCompletion,
    Choice,
    ChoiceReport,
    CompletionDetails,
    FinishReason,
    FunctionReply,
    LogProbs,
    PromptDetails,
    ReplyMessage,
    TokenLogProb,
    ToolCallReply,
    TopLogProb,
    UsageReport,
)

__all__ = ["chat_completion", "choices_of", "fingerprint_of", "report_of", "usage_of"]


def chat_completion(found: Answered) -> ChatCompletion:
    """The whole reply."""
    call = found.call
    return ChatCompletion(
        id=call.id,
        created=int(time.time()),
        model=call.name,
        choices=choices_of(found),
        usage=usage_of(found),
        system_fingerprint=fingerprint_of(call),
        et_agent=report_of(found),
    )


def fingerprint_of(call: Call) -> str:
    """Tells one model file from another."""
    return f"et-{call.served.model.info.fingerprint[:12]}"


def report_of(found: Answered) -> AgentReport:
    """What was measured and decided, without the tree unless it is wanted."""
    values = dict(found.result)
    if not found.call.tree:
        values["tree"] = None
    reply = found.text(found.leaf) if found.streamed == "replaced" else None
    return AgentReport.model_construct(
        **values, decision=found.decision, streamed=found.streamed, reply=reply
    )


def choices_of(found: Answered) -> list[Choice]:
    """The message, or as many as were asked for, in the order of their samples."""
    call, result = found.call, found.result
    if call.choices == 1:
        return [_choice(found, found.leaf, 0)]
    assert result.tree is not None
    # The other chains fork off the first one before its first token, which its last node therefore has.
    *others, first = sorted(result.tree.leaves, key=lambda leaf: leaf.node)
    leaves = [first] * call.choices if call.copies else [first, *others]
    share = {one.answer: one.share for one in result.distribution}
    return [
        _choice(found, leaf, at).model_copy(
            update={"et_agent": ChoiceReport(answer=leaf.answer, share=share.get(leaf.answer, 0.0))}
        )
        for at, leaf in enumerate(leaves)
    ]


def _choice(found: Answered, leaf: Leaf, index: int) -> Choice:
    message = _message(found, leaf)
    return Choice(
        index=index,
        message=message,
        logprobs=_log_probs(found, leaf) if found.call.logprobs else None,
        finish_reason=_finish(leaf, message),
    )


def _finish(leaf: Leaf, message: ReplyMessage) -> FinishReason:
    if message.tool_calls:
        return "tool_calls"
    return "length" if leaf.finish == "length" and message.refusal is None else "stop"


def _message(found: Answered, leaf: Leaf) -> ReplyMessage:
    decision = found.decision
    if decision is not None and decision.action is not Action.ANSWER:
        said = _unanswered(decision)
        if not found.call.in_words:  # words would be taken for JSON
            return ReplyMessage(content=None, refusal=said)
        asks = decision.action is Action.CLARIFY
        return ReplyMessage(content=said, refusal=None if asks else said)
    calls = [_tool_call(call.name, call.arguments) for call in leaf.tool_calls]
    return ReplyMessage(
        content=_content(found, leaf) or (None if calls else ""),
        reasoning_content=leaf.reasoning,
        tool_calls=calls or None,
    )


def _content(found: Answered, leaf: Leaf) -> str:
    decision, text = found.decision, found.text(leaf)
    if decision is None or not found.call.in_words:
        return text
    if found.result.kind == "long" and decision.doubtful_claims and decision.answer is not None:
        return decision.answer  # with its marks
    if decision.would not in (None, Action.ANSWER):
        return f"{text}\n\n({_doubt(decision)})"
    return text


def _doubt(decision: Decision) -> str:
    if decision.confidence is None:
        return "Not sure: there is no confidence for this answer."
    return (
        f"Not sure: the confidence is {decision.confidence:.0%}, and {decision.threshold:.0%} are "
        "asked for."
    )


def _unanswered(decision: Decision) -> str:
    """What is said in place of an answer."""
    if decision.action is Action.CLARIFY and decision.clarifying_question:
        readings = [f"{at}. {one.text}" for at, one in enumerate(decision.readings, 1)]
        return "\n".join([decision.clarifying_question, *readings])
    if decision.declined:
        return "The passages do not hold the answer."
    return f"I am not sure enough to answer this. {decision.reason}"


def _tool_call(name: str, arguments: object) -> ToolCallReply:
    return ToolCallReply(
        id=f"call_{secrets.token_hex(12)}",
        function=FunctionReply(name=name, arguments=json.dumps(arguments, ensure_ascii=False)),
    )


def _log_probs(found: Answered, leaf: Leaf) -> LogProbs:
    assert found.result.tree is not None
    return LogProbs(
        content=[
            TokenLogProb(
                token=one.piece.decode("utf-8", "replace"),
                logprob=one.log_prob,
                bytes=list(one.piece),
                top_logprobs=[
                    TopLogProb(
                        token=near.text,
                        logprob=math.log(max(near.probability, 1e-300)),
                        bytes=list(near.text.encode()),
                    )
                    for near in one.alternatives
                ],
            )
            for one in leaf_tokens(found.pending.request.model, found.result.tree, leaf)
        ]
    )


def usage_of(found: Answered) -> UsageReport:
    """What it cost, an escalation included."""
    results = [found.result] if found.before is None else [found.before, found.result]

    def total(
        name: Literal["prompt_tokens", "cached_tokens", "tokens_decoded", "reasoning_tokens"],
    ) -> int:
        return sum(getattr(one.usage, name) for one in results)

    prompt, made = total("prompt_tokens"), total("tokens_decoded")
    return UsageReport(
        prompt_tokens=prompt,
        completion_tokens=made,
        total_tokens=prompt + made,
        prompt_tokens_details=PromptDetails(cached_tokens=total("cached_tokens")),
        completion_tokens_details=CompletionDetails(reasoning_tokens=total("reasoning_tokens")),
    )
