"""The options about thoughts, of every command that asks a model something."""

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from et_agent.errors import SettingsError

if TYPE_CHECKING:
    from et_agent.asking.options import ThinkingKeywords

__all__ = [
    "MaxThinkingTokens",
    "TemplateOptions",
    "Thinking",
    "ThinkingName",
    "read_template_options",
    "thinking_keywords",
]

_PANEL: Final = "Thinking"


class ThinkingName(StrEnum):
    """Whether the model thinks, as `et_agent.asking.options.ThinkingMode`."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


Thinking = Annotated[
    ThinkingName,
    typer.Option(
        metavar="WHEN",
        case_sensitive=False,
        help="Whether a model that can think before it answers does so: on, off, or auto, which "
        "leaves it to its chat template.",
        rich_help_panel=_PANEL,
    ),
]
MaxThinkingTokens = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Tokens after which a thought is closed. --max-tokens counts the answer alone.",
        show_default="1024",
        rich_help_panel=_PANEL,
    ),
]
TemplateOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--template-option",
        metavar="NAME=VALUE",
        help="An option of the model's chat template; repeat it for more.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]


def thinking_keywords(
    thinking: ThinkingName, max_thinking_tokens: int | None, template_options: list[str] | None
) -> "ThinkingKeywords":
    """The options as keywords of `AskOptions`.

    Raises:
        SettingsError: A template option has no name or no value.
    """
    return {
        "thinking": thinking.value,
        "max_thinking_tokens": max_thinking_tokens,
        "template_options": read_template_options(template_options or ()),
    }


def read_template_options(given: Sequence[str]) -> dict[str, Any]:
    """Options of a chat template, each NAME=VALUE; a value that is not JSON is a text.

    Raises:
        SettingsError: One has no name or no value.
    """
    found: dict[str, Any] = {}
    for one in given:
        name, equals, value = one.partition("=")
        if not name.strip() or not equals:
            raise SettingsError(
                f"--template-option is {one!r}: use NAME=VALUE, such as reasoning_effort=low"
            )
        try:
            found[name.strip()] = json.loads(value)
        except ValueError:
            found[name.strip()] = value
    return found
