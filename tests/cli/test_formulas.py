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
        (r"\(\frac{a+b}{c}\)", "(a+b)/c"),
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
    ("written", "shown"),
    [
        (r"\(x^{2y} + x^{2}y + a^2b\)", "x^(2y) + x²y + a²b"),
        (r"\(10^{3}5 + 2^{2^{3}} + x^{n}y\)", "10³5 + 2^(2³) + x^(n)y"),
        (r"\(x_{1}2 + m_{\text{max}}\)", "x_(1)2 + m_max"),
        (r"\(\sqrt{2}x + \sqrt{16}4 + \sqrt{ab} + \sqrt{x}^2\)", "(√2)x + (√16)4 + √(ab) + (√x)²"),
        (r"\(6 \div \frac{1}{2} + 6 / \frac12\)", "6 ÷ (1/2) + 6 / (1/2)"),
        (r"\(\frac{a}{b}c + \frac{1}{2}3 + \frac{x}{2}y\)", "(a/b)c + (1/2)3 + (x/2)y"),
        (r"\(6 : \frac{1}{2} + \frac{1}{n} \sum_{i} x_i\)", "6 : (1/2) + (1/n) ∑_i x_i"),
        (r"\(\frac{1}{2}\frac{3}{4} + \frac{2}{3}^2\)", "(1/2)(3/4) + (2/3)²"),
        (r"\(x^\frac{1}{2} + e^{-\frac{x}{2}}\)", "x^(1/2) + e^(-x/2)"),
        (r"\[ \frac{1}{2} \text{ of } 8 \\[4pt] y = 2 \]", "1/2 of 8\ny = 2"),
        (r"\(\left. x \right|\)", "x |"),
    ],
)
def test_neighbours_are_not_read_as_parts(written: str, shown: str) -> None:
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
        r"a \\[4pt] b \] c",
        "\\(\ue001\\)",
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
