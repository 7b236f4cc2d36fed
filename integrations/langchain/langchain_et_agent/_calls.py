"""One call of the chat model: its settings, waiting for the tree, and what a stream shows."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGenerationChunk
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ValidationError

from et_agent import AskOptions, AskResult, PendingAnswer
from et_agent.asking import start
from et_agent.asking.calling import ANY_OBJECT, check_tools
from et_agent.asking.prompting import Question
from et_agent.asking.streaming import AnswerStream, StreamEnd, TextDelta
from et_agent.errors import SettingsError, TimeLimitError
from et_agent.results import Leaf
from et_agent.runnables.messages import conversation, question_of
from et_agent.runnables.thinking import THINKING_FIELDS
from et_agent.validation import explained
from et_agent.weights.addresses import is_address
from langchain_et_agent._chunks import STREAMED, chunk_of, chunks_of, last_chunk
from langchain_et_agent._replies import chosen, reply

if TYPE_CHECKING:
    from langchain_et_agent.chat_models import ChatEntropyTree

__all__ = ["CALL_ARGUMENTS", "Call", "function_tools", "tool_choice_of"]

CALL_ARGUMENTS: Final = frozenset(
    {
        "attention",
        "calibrator",
        "chat",
        "choose",
        "include_tree",
        "kind",
        "leaves",
        "logprobs",
        "max_tokens",
        "model",
        "response_format",
        "same",
        "seed",
        "stream",
        "streams",
        "system_prompt",
        "temperature",
        "timeout",
        "tool_choice",
        "tools",
        *THINKING_FIELDS,
    }
)
# Checked as the chat model's own fields are; what decoders and `submit` check is left to them.
_FIELDS: Final = (
    "model",
    "kind",
    "seed",
    "system_prompt",
    "chat",
    "calibrator",
    "attention",
    "include_tree",
    "timeout",
    "choose",
    "logprobs",
    "streams",
    *THINKING_FIELDS,
    "same",
)


class Call:
    """One call's settings: those of the chat model, and what was given with the call.

    Raises:
        SettingsError: One is out of range, or names a model although the chat model has an engine.
    """

    def __init__(self, chat: "ChatEntropyTree", call: Mapping[str, Any]) -> None:
        if "model" in call and chat.engine is not None:
            raise SettingsError(
                f"model is {call['model']!r}, but the chat model has an engine: create a "
                f"{type(chat).__name__} without an engine to name a model with a call"
            )
        self._chat, self._given = chat, call
        self._settings = chat.model_copy()
        for name in _FIELDS:
            if name in call:
                self._set(name, call[name])
        self._leads = self._setting("streams") == "leading"
        if self._leads and self._setting("choose") == "sample":
            raise SettingsError(
                "streams='leading' shows the leading path, and choose='sample' draws another: leave "
                "one of them out"
            )

    def _set(self, name: str, value: object) -> None:
        checked = self._settings
        try:
            type(checked).__pydantic_validator__.validate_assignment(checked, name, value)
        except ValidationError as error:
            raise SettingsError(explained(type(checked).__name__, error)) from error

    def _setting(self, name: str) -> Any:
        return getattr(self._settings, name)

    def _prepare(self, messages: Sequence[BaseMessage], stop: Sequence[str]) -> PendingAnswer:
        chat, given = self._chat, self._given
        tools = given.get("tools") or ()
        names = [tool["function"]["name"] for tool in check_tools(tools)]
        question, system_prompt = self._question(messages)
        options = AskOptions(
            decoder=chat.decoder_for(given),
            kind=self._setting("kind"),
            seed=self._setting("seed"),
            system_prompt=system_prompt,
            chat=self._setting("chat"),
            calibrator=self._setting("calibrator"),
            attention=self._setting("attention"),
            tools=tools,
            tool_choice=tool_choice_of(given.get("tool_choice"), names),
            schema=_schema(given.get("response_format")),
            stop=stop,
            same=self._setting("same"),
            **self._settings.thinking_keywords,
        )
        return PendingAnswer(chat.engine_for(self._setting("model")), question, options)

    def _question(self, messages: Sequence[BaseMessage]) -> tuple[Question, str | None]:
        """What is asked, and the system prompt; a plain prompt is made of one question only."""
        system_prompt: str | None = self._setting("system_prompt")
        if self._setting("chat") != "plain":
            return conversation(messages), system_prompt
        question, system = question_of(messages)
        if not system:
            return question, system_prompt
        return question, f"{system}\n\n{system_prompt}" if system_prompt else system

    def _reply(self, pending: PendingAnswer, result: AskResult, leaf: Leaf) -> AIMessage:
        model = self._setting("model")
        return reply(
            pending,
            result,
            leaf=leaf,
            # Where a server is, is nothing that messages should carry.
            model=result.model.name if is_address(model) else model,
            logprobs=self._setting("logprobs"),
            include_tree=self._setting("include_tree"),
        )

    def _judged(self, pending: PendingAnswer, result: AskResult) -> AIMessage:
        return self._reply(pending, result, chosen(result, self._setting("choose")))

    def _led(self, pending: PendingAnswer, end: StreamEnd) -> AIMessage:
        message = self._reply(pending, end.result, end.leaf)
        message.response_metadata[STREAMED] = "confirmed" if end.agrees else "replaced"
        return message

    def _too_late(self) -> TimeLimitError:
        return TimeLimitError(
            f"no answer within {self._setting('timeout')} seconds: use a larger timeout, or fewer "
            "leaves or tokens"
        )

    def message(self, messages: Sequence[BaseMessage], stop: Sequence[str]) -> AIMessage:
        """Decode and wait."""
        if self._leads:
            *_, message = self._shown(messages, stop)
            assert isinstance(message, AIMessage)
            return message
        pending = self._prepare(messages, stop)
        start(pending)
        try:
            result = pending.result(self._setting("timeout"))
        except TimeoutError as error:
            raise self._too_late() from error
        finally:
            pending.cancel()  # does nothing to a question that is answered
        return self._judged(pending, result)

    async def amessage(self, messages: Sequence[BaseMessage], stop: Sequence[str]) -> AIMessage:
        """The same without blocking the event loop; a cancelled task stops decoding."""
        if self._leads:
            async with contextlib.aclosing(self._ashown(messages, stop)) as events:
                *_, message = [event async for event in events]
            assert isinstance(message, AIMessage)
            return message
        pending = await asyncio.to_thread(self._prepare, messages, stop)
        try:
            start(pending)
            async with asyncio.timeout(self._setting("timeout")):
                await _done(pending)
        except TimeoutError as error:
            raise self._too_late() from error
        finally:
            pending.cancel()
        # Reading the leaves may take a while: formulas are compared.
        return await asyncio.to_thread(lambda: self._judged(pending, pending.result()))

    def chunks(
        self, messages: Sequence[BaseMessage], stop: Sequence[str]
    ) -> Iterator[ChatGenerationChunk]:
        """The message in chunks: after the tree, or those of the leading path while it is decoded."""
        if not self._leads:
            yield from chunks_of(self.message(messages, stop))
            return
        for event in self._shown(messages, stop):
            yield chunk_of(event) if isinstance(event, TextDelta) else last_chunk(event)

    async def achunks(
        self, messages: Sequence[BaseMessage], stop: Sequence[str]
    ) -> AsyncGenerator[ChatGenerationChunk, None]:
        """The same without blocking the event loop."""
        if not self._leads:
            for chunk in chunks_of(await self.amessage(messages, stop)):
                yield chunk
            return
        async with contextlib.aclosing(self._ashown(messages, stop)) as events:
            async for event in events:
                yield chunk_of(event) if isinstance(event, TextDelta) else last_chunk(event)

    def _shown(
        self, messages: Sequence[BaseMessage], stop: Sequence[str]
    ) -> Iterator[TextDelta | AIMessage]:
        """What the leading path says, then the message."""
        pending = self._prepare(messages, stop)
        try:
            for event in AnswerStream(pending, timeout=self._setting("timeout")):
                yield event if isinstance(event, TextDelta) else self._led(pending, event)
        except TimeoutError as error:
            raise self._too_late() from error

    async def _ashown(
        self, messages: Sequence[BaseMessage], stop: Sequence[str]
    ) -> AsyncGenerator[TextDelta | AIMessage, None]:
        pending = await asyncio.to_thread(self._prepare, messages, stop)
        events = aiter(AnswerStream(pending, timeout=self._setting("timeout")))
        try:
            async with contextlib.aclosing(events):
                async for event in events:
                    yield event if isinstance(event, TextDelta) else self._led(pending, event)
        except TimeoutError as error:
            raise self._too_late() from error


async def _done(pending: PendingAnswer) -> None:
    """Wait until decoding has ended."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def tell(_: PendingAnswer) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(ended.set)

    pending.add_done_callback(tell)
    await ended.wait()


def function_tools(tools: Sequence[Any], response_format: object) -> list[dict[str, Any]]:
    """Tools in OpenAI's form.

    Args:
        tools: Tools, functions, pydantic classes or schemas.
        response_format: A format that replies have besides; None for none.

    Raises:
        SettingsError: One is a tool that a provider runs, or there is a response format besides.
    """
    made = [_function_tool(tool) for tool in tools]
    if made and _schema(response_format) is not None:
        raise SettingsError(
            "tools and a response_format exclude each other: let the format be a tool too, in an agent "
            "with response_format=ToolStrategy(…)"
        )
    return made


def _function_tool(tool: Any) -> dict[str, Any]:
    # LangChain lets tools that a provider runs pass as they are.
    made = convert_to_openai_tool(tool)
    function = made.get("function")
    if not isinstance(function, Mapping) or "name" not in function:
        raise SettingsError(
            f"the tool {made!r} is not a named function: pass a function, a tool, a pydantic class "
            "or a JSON schema with a title"
        )
    return made


def tool_choice_of(given: object, names: Sequence[str]) -> str:
    """OpenAI's and LangChain's ways to say it, as `et_agent.submit` says it."""
    if given is None or given is False:
        return "auto"
    if given is True or given == "required":
        return "any"
    if isinstance(given, Mapping):
        function = given.get("function")
        given = function.get("name") if isinstance(function, Mapping) else given.get("name")
    if isinstance(given, str) and (given in ("auto", "any", "none") or given in names):
        return given
    raise SettingsError(
        f"tool_choice is {given!r}: use one of {', '.join(('auto', 'any', 'none', *names))}"
    )


def _schema(given: object) -> Mapping[str, Any] | None:
    """The schema of OpenAI's `response_format`."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        match given.get("type"):
            case "text":
                return None
            case "json_object":
                return ANY_OBJECT
            case "json_schema" if isinstance(given.get("json_schema"), Mapping):
                schema = given["json_schema"].get("schema")
                if isinstance(schema, Mapping):
                    return schema
    raise SettingsError(
        f"response_format is {given!r}: use {{'type': 'json_schema', 'json_schema': {{'name': …, "
        "'schema': …}}, {'type': 'json_object'} or None"
    )
