"""Reads off a chat template how tool calls are written, by rendering some.

No model's name is known here.
"""

import itertools
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from et_agent.templates.messages import Message, Tool
from et_agent.templates.reasoning import ReasoningFormat
from et_agent.templates.tool_format import (
    ID,
    INDEX,
    KEY,
    NAME,
    Encoding,
    Parameters,
    ToolFormat,
    Value,
    encoded,
)

__all__ = ["Render", "ToolProbe", "format_of"]


class Render(Protocol):
    """Renders messages with tools; None where the template refuses them or leaves calls out."""

    def __call__(
        self, messages: Sequence[Message], tools: Sequence[Tool], *, prompt: bool
    ) -> str | None:
        """The text, which ends where the assistant begins to speak if it is to be a prompt."""
        ...


_ASKED: Final = "ASKED7"
_SAID: Final = "SAID7"
_NAMES: Final = ("NAME7", "NAME8", "NAME9")
_KEY: Final = "KEY7"
_OTHER: Final = "KEY8"
_NUMBER: Final = 7345
_PROBES: Final[Mapping[str, tuple[Any, ...]]] = {
    "string": ("VALUE7", "VA\"L'UE\\7"),
    "integer": (_NUMBER,),
    "number": (73.25,),
    "boolean": (True,),
    "null": (None,),
    "array": (["VALUE7", True],),
    "object": ({"field7": "VALUE7", "other7": [False]},),
}
_ENCODINGS: Final[tuple[Encoding, ...]] = ("json", "python", "raw", "bare")
_IDENTIFIER: Final = re.compile(r"callid\d\d\d")
_HALF_TAG: Final = re.compile(r"(?:<[^<>]*|\[[^\[\]\n]*)\Z")
_HARMONY: Final = "<|channel|>commentary json<|message|>"
_IN_TEXT: Final = (
    # What stands in the text of a template that shows no calls of earlier turns, and how its model
    # writes them: documented for LFM2 and Granite 3.
    (
        re.compile(r'<\|tool_list_start\|>|"List of tools: \["'),
        ToolFormat(
            "<|tool_call_start|>[",
            "(",
            ")]<|tool_call_end|>",
            "), ",
            Parameters(
                {kind: Value("=", "", "python") for kind in _PROBES},
                ", ",
                "()]<|tool_call_end|>",
                "(), ",
            ),
        ),
    ),
    (
        re.compile(r"<\|tool_call\|> followed by a JSON list"),
        ToolFormat('<|tool_call|>[{"name": "', '", "arguments": ', "}]", '}, {"name": "'),
    ),
    (
        re.compile(r"functools\[\{"),
        ToolFormat(' functools[{"name": "', '", "arguments": ', "}]", '}, {"name": "'),
    ),
)


def format_of(probe: "ToolProbe", source: str) -> ToolFormat | None:
    """How a template's model writes calls; None where that cannot be read.

    Args:
        probe: Renders with the template.
        source: The template's text.
    """
    found = probe.format()
    if found is not None:
        return found
    return next((form for pattern, form in _IN_TEXT if pattern.search(source)), None)


@dataclass(frozen=True, slots=True)
class _Turn:
    """Calls as a template writes them: what stands before the first name, and behind each."""

    before: str
    behind: tuple[str, ...]


class ToolProbe:
    """Renders calls with a template.

    Args:
        render: Renders messages.
        reasoning: How the template writes thoughts: an empty one is no part of a call.
    """

    def __init__(self, render: Render, reasoning: ReasoningFormat | None) -> None:
        self._render, self._reasoning = render, reasoning

    def format(self) -> ToolFormat | None:
        """How calls are written; None where that cannot be read."""
        one = self._turn({_KEY: "VALUE7", _OTHER: _NUMBER})
        if one is None:
            return None
        several = self._turn(*({_KEY: "VALUE7", _OTHER: _NUMBER} for _ in _NAMES))
        found = _with_json(one, several)
        if found is None:
            found = self._with_parameters(one, several)
        if found is None:
            return None
        opening = self._opening(one.before)
        found = replace(found, opening=opening, closing=self._without_end(found.closing))
        if found.parameters is not None and found.parameters.bare_closing is not None:
            bare = self._without_end(found.parameters.bare_closing)
            found = replace(found, parameters=replace(found.parameters, bare_closing=bare))
        return _harmony(found)

    def _turn(self, *arguments: Mapping[str, Any]) -> _Turn | None:
        """A turn with calls."""
        calls = [
            {
                "id": f"callid{number:03}",
                "type": "function",
                "function": {"name": name, "arguments": given},
            }
            for number, (name, given) in enumerate(zip(_NAMES, arguments, strict=False))
        ]
        said: Any = {"role": "assistant", "content": "", "tool_calls": calls}
        rendered = self._render([_asked(), said], _tools(arguments), prompt=False)
        if rendered is None:
            return None
        turn = rendered.rpartition(_ASKED)[2]
        places = [turn.find(name) for name in _NAMES[: len(calls)]]
        if -1 in places or places != sorted(places):
            return None
        ends = [*places[1:], len(turn)]
        behind = (turn[a + len(_NAMES[0]) : b] for a, b in zip(places, ends, strict=True))
        return _Turn(
            turn[: places[0]],
            tuple(one.replace(n, NAME) for one, n in zip(behind, _NAMES, strict=False)),
        )

    def _opening(self, before: str) -> str:
        """What of a turn's beginning belongs to the call."""
        prompt = self._render([_asked()], _tools(()), prompt=True)
        start = "" if prompt is None else prompt.rpartition(_ASKED)[2]
        found = before[len(start) :] if start and before.startswith(start) else None
        thought = self._reasoning
        if thought is not None and thought.closing in (before if found is None else found):
            found = before.rpartition(thought.closing)[2].lstrip("\n")
            if thought.answer_end:
                found = found.removeprefix(f"{thought.answer}{thought.answer_end}")
        if found is None:
            plain = self._said()
            shared = _shared([before, start if plain is None else plain[0]])
            if plain is None or shared != plain[0]:
                shared = shared[: len(shared) - len(_half(shared))]
            found = before[len(shared) :]
        bare = found.lstrip(" \n")
        return _identified(bare if bare.startswith(("<", "[", "{")) else found.lstrip("\n"))

    def _said(self) -> tuple[str, str] | None:
        """What a template writes around a text of the assistant's."""
        said: Message = {"role": "assistant", "content": _SAID}
        rendered = self._render([_asked(), said], _tools(()), prompt=False)
        if rendered is None or _SAID not in rendered:
            return None
        before, _, after = rendered.rpartition(_ASKED)[2].partition(_SAID)
        return before, after

    def _without_end(self, closing: str) -> str:
        """What follows calls, without the end of the turn."""
        plain = self._said()
        end, closing = "" if plain is None else plain[1].rstrip("\n"), closing.rstrip("\n")
        shared = _shared_end(closing, end)
        if shared != end:  # a prompt, or more, may follow the end of the turn in place of it
            shared = shared[shared.find("<") :] if "<" in shared else ""
            shared = shared if end.removesuffix(shared).rstrip().endswith(">") else ""
        return closing.removesuffix(shared).rstrip("\n")

    def _with_parameters(self, one: _Turn, several: _Turn | None) -> ToolFormat | None:
        middle, found, _ = one.behind[0].partition(_KEY)
        if not found:
            return None
        values: dict[str, Value] = {}
        shared: tuple[str, str] | None = None
        for kind, probes in _PROBES.items():
            read = self._value(probes)
            if read is None:
                continue
            value, separator, closing = read
            shared = shared or (separator, closing)
            if (separator, closing) == shared:
                values[kind] = value
        if shared is None or "string" not in values:
            return None
        separator, closing = shared
        between = None
        if several is not None:
            # Calls end with a number, whose end is the same as that of the only one.
            after = one.behind[0].rpartition(str(_NUMBER))[2].replace(_OTHER, KEY)
            cut = len(after) - len(closing)
            parts = [
                x.rpartition(str(_NUMBER))[2].replace(_OTHER, KEY)[cut:] for x in several.behind[:2]
            ]
            between = _numbered(*parts)
        middle = _numbered(middle, (several or one).behind[-1].partition(_KEY)[0])
        bare, three = self._turn({}), self._turn({}, {}, {})
        return ToolFormat(
            "",
            middle,
            closing,
            between,
            Parameters(
                values,
                separator,
                None if bare is None else _numbered(bare.behind[0], (three or bare).behind[-1]),
                None if three is None else _numbered(*three.behind[:2]),
            ),
        )

    def _value(self, probes: Sequence[Any]) -> tuple[Value, str, str] | None:
        """How values of a type are written, what separates them, and what ends the last."""
        for encoding, quote in itertools.product(_ENCODINGS, ('<|"|>', "")):
            value = Value("", "", encoding, quote)
            if all((read := self._written(one, value)) is not None for one in probes):
                assert read is not None
                before, separator, closing = read
                after = _shared([separator, closing])
                key_end = after.find(">", after.rfind(KEY)) + 1 if KEY in after else 0
                after = after[: key_end or len(after) - len(_half(after))]
                made = Value(before, after, encoding, quote if encoding == "bare" else "")
                return _unquoted(made), separator[len(after) :], closing[len(after) :]
        return None

    def _written(self, value: Any, how: Value) -> tuple[str, str, str] | None:
        """What stands before a value, behind it up to the next name, and behind the last one."""
        text = encoded(value, how)
        if how.encoding == "raw" and not isinstance(value, str):
            return None
        pair, alone = self._turn({_KEY: value, _OTHER: _NUMBER}), self._turn({_KEY: value})
        if pair is None or alone is None:
            return None
        first, found, _ = pair.behind[0].partition(_KEY)[2].rpartition(_OTHER)
        while found and _OTHER in first:
            first = first.partition(_OTHER)[0]
        before, said, separator = first.rpartition(text)
        _, _, last = alone.behind[0].partition(_KEY)
        before_last, _, closing = last.rpartition(text)
        if not said or before_last != before:
            return None
        return before, separator.replace(_KEY, KEY), closing.replace(_KEY, KEY)


def _with_json(one: _Turn, several: _Turn | None) -> ToolFormat | None:
    """The format of a turn whose arguments are JSON."""
    arguments = {_KEY: "VALUE7", _OTHER: _NUMBER}
    for separators in ((", ", ": "), (",", ":")):
        text = json.dumps(arguments, separators=separators)
        middle, found, closing = one.behind[0].partition(text)
        if not found:
            continue
        between = None
        if several is not None:
            parts = [behind.partition(text) for behind in several.behind]
            between = _numbered(parts[0][2], parts[1][2])
            middle = _numbered(middle, parts[1][0])
        return ToolFormat("", _identified(middle), _identified(closing), between)
    return None


def _numbered(first: str, second: str) -> str:
    """A text that two calls share, with places for their number and identifier."""
    first, second = _identified(first), _identified(second)
    if first == second:
        return first
    start = len(_shared([first, second]))
    end = len(_shared_end(first[start:], second[start:]))
    a, b = first[start : len(first) - end], second[start : len(second) - end]
    return (
        f"{first[:start]}{INDEX}{first[len(first) - end :]}"
        if a.isdigit() and b.isdigit()
        else first
    )


def _shared(texts: Sequence[str]) -> str:
    """The longest beginning of all texts."""
    columns = itertools.takewhile(lambda one: len(set(one)) == 1, zip(*texts, strict=False))
    return texts[0][: sum(1 for _ in columns)]


def _shared_end(first: str, second: str) -> str:
    return _shared([first[::-1], second[::-1]])[::-1]


def _unquoted(value: Value) -> Value:
    """Quotation marks that a template writes itself, and escapes nothing between, are Python's."""
    quote = value.before[-1:]
    if value.encoding != "raw" or quote not in ("'", '"') or value.after != quote:
        return value
    return Value(value.before[:-1], "", "python")


def _identified(text: str) -> str:
    return _IDENTIFIER.sub(ID, text)


def _harmony(form: ToolFormat) -> ToolFormat:
    """Harmony's model writes headers in other orders than its template; both are known."""
    if form.middle != _HARMONY:
        return form
    ends = ("<|constrain|>json<|message|>", "json<|message|>", "<|message|>")
    middles = tuple(
        f"{channel}{space}{end}"
        for channel in ("", "<|channel|>commentary")
        for space in ("", " ")
        for end in ends
    )
    start, channels = "<|start|>assistant", ("<|channel|>commentary", "<|channel|>analysis")
    leads = (*(f"{start}{one}" for one in channels), *channels, start)
    return replace(form, middles=middles, leads=leads)


def _half(text: str) -> str:
    """The beginning of a tag with which a text ends."""
    found = _HALF_TAG.search(text)
    return "" if found is None else found[0]


def _asked() -> Message:
    return {"role": "user", "content": _ASKED}


def _tools(calls: Sequence[Mapping[str, Any]]) -> list[Tool]:
    keys = {key: {"type": "string", "description": ""} for one in calls for key in one}
    parameters = {"type": "object", "properties": keys, "required": []}
    return [
        {
            "type": "function",
            "function": {"name": name, "description": "", "parameters": parameters},
        }
        for name in _NAMES
    ]
