"""Paths of fields in JSON: `amount`, `address.city`, `lines[0].price`, and patterns such as `*.iban`.

A path is kept as its steps, a name per object and an index per list, and written as above. A name that
holds a dot, a bracket, a star or a quotation mark is written as JSON in brackets, `["a.b"].c`. The path
of a value without fields is `$`.
"""

import json
import re
from collections.abc import Sequence
from typing import Final

__all__ = ["ANY", "ROOT", "Step", "matches", "parse_path", "spell_path"]

Step = str | int
"""A name in an object, or an index in a list."""

ROOT: Final = "$"
"""How a path without steps is written."""

ANY: Final = None
"""A step of a pattern that any step matches, written `*` or `[*]`."""

_PLAIN: Final = re.compile(r'[^.\[\]*"]+')
_STEP: Final = re.compile(
    r'(?:^|(?<=.)\.)(?P<name>[^.\[\]*"]+|\*)'
    r"|\[(?P<index>[0-9]{1,9}|\*)\]"
    r'|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]',
    re.DOTALL,
)


def spell_path(steps: Sequence[Step]) -> str:
    """Write a path; `parse_path` reads it back."""
    if not steps:
        return ROOT
    return "".join(map(_spell_step, steps)).removeprefix(".")


def _spell_step(step: Step) -> str:
    if isinstance(step, int):
        return f"[{step}]"
    if _PLAIN.fullmatch(step) and step != ROOT:
        return f".{step}"
    return f"[{json.dumps(step, ensure_ascii=False)}]"


def parse_path(text: str) -> tuple[Step | None, ...]:
    """Read a path or a pattern, whose steps may be `ANY`.

    Raises:
        ValueError: It is neither; the message says where it goes wrong.
    """
    steps: list[Step | None] = []
    at = len(ROOT) if text == ROOT else 0
    while at < len(text) or not text:
        found = _STEP.match(text, at)
        if found is None:
            raise ValueError(
                f"{text!r} is no path of a field: write one such as amount, address.city, "
                f"lines[0].price or *.iban (it goes wrong at {text[at:]!r})"
            )
        steps.append(_step(found))
        at = found.end()
    return tuple(steps)


def _step(found: re.Match[str]) -> Step | None:
    name, index, quoted = found["name"], found["index"], found["quoted"]
    if quoted is not None:
        return str(json.loads(quoted))
    if "*" in (name, index):
        return ANY
    return str(name) if index is None else int(index)


def matches(pattern: Sequence[Step | None], steps: Sequence[Step | None]) -> bool:
    """Whether a path is one that a pattern stands for."""
    return len(pattern) == len(steps) and all(
        wanted is ANY or wanted == step for wanted, step in zip(pattern, steps, strict=True)
    )
