"""Units of measure and currencies by name, and what they are in base units, by way of pint.

Names in twelve languages are CLDR's. pint is loaded when two units have to be compared.
"""

# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

import functools
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from et_agent.answers.locales import currency_names, unit_names

if TYPE_CHECKING:
    from pint import UnitRegistry

__all__ = ["Measure", "in_base_units", "unit_called"]

_MOST_CHARACTERS: Final = 60
_MOST_FACTORS: Final = 6
_SYMBOLS: Final = {
    "m": "meter", "s": "second", "g": "gram", "L": "liter", "l": "liter", "N": "newton",
    "J": "joule", "W": "watt", "V": "volt", "A": "ampere", "K": "kelvin", "C": "coulomb",
    "h": "hour", "d": "day", "M": "molar", "F": "farad", "T": "tesla", "H": "henry", "Ω": "ohm",
    "t": "metric_ton", "eV": "electron_volt", "Pa": "pascal", "Hz": "hertz", "Wb": "weber",
    "sr": "steradian", "rad": "radian", "lm": "lumen", "lx": "lux", "Bq": "becquerel",
    "Gy": "gray", "Sv": "sievert", "cal": "calorie", "Wh": "watt_hour", "u": "dalton",
    "min": "minute", "mol": "mole", "atm": "standard_atmosphere", "bar": "bar", "mi": "mile",
    "ft": "foot", "in": "inch", "yd": "yard", "lb": "pound", "oz": "ounce", "ha": "hectare",
    "B": "byte", "pc": "parsec", "ly": "light_year", "AU": "astronomical_unit", "cd": "candela",
    "ms": "millisecond", "Ah": "ampere*hour",
    "м": "meter", "с": "second", "г": "gram", "л": "liter", "ч": "hour", "мин": "minute",
}  # fmt: skip
"""Signs whose letters have a case, which CLDR's names have not."""
_PREFIXES: Final = {
    "Y": "yotta", "Z": "zetta", "E": "exa", "P": "peta", "T": "tera", "G": "giga", "M": "mega",
    "k": "kilo", "h": "hecto", "d": "deci", "c": "centi", "m": "milli", "µ": "micro",
    "μ": "micro", "n": "nano", "p": "pico", "f": "femto", "к": "kilo", "с": "centi", "м": "milli",
}  # fmt: skip
_WITH_PREFIXES: Final = (
    "m s g L l N J W V A K C F T H Ω eV Pa Hz Wb Bq Gy Sv cal Wh mol bar B pc M t м г л"
)
_SMALL_PREFIXES: Final = "hdc"
_WITH_SMALL_PREFIXES: Final = frozenset({"m", "l", "L", "g", "Pa"})
"""Of which people write tenths, hundredths and hundreds; "dB" are no bytes, "ct" no tons."""
_PREFIXED: Final = frozenset(_WITH_PREFIXES.split())
_FACTOR: Final = re.compile(
    r"(?P<name>[^\W\d_]+|[°Ω]\w?|Å)(?:\s?(?:\^|\*\*)?\s?\(?(?P<power>[-+]?[1-9])\)?)?"
)
_SEPARATOR: Final = re.compile(
    r"\s*[*·⋅.×]\s*|\s*/\s*|\s+per\s+|\s+an?\s+|\s+pro\s+|\s+par\s+|\s+por\s+|\s+в\s+|\s+"
)
_DIVIDES: Final = frozenset({"/", "per", "a", "an", "pro", "par", "por", "в"})
_POWERS: Final = (
    (re.compile(r"^(?:square|sq\.?)\s+(.+)$"), 2),
    (re.compile(r"^(?:cubic|cu\.?)\s+(.+)$"), 3),
    (re.compile(r"^(.+?)\s+squared$"), 2),
    (re.compile(r"^(.+?)\s+cubed$"), 3),
)


@dataclass(frozen=True, slots=True)
class Measure:
    """A unit as an expression of base units: `value * factor + offset`.

    Attributes:
        dimension: What it measures, equal for units that can be converted.
        factor: How many base units it is.
        offset: What is added, for temperatures.
    """

    dimension: str
    factor: Fraction
    offset: Fraction = Fraction(0)


@functools.lru_cache(maxsize=1024)
def unit_called(name: str, language: str) -> str | None:
    """The unit of a name or sign, None if there is none.

    Returns:
        An expression that pint reads, `currency:USD` for money, or `percent`.
    """
    stripped = " ".join(name.split()).strip(" .,;")
    if not stripped or len(stripped) > _MOST_CHARACTERS:
        return None
    if stripped in ("%", "percent", "per cent", "prozent", "pour cent", "por ciento", "процентов"):
        return "percent"
    languages = ("en",) if language == "en" else (language, "en")
    for one in languages:
        money = currency_names(one).get(stripped.casefold())
        if money is not None:
            return f"currency:{money}"
    return _named(stripped, languages) or _compound(stripped, languages)


def _named(name: str, languages: tuple[str, ...]) -> str | None:
    raised = name.replace("^2", "²").replace("^3", "³")
    symbol = _symbol(name)
    if symbol is not None:
        return symbol
    for language in languages:
        names = unit_names(language)
        for written in (name, raised, raised.casefold()):
            if written in names:
                return names[written]
    for pattern, power in _POWERS:
        found = pattern.match(name.casefold())
        if found is not None:
            inner = _named(found[1], languages)
            return None if inner is None else f"(({inner})**{power})"
    return None


def _symbol(name: str) -> str | None:
    if name in _SYMBOLS:
        return _SYMBOLS[name]
    if name[0] in _SMALL_PREFIXES and name[1:] not in _WITH_SMALL_PREFIXES:
        return None
    if name[1:] in _PREFIXED and name[0] in _PREFIXES:
        return _PREFIXES[name[0]] + _SYMBOLS[name[1:]]
    return None


def _compound(name: str, languages: tuple[str, ...]) -> str | None:
    """A product of powers of units, such as `kg m^2/s^2` or "miles per hour"."""
    parts, at, divides = list[str](), 0, False
    while at < len(name) and len(parts) < _MOST_FACTORS:
        factor = _FACTOR.match(name, at)
        if factor is None:
            return None
        unit = _named(factor["name"], languages)
        if unit is None:
            return None
        power = int(factor["power"] or 1)
        parts.append(f"({unit})**{-power if divides else power}")
        at = factor.end()
        between = _SEPARATOR.match(name, at)
        if at < len(name) and between is None:
            return None
        if between is not None:
            divides = between.group().strip() in _DIVIDES
            at = between.end()
    return (
        "*".join(parts) if (at >= len(name) and len(parts) > 1) or "**" in "".join(parts) else None
    )


@functools.cache
def _registry() -> "UnitRegistry[Fraction]":
    from pint import UnitRegistry

    return UnitRegistry(non_int_type=Fraction, cache_folder=None)


@functools.lru_cache(maxsize=1024)
def in_base_units(unit: str) -> Measure:
    """What a unit that `unit_called` names is in base units; one that pint does not know is its own."""
    if unit.startswith("currency:"):
        code, _, parts = unit.removeprefix("currency:").partition("/")
        return Measure(f"currency:{code}", Fraction(1, int(parts or 1)))
    if unit == "percent":
        return Measure("percent", Fraction(1))
    registry = _registry()
    try:
        zero, one = (
            registry.Quantity(Fraction(value), registry.parse_units(unit)).to_base_units()
            for value in (0, 1)
        )
    except Exception:  # pint has a dozen sorts of errors for what it does not know
        return Measure(unit, Fraction(1))
    offset = _exact(zero.magnitude)
    # Angles and amounts of data have no dimension of their own: the unit itself tells them apart.
    dimension = " ".join(f"{name}^{power}" for name, power in sorted(one.unit_items()))
    return Measure(dimension, _exact(one.magnitude) - offset, offset)


def _exact(value: object) -> Fraction:
    """A factor; those with pi are kept to twelve digits, so that equal amounts are equal."""
    if isinstance(value, Fraction | int):
        return Fraction(value)
    return Fraction(f"{float(str(value)):.12g}")
