"""Tool calls and structured output: what a reply may be, as a grammar, and what it then says."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from et_agent.answers.extraction import Extracted
from et_agent.answers.structured import canonical, read_json, read_json_at
from et_agent.decoding.constraint import AfterMarker
from et_agent.errors import SettingsError
from et_agent.models.base import Constraint, LanguageModel, Tool, ToolFormat
from et_agent.models.json_grammar import combined, literal, schema_rules
from et_agent.results import ToolCall

__all__ = ["CallForm", "JsonForm", "ReplyForm", "call_form", "check_tools"]

_CHOICES: Final = ("auto", "any", "none")


class ReplyForm(Protocol):
    """A form that replies have, or may have."""

    def constraint(self, model: LanguageModel) -> Constraint:
        """The grammar that keeps paths to the form."""
        ...

    def begins(self, text: str) -> bool:
        """Whether a path's text has this form rather than being free text."""
        ...

    def read(self, text: str) -> Extracted | None:
        """What a complete reply says; None for one that is cut off or has another form."""
        ...

    def ends(self, text: str) -> bool:
        """Whether a path's text of this form is complete, so that nothing but spaces may follow."""
        ...

    def calls(self, text: str) -> tuple[ToolCall, ...]:
        """The tool calls of a complete reply."""
        ...


@dataclass(frozen=True)
class JsonForm:
    """JSON that fits a schema."""

    schema: Mapping[str, Any]

    @property
    def instruction(self) -> str:
        """What the system prompt says of it."""
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with JSON that fits this JSON schema, and nothing else:\n{schema}"

    def constraint(self, model: LanguageModel) -> Constraint:
        """The schema's grammar.

        Raises:
            SettingsError: llama.cpp's grammar cannot express the schema.
        """
        return model.constraint(schema_rules(self.schema))

    def begins(self, text: str) -> bool:
        """Every reply is JSON."""
        del text
        return True

    def read(self, text: str) -> Extracted | None:
        """The JSON value, in canonical form."""
        try:
            value = canonical(read_json(text))
        except ValueError:
            return None
        return Extracted(text.strip(), value, ("json", value), "json")

    def calls(self, text: str) -> tuple[ToolCall, ...]:
        """None."""
        del text
        return ()

    def ends(self, text: str) -> bool:
        """Whether nothing but a space can follow: an object or an array is closed."""
        return text.endswith(("}", "]")) and self.read(text) is not None


@dataclass(frozen=True)
class CallForm:
    """A tool call as the model's template writes it.

    Attributes:
        format: How.
        tools: Those that may be called.
        free: Whether a reply may also be, or begin with, other text.
    """

    format: ToolFormat
    tools: tuple[Tool, ...]
    free: bool

    def constraint(self, model: LanguageModel) -> Constraint:
        """The grammar of calls, from the beginning or from the marker on.

        Raises:
            SettingsError: llama.cpp's grammar cannot express a tool's schema.
        """
        form = self.format
        marker = form.marker if self.free else ""
        opening = form.opening.removeprefix(marker)
        ways, rules = [], []
        for number, tool in enumerate(self.tools):
            function = tool["function"]
            try:
                rules.append(schema_rules(_parameters(function), f"t{number}"))
            except SettingsError as error:
                raise SettingsError(f"tool {function['name']}: {error}") from error
            ways.append(f"{literal(function['name'] + form.middle)} t{number}")
        any_tool = " | ".join(ways)
        gbnf = combined(f"{literal(opening)} ({any_tool}) {literal(form.closing)}", *rules)
        grammar = model.constraint(gbnf)
        return AfterMarker(model, marker, grammar) if self.free else grammar

    def begins(self, text: str) -> bool:
        """Whether it calls a tool, or must."""
        return not self.free or self.format.marker in text

    def before(self, text: str) -> str:
        """What a reply says before it calls a tool."""
        return text.partition(self.format.marker)[0].rstrip()

    def read(self, text: str) -> Extracted | None:
        """The call, name and arguments in canonical form."""
        calls = self.calls(text)
        if not calls:
            return None
        value = "; ".join(f"{call.name}({canonical(call.arguments)})" for call in calls)
        return Extracted(text.strip(), value, ("tool_call", value), "tool call")

    def calls(self, text: str) -> tuple[ToolCall, ...]:
        """The calls of a reply; () when one is cut off."""
        form = self.format
        found = []
        at = text.find(form.marker)
        while at >= 0:
            try:
                if not text.startswith(form.opening, at):
                    raise ValueError("no call follows the marker")
                name, middle, _ = text[at + len(form.opening) :].partition(form.middle)
                start = at + len(form.opening) + len(name) + len(middle)
                arguments, end = read_json_at(text, start)
                end += len(text[end:]) - len(text[end:].lstrip(" "))
                if not (isinstance(arguments, dict) and text.startswith(form.closing, end)):
                    raise ValueError("the call does not end as the template writes it")
            except ValueError:
                return ()
            found.append(ToolCall(name=name, arguments=arguments))
            at = text.find(form.marker, end + len(form.closing))
        return tuple(found)

    def ends(self, text: str) -> bool:
        """Whether the call is complete: one a reply."""
        return text.endswith(self.format.closing) and bool(self.calls(text))


def call_form(
    model: LanguageModel, tools: Sequence[Tool], choice: str
) -> tuple[tuple[Tool, ...], CallForm | None]:
    """The tools that the model is shown and the form that calls have.

    Args:
        model: The model.
        tools: Tools in OpenAI's form.
        choice: "auto", "any", "none" or a tool's name.

    Raises:
        SettingsError: A tool is not in that form, or the choice is none.
        UnsupportedModelError: The model's template knows no tools.
    """
    checked = check_tools(tools)
    names = [tool["function"]["name"] for tool in checked]
    if choice not in _CHOICES and choice not in names:
        named = ", ".join((*_CHOICES, *names))
        raise SettingsError(f"tool_choice is {choice!r}: use one of {named}")
    if not checked:
        if choice in ("auto", "none"):
            return (), None
        raise SettingsError(f"tool_choice is {choice!r} and there are no tools: pass tools")
    if choice == "none":
        return (), None
    may = tuple(tool for tool in checked if choice in ("auto", "any", tool["function"]["name"]))
    return checked, CallForm(model.tool_format(), may, free=choice == "auto")


def check_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Refuse what are no tools in OpenAI's form.

    Raises:
        SettingsError: One is none, or two have one name.
    """
    names: set[str] = set()
    for number, tool in enumerate(tools, 1):
        function = tool.get("function") if isinstance(tool, Mapping) else None
        name = function.get("name") if isinstance(function, Mapping) else None
        if not isinstance(name, str) or not name.strip():
            raise SettingsError(
                f"tool {number} has no name: use {{'type': 'function', 'function': {{'name': …, "
                "'description': …, 'parameters': JSON schema}}"
            )
        if name in names:
            raise SettingsError(f"two tools are called {name}: give each a name of its own")
        names.add(name)
        try:
            json.dumps(tool, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise SettingsError(f"tool {name} is no JSON: {error}") from error
    return tuple(tools)


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's schema; without one, an object without properties."""
    given = function.get("parameters") or {}
    return {"type": "object", "properties": {}, **given} if isinstance(given, Mapping) else given
