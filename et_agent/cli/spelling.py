"""Errors of the library in the words of the command line: options in place of Python's names."""

import re
from collections.abc import Mapping
from typing import Final

__all__ = ["with_options"]


_OF_OTHER_PLACES: Final = (".toml", "ET_AGENT_")
"""What messages about files and variables name, whose keys are no options."""


def with_options(message: str, options: Mapping[str, str]) -> str:
    """A message with options in place of `name=value`, of names that are no words, and of its subject.

    A message about a file of settings or an environment variable stays as it is.

    Args:
        message: What the library says.
        options: Options by the library's names.
    """
    if not options or any(one in message for one in _OF_OTHER_PLACES):
        return message

    def found(match: re.Match[str]) -> str:
        name, value = match["name"], match["value"]
        if value is not None:
            return f"{options[name]} {value}"
        rest = message[match.end() :]
        subject = (match.start() == 0 and rest.startswith(" is ")) or rest.startswith(": Input ")
        return options[name] if "_" in name or subject else name

    names = "|".join(map(re.escape, options))
    value = r"(?:='?(?P<value>[\w.+-]*\w)'?)?"
    return re.sub(rf"(?<![\w./-])(?P<name>{names})\b{value}", found, message)
