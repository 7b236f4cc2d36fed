"""Tasks for an agent with tools, from templates and a seeded generator, with the right call of each.

An `App` is what one agent has: a system prompt, tools, and templates of what its users say. Slots of a
template, `{name:kind}`, are drawn. A kind says how something is said and which value a tool wants:
"this Friday" is 2026-06-05, "half past three in the afternoon" is 15:30, "2.5 kg" are 2500 grams.
"""

import itertools
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final, Literal

from et_agent.answers.fields import field_key
from et_agent.results import ToolCall
from et_agent.templates.messages import Message, Tool

__all__ = ["GROUPS", "TODAY", "App", "Group", "Task", "Template", "one_of", "task_of", "tool"]

Group = Literal["call", "tempting", "none", "missing"]
GROUPS: Final[Mapping[Group, str]] = {
    "call": "one of several tools is right, with arguments to extract",
    "tempting": "the words suggest another tool than the right one",
    "none": "no tool is needed",
    "missing": "a required argument is missing",
}
"""Sorts of task; in the last two the right action is a reply in words."""
TODAY: Final = date(2026, 6, 2)
"""A Tuesday; the system prompts say so."""
_SLOT: Final = re.compile(r"\{(\w+)(?::([^}]*))?\}")
_ASKS: Final = re.compile(
    r"\?|\b(please|could you|can you|may i|need|needs|require[sd]?|missing|which|let me know|"
    r"provide|specify|tell me|not (?:given|provided|specified|clear))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Template:
    """What a user may say, and what follows from it.

    Attributes:
        group: The sort of task.
        text: The message, with slots.
        tool: The right tool; None where none is to be called.
        arguments: Its arguments, constants or "$slot".
        hard: What makes it hard, besides what its slots do.
    """

    group: Group
    text: str
    tool: str | None = None
    arguments: Mapping[str, Any] | None = None
    hard: str = ""


@dataclass(frozen=True)
class App:
    """One agent.

    Attributes:
        name: Its name.
        system: Its system prompt.
        tools: What it may call.
        templates: What its users say.
    """

    name: str
    system: str
    tools: tuple[Tool, ...]
    templates: tuple[Template, ...]


@dataclass(frozen=True)
class Task:
    """A message to an agent, and the right action.

    Attributes:
        number: Its number in the series.
        app: Name of the agent.
        group: The sort of task.
        hard: What makes it hard.
        messages: System prompt and message.
        tools: What the agent may call.
        call: The right call; None for a reply in words.
    """

    number: int
    app: str
    group: Group
    hard: frozenset[str]
    messages: tuple[Message, ...]
    tools: tuple[Tool, ...]
    call: ToolCall | None

    def right(self, calls: Sequence[ToolCall], words: str) -> bool:
        """Whether a reply is the right action.

        A call is right with the right tool and arguments, compared as fields are (`field_key`); an
        argument that is left out counts as its default. Where an argument is missing in the message,
        a reply in words has to ask for something rather than claim to have done it.
        """
        if self.call is None:
            return not calls and (self.group == "none" or _ASKS.search(words) is not None)
        if len(calls) != 1 or calls[0].name != self.call.name:
            return False
        defaults = _defaults(self.tools, self.call.name)
        found, wanted = (
            {name: field_key(value) for name, value in {**defaults, **one.arguments}.items()}
            for one in (calls[0], self.call)
        )
        return found == wanted


def _function(tools: Sequence[Tool], name: str) -> Mapping[str, Any]:
    return next(one["function"] for one in tools if one["function"]["name"] == name)


def _typed(value: Any, kind: str) -> Any:
    """A value of a slot as the tool's schema wants it."""
    return int(value) if isinstance(value, str) and kind in ("integer", "number") else value


def _defaults(tools: Sequence[Tool], name: str) -> dict[str, Any]:
    properties = _function(tools, name)["parameters"]["properties"]
    return {key: one["default"] for key, one in properties.items() if "default" in one}


def tool(name: str, description: str, /, **properties: str | Mapping[str, Any]) -> Tool:
    """A tool in OpenAI's form; a property given as a text is a text, those without default required."""
    given = {
        key: {"type": "string", "description": one} if isinstance(one, str) else dict(one)
        for key, one in properties.items()
    }
    return {
        "type": "function",
        "function": {
            "name": name,
            "description": description,
            "parameters": {
                "type": "object",
                "properties": given,
                "required": [key for key, one in given.items() if "default" not in one],
            },
        },
    }


def one_of(*values: str, default: str | None = None) -> dict[str, Any]:
    """A property with a few values."""
    made: dict[str, Any] = {"type": "string", "enum": list(values)}
    return made if default is None else {**made, "default": default}


@dataclass(frozen=True)
class _Slot:
    """How something is said, the value that a tool wants of it, and what is hard about that."""

    said: str
    value: Any
    hard: str = ""


def task_of(apps: Sequence[App], number: int, seed: str) -> Task:
    """A task of a series; the same number and seed give the same one.

    Four tasks in a row are of one agent, one of each group.
    """
    chance = random.Random(f"calls {seed} {number}")
    app = apps[number // len(GROUPS) % len(apps)]
    group = tuple(GROUPS)[number % len(GROUPS)]
    fitting = [one for one in app.templates if one.group == group]
    # In turn, so that every template is used.
    template = fitting[number // (len(GROUPS) * len(apps)) % len(fitting)]
    slots: dict[str, _Slot] = {}

    def said(match: re.Match[str]) -> str:
        name, kind = match[1], match[2]
        if kind is not None:
            slots[name] = _drawn(chance, kind, slots)
        return slots[name].said

    text = _SLOT.sub(said, template.text)
    call = None
    if template.tool is not None:
        properties = _function(app.tools, template.tool)["parameters"]["properties"]
        arguments = {
            name: _typed(
                slots[one[1:]].value if isinstance(one, str) and one.startswith("$") else one,
                properties[name]["type"],
            )
            for name, one in (template.arguments or {}).items()
        }
        call = ToolCall(name=template.tool, arguments=arguments)
    needed = {one[1:] for one in (template.arguments or {}).values() if isinstance(one, str)}
    hard = {template.hard, *(one.hard for name, one in slots.items() if name in needed)}
    if any(_is_near(match[2]) for match in _SLOT.finditer(template.text)):
        hard.add("similar ids")
    return Task(
        number=number,
        app=app.name,
        group=group,
        hard=frozenset(hard - {""}),
        messages=(
            {"role": "system", "content": app.system},
            {"role": "user", "content": text[0].upper() + text[1:]},
        ),
        tools=app.tools,
        call=call,
    )


def _is_near(kind: str | None) -> bool:
    return kind is not None and kind.startswith("near ")


def _drawn(chance: random.Random, kind: str, before: Mapping[str, _Slot]) -> _Slot:
    name, _, rest = kind.partition(" ")
    match name:
        case "id":
            written = f"{rest}{chance.randrange(10_000, 100_000)}"
            return _Slot(written, written)
        case "near":
            written = _near(chance, before[rest].said)
            return _Slot(written, written)
        case "pick":
            said, _, value = chance.choice(rest.split("|")).partition("=")
            return _Slot(said, value or said)
        case "count":
            low, high = map(int, rest.split("-"))
            count = chance.randint(low, high)
            in_words = count < len(_NUMBERS) and chance.random() < 0.5
            return _Slot(_NUMBERS[count] if in_words else str(count), count)
        case _:
            return _KINDS[name](chance)


def _near(chance: random.Random, written: str) -> str:
    """The same with two digits exchanged, or another digit."""
    digits = [at for at, one in enumerate(written) if one.isdigit()]
    signs = list(written)
    for at, other in itertools.pairwise(digits):
        if signs[at] != signs[other]:
            signs[at], signs[other] = signs[other], signs[at]
            return "".join(signs)
    signs[digits[-1]] = str((int(signs[digits[-1]]) + chance.randint(1, 9)) % 10)
    return "".join(signs)


_NUMBERS: Final = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
_CITIES: Final = [
    "Lisbon",
    "Oslo",
    "Zagreb",
    "Lyon",
    "Porto",
    "Ghent",
    "Riga",
    "Bergen",
    "Graz",
    "Turin",
    "Malmö",
    "Leeds",
    "Gdansk",
    "Seville",
]
_PEOPLE: Final = [
    "Amara",
    "Jonas",
    "Priya",
    "Mateo",
    "Ingrid",
    "Kenji",
    "Lucia",
    "Tomasz",
    "Noor",
    "Felix",
    "Hana",
    "Oskar",
]
_AIRPORTS: Final = {
    "Zurich": "ZRH",
    "Vienna": "VIE",
    "Lisbon": "LIS",
    "Madrid": "MAD",
    "Dublin": "DUB",
    "Frankfurt": "FRA",
    "Copenhagen": "CPH",
    "Barcelona": "BCN",
}
_CURRENCIES: Final = {
    "euros": "EUR",
    "US dollars": "USD",
    "pounds": "GBP",
    "Swiss francs": "CHF",
    "yen": "JPY",
}


def _date(chance: random.Random) -> _Slot:
    """A day, as it stands without a preposition."""
    ahead = chance.randint(1, 40)
    day = TODAY + timedelta(ahead)
    near = TODAY + timedelta(chance.randint(3, 5))
    return chance.choice(
        (
            _Slot(f"{day.day} {day:%B}", day.isoformat(), "dates"),
            _Slot(f"{day:%B} {day.day}, {day.year}", day.isoformat(), "dates"),
            _Slot(day.isoformat(), day.isoformat()),
            _Slot("tomorrow", (TODAY + timedelta(1)).isoformat(), "dates"),
            _Slot("the day after tomorrow", (TODAY + timedelta(2)).isoformat(), "dates"),
            _Slot(f"this {near:%A}", near.isoformat(), "dates"),
        )
    )


def _time(chance: random.Random) -> _Slot:
    hour, quarter = chance.randint(7, 20), chance.choice((0, 15, 30, 45))
    value = f"{hour:02}:{quarter:02}"
    twelve = (hour - 1) % 12 + 1
    part = "in the morning" if hour < 12 else "in the afternoon" if hour < 18 else "in the evening"
    if chance.random() < 0.4:
        return _Slot(value, value)
    if quarter == 30 and chance.random() < 0.6:
        return _Slot(f"half past {_NUMBERS[twelve]} {part}", value, "units")
    minutes = f":{quarter:02}" if quarter else ""
    return _Slot(f"{twelve}{minutes} {'am' if hour < 12 else 'pm'}", value, "units")


def _duration(chance: random.Random) -> _Slot:
    minutes = chance.choice((15, 20, 25, 30, 40, 45))
    return chance.choice(
        (
            _Slot(f"{minutes} minutes", minutes),
            _Slot("an hour and a half", 90, "units"),
            _Slot("two hours", 120, "units"),
            _Slot("half an hour", 30, "units"),
            _Slot("three quarters of an hour", 45, "units"),
        )
    )


def _grams(chance: random.Random) -> _Slot:
    small, tenths = chance.randrange(150, 900, 50), chance.randint(11, 49)
    return chance.choice(
        (
            _Slot(f"{small} g", small),
            _Slot(f"{small} grams", small),
            _Slot(f"{tenths / 10:g} kg", tenths * 100, "units"),
            _Slot("half a kilo", 500, "units"),
            _Slot("a kilo and a half", 1500, "units"),
        )
    )


def _amount(chance: random.Random) -> _Slot:
    whole = chance.randrange(20, 4000, 5)
    cents = chance.randrange(2000, 90_000)
    return chance.choice(
        (
            _Slot(f"{whole:,}", whole),
            _Slot(str(whole), whole),
            _Slot(f"{cents / 100:.2f}", cents / 100),
        )
    )


def _of(values: Mapping[str, str]) -> Callable[[random.Random], _Slot]:
    def drawn(chance: random.Random) -> _Slot:
        said = chance.choice(list(values))
        return _Slot(said, values[said], "" if said == values[said] else "codes")

    return drawn


_KINDS: Final[Mapping[str, Callable[[random.Random], _Slot]]] = {
    "date": _date,
    "time": _time,
    "duration": _duration,
    "grams": _grams,
    "amount": _amount,
    "city": _of({one: one for one in _CITIES}),
    "person": _of({one: one for one in _PEOPLE}),
    "airport": _of(_AIRPORTS),
    "currency": _of(_CURRENCIES),
}
