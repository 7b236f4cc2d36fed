"""What a server allows and how it answers where a request does not say."""

import ipaddress
from typing import Any, Literal, Self

from pydantic import Field, JsonValue, SecretStr, ValidationError, model_validator

from et_agent.asking.options import ThinkingMode
from et_agent.errors import SettingsError
from et_agent.gate import GatePolicy
from et_agent.validation import Frozen, explained

__all__ = ["OnDoubt", "ServerSettings", "is_loopback"]

OnDoubt = Literal["abstain", "escalate", "ask", "mark"]
"""What a gated model does with an answer that it is not sure of: give none, ask the larger model, ask
the user back if the question is unclear, or give it with a mark."""


class ServerSettings(Frozen):
    """Settings of a server; frozen.

    Raises:
        SettingsError: One is out of range, or the server would be open to others without a key.
    """

    host: str = "127.0.0.1"
    """Address to listen on. Others than this machine's own need `api_keys`."""
    port: int = Field(default=8000, ge=0, le=65535)
    """Port; 0 takes a free one."""
    api_keys: tuple[SecretStr, ...] = ()
    """Keys of which a client has to send one; none lets every program of this machine in."""
    leaves: int = Field(default=8, ge=1, le=256)
    """Leaves of the tree behind a reply; 1 decodes one path, as other servers do."""
    most_leaves: int = Field(default=64, ge=1, le=256)
    """Most leaves, and most choices, that a request may ask for."""
    max_tokens: int = Field(default=1024, ge=1)
    """Longest reply in tokens where a request does not say."""
    thinking: ThinkingMode = "auto"
    """Whether models that can think first do so, where a request says nothing of thoughts."""
    max_thinking_tokens: int | None = Field(default=None, ge=0)
    """Tokens after which a thought is closed where a request does not say; None for 1,024."""
    template_options: dict[str, JsonValue] = Field(default_factory=dict)
    """Options of the chat templates of models that think, where a request says nothing of thoughts."""
    policy: GatePolicy = GatePolicy(answer_at=0.8)
    """Policy of the models `NAME:gated`; a request may replace its `answer_at`."""
    on_doubt: OnDoubt | None = None
    """What they do with doubtful answers; None escalates, or abstains without a larger model."""
    escalate_to: str | None = None
    """Name of the served model that questions are escalated to."""
    max_body: int = Field(default=4 * 2**20, ge=1024)
    """Largest request, bytes."""
    concurrent: int = Field(default=16, ge=1)
    """Requests that are decoded at once, per server; they share the model's batches."""
    queue: int = Field(default=128, ge=0)
    """Requests that may wait; further ones get 429."""
    queue_seconds: float = Field(default=60.0, gt=0)
    """Longest wait, after which a request gets 429, seconds."""
    seconds: float = Field(default=600.0, gt=0)
    """Longest time of a request from the end of its wait, seconds."""
    send_seconds: float = Field(default=30.0, gt=0)
    """Longest time that a client may take to send a request or to take a piece of a stream, seconds."""
    grace_seconds: float = Field(default=30.0, ge=0)
    """Time that requests in work get when the server is stopped, seconds."""
    log_texts: bool = False
    """Whether questions, answers and system prompts are written down: to the log, and to the file in
    which the last replies are kept for labels."""
    decisions: str | None = None
    """File in which decisions of gates are kept, without texts (`et-agent gate report`)."""
    most_labels: int = Field(default=10_000, ge=1)
    """Replies that are remembered for `/v1/labels`, in a file that outlives the server."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise SettingsError(explained("server settings", error)) from None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.api_keys and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is open to other machines, and there is no API key: give one "
                "(--api-keys FILE, or ET_AGENT_SERVER_KEYS), or listen on 127.0.0.1"
            )
        if any(len(key.get_secret_value()) < 16 for key in self.api_keys):
            raise ValueError("an API key is shorter than 16 characters: use a longer one")
        if self.leaves > self.most_leaves:
            raise ValueError(
                f"leaves ({self.leaves}) is above most_leaves ({self.most_leaves}): lower one of them"
            )
        if self.on_doubt == "escalate" and self.escalate_to is None:
            raise ValueError("on_doubt is 'escalate', and no model is named: set escalate_to")
        return self

    @property
    def doubt(self) -> OnDoubt:
        """What gated models do with doubtful answers."""
        if self.on_doubt is not None:
            return self.on_doubt
        return "abstain" if self.escalate_to is None else "escalate"


def is_loopback(host: str) -> bool:
    """Whether an address is this machine's own, which others cannot reach."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
