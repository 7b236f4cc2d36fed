"""`ChatEntropyTree`: a local model as a LangChain chat model whose replies carry a confidence."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableConfig, RunnableLambda, RunnableMap
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from et_agent import EntropyTree, Greedy
from et_agent.answers import AnswerKind
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described, from_description
from et_agent.engines.base import LanguageModel
from et_agent.errors import SettingsError
from et_agent.validation import explained
from et_agent.weights.catalog import DEFAULT_MODEL
from langchain_et_agent._calls import CALL_ARGUMENTS, Call, chunks_of, function_tool, tool_choice_of
from langchain_et_agent._engines import EngineKey, engine_of
from langchain_et_agent._replies import Choice, WholeReplyParser

__all__ = ["ChatEntropyTree"]

_Method = Literal["json_schema", "function_calling", "json_mode"]


class ChatEntropyTree(BaseChatModel):
    """A local GGUF model that decodes an entropy tree over the conversation.

    The message is the text of the heaviest leaf of the most likely answer. Under "et_agent" its
    `response_metadata` holds the whole result without the tree: answer, distribution, entropies and,
    with a calibrator, the confidence. `AskResult.model_validate` reads it.

        chat = ChatEntropyTree(model="qwen2.5-coder-0.5b", leaves=8)
        message = chat.invoke("How many legs have 3 cats and 2 birds?")
        message.response_metadata["et_agent"]["share"]

    A conversation without a system message gets the instruction of its answer kind, which asks for a
    boxed answer, so that leaves can be compared; `system_prompt=""` leaves it out.

    The model is loaded when it is first used and shared by all instances that name it with the same
    `context`, `threads`, `max_sequences`, `unpack` and `stream_memory`; calls at the same time share
    its batches. `close_engines` frees it.

    Any of `model`, `temperature`, `max_tokens`, `leaves`, `seed`, `kind`, `system_prompt`, `timeout`,
    `choose` and `logprobs` can be given with a call too; `model` not where there is an `engine`.

    It can be pickled and serialised (`langchain_core.load`), without weights. One with an `engine`
    cannot be pickled; copies share the engine, and what `load` reads names no model.

    Raises:
        SettingsError: A setting is unknown or out of range, or there is an `engine` and a `model` too.
    """

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    model: str = DEFAULT_MODEL
    """A catalog name, a path to a GGUF file, or `hf:owner/repo/file.gguf`; the engine's name with an
    engine."""
    temperature: float = Field(default=0.7, ge=0, le=10, allow_inf_nan=False)
    """Sampling temperature; 0 decodes one chain of the most likely tokens, without a distribution."""
    max_tokens: int = Field(default=320, ge=1)
    """Longest path in tokens."""
    leaves: int = Field(default=16, ge=1, le=256)
    """Leaves of the tree at most."""
    decoder: DecoderSettings | None = None
    """All settings of the decoder, in place of the three above: `EntropyTree`, `MultiChain`, `Greedy`,
    or their fields with the class as `name`, as in `AskResult.decoder`."""
    kind: str = "auto"
    """What an answer is: "number", "math", "choice", "text" or "auto"."""
    seed: int = Field(default=0, ge=0)
    """The same seed, model and machine give the same reply."""
    system_prompt: str | None = None
    """Replaces the default instruction; "" for none. It stands behind a system message."""
    stop: list[str] | None = None
    """Texts that end a path and are cut off it; those of a call come on top."""
    choose: Choice = "best"
    """Which leaf is the message: "best", the answer's heaviest, or "sample", one by its weight. A drawn
    answer other than the most likely one has its own share and no confidence."""
    logprobs: bool = False
    """Whether `response_metadata["logprobs"]` lists the message's tokens, in OpenAI's shape."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds after which decoding is stopped with a `TimeLimitError`; None for no limit."""
    streaming: bool = False
    """Whether `invoke` goes by way of `stream`; the message is the same."""
    max_retries: int | None = None
    """Not used: the same seed gives the same reply, so trying again would not help."""
    api_key: SecretStr | None = Field(default=None, exclude=True)
    """Not used: the model runs in this process."""
    context: int = 8192
    """Cells of the model's cache, shared by all calls."""
    threads: int | None = None
    """CPU threads; None takes the cores that this process may use."""
    max_sequences: int = 64
    """Branches that may be in the cache at once."""
    unpack: bool = False
    """Decode from a copy with float16 weights: faster on CPUs without AMX or AVX-512."""
    stream_memory: int | None = Field(default=None, ge=0)
    """Bytes of memory for a key-value stream each branch, which makes wide batches faster; 0 keeps one
    cache for all, None takes the default of `load_model`."""
    engine: Any = Field(default=None, exclude=True, repr=False)
    """A loaded model to use instead of loading `model`; it is never closed here."""

    def __init__(self, **settings: Any) -> None:
        try:
            super().__init__(**settings)
        except ValidationError as error:
            raise SettingsError(explained(type(self).__name__, error)) from error
        # `configurable_fields` passes the engine's own name on.
        if self.engine is not None and settings.get("model", self.model) != self.model:
            raise SettingsError(
                f"model is {settings['model']!r}, but the chat model has an engine, {self.model!r}: "
                "leave one of them out"
            )

    @field_validator("decoder", mode="before")
    @classmethod
    def _read_decoder(cls, given: object) -> object:
        return from_description(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.engine is not None and not isinstance(self.engine, LanguageModel):
            raise ValueError(
                f"engine is a {type(self.engine).__name__}: pass what et_agent.load_model gives"
            )
        if self.engine is not None:
            self.model = self.engine.info.name
        if self.kind not in tuple(AnswerKind):
            raise ValueError(f"kind is {self.kind!r}: use one of {', '.join(AnswerKind)}")
        return self

    @property
    def _llm_type(self) -> str:
        return "et-agent-entropy-tree"

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Settings are written without weights, key and engine."""
        return True

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """The decoder as plain data, and no model for an engine: its name may load none."""
        written: dict[str, Any] = {} if self.engine is None else {"model": ""}
        if self.decoder is not None:
            written["decoder"] = described(self.decoder)
        return written

    def __getstate__(self) -> dict[Any, Any]:
        if self.engine is not None:
            raise SettingsError(
                "a chat model with an engine cannot be pickled: name the model "
                f'({type(self).__name__}(model="…")), and each process loads its own'
            )
        return super().__getstate__()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """A copy that shares the engine."""
        memo = {} if memo is None else memo
        memo[id(self.engine)] = self.engine
        return super().__deepcopy__(memo)

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        named = ("model", "kind", "seed", "system_prompt", "stop", "choose", "logprobs")
        return {
            **{name: getattr(self, name) for name in named},
            "decoder": described(self.decoder_for({})),
            **self._engine_params,
        }

    @property
    def _engine_params(self) -> dict[str, str]:
        """What tells engines of one name apart; a model by name is not loaded for it."""
        return {} if self.engine is None else {"fingerprint": self.engine.info.fingerprint}

    def _get_llm_string(self, stop: list[str] | None = None, **kwargs: Any) -> str:
        """The cache's key. It comes from the written settings, which leave the engine out."""
        return super()._get_llm_string(stop, **kwargs, **self._engine_params)

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> LangSmithParams:
        stops = cast(list[str], self._stops(stop))
        params = super()._get_ls_params(stop=stops or None, **kwargs)
        params["ls_provider"] = "et_agent"
        return params

    # --- Decoding

    def _stops(self, stop: Sequence[str] | None) -> Sequence[str]:
        if isinstance(stop, str):  # `submit` says what to pass instead, and callbacks hear it
            return stop
        return [*(self.stop or ()), *(stop or ())]

    def decoder_for(self, call: Mapping[str, Any]) -> DecoderSettings:
        """The decoder of a call.

        Args:
            call: Settings given with the call.

        Raises:
            SettingsError: One is out of range.
        """
        given = {key: call[key] for key in ("temperature", "max_tokens", "leaves") if key in call}
        if self.decoder is not None:
            if not given:
                return self.decoder
            return type(self.decoder)(**{**self.decoder.model_dump(), **given})
        temperature = given.get("temperature", self.temperature)
        max_tokens = given.get("max_tokens", self.max_tokens)
        if temperature == 0:
            return Greedy(max_tokens=max_tokens)
        leaves = given.get("leaves", self.leaves)
        return EntropyTree(temperature=temperature, max_tokens=max_tokens, leaves=leaves)

    def engine_for(self, model: str) -> LanguageModel:
        """The loaded model of a name; loads it if need be.

        Raises:
            ModelError: It cannot be loaded.
            SettingsError: There is no name: one with an engine was written and read.
        """
        if self.engine is not None:
            return cast(LanguageModel, self.engine)
        if not model:
            raise SettingsError(
                "no model is named: a chat model with an engine is written without it; set "
                'chat.model = "…", or name one with the call (model="…")'
            )
        return engine_of(
            EngineKey(
                model,
                context=self.context,
                threads=self.threads,
                max_sequences=self.max_sequences,
                unpack=self.unpack,
                stream_memory=self.stream_memory,
            )
        )

    def get_token_ids(self, text: str) -> list[int]:
        """The model's own tokens of a text; loads the model if need be."""
        return self.engine_for(self.model).tokenize(text)

    def _call(self, call: dict[str, Any]) -> Call:
        unknown = sorted(set(call) - CALL_ARGUMENTS)
        if unknown:
            raise SettingsError(
                f"{type(self).__name__} takes no {', '.join(unknown)} with a call: it takes "
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
        """The message in two chunks; which leaf it is, is known only when the tree is done."""
        message = self._call(kwargs).message(messages, self._stops(stop))
        for chunk in chunks_of(message):
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
        message = await self._call(kwargs).amessage(messages, self._stops(stop))
        for chunk in chunks_of(message):
            if run_manager is not None:
                await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    # --- Tools and structured output

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | bool | dict[str, Any] | None = None,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Let the model call tools, one call a reply.

        Arguments fit the tool's schema. A call that breaks what no grammar can enforce, such as
        `uniqueItems`, is no answer and comes as an invalid tool call.

        Args:
            tools: Tools, functions, pydantic classes or schemas.
            tool_choice: "auto" (None, False), "any" ("required", True), "none", or a tool's name.
            strict: Makes no difference: grammars are always strict.
            kwargs: Passed on with each call.

        Raises:
            SettingsError: The choice is none of these, or a tool is one that a provider runs.
        """
        del strict
        made = [function_tool(tool) for tool in tools]
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
        """Replies that fit a schema.

        Bounds of numbers and sizes are checked when a reply is read: one outside them is no answer,
        but is the message where no other leaf gives an answer, and then does not parse
        (`OutputParserException`; in a stream at its end). Neither does a reply that `max_tokens` cut
        off.

        Args:
            schema: A pydantic class, a TypedDict, or a JSON schema with a title.
            include_raw: Give {"raw", "parsed", "parsing_error"} instead of the parsed reply.
            method: "json_schema", by the grammar of the schema, for any model; "function_calling", as
                a tool call; "json_mode", any JSON object, which the prompt must describe.
            strict: Makes no difference: grammars are always strict.
            kwargs: Passed on with each call.

        Raises:
            SettingsError: The method is none of these.
        """
        del strict
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
        if isinstance(schema, type) and is_basemodel_subclass(schema):  # which checks bounds itself
            parser = WholeReplyParser(inner=PydanticOutputParser(pydantic_object=schema))
        else:
            bounds = wanted if method == "json_schema" else {}
            parser = WholeReplyParser(inner=JsonOutputParser(), wanted=bounds)
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
