"""What `tool_choice` says: a way to choose, or a tool by its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from et_agent.errors import SettingsError
from et_agent.templates.messages import ToolChoice

__all__ = ["Chosen", "chosen_tool"]

_WAYS: Final[Mapping[str, Literal["auto", "any", "none"]]] = {
    "auto": "auto",
    "any": "any",
    "required": "any",
    "none": "none",
}


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whether tools are called.

    Attributes:
        way: "auto" for where the model likes, "any" for always, "none" for never.
        name: The tool that is to be called, with the way "any"; None for any of them.
    """

    way: Literal["auto", "any", "none"]
    name: str | None = None

    @property
    def choice(self) -> ToolChoice:
        """The same as `tool_choice` says it, in OpenAI's form for a tool that is called like a way."""
        if self.name is None:
            return self.way
        if self.name not in _WAYS:
            return self.name
        return {"type": "function", "function": {"name": self.name}}


def chosen_tool(choice: ToolChoice, names: Sequence[str]) -> Chosen:
    """Read a choice.

    Args:
        choice: "auto", "any" or its other name "required", "none", a tool's name, or a mapping that
            names one, `{"type": "function", "function": {"name": …}}`. The four words always mean ways:
            a tool that is called like one of them is chosen by a mapping.
        names: The tools' names.

    Raises:
        SettingsError: It is none of these.
    """
    if isinstance(choice, str) and choice in _WAYS:
        return Chosen(_WAYS[choice])
    name: Any = choice
    if isinstance(choice, Mapping):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, Mapping) else choice.get("name")
    if isinstance(name, str) and name in names:
        return Chosen("any", name)
    raise SettingsError(
        f"tool_choice is {choice!r}: use one of {', '.join(('auto', 'any', 'none', *names))}"
    )
