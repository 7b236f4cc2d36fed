import time

import pytest

from et_agent.answers.asides import without_asides


@pytest.mark.parametrize(
    ("line", "question", "left"),
    [
        ("There were 42 in 2019.", "", "There were 42 ."),
        ("It was in 2019.", "", "It was in 2019."),
        ("It is not 5.", "", "It is ."),
        ("There are 6 apples in 3 boxes.", "How many red apples are there?", "6 apples in"),
        ("There are 6 apples in 3 boxes.", "How many boxes are there?", "3 boxes"),
        ("5 apples and then 8 in total.", "How many apples?", "5 apples and then 8 in total."),
        ("Six people came in 1912.", "", "Six people came ."),
        ("no figures", "", "no figures"),
    ],
)
def test_figures_that_are_not_the_answer(line: str, question: str, left: str) -> None:
    assert " ".join(without_asides(line, question, years=False).split()) == left


def test_a_year_that_is_asked_for_stays() -> None:
    assert without_asides("6 years, until 1945", "", years=True) == "6 years, until 1945"


@pytest.mark.parametrize("piece", ["not 5 ", "5 of ", "(see 1) ", "in 1999 ", "5 apples ", "[1]"])
def test_many_figures_are_looked_through_at_once(piece: str) -> None:
    line = piece * (2000 // len(piece))
    without_asides(piece, "How many?", years=False)
    started = time.process_time()
    without_asides(line, "How many?", years=False)
    assert time.process_time() - started < 0.5
