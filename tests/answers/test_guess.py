import time

import pytest

from et_agent.answers import AnswerKind, decide_kind, guess_kind


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Natalia sold clips to 48 friends. How many in all?", "number"),
        ("A pack costs 76 dollars less 25. What is the price of a pack?", "number"),
        ("What is 12 * 7?", "number"),
        ("Solve for x: x^2 = 4", "math"),
        ("Simplify (a+b)^2 - 2ab", "math"),
        (r"What is $\frac{1}{2} + x$?", "math"),
        ("Write the solution in interval notation.", "math"),
        ("Which?\nA) one\nB) two", "choice"),
        ("Which? (A) one (B) two (C) three", "choice"),
        ("who wrote he ain't heavy he's my brother lyrics", "text"),
        ("when was the last time anyone was on the moon", "date"),
        ("Where were the 1936 and 1940 games to be held?", "text"),
    ],
)
def test_the_guess_from_the_question(question: str, kind: str) -> None:
    guess = guess_kind(question)
    assert guess.kind == kind
    assert guess.reason.endswith(".")


@pytest.mark.parametrize(
    ("question", "contents", "kind"),
    [
        ("How many?", ["72", "72 clips", r"\frac{1}{2}"], "number"),
        ("How much is it?", ["2k+2", "2k + 2", "7"], "math"),
        ("How many x?", ["(3,4]", r"(-\infty, 2)", "1"], "math"),
        ("How many?", ["Paris", "nobody", "3"], "text"),
        ("who is it", ["12", "13", "12 people"], "number"),
        ("who is it", ["14 December 1972", "Apollo 11"], "text"),
        ("who is it", [r"\sqrt{2}"], "math"),
        (r"Find $x^2$.", ["4", "Paris"], "math"),
        ("Which?\nA) 1\nB) 2", ["1", "2"], "choice"),
        ("who is it", [], "text"),
    ],
)
def test_leaves_refine_the_guess(question: str, contents: list[str], kind: str) -> None:
    leaves = [f"So \\boxed{{{content}}}." for content in contents]
    assert decide_kind(question, leaves).kind == kind


def test_the_reason_names_the_votes() -> None:
    decided = decide_kind("How many?", ["\\boxed{2k}", "The answer is $3k$.", "no idea"])
    assert decided.kind is AnswerKind.MATH
    assert decided.reason.startswith("100% of the answers are mathematical expressions")


def test_the_kind_goes_by_path_weight_not_by_branches() -> None:
    question = "Which fruit did she buy?"
    leaves = ["\\boxed{12}", "\\boxed{ripe apples}", "\\boxed{green pears}"]
    assert decide_kind(question, leaves).kind is AnswerKind.TEXT
    assert decide_kind(question, leaves, [0.9, 0.05, 0.05]).kind is AnswerKind.NUMBER
    assert decide_kind(question, leaves, [0.0, 0.0, 0.0]).kind is AnswerKind.TEXT


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("Do you know who wrote Hamlet?", "text"),
        ("Can you recommend a good book?", "text"),
        ("Could you please describe Rome?", "text"),
        ("Did you know that 7 is prime?", "yes_no"),
        ("Can you swim?", "yes_no"),
        ("True or false: 2 + 2 = 4", "yes_no"),
        ("True or false: the earth is flat.", "yes_no"),
        ("Has he 3 or more?", "yes_no"),
        ("Is it 3 or 4?", "text"),
        ("What does JSON stand for?", "text"),
        ("How do I parse JSON?", "text"),
        ("What is the capital of France? Reply in JSON.", "json"),
        ("Which city in JSON?", "json"),
        ("Give me a list of three fruits", "list"),
    ],
)
def test_what_everyday_questions_ask_for(question: str, kind: str) -> None:
    assert guess_kind(question).kind == kind


def test_a_very_long_question_is_guessed_at_once() -> None:
    began = time.perf_counter()
    assert guess_kind("x " * 500_000 + "How many are there?").kind is AnswerKind.NUMBER
    assert time.perf_counter() - began < 10
