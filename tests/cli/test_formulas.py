r"""Formulas of a reply on the screen."""

# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from et_agent.cli.formulas import plain_formulas


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (r"So \( \frac{3}{4} \times 8 = 6 \).", "So 3/4 × 8 = 6."),
        (r"\[ 48 \div 2 = 24 \, \text{clips} \]", "48 ÷ 2 = 24 clips"),
        (r"The answer is \boxed{42}.", "The answer is 42."),
        (r"$\boxed{\frac{1}{2}}$", "1/2"),
        (r"$$x^{10} \le \sqrt{16}$$", "x¹⁰ ≤ √16"),
        (r"\(\sqrt[3]{a+b}\)", "∛(a+b)"),
        (r"\( x^{a+b} + 10^{-3} \)", "x^(a+b) + 10⁻³"),
        (r"\(\frac{a+b}{c}\)", "(a+b)/(c)"),
        (r"\(\left( \dfrac{\frac12}{3} \right)\)", "((1/2)/3)"),
        (r"\( \frac{1}{2}x + 2\frac{1}{2} \)", "(1/2)x + 2 1/2"),
        (r"\( 90^\circ \neq \pi \)", "90° ≠ π"),
        (r"\( 50\% \cdot \$20 = \$10 \)", "50% · $20 = $10"),
        (r"\( 1{,}000 + x_{12} \)", "1,000 + x_12"),
        ("\\[\\begin{aligned} x &= 1 \\\\ y &= 2 \\end{aligned}\\]", "x = 1\ny = 2"),
        ("It costs $5, and $6 with tax = $11.", "It costs $5, and $6 with tax = $11."),
        ("plain words", "plain words"),
        ("", ""),
    ],
)
def test_formulas_are_written_in_characters(written: str, shown: str) -> None:
    assert plain_formulas(written) == shown


@pytest.mark.parametrize(
    "written",
    [
        r"\( \begin{pmatrix}1&2\\3&4\end{pmatrix} \)",
        r"\( \binom{5}{2} \)",
        r"\( \frac{1 \)",
        r"\( \unknown{x} \)",
        r"\( " + "x" * 2000 + r" \)",
        r"\[ never closed",
    ],
)
def test_what_cannot_be_written_plainly_stays(written: str) -> None:
    assert plain_formulas(written) == written


@given(st.text(alphabet=r"\()[]{}$^_ a1frcsqt", max_size=60))
def test_any_text_is_taken(text: str) -> None:
    plain_formulas(text)


def test_many_beginnings_take_little_time() -> None:
    for one in (r"\(", r"\[", "$$", "$", r"\boxed{", r"\boxed{{", "$a="):
        plain_formulas(one * 5_000)
