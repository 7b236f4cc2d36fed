"""The entropy tree as a runnable, from a question or messages to an `AskResult`."""

import json
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, aclosing
from typing import Annotated, Any, Final, Literal

from langchain_core.callbacks.manager import (
    AsyncCallbackManagerForChainRun,
    CallbackManagerForChainRun,
)
from langchain_core.messages import AnyMessage
from langchain_core.prompt_values import ChatPromptValueConcrete, StringPromptValue
from langchain_core.runnables import RunnableConfig
from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    WithJsonSchema,
    model_validator,
)

from et_agent.answers import AnswerKind
from et_agent.asking.options import AskOptions, Calibration, Chat
from et_agent.asking.pending import PendingAnswer
from et_agent.asking.prompting import LONG_DECODER
from et_agent.calibration import Calibrator
from et_agent.decoding import EntropyTree, MultiChain
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.naming import described, from_description, has_name
from et_agent.engines.sampled import AnyModel, SampledModel
from et_agent.errors import CalibrationError, SettingsError
from et_agent.results import AskResult
from et_agent.runnables.base import SettingsRunnable
from et_agent.runnables.batching import abatch_as_completed, batch_as_completed
from et_agent.runnables.driving import Asking, adecode, closed_after, decode
from et_agent.runnables.loading import LoadOptions, SharedModel, shared_model
from et_agent.runnables.messages import QuestionWithContext, TreeInput, asked_of
from et_agent.runnables.thinking import ThinkingSettings
from et_agent.runnables.watching import Send, Watch
from et_agent.validation import plain_json
from et_agent.weights.addresses import is_address
from et_agent.weights.catalog import default_model

__all__ = ["EntropyTreeRunnable", "calibrator_of"]

_MOST_VALUES: Final = 10_000_000
"""Of a calibrator, which may hold the features of all its labels."""


def _decoder(value: object) -> object:
    return from_description(value) if isinstance(value, Mapping) else value


def calibrator_of(value: object) -> object:
    """A calibrator from plain JSON types, as serialised runnables have it; anything else as it is.

    Raises:
        CalibrationError: They are those of no calibrator.
    """
    if not isinstance(value, Mapping):
        return value
    made = plain_json(value, "the calibrator", error=CalibrationError, most=_MOST_VALUES)
    return Calibrator.from_json(json.dumps(made))


class EntropyTreeRunnable(SettingsRunnable[TreeInput, AskResult], ThinkingSettings):
    """Answers a question with an entropy tree, from text, messages or a prompt value to an `AskResult`.

        tree = EntropyTreeRunnable(model="qwen2.5-coder-0.5b", leaves=8)
        tree.invoke("What is 15 % of 240?").answer

    In a list of messages, the last human message is the question. A system message at the beginning
    replaces `system_prompt` and the answer kind's instruction. Images are refused.

    To answer from passages, pass `{"question": …, "context": …}`, the context as a text or as a list of
    texts or documents, as a retriever gives them (`ask(…, context=…)`).

    - `batch` and `abatch` put all questions, or `max_concurrency` of them at a time, into the model's
      shared batches. Without `return_exceptions`, the first error ends the whole batch.
    - `stream` and `astream` yield `TreeSnapshot`s while the tree grows. Last comes the `AskResult`
      that `invoke` returns, so the next step of a chain gets the result. Closing the stream or
      cancelling the task stops decoding within one step, and the model stays usable. (LangChain's
      `RunnableParallel` leaves its tasks running, so there decoding stops at the next snapshot.)
    - Callbacks and `astream_events` get the custom events `entropy_tree_fork`, `entropy_tree_leaf`
      and `entropy_tree_posterior` (data: `ForkSeen`, `LeafSeen`, `TreeSnapshot`).
    - Every field may be given for one call: `tree.invoke(question, leaves=4)`, `tree.bind(seed=1)`,
      or through `configurable_fields`. This does not load the model again.

    A model that is given by name is loaded for the first question. All runnables that name it with
    the same `load_options` share it, and it is freed with the last of them. Such a runnable can be
    pickled and serialised (`langchain_core.load`), without weights. A model that was passed in loaded
    is yours to close, once no runnable uses it.

    Raises, when called:
        QuestionError: There is no question, or it contains something other than text.
        CalibratorMismatchError: The calibrator does not match the model, decoder or prompt.
        SettingsError: A setting given for the call is unknown or out of range.
        ModelError: The model cannot be loaded, was closed, or is not suitable.
        DecodeError: llama.cpp failed.
    """

    model: Annotated[str | AnyModel, WithJsonSchema({"type": "string"})] = Field(
        default_factory=default_model
    )
    """A loaded model, a name as for `load_model`, or the address of an OpenAI-compatible server
    (`http://HOST:PORT/v1#NAME`)."""
    load_options: LoadOptions = Field(default_factory=lambda: LoadOptions())
    """Arguments of `load_model`, such as `context` and `threads`, for a model given by name."""
    decoder: Annotated[DecoderSettings | None, BeforeValidator(_decoder)] = None
    """The decoder: `EntropyTree`, `MultiChain`, `Greedy` or `Direct` with its settings; None for what
    `ask` takes."""
    leaves: int | None = None
    """Largest number of leaves; None for the decoder's setting."""
    temperature: float | None = None
    """Sampling temperature; None for the decoder's setting."""
    max_tokens: int | None = None
    """Longest path in generated tokens; None for the decoder's setting."""
    kind: AnswerKind = AnswerKind.AUTO
    """What an answer is, an `AnswerKind` by its name, or "auto"."""
    seed: int = Field(default=0, ge=0)
    """Random seed. The same seed, model and machine give the same tree."""
    system_prompt: str | None = None
    """Replaces the answer kind's instruction; "" for none."""
    chat: Chat = "model"
    """"model" for the model's own chat template, "plain" for a plain prompt."""
    same: Literal["meaning", "tests", "words"] | None = None
    """Which answers in words are one, as for `ask`."""
    calibrator: Annotated[Calibration, BeforeValidator(calibrator_of)] = "auto"
    """Gives the confidence; "auto" finds the calibrator that matches model, decoder and prompt."""
    include_tree: bool = False
    """Whether results contain the whole tree, with the texts of all paths."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    _shared: SharedModel | None = PrivateAttr(default=None)

    @model_validator(mode="after")
    def _check(self) -> "EntropyTreeRunnable":
        self.decoder_settings()
        if self.load_options and not isinstance(self.model, str):
            raise ValueError(
                "load_options have no effect on a model that is already loaded: leave them out"
            )
        return self

    def model_post_init(self, context: Any, /) -> None:
        """Take part in the model that others name too."""
        super().model_post_init(context)
        if isinstance(self.model, str):
            self._shared = shared_model(self.model, self.load_options)

    def decoder_settings(self) -> DecoderSettings | None:
        """The decoder, with `leaves`, `temperature` and `max_tokens` if given; None for `ask`'s.

        Raises:
            SettingsError: One is out of range, or the decoder has no such setting.
        """
        given = {
            name: value
            for name in EntropyTree.model_fields
            if (value := getattr(self, name)) is not None
        }
        if not given:
            return self.decoder
        if self.decoder is None:
            if self._served:
                return MultiChain(**given)
            if self.kind is not AnswerKind.LONG:
                return EntropyTree(**given)
        base = self.decoder or LONG_DECODER
        return type(base)(**{**base.model_dump(), **given})

    @property
    def _served(self) -> bool:
        """Whether the model is behind a server, which gives whole replies."""
        if isinstance(self.model, str):
            return is_address(self.model)
        return isinstance(self.model, SampledModel)

    def language_model(self) -> AnyModel:
        """The model. A model given by name is loaded if it has not been loaded yet.

        Raises:
            ModelError: See `et_agent.load_model`.
        """
        if isinstance(self.model, str):
            assert self._shared is not None
            return self._shared.get()
        return self.model

    # What LangChain asks of a runnable.

    @property
    def InputType(self) -> Any:  # noqa: N802
        """The input type, with the message classes spelled out for the schema."""
        said = str | StringPromptValue | ChatPromptValueConcrete | list[AnyMessage]
        return said | QuestionWithContext

    @property
    def OutputType(self) -> type[AskResult]:  # noqa: N802
        """The type that `invoke` returns and streams end with."""
        return AskResult

    def invoke(
        self, input: TreeInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AskResult:
        """Answer one question. `kwargs` are fields for this call."""

        def answer(
            value: TreeInput, run_manager: CallbackManagerForChainRun, config: RunnableConfig
        ) -> AskResult:
            with ExitStack() as held:
                *_, result = decode(
                    self._asking(value, kwargs), run_manager, config, held, snapshots=False
                )
            assert isinstance(result, AskResult)
            return result

        return self._call_with_config(answer, input, config)

    async def ainvoke(
        self, input: TreeInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AskResult:
        """Answer one question without blocking the event loop."""

        async def answer(
            value: TreeInput, run_manager: AsyncCallbackManagerForChainRun, config: RunnableConfig
        ) -> AskResult:
            with ExitStack() as held:
                asking = self._asking(value, kwargs)
                chunks = adecode(asking, run_manager, config, held, snapshots=False)
                *_, result = [chunk async for chunk in chunks]
            assert isinstance(result, AskResult)
            return result

        return await self._acall_with_config(answer, input, config)

    def stream(
        self, input: TreeInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[Any, None, None]:
        """Yield `TreeSnapshot`s while the tree grows, then the `AskResult`."""

        def chunks(
            inputs: Iterator[TreeInput],
            run_manager: CallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> Iterator[Any]:
            asking = self._asking(next(inputs), kwargs)
            yield from decode(asking, run_manager, config, held, snapshots=True)

        # LangChain does not close the iterators it drives, so that must not be what ends decoding.
        with ExitStack() as held:
            yield from self._transform_stream_with_config(iter([input]), chunks, config)

    async def astream(
        self, input: TreeInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Any, None]:
        """Yield `TreeSnapshot`s while the tree grows, then the `AskResult`."""

        async def chunks(
            inputs: AsyncIterator[TreeInput],
            run_manager: AsyncCallbackManagerForChainRun,
            config: RunnableConfig,
        ) -> AsyncIterator[Any]:
            asking = self._asking(await anext(inputs), kwargs)
            async for chunk in adecode(asking, run_manager, config, held, snapshots=True):
                yield chunk

        async def one() -> AsyncIterator[TreeInput]:
            yield input

        with ExitStack() as held:
            run = self._atransform_stream_with_config(one(), chunks, config)
            async with closed_after(run) as stream:
                async for chunk in stream:
                    yield chunk

    def batch(
        self,
        inputs: Sequence[TreeInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AskResult]:
        """Answer questions in shared batches, and return the results in the same order."""
        done = dict(
            self.batch_as_completed(inputs, config, return_exceptions=return_exceptions, **kwargs)
        )
        return [done[index] for index in range(len(inputs))]

    def batch_as_completed(
        self,
        inputs: Sequence[TreeInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> Iterator[tuple[int, Any]]:
        """Answer questions in shared batches, yielding (index, result) as each is done."""
        askings = [self._asking(one, kwargs) for one in inputs]
        return batch_as_completed(
            self.get_name(), inputs, askings, config, return_exceptions=return_exceptions
        )

    async def abatch(
        self,
        inputs: Sequence[TreeInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> list[AskResult]:
        """Answer questions in shared batches, and return the results in the same order."""
        each = self.abatch_as_completed(
            inputs, config, return_exceptions=return_exceptions, **kwargs
        )
        async with aclosing(each):
            done = {index: result async for index, result in each}
        return [done[index] for index in range(len(inputs))]

    def abatch_as_completed(
        self,
        inputs: Sequence[TreeInput],
        config: RunnableConfig | Sequence[RunnableConfig] | None = None,
        *,
        return_exceptions: bool = False,
        **kwargs: Any,
    ) -> AsyncGenerator[tuple[int, Any], None]:
        """Answer questions in shared batches, yielding (index, result) as each is done."""

        async def ask(value: TreeInput, config: RunnableConfig) -> AskResult:
            return await self.ainvoke(value, config, **kwargs)

        return abatch_as_completed(ask, inputs, config, return_exceptions=return_exceptions)

    def _asking(self, value: TreeInput, changes: Mapping[str, Any]) -> Asking:
        """What prepares this question when it is called; it may load the model, which takes long."""

        def prepare(send: Send, *, follow: bool) -> Watch:
            return self.changed(changes)._watch(value, send, follow=follow)

        return prepare

    def _watch(self, value: TreeInput, send: Send, *, follow: bool) -> Watch:
        question, system, context = asked_of(value)
        options = AskOptions(
            context=context,
            decoder=self.decoder_settings(),
            kind=self.kind,
            seed=self.seed,
            system_prompt=self.system_prompt if system is None else system,
            chat=self.chat,
            calibrator=self.calibrator,
            same=self.same,
            **self.thinking_keywords,
        )
        pending = PendingAnswer(self.language_model(), question, options)
        return Watch(pending, send, follow=follow, include_tree=self.include_tree)

    # Serialising and copying.

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """Fields that are objects, as JSON types that the constructor takes."""
        fields: dict[str, Any] = {"kind": self.kind.value}
        if self.decoder is not None and has_name(self.decoder):
            fields["decoder"] = described(self.decoder)
        if isinstance(self.calibrator, Calibrator):
            fields["calibrator"] = self.calibrator.document().model_dump(mode="json")
        return fields

    def _picklable(self) -> dict[str, Any]:
        if not isinstance(self.model, str):
            raise SettingsError(
                "a runnable with a loaded model cannot be pickled: name the model "
                '(EntropyTreeRunnable(model="…")), and each process loads its own'
            )
        return super()._picklable()
