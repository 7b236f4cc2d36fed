"""A request as the rest of the server knows it, whichever interface it came by."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from et_agent import EntropyTree, Greedy, MultiChain
from et_agent.answers import AnswerKind
from et_agent.answers.stops import StopSequences
from et_agent.asking.options import AskOptions
from et_agent.asking.passages import checked_passages
from et_agent.asking.pending import ProgressCallback
from et_agent.asking.prompting import Question
from et_agent.decoding.base import DecoderSettings
from et_agent.errors import EtAgentError, InputError
from et_agent.gate import GatePolicy
from et_agent_server.errors import ApiError, api_error, invalid
from et_agent_server.models import ServedModel, ServedModels
from et_agent_server.settings import OnDoubt, ServerSettings
from et_agent_server.wire import MOST_STOPS, AgentOptions

__all__ = [
    "Call",
    "Gating",
    "checked_context",
    "checked_kind",
    "checked_stop",
    "decoder_of",
    "gating_of",
    "seed_of",
]

_LEAST_TEMPERATURE: Final = 0.001
"""Below it, a temperature takes the most likely tokens, as 0 does."""


@dataclass(frozen=True)
class Gating:
    """The gate that a reply has to pass.

    Attributes:
        policy: Its policy, with what the request replaces.
        on_doubt: What is done with a doubtful answer.
        target: The larger model; None unless `on_doubt` is "escalate".
        hands_over: Whether the caller escalates, so that a decision to do so is the reply.
    """

    policy: GatePolicy
    on_doubt: OnDoubt
    target: ServedModel | None = None
    hands_over: bool = False


@dataclass(frozen=True)
class Call:
    """What is asked of a model.

    Attributes:
        id: Identifies the reply.
        served: The model.
        name: Its name as the request gave it.
        question: The question or conversation.
        options: How it is answered.
        asked, formed: Fields of the request that hold the question, and tools or a schema, for errors.
        switched: The field that holds options of the chat template; None without any.
        choices: How many replies are wanted.
        copies: Whether they are copies of one, since the most likely tokens are taken.
        gating: The gate; None without one.
        logprobs: Whether the tokens' log-probabilities are wanted.
        tree: Whether the report carries the tree.
        leading: Whether a stream may show the leading path before it is known to be the reply.
        on_progress: Told the progress, in the model's thread; None for nobody.
    """

    id: str
    served: ServedModel
    name: str
    question: Question
    options: AskOptions
    asked: str
    formed: str | None = None
    switched: str | None = None
    choices: int = 1
    copies: bool = False
    gating: Gating | None = None
    logprobs: bool = False
    tree: bool = False
    leading: bool = True
    on_progress: ProgressCallback | None = None

    @property
    def shows_early(self) -> bool:
        """Whether a stream shows text while it is decoded; log-probabilities come with the reply."""
        return self.leading and self.gating is None and not self.logprobs

    @property
    def in_words(self) -> bool:
        """Whether replies are words, rather than JSON or tool calls."""
        return self.formed is None

    def error(self, error: EtAgentError) -> ApiError:
        """What the client is told of an error."""
        return api_error(error, asked=self.asked, formed=self.formed or self.switched)

    @property
    def parameters(self) -> dict[str, Any]:
        """Settings for the log and traces; no texts."""
        decoder = self.options.decoder
        return {
            "temperature": getattr(decoder, "temperature", None),
            "max_tokens": getattr(decoder, "max_tokens", None),
            "leaves": getattr(decoder, "leaves", 1),
            "choices": self.choices,
            "seed": self.options.seed,
        }


def seed_of(given: int | None) -> int:
    """The seed of a request; one of its own where none is given.

    Raises:
        ApiError: It is negative.
    """
    if given is None:
        return secrets.randbelow(2**31)
    if not 0 <= given < 2**63:
        raise invalid("seed", "use a whole number of 0 or more, below 2**63")
    return given


def checked_stop(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Stop sequences.

    Raises:
        ApiError: One is empty, or they are too many.
    """
    texts = [given] if isinstance(given, str) else list(given or ())
    if len(texts) > MOST_STOPS:
        raise invalid("stop", f"there are {len(texts)} texts: use up to {MOST_STOPS}")
    try:
        return StopSequences(texts).texts
    except InputError as error:
        raise invalid("stop", str(error)) from error


def checked_kind(given: str | None, field: str) -> str:
    """The answer kind.

    Raises:
        ApiError: There is no such kind.
    """
    if given is not None and given not in tuple(AnswerKind):
        raise invalid(field, f"use one of {', '.join(AnswerKind)}")
    return given or AnswerKind.AUTO.value


def decoder_of(
    served: ServedModel,
    settings: ServerSettings,
    *,
    choices: int = 1,
    leaves: int | None = None,
    temperature: float | None = None,
    max_tokens: int | None = None,
    leaves_field: str = "et_agent.leaves",
) -> DecoderSettings:
    """The decoder of a request: a tree, independent chains for several choices, or one chain.

    Raises:
        ApiError: There are too many choices or leaves, or both are given.
    """
    if choices > settings.most_leaves:
        raise invalid("n", f"use 1 to {settings.most_leaves}", "integer_above_max_value")
    if leaves is not None and leaves > settings.most_leaves:
        raise invalid(leaves_field, f"use 1 to {settings.most_leaves}", "integer_above_max_value")
    if choices > 1 and leaves not in (None, choices):
        raise invalid(
            leaves_field, f"n={choices} choices are the leaves already: leave one of them out"
        )
    limit = settings.max_tokens if max_tokens is None else max_tokens
    if temperature is not None and temperature < _LEAST_TEMPERATURE:
        return Greedy(max_tokens=limit)
    given: dict[str, Any] = {} if temperature is None else {"temperature": temperature}
    count = choices if choices > 1 else settings.leaves if leaves is None else leaves
    if choices > 1 or count == 1 or not served.gives_logits:
        return MultiChain(leaves=count, max_tokens=limit, **given)
    return EntropyTree(leaves=count, max_tokens=limit, **given)


def checked_context(given: list[str] | None, field: str) -> list[str] | None:
    """Passages.

    Raises:
        ApiError: There are none, or one is empty.
    """
    try:
        checked_passages(given)
    except InputError as error:
        raise invalid(field, str(error)) from error
    return given


def gating_of(
    options: AgentOptions,
    models: ServedModels,
    settings: ServerSettings,
    *,
    gated: bool,
    served: ServedModel,
    choices: int,
    kind: str,
    field: str = "et_agent.",
) -> Gating | None:
    """The gate that a request's reply has to pass; None without one.

    Raises:
        ApiError: It cannot be had: several choices, or an escalation without a larger model.
    """
    if not gated and not options.gates:
        return None
    if choices > 1:
        raise invalid("n", "a gate gives one answer: use n=1, or a model without a gate")
    doubt = options.on_doubt or settings.doubt
    changes: dict[str, Any] = {"clarify": doubt == "ask", "observe": doubt == "mark"}
    if options.answer_at is not None:
        changes["answer_at"] = options.answer_at
        changes["escalate_from"] = min(options.answer_at, settings.policy.escalate_from)
    if doubt == "mark" and kind == AnswerKind.LONG:
        changes |= {"claims": "mark", "observe": False}
    target = None
    if doubt == "escalate":
        target = models.target
        if target is None:
            raise invalid(
                f"{field}on_doubt",
                "this server has no larger model (et-agent serve --escalate-to NAME): use 'abstain', "
                "'ask' or 'mark'",
            )
        if target is served:
            doubt, target = "abstain", None  # there is none larger
    if doubt == "ask" and not served.gives_logits:
        raise invalid(
            f"{field}on_doubt",
            "'ask' needs logits, and this model is behind a server: use 'abstain'",
        )
    return Gating(settings.policy.changed(**changes), doubt, target)
