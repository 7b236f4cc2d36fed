"""What comes from outside: data that is checked once, texts, JSON and seconds within limits.

Every public function passes what it is given through here first, so that one place says how long, how
deep and how large it may be.
"""

import json
import math
import re
import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, ValidationError

from et_agent.errors import InputError, SettingsError

__all__ = [
    "DEEPEST",
    "LONGEST",
    "MOST_CHARACTERS",
    "MOST_VALUES",
    "Frozen",
    "Record",
    "explained",
    "parsed_json",
    "parsed_toml",
    "plain_json",
    "shown",
    "text_fault",
    "type_of",
    "wait_seconds",
    "with_article",
]

_DEEP_KEY: Final = re.compile(r"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){200}""")
"""A dotted key of more levels than any of ours; no character is looked at often."""

DEEPEST: Final = 200
"""Levels of JSON from outside: what is rendered, written or compared goes down by calls."""
MOST_VALUES: Final = 100_000
"""Values of JSON from outside, counted as often as they stand in it."""
MOST_CHARACTERS: Final = 2**24
"""Characters of JSON from outside."""
LONGEST: Final = 86_400.0
"""Seconds that a time limit or a pause may have: a day."""
_LARGEST_INTEGER: Final = 10**4000
"""Python reads no number of more than 4,300 digits."""


if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
else:
    ModelMetaclass = type(BaseModel)


class _Refusing(ModelMetaclass):
    """Makes records whose constructor raises our own error; pydantic's own functions raise its own."""

    def __call__(self, *args: Any, **values: Any) -> Any:
        try:
            return super().__call__(*args, **values)
        except ValidationError as error:
            raise InputError(explained(self.__name__, error)) from error
        except RecursionError as error:
            raise InputError(f"{self.__name__}: it is nested too deeply") from error


class Record(BaseModel, metaclass=_Refusing):
    """Data that is checked; what cannot be used is an `InputError`."""


class Frozen(Record):
    """Data that cannot change, without unknown fields, NaN or infinities."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )


def explained(name: str, error: ValidationError) -> str:
    """Return one line that says what is wrong with each field, and what was given."""
    parts = []
    for item in error.errors(include_url=False):
        where = ".".join(str(part) for part in item["loc"])
        got = f" (got {shown(item['input'])})" if where and item["type"] != "missing" else ""
        message = str(item["msg"]).removeprefix("Value error, ")
        parts.append(f"{where}: {message}{got}" if where else message)
    return f"{name}: " + "; ".join(parts)


def shown(value: object) -> str:
    """A value for a message, whatever it is."""
    try:
        return repr(value)
    except Exception:  # nested too deeply, or an object's own affair
        return type_of(value)


def type_of(value: object) -> str:
    """The type of a value for a message, with its article: "an int", "a list", or "None"."""
    return "None" if value is None else with_article(type(value).__name__)


def with_article(name: str) -> str:
    """A name of a type for a message: "an int", "a list"."""
    return f"{'an' if name[:1].lower() in 'aeio' else 'a'} {name}"


def parsed_json(text: str | bytes) -> Any:
    """Read JSON that somebody else wrote.

    Raises:
        ValueError: It is not JSON, not UTF-8, or nested too deeply to be read.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def parsed_toml(text: str) -> dict[str, Any]:
    """Read TOML that somebody else wrote.

    Raises:
        ValueError: It is not TOML, has a number of too many digits, or is nested too deeply to be read.
    """
    if _DEEP_KEY.search(text):  # each level takes tomllib longer than the one before
        raise ValueError("it is nested too deeply")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def text_fault(text: str) -> str | None:
    """What makes a text unfit for files, models and terminals; None if nothing does."""
    if "\0" in text:
        return "contains a NUL byte: remove it"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"is not valid UTF-8 (character {error.start + 1}): convert it to UTF-8"
    return None


def plain_json(
    value: object,
    what: str,
    *,
    error: type[InputError] = SettingsError,
    deepest: int = DEEPEST,
    most: int = MOST_VALUES,
) -> Any:
    """A copy of a value in plain JSON types, if it is JSON of a moderate size.

    Values that stand in it several times count several times, and are several in the copy.

    Args:
        value: The value; mappings and tuples are taken for objects and arrays.
        what: What it is, for messages.
        error: What is raised.
        deepest: Most levels.
        most: Most values, those of arrays and objects included.

    Raises:
        InputError: The error that was named, with the place and the fix.
    """
    copier = _Copier(what, error, deepest, most)
    try:
        return copier.copied(value, ())
    except RecursionError:
        raise error(f"{what} is nested too deeply: use a flatter one") from None


class _Copier:
    def __init__(self, what: str, error: type[InputError], deepest: int, most: int) -> None:
        self._what, self._error = what, error
        self._deepest, self._most = deepest, most
        self._values = self._characters = 0

    def copied(self, value: object, place: tuple[object, ...]) -> Any:
        self._values += 1
        if self._values > self._most:
            raise self._error(
                f"{self._what} is too large: {self._at(place[:-1])} it has more than {self._most} "
                "values; use a shorter one"
            )
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value, place)
        if isinstance(value, int | float):
            return self._number(value, place)
        if not isinstance(value, Mapping | list | tuple):
            kind = type(value).__name__
            raise self._invalid(f"an object of type {kind} is not JSON serializable", place)
        if len(place) >= self._deepest:
            raise self._error(f"{self._what} is nested too deeply: use a flatter one")
        if isinstance(value, Mapping):
            made = {}
            for key, one in value.items():
                made[self._key(key, place)] = self.copied(one, (*place, key))
            return made
        listed = []
        for at, one in enumerate(value):
            listed.append(self.copied(one, (*place, at)))
        return listed

    def _key(self, key: object, place: tuple[object, ...]) -> str:
        if isinstance(key, str):
            return self._text(key, place)
        if key is None or isinstance(key, int | float):
            return json.dumps(self.copied(key, place))
        raise self._invalid(f"a key of type {type(key).__name__} is no text", place)

    def _text(self, text: str, place: tuple[object, ...]) -> str:
        self._characters += len(text)
        if self._characters > MOST_CHARACTERS:
            raise self._error(
                f"{self._what} is too large: it has more than {MOST_CHARACTERS} characters; use a "
                "shorter one"
            )
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as fault:
            reason = f"a text is not valid UTF-8 (character {fault.start + 1})"
            raise self._invalid(reason, place) from fault
        return str.__str__(text)

    def _number(self, number: int | float, place: tuple[object, ...]) -> int | float:
        if not isinstance(number, int):
            if not math.isfinite(number):
                raise self._invalid(f"{number} is no number of JSON", place)
            return float(number)
        if abs(number) > _LARGEST_INTEGER:
            raise self._invalid("a number has more than 4000 digits", place)
        return int(number)

    def _invalid(self, reason: str, place: tuple[object, ...]) -> InputError:
        return self._error(f"{self._what} is not valid JSON: {self._at(place)} {reason}")

    @staticmethod
    def _at(place: tuple[object, ...]) -> str:
        steps = [str(one)[:40].encode("utf-8", "replace").decode() for one in place[:12]]
        return f"at #/{'/'.join(steps)}{'/…' if len(place) > 12 else ''}".removesuffix("/")


def wait_seconds(timeout: object) -> float | None:
    """Seconds to wait, as the system can; None for any time.

    Raises:
        SettingsError: They are no number.
    """
    if timeout is None:
        return None
    number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not number or timeout != timeout:  # NaN
        raise SettingsError(f"the timeout is {shown(timeout)}: use seconds, or None for no limit")
    assert isinstance(timeout, int | float)
    return max(0.0, min(timeout, LONGEST * 365))
