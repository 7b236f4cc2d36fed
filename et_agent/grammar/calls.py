"""The grammar of tool calls: what of them the template fixes, and what their schemas allow."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from et_agent.answers.calls import kinds_of
from et_agent.answers.structured import referred
from et_agent.engines.base import LanguageModel
from et_agent.errors import SettingsError
from et_agent.grammar.constraint import GrammarConstraint, literal
from et_agent.grammar.schemas import json_rule
from et_agent.templates.tool_format import (
    ID,
    ID_LENGTH,
    INDEX,
    KEY,
    NAME,
    Parameters,
    ToolFormat,
    Value,
    encoded,
    type_of,
)

__all__ = ["call_grammar"]

_SLOTS: Final = re.compile(f"([{NAME}{KEY}{INDEX}{ID}])")
_PYTHON_KINDS: Final = {
    "string": "PY_STRING",
    "boolean": '("True" | "False" | "true" | "false")',
    "null": '("None" | "null")',
    "array": "py_list",
    "object": "py_dict",
}
_PYTHON: Final = r"""
py_value: PY_STRING | /-?[0-9]+(\.[0-9]+)?/ | "True" | "False" | "None" | py_list | py_dict
py_list: "[" (py_value (", " py_value)*)? "]"
py_dict: "{" (PY_STRING ": " py_value (", " PY_STRING ": " py_value)*)? "}"
PY_STRING: /'([^'\\\n]|\\[^\n])*'|"([^"\\\n]|\\[^\n])*"/
"""


def call_grammar(
    model: LanguageModel,
    form: ToolFormat,
    schemas: Mapping[str, Mapping[str, Any]],
    *,
    opening: str,
    several: bool,
) -> GrammarConstraint:
    """The grammar of one or several calls.

    Args:
        model: The model.
        form: How calls are written.
        schemas: The schema of each tool's arguments, by the tool's name.
        opening: What is to come before the first name.
        several: Whether a turn may make several calls.

    Raises:
        SettingsError: No grammar can express a tool's schema.
    """
    return GrammarConstraint(model, _Rules(model, form, several=several).of(schemas, opening))


def _spelled(model: LanguageModel, text: str, *, name: str = "", key: str = "") -> list[str]:
    """A text of a format in a grammar's parts: its control tokens as such, its places filled."""
    parts: list[str] = []
    run = ""
    for part in _SLOTS.split(text):
        if part in (NAME, KEY):
            run += name if part == NAME else key
        elif part in (INDEX, ID):
            parts += [literal(run)] if run else []
            parts.append("/[0-9]{1,3}/" if part == INDEX else f"/[a-zA-Z0-9]{{{ID_LENGTH}}}/")
            run = ""
        elif part:
            *ended, run = _in_tokens(model, part, run)
            parts += ended
    return [*parts, literal(run)] if run else parts


def _in_tokens(model: LanguageModel, text: str, run: str) -> Iterator[str]:
    """Parts that have ended, behind what has been spelled so far, and last what has not."""
    data = run.encode()
    for token in model.template_tokens(text):
        piece = model.token_bytes(token)
        if piece:
            data += piece
            continue
        if data:
            yield literal(data.decode("utf-8"))
        yield f"<[{token}]>"
        data = b""
    yield data.decode("utf-8")


class _Rules:
    """Writes the rules of a grammar."""

    def __init__(self, model: LanguageModel, form: ToolFormat, *, several: bool) -> None:
        self._model, self._form = model, form
        self._several = several and form.between is not None
        self._rules: list[str] = []
        self._has_bare = False

    def of(self, schemas: Mapping[str, Mapping[str, Any]], opening: str) -> str:
        """All rules, `start` first."""
        ways = []
        for number, (name, schema) in enumerate(schemas.items()):
            try:
                ways.append(self._tool(number, name, schema))
            except SettingsError as error:
                raise SettingsError(f"tool {name}: {error}") from error
        start = f"start: {self._spelled(opening)} call"
        python = (
            [_PYTHON] if any("PY_STRING" in one or " py_" in one for one in self._rules) else []
        )
        return "\n".join((start, f"call: {' | '.join(ways)}", *self._rules, *python))

    def _rule(self, name: str, right: str) -> str:
        self._rules.append(f"{name}: {right}")
        return name

    def _spelled(self, text: str, *, name: str = "", key: str = "") -> str:
        return " ".join(_spelled(self._model, text, name=name, key=key)) or '""'

    def _rest(self, between: str | None, closing: str, name: str, key: str = "") -> str:
        end = self._spelled(closing, name=name, key=key)
        if not self._several or between is None:
            return end
        return f"({self._spelled(between, name=name, key=key)} call | {end})"

    def _tool(self, number: int, name: str, schema: Mapping[str, Any]) -> str:
        form = self._form
        ways = [self._spelled(one, name=name) for one in (form.middle, *form.middles)]
        middle = ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"
        if form.parameters is None:
            arguments = self._rule(f"t{number}", json_rule(schema))
            rest = self._rest(form.between, form.closing, name)
            return f"{literal(name)} {middle} {arguments} {rest}"
        return f"{literal(name)} {self._parameters(number, name, schema, middle, form.parameters)}"

    def _parameters(
        self,
        number: int,
        name: str,
        schema: Mapping[str, Any],
        middle: str,
        form: Parameters,
    ) -> str:
        """What follows a tool's name: its arguments in the order of the schema."""
        named = schema.get("properties") or {}
        required = set(schema.get("required") or ())
        if unknown := sorted(required - set(named)):
            raise SettingsError(
                f"its schema requires {', '.join(unknown)} and does not describe it: add it to the "
                "properties"
            )
        rest: str | None = None  # from the argument at hand on, after another one
        first: list[str] = []  # ways to begin with it
        for at, (key, one) in reversed(list(enumerate(named.items()))):
            value = self._value(f"v{number}_{at}", key, one, schema, form)
            item = f"{literal(key)} {value}"
            end = self._rest(self._form.between, self._form.closing, name, key)
            needed = any(later in required for later in list(named)[at + 1 :])
            ways = [end] if not needed else []
            if rest is not None:
                ways.append(f"{self._spelled(form.separator, name=name, key=key)} {rest}")
            item = self._rule(f"i{number}_{at}", f"{item} ({' | '.join(ways)})")
            rest = item if rest is None or key in required else f"({item} | {rest})"
            first = [item] if key in required else [item, *first]
        found = [f"{middle} ({' | '.join(first)})"] if first else []
        if not required:
            if form.bare_closing is None:
                if not found:
                    raise SettingsError("the model's template writes no calls without arguments")
            else:
                found.append(self._rest(form.bare_between, form.bare_closing, name))
        return f"({' | '.join(found)})"

    def _value(
        self, rule: str, key: str, schema: Any, root: Mapping[str, Any], form: Parameters
    ) -> str:
        ways = []
        for kind in kinds_of(schema, root):
            how = form.values.get(kind)
            if how is None:
                continue
            before = self._spelled(how.before, key=key)
            after = self._spelled(how.after, key=key)
            value = self._of_kind(f"{rule}_{kind}", kind, schema, root, how, key)
            ways.append(
                f"{before} {value}" if value.startswith("raw_") else f"{before} {value} {after}"
            )
        if not ways:
            raise SettingsError(
                f"the model's template writes no values such as that of {key!r}: use strings, numbers "
                "and booleans"
            )
        return ways[0] if len(ways) == 1 else f"({' | '.join(ways)})"

    def _of_kind(
        self, rule: str, kind: str, schema: Any, root: Mapping[str, Any], how: Value, key: str
    ) -> str:
        whole = _resolved(schema, root)
        chosen = list(whole.get("enum", [whole["const"]] if "const" in whole else ()))
        if kind in ("string", "boolean", "null") and chosen:
            chosen = [one for one in chosen if type_of(one) == kind]
            if chosen:
                return f"({' | '.join(literal(encoded(one, how)) for one in chosen)})"
        if kind == "string" and how.encoding == "raw":
            return self._raw(f"raw_{rule}", how.after, key)
        if kind in _PYTHON_KINDS and how.encoding == "python":
            return _PYTHON_KINDS[kind]
        if how.encoding == "bare":
            return self._bare(how.quote, kind)
        typed = {**whole, "type": kind} if not {"anyOf", "oneOf"} & set(whole) else {"type": kind}
        definitions = {one: root[one] for one in ("$defs", "definitions") if one in root}
        return self._rule(rule, json_rule({**definitions, **typed}))

    def _raw(self, rule: str, after: str, key: str) -> str:
        """A text up to what ends it, which is part of the rule."""
        end = _spelled(self._model, after, key=key)
        if not end:
            raise SettingsError("the model's template does not tell where a text ends")
        if end[0].startswith("<["):  # no text can hold a control token
            return self._rule(rule, " ".join(("/(?s:.*)/", *end)))
        self._rules.append(f"{rule}_text[suffix={end[0]}]: /(?s:.*)/")
        return self._rule(rule, " ".join((f"{rule}_text", *end[1:])))

    def _bare(self, quote: str, kind: str) -> str:
        if not self._has_bare:
            self._has_bare = True
            opened = self._spelled(quote)
            self._raw("raw_bare", quote, "")
            self._rules += [
                'bare_value: bare_string | /-?[0-9]+(\\.[0-9]+)?/ | "true" | "false" | "null"'
                " | bare_array | bare_object",
                f"bare_string: {opened} raw_bare",
                'bare_array: "[" (bare_value ("," bare_value)*)? "]"',
                'bare_object: "{" (BARE_KEY ":" bare_value ("," BARE_KEY ":" bare_value)*)? "}"',
                "BARE_KEY: /[A-Za-z_][A-Za-z0-9_.-]*/",
            ]
        return f"bare_{kind}"


def _resolved(schema: Any, root: Mapping[str, Any]) -> dict[str, Any]:
    """A schema that only refers to another one as that."""
    for _ in range(8):
        if not isinstance(schema, Mapping):
            return {}
        if not isinstance(schema.get("$ref"), str):
            break
        schema = referred(schema["$ref"], root)
    return dict(schema)
