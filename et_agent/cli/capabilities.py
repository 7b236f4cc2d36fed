"""What a model file supports, according to its header."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from et_agent.wording import counted

if TYPE_CHECKING:
    from et_agent.decoding.thresholds import Thresholds
    from et_agent.weights.gguf import GgufInfo

__all__ = ["Capability", "capabilities_of"]


@dataclass(frozen=True, slots=True)
class Capability:
    """Something that a model may support.

    Attributes:
        name: "forks", "attention", "chat" or "pilot".
        possible: Whether it does.
        reason: Why, or why not and what to do.
    """

    name: str
    possible: bool
    reason: str


def capabilities_of(info: "GgufInfo", thresholds: "Thresholds | None") -> list[Capability]:
    """Forks, attention, chat template and pilot of a model file."""
    unusable = info.why_unusable()
    if unusable:
        return [
            Capability(name, False, unusable) for name in ("forks", "attention", "chat", "pilot")
        ]
    return [
        Capability("forks", True, "paths can share a prefix in the KV cache"),
        Capability(
            "attention", True, "a transformer; `et-agent doctor` tests it with this llama.cpp"
        ),
        _chat(info),
        _pilot(thresholds),
    ]


def _chat(info: "GgufInfo") -> Capability:
    if info.chat_template is None:
        return Capability(
            "chat", False, "has no chat template (it may be a base model): use --chat plain"
        )
    return Capability("chat", True, f"has its own chat template{_thinking(info.chat_template)}")


def _thinking(template: str) -> str:
    """What a chat template says of thoughts, to follow its mention."""
    from et_agent.errors import UnsupportedModelError
    from et_agent.templates.chat import ChatTemplate

    try:
        form = ChatTemplate(template, "", "").reasoning
    except UnsupportedModelError as error:
        return f", but {error}"
    if form is None:
        return ""
    switch = "no switch for it" if form.off is None else "--thinking on and off"
    return f"; thinks between {form.opening} and {form.closing}, with {switch}"


def _pilot(thresholds: "Thresholds | None") -> Capability:
    if thresholds is None:
        return Capability(
            "pilot",
            False,
            "has no thresholds yet: measure them with `et-agent pilot --model … --questions FILE`",
        )
    read = f"{counted(thresholds.questions, 'question')}, {counted(thresholds.tokens, 'token')}"
    return Capability("pilot", True, f"{read}, {thresholds.created}")
