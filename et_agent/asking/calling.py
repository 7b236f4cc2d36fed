"""Tool calls and structured output: what a reply may be, as a grammar, and what it then says."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Protocol

from et_agent.answers.calls import ReadCall, read_calls, slotted
from et_agent.answers.extraction import Extracted
from et_agent.answers.fields import Body, Span, Steps, spans_within
from et_agent.answers.structured import canonical, read_json, read_json_at, within_bounds
from et_agent.asking.spoken import as_generated, spoken
from et_agent.asking.tool_choice import chosen_tool
from et_agent.decoding.constraint import AfterTrigger, Constraint, Trigger
from et_agent.decoding.marks import without_begun
from et_agent.engines.base import LanguageModel
from et_agent.engines.sampled import AnyModel
from et_agent.errors import SettingsError
from et_agent.grammar import GrammarConstraint, call_grammar, json_rule, literal
from et_agent.results import ToolCall
from et_agent.templates.messages import Tool, ToolChoice
from et_agent.templates.tool_format import ToolFormat
from et_agent.validation import plain_json, type_of

__all__ = ["ANY_OBJECT", "CallForm", "JsonForm", "ReplyForm", "call_form", "check_tools"]

_MOST_TOOLS: Final = 500
"""A template writes each into the prompt, and the grammar has a rule for it."""

ANY_OBJECT: Final[Mapping[str, Any]] = {"type": "object"}
_ELSEWHERE: Final = frozenset({"$ref", "allOf", "anyOf", "oneOf", "const", "enum"})
"""Keywords that say what an object holds, in place of its properties."""
_SPACES: Final = "ws: /[ \\t\\n]{1,20}/?"
_KEY: Final = re.compile(r'"(\w+)"\s*:\s*$')
_NAME: Final = re.compile(r'\{\s*"(\w+)"\s*:\s*"$')


class ReplyForm(Protocol):
    """A form that replies have, or may have."""

    def constraint(self, model: LanguageModel) -> Constraint:
        """The grammar that keeps paths to the form."""
        ...

    def begins(self, text: str) -> bool:
        """Whether a path's text has this form rather than being free text."""
        ...

    def read(self, text: str) -> Extracted | None:
        """What a complete reply says; None for one that is cut off, out of bounds or no such."""
        ...

    def body(self, text: str) -> Body | None:
        """The JSON of a complete reply; None as for `read`."""
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
        if self.schema == ANY_OBJECT:
            return "Answer with a JSON object, and nothing else."
        schema = json.dumps(self.schema, ensure_ascii=False)
        return f"Answer with JSON that fits this JSON schema, and nothing else:\n{schema}"

    def constraint(self, model: LanguageModel) -> Constraint:
        """The schema's grammar.

        Raises:
            SettingsError: No grammar can express the schema.
        """
        return GrammarConstraint(model, f"start: {json_rule(self.schema)}")

    def begins(self, text: str) -> bool:
        """Every reply is JSON."""
        del text
        return True

    def read(self, text: str) -> Extracted | None:
        """The JSON value, in canonical form; None for one outside the schema's bounds."""
        body = self.body(text)
        if body is None:
            return None
        value = canonical(body.value)
        return Extracted(text.strip(), value, ("json", value), "json")

    def body(self, text: str) -> Body | None:
        """The JSON value; None for one outside the schema's bounds."""
        try:
            found = read_json(text)
        except ValueError:
            return None
        return Body(found, 0) if within_bounds(found, self.schema) else None

    def calls(self, text: str) -> tuple[ToolCall, ...]:
        """None."""
        del text
        return ()

    def ends(self, text: str) -> bool:
        """Whether nothing but a space can follow: an object or an array is closed."""
        if not text.endswith(("}", "]")):
            return False
        try:
            read_json(text)
        except ValueError:
            return False
        return True


@dataclass(frozen=True)
class CallForm:
    """Tool calls as the model's template writes them.

    Where a reply may also be in words, small models tend to forget the template's tags: a reply that
    begins with the call's bare JSON, within a code fence or not, is a call too.

    Attributes:
        format: How the template writes calls.
        tools: Those that may be called.
        free: Whether a reply may also be, or begin with, other text.
        several: Whether a reply may make several calls.
    """

    format: ToolFormat
    tools: tuple[Tool, ...]
    free: bool
    several: bool = True

    @cached_property
    def schemas(self) -> dict[str, Mapping[str, Any]]:
        """The schema of each tool's arguments, by the tool's name."""
        functions = [tool["function"] for tool in self.tools]
        return {one["name"]: _parameters(one) for one in functions}

    def constraint(self, model: LanguageModel) -> Constraint:
        """The grammar of calls, which applies from the beginning, or once a call begins.

        Raises:
            SettingsError: No grammar can express a tool's schema.
        """
        form, schemas = self.format, self.schemas
        opening = form.opening
        if self.free and opening:
            opening = opening.removeprefix(form.marker)
        grammar = call_grammar(model, form, schemas, opening=opening, several=self.several)
        if not self.free:
            return grammar
        triggers = [Trigger(re.compile(self._marker.pattern.encode(), re.DOTALL), grammar)]
        bare = self._bare
        for name, schema in schemas.items() if bare is not None else ():
            assert bare is not None
            pattern = re.compile(f'{bare.opening}{re.escape(name)}"'.encode())
            key = literal(f'"{bare.arguments}"')
            root = f'start: ws "," ws {key} ws ":" ws arguments ws "}}"'
            rule = f"arguments: {json_rule(schema)}"
            after = GrammarConstraint(model, "\n".join((root, _SPACES, rule)))
            triggers.append(Trigger(pattern, after))
        return AfterTrigger(spoken(model, form), triggers)

    @cached_property
    def _marker(self) -> re.Pattern[str]:
        """Where a call begins."""
        if self.format.opening:
            return re.compile(_led(self.format.marker, re.escape))
        # The prompt has the marker already: the reply begins with a tool's name.
        names = "|".join(map(re.escape, self.schemas))
        return re.compile(rf"\A(?=(?:{names}){re.escape(self.format.middle)})")

    @cached_property
    def _opening(self) -> str:
        """The pattern of what stands before the first name."""
        return _led(self.format.opening, slotted)

    @cached_property
    def _bare(self) -> "_Bare | None":
        """How a call looks without the template's tags; None if it is not a JSON object."""
        name, key = _NAME.search(self.format.opening), _KEY.search(self.format.middle)
        if not self.free or name is None or key is None or self.format.parameters is not None:
            return None
        opening = rf'\A\s*(?:```(?:json)?\s*)?\{{\s*"{name[1]}"\s*:\s*"'
        return _Bare(opening, name[1], key[1])

    def begins(self, text: str) -> bool:
        """Whether it calls a tool, or must."""
        return not self.free or bool(self._marker.search(text)) or self._begins_bare(text)

    def _begins_bare(self, text: str) -> bool:
        bare = self._bare
        found = None if bare is None else re.match(bare.opening, text)
        if found is None:
            return False
        name, quote, _ = text[found.end() :].partition('"')
        return bool(quote) and name in self.schemas

    def before(self, text: str) -> str:
        """What a reply says before it calls a tool."""
        if self._begins_bare(text):
            return ""
        found = self._marker.search(text)
        if found is None:
            return "" if self.begins(text) else text
        said = text[: found.start()].rstrip()
        lead = next((one for one in self.format.leads if said.endswith(one)), "")
        return said.removesuffix(lead).rstrip()

    def settled(self, text: str) -> str:
        """The beginning of `before` that a reply keeps, whatever follows its text so far."""
        if self._may_begin(text):
            return ""
        marker = [self.format.marker] if self.format.opening else []
        said = without_begun(self.before(text), marker).rstrip()
        # A whole lead is left back too: it belongs to the call that may follow.
        return without_begun(said, [f"{lead}\n" for lead in self.format.leads]).rstrip()

    def _may_begin(self, text: str) -> bool:
        """Whether a text so short may become a call without the template's marker."""
        if not self.format.opening:
            return any(f"{name}{self.format.middle}".startswith(text) for name in self.schemas)
        if self._bare is None:
            return False
        begun = "".join(text.split())
        return any(
            f'{fence}{{"{self._bare.name}":"{name}"'.startswith(begun)
            for fence in ("", "```", "```json")
            for name in self.schemas
        )

    def read(self, text: str) -> Extracted | None:
        """The calls, names and arguments in canonical form."""
        calls = self.calls(text)
        if not calls:
            return None
        value = "; ".join(f"{call.name}({canonical(call.arguments)})" for call in calls)
        return Extracted(text.strip(), value, ("tool_call", value), "tool call")

    def calls(self, text: str) -> tuple[ToolCall, ...]:
        """The calls of a reply; () when one is cut off or outside its schema's bounds."""
        try:
            found = self._calls(text)
        except ValueError:
            return ()
        return tuple(ToolCall(name=one.name, arguments=one.arguments) for one in found)

    def body(self, text: str) -> Body | None:
        """The arguments; None when a call is cut off or outside its schema's bounds.

        Those of several calls are a list of objects, each with a tool's name and its arguments.
        """
        try:
            found = self._calls(text)
        except ValueError:
            return None
        if len(found) == 1 and found[0].at is not None:
            return Body(found[0].arguments, found[0].at, found[0].name)
        spans: dict[Steps, Span] = {}
        for number, one in enumerate(found):
            steps: Steps = (one.name,) if len(found) == 1 else (number, one.name)
            spans |= spans_within(text, one.at, steps) if one.at is not None else {}
            spans |= {(*steps, key): span for key, span in one.spans.items()}
        if len(found) == 1:
            return Body(found[0].arguments, 0, found[0].name, spans)
        return Body([{one.name: one.arguments} for one in found], 0, None, spans)

    def _calls(self, text: str) -> list[ReadCall]:
        """The calls of a complete reply.

        Raises:
            ValueError: One is cut off, or outside its schema's bounds.
        """
        if self._begins_bare(text):
            found = [self._read_bare(text)]
        else:
            marker = self._marker.search(text)
            if marker is None:
                raise ValueError("there is no call")
            opening = re.compile(self._opening).match(text, marker.start())
            if opening is None:
                raise ValueError("no call follows the marker")
            found = read_calls(self.format, text, opening.end(), self.schemas)
        if not all(within_bounds(one.arguments, self.schemas[one.name]) for one in found):
            raise ValueError("arguments are outside their schema's bounds")
        return found

    def _read_bare(self, text: str) -> ReadCall:
        bare = self._bare
        assert bare is not None
        value, _ = read_json_at(text, text.index("{"))
        if set(value) != {bare.name, bare.arguments} or not isinstance(value[bare.arguments], dict):
            raise ValueError("the object is not a call")
        opening = re.match(bare.opening, text)
        assert opening is not None
        after_name = text.index('"', opening.end()) + 1
        colon = text.index(":", after_name)
        return ReadCall(value[bare.name], value[bare.arguments], colon + 1)

    def ends(self, text: str) -> bool:
        """Whether the reply is complete, so that nothing but spaces may follow."""
        more = self.several and self.format.between is not None and not self._begins_bare(text)
        if more or not text.rstrip().endswith(("}", self.format.closing.rstrip() or "}")):
            return False
        try:
            return bool(self._calls(text))
        except ValueError:
            return False


def _led(text: str, pattern: Callable[[str], str]) -> str:
    """The pattern of a text; spaces that lead it may be missing where a reply begins with it."""
    bare = text.lstrip(" ")
    spaces = text[: len(text) - len(bare)]
    return rf"(?:\A|{spaces}){pattern(bare)}" if spaces else pattern(text)


@dataclass(frozen=True, slots=True)
class _Bare:
    """A call without tags: pattern of its beginning, up to the name, and its two keys."""

    opening: str
    name: str
    arguments: str


def call_form(
    model: AnyModel, tools: Sequence[Tool], choice: ToolChoice, *, parallel: bool = True
) -> tuple[tuple[Tool, ...], CallForm | None]:
    """The tools that the model is shown and the form that calls have.

    Args:
        model: The model.
        tools: Tools in OpenAI's form.
        choice: As for `chosen_tool`.
        parallel: Whether a reply may make several calls.

    Raises:
        SettingsError: A tool is not in that form, or the choice is not one of these.
        UnsupportedModelError: The model's template knows no tools.
    """
    checked = check_tools(tools)
    names = [tool["function"]["name"] for tool in checked]
    chosen = chosen_tool(choice, names)
    if not checked and chosen.way == "any":
        raise SettingsError(f"tool_choice is {choice!r} and there are no tools: pass tools")
    if not checked or chosen.way == "none":
        return (), None
    may = tuple(tool for tool in checked if chosen.name in (None, tool["function"]["name"]))
    form = model.tool_format()
    if isinstance(model, LanguageModel):
        form = as_generated(model, form)
    # Who names a tool wants it to be called once.
    several = parallel and chosen.name is None
    return checked, CallForm(form, may, free=chosen.way == "auto", several=several)


def check_tools(tools: Sequence[Tool]) -> tuple[Tool, ...]:
    """Check that tools are in OpenAI's form.

    Raises:
        SettingsError: One is not in that form, two have the same name, or there are too many.
    """
    given: object = tools
    if not isinstance(given, Sequence) or isinstance(given, str | bytes):
        raise SettingsError(f"tools is {type_of(tools)}: pass a list of tools")
    if len(tools) > _MOST_TOOLS:
        raise SettingsError(
            f"there are {len(tools)} tools, and {_MOST_TOOLS} are the most: pass those that may help"
        )
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
        plain_json(tool, f"tool {name}")
        if not _is_of_objects(tool["function"].get("parameters")):
            raise SettingsError(
                f"tool {name}: its parameters are not the schema of an object: use "
                "{'type': 'object', 'properties': …}"
            )
    return tuple(tools)


def _is_of_objects(parameters: Any) -> bool:
    """Whether a tool's parameters, if it has any, are a schema that objects may fit."""
    if parameters is None:
        return True
    if not isinstance(parameters, Mapping):
        return False
    kinds = parameters.get("type", "object")
    return "object" in (kinds if isinstance(kinds, list | tuple) else (kinds,))


def _parameters(function: Mapping[str, Any]) -> Mapping[str, Any]:
    """A tool's schema, of objects; those without properties where it says nothing of them."""
    given = function.get("parameters") or {}
    own: Mapping[str, Any] = {} if _ELSEWHERE & set(given) else {"properties": {}}
    return {**own, **given, "type": "object"}
