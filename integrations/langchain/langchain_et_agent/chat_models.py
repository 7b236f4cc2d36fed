"""`ChatEntropyTree`: a local model as a LangChain chat model, with a confidence in each reply."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from copy import copy
from dataclasses import fields
from typing import Annotated, Any, Literal, Self, cast

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.base import LangSmithParams
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from et_agent import EntropyTree, Greedy, MultiChain
from et_agent.answers import AnswerKind
from et_agent.asking.options import Calibration, Chat
from et_agent.calibration import Calibrator
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described, from_description
from et_agent.engines.opening import needing_logits
from et_agent.engines.sampled import AnyModel, SampledModel
from et_agent.errors import SettingsError
from et_agent.renaming import warn_of_old_name
from et_agent.runnables.thinking import THINKING_FIELDS, ThinkingSettings
from et_agent.runnables.tree import calibrator_of
from et_agent.validation import explained
from et_agent.weights.addresses import is_address
from et_agent.weights.catalog import default_model
from langchain_et_agent._calls import (
    CALL_ARGUMENTS,
    Call,
    function_tools,
    tool_choice_of,
)
from langchain_et_agent._engines import EngineKey, engine_of
from langchain_et_agent._replies import Choice
from langchain_et_agent._structured import parsed_replies

__all__ = ["ChatEntropyTree"]

_Method = Literal["json_schema", "function_calling", "json_mode"]


def _of_trees(name: str) -> Any:
    """A setting as all entropy trees have it: its default, its range and its description."""
    return copy(EntropyTree.model_fields[name])


class ChatEntropyTree(BaseChatModel, ThinkingSettings):
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

    model_config = ConfigDict(
        extra="forbid",
        arbitrary_types_allowed=True,
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    model: str = Field(default_factory=default_model)
    """A name as for `load_model`, or the address of an OpenAI-compatible server,
    `http://HOST:PORT/v1#NAME`; its key is read from the environment variable ET_AGENT_API_KEY. With an
    `engine`, the name of its model."""
    temperature: float = Field(
        default=EntropyTree.model_fields["temperature"].default, ge=0, le=10, allow_inf_nan=False
    )
    """Sampling temperature. 0 decodes one chain of the most likely tokens, with no distribution."""
    max_tokens: int = _of_trees("max_tokens")
    """Longest path in tokens."""
    leaves: int = _of_trees("leaves")
    """Largest number of leaves of the tree."""
    decoder: DecoderSettings | None = None
    """All settings of the decoder, instead of the three above: an `EntropyTree`, `MultiChain` or
    `Greedy`, or their fields with the class as `name`, as in `AskResult.decoder`."""
    kind: str = "auto"
    """What an answer is, an `et_agent.AnswerKind` by name, or "auto". "long" is for replies of several
    sentences: `response_metadata["et_agent"]["claims"]` then has a confidence for each claim."""
    seed: int = Field(default=0, ge=0)
    """Random seed. The same seed, model and machine give the same reply."""
    system_prompt: str | None = None
    """Replaces the default instruction; "" for none. It is added after a system message."""
    chat: Chat = "model"
    """"model" for the model's own chat template. "plain" for a plain prompt, as base models need it; it
    takes one human message and no tools."""
    same: Literal["meaning", "tests", "words"] | None = None
    """Which answers in words are one: those of one "meaning", by "tests" of their words alone (None
    too), or of the same "words"."""
    calibrator: Annotated[Calibration, BeforeValidator(calibrator_of)] = "auto"
    """Gives the confidence. "auto" takes the best that applies: your own, a shipped one, or the general
    map. A calibrator that is given has to apply to every call. None gives no confidence."""
    attention: bool = False
    """Whether attention is read, which takes longer; see `AskOptions`."""
    include_tree: bool = False
    """Whether messages carry the whole tree, with the texts of all paths."""
    stop: list[str] | None = None
    """Texts that end a path and are removed from it, in addition to those of a call."""
    choose: Choice = "best"
    """Which leaf becomes the message: "best" for the heaviest leaf of the answer, "sample" to draw a
    leaf by its weight. If the drawn answer is not the most likely one, it has its own share and no
    confidence."""
    logprobs: bool = False
    """Whether `response_metadata["logprobs"]` lists the message's tokens, in OpenAI's shape."""
    timeout: float | None = Field(default=None, gt=0)
    """Seconds after which decoding is stopped with a `TimeLimitError`; None for no limit."""
    streaming: bool = False
    """Whether `invoke` uses `stream`. The message is the same."""
    streams: Literal["judged", "leading"] = "judged"
    """What a stream shows: the "judged" reply, when the tree is done, or the "leading" path while it is
    decoded. Its text is then the message if its answer wins. If another one wins, the last chunk
    has the whole reply, which replaces the text in sums of the chunks. `response_metadata["streamed"]`
    says which: "confirmed" or "replaced"."""
    max_retries: int | None = None
    """Not used: the same seed gives the same reply, so a retry would not help."""
    api_key: SecretStr | None = Field(default=None, exclude=True)
    """Not used: a model in this process needs none, and a server's is read from the environment."""
    context: int = 8192
    """Cells of the model's cache, shared by all calls."""
    threads: int | None = None
    """CPU threads; None takes the cores that this process may use."""
    max_sequences: int = 64
    """Branches that may be in the cache at once."""
    dequantize: bool = False
    """Decode from a copy with float16 weights, which is faster on CPUs without AMX or AVX-512."""
    stream_memory: int | None = Field(default=None, ge=0)
    """Bytes of memory for one key-value stream per branch, which makes wide batches faster. 0 keeps one
    cache for all branches. None takes the default of `load_model`."""
    prefix_memory: int | None = Field(default=None, ge=0)
    """Bytes of memory for beginnings of conversations that later calls go on from. 0 keeps none. None
    takes the default of `load_model`."""
    prefix_file: str | None = None
    """A file that keeps prompts for the next process, written by `close_engines`."""
    gpu_layers: int = Field(default=-1, ge=-1)
    """Layers on the GPU, the last ones first, if llama.cpp was built for one; -1 for all."""
    split_mode: Literal["none", "layer", "row", "tensor"] = "layer"
    """How layers are divided among several GPUs; "none" for one GPU alone."""
    main_gpu: int = Field(default=0, ge=0)
    """Number of that GPU, in the order of `et-agent doctor`."""
    engine: Any = Field(default=None, exclude=True, repr=False)
    """A loaded model to use instead of loading `model`. The chat model never closes it."""

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

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and "unpack" in given:
            warn_of_old_name("ChatEntropyTree(unpack=…)", "dequantize")
            given = dict(given)
            given["dequantize"] = given.pop("unpack")
        return given

    @field_validator("decoder", mode="before")
    @classmethod
    def _read_decoder(cls, given: object) -> object:
        return from_description(given) if isinstance(given, Mapping) else given

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.engine is not None and not isinstance(self.engine, AnyModel):
            raise ValueError(
                f"engine is a {type(self.engine).__name__}: pass a model from et_agent.load_model"
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
        """Objects as plain data. With an engine, no model, since its name may not be loadable."""
        written: dict[str, Any] = {} if self.engine is None else {"model": ""}
        if self.decoder is not None:
            written["decoder"] = described(self.decoder)
        if isinstance(self.calibrator, Calibrator):
            written["calibrator"] = self.calibrator.document().model_dump(mode="json")
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
        named = (
            "model",
            "kind",
            "seed",
            "system_prompt",
            "chat",
            "stop",
            "choose",
            "logprobs",
            "same",
            "streams",
        )
        written = {"calibrator": self.calibrator, **self.lc_attributes}
        return {
            **{name: getattr(self, name) for name in (*named, *THINKING_FIELDS)},
            "calibrator": written["calibrator"],
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
        if is_address(named := params.get("ls_model_name") or ""):
            params["ls_model_name"] = named.partition("#")[2] or "server"
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
        given = {key: call[key] for key in EntropyTree.model_fields if key in call}
        if self.decoder is not None:
            if not given:
                return self.decoder
            return type(self.decoder)(**{**self.decoder.model_dump(), **given})
        temperature = given.get("temperature", self.temperature)
        max_tokens = given.get("max_tokens", self.max_tokens)
        if temperature == 0:
            return Greedy(max_tokens=max_tokens)
        leaves = given.get("leaves", self.leaves)
        tree = MultiChain if self._served(call) else EntropyTree
        return tree(temperature=temperature, max_tokens=max_tokens, leaves=leaves)

    def _served(self, call: Mapping[str, Any]) -> bool:
        """Whether the model is behind a server, which gives whole replies."""
        if self.engine is not None:
            return isinstance(self.engine, SampledModel)
        return is_address(call.get("model", self.model))

    def engine_for(self, model: str) -> AnyModel:
        """Return the model of a name, loading it if necessary.

        Raises:
            ModelError: It cannot be loaded.
            SettingsError: There is no name, because the chat model had an engine when serialised.
        """
        if self.engine is not None:
            return cast(AnyModel, self.engine)
        if not model:
            raise SettingsError(
                "no model is named, because a chat model with an engine is serialised without it: "
                'set chat.model = "…", or pass model="…" with the call'
            )
        settings = (one.name for one in fields(EngineKey) if one.name != "model")
        return engine_of(EngineKey(model, **{name: getattr(self, name) for name in settings}))

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

    # --- Tools and structured output

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
            SettingsError: The method is not one of these.
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
        bounds = wanted if method == "json_schema" else {}
        return parsed_replies(llm, schema, bounds, include_raw=include_raw)
