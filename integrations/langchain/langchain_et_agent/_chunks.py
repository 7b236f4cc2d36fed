"""The chunks of a stream: of a message that is known, and of text that is shown while it is decoded."""

import json
from collections.abc import Iterator
from typing import Any, Final

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.ai import add_ai_message_chunks
from langchain_core.messages.tool import ToolCallChunk
from langchain_core.outputs import ChatGenerationChunk

from et_agent.asking.streaming import TextDelta
from langchain_et_agent._replies import REASONING

__all__ = ["STREAMED", "chunk_of", "chunks_of", "last_chunk"]

STREAMED: Final = "streamed"
"""Where messages say what became of the text that was shown, in their `response_metadata`: "confirmed"
or "replaced"."""


class _LeadingChunk(AIMessageChunk):
    """A chunk of text that another answer may replace: sums then have the reply in its place.

    A sum with the last chunk is an ordinary one.
    """

    @classmethod
    def lc_id(cls) -> list[str]:
        """Serialised as an ordinary chunk."""
        return AIMessageChunk.lc_id()

    def __add__(self, other: Any) -> Any:
        others = [*other] if isinstance(other, list | tuple) else [other]
        return _sum(self, others) if _are_chunks(others) else super().__add__(other)

    def __radd__(self, other: Any) -> Any:
        return _sum(other, [self]) if _are_chunks([other]) else NotImplemented


def _are_chunks(found: list[Any]) -> bool:
    return all(isinstance(one, AIMessageChunk) for one in found)


def _sum(left: AIMessageChunk, others: list[AIMessageChunk]) -> AIMessageChunk:
    chunks = [left, *others]
    replacing = [
        at
        for at, chunk in enumerate(chunks)
        if chunk.chunk_position == "last" and chunk.response_metadata.get(STREAMED) == "replaced"
    ]
    first, *rest = chunks[replacing[-1] :] if replacing else chunks
    whole = add_ai_message_chunks(first, *rest)
    whole.id = whole.id or left.id
    return AIMessageChunk(**vars(whole)) if whole.chunk_position == "last" else whole


def chunks_of(message: AIMessage) -> Iterator[ChatGenerationChunk]:
    """What the model thought, what the message says, then all that is said once."""
    if message.additional_kwargs:
        thought = AIMessageChunk(content="", additional_kwargs=message.additional_kwargs)
        yield ChatGenerationChunk(message=thought)
    said = AIMessageChunk(content=message.content, tool_call_chunks=_call_chunks(message))
    yield ChatGenerationChunk(message=said)
    last = AIMessageChunk(
        content="",
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
    yield ChatGenerationChunk(message=last)


def chunk_of(delta: TextDelta) -> ChatGenerationChunk:
    """A text that is shown while it is decoded."""
    if delta.kind == "thought":
        shown = _LeadingChunk(content="", additional_kwargs={REASONING: delta.text})
    else:
        shown = _LeadingChunk(content=delta.text)
    return ChatGenerationChunk(message=shown)


def last_chunk(message: AIMessage) -> ChatGenerationChunk:
    """The end of a shown text: what is said once, and the whole message if it replaces the text."""
    replaces = message.response_metadata[STREAMED] == "replaced"
    last = _LeadingChunk(
        content=message.content if replaces else "",
        additional_kwargs=message.additional_kwargs if replaces else {},
        tool_call_chunks=_call_chunks(message),
        response_metadata=message.response_metadata,
        usage_metadata=message.usage_metadata,
        chunk_position="last",
    )
    return ChatGenerationChunk(message=last)


def _call_chunks(message: AIMessage) -> list[ToolCallChunk]:
    calls = [
        ToolCallChunk(
            name=call["name"],
            args=json.dumps(call["args"], ensure_ascii=False),
            id=call["id"],
            index=index,
            type="tool_call_chunk",
        )
        for index, call in enumerate(message.tool_calls)
    ]
    return calls + [
        ToolCallChunk(
            name=None, args=one["args"], id=one["id"], index=index, type="tool_call_chunk"
        )
        for index, one in enumerate(message.invalid_tool_calls, len(calls))
    ]
