import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.answers.arithmetic import evaluate
from et_agent.answers.number import (
    display_number,
    number_in_prose,
    number_in_value,
    plain_number,
)
from et_agent.answers.number_words import parse_number_words


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72),
        ("72.0", 72),
        ("72.", 72),
        ("1,200", 1200),
        ("1,234,567.5", Fraction("1234567.5")),
        (r"10,\!080", 10080),
        (r"11,\! 111,\! 111,\! 100", 11111111100),
        ("12 345 678", 12345678),
        ("$18.90", Fraction("18.9")),
        (r"\$32,\!348", 32348),
        ("-5", -5),
        ("\u22125", -5),
        ("-$5", -5),
        ("20%", 20),
        (r"20\%", 20),
        ("1/2", Fraction(1, 2)),
        ("2 1/2", Fraction(5, 2)),
        (r"1\frac{4}{5}", Fraction(9, 5)),
        (r"\frac43", Fraction(4, 3)),
        (r"-\dfrac{35}{9}", Fraction(-35, 9)),
        (r"\frac9{19}", Fraction(9, 19)),
        (".35625", Fraction(57, 160)),
        (r"1.2\times10^5", 120000),
        (r"1.2 \times 10^{-3}", Fraction(12, 10000)),
        ("1.5e3", 1500),
        ("10^6", 10**6),
        (r"90^\circ", 90),
        (r"5.4 \text{ cents}", Fraction("5.4")),
        (r"864 \mbox{ inches}^2", 864),
        (r"\text{72}", 72),
        ("2^{10}", 1024),
        (r"\frac{3^2}{-4}", Fraction(-9, 4)),
        ("72 clips", 72),
        ("x = 5", 5),
        ("$72$", 72),
    ],
)
def test_a_string_that_is_one_number(text: str, value: Fraction | int) -> None:
    assert plain_number(text) == value
    assert number_in_value(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72 clips", 72),
        ("5km", 5),
        ("76 - 25 = 51", 51),
        ("76 - 25", 51),
        ("3/4 * 8 = 6 apples", 6),
        ("twelve", 12),
        ("Twenty-five apples", 25),
        ("one hundred and five", 105),
        ("Total cost = $72", 72),
    ],
)
def test_a_value_with_more_about_it(text: str, value: int) -> None:
    assert number_in_value(text) == value


@pytest.mark.parametrize(
    "text", ["3, 5, 7", "x", "", "2 or 3", "3:30", "apples", "5/0", "9" * 5000, r"\sqrt{16}", "x_2"]
)
def test_a_value_that_names_no_number(text: str) -> None:
    assert number_in_value(text) is None


@pytest.mark.parametrize(
    "text", ["2k", "(3,4]", "1,-2", "52_8", "(5,100)", r"2\pi", "3+4i", r"\sqrt{16}", "2^{x}"]
)
def test_expressions_are_no_plain_numbers(text: str) -> None:
    assert plain_number(text) is None


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("So she sold 48 + 24 = 72 clips in 2 months.", 72),
        ("Natalia sold a total of 72 clips.", 72),
        ("She has **7** apples left after 2 days.", 7),
        ("He was left with $1,200.50.", Fraction("1200.5")),
        ("He earns $118 000.", 118000),
        ("There are twelve months.", 12),
        ("No one knows.", None),
        ("This is unclear.", None),
        ("We meet at 12:30.", None),
    ],
)
def test_the_last_line_gives_its_last_number(line: str, value: Fraction | int | None) -> None:
    assert number_in_prose(line) == value


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("5 apples, because 3 + 2 = 5 and 7 - 1 = 6", 5),
        ("48 + 24 = 72 clips", 72),
        ("$\\boxed{5}$ of 10", 5),
        ("one", 1),
        ("Natalia sold **72** clips in 2 months", 72),
        ("**72** of the 80", 72),
    ],
)
def test_a_marker_is_followed_by_its_number(line: str, value: int) -> None:
    assert number_in_prose(line, prefer_first=True) == value


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("zero", 0),
        ("twenty", 20),
        ("ninety-nine", 99),
        ("two thousand three hundred and four", 2304),
        ("a dozen", 12),
        ("minus seven", -7),
        ("three million", 3 * 10**6),
        ("five six", None),
        ("thousand million thousand", None),
        ("apples", None),
    ],
)
def test_number_words(words: str, value: int | None) -> None:
    assert parse_number_words(words) == value


@pytest.mark.parametrize(
    "hostile",
    [
        "1e999999999",
        "1e400*1e400*1e400*1e400",
        "(" * 300 + "1" + ")" * 300,
        "9" * 500,
        "2**9",
        "9^9^9^9",
        "2^5000",
        "2^0.5",
        "0^-1",
        "^".join("1" * 190),
        "(1/3)^4000",
        "1/0",
    ],
)
def test_arithmetic_is_bounded(hostile: str) -> None:
    assert evaluate(hostile) is None


@given(st.fractions(max_denominator=10**6))
def test_what_is_shown_reads_back_as_the_same_number(value: Fraction) -> None:
    assert number_in_value(display_number(value)) == value
    assert plain_number(display_number(value)) == value


@given(st.integers(-(10**9), 10**9), st.integers(1, 10**6))
def test_equality_does_not_depend_on_the_way_of_writing(top: int, bottom: int) -> None:
    ways = [
        f"{top}/{bottom}",
        rf"\frac{{{top}}}{{{bottom}}}",
        rf"${top:,}/{bottom}$",
        f"({top})/{bottom}",
    ]
    assert {number_in_value(way) for way in ways} == {Fraction(top, bottom)}


@pytest.mark.parametrize("filler", ["A" * 1900, "ha " * 600, "a.b" * 600, "m/s " * 450])
def test_long_runs_of_letters_are_read_at_once(filler: str) -> None:
    started = time.perf_counter()
    number_in_value(f"5 {filler}!")
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize("text", ["√2", "3√2", "0x1F", "0.(3)"])
def test_the_first_digits_of_a_formula_are_not_its_value(text: str) -> None:
    assert number_in_value(text) is None
