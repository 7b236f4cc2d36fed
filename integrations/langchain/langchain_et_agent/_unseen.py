"""Requests whose text no stream shows, so that nobody sees a reply before a gate has judged it."""

from typing import Any, Final

from langchain.agents.middleware import ModelRequest

__all__ = ["unseen"]

_NO_STREAM: Final = "nostream"
"""The tag by which LangGraph leaves a model out of `stream_mode="messages"`. What the model's node
returns, after the gate, is streamed all the same."""


def unseen(request: ModelRequest[Any]) -> ModelRequest[Any]:
    """The request to a copy of its model that does not stream."""
    model = request.model
    tags = [*(model.tags or ()), _NO_STREAM]
    return request.override(
        model=model.model_copy(update={"disable_streaming": True, "tags": tags})
    )
