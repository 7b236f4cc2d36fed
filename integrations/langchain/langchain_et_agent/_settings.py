"""The settings of `ChatEntropyTree`: what they may be, and how they are written."""

from collections.abc import Mapping
from copy import copy
from dataclasses import fields
from typing import Annotated, Any, Literal, Self, cast

from langchain_core.language_models import BaseChatModel
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
from et_agent.asking.prompting import LONG_DECODER
from et_agent.calibration import Calibrator
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described, from_description
from et_agent.engines.sampled import AnyModel, SampledModel
from et_agent.errors import SettingsError
from et_agent.renaming import warn_of_old_name
from et_agent.runnables.thinking import THINKING_FIELDS, ThinkingSettings
from et_agent.runnables.tree import calibrator_of
from et_agent.validation import explained, type_of
from et_agent.weights.addresses import is_address
from et_agent.weights.catalog import default_model
from langchain_et_agent._engines import EngineKey, engine_of
from langchain_et_agent._replies import Choice

__all__ = ["ChatSettings"]


def _of_trees(name: str) -> Any:
    """A setting with the range that it has for all entropy trees; None for the decoder's default."""
    found = copy(EntropyTree.model_fields[name])
    found.default = None
    return found


def _changed(decoder: DecoderSettings, given: Mapping[str, Any]) -> DecoderSettings:
    return type(decoder)(**{**decoder.model_dump(), **given}) if given else decoder


class ChatSettings(BaseChatModel, ThinkingSettings):
    """Which model, how it decodes, and what a message carries."""

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
    temperature: float | None = Field(default=None, ge=0, le=10, allow_inf_nan=False)
    """Sampling temperature. 0 decodes one chain of the most likely tokens, with no distribution. None
    for that of `ask`, as with the next two: 0.7, 320 and 16, and for long answers 0.5, 320 and 6."""
    max_tokens: int | None = _of_trees("max_tokens")
    """Longest path in tokens."""
    leaves: int | None = _of_trees("leaves")
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
                f"engine is {type_of(self.engine)}: pass a model from et_agent.load_model"
            )
        if self.engine is not None:
            self.model = self.engine.info.name
        if self.kind not in tuple(AnswerKind):
            raise ValueError(f"kind is {self.kind!r}: use one of {', '.join(AnswerKind)}")
        return self

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

    def decoder_for(self, call: Mapping[str, Any]) -> DecoderSettings:
        """The decoder of a call.

        Args:
            call: Settings given with the call.

        Raises:
            SettingsError: One is out of range.
        """
        given = {key: call[key] for key in EntropyTree.model_fields if call.get(key) is not None}
        if self.decoder is not None:
            return _changed(self.decoder, given)
        own = {key: getattr(self, key) for key in EntropyTree.model_fields}
        given = {key: value for key, value in own.items() if value is not None} | given
        if given.get("temperature") == 0:
            return Greedy(**{key: given[key] for key in ("max_tokens",) if key in given})
        if self._served(call):
            return MultiChain(**given)
        formed = call.get("tools") or call.get("response_format")
        if call.get("kind", self.kind) == AnswerKind.LONG and not formed:
            return _changed(LONG_DECODER, given)
        return EntropyTree(**given)

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
