"""The first line of an answer: the answer itself, or that the model is not sure and of what."""

from typing import TYPE_CHECKING, Final

from et_agent.answers.choice import options_of
from et_agent.cli.terminal import one_line, visible

if TYPE_CHECKING:
    from rich.text import Text

    from et_agent.results import AskResult

__all__ = ["EVEN", "headline", "in_full", "is_sure", "not_sure"]

_DOUBT: Final = "not sure"
EVEN: Final = 0.5
"""Confidence of a toss-up. An answer that has no more is shown as a guess, which one of two options
that the model cannot tell apart is."""


def is_sure(result: "AskResult") -> bool:
    """Whether an answer may be shown as one; without a confidence nothing speaks against it."""
    return result.confidence is None or result.confidence > EVEN


def not_sure(result: "AskResult") -> str:
    """In words, what the model is not sure of; for a short answer, its guess follows."""
    if result.kind == "long":
        return f"{_DOUBT}: {result.confidence:.0%} of its claims are true, by their mean confidence"
    return f"{_DOUBT}: perhaps"


def in_full(answer: str, result: "AskResult") -> str:
    """A letter with its option's text, `A) trout`, if the question tells it; else the answer."""
    text = options_of(result.question).get(answer) if result.kind == "choice" else None
    return f"{answer}) {one_line(text)}" if text else answer


def headline(result: "AskResult", *, told: bool = False) -> "Text":
    """The answer, or "not sure" with the guess.

    Args:
        result: The result.
        told: Whether "not sure" stands above it already.
    """
    from rich.text import Text

    from et_agent.cli.claims import coloured

    if result.declined:
        return Text("the passages do not say", style="yellow")
    if result.answer is None:
        return Text("no leaf gave an answer", style="yellow")
    if is_sure(result):
        return coloured(in_full(result.answer, result), result.claims)
    joint = "\n" if result.kind == "long" else " "
    doubt = not_sure(result)
    if told:
        doubt = doubt.removeprefix(f"{_DOUBT}: ")
    text = Text(doubt + joint, style="yellow")
    if result.claims:
        return text + coloured(result.answer, result.claims)
    return text.append(visible(in_full(result.answer, result), keep="\n"), style="default")
