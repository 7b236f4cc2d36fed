"""Which column of a user's file is which, and what separates the columns of a CSV."""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

__all__ = ["COLUMNS", "TABLES", "is_table", "named", "renamed", "separator_of", "told"]

TABLES: Final = (".csv", ".tsv")
"""Endings of files with columns; what separates these is found out."""
_LONGEST_HEADER: Final = 10_000
"""Characters of a first line that are looked at; Python's reader refuses fields of many more."""
COLUMNS: Final[Mapping[str, Sequence[str]]] = MappingProxyType(
    {
        "question": ("prompt", "query", "problem", "input", "instruction", "q"),
        "answer": ("answers", "gold", "expected", "target", "label", "solution", "output", "a"),
        "choices": ("options",),
        "kind": (),
        "id": (),
        "samples": (),
    }
)
"""What a column may be, and the other names that are understood, the likeliest first."""


def separator_of(text: str) -> str:
    """What separates the columns: the comma, semicolon or tab that divides the first line most."""
    first = _first_line(text)
    return max((",", ";", "\t"), key=lambda one: len(_parts(first, one)))


def is_table(text: str) -> bool:
    """Whether a text begins with a header that names the questions, whatever its file is called."""
    first = _first_line(text)
    names = _parts(first, separator_of(first))
    plain = all(re.fullmatch(r"[\w .-]{1,40}", name.strip()) for name in names)
    return len(names) > 1 and plain and "question" in named(names).values()


def _first_line(text: str) -> str:
    first = next((line for line in text.splitlines() if line.strip()), "")
    return first[:_LONGEST_HEADER]


def _parts(line: str, separator: str) -> list[str]:
    return next(csv.reader([line], delimiter=separator), [])


def named(found: Iterable[str]) -> dict[str, str]:
    """What each column is, by its name in the file; columns that nothing is known of are left out.

    Case and spaces do not matter. A column of the very name comes before one of another name.
    """
    by_name = {name.strip().lower(): name for name in reversed(list(found))}
    roles: dict[str, str] = {}
    for role, others in COLUMNS.items():
        name = next((by_name[one] for one in (role, *others) if one in by_name), None)
        if name is not None:
            roles[name] = role
    return roles


def renamed(record: Mapping[str, Any], roles: Mapping[str, str]) -> dict[str, Any]:
    """A record under the names of what its columns are."""
    return {roles.get(name, name): value for name, value in record.items()}


def told(roles: Mapping[str, str]) -> str:
    """In words, which columns of another name are understood as what; empty where none is."""
    guessed = [f'"{name}" as the {role}' for name, role in roles.items() if name != role]
    return ", ".join(guessed)
