"""How a model writes tool calls: what stands around names and arguments, and how values are written."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from et_agent.templates.messages import FunctionCall
from et_agent.templates.own_text import OwnText, joined, own

__all__ = [
    "ID",
    "ID_LENGTH",
    "INDEX",
    "KEY",
    "NAME",
    "Encoding",
    "Parameters",
    "ToolFormat",
    "Value",
    "decoded",
    "encoded",
    "filled",
    "type_of",
]

NAME: Final = "\ufdd0"
"""In a format's texts: the name of the tool, once more."""
KEY: Final = "\ufdd1"
"""The name of the argument, once more."""
INDEX: Final = "\ufdd2"
"""The number of the call within its turn."""
ID: Final = "\ufdd3"
"""An identifier of the call."""
ID_LENGTH: Final = 9
"""Characters of an identifier; Mistral's models know no other length."""

Encoding = Literal["raw", "json", "python", "bare"]
"""How a value is written: as it is; as JSON; as in Python; as JSON whose keys have no quotation
marks and whose texts have marks of the template's own."""

_WORDS: Final = ("true", "false", "null")
_CALLING_TAG: Final = re.compile(
    r"<[^<>\s]*(?:call|tool|function|action)[^<>\s]*>|\[TOOL_CALLS\]", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Value:
    """How the value of an argument is written.

    Attributes:
        before: Between the argument's name and the value.
        after: What ends the value.
        encoding: How it is written itself.
        quote: What stands around texts in a "bare" one.
    """

    before: str
    after: str
    encoding: Encoding
    quote: str = ""


@dataclass(frozen=True, slots=True)
class Parameters:
    """How arguments are written one by one: NAME `before` VALUE `after` `separator`, and so on.

    Attributes:
        values: By JSON type, of those that can be written.
        separator: Between two arguments.
        bare_closing, bare_between: As `closing` and `between` of the format, behind the name of a tool
            that is called without arguments; None if that is not written.
    """

    values: Mapping[str, Value]
    separator: str
    bare_closing: str | None = None
    bare_between: str | None = None


@dataclass(frozen=True, slots=True)
class ToolFormat:
    """How a model writes tool calls: `opening` NAME `middle` ARGUMENTS `closing`.

    The texts may hold `NAME`, `INDEX` and `ID`, and behind an argument `KEY`.

    Attributes:
        opening: Up to the first tool's name.
        middle: Between the name and the arguments, which are a JSON object, or to the first one's name.
        closing: What follows the arguments of the last call.
        between: What follows those of another call, up to the next name; None if one turn makes one.
        parameters: How arguments are written; None for a JSON object.
        middles: Other ways to write `middle`.
        leads: What the model may write right before `opening` that is no text.
    """

    opening: str
    middle: str
    closing: str
    between: str | None = None
    parameters: Parameters | None = None
    middles: tuple[str, ...] = ()
    leads: tuple[str, ...] = ()

    @property
    def marker(self) -> str:
        """The text that tells a call from other text: a tag, what stands before its JSON, or all."""
        tag = _CALLING_TAG.match(self.opening)
        return tag[0] if tag else self.opening.partition("{")[0].strip("\n") or self.opening

    def written(self, calls: Sequence[FunctionCall]) -> OwnText:
        """Calls as the model writes them; names and arguments are text from outside."""
        parts: list[str] = [self._filled(self.opening, "", 0)]
        for number, call in enumerate(calls):
            last = number == len(calls) - 1
            name, arguments = call["name"], call["arguments"]
            parts.append(name)
            form = self.parameters
            if form is not None and not arguments:
                rest = form.bare_closing if last else form.bare_between
                parts.append(self._filled(rest or "", name, number + (not last)))
                continue
            parts.append(self._filled(self.middle, name, number))
            key = ""
            if form is None:
                parts.append(json.dumps(arguments, ensure_ascii=False))
            for at, (key, value) in enumerate(arguments.items() if form is not None else ()):
                assert form is not None
                how = form.values.get(type_of(value), form.values["string"])
                parts += [own(form.separator)] if at else []
                parts += [
                    key,
                    own(how.before),
                    encoded(value, how),
                    own(filled(how.after, key=key)),
                ]
            rest = self.closing if last or self.between is None else self.between
            parts.append(self._filled(rest, name, number + (not last), key))
        return joined(parts)

    def _filled(self, text: str, name: str, number: int, key: str = "") -> OwnText:
        return own(filled(text, name=name, key=key, index=str(number), identifier="0" * ID_LENGTH))


def filled(
    text: str, *, name: str = "", key: str = "", index: str = "", identifier: str = ""
) -> str:
    """A format's text with what is given in its places."""
    for slot, said in ((NAME, name), (KEY, key), (INDEX, index), (ID, identifier)):
        text = text.replace(slot, said) if said else text
    return text


def type_of(value: Any) -> str:
    """The JSON type of a value."""
    if value is None:
        return "null"
    for kind, name in ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string")):
        if isinstance(value, kind):
            return name
    return "object" if isinstance(value, Mapping) else "array"


def encoded(value: Any, how: Value) -> str:
    """A value as it is written."""
    match how.encoding:
        case "raw":
            return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        case "json":
            return json.dumps(value, ensure_ascii=False)
        case "python":
            return repr(value)
        case "bare":
            return _bare(value, how.quote)


def _bare(value: Any, quote: str) -> str:
    if isinstance(value, str):
        return f"{quote}{value}{quote}"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_bare(one, quote)}" for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(_bare(one, quote) for one in value) + "]"
    return json.dumps(value)


def decoded(text: str, how: Value) -> Any:
    """The value that a text writes.

    Raises:
        ValueError: It writes none.
    """
    try:
        match how.encoding:
            case "raw":
                return text
            case "json":
                value = json.loads(text)
            case "python":
                value = json.loads(text) if text in _WORDS else ast.literal_eval(text.strip())
            case "bare":
                value = json.loads(_quoted(text, how.quote))
        # Neither sets nor infinite numbers are values of a call.
        return json.loads(json.dumps(value, allow_nan=False))
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(f"{text[:40]!r} is no value of a call") from error


def _quoted(text: str, quote: str) -> str:
    """JSON of a "bare" value."""
    outside, *rest = text.split(quote)
    made = [_keys(outside)]
    for number, part in enumerate(rest):
        made.append(json.dumps(part) if number % 2 == 0 else _keys(part))
    return "".join(made)


def _keys(text: str) -> str:
    return re.sub(r"([{,]\s*)([^\s{},:\[\]\"]+)\s*:", r'\1"\2":', text)
