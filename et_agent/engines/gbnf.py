r"""llama.cpp's grammar language GBNF: checked before llama.cpp sees it, and run for scripted models.

Rules are `name ::= …` with literals, character classes, groups, `|` and the repetitions `?`, `*`, `+`
and `{m,n}`; `root` is where a text begins. llama.cpp writes its complaints to stderr and gives no
reason; `Gbnf.parse` gives one.
Format: https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from et_agent.errors import SettingsError

__all__ = ["Gbnf", "State"]

_NAME: Final = re.compile(r"[A-Za-z0-9-]+")
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SPACE_IN_LINE: Final = re.compile(r"(?:[ \t]|#[^\n]*)*")
_HEX: Final = {"x": 2, "u": 4, "U": 8}
_PLAIN_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t"}
_BOUNDS: Final = re.compile(r"\{\s*(\d+)\s*(,?)\s*(\d*)\s*\}")
_MOST: Final = 2000  # llama.cpp's limit of repetitions


@dataclass(frozen=True, slots=True)
class Characters:
    """One character of a set of ranges, or outside of it."""

    ranges: tuple[tuple[str, str], ...]
    negated: bool = False

    def match(self, character: str) -> bool:
        """Whether it takes this character."""
        return any(low <= character <= high for low, high in self.ranges) != self.negated


_Element = Characters | str
"""A character, or the name of a rule."""
_Sequence = tuple[_Element, ...]
_Stack = tuple[Characters, ...]
State = frozenset[_Stack]
"""What may come next: stacks whose first element is the next character; () for the end."""


class Gbnf:
    """A checked grammar.

    Attributes:
        rules: Alternatives of each rule.
    """

    def __init__(self, rules: dict[str, list[_Sequence]]) -> None:
        self.rules = rules

    @classmethod
    def parse(cls, text: str) -> "Gbnf":
        """Read a grammar.

        Raises:
            SettingsError: A syntax error, an undefined rule, no root, or left recursion; with where.
        """
        try:
            rules = _Parser(text).rules()
        except RecursionError as error:
            raise SettingsError("the grammar's groups are nested too deeply") from error
        used = {
            one
            for sequences in rules.values()
            for sequence in sequences
            for one in sequence
            if isinstance(one, str)
        }
        missing = sorted((used | {"root"}) - set(rules))
        if missing:
            raise SettingsError(f"the grammar has no rule {', '.join(missing)}: define it")
        _refuse_left_recursion(rules)
        return cls(rules)

    def start(self) -> State:
        """Before the first character."""
        return self._expand(("root",))

    def accept(self, state: State, text: str) -> State:
        """The state after more text; empty when the text is not allowed."""
        for character in text:
            following: set[_Stack] = set()
            for stack in state:
                if stack and stack[0].match(character):
                    following |= self._expand(stack[1:])
            state = frozenset(following)
        return state

    @staticmethod
    def complete(state: State) -> bool:
        """Whether the text may end here."""
        return () in state

    def _expand(self, stack: tuple[_Element, ...]) -> State:
        """All stacks with a character in front that a stack stands for."""
        found: set[_Stack] = set()
        seen = {stack}
        todo = [stack]
        while todo:
            first = todo.pop()
            if not first or isinstance(first[0], Characters):
                found.add(first)  # type: ignore[arg-type]
                continue
            for sequence in self.rules[first[0]]:
                longer = (*sequence, *first[1:])
                if longer not in seen:
                    seen.add(longer)
                    todo.append(longer)
        return frozenset(found)


class _Parser:
    """Reads rules; groups and repetitions become rules of their own."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0
        self._rules: dict[str, list[_Sequence]] = {}

    def rules(self) -> dict[str, list[_Sequence]]:
        self._skip(_SPACE)
        while self._at < len(self._text):
            name = self._name()
            self._skip(_SPACE_IN_LINE)
            if not self._take("::="):
                raise self._error("::= after a rule's name")
            self._skip(_SPACE)
            self._rules[name] = self._alternatives(name, nested=False)
            self._skip(_SPACE_IN_LINE)
            if self._at < len(self._text) and self._text[self._at] not in "\r\n":
                raise self._error("the end of the line")
            self._skip(_SPACE)
        return self._rules

    def _error(self, wanted: str) -> SettingsError:
        line = self._text.count("\n", 0, self._at) + 1
        rest = self._text[self._at : self._at + 20]
        return SettingsError(f"the grammar is not valid: line {line} lacks {wanted} at {rest!r}")

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        assert found is not None  # both patterns match nothing too
        self._at = found.end()

    def _take(self, wanted: str) -> bool:
        if self._text.startswith(wanted, self._at):
            self._at += len(wanted)
            return True
        return False

    def _name(self) -> str:
        found = _NAME.match(self._text, self._at)
        if found is None:
            raise self._error("a rule's name")
        self._at = found.end()
        return found.group()

    def _add(self, owner: str, sequences: list[_Sequence]) -> str:
        name = f"{owner}_{len(self._rules)}"  # no name of the grammar's own holds "_"
        self._rules[name] = sequences
        return name

    def _alternatives(self, owner: str, *, nested: bool) -> list[_Sequence]:
        found = [self._sequence(owner, nested=nested)]
        while self._take("|"):
            self._skip(_SPACE)
            found.append(self._sequence(owner, nested=nested))
        return found

    def _sequence(self, owner: str, *, nested: bool) -> _Sequence:
        space = _SPACE if nested else _SPACE_IN_LINE
        found: list[_Element] = []
        while (unit := self._unit(owner)) is not None:
            found += self._repeated(owner, unit)
            self._skip(space)
        return tuple(found)

    def _unit(self, owner: str) -> _Sequence | None:
        if self._take('"'):
            return tuple(self._literal())
        if self._take("["):
            return (self._class(),)
        if self._take("("):
            self._skip(_SPACE)
            inner = self._alternatives(owner, nested=True)
            self._skip(_SPACE)
            if not self._take(")"):
                raise self._error("a closing )")
            return (self._add(owner, inner),)
        if self._take("."):
            return (Characters((), negated=True),)
        if _NAME.match(self._text, self._at):
            return (self._name(),)
        return None

    def _literal(self) -> Iterator[Characters]:
        while not self._take('"'):
            character = self._character("a closing quote")
            yield Characters(((character, character),))

    def _class(self) -> Characters:
        negated, ranges = self._take("^"), []
        while not self._take("]"):
            low = high = self._character("a closing ]")
            if self._text[self._at : self._at + 2] not in ("-]", "") and self._take("-"):
                high = self._character("the end of a range")
            ranges.append((low, high))
        return Characters(tuple(ranges), negated)

    def _character(self, wanted: str) -> str:
        if self._at >= len(self._text):
            raise self._error(wanted)
        character = self._text[self._at]
        self._at += 1
        if character != "\\":
            return character
        kind = self._text[self._at : self._at + 1]
        self._at += 1
        if kind in _HEX:
            digits = self._text[self._at : self._at + _HEX[kind]]
            self._at += _HEX[kind]
            try:
                return chr(int(digits, 16))
            except ValueError:
                raise self._error(f"{_HEX[kind]} hexadecimal digits") from None
        if kind not in _PLAIN_ESCAPES and kind not in tuple('"\\[]'):
            self._at -= 1
            raise self._error('one of n r t x u U " \\ [ ] after a backslash')
        return _PLAIN_ESCAPES.get(kind, kind)

    def _repeated(self, owner: str, unit: _Sequence) -> _Sequence:
        bounds = _BOUNDS.match(self._text, self._at)
        if self._take("?"):
            low, high = 0, 1
        elif self._take("*"):
            low, high = 0, None
        elif self._take("+"):
            low, high = 1, None
        elif bounds is not None:
            self._at = bounds.end()
            low = int(bounds[1])
            high = low if not bounds[2] else int(bounds[3]) if bounds[3] else None
        else:
            return unit
        if max(low, high or 0) > _MOST or (high is not None and high < low):
            raise self._error(f"a repetition of at most {_MOST}, least first,")
        if high is None:
            name = self._add(owner, [])
            self._rules[name] = [(*unit, name), ()]
            rest: _Sequence = (name,)
        else:
            rest = ()
            for _ in range(high - low):
                rest = (self._add(owner, [(*unit, *rest), ()]),)
        return (*(unit * low), *rest)


def _refuse_left_recursion(rules: dict[str, list[_Sequence]]) -> None:
    """A rule that may begin with itself has no end, and llama.cpp refuses it."""
    empty: set[str] = set()
    while True:
        found = {
            name
            for name, sequences in rules.items()
            if any(all(one in empty for one in sequence) for sequence in sequences)
        }
        if found == empty:
            break
        empty = found
    begins: dict[str, set[str]] = {}
    for name, sequences in rules.items():
        begins[name] = set()
        for sequence in sequences:
            for one in sequence:
                if isinstance(one, str):
                    begins[name].add(one)
                if one not in empty:
                    break
    for name in rules:
        seen: set[str] = set()
        todo = list(begins[name])
        while todo:
            one = todo.pop()
            if one == name:
                raise SettingsError(
                    f"the grammar's rule {name.partition('_')[0]} begins with itself: let something "
                    "else come first"
                )
            if one not in seen:
                seen.add(one)
                todo += begins[one]
