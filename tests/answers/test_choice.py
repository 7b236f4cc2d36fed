import time

import pytest

from et_agent.answers import extract
from et_agent.answers.choice import letter_in_prose, letter_in_value, options_of

QUESTION = """What is the capital of France?
A) Lyon
B) Paris
C) Nice
D) Paris, Texas"""


@pytest.mark.parametrize(
    "question",
    [
        QUESTION,
        "Which?\n(A) Lyon\n(B) Paris\n(C) Nice\n(D) Paris, Texas",
        "Which?\nA. Lyon\nB. Paris\nC. Nice\nD. Paris, Texas\n",
        "Which? A) Lyon B) Paris C) Nice D) Paris, Texas",
        "Which? (A) Lyon, (B) Paris, (C) Nice, (D) Paris, Texas",
    ],
)
def test_options(question: str) -> None:
    assert dict(options_of(question)) == {
        "A": "Lyon",
        "B": "Paris",
        "C": "Nice",
        "D": "Paris, Texas",
    }


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital? (a) Rome (b) Paris",
        "Is it (a) Rome or (b) Paris?",
        "Ist es (a) Rome oder (b) Paris?",
        "Capital of France: A) Rome B) Paris",
        "What is bigger? A. Rome B. Paris",
        "哪个更大\uff1fA、Rome B、Paris",
    ],
)
def test_two_options_in_a_row(question: str) -> None:
    assert dict(options_of(question)) == {"A": "Rome", "B": "Paris"}


def test_the_or_before_the_last_is_none_of_an_option() -> None:
    found = options_of("Is it (a) trout, (b) whale, or (c) eagle?")
    assert list(found.values()) == ["trout", "whale", "eagle"]


@pytest.mark.parametrize(
    "question",
    [
        "",
        "Points $A$ and $B.$ lie there.",
        "A. Smith met B. Jones",
        "How far is (A) the house from (B) the school?",
        "In a triangle with A: 30 and B: 60 degrees, what is C?",
        "Which one? (A)(B)",
    ],
)
def test_no_options(question: str) -> None:
    assert not options_of(question)


@pytest.mark.parametrize(
    "leaf",
    [
        r"\boxed{B}",
        r"\boxed{\text{(B)}}",
        r"\boxed{b}",
        r"\boxed{B) Paris}",
        r"\boxed{\text{B. Paris}}",
        r"\boxed{Paris}",
        r"\boxed{paris.}",
        "The answer is (B).",
        "The answer is B: Paris",
        "The answer is **B**.",
        "The correct option is B) Paris.",
        "Answer: B",
        "B",
        "(B)",
        "**B) Paris**",
        "B. Paris",
        "Therefore, option B is correct.",
        "A good guess would be B.",
        "So it must be Paris.",
    ],
)
def test_the_letter_is_found(leaf: str) -> None:
    extracted = extract(leaf, "choice", question=QUESTION)
    assert extracted is not None
    assert extracted.value == "B"


@pytest.mark.parametrize(
    "leaf", [r"\boxed{E}", r"\boxed{Rome}", "I do not know.", "A city in Europe"]
)
def test_no_letter_of_the_question(leaf: str) -> None:
    assert extract(leaf, "choice", question=QUESTION) is None


def test_without_the_question_letters_still_count() -> None:
    assert letter_in_prose("It is (C).", {}) == "C"


def test_options_that_differ_in_sign_or_case_are_told_apart() -> None:
    question = "Which?\nA) 1\nB) -1\nC) i\nD) Bb\nE) bb"
    for letter, option in options_of(question).items():
        extracted = extract(f"\\boxed{{{option}}}", "choice", question=question)
        assert extracted is not None
        assert extracted.value == letter


def test_ten_options_are_all_known() -> None:
    question = "Which?\n" + "\n".join(f"{letter}) word {letter}" for letter in "ABCDEFGHIJ")
    assert list(options_of(question)) == list("ABCDEFGHIJ")
    found = extract("\\boxed{J}", "choice", question=question)
    assert found is not None
    assert found.value == "J"


@pytest.mark.parametrize(
    "text", ["Option B", "option (b)", "Option b", "[B]", "(b) green", "b) green", "B) green"]
)
def test_a_box_may_name_its_option_in_any_usual_way(text: str) -> None:
    options = options_of("Which?\nA) red\nB) green\nC) blue")
    assert letter_in_value(text, options) == "B"


@pytest.mark.parametrize("text", ["a red bird", "option b or c", "b green", "[E]"])
def test_other_words_of_a_box_name_no_option(text: str) -> None:
    options = options_of("Which?\nA) red\nB) green\nC) blue")
    assert letter_in_value(text, options) is None


@pytest.mark.parametrize("said", ["A, ", "A and ", "not A, ", "A or B, "])
def test_letters_without_end_are_read_in_time(said: str) -> None:
    began = time.process_time()
    letter_in_prose(said * 1300, {"A": "trout", "B": "whale"})
    assert time.process_time() - began < 0.2
