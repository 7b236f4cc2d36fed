"""Arguments of public functions, checked against their annotations before anything is done with them.

An annotation is what the function promises to take. Whatever is something else is refused here, in one
place and in the same words, and not by whatever line stumbles over it.
"""

import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from numbers import Integral, Real
from typing import Any, Final, ParamSpec, TypeVar, Union, get_args, get_origin, overload

from et_agent.errors import InputError, SettingsError
from et_agent.validation import text_fault, type_of, with_article

__all__ = ["checks_arguments"]

P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[object], str | None]
"""Says what is wrong with a value; None if nothing is."""

_GROUPS: Final = (Sequence, Collection, Iterable, list, set, frozenset)
_MOST_BITS: Final = 13_000
"""Python writes no number of more than 4,300 digits."""
_UNIONS: Final = (Union, types.UnionType)


@overload
def checks_arguments(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def checks_arguments(
    *, error: type[InputError] = ..., any_text: bool = ...
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def checks_arguments(
    function: Callable[..., Any] | None = None,
    *,
    error: type[InputError] = SettingsError,
    any_text: bool = False,
) -> Any:
    """Check what a function, or a constructor, is given; a decorator.

    Kinds of values are checked, inside sequences and mappings too, and that texts are valid Unicode.
    Which values are sound is the affair of the function. Too many or unknown arguments are a
    `TypeError`, as in all of Python.

    Args:
        function: The function; None to name another error: `@checks_arguments(error=PolicyError)`.
        error: What is raised.
        any_text: Whether texts may be no valid Unicode, as names that come from elsewhere may.
    """
    guard = functools.partial(_guarded, error=error, text=_any_text if any_text else _text)
    return guard(function) if function else guard


def _guarded(checked: Callable[P, R], error: type[InputError], text: Check) -> Callable[P, R]:
    signature = inspect.signature(checked)

    @functools.lru_cache(1)
    def checks() -> dict[str, Check]:
        found = _hints(checked)
        return {name: _check(found[name], text) for name in signature.parameters if name in found}

    @functools.wraps(checked)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> R:
        given = signature.bind(*args, **kwargs).arguments
        for name, check in checks().items():
            kind = signature.parameters[name].kind
            if name not in given or kind is inspect.Parameter.VAR_KEYWORD:
                continue
            several = kind is inspect.Parameter.VAR_POSITIONAL
            for value in given[name] if several else (given[name],):
                if value is signature.parameters[name].default:
                    continue
                if (fault := check(value)) is not None:
                    raise error(f"{checked.__qualname__.removesuffix('.__init__')}: {name} {fault}")
        return checked(*args, **kwargs)

    return guarded


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=False)
    except NameError:  # types that are imported for type checkers alone
        return inspect.get_annotations(function)


def _nothing(_: object) -> None:
    return None


def _check(hint: Any, text: Check) -> Check:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in _UNIONS:
        return _one_of([_check(one, text) for one in inner], hint)
    if origin is typing.Literal:
        return lambda value: (
            None if _among(value, inner) else f"is {_shown(value)}: use {_named(hint)}"
        )
    if origin in (typing.Required, typing.NotRequired):
        return _check(inner[0], text)
    if hint is None or hint is type(None):
        return lambda value: None if value is None else _other(value, "None")
    if hint is str:
        return text
    if hint is bool:
        return lambda value: None if isinstance(value, bool) else _other(value, "True or False")
    if hint in (int, float):
        return _number(*((Integral, "a whole number") if hint is int else (Real, "a number")))
    if isinstance(hint, str):
        return _named_class(hint)
    if typing.is_typeddict(hint):
        return lambda value: None if isinstance(value, Mapping) else _other(value, "a dict")
    if isinstance(origin, type):
        return _container(origin, inner, text)
    if isinstance(hint, type):
        return _instance(hint)
    return _nothing


def _container(origin: type, inner: tuple[Any, ...], text: Check) -> Check:
    if origin in _GROUPS:
        return _group(origin, _check(inner[0], text))
    if issubclass(origin, Mapping):
        return _mapping(*(_check(one, text) for one in inner))
    if origin is tuple and inner[1:] == (...,):
        return _group(tuple, _check(inner[0], text))
    if issubclass(origin, Callable):  # type: ignore[arg-type]
        return lambda value: None if callable(value) else _other(value, "a function")
    return _instance(origin)


def _named_class(hint: str) -> Check:
    """A check by the names of classes, which are not imported here."""
    names = {one.strip() for one in hint.split("|")}
    if not all(one.isidentifier() for one in names):
        return _nothing
    return lambda value: (
        None
        if any(one.__name__ in names for one in type(value).__mro__)
        or (value is None and "None" in names)
        else _other(value, hint)
    )


def _instance(kind: type) -> Check:
    def check(value: object) -> str | None:
        try:
            fits = isinstance(value, kind)
        except TypeError:  # a protocol that only type checkers know
            return None
        return None if fits else _other(value, with_article(kind.__name__))

    return check


def _group(kind: type, each: Check) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, str | bytes) or not isinstance(value, kind):
            return _other(value, with_article(kind.__name__.lower()))
        if isinstance(value, Collection):
            for at, one in enumerate(value):
                if (fault := each(one)) is not None:
                    return f"has at {at} what {fault}"
        return None

    return check


def _mapping(key: Check, item: Check) -> Check:
    def check(value: object) -> str | None:
        if not isinstance(value, Mapping):
            return _other(value, "a dict")
        for name, one in value.items():
            if (fault := key(name) or item(one)) is not None:
                return f"has at {_shown(name)} what {fault}"
        return None

    return check


def _one_of(checks: list[Check], hint: Any) -> Check:
    def check(value: object) -> str | None:
        faults = [one(value) for one in checks]
        if None in faults:
            return None
        # The most telling one: about a part of it, or its text, and not its kind.
        inner = [
            one for one in faults if one and not one.startswith(("is a ", "is an ", "is None:"))
        ]
        return inner[0] if inner else _other(value, _named(hint))

    return check


def _number(kind: type, name: str) -> Check:
    def check(value: object) -> str | None:
        if isinstance(value, int) and value.bit_length() > _MOST_BITS:
            return "has more than 4000 digits: use a smaller one"
        number = isinstance(value, kind) and type(value) is not bool
        return None if number else _other(value, name)

    return check


def _any_text(value: object) -> str | None:
    return None if isinstance(value, str) else _other(value, "a text")


def _text(value: object) -> str | None:
    if not isinstance(value, str):
        return _other(value, "a text")
    return None if (fault := text_fault(value)) is None or "NUL" in fault else fault


def _among(value: object, values: tuple[Any, ...]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


def _other(value: object, wanted: str) -> str:
    return f"is {type_of(value)}: use {wanted}"


def _named(hint: Any) -> str:
    if get_origin(hint) in _UNIONS:
        return " or ".join(dict.fromkeys(_named(one) for one in get_args(hint)))
    if get_origin(hint) is typing.Literal:
        return ", ".join(map(repr, get_args(hint)))
    return str(getattr(hint, "__name__", hint)).replace("NoneType", "None")


def _shown(value: object) -> str:
    said = repr(value)[:80]
    return said.encode("utf-8", "backslashreplace").decode()
