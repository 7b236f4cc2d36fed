"""Names and signs of twelve languages from the Unicode CLDR, by way of babel, loaded when needed.

Each table is made once per language, from a word in small letters to what it means.
"""

# Other scripts are what this reads.
# ruff: noqa: RUF001

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from babel import Locale

__all__ = [
    "currency_names",
    "decimal_mark",
    "dozen_words",
    "month_names",
    "scale_words",
    "unit_names",
    "weekday_names",
]

_COUNTS: Final = (1, 2, 5, 11, 100)
"""So many of a thing show every plural form of the twelve languages."""
_ZEROS: Final = re.compile("0+")
_DOZENS: Final = {
    "en": "dozens|dozen", "de": "dutzend", "fr": "douzaines|douzaine", "es": "docenas|docena",
    "it": "dozzine|dozzina", "pt": "dúzias|dúzia", "ru": "дюжина|дюжины|дюжин", "zh": "打",
    "ja": "ダース", "ko": "다스", "ar": "دزينة", "hi": "दर्जन",
}  # fmt: skip
_FURTHER_SCALES: Final[Mapping[str, Mapping[str, int]]] = {
    "en": {
        "hundred": 100, "bn": 10**9, "mn": 10**6, "mm": 10**6, "tn": 10**12, "mil": 10**6,
        # Words of other languages that are no English ones, for answers whose question tells none.
        **dict.fromkeys(("mio", "mln", "millionen", "millón", "millones", "milione", "milioni",
                         "milhão", "milhões"), 10**6),
        **dict.fromkeys(("mrd", "mld", "milliarde", "milliarden", "milliard", "milliards",
                         "mil millones", "miliardo", "miliardi", "bilhão", "bilhões"), 10**9),
        "tsd": 10**3, "billionen": 10**12,
    },
    "de": {"hundert": 100, "mio": 10**6, "mrd": 10**9, "tsd": 10**3},
    "fr": {"md": 10**9, "mds": 10**9, "mio": 10**6},
    "it": {"mila": 10**3, "mln": 10**6, "mld": 10**9},
    "pt": {"mi": 10**6, "bi": 10**9, "biliões": 10**12, "milhão": 10**6},
    "ru": {"тыс": 10**3, "млн": 10**6, "млрд": 10**9},
    "zh": {"十万": 10**5, "百万": 10**6, "千万": 10**7, "十亿": 10**9, "百亿": 10**10},
    "ja": {"十万": 10**5, "百万": 10**6, "千万": 10**7, "十億": 10**9, "百億": 10**10, "千": 10**3},
    "ko": {"백": 100, "십만": 10**5, "백만": 10**6, "천만": 10**7, "십억": 10**9, "백억": 10**10},
}  # fmt: skip
"""What people write beside CLDR's compact forms."""
_NOT_CLDR: Final = {
    "mph": "mile/hour", "kph": "kilometer/hour", "kmh": "kilometer/hour", "sec": "second",
    "secs": "second", "min": "minute", "mins": "minute", "hr": "hour", "hrs": "hour",
    "lbs": "pound", "meter": "meter", "meters": "meter", "metre": "meter", "metres": "meter",
    "cc": "centimeter**3", "sqm": "meter**2", "sq ft": "foot**2", "ft²": "foot**2",
    "degrees celsius": "degC", "degree celsius": "degC", "celsius": "degC", "°c": "degC",
    "degrees fahrenheit": "degF", "degree fahrenheit": "degF", "fahrenheit": "degF",
    "°f": "degF", "kelvin": "kelvin", "kelvins": "kelvin", "k": "kelvin", "mole": "mole",
    "moles": "mole", "mol": "mole", "newton": "newton", "newtons": "newton", "ton": "metric_ton",
    "tons": "metric_ton", "kilo": "kilogram", "kilos": "kilogram", "°": "degree",
    "degrees": "degree", "degree": "degree", "tesla": "tesla", "weber": "weber",
    "tonne": "metric_ton", "tonnes": "metric_ton",
    "mcg": "microgram", "um": "micrometer", "rpm": "revolution/minute", "mmHg": "mmHg",
    "Å": "angstrom", "KiB": "kibibyte", "MiB": "mebibyte", "GiB": "gibibyte", "TiB": "tebibyte",
    "farad": "farad", "henry": "henry", "becquerel": "becquerel", "lightyears": "light_year",
}  # fmt: skip
"""English names and signs that CLDR has not, or means other units by."""
_FURTHER_UNITS: Final = {
    "zh": {
        "千米": "kilometer",
        "公分": "centimeter",
        "钟头": "hour",
        "个小时": "hour",
        "度": "degree",
    },
    "ja": {"キロ": "kilometer", "km": "kilometer"},
}
_IN_PINT: Final = {
    "celsius": "degC", "fahrenheit": "degF", "tonne": "metric_ton", "ton": "short_ton",
    "g-force": "standard_gravity", "astronomical-unit": "astronomical_unit",
    "light-year": "light_year", "nautical-mile": "nautical_mile", "foodcalorie": "kilocalorie",
    "calorie": "calorie", "pound-force": "pound_force", "horsepower": "horsepower",
    "atmosphere": "standard_atmosphere", "arc-minute": "arcminute", "arc-second": "arcsecond",
    "kilowatt-hour": "kilowatt_hour", "newton-meter": "newton*meter", "revolution": "turn",
    "fluid-ounce": "fluid_ounce", "ounce-troy": "troy_ounce", "acre-foot": "acre_foot",
    "british-thermal-unit": "british_thermal_unit", "electronvolt": "electron_volt",
}  # fmt: skip
_NOT_UNITS: Final = re.compile(
    r"concentr-|graphics-|temperature-generic|-person|solar-|earth-|item|imperial|-metric|"
    r"scandinavian|"
    r"beaufort|volume-(?:drop|pinch|jigger|bushel|dessert-spoon)|mass-(?:grain|slug|dalton)|"
    r"length-(?:chain|rod|point)|"
    r"-100-|milliinch|dunam|therm-us|poundal|consumption|duration-(?:quarter|night)|ofhg|karat|"
    r"steradian|-jp|"
    r"rankine|gasoline|calorie-it|pound-force-foot|"
    r"-(?:rin|sun|shaku|shaku-length|shaku-cloth|ken|jo|ri|bu|se|cho|kosaji|osaji|sai|to|koku|fun)$"
)
"""Parts of the names of units that no answer is given in, or that words of other meanings name."""


@functools.cache
def _locale(name: str) -> "Locale":
    from babel import Locale

    return Locale.parse(name)


@functools.cache
def decimal_mark(language: str) -> str:
    """The sign before the decimals, "." or ","."""
    symbols = _locale(language).number_symbols
    mark = symbols.get("latn", {}).get("decimal")
    return "," if mark == "," else "."


Table = Mapping[str, int]


def _table(make: Callable[[str], Iterator[tuple[str, int]]]) -> Callable[[str], Table]:
    @functools.cache
    def of_language(language: str) -> Table:
        found: dict[str, int] = {}
        for word, value in make(language):
            for one in (word.casefold(), word.casefold().rstrip(".")):
                if len(one) > 1 or not one.isascii():
                    found.setdefault(one, value)
        return MappingProxyType(found)

    return of_language


def _scales(language: str) -> Iterator[tuple[str, int]]:
    for name in ("en", "en_IN") if language == "en" else (language,):
        for forms in _locale(name).compact_decimal_formats.values():
            for patterns in forms.values():
                for size, pattern in patterns.items():
                    zeros = _ZEROS.search(pattern.pattern)
                    word = pattern.pattern.replace("0", "").replace("'", "").strip()
                    if zeros is not None and word.strip("\u200f\xa0 "):
                        scale = int(size) // 10 ** (len(zeros.group()) - 1)
                        yield word.strip("\u200f\xa0 "), scale
    yield from _FURTHER_SCALES.get(language, {}).items()
    yield from ((one, 12) for one in dozen_words(language).split("|"))


def _months(language: str) -> Iterator[tuple[str, int]]:
    for forms in _locale(language).months.values():
        for width in ("wide", "abbreviated"):
            yield from ((name, number) for number, name in forms.get(width, {}).items())
    if language == "en":
        yield "sept", 9
    if language == "de":
        yield "jänner", 1


def _weekdays(language: str) -> Iterator[tuple[str, int]]:
    for forms in _locale(language).days.values():
        for width in ("wide", "abbreviated"):
            yield from ((name, number + 1) for number, name in forms.get(width, {}).items())


def dozen_words(language: str) -> str:
    """What a dozen is called, alternatives with bars between."""
    return _DOZENS[language]


scale_words: Final = _table(_scales)
"""Words that multiply the number before them: "million" is 10**6, "dozen" is 12."""
month_names: Final = _table(_months)
"""Months by name, 1 to 12, written out or abbreviated."""
weekday_names: Final = _table(_weekdays)
"""Days of the week by name, Monday is 1."""


_CURRENCIES: Final = (
    "USD EUR GBP JPY CNY KRW INR RUB CHF BRL MXN SAR EGP TRY CAD AUD SEK NOK DKK PLN AED ILS"
)


@functools.cache
def currency_names(language: str) -> Mapping[str, str]:
    """ISO 4217 codes by name ("euro", "euros"), sign ("€", "US$") and code ("eur")."""
    from babel.numbers import get_currency_name

    locale, found = _locale(language), dict[str, str]()
    for code in _CURRENCIES.split():
        plurals = (get_currency_name(code, count=count, locale=language) for count in _COUNTS)
        for name in (locale.currencies.get(code, code), *plurals, code):
            found.setdefault(name.casefold(), code)
        symbol = locale.currency_symbols.get(code)
        if symbol is not None:
            found.setdefault(symbol.casefold(), code)
    for word, code in _COMMON_MONEY.get(language, {}).items():
        found[word] = code
    return MappingProxyType(found)


_COMMON_MONEY: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "$": "USD", "dollar": "USD", "dollars": "USD", "€": "EUR", "£": "GBP", "¥": "JPY",
        "yen": "JPY", "yuan": "CNY", "₹": "INR", "rupee": "INR", "rupees": "INR", "₽": "RUB",
        "₩": "KRW", "won": "KRW", "pounds sterling": "GBP", "ruble": "RUB", "rubles": "RUB",
        "franc": "CHF", "francs": "CHF", "euros": "EUR", "cent": "USD/100", "cents": "USD/100",
        "¢": "USD/100", "pence": "GBP/100", "penny": "GBP/100", "rs": "INR",
    },
    "de": {"dollar": "USD", "pfund": "GBP", "franken": "CHF"},
    "fr": {"dollar": "USD", "dollars": "USD", "livres": "GBP"},
    "es": {"dólar": "USD", "dólares": "USD", "pesos": "MXN", "peso": "MXN"},
    "it": {"dollaro": "USD", "dollari": "USD", "sterline": "GBP"},
    "pt": {"dólar": "USD", "dólares": "USD", "reais": "BRL", "real": "BRL"},
    "zh": {"元": "CNY", "美元": "USD", "人民币": "CNY", "块": "CNY", "日元": "JPY"},
    "ja": {"円": "JPY", "ドル": "USD", "ユーロ": "EUR"},
    "ko": {"원": "KRW", "달러": "USD", "유로": "EUR"},
    "ar": {"دولار": "USD", "دولارات": "USD", "ريال": "SAR", "جنيه": "EGP"},
    "hi": {"रुपये": "INR", "रुपए": "INR", "रुपया": "INR", "डॉलर": "USD"},
    "ru": {
        "рубль": "RUB", "рубля": "RUB", "рублей": "RUB", "руб": "RUB", "доллар": "USD",
        "доллара": "USD", "долларов": "USD",
    },
}  # fmt: skip
"""How people say them, where CLDR has the full name of the country's currency only."""


@functools.cache
def unit_names(language: str) -> Mapping[str, str]:
    """Units by name or sign ("kilometers", "km", "m/s"), each as an expression that pint reads.

    Names are there as CLDR writes them ("mW" is not "MW") and, where that is free, in small letters.
    """
    from babel.units import format_unit

    locale, exact, folded = _locale(language), dict[str, str](), dict[str, str]()
    exact.update(_NOT_CLDR if language == "en" else _FURTHER_UNITS.get(language, {}))
    # "minute" is a time before it is an angle, "ml" thousandths before millions.
    units = sorted(locale.unit_display_names, key=lambda unit: ("angle-" in unit, "-mega" in unit))
    for unit in units:
        if _NOT_UNITS.search(unit):
            continue
        expression = _in_pint(unit.partition("-")[2])
        for length in ("long", "short", "narrow"):
            for count in _COUNTS if length == "long" else _COUNTS[:2]:
                written = format_unit(count, unit, length, locale=language)
                name = written.replace(str(count), "").strip("\u200f\xa0\u202f ")
                # "يومان" says two days in one word; "[" sets off a country.
                if name == written or "[" in name:
                    continue
                for one in {name, _in_british(name)} if language == "en" else {name}:
                    exact.setdefault(one, expression)
                    if len(one) > 1 or not one.isascii():
                        folded.setdefault(one.casefold(), expression)
    return MappingProxyType({**folded, **exact})


def _in_british(name: str) -> str:
    return re.sub(r"(?<!thermo)(met|lit)er(s?)\b", r"\1re\2", name)


def _in_pint(unit: str) -> str:
    numerator, _, denominator = unit.partition("-per-")
    expression = _power_in_pint(numerator)
    return f"{expression}/{_power_in_pint(denominator)}" if denominator else expression


def _power_in_pint(unit: str) -> str:
    for prefix, power in (("square-", "**2"), ("cubic-", "**3")):
        if unit.startswith(prefix):
            return f"({unit.removeprefix(prefix)}{power})"
    return _IN_PINT.get(unit, unit.replace("-", "_"))
