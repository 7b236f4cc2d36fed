# Unicode look-alikes are what models write.
# ruff: noqa: RUF001

from fractions import Fraction

import pytest

from et_agent.answers import extract
from et_agent.answers.quantity import asked_unit, number_in_unit, quantity_in_value
from et_agent.answers.units import in_base_units, unit_called


@pytest.mark.parametrize(
    ("names", "language"),
    [
        (["km", "kilometer", "kilometers", "kilometres"], "en"),
        (["m/s", "m s^-1", "meters per second", "metres per second", "m·s^-1"], "en"),
        (["Stunde", "Stunden", "h", "hours"], "de"),
        (["километр", "километра", "километров", "км"], "ru"),
        (["公里", "千米", "km"], "zh"),
        (["kg m^2/s^2", "J", "joule", "N m"], "en"),
        (["km/h", "kilometers per hour", "kph"], "en"),
    ],
)
def test_names_of_one_unit(names: list[str], language: str) -> None:
    units = [unit_called(name, language) for name in names]
    assert None not in units, names[units.index(None)]
    assert len({in_base_units(unit) for unit in units if unit is not None}) == 1


@pytest.mark.parametrize("name", ["apples", "x", "of", "", "a" * 100, "foo bar baz", "/", "m//s"])
def test_what_is_no_unit(name: str) -> None:
    assert unit_called(name, "en") is None


def test_signs_have_a_case() -> None:
    milli, mega = unit_called("mW", "en"), unit_called("MW", "en")
    assert milli is not None
    assert mega is not None
    assert in_base_units(mega).factor == 10**9 * in_base_units(milli).factor


def test_temperatures_are_converted_exactly() -> None:
    for text in ("0 °C", "32 °F", "273.15 K"):
        found = quantity_in_value(text)
        assert found is not None
        assert found.base == ("kelvin^1", Fraction("273.15"))


@pytest.mark.parametrize(
    ("question", "text", "number"),
    [
        ("How many minutes does it take?", "3 hours 20 minutes", 200),
        ("How far is it in meters?", "5 km", 5000),
        ("Wie viele Minuten dauert es?", "2 Stunden", 120),
        ("How far is it?", "5 km", None),
        ("How many apples?", "5 km", None),
        ("How many grams is it?", "5 km", None),
    ],
)
def test_the_unit_that_is_asked_for(question: str, text: str, number: int | None) -> None:
    assert number_in_unit(text, question) == number
    assert (asked_unit(question) is None) == ("far is it?" in question or "apples" in question)


@pytest.mark.parametrize(
    "text",
    ["6'9\"", "6’9”", "6' 9\"", "6'9''", "6 ft. 9 in.", "6 ft 9 in", "6 feet 9 inches", "6′9″"],
)
def test_feet_and_inches_are_one_height_however_they_are_written(text: str) -> None:
    found = extract(f"\\boxed{{{text}}}", "auto", question="How tall is he?")
    assert found is not None
    assert found.key == ("quantity", Fraction(27, 4), "foot")
