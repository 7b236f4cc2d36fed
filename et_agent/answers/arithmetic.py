"""Exact arithmetic over fractions: `+ - * /`, brackets, small powers and factorials, nothing else.

A model often writes `76 - 25` or `3/4 * 8` where a number is asked for. The text is the model's, so
nothing of it is handed to an interpreter; length, depth and size of values are bounded.
"""

import math
import re
from fractions import Fraction

__all__ = ["evaluate"]

_MAX_CHARACTERS = 400
_MAX_DEPTH = 20
_MAX_EXPONENT = 400
_MAX_FACTORIAL = 500
_MAX_BITS = 4096
"""Largest numerator or denominator: far above any answer, far below what takes time to print."""

_TOKEN = re.compile(r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)|(?P<sign>[-+*/^()!]))")
_INTEGER = re.compile(r"\d+")


def evaluate(expression: str) -> Fraction | None:
    """Return the exact value of an arithmetic expression, or None if it is not one.

    A space between an integer and a fraction makes a mixed number: `2 1/2` is 5/2. No unit,
    variable or function is understood; division by zero gives None.
    """
    try:
        parser = _Parser(_tokens(expression))
        value = parser.sum()
        return value if parser.finished else None
    except (_NotArithmeticError, ZeroDivisionError):
        return None


class _NotArithmeticError(Exception):
    """The text is not an expression that this module reads, or it is too large."""


def _tokens(expression: str) -> list[str]:
    stripped = expression.strip()
    if not stripped or len(stripped) > _MAX_CHARACTERS:
        raise _NotArithmeticError
    tokens: list[str] = []
    position = 0
    while position < len(stripped):
        match = _TOKEN.match(stripped, position)
        if match is None:
            raise _NotArithmeticError
        tokens.append(match.group("number") or match.group("sign"))
        position = match.end()
    return tokens


def _literal(token: str) -> Fraction:
    mantissa, _, exponent = token.lower().partition("e")
    if len(exponent) > 4 or abs(int(exponent or "0")) > _MAX_EXPONENT:
        raise _NotArithmeticError
    return _bounded(Fraction(mantissa) * Fraction(10) ** int(exponent or "0"))


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > _MAX_BITS:
        raise _NotArithmeticError
    return value


class _Parser:
    """Recursive descent: sum, product, signed factor, power, mixed number."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0
        self._depth = 0

    @property
    def finished(self) -> bool:
        return self._position == len(self._tokens)

    def sum(self) -> Fraction:
        value = self._product()
        while (sign := self._take("+", "-")) is not None:
            term = self._product()
            value = _bounded(value + term if sign == "+" else value - term)
        return value

    def _product(self) -> Fraction:
        value = self._factor()
        while (sign := self._take("*", "/")) is not None:
            factor = self._factor()
            value = _bounded(value * factor if sign == "*" else value / factor)
        return value

    def _factor(self) -> Fraction:
        negative = False
        while (sign := self._take("+", "-")) is not None:
            negative ^= sign == "-"
        value = self._power()
        return -value if negative else value

    def _power(self) -> Fraction:
        base = self._factorial(self._atom())
        if self._take("^") is None:
            return base
        self._descend()
        exponent = self._factor()
        self._depth -= 1
        bits = max(base.numerator.bit_length(), base.denominator.bit_length())
        # The size of the result is known before anything is raised to anything.
        if exponent.denominator != 1 or bits * abs(exponent) > _MAX_BITS:
            raise _NotArithmeticError
        return base ** int(exponent)

    def _factorial(self, value: Fraction) -> Fraction:
        while self._take("!") is not None:
            if value.denominator != 1 or not 0 <= value <= _MAX_FACTORIAL:
                raise _NotArithmeticError
            value = _bounded(Fraction(math.factorial(int(value))))
        return value

    def _atom(self) -> Fraction:
        if self._take("(") is not None:
            self._descend()
            value = self.sum()
            self._depth -= 1
            if self._take(")") is None:
                raise _NotArithmeticError
            return value
        token = self._peek()
        if token is None or token in "-+*/^()!":
            raise _NotArithmeticError
        self._position += 1
        return _literal(token) + self._fraction_of_mixed_number(token)

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise _NotArithmeticError

    def _fraction_of_mixed_number(self, whole: str) -> Fraction:
        ahead = self._tokens[self._position : self._position + 3]
        if len(ahead) < 3 or ahead[1] != "/":
            return Fraction(0)
        if not all(_INTEGER.fullmatch(token) for token in (whole, ahead[0], ahead[2])):
            return Fraction(0)
        self._position += 3
        return _literal(ahead[0]) / _literal(ahead[2])

    def _peek(self) -> str | None:
        return None if self.finished else self._tokens[self._position]

    def _take(self, *wanted: str) -> str | None:
        token = self._peek()
        if token is None or token not in wanted:
            return None
        self._position += 1
        return token
