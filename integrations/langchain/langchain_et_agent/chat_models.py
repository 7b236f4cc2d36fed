"""`ChatEntropyTree`: a local model as a LangChain chat model, with a confidence in each reply."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import Any, Literal, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema

from et_agent.engines.opening import needing_logits
from et_agent.errors import SettingsError
from et_agent.weights.addresses import is_address
from langchain_et_agent._calls import (
    CALL_ARGUMENTS,
    Call,
    function_tools,
    tool_choice_of,
)
from langchain_et_agent._settings import ChatSettings
from langchain_et_agent._structured import parsed_replies

__all__ = ["ChatEntropyTree"]

_Method = Literal["json_schema", "function_calling", "json_mode"]


class ChatEntropyTree(ChatSettings):
    """A local GGUF model that decodes an entropy tree over the conversation.

    The message is the text of the heaviest leaf of the most likely answer. Its
    `response_metadata["et_agent"]` contains the whole result except the tree: answer, distribution,
    entropies, the confidence and what it rests on (`calibration`). `result_of` reads it.

        chat = ChatEntropyTree(model="qwen2.5-coder-0.5b", leaves=8)
        message = chat.invoke("How many legs have 3 cats and 2 birds?")
        message.response_metadata["et_agent"]["share"]

    A message's thought is in `additional_kwargs["reasoning_content"]` and in a reasoning block of its
    `content_blocks`; its content is the answer.

    A conversation without a system message gets the instruction of its answer kind. It asks for a
    boxed answer, so that leaves can be compared. `system_prompt=""` leaves it out.

    The model is loaded on first use. All instances that name it with the same `context`, `threads`,
    `max_sequences`, `dequantize`, `stream_memory`, `prefix_memory`, `prefix_file`, `gpu_layers`,
    `split_mode` and `main_gpu` share it, and simultaneous calls share its batches. `close_engines`
    frees it.

    `model`, `temperature`, `max_tokens`, `leaves`, `seed`, `kind`, `system_prompt`, `chat`,
    `calibrator`, `attention`, `include_tree`, `timeout`, `choose`, `logprobs`, `thinking`,
    `template_options`, `max_thinking_tokens`, `same` and `streams` can also be given with a call,
    except `model` if there is an `engine`.

    A chat model can be pickled and serialised (`langchain_core.load`), without weights. One with an
    `engine` cannot be pickled. Its copies share the engine, and after `load` it names no model.

    Raises:
        SettingsError: A setting is unknown or out of range, or both `engine` and `model` are given.
    """

    @property
    def _llm_type(self) -> str:
        return "et-agent-entropy-tree"

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        stops = cast(list[str], self._stops(stop))
        params = super()._get_ls_params(stop=stops or None, **kwargs)
        params["ls_provider"] = "et_agent"
        if is_address(named := params.get("ls_model_name") or ""):
            params["ls_model_name"] = named.partition("#")[2] or "server"
        return params

    def _stops(self, stop: Sequence[str] | None) -> Sequence[str]:
        if isinstance(stop, str):  # `submit` says what to pass instead, and callbacks hear it
            return stop
        return [*(self.stop or ()), *(stop or ())]

    def get_token_ids(self, text: str) -> list[int]:
        """Return the model's tokens for a text, loading the model if necessary."""
        model = needing_logits(self.engine_for(self.model), "the number of a token")
        return model.tokenize(text)

    def _call(self, call: dict[str, Any]) -> Call:
        unknown = sorted(set(call) - CALL_ARGUMENTS)
        if unknown:
            raise SettingsError(
                f"{type(self).__name__} does not accept {', '.join(unknown)} with a call: use "
                f"{', '.join(sorted(CALL_ARGUMENTS))}"
            )
        return Call(self, call)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        message = self._call(kwargs).message(messages, self._stops(stop))
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        del run_manager
        message = await self._call(kwargs).amessage(messages, self._stops(stop))
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        """The message in chunks, after the tree or, with streams="leading", while it is decoded."""
        for chunk in self._call(kwargs).chunks(messages, self._stops(stop)):
            if run_manager is not None:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        chunks = self._call(kwargs).achunks(messages, self._stops(stop))
        async with aclosing(chunks):
            async for chunk in chunks:
                if run_manager is not None:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools, several per reply unless one is named.

        Arguments fit the tool's schema. A grammar cannot enforce everything, such as `uniqueItems`. A
        call that breaks such a rule is not an answer and is returned as an invalid tool call.

        Args:
            tools: Tools, functions, pydantic classes or schemas.
            tool_choice: "auto" (None, False), "any" ("required", True), "none", or a tool's name.
            strict: Ignored: grammars are always strict.
            kwargs: Passed on with each call.

        Raises:
            SettingsError: The choice is not one of these, a tool is one that a provider runs, or there
                is a response format besides. When called: two tools have the same name.
        """
        del strict
        made = function_tools(tools, kwargs.get("response_format"))
        choice = tool_choice_of(tool_choice, [tool["function"]["name"] for tool in made])
        return self.bind(tools=made, tool_choice=choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: _Method = "json_schema",
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Return a runnable whose replies fit a schema.

        What the grammar cannot enforce, such as `uniqueItems`, is checked after decoding. A reply
        that breaks such a rule is not an answer. If no other leaf gives an answer, that reply is the
        message, and parsing it raises `OutputParserException` (in a stream, at its end). So does a
        reply that `max_tokens` cut off.

        Args:
            schema: A pydantic class, a TypedDict, or a JSON schema with a title.
            include_raw: Return {"raw", "parsed", "parsing_error"} instead of the parsed reply.
            method: "json_schema" uses the grammar of the schema and works with any model.
                "function_calling" uses a tool call. "json_mode" allows any JSON object, which the
                prompt must describe.
            strict: Ignored: grammars are always strict.
            kwargs: Passed on with each call.

        Raises:
            SettingsError: The method is not one of these, or the schema has a list as its type.
        """
        del strict
        if isinstance(schema, dict) and isinstance(schema.get("type"), list):
            raise SettingsError(
                f"the schema's type is {schema['type']!r}, and LangChain knows only one there: write "
                "anyOf with a schema for each"
            )
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method == "json_schema":
            wanted = convert_to_json_schema(schema)
            described = {"name": wanted.get("title", "reply"), "schema": wanted}
            form: dict[str, Any] = {"type": "json_schema", "json_schema": described}
        elif method == "json_mode":
            form = {"type": "json_object"}
        else:
            raise SettingsError(
                f"method is {method!r}: use 'json_schema', 'function_calling' or 'json_mode'"
            )
        llm = self.bind(
            response_format=form,
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        bounds = wanted if method == "json_schema" else {}
        return parsed_replies(llm, schema, bounds, include_raw=include_raw)
