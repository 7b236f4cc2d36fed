"""Questions to models that give whole replies: what is asked of them, and what their replies say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from et_agent.answers.calls import ReadCall
from et_agent.answers.fields import Body
from et_agent.answers.stops import StopSequences
from et_agent.asking.calling import CallForm, JsonForm
from et_agent.asking.conversation import Conversation
from et_agent.asking.options import AskOptions
from et_agent.decoding.base import DecoderSettings
from et_agent.decoding.multi_chain import MultiChain
from et_agent.decoding.sampled import ChainDecoder
from et_agent.decoding.thinking import Parts
from et_agent.engines.sampled import THOUGHT_END, SampledModel, SampleRequest
from et_agent.errors import SettingsError, UnsupportedModelError
from et_agent.grammar.fitting import fits
from et_agent.templates.messages import Message, Tool

__all__ = [
    "SampledThoughts",
    "chain_decoder",
    "check_options",
    "checked_form",
    "sample_request",
]

PASSAGE_CHAINS: Final = MultiChain(leaves=8)
"""The default decoder of answers out of passages: as many leaves as trees have there."""
_BOX_END: Final = "}"


def check_options(options: AskOptions) -> None:
    """Refuse what takes the model's own template, tokens or logits.

    Raises:
        SettingsError: A plain prompt was asked for.
        UnsupportedModelError: Thoughts were to be switched, the model was to say which answers are one,
            or attention was to be read.
    """
    if options.chat == "plain":
        raise SettingsError(
            "a plain prompt is for base models in this process, and a server takes conversations: use "
            "chat='model'"
        )
    if options.thinking != "auto":
        raise UnsupportedModelError(
            f"thinking={options.thinking!r}, and a server does not tell how its template switches "
            "thoughts: set the template's own option, such as "
            'template_options={"enable_thinking": False}'
        )
    if options.same == "meaning":
        raise UnsupportedModelError(
            "same='meaning' reads the model's logits, and a server gives whole replies: use "
            "same='tests', or a judge of your own (et_agent.answers.joining.Equivalence)"
        )
    if options.attention:
        raise UnsupportedModelError(
            "attention is read in this process, and the model is behind a server: leave it out"
        )


def chain_decoder(options: AskOptions) -> DecoderSettings:
    """The decoder that was asked for, or the default.

    Raises:
        UnsupportedModelError: It needs the logits of every token.
    """
    if options.decoder is None:
        return MultiChain() if options.context is None else PASSAGE_CHAINS
    if not isinstance(options.decoder, ChainDecoder):
        raise UnsupportedModelError(
            f"{options.decoder.__repr_name__()} needs the logits of every token, and the model is "
            "behind a server that gives whole replies: use MultiChain or Greedy, or name no decoder"
        )
    return options.decoder


class _CheckedJson(JsonForm):
    """JSON that no grammar of ours has kept to its schema."""

    def body(self, text: str) -> Body | None:
        """The JSON value; None for one that does not fit the schema."""
        found = super().body(text)
        return found if found is not None and fits(found.value, self.schema) else None


class _CheckedCalls(CallForm):
    """Calls that no grammar of ours has kept to their number and the schemas of their tools."""

    def _calls(self, text: str) -> list[ReadCall]:
        """The calls of a complete reply; ValueError where one does not fit, too."""
        found = super()._calls(text)
        if len(found) > 1 and not self.several:
            raise ValueError("there are several calls")
        if not all(fits(one.arguments, self.schemas[one.name]) for one in found):
            raise ValueError("arguments do not fit their schema")
        return found


def checked_form(form: JsonForm | CallForm | None) -> JsonForm | CallForm | None:
    """The form of replies, checked as they are read.

    Raises:
        SettingsError: A schema cannot be checked.
    """
    if isinstance(form, JsonForm):
        fits(None, form.schema)
        return _CheckedJson(form.schema)
    if form is None:
        return None
    checked = _CheckedCalls(form.format, form.tools, form.free, form.several)
    for schema in checked.schemas.values():
        fits(None, schema)
    return checked


def sample_request(
    conversation: Conversation,
    options: AskOptions,
    decoder: DecoderSettings,
    form: JsonForm | CallForm | None,
    tools: Sequence[Tool],
    stops: StopSequences,
) -> SampleRequest:
    """What the server is asked; the decoder's run fills in the temperature of its samples.

    A server counts thought and reply together, so that its limit is the sum of both limits.

    Args:
        conversation: What was said, passages included.
        options: How it is answered.
        decoder: What decodes it.
        form: The form that replies have, or may have.
        tools: Tools that the model is shown.
        stops: What ends a path in words.
    """
    return SampleRequest(
        messages=[_without_thought(one) for one in conversation.messages],
        temperature=decoder.temperature,
        max_tokens=decoder.max_tokens + (options.max_thinking_tokens or 0),
        seed=options.seed,
        # The server cuts them off. One that may close a box is looked for when the reply is read, and
        # so are all of them where replies may have a form, in which none counts.
        stop=[one for one in stops.texts if _BOX_END not in one] if form is None else [],
        tools=tools,
        tool_choice=options.tool_choice,
        parallel_tool_calls=isinstance(form, CallForm) and form.several,
        schema=form.schema if isinstance(form, JsonForm) else None,
        template_options=dict(options.template_options),
    )


def _without_thought(message: Message) -> Message:
    """Servers differ in whether they take the thoughts of earlier turns."""
    kept = message.copy()
    kept.pop("reasoning_content", None)
    return kept


@dataclass(frozen=True, slots=True)
class SampledThoughts:
    """Tells thoughts and replies apart: `THOUGHT_END` stands between them."""

    model: SampledModel

    def parts(self, tokens: Sequence[int]) -> Parts:
        """The thought and the answer of a path."""
        pieces = [self.model.token_bytes(token) for token in tokens]
        text = b"".join(pieces)
        if THOUGHT_END not in tokens:
            return Parts.without_thoughts(text)
        start = list(tokens).index(THOUGHT_END) + 1
        thought = len(b"".join(pieces[:start]))
        # Nothing follows the thought where the limit cut it off.
        cut = start == len(tokens)
        return Parts(
            text,
            thoughts=((0, thought),),
            answers=() if cut else ((thought, len(text)),),
            open=cut,
            decided=True,
            start=len(tokens) if cut else start,
            thought_at=0,
        )

    def settled(self, parts: Parts) -> Parts:
        """The same: its paths are whole replies."""
        return parts

    def reached(self, parts: Parts) -> bool:
        """Whether a thought was closed by force: none is."""
        del parts
        return False
