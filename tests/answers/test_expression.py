import pytest

from et_agent.answers import extract
from et_agent.answers.expression import normal_form, word_of


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\dfrac{\pi}{2})"),
        (r"11\sqrt2", r"11 \sqrt{2}"),
        (r"x \in [-2,7]", "[-2, 7]"),
        (r"\begin{bmatrix} 1 \\ 2 \end{bmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"),
        (r"1 \text{ or } 2", "1, 2"),
        ("sqrt(3)/2", r"\sqrt{3}/2"),
        ("x**2", "x^2"),
        ("2\u03c0", r"2\pi"),
        (r"\frac 1{x}", r"\frac{1}{x}"),
        (r"x \leq 3", "x <= 3"),
    ],
)
def test_spellings_of_one_normal_form(left: str, right: str) -> None:
    assert normal_form(left) == normal_form(right)


def test_a_command_keeps_its_space() -> None:
    assert normal_form(r"\cot  x") == r"\cot x"


def test_rows_of_a_matrix_stay_apart() -> None:
    assert r"1\\ 2".replace(" ", "") in normal_form(r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        (r"\text{Evelyn}", "Evelyn"),
        ("east", "east"),
        (r"\text{(C)}", "C"),
        ("(C)", "C"),
        ("x", "x"),
        ("xy", None),
        ("2k", None),
    ],
)
def test_words(text: str, word: str | None) -> None:
    assert word_of(text) == word


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        (r"Thus \boxed{(3,4]}.", "(3,4]"),
        (r"The answer is $x = \sqrt{2}$.", r"x = \sqrt{2}"),
        (r"The answer is $1$ or $2$.", "1, 2"),
        (r"So the solution is \(2x+3\)", "2x+3"),
        ("y = 2x + 3", "y = 2x + 3"),
        ("2k + 2", "2k + 2"),
        ("Thus the simplified form is 2k + 2.", "2k + 2"),
        ("So we have found that there are 5 such apples in the box.", "5"),
        ("I could not find out how to solve this one.", None),
    ],
)
def test_math_answers(leaf: str, value: str | None) -> None:
    extracted = extract(leaf, "math")
    assert (extracted and extracted.value) == value
