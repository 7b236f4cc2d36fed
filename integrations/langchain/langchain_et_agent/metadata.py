"""The result that a message of `ChatEntropyTree` carries."""

from typing import Any, Final

from langchain_core.messages import BaseMessage
from pydantic import ValidationError

from et_agent.errors import InputError
from et_agent.results import AskResult
from et_agent.validation import explained

__all__ = ["METADATA_KEY", "metadata_of", "result_of"]

METADATA_KEY: Final = "et_agent"
"""Where the result lies in `AIMessage.response_metadata`."""


def metadata_of(result: AskResult, *, include_tree: bool = False) -> dict[str, Any]:
    """The result in plain JSON types, without the tree unless it is wanted."""
    return result.model_dump(mode="json", exclude=set() if include_tree else {"tree"})


def result_of(message: BaseMessage) -> AskResult | None:
    """Return the result that a message carries; None for a message of another model.

    Raises:
        InputError: The result is damaged, or from another version of et-agent.
    """
    return read_result(message.response_metadata.get(METADATA_KEY))


def read_result(value: Any) -> AskResult | None:
    """The result from plain JSON types; None from None.

    Raises:
        InputError: See `result_of`.
    """
    if value is None or isinstance(value, AskResult):
        return value
    if not isinstance(value, dict):
        raise InputError(f"a result in plain JSON types is a dict, not a {type(value).__name__}")
    try:
        return AskResult.model_validate({"tree": None, **value})
    except ValidationError as error:
        raise InputError(
            f"{explained('the result', error)}; was it made by another version of et-agent?"
        ) from error
