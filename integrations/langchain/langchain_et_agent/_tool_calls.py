"""Tool calls in LangChain's shape."""

import json
import secrets
from collections.abc import Mapping
from typing import Any

from langchain_core.messages import InvalidToolCall, ToolCall

__all__ = ["invalid_call", "new_tool_call"]


def new_tool_call(name: str, arguments: Mapping[str, Any]) -> ToolCall:
    """A tool call with an id of its own."""
    return ToolCall(
        name=name, args=json.loads(json.dumps(arguments)), id=_new_id(), type="tool_call"
    )


def invalid_call(text: str, *, finished: bool) -> InvalidToolCall:
    """A tool call that was cut off or, `finished`, does not fit its tool's schema."""
    return InvalidToolCall(
        name=None,
        # LangChain would read an object's text in a stream as the arguments of a call without a name.
        args=json.dumps(text, ensure_ascii=False) if text.lstrip().startswith("{") else text,
        id=_new_id(),
        error="the tool call does not fit the tool's schema"
        if finished
        else "the tool call was cut off: allow more tokens (max_tokens)",
        type="invalid_tool_call",
    )


def _new_id() -> str:
    return f"call_{secrets.token_hex(12)}"
