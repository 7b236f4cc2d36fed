"""From an answered question to LangChain's message: one place, so that invoke and stream agree."""

from typing import Any, Literal

import numpy as np
from langchain_core.messages import AIMessage
from langchain_core.messages.ai import InputTokenDetails, OutputTokenDetails, UsageMetadata

from et_agent import AskResult, PendingAnswer
from et_agent.asking.leaf_tokens import leaf_tokens
from et_agent.results import Leaf, Usage
from langchain_et_agent._tool_calls import invalid_call, new_tool_call
from langchain_et_agent.metadata import METADATA_KEY, metadata_of

__all__ = ["PROVIDER", "REASONING", "Choice", "chosen", "reply"]

PROVIDER = "et_agent"
REASONING = "reasoning_content"
"""Where messages carry thoughts, in their `additional_kwargs`; LangChain makes a block of it."""

Choice = Literal["best", "sample"]


def reply(
    pending: PendingAnswer,
    result: AskResult,
    *,
    leaf: Leaf,
    model: str,
    logprobs: bool,
    include_tree: bool = False,
) -> AIMessage:
    """The message that a finished tree gives.

    Args:
        pending: The question.
        result: Its result, tree included.
        leaf: The leaf that is the message.
        model: Name of the model, as it was asked for.
        logprobs: Whether it carries the log-probability of each of its tokens.
        include_tree: Whether it carries the whole tree.
    """
    content = pending.content(leaf)
    rest = "" if leaf.tool_calls else leaf.text[len(content) :]
    metadata: dict[str, Any] = {
        METADATA_KEY: metadata_of(_as_said(result, leaf), include_tree=include_tree),
        "model_name": model,
        "model_provider": PROVIDER,
        "finish_reason": _finish_reason(leaf),
    }
    if logprobs:
        metadata["logprobs"] = {"content": _logprobs(pending, result, leaf)}
    return AIMessage(
        content=content,
        additional_kwargs={} if leaf.reasoning is None else {REASONING: leaf.reasoning},
        tool_calls=[new_tool_call(call.name, call.arguments) for call in leaf.tool_calls],
        invalid_tool_calls=[invalid_call(rest, finished=leaf.finish == "stop")] if rest else [],
        response_metadata=metadata,
        usage_metadata=_usage(result.usage),
    )


def _usage(usage: Usage) -> UsageMetadata:
    metadata = UsageMetadata(
        input_tokens=usage.prompt_tokens,
        output_tokens=usage.tokens_decoded,
        total_tokens=usage.prompt_tokens + usage.tokens_decoded,
        input_token_details=InputTokenDetails(cache_read=usage.cached_tokens),
    )
    if usage.reasoning_tokens:
        metadata["output_token_details"] = OutputTokenDetails(reasoning=usage.reasoning_tokens)
    return metadata


def chosen(result: AskResult, choose: Choice) -> Leaf:
    """The leaf that is the message: the answer's heaviest, or one drawn by its weight."""
    assert result.tree is not None  # a finished question has one
    best = result.best_leaf
    if choose == "best" and best is not None:
        return best
    leaves = result.tree.leaves
    weights = np.array([leaf.weight for leaf in leaves])
    # The seed's own stream: the tree has used up the streams of its branches.
    generator = np.random.default_rng([result.seed, 1])
    return leaves[int(generator.choice(len(leaves), p=weights / weights.sum()))]


def _as_said(result: AskResult, leaf: Leaf) -> AskResult:
    """The result about the answer that the message gives, which may be a drawn one.

    Confidence, fields and features are those of the most likely answer, and say nothing of another.
    """
    if leaf.answer == result.answer:
        return result
    share = next(one.share for one in result.distribution if one.answer == leaf.answer)
    changed: dict[str, Any] = {
        "answer": leaf.answer,
        "share": 0.0 if leaf.answer is None else share,
        "reasoning": leaf.reasoning,
        "tool_calls": leaf.tool_calls,
        "fields": {},
        "claims": (),
        "confidence": None,
        "calibrated": False,
        "calibration": None,
        "confidence_parts": (),
        "features": {},
        "notes": (
            *result.notes,
            f"drawn by its weight (choose='sample'): the most likely answer is {result.answer!r}; "
            "a drawn answer has no confidence",
        ),
    }
    if leaf.tool_calls:
        changed |= {"kind": "tool_call", "kind_reason": "the answer calls a tool"}
    elif result.kind == "tool_call" and leaf.answer is not None:
        changed |= {"kind": "text", "kind_reason": "the drawn answer is in words"}
    return result.model_copy(update=changed)


def _finish_reason(leaf: Leaf) -> str:
    """As OpenAI names it."""
    return "tool_calls" if leaf.tool_calls else leaf.finish


def _logprobs(pending: PendingAnswer, result: AskResult, leaf: Leaf) -> list[dict[str, Any]]:
    """Tokens of a leaf's text with their log-probabilities at temperature 1, in OpenAI's shape."""
    assert result.tree is not None
    return [
        {
            "token": one.piece.decode("utf-8", "replace"),
            "logprob": one.log_prob,
            "bytes": list(one.piece),
            "top_logprobs": [],
        }
        for one in leaf_tokens(pending.request.model, result.tree, leaf)
    ]
