"""Structured output: from a reply to the value that its schema describes."""

from collections.abc import Mapping
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.language_models import LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.output_parsers.json import TBaseModel  # noqa: F401  # for mypy's plugin
from langchain_core.outputs import ChatGeneration, Generation
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableMap
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import Field

from et_agent.answers.structured import read_json, within_bounds

__all__ = ["WholeReplyParser", "parsed_replies"]


def parsed_replies(
    llm: Runnable[LanguageModelInput, AIMessage],
    schema: dict[str, Any] | type,
    bounds: Mapping[str, Any],
    *,
    include_raw: bool,
) -> Runnable[LanguageModelInput, Any]:
    """The values of a chat model's replies.

    Args:
        llm: The chat model.
        schema: What a value is made of: a pydantic class, or anything else for plain JSON types.
        bounds: JSON schema that plain values are held to; empty for any.
        include_raw: Give {"raw", "parsed", "parsing_error"} instead of the value.
    """
    if isinstance(schema, type) and is_basemodel_subclass(schema):  # which checks bounds itself
        parser = WholeReplyParser(inner=PydanticOutputParser(pydantic_object=schema))
    else:
        parser = WholeReplyParser(inner=JsonOutputParser(), wanted=dict(bounds))
    if not include_raw:
        return llm | parser

    def parsed(given: dict[str, Any], config: RunnableConfig) -> dict[str, Any]:
        found = {**given, "parsed": None, "parsing_error": None}
        try:
            found["parsed"] = parser.invoke(given["raw"], config)
        except Exception as error:  # whatever it is, it is told
            found["parsing_error"] = error
        return found

    return RunnableMap(raw=llm) | RunnableLambda(parsed)


class WholeReplyParser(JsonOutputParser):
    """What another parser makes of a reply that is whole and keeps its schema's bounds.

    LangChain's parsers complete JSON that is cut off, and no grammar keeps all that a schema says.
    """

    inner: JsonOutputParser
    """The other parser."""
    wanted: dict[str, Any] = Field(default_factory=dict)
    """The JSON schema."""

    @property
    def OutputType(self) -> Any:  # noqa: N802
        """That of the other parser."""
        return self.inner.OutputType

    def parse_result(self, result: list[Generation], *, partial: bool = False) -> Any:
        """The value of a reply; of a part of one, what there is so far.

        Raises:
            OutputParserException: It was cut off, is not valid JSON, or is outside the schema's bounds.
        """
        partial = partial and not _ended(result[0])
        if not partial and not within_bounds(_whole(result[0]), self.wanted):
            raise OutputParserException(
                f"the reply is outside the schema's bounds: {result[0].text}",
                llm_output=result[0].text,
            )
        return self.inner.parse_result(result, partial=partial)


def _ended(generation: Generation) -> bool:
    """Whether what a stream gave so far is all of it."""
    message = generation.message if isinstance(generation, ChatGeneration) else None
    return isinstance(message, AIMessageChunk) and message.chunk_position == "last"


def _whole(generation: Generation) -> Any:
    text = generation.text
    said = generation.message.response_metadata if isinstance(generation, ChatGeneration) else {}
    # A number that is cut off is a number too, so the text alone does not tell.
    if said.get("finish_reason") == "length":
        raise OutputParserException(
            f"the reply was cut off: allow more tokens (max_tokens); it is {text}", llm_output=text
        )
    try:
        return read_json(text)
    except ValueError as error:
        raise OutputParserException(
            f"the reply is not valid JSON: {error}; it is {text}", llm_output=text
        ) from error
